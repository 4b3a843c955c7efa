//! A log in a directory of its own, and records for it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_audit::{Against, AuditLog, Client, Event, Places, Record, Verdict, log_files, verify_files};
use bowline_base::{KeyId, Now};
use tempfile::TempDir;

pub(crate) struct World {
    home: TempDir,
    pub(crate) log: AuditLog,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_files_of(16 << 20)
    }

    pub(crate) fn with_files_of(max_size: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let marks = Some(home.path().join("run/told"));
        let places = Places { max_size, marks, ..Places::below(home.path()) };
        Self { home, log: AuditLog::new(places, Vec::new()) }
    }

    /// The same directory in another process.
    pub(crate) fn again(&self) -> AuditLog {
        AuditLog::new(self.log.places().clone(), Vec::new())
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.home.path().join("audit")
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        log_files(&self.directory()).unwrap()
    }

    pub(crate) fn verdict(&self) -> Verdict {
        verify_files(&self.files(), &Against::default()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        self.files().iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

pub(crate) fn now() -> Now {
    bowline_host::clock::now()
}

pub(crate) fn later(seconds: u64) -> Now {
    now().after(Duration::from_secs(seconds))
}

/// `profile` is issued to `program`.
pub(crate) fn issued(profile: &str, program: &str) -> Record {
    let client = Client::Process { uid: 1000, pid: Some(7), program: Some(program.to_owned()) };
    Record { client: Some(client), key_id: Some(KeyId::new("ASIA1")), ..Record::about(Event::Issued, profile) }
}

/// Adds bytes to the end of a file, as a process that was killed half-way leaves them.
pub(crate) fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}
