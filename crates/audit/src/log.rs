//! The log as the rest of the program sees it: write one record down, or say that nothing can be written.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bowline_base::{Fault, Now, utc};
use serde_json::Value;

use crate::{
    chain::canonical,
    event::{Event, Record},
    sink::{Sink, file::LogFile},
    told::Told,
};

/// Where the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Holds the files, the checkpoint and the key; made 0700 if it is not there.
    pub directory: PathBuf,
    /// Bytes after which the next file begins.
    pub max_size: u64,
}

impl Places {
    /// The directory of the log below a state directory, with files of at most 16 MiB.
    #[must_use]
    pub fn below(state_directory: &std::path::Path) -> Self {
        Self { directory: state_directory.join("audit"), max_size: 16 << 20 }
    }

    /// The private key; the public one is beside it, as `audit.pub`.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.directory.join("audit.key")
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.directory.join("audit.pub")
    }

    /// The last signed checkpoint: the file to copy elsewhere.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.directory.join("checkpoint.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join("audit.lock")
    }
}

/// The record is written down: the secret may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of its line; `None` when the file did not work and another sink took it.
    pub line: Option<u64>,
    /// The same was already written down before, and nothing was added.
    pub repeated: bool,
}

/// The audit log of this process; clones share it. Other processes may write to the same one.
#[derive(Clone)]
pub struct AuditLog {
    places: Places,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: Option<LogFile>,
    sinks: Vec<Box<dyn Sink>>,
    told: Told,
    /// Records that only other sinks have.
    missed: u64,
    /// Why a sink does not work, by its name.
    failing: BTreeMap<&'static str, String>,
}

const FILE: &str = "file";

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("places", &self.places).finish_non_exhaustive()
    }
}

impl AuditLog {
    /// A log in `places` that is also told to `sinks`. Nothing is opened before the first record.
    #[must_use]
    pub fn new(places: Places, sinks: Vec<Box<dyn Sink>>) -> Self {
        let inner = Inner { file: None, sinks, told: Told::default(), missed: 0, failing: BTreeMap::new() };
        Self { places, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Where the log is.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Writes `record` down before it returns: handed to the kernel, on the disk with the next checkpoint. A client that
    /// asks again for the same lease is not written down again.
    ///
    /// # Errors
    /// No sink works. Whether the secret may leave all the same is the caller's decision.
    pub fn record(&self, now: Now, record: &Record) -> Result<Receipt, Fault> {
        let inner = &mut *self.inner();
        let sameness = record.sameness();
        if let Some(line) = sameness.as_ref().and_then(|sameness| inner.told.line_of(sameness)) {
            return Ok(Receipt { line: Some(line), repeated: true });
        }
        let line = match inner.append(&self.places, now, record) {
            Ok(line) => line,
            Err(fault) => return inner.elsewhere(now, record, fault),
        };
        if let Some(sameness) = sameness {
            inner.told.remember(sameness, line);
        }
        Ok(Receipt { line: Some(line), repeated: false })
    }

    /// Signs what was written since the last time and waits for the disk; at most a second after a record is the promise
    /// of the caller. Whether there was anything to sign.
    ///
    /// # Errors
    /// The file does not work.
    pub fn sign(&self, now: Now) -> Result<bool, Fault> {
        let inner = &mut *self.inner();
        let Some(file) = &mut inner.file else { return Ok(false) };
        match file.sign(now.wall) {
            Ok(line) => {
                if let Some(line) = &line {
                    inner.tell(&line.text);
                }
                Ok(line.is_some())
            }
            Err(fault) => {
                inner.failing.insert(FILE, fault.chain());
                Err(fault)
            }
        }
    }

    /// Why sinks do not work, by name; empty when all of them do.
    #[must_use]
    pub fn failing(&self) -> BTreeMap<&'static str, String> {
        self.inner().failing.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, places: &Places, now: Now, record: &Record) -> Result<u64, Fault> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => LogFile::open(places, now.wall)?,
        };
        let outcome = self.append_to(&mut file, now, record);
        self.file = Some(file);
        outcome
    }

    fn append_to(&mut self, file: &mut LogFile, now: Now, record: &Record) -> Result<u64, Fault> {
        if self.missed > 0 {
            let reason = format!("{} records could not be kept here, and went to other sinks only", self.missed);
            let gap = Record { reason: Some(reason), ..Record::new(Event::Gap) };
            let line = file.append(now.wall, gap.fields())?;
            self.tell(&line.text);
            self.missed = 0;
        }
        let line = file.append(now.wall, record.fields())?;
        self.failing.remove(FILE);
        self.tell(&line.text);
        Ok(line.seq)
    }

    /// The file does not work: whoever else takes the record, without a place in the chain.
    fn elsewhere(&mut self, now: Now, record: &Record, fault: Fault) -> Result<Receipt, Fault> {
        self.failing.insert(FILE, fault.chain());
        let mut fields = record.fields();
        fields.insert("time".into(), utc(now.wall).into());
        if self.tell(&canonical(&Value::Object(fields))) == 0 {
            return Err(fault);
        }
        self.missed += 1;
        Ok(Receipt { line: None, repeated: false })
    }

    /// Tells the other sinks; how many took it.
    fn tell(&mut self, text: &str) -> usize {
        let mut taken = 0;
        for sink in &mut self.sinks {
            match sink.take(text) {
                Ok(()) => {
                    taken += 1;
                    self.failing.remove(sink.name());
                }
                Err(fault) => {
                    self.failing.insert(sink.name(), fault.chain());
                }
            }
        }
        taken
    }
}
