//! Whoever moved the log's first files away by hand says so once, and the log keeps it, signed. The files have to be shown:
//! only those that make one chain with what is here are believed, so that nobody talks away what was stolen.

use std::path::{Path, PathBuf};

use bowline_base::{Fault, Kind, Now};

use crate::{
    event::{Client, Event, Record},
    log::AuditLog,
    verify::{Against, Flaw, Verdict, verify_files},
};

/// What became of the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archived {
    /// The line that says it, on the disk, and the numbers of the first and the last line that were shown.
    Said {
        /// Its number.
        line: u64,
        /// What is not here.
        lines: (u64, u64),
    },
    /// Nothing is missing at the log's beginning, and nothing was written.
    NothingIsMissing,
    /// This is wrong with the log, or with what was shown as its beginning; nothing was written.
    No(Verdict),
}

impl AuditLog {
    /// Writes down that the lines before the first of `here`, the log's files, are in the files `shown`, which `client`
    /// has moved there. Files of the same name as one of `here` are copies and passed over.
    ///
    /// # Errors
    /// A file cannot be read, or the log not be written.
    pub fn say_archived(
        &self,
        now: Now,
        shown: &[PathBuf],
        here: &[PathBuf],
        against: &Against,
        client: Client,
    ) -> Result<Archived, Fault> {
        let whole = Against { whole: true, ..against.clone() };
        let verdict = verify_files(here, &whole)?;
        let lacks_its_beginning = verdict.lacks_its_beginning();
        let (first, last) = match verdict.bad.as_ref().map(|bad| &bad.flaw) {
            None => return Ok(Archived::NothingIsMissing),
            Some(Flaw::Missing(first, last)) if lacks_its_beginning => (*first, *last),
            Some(_) => return Ok(Archived::No(verdict)),
        };
        let verdict = verify_files(&in_order(shown, here), &whole)?;
        if verdict.bad.is_some() {
            return Ok(Archived::No(verdict));
        }
        let record = Record {
            lines: Some((first, last)),
            source: shown.first().map(|path| format!("files in `{}`", folder(path).display())),
            client: Some(client),
            ..Record::new(Event::Archived)
        };
        let line = self.on_disk(now, &record)?.ok_or_else(not_on_disk)?;
        Ok(Archived::Said { line, lines: (first, last) })
    }
}

/// Both, oldest first.
fn in_order(shown: &[PathBuf], here: &[PathBuf]) -> Vec<PathBuf> {
    let is_here = |path: &PathBuf| here.iter().any(|own| own.file_name() == path.file_name());
    let mut elsewhere: Vec<PathBuf> = shown.iter().filter(|path| !is_here(path)).cloned().collect();
    elsewhere.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    elsewhere.extend_from_slice(here);
    elsewhere
}

fn folder(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

fn not_on_disk() -> Fault {
    Fault::new(Kind::Unreachable, "audit", "the statement is not on the disk yet").hint("say it once more")
}
