//! The log as the rest of the program sees it: write one record down, or say that nothing can be written.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bowline_base::{Fault, Now, Timestamp, utc};
use serde_json::Value;

use crate::{
    chain::canonical,
    event::{Event, Record},
    sink::{
        Sink,
        file::{Appended, LogFile, Patience},
    },
    tally::Tally,
    told::{Mark, Told},
};

/// Where the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Holds the files, the checkpoint and the key; made 0700 if it is not there.
    pub directory: PathBuf,
    /// Bytes after which the next file begins.
    pub max_size: u64,
    /// Holds the marks by which processes that come and go know what is written down already: beside the leases, and
    /// forgotten with them. `None`: each process knows what it wrote itself.
    pub marks: Option<PathBuf>,
}

impl Places {
    /// The directory of the log below a state directory, with files of at most 16 MiB.
    #[must_use]
    pub fn below(state_directory: &std::path::Path) -> Self {
        Self { directory: state_directory.join("audit"), max_size: 16 << 20, marks: None }
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
    /// Of its own: whoever repeats itself never waits for the disk.
    told: Arc<Mutex<Told>>,
    inner: Arc<Mutex<Inner>>,
    tally: Tally,
}

struct Inner {
    file: Option<LogFile>,
    sinks: Vec<Box<dyn Sink>>,
    /// Records that only other sinks have.
    missed: u64,
    /// Why a sink does not work, by its name.
    failing: BTreeMap<&'static str, String>,
    /// The number of the last line of this process.
    last: u64,
    /// When this process last signed.
    signed: Option<Timestamp>,
    tally: Tally,
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
        let tally = Tally::default();
        let (failing, tally_of_inner) = (BTreeMap::new(), tally.clone());
        let inner = Inner { file: None, sinks, missed: 0, failing, last: 0, signed: None, tally: tally_of_inner };
        Self { places, told: Arc::default(), inner: Arc::new(Mutex::new(inner)), tally }
    }

    /// Where the log is.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Writes `record` down before it returns: handed to the kernel, on the disk with the next checkpoint. A client that
    /// asks again for the same lease is not written down again, whichever process it asks.
    ///
    /// # Errors
    /// No sink works. Whether the secret may leave all the same is the caller's decision.
    pub fn record(&self, now: Now, record: &Record) -> Result<Receipt, Fault> {
        let mark = record.sameness(now.wall).map(|same| Mark::of(&self.places, &same));
        if let Some(line) = mark.as_ref().and_then(|mark| self.line_of(mark)) {
            return Ok(self.repeated(line));
        }
        let inner = &mut *self.inner();
        // Somebody may have been faster while we waited.
        if let Some(line) = mark.as_ref().and_then(|mark| self.told().line_of(mark)) {
            return Ok(self.repeated(line));
        }
        let appended = match inner.append(&self.places, now, record, mark.as_ref()) {
            Ok(appended) => appended,
            Err(fault) => return inner.elsewhere(now, record, fault),
        };
        let (line, repeated) = match &appended {
            Appended::Line(line) => (line.seq, false),
            Appended::Known(line) => (*line, true),
        };
        if let Some(mark) = &mark {
            self.told().remember(mark, line);
        }
        if repeated {
            return Ok(self.repeated(line));
        }
        self.tally.recorded(record.event);
        Ok(Receipt { line: Some(line), repeated })
    }

    /// Signs what was written since the last time and waits for the disk; at most a second after a record is the promise
    /// of the caller. Whether there was anything to sign.
    ///
    /// # Errors
    /// The file does not work.
    pub fn sign(&self, now: Now) -> Result<bool, Fault> {
        self.inner().sign(now)
    }

    /// Why sinks do not work, by name; empty when all of them do.
    #[must_use]
    pub fn failing(&self) -> BTreeMap<&'static str, String> {
        self.inner().failing.clone()
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The number of the last line that this process wrote, and when it signed last.
    pub(crate) fn reached(&self) -> (u64, Option<Timestamp>) {
        let inner = self.inner();
        (inner.last, inner.signed)
    }

    /// In memory, else as another process has marked it.
    fn line_of(&self, mark: &Mark) -> Option<u64> {
        let known = self.told().line_of(mark);
        known.or_else(|| mark.line().inspect(|line| self.told().remember(mark, *line)))
    }

    fn repeated(&self, line: u64) -> Receipt {
        self.tally.repeated();
        Receipt { line: Some(line), repeated: true }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Who waited in vain once does not make everybody after it wait as long.
    fn patience(&self) -> Patience {
        if self.failing.contains_key(FILE) { Patience::Short } else { Patience::Long }
    }

    fn append(&mut self, places: &Places, now: Now, record: &Record, mark: Option<&Mark>) -> Result<Appended, Fault> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => LogFile::open(places, now.wall, self.patience())?,
        };
        let outcome = self.append_to(&mut file, now, record, mark);
        self.file = Some(file);
        outcome
    }

    fn append_to(
        &mut self,
        file: &mut LogFile,
        now: Now,
        record: &Record,
        mark: Option<&Mark>,
    ) -> Result<Appended, Fault> {
        let patience = self.patience();
        if self.missed > 0 {
            let reason = format!("{} records could not be kept here, and went to other sinks only", self.missed);
            let gap = Record { reason: Some(reason), ..Record::new(Event::Gap) };
            if let Appended::Line(line) = file.append(now.wall, gap.fields(), None, patience)? {
                self.tell(&line.text);
                self.tally.recorded(Event::Gap);
            }
            self.missed = 0;
        }
        let appended = file.append(now.wall, record.fields(), mark, patience)?;
        self.failing.remove(FILE);
        if let Appended::Line(line) = &appended {
            self.last = line.seq;
            self.tell(&line.text);
        }
        Ok(appended)
    }

    fn sign(&mut self, now: Now) -> Result<bool, Fault> {
        let patience = self.patience();
        let Some(file) = &mut self.file else { return Ok(false) };
        match file.sign(now.wall, patience) {
            Ok(None) => Ok(false),
            Ok(Some(line)) => {
                self.failing.remove(FILE);
                (self.last, self.signed) = (line.seq, Some(now.wall));
                self.tell(&line.text);
                Ok(true)
            }
            Err(fault) => {
                self.failed(&fault);
                Err(fault)
            }
        }
    }

    /// The file does not work: whoever else takes the record, without a place in the chain.
    fn elsewhere(&mut self, now: Now, record: &Record, fault: Fault) -> Result<Receipt, Fault> {
        self.failed(&fault);
        self.tally.dropped(FILE, 1);
        let mut fields = record.fields();
        fields.insert("time".into(), utc(now.wall).into());
        if self.tell(&canonical(&Value::Object(fields))) == 0 {
            return Err(fault);
        }
        self.missed += 1;
        self.tally.recorded(record.event);
        Ok(Receipt { line: None, repeated: false })
    }

    fn failed(&mut self, fault: &Fault) {
        self.tally.failed(FILE);
        self.failing.insert(FILE, fault.chain());
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
                    self.tally.failed(sink.name());
                    self.tally.dropped(sink.name(), 1);
                    self.failing.insert(sink.name(), fault.chain());
                }
            }
        }
        taken
    }
}
