//! The files that hold the chain: appended to under a lock, signed within a second, begun anew when they are large.
//!
//! `audit-000000000001.jsonl` is named after the number of its first line, so that names sort as lines do. Several
//! processes may write: each takes the lock and looks at the end first. What a killed process left unfinished there is
//! moved to a file of its own, and a record says so ([`super::end`]).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{
    Fault, Kind, Timestamp, atomic,
    lock::{self, Patience},
    shell::quoted_path,
};
use bowline_host::client::random_bytes;
use serde_json::{Map, Value};

use crate::{
    chain::{Checkpoint, Head, Line},
    event::{Event, Record},
    hex,
    key::SigningKey,
    log::Places,
    sink::end::{End, recover},
    told::Mark,
};

/// The log files in `directory`, oldest first.
///
/// # Errors
/// The directory cannot be read; one that is not there has no files.
pub fn log_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_log(path)).collect();
    files.sort();
    Ok(files)
}

fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".jsonl"));
    number.is_some_and(|number| number.len() >= 12 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What became of a record.
pub(crate) enum Appended {
    /// It is this line.
    Line(Line),
    /// Another process had written it down: the number of its line.
    Known(u64),
}

/// A checkpoint that is with the kernel, and what has to reach the disk for it.
pub(crate) struct Signed {
    pub(crate) line: Line,
    file: File,
}

impl Signed {
    /// Waits for the disk by `to_disk`, and says in the checkpoint's own file how far the log reaches there. Call it with
    /// the turn to sign, and with no other lock.
    pub(crate) fn keep(&self, places: &Places, to_disk: &dyn Fn(&File) -> io::Result<()>) -> Result<(), Fault> {
        to_disk(&self.file).map_err(|cause| unwritable(&places.directory, cause))?;
        let place = places.checkpoint();
        atomic::write(&place, format!("{}\n", self.line.text).as_bytes(), atomic::PRIVATE)
            .map_err(|cause| unwritable(&place, cause))
    }
}

/// One process and thread at a time signs, until what this gives is dropped; records are written meanwhile.
pub(crate) fn turn_to_sign(places: &Places) -> Result<File, Fault> {
    let path = places.checkpoint_lock();
    let opened = OpenOptions::new().create(true).append(true).mode(atomic::PRIVATE).open(&path);
    let taken = opened.and_then(|file| lock::acquire(&file, &path).map(|()| file));
    taken.map_err(|cause| unwritable(&path, cause))
}

/// The chain on disk.
pub(crate) struct LogFile {
    places: Places,
    key: SigningKey,
    lock: File,
    end: Option<End>,
    /// Lines of this process that no checkpoint of it follows yet.
    unsigned: bool,
}

impl LogFile {
    /// Opens the log in its directory, or begins one there.
    pub(crate) fn open(places: &Places, now: Timestamp, patience: Patience) -> Result<Self, Fault> {
        let failed = |cause| unwritable(&places.directory, cause);
        atomic::private_directory(&places.directory).map_err(failed)?;
        let lock =
            OpenOptions::new().create(true).append(true).mode(atomic::PRIVATE).open(places.lock()).map_err(failed)?;
        let mut log = {
            acquire(&lock, places, patience)?;
            let key = SigningKey::load_or_make(&places.key())?;
            Self { places: places.clone(), key, lock, end: None, unsigned: false }
        };
        let opened = log.look(now).and_then(|()| log.note_a_cut(now));
        log.lock.unlock().map_err(failed)?;
        opened.map(|()| log)
    }

    /// Adds a record, unless another process has left its `mark`; it is with the kernel when this returns.
    pub(crate) fn append(
        &mut self,
        now: Timestamp,
        fields: Map<String, Value>,
        mark: Option<&Mark>,
        patience: Patience,
    ) -> Result<Appended, Fault> {
        self.locked(patience, |log| {
            if let Some(line) = mark.and_then(Mark::line) {
                return Ok(Appended::Known(line));
            }
            log.look(now)?;
            let line = log.write(now, fields)?;
            mark.inspect(|mark| mark.leave(line.seq, now));
            Ok(Appended::Line(line))
        })
    }

    /// Whether this process has written what no checkpoint of it follows.
    pub(crate) fn has_unsigned(&self) -> bool {
        self.unsigned
    }

    /// Signs what was written since the last time; it is with the kernel when this returns, and on the disk when it was
    /// [kept](Signed::keep). `None` when there is nothing new.
    pub(crate) fn sign(&mut self, now: Timestamp, patience: Patience) -> Result<Option<Signed>, Fault> {
        if !self.unsigned {
            return Ok(None);
        }
        self.locked(patience, |log| {
            log.look(now)?;
            log.checkpoint(now).map(Some)
        })
    }

    /// What was signed is not on the disk.
    pub(crate) fn sign_again(&mut self) {
        self.unsigned = true;
    }

    fn locked<T>(&mut self, patience: Patience, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        acquire(&self.lock, &self.places, patience)?;
        let outcome = work(self);
        self.lock.unlock().map_err(|cause| unwritable(&self.places.directory, cause))?;
        outcome
    }

    /// Makes sure that `end` is the end: another process may have written, and a killed one may have left a torn line.
    fn look(&mut self, now: Timestamp) -> Result<(), Fault> {
        let failed = |cause| unwritable(&self.places.directory, cause);
        let files = log_files(&self.places.directory).map_err(failed)?;
        let known = self.end.as_ref().filter(|end| {
            files.last() == Some(&end.path) && fs::metadata(&end.path).is_ok_and(|file| file.len() == end.length)
        });
        if known.is_some() {
            return Ok(());
        }
        let (end, torn) = recover(files)?;
        self.end = end;
        match &self.end {
            None => {
                let log = hex::encode(&random_bytes::<16>()?);
                self.begin(now, Head::first(log))?;
            }
            Some(end) if end.key != *self.key.public() => self.begin(now, end.head.clone())?,
            Some(_) => {}
        }
        for reason in torn {
            self.write(now, Record { reason: Some(reason), ..Record::new(Event::TornTail) }.fields())?;
        }
        Ok(())
    }

    /// A checkpoint on disk that is ahead of the log means that somebody, or a broken disk, took lines off its end.
    fn note_a_cut(&mut self, now: Timestamp) -> Result<(), Fault> {
        let kept = fs::read_to_string(self.places.checkpoint()).ok().and_then(|text| Checkpoint::last_in(&text));
        let Some(end) = &self.end else { return Ok(()) };
        match kept.filter(|kept| kept.log == end.head.log && kept.seq >= end.head.seq) {
            Some(kept) => {
                let reason =
                    format!("the log ended at line {}, and a checkpoint says it had {}", end.head.seq - 1, kept.seq);
                self.write(now, Record { reason: Some(reason), ..Record::new(Event::TornTail) }.fields()).map(drop)
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, now: Timestamp, fields: Map<String, Value>) -> Result<Line, Fault> {
        let line = self.end()?.head.line(now, fields.clone());
        let full = self.end()?.length + line.text.len() as u64 + ROOM_TO_SIGN > self.places.max_size;
        let line = if full && self.unsigned_lines() > 0 {
            // The one time that a disk is waited for with the log locked, by this record and by all that come meanwhile:
            // else a loss of power could take lines from between two files, and not from the end alone.
            let synced = self.checkpoint(now)?.file.sync_data();
            synced.map_err(|cause| unwritable(&self.places.directory, cause))?;
            self.begin(now, self.end()?.head.clone())?;
            self.end()?.head.line(now, fields)
        } else {
            line
        };
        self.put(&line)?;
        self.unsigned = true;
        Ok(line)
    }

    /// Lines of the newest file behind its first.
    fn unsigned_lines(&self) -> u64 {
        let first = |end: &End| end.path.file_stem()?.to_str()?.strip_prefix("audit-")?.parse::<u64>().ok();
        self.end.as_ref().and_then(|end| Some(end.head.seq.saturating_sub(first(end)? + 1))).unwrap_or(0)
    }

    fn checkpoint(&mut self, now: Timestamp) -> Result<Signed, Fault> {
        let end = self.end()?;
        let file = end.file.try_clone().map_err(|cause| unwritable(&self.places.directory, cause))?;
        let line = end.head.checkpoint(now, &self.key);
        self.put(&line)?;
        self.unsigned = false;
        Ok(Signed { line, file })
    }

    fn begin(&mut self, now: Timestamp, head: Head) -> Result<(), Fault> {
        let path = self.places.directory.join(format!("audit-{:012}.jsonl", head.seq));
        let failed = |cause| unwritable(&path, cause);
        let file =
            OpenOptions::new().create_new(true).append(true).mode(atomic::PRIVATE).open(&path).map_err(failed)?;
        File::open(&self.places.directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        let line = head.begin(now, self.key.public());
        self.end = Some(End { path, file, length: 0, head, key: self.key.public().clone() });
        self.put(&line)
    }

    /// One write for the whole line; a part of it is taken back.
    fn put(&mut self, line: &Line) -> Result<(), Fault> {
        let end = self.end.as_mut().ok_or_else(no_end)?;
        let bytes = format!("{}\n", line.text);
        if let Err(cause) = end.file.write_all(bytes.as_bytes()) {
            end.file.set_len(end.length).ok();
            return Err(unwritable(&end.path, cause));
        }
        end.length += bytes.len() as u64;
        end.head = end.head.behind(line);
        Ok(())
    }

    fn end(&self) -> Result<&End, Fault> {
        self.end.as_ref().ok_or_else(no_end)
    }
}

/// A checkpoint is at most this long.
const ROOM_TO_SIGN: u64 = 700;

fn no_end() -> Fault {
    Fault::new(Kind::Bug, "audit", "the audit log was not opened")
}

pub(super) fn unwritable(path: &Path, cause: io::Error) -> Fault {
    let shown = path.display();
    Fault::new(Kind::Unreachable, "audit", format!("cannot write the audit log at `{shown}`"))
        .hint(format!("make room on the disk, or give this user `{shown}`"))
        .cause(cause)
}

/// Waits for the lock; a process that was stopped while it held it must not stop everybody else for ever.
fn acquire(held: &File, places: &Places, patience: Patience) -> Result<(), Fault> {
    let path = places.lock();
    lock::acquire_within(held, &path, patience).map_err(|cause| match cause.kind() {
        io::ErrorKind::TimedOut => {
            let message = format!("another process keeps the audit log at `{}` locked", places.directory.display());
            Fault::new(Kind::Unreachable, "audit", message)
                .hint(format!("look for a stopped process: `fuser -v {}`", quoted_path(&path)))
        }
        _ => unwritable(&places.directory, cause),
    })
}
