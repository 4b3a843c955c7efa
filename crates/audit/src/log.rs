//! The log as the rest of the program sees it: write one record down, or say that nothing can be written.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bowline_base::{Fault, Now, Timestamp, lock::Patience, utc};
use serde_json::Value;

use crate::{
    chain::canonical,
    event::{Event, Record},
    sink::{
        Sink,
        file::{Appended, LogFile, Signed, turn_to_sign},
    },
    standing::Standing,
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

    /// Held while a line is written.
    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join("audit.lock")
    }

    /// Held while a checkpoint is on its way to the disk.
    pub(crate) fn checkpoint_lock(&self) -> PathBuf {
        self.directory.join("checkpoint.lock")
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
    to_disk: ToDisk,
    standing: Standing,
    tally: Tally,
}

/// Waits until what was written to a file is on the disk; a slow or a broken disk is another function.
type ToDisk = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// Held while a line is handed to the kernel, and while a disk is waited for only where the next file begins.
struct Inner {
    file: Option<LogFile>,
    sinks: Vec<Box<dyn Sink>>,
    /// Records that only other sinks have.
    missed: u64,
    standing: Standing,
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
        Self::on(places, sinks, Arc::new(File::sync_data))
    }

    fn on(places: Places, sinks: Vec<Box<dyn Sink>>, to_disk: ToDisk) -> Self {
        let (standing, tally) = (Standing::default(), Tally::default());
        let inner = Inner { file: None, sinks, missed: 0, standing: standing.clone(), tally: tally.clone() };
        Self { places, told: Arc::default(), inner: Arc::new(Mutex::new(inner)), to_disk, standing, tally }
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
    /// of the caller. Whether there was anything to sign. Whoever writes records meanwhile does not wait, in this process
    /// or in another; all wait when the next file begins, until
    /// what the last half second brought is on the disk.
    ///
    /// # Errors
    /// The file does not work, or another process keeps its own checkpoint from the disk.
    pub fn sign(&self, now: Now) -> Result<bool, Fault> {
        if !self.inner().has_unsigned() {
            return Ok(false);
        }
        self.sign_what_is_new(now).inspect_err(|fault| {
            self.tally.failed(FILE);
            self.standing.fails(FILE, fault);
        })
    }

    fn sign_what_is_new(&self, now: Now) -> Result<bool, Fault> {
        // The last checkpoint file never gives way to an older one.
        let _turn = turn_to_sign(&self.places)?;
        let signed = self.inner().sign(now)?;
        let Some(signed) = signed else { return Ok(false) };
        if let Err(fault) = signed.keep(&self.places, &*self.to_disk) {
            self.inner().sign_again();
            return Err(fault);
        }
        self.standing.works(FILE);
        self.standing.signed(now.wall);
        Ok(true)
    }

    /// Why sinks do not work, by name; empty when all of them do.
    #[must_use]
    pub fn failing(&self) -> BTreeMap<&'static str, String> {
        self.standing.failing()
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The number of the last line that this process wrote, and when it signed last.
    pub(crate) fn reached(&self) -> (u64, Option<Timestamp>) {
        self.standing.reached()
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
        if self.standing.is_failing(FILE) { Patience::Short } else { Patience::Long }
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
        self.standing.works(FILE);
        if let Appended::Line(line) = &appended {
            self.standing.wrote(line.seq);
            self.tell(&line.text);
        }
        Ok(appended)
    }

    fn has_unsigned(&self) -> bool {
        self.file.as_ref().is_some_and(LogFile::has_unsigned)
    }

    /// With the kernel, and not on the disk yet.
    fn sign(&mut self, now: Now) -> Result<Option<Signed>, Fault> {
        let patience = self.patience();
        let Some(file) = &mut self.file else { return Ok(None) };
        let signed = file.sign(now.wall, patience)?;
        if let Some(signed) = &signed {
            self.standing.wrote(signed.line.seq);
            self.tell(&signed.line.text);
        }
        Ok(signed)
    }

    fn sign_again(&mut self) {
        self.file.as_mut().into_iter().for_each(LogFile::sign_again);
    }

    /// The file does not work: whoever else takes the record, without a place in the chain.
    fn elsewhere(&mut self, now: Now, record: &Record, fault: Fault) -> Result<Receipt, Fault> {
        self.tally.failed(FILE);
        self.standing.fails(FILE, &fault);
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

    /// Tells the other sinks; how many took it.
    fn tell(&mut self, text: &str) -> usize {
        let mut taken = 0;
        for sink in &mut self.sinks {
            match sink.take(text) {
                Ok(()) => {
                    taken += 1;
                    self.standing.works(sink.name());
                }
                Err(fault) => {
                    self.tally.failed(sink.name());
                    self.tally.dropped(sink.name(), 1);
                    self.standing.fails(sink.name(), &fault);
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    fn now() -> Now {
        Now { boot: Duration::from_secs(1), wall: Timestamp::UNIX_EPOCH }
    }

    fn about(profile: &str) -> Record {
        Record::about(Event::Refreshed, profile)
    }

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_disk_that_takes_long_keeps_no_record_waiting_here_or_in_another_process() {
        let home = tempfile::tempdir().unwrap();
        let (reached, waits) = mpsc::sync_channel(1);
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        let slow = move |_: &File| {
            reached.send(()).unwrap();
            released.lock().unwrap().recv_timeout(LIMIT).map_err(io::Error::other)
        };
        let log = AuditLog::on(Places::below(home.path()), Vec::new(), Arc::new(slow));
        log.record(now(), &about("first")).unwrap();
        let signing = thread::spawn({
            let log = log.clone();
            move || log.sign(now())
        });
        waits.recv_timeout(LIMIT).unwrap();
        let (done, lines) = mpsc::channel();
        thread::spawn({
            let (log, other) = (log.clone(), AuditLog::new(log.places().clone(), Vec::new()));
            move || {
                let own = log.record(now(), &about("second")).unwrap().line;
                let others = other.record(now(), &about("third")).unwrap().line;
                done.send((own, others, log.failing(), log.reached())).unwrap();
            }
        });
        let seen = lines.recv_timeout(LIMIT / 2);
        release.send(()).unwrap();
        assert_eq!(seen.unwrap(), (Some(4), Some(5), BTreeMap::new(), (4, None)));
        assert!(signing.join().unwrap().unwrap());
        assert_eq!(log.reached(), (4, Some(now().wall)));
    }

    #[test]
    fn what_did_not_reach_the_disk_is_signed_again_and_no_checkpoint_tells_of_it_before() {
        let home = tempfile::tempdir().unwrap();
        let tries = Mutex::new(0);
        let broken = move |_: &File| {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            if *tries == 1 { Err(io::Error::other("the disk is broken")) } else { Ok(()) }
        };
        let log = AuditLog::on(Places::below(home.path()), Vec::new(), Arc::new(broken));
        log.record(now(), &about("first")).unwrap();
        let fault = log.sign(now()).unwrap_err();
        assert!(fault.chain().contains("the disk is broken"), "{fault:?}");
        assert!(log.failing().contains_key(FILE) && !log.places().checkpoint().exists());
        assert!(log.sign(now()).unwrap());
        assert!(log.failing().is_empty() && log.places().checkpoint().exists());
        assert!(!log.sign(now()).unwrap(), "all of it is signed");
    }
}
