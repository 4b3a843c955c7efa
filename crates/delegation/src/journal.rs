//! What was begun at AWS and not finished, on the disk: so that whoever comes next finishes it. Holds ids, never a secret.
//!
//! One small JSON file for each undertaking, replaced whole, 0600, under a lock that its holder keeps to the end: a
//! journal whose lock is free was left behind by a process that ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use awsfiles::FileLock;
use base::{Fault, KeyId, Kind, Timestamp, atomic, parse_timestamp, utc};
use bowline_awsfiles as awsfiles;
use bowline_base as base;
use serde_json::{Value, json};

const VERSION: u64 = 1;

/// An open journal; nobody else has it meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    kind: &'static str,
    _lock: FileLock,
}

impl Journal {
    /// Waits until nobody else has the journal `KIND-NAME` in `directory`. Blocks the thread.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn open(directory: &Path, kind: &'static str, name: &str) -> Result<Self, Fault> {
        let path = place(directory, kind, name);
        let lock = atomic::private_directory(directory).and_then(|()| FileLock::acquire(&lock_of(&path)));
        let lock = lock.map_err(|cause| fault("lock", &path).cause(cause))?;
        Ok(Self { path, kind, _lock: lock })
    }

    /// The same without waiting: `None` while somebody has it.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn try_open(directory: &Path, kind: &'static str, name: &str) -> Result<Option<Self>, Fault> {
        let path = place(directory, kind, name);
        let lock = atomic::private_directory(directory).and_then(|()| FileLock::try_acquire(&lock_of(&path)));
        let lock = lock.map_err(|cause| fault("lock", &path).cause(cause))?;
        Ok(lock.map(|lock| Self { path, kind, _lock: lock }))
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

fn fault(verb: &str, path: &Path) -> Fault {
    let directory = path.parent().unwrap_or(path).display();
    Fault::new(Kind::Config, "journal", format!("cannot {verb} `{}`", path.display()))
        .hint(format!("look at `ls -ld {directory}` and `df {directory}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_was_begun_is_there_for_the_next_and_only_for_one() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::open(home.path(), "rotation", "a/b").unwrap();
        assert_eq!(journal.read().unwrap(), None);
        journal.write(&json!({ "old": "AKIA" })).unwrap();
        assert_eq!(journal.read().unwrap().unwrap()["old"], "AKIA");
        assert_eq!(fs::metadata(journal.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Journal::try_open(home.path(), "rotation", "a/b").unwrap().is_none());
        assert_eq!(Journal::names(home.path(), "rotation"), ["a%2f.b"]);
        journal.forget().unwrap();
        journal.forget().unwrap();
        assert!(Journal::names(home.path(), "rotation").is_empty());
    }

    #[test]
    fn what_is_newer_or_not_ours_stops_everything() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::open(home.path(), "rotation", "x").unwrap();
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
