//! What was begun at AWS and not finished, on the disk: so that whoever comes next finishes it. Holds ids, never a secret.
//!
//! One small JSON file for each undertaking, replaced whole, 0600, under a lock that its holder keeps to the end: a
//! journal whose lock is free was left behind by a process that ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use awsfiles::FileLock;
use base::{Fault, KeyId, Kind, Timestamp, atomic, lock, parse_timestamp, shell::quoted_path, utc, wire::Wire};
use bowline_awsfiles as awsfiles;
use bowline_base as base;
use serde_json::{Value, json};

const VERSION: u64 = 1;

/// The longest that somebody who is alive and not stopped keeps a journal: five minutes of grace, and IAM's slowness
/// before and after. Where several wait, each of them has as long.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Where journals are, and how they are waited for.
#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    /// The directory.
    pub directory: &'a Path,
    /// Whose time passes meanwhile.
    pub wire: &'a dyn Wire,
    /// Hears that somebody else has one.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

/// An open journal; nobody else has it meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    kind: &'static str,
    _lock: FileLock,
}

impl Journal {
    /// Waits until nobody else has the journal `KIND-NAME` in `directory`, and tells that it does. Whoever has it is at
    /// work at AWS: for a minute, where IAM is slow to know a new key, and for longer, where a grace is waited for. Where
    /// others wait too, it waits for as long as the journal goes from one to the next.
    ///
    /// # Errors
    /// The directory cannot be written; or, `Unreachable`, one of them has had the journal for longer than any work takes.
    pub async fn open(shelf: Shelf<'_>, kind: &'static str, name: &str) -> Result<Self, Fault> {
        if let Some(journal) = Self::try_open(shelf.directory, kind, name)? {
            return Ok(journal);
        }
        let path = place(shelf.directory, kind, name);
        let find = format!("fuser -v {}", quoted_path(&lock_of(&path)));
        (shelf.tell)(&format!("note: waiting for another process that does the same: `{find}` shows which"));
        let try_open = || Self::try_open(shelf.directory, kind, name);
        loop {
            let before = turn(&lock_of(&path));
            if let Some(journal) = lock::wait_for(shelf.wire, PATIENCE, try_open).await? {
                return Ok(journal);
            }
            if turn(&lock_of(&path)) == before {
                return Err(stuck(&lock_of(&path)).hint(format!("look for a stopped process: {find}")));
            }
        }
    }

    /// The same without waiting: `None` while somebody has it.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn try_open(directory: &Path, kind: &'static str, name: &str) -> Result<Option<Self>, Fault> {
        let path = place(directory, kind, name);
        let lock = atomic::private_directory(directory).and_then(|()| FileLock::try_acquire(&lock_of(&path)));
        let lock = lock.map_err(|cause| fault("lock", &path).cause(cause))?;
        Ok(lock.map(|lock| {
            take_turn(&lock_of(&path));
            Self { path, kind, _lock: lock }
        }))
    }

    /// The names of all journals of `kind` in `directory` that hold something, in order.
    #[must_use]
    pub fn names(directory: &Path, kind: &str) -> Vec<String> {
        let files = fs::read_dir(directory).into_iter().flatten().flatten();
        let name = |file: fs::DirEntry| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(".json").map(ToOwned::to_owned)
        };
        let mut names: Vec<String> = files.filter_map(name).collect();
        names.sort();
        names
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; `None` when nothing is unfinished.
    ///
    /// # Errors
    /// It is not ours, newer than this program, or cannot be read: then nothing should be begun.
    pub fn read(&self) -> Result<Option<Value>, Fault> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|cause| fault("read", &self.path).cause(cause))?,
        };
        let broken = || {
            let message = format!("`{}` is not a journal of ours", self.path.display());
            let hint = "look which access keys the user has, delete the one that is in use nowhere, then this file";
            Fault::new(Kind::Config, "journal", message).hint(hint)
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| broken())?;
        let version = value["version"].as_u64().filter(|_| value["kind"] == self.kind).ok_or_else(broken)?;
        if version > VERSION {
            let message = format!("`{}` was written by a newer bowline", self.path.display());
            return Err(Fault::new(Kind::Config, "journal", message).hint("finish it with that one"));
        }
        Ok(Some(value))
    }

    /// Replaces what it says by `fields`, on the disk when this returns.
    ///
    /// # Errors
    /// The disk says no; then it says what it said.
    pub fn write(&self, fields: &Value) -> Result<(), Fault> {
        let mut whole = json!({ "kind": self.kind, "version": VERSION });
        if let (Some(whole), Some(fields)) = (whole.as_object_mut(), fields.as_object()) {
            whole.extend(fields.clone());
        }
        let text = format!("{whole:#}\n");
        atomic::write_private(&self.path, text.as_bytes()).map_err(|cause| fault("write", &self.path).cause(cause))
    }

    /// Everything is finished.
    ///
    /// # Errors
    /// The disk says no.
    pub fn forget(&self) -> Result<(), Fault> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", &self.path).cause(error)),
            _ => Ok(()),
        }
    }

    /// The fault for a record that has not the fields it should have.
    pub(crate) fn unreadable(&self) -> Fault {
        let message = format!("`{}` does not say what was begun", self.path.display());
        let hint = "look which access keys the user has, delete the one that is in use nowhere, then this file";
        Fault::new(Kind::Config, "journal", message).hint(hint)
    }
}

/// Reads a key id out of a record.
pub(crate) fn key_in(value: &Value) -> Option<KeyId> {
    value.as_str().filter(|text| !text.is_empty()).map(KeyId::new)
}

/// Reads a list of key ids out of a record.
pub(crate) fn keys_in(value: &Value) -> Option<Vec<KeyId>> {
    value.as_array()?.iter().map(key_in).collect()
}

/// Writes key ids into a record.
pub(crate) fn ids(keys: &[KeyId]) -> Value {
    keys.iter().map(KeyId::as_str).collect()
}

/// Reads a time out of a record.
pub(crate) fn time_in(value: &Value) -> Option<Timestamp> {
    parse_timestamp(value.as_str()?).ok()
}

/// Writes a time into a record.
pub(crate) fn time(at: Timestamp) -> Value {
    utc(at).into()
}

fn place(directory: &Path, kind: &str, name: &str) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_@+=,".contains(c);
    let safe: String =
        name.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:x}.", u32::from(c)) }).collect();
    directory.join(format!("{kind}-{safe}.json"))
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

/// How many have had the lock so far; whoever waits knows by it that the queue moves.
fn turn(lock: &Path) -> u64 {
    fs::read_to_string(lock).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Call it with the lock held. Where the number cannot be written, who waits is no more patient than with one holder.
#[expect(clippy::disallowed_methods, reason = "a file that is replaced is no longer the one that is locked")]
fn take_turn(lock: &Path) {
    fs::write(lock, format!("{}\n", turn(lock).wrapping_add(1))).ok();
}

fn stuck(lock: &Path) -> Fault {
    let message = format!("another process has held `{}` for {} minutes", lock.display(), PATIENCE.as_secs() / 60);
    Fault::new(Kind::Unreachable, "journal", message)
}

fn fault(verb: &str, path: &Path) -> Fault {
    let directory = quoted_path(path.parent().unwrap_or(path));
    Fault::new(Kind::Config, "journal", format!("cannot {verb} `{}`", path.display()))
        .hint(format!("look at `ls -ld {directory}` and `df {directory}`"))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::Mutex};

    use base::{
        BoxFuture, Now,
        wire::{Body, Limits, WireError},
    };

    use super::*;

    /// Time that passes by waiting alone. Each of those who have the journal lets go of it after `busy`; the next of
    /// `queue` has it at once.
    struct Elsewhere {
        passed: Mutex<Duration>,
        held: Mutex<Option<(Journal, Duration)>>,
        queue: Mutex<usize>,
        busy: Duration,
        told: Mutex<Vec<String>>,
    }

    impl Elsewhere {
        fn new(held: Option<Journal>, busy: Duration) -> Self {
            let held = Mutex::new(held.map(|journal| (journal, busy)));
            Self { passed: Mutex::default(), held, queue: Mutex::default(), busy, told: Mutex::default() }
        }

        fn hand_on(&self) {
            let mut held = self.held.lock().unwrap();
            let now = self.now().boot;
            let Some((journal, _)) = held.take_if(|(_, until)| now > *until) else { return };
            let directory = journal.path().parent().unwrap().to_owned();
            drop(journal);
            let mut queue = self.queue.lock().unwrap();
            if *queue > 0 {
                *queue -= 1;
                *held = Journal::try_open(&directory, "rotation", "x").unwrap().map(|next| (next, now + self.busy));
            }
        }

        async fn open(&self, directory: &Path, name: &str) -> Result<Journal, Fault> {
            let tell = |line: &str| self.told.lock().unwrap().push(line.to_owned());
            Journal::open(Shelf { directory, wire: self, tell: &tell }, "rotation", name).await
        }
    }

    impl Wire for Elsewhere {
        fn now(&self) -> Now {
            Now { boot: *self.passed.lock().unwrap(), wall: Timestamp::UNIX_EPOCH }
        }

        fn entropy(&self) -> u64 {
            0
        }

        fn send(
            &self,
            _: http::Request<bytes::Bytes>,
            _: Limits,
        ) -> BoxFuture<'_, Result<http::Response<Body>, WireError>> {
            unreachable!("a lock asks nobody")
        }

        fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
            *self.passed.lock().unwrap() += time;
            self.hand_on();
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn what_was_begun_is_there_for_the_next_and_only_for_one() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = Elsewhere::new(None, Duration::ZERO);
        let journal = elsewhere.open(home.path(), "a/b").await.unwrap();
        assert_eq!(journal.read().unwrap(), None);
        journal.write(&json!({ "old": "AKIA" })).unwrap();
        assert_eq!(journal.read().unwrap().unwrap()["old"], "AKIA");
        assert_eq!(fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Journal::try_open(home.path(), "rotation", "a/b").unwrap().is_none());
        assert_eq!(Journal::names(home.path(), "rotation"), ["a%2f.b"]);
        journal.forget().unwrap();
        journal.forget().unwrap();
        assert!(Journal::names(home.path(), "rotation").is_empty());
        assert!(elsewhere.told.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_second_waits_for_as_long_as_the_first_is_at_work_and_says_so_once() {
        let home = tempfile::tempdir().unwrap();
        let held = Journal::try_open(home.path(), "rotation", "x").unwrap();
        let elsewhere = Elsewhere::new(held, Duration::from_secs(5 * 60));
        elsewhere.open(home.path(), "x").await.unwrap();
        let told = elsewhere.told.lock().unwrap();
        assert!(told.len() == 1 && told[0].starts_with("note: waiting for another process"), "{told:?}");
    }

    #[tokio::test]
    async fn who_is_last_in_a_queue_waits_for_all_of_it() {
        let home = tempfile::tempdir().unwrap();
        let held = Journal::try_open(home.path(), "rotation", "x").unwrap();
        let elsewhere = Elsewhere::new(held, Duration::from_secs(6 * 60));
        *elsewhere.queue.lock().unwrap() = 4;
        elsewhere.open(home.path(), "x").await.unwrap();
        assert!(elsewhere.now().boot > Duration::from_secs(5 * 6 * 60));
    }

    #[tokio::test]
    async fn one_that_is_never_let_go_of_is_no_matter_of_the_disk() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("my state");
        let held = Journal::try_open(&state, "rotation", "x").unwrap();
        let elsewhere = Elsewhere::new(held, Duration::MAX);
        let fault = elsewhere.open(&state, "x").await.unwrap_err();
        assert_eq!(fault.kind, Kind::Unreachable);
        let pasted = format!("look for a stopped process: fuser -v '{}/rotation-x.lock'", state.display());
        assert_eq!(fault.hint, Some(pasted));
    }

    #[test]
    fn what_is_newer_or_not_ours_stops_everything() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::try_open(home.path(), "rotation", "x").unwrap().unwrap();
        for (text, word) in [
            (r#"{"kind":"rotation","version":2}"#, "newer"),
            (r#"{"kind":"temporary","version":1}"#, "not a journal"),
            ("{", "not a journal"),
        ] {
            atomic::write_private(journal.path(), text.as_bytes()).unwrap();
            assert!(journal.read().unwrap_err().message.contains(word), "{text}");
        }
    }
}
