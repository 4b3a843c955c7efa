//! The files that hold the chain: appended to under a lock, signed within a second, begun anew when they are large.
//!
//! `audit-000000000001.jsonl` is named after the number of its first line, so that names sort as lines do. Several
//! processes may write: each takes the lock and looks at the end first. What a killed process left unfinished there is
//! moved to a file of its own, and a record says so.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, Timestamp, atomic};
use bowline_host::client::random_bytes;
use serde_json::{Map, Value};

use crate::{
    chain::{Checkpoint, Head, KIND, Line, Parsed, VERSION},
    event::{Event, Record},
    hex,
    key::{PublicKey, SigningKey},
    log::Places,
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

/// The end of the newest file.
struct End {
    path: PathBuf,
    file: File,
    length: u64,
    head: Head,
    key: PublicKey,
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
    pub(crate) fn open(places: &Places, now: Timestamp) -> Result<Self, Fault> {
        let failed = |cause| unwritable(&places.directory, cause);
        atomic::private_directory(&places.directory).map_err(failed)?;
        let lock =
            OpenOptions::new().create(true).append(true).mode(atomic::PRIVATE).open(places.lock()).map_err(failed)?;
        let mut log = {
            lock.lock().map_err(failed)?;
            let key = SigningKey::load_or_make(&places.key())?;
            Self { places: places.clone(), key, lock, end: None, unsigned: false }
        };
        let opened = log.look(now).and_then(|()| log.note_a_cut(now));
        log.lock.unlock().map_err(failed)?;
        opened.map(|()| log)
    }

    /// Adds a record; it is with the kernel when this returns.
    pub(crate) fn append(&mut self, now: Timestamp, fields: Map<String, Value>) -> Result<Line, Fault> {
        self.locked(|log| {
            log.look(now)?;
            log.write(now, fields)
        })
    }

    /// Signs what was written since the last time and brings it to the disk. `None` when there is nothing new.
    pub(crate) fn sign(&mut self, now: Timestamp) -> Result<Option<Line>, Fault> {
        if !self.unsigned {
            return Ok(None);
        }
        self.locked(|log| {
            log.look(now)?;
            log.checkpoint(now).map(Some)
        })
    }

    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.lock.lock().map_err(|cause| unwritable(&self.places.directory, cause))?;
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
            self.checkpoint(now)?;
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

    fn checkpoint(&mut self, now: Timestamp) -> Result<Line, Fault> {
        let line = self.end()?.head.checkpoint(now, &self.key);
        self.put(&line)?;
        let synced = self.end()?.file.sync_data();
        synced.map_err(|cause| unwritable(&self.places.directory, cause))?;
        let place = self.places.checkpoint();
        atomic::write(&place, format!("{}\n", line.text).as_bytes(), 0o600)
            .map_err(|cause| unwritable(&place, cause))?;
        self.unsigned = false;
        Ok(line)
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

fn unwritable(path: &Path, cause: io::Error) -> Fault {
    let shown = path.display();
    Fault::new(Kind::Unreachable, "audit", format!("cannot write the audit log at `{shown}`"))
        .hint(format!("make room on the disk, or give this user `{shown}`"))
        .cause(cause)
}

/// The end of the newest file that has a good line, and what was moved aside behind it, in words.
fn recover(mut files: Vec<PathBuf>) -> Result<(Option<End>, Vec<String>), Fault> {
    let mut torn = Vec::new();
    while let Some(path) = files.pop() {
        let failed = |cause| unwritable(&path, cause);
        let bytes = fs::read(&path).map_err(failed)?;
        let Some((line, length)) = last_good(&bytes) else {
            if let Some(newer) = newer_version(&bytes) {
                return Err(newer_log(&path, newer));
            }
            let aside = aside(&path);
            fs::rename(&path, &aside).map_err(failed)?;
            torn.push(words(bytes.len(), "the beginning", &path, &aside));
            continue;
        };
        let first = bytes.split(|byte| *byte == b'\n').next().and_then(Parsed::read);
        let Some((log, key)) = first.as_ref().filter(|first| first.begins_a_file()).and_then(names) else {
            return Err(newer_log(&path, newer_version(&bytes).unwrap_or(0)));
        };
        if length < bytes.len() {
            let aside = aside(&path);
            keep_aside(&aside, &bytes[length..]).map_err(failed)?;
            torn.push(words(bytes.len() - length, &format!("line {} of the log", line.seq), &path, &aside));
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        file.set_len(length as u64).map_err(failed)?;
        let head = Head { seq: line.seq + 1, hash: line.hash, log };
        return Ok((Some(End { path, file, length: length as u64, head, key }), torn));
    }
    Ok((None, torn))
}

/// The last line that is whole and as its hash says, and where it ends.
fn last_good(bytes: &[u8]) -> Option<(Parsed, usize)> {
    let mut end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    loop {
        let start = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        if let Some(line) = Parsed::read(&bytes[start..end]) {
            return Some((line, end + 1));
        }
        end = start.checked_sub(1)?;
    }
}

fn names(first: &Parsed) -> Option<(String, PublicKey)> {
    Some((first.text("log")?.to_owned(), PublicKey::parse(first.text("key")?)?))
}

/// The version of a file of ours that this program does not know.
fn newer_version(bytes: &[u8]) -> Option<u64> {
    let first: Value = serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next()?).ok()?;
    first["version"].as_u64().filter(|version| first["kind"] == KIND && *version != VERSION)
}

fn newer_log(path: &Path, version: u64) -> Fault {
    let shown = path.display();
    let message = if version == 0 {
        format!("`{shown}` does not begin as an audit log does")
    } else {
        format!("`{shown}` is an audit log of version {version}, and this program knows {VERSION}")
    };
    Fault::new(Kind::Config, "audit", message).hint(format!("use the newer program, or move `{shown}` away"))
}

/// A name that nothing has yet.
fn aside(path: &Path) -> PathBuf {
    let name = |number: u32| PathBuf::from(format!("{}.torn-{number}", path.display()));
    (1..).map(name).find(|candidate| !candidate.exists()).expect("numbers do not end")
}

fn keep_aside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(atomic::PRIVATE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn words(bytes: usize, behind: &str, path: &Path, aside: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{bytes} bytes behind {behind} in `{}` were no whole line; they are in `{}`", name(path), name(aside))
}
