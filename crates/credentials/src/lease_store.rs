//! Leases on disk: 0600 files that outlive processes, so that daemon and command lines share what one of them fetched.
//!
//! One entry is one file and one lock file. The lock is held by an open descriptor: the kernel lets go of it when the
//! process ends, however it ends. A file that is foreign, broken or of another version counts as absent: this is a cache.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_awsfiles::FileLock;
use bowline_base::{Credentials, Fault, KeyId, Kind, Now, atomic, wire::Wire};
use sha2::{Digest as _, Sha256};

use crate::{
    lease_file,
    renewal::{self, Lease, Rule},
};

/// Longer than any fetch takes; who waits longer waits for a stopped process.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// Names an entry: a hash of everything that decides what is fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(String);

impl LeaseId {
    /// The entry for whatever `description` describes; the same text gives the same entry in every process.
    #[must_use]
    pub fn of(description: &str) -> Self {
        Self(fingerprint(description))
    }

    /// The name of the entry's files, without extension.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// 32 hexadecimal digits of SHA-256: enough to tell two texts apart, too little to guess a token from.
#[must_use]
pub(crate) fn fingerprint(text: &str) -> String {
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What is known about a lease.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The last good set.
    pub credentials: Option<Credentials>,
    /// The last try, if it failed.
    pub failure: Option<Failure>,
}

/// A failed try, remembered so that 50 processes do not repeat it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose move it is.
    pub kind: Kind,
    /// What failed.
    pub origin: String,
    /// What happened.
    pub message: String,
    /// Why, the nearest reason first.
    pub causes: Vec<String>,
    /// The next command.
    pub hint: Option<String>,
    /// Failures in a row.
    pub attempts: u32,
    /// Boot time until which nobody tries again.
    pub until: Duration,
}

impl Entry {
    /// The set, if it is good at `now`, not yet due, and not the one called `not`.
    #[must_use]
    pub fn fresh(&self, now: Now, not: Option<&KeyId>) -> Option<&Credentials> {
        let credentials = self.usable(now).filter(|credentials| Some(&credentials.key_id) != not)?;
        let due = Lease::of(credentials).due_at(Rule::Credentials);
        due.is_none_or(|due| now.wall < due).then_some(credentials)
    }

    /// The set, if AWS would still take it at `now`.
    #[must_use]
    pub fn usable(&self, now: Now) -> Option<&Credentials> {
        self.credentials.as_ref().filter(|credentials| credentials.usable_at(now.wall))
    }

    /// The failure that keeps everybody from trying at `now`.
    #[must_use]
    pub fn remembered(&self, now: Now) -> Option<Fault> {
        let failure = self.failure.as_ref()?;
        time_left(failure.until, now.boot).map(|left| failure.fault(left))
    }

    /// Notes a failed try. A login that is missing is remembered with the session, not here.
    pub fn note_failure(&mut self, fault: &Fault, now: Now) {
        if fault.kind == Kind::LoginRequired {
            self.failure = None;
            return;
        }
        let attempts = self.failure.as_ref().map_or(0, |failure| failure.attempts).saturating_add(1);
        // Where nothing is left to serve, a person waits: then no long memory.
        let longest = if self.usable(now).is_some() { LONGEST_MEMORY } else { SHORT_MEMORY };
        self.failure = Some(Failure {
            kind: fault.kind,
            origin: fault.origin.clone(),
            message: fault.message.clone(),
            causes: fault.causes(),
            hint: fault.hint.clone(),
            attempts,
            until: now.boot + renewal::back_off(fault.kind, attempts).min(longest),
        });
    }
}

const SHORT_MEMORY: Duration = Duration::from_secs(5);
/// The longest that anything which failed is left alone.
pub(crate) const LONGEST_MEMORY: Duration = Duration::from_secs(5 * 60);

/// From `boot` to `until`, if there is anything left. A boot time far ahead is from before a reboot.
pub(crate) fn time_left(until: Duration, boot: Duration) -> Option<Duration> {
    until.checked_sub(boot).filter(|left| !left.is_zero() && *left <= LONGEST_MEMORY)
}

impl Failure {
    fn fault(&self, left: Duration) -> Fault {
        let mut fault = Fault::new(self.kind, self.origin.clone(), self.message.clone()).because(self.causes.clone());
        fault.hint.clone_from(&self.hint);
        // A refusal too: it may be of before a change, and whoever hears of it has asked nobody.
        fault.retry(bowline_base::Retry::After(left))
    }
}

/// The directory of entries.
#[derive(Clone, Debug)]
pub struct LeaseStore {
    directory: PathBuf,
}

impl LeaseStore {
    /// The store in `directory`, made (0700) when first written to: `$XDG_RUNTIME_DIR/bowline/leases`, `/run/bowline/leases`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is known; nothing when the file is absent, unreadable, open to others or from another version.
    #[must_use]
    pub fn read(&self, id: &LeaseId) -> Entry {
        read_private(&self.path(id)).and_then(|text| lease_file::decode(&text)).unwrap_or_default()
    }

    /// Waits until nobody else works on this entry.
    ///
    /// # Errors
    /// `Config` when the directory cannot be used; `Unreachable` when another process keeps the lock for 90 s.
    pub async fn lock(&self, id: &LeaseId, wire: &dyn Wire) -> Result<FileLock, Fault> {
        atomic::private_directory(&self.directory).map_err(|error| self.cannot("make", error))?;
        let path = self.directory.join(format!("{}.lock", id.0));
        let try_lock = || FileLock::try_acquire(&path).map_err(|error| self.cannot("lock an entry of", error));
        wait_for(wire, &format!("lease `{}`", path.display()), try_lock).await
    }

    /// Replaces an entry whole. Call it with the lock held.
    ///
    /// # Errors
    /// `Config` with the reason; the old entry is untouched.
    pub fn write(&self, id: &LeaseId, entry: &Entry) -> Result<(), Fault> {
        atomic::write_private(&self.path(id), lease_file::encode(entry).expose().as_bytes())
            .map_err(|error| self.cannot("write to", error))
    }

    /// Forgets an entry; one that is not there is no error.
    ///
    /// # Errors
    /// `Config` with the reason.
    pub fn forget(&self, id: &LeaseId) -> Result<(), Fault> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.cannot("remove from", error)),
            _ => Ok(()),
        }
    }

    fn path(&self, id: &LeaseId) -> PathBuf {
        self.directory.join(format!("{}.json", id.0))
    }

    fn cannot(&self, verb: &str, error: io::Error) -> Fault {
        let directory = self.directory.display();
        Fault::new(Kind::Config, directory.to_string(), format!("cannot {verb} the lease directory `{directory}`"))
            .hint(format!("look at `ls -ld {directory}` and `df {directory}`"))
            .cause(error)
    }
}

/// Reads a file that is ours alone; one that others may write or read is not trusted.
pub(crate) fn read_private(path: &Path) -> Option<bowline_base::Secret> {
    let metadata = fs::metadata(path).ok()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    let private = metadata.permissions().mode() & 0o077 == 0;
    (ours && private).then(|| fs::read_to_string(path).ok()).flatten().map(bowline_base::Secret::new)
}

/// Waits for the lock of `what`; a blocking wait could not be cut off, and a task waits here.
pub(crate) async fn wait_for(
    wire: &dyn Wire,
    what: &str,
    try_lock: impl FnMut() -> Result<Option<FileLock>, Fault>,
) -> Result<FileLock, Fault> {
    bowline_base::lock::wait_for(wire, LONGEST_WAIT, try_lock).await?.ok_or_else(|| {
        let message = format!("another process has held the lock of {what} for 90 s");
        Fault::new(Kind::Unreachable, "leases", message).hint("look for a stopped process: `fuser -v` on it")
    })
}

#[cfg(test)]
mod tests {
    use bowline_base::{Secret, Timestamp};

    use super::*;

    fn now() -> Now {
        Now { boot: Duration::from_secs(1000), wall: Timestamp::from_second(1_800_000_000).unwrap() }
    }

    fn entry() -> Entry {
        let credentials = Credentials {
            key_id: KeyId::new("ASIA1"),
            secret_key: Secret::new("secret"),
            session_token: Some(Secret::new("token")),
            expires_at: Some(now().wall + Duration::from_secs(3600)),
            obtained_at: now().wall,
            account_id: Some("111122223333".to_owned()),
        };
        Entry { credentials: Some(credentials), failure: None }
    }

    fn store() -> (tempfile::TempDir, LeaseStore, LeaseId) {
        let home = tempfile::tempdir().unwrap();
        let store = LeaseStore::new(home.path().join("leases"));
        atomic::private_directory(store.directory()).unwrap();
        (home, store, LeaseId::of("x"))
    }

    #[test]
    fn an_entry_comes_back_as_it_was_written_and_only_the_owner_may_read_it() {
        let (_home, store, id) = store();
        let mut written = entry();
        written.note_failure(&Fault::new(Kind::Unreachable, "sts", "no answer").hint("wait"), now());
        store.write(&id, &written).unwrap();
        let read = store.read(&id);
        assert_eq!((read.credentials, read.failure), (written.credentials, written.failure));
        assert_eq!(fs::metadata(store.path(&id)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn broken_foreign_and_newer_files_count_as_absent() {
        let (_home, store, id) = store();
        let good = lease_file::encode(&entry());
        let newer = good.expose().replace("\"version\":1", "\"version\":2");
        let half = &good.expose()[..good.expose().len() / 2];
        for text in ["", "{", "[]", "null", r#"{"kind":"other","version":1}"#, half, &newer] {
            atomic::write_private(&store.path(&id), text.as_bytes()).unwrap();
            assert!(store.read(&id).credentials.is_none(), "{text}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_trusted() {
        let (_home, store, id) = store();
        atomic::write(&store.path(&id), lease_file::encode(&entry()).expose().as_bytes(), 0o644).unwrap();
        assert!(store.read(&id).credentials.is_none());
    }

    #[test]
    fn fresh_means_good_not_due_and_not_the_refused_one() {
        let entry = entry();
        assert!(entry.fresh(now(), None).is_some());
        assert!(entry.fresh(now(), Some(&KeyId::new("ASIA1"))).is_none());
        let later = now().after(Duration::from_secs(1801));
        assert!(entry.fresh(later, None).is_none() && entry.usable(later).is_some());
        assert!(entry.usable(now().after(Duration::from_secs(3600))).is_none());
    }

    #[test]
    fn a_failure_is_remembered_for_seconds_and_a_missing_login_not_here() {
        let mut entry = Entry::default();
        entry.note_failure(&Fault::new(Kind::Refused, "sts", "no").hint("ask"), now());
        let fault = entry.remembered(now().after(Duration::from_secs(4))).unwrap();
        assert_eq!((fault.kind, fault.hint.as_deref()), (Kind::Refused, Some("ask")));
        assert!(entry.remembered(now().after(Duration::from_secs(5))).is_none());
        entry.note_failure(&Fault::new(Kind::LoginRequired, "sso", "login"), now());
        assert!(entry.remembered(now()).is_none());
    }
}
