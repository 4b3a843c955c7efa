//! Finds records in log files, also while they are written. Lines that are not whole are passed over here: saying so is
//! `verify`'s business.

use std::{
    fs::File,
    io::{self, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, Timestamp};
use serde_json::{Map, Value};

use crate::{
    chain::Parsed,
    lines::{self, Piece},
    sink::file::log_files,
};

/// What to look for; nothing set finds every record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Records about this profile.
    pub profile: Option<String>,
    /// Records of this event, by its name.
    pub event: Option<String>,
    /// Records from this moment on.
    pub since: Option<Timestamp>,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The number of its line.
    pub line: u64,
    /// The whole line.
    pub text: String,
    /// Its fields.
    pub fields: Map<String, Value>,
}

impl Found {
    /// A text field, or a field of the client.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// Who asked, for a table.
    #[must_use]
    pub fn client(&self) -> Option<String> {
        let client = self.fields.get("client")?;
        let text =
            |name: &str| client.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        match text("address") {
            Some(address) => Some(format!("{address} {}", text("user_agent").unwrap_or_default()).trim().to_owned()),
            None => {
                let pid = text("pid").map(|pid| format!(" pid {pid}")).unwrap_or_default();
                Some(format!("{} uid {}{pid}", text("program").unwrap_or_default(), text("uid")?).trim().to_owned())
            }
        }
    }
}

impl Filter {
    /// The records in the bytes of a log file, in order. Where files begin and checkpoints are no records.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Found> {
        let whole = &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)];
        whole.split(|byte| *byte == b'\n').filter_map(|line| self.take(line)).collect()
    }

    fn take(&self, bytes: &[u8]) -> Option<Found> {
        self.of(Parsed::read(bytes)?, bytes)
    }

    fn of(&self, line: Parsed, bytes: &[u8]) -> Option<Found> {
        let wanted = line.fields.contains_key("outcome")
            && self.profile.as_deref().is_none_or(|profile| line.text("profile") == Some(profile))
            && self.event.as_deref().is_none_or(|event| line.event() == event)
            && self.since.is_none_or(|since| line.at().is_some_and(|at| at >= since));
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        wanted.then_some(Found { line: line.seq, text, fields: line.fields })
    }
}

/// Reads a log that may be written to meanwhile: each record once and in order, through every file; a line that is not
/// whole yet is read when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    directory: PathBuf,
    file: Option<PathBuf>,
    /// Behind the last good line of `file` that was read. A writer takes away only what is behind that.
    offset: u64,
}

impl Follower {
    /// Begins at the beginning of the log in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), file: None, offset: 0 }
    }

    /// Hands every record that has come since the last time, and that `filter` wants, to `take`.
    ///
    /// # Errors
    /// `Config` when a file cannot be read, and whatever `take` fails with.
    pub fn more(&mut self, filter: &Filter, mut take: impl FnMut(Found) -> Result<(), Fault>) -> Result<(), Fault> {
        // Listed before they are read: a file that is not the last one here gets no further lines.
        let files = log_files(&self.directory).map_err(|cause| unreadable(&self.directory, cause))?;
        for path in files {
            if self.file.as_ref().is_some_and(|current| path < *current) {
                continue;
            }
            if self.file.as_ref() != Some(&path) {
                (self.file, self.offset) = (Some(path.clone()), 0);
            }
            self.read(&path, filter, &mut take)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        path: &Path,
        filter: &Filter,
        take: &mut impl FnMut(Found) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let failed = |cause| unreadable(path, cause);
        let mut file = match File::open(path) {
            // A writer moves a file aside that was only just begun.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let (mut reader, mut line, mut position) = (BufReader::new(file), Vec::new(), self.offset);
        while let Some(piece) = lines::next(&mut reader, &mut line).map_err(failed)? {
            position += line.len() as u64 + u64::from(piece == Piece::Line);
            let Some(parsed) = Parsed::read(&line).filter(|_| piece == Piece::Line) else { continue };
            self.offset = position;
            if let Some(found) = filter.of(parsed, &line) {
                take(found)?;
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, cause: io::Error) -> Fault {
    Fault::new(Kind::Config, "audit", format!("cannot read `{}`", path.display())).cause(cause)
}
