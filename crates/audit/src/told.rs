//! What was already written down, so that a client that asks a hundred times for one lease is one record.
//!
//! In memory for a process that stays; as marks in a directory beside the leases for those that come and go. A mark is an
//! empty promise without its record, so it is made after it. Marks are forgotten with a reboot, as leases are.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{Timestamp, atomic};
use sha2::{Digest as _, Sha256};

use crate::{event::Sameness, hex, log::Places};

/// The latest records by what they have in common; forgets the oldest when there are many.
#[derive(Debug, Default)]
pub(crate) struct Told {
    known: BTreeMap<String, u64>,
    order: VecDeque<String>,
}

/// Clients times leases; what is forgotten is written again.
const MOST: usize = 10_000;

impl Told {
    /// The line in which the record of `mark` was written down.
    pub(crate) fn line_of(&self, mark: &Mark) -> Option<u64> {
        self.known.get(&mark.name).copied()
    }

    pub(crate) fn remember(&mut self, mark: &Mark, line: u64) {
        if self.known.insert(mark.name.clone(), line).is_none() {
            self.order.push_back(mark.name.clone());
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Says to other processes that something is in the log: a file whose name is its end and a hash, and which holds the
/// number of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    directory: Option<PathBuf>,
    name: String,
}

impl Mark {
    /// The mark of what is the same, in the log at `places`.
    pub(crate) fn of(places: &Places, same: &Sameness) -> Self {
        let hash = Sha256::digest(format!("{}\n{}", places.directory.display(), same.text));
        let name = format!("{:012}-{}", same.until.as_second(), hex::encode(&hash[..16]));
        Self { directory: places.marks.clone(), name }
    }

    /// The line, where a process has left this mark.
    pub(crate) fn line(&self) -> Option<u64> {
        let text = fs::read_to_string(self.directory.as_ref()?.join(&self.name)).ok()?;
        text.trim().parse().ok()
    }

    /// Leaves it, and takes away what has ended. Where that fails, the same is written down again.
    pub(crate) fn leave(&self, line: u64, now: Timestamp) {
        if let Some(directory) = &self.directory
            && let Err(error) = self.leave_in(directory, line, now)
        {
            tracing::debug!(%error, "no mark could be left; the same is written down again");
        }
    }

    fn leave_in(&self, directory: &Path, line: u64, now: Timestamp) -> io::Result<()> {
        atomic::private_directory(directory)?;
        for ended in superfluous(directory, now)? {
            // Another process may have been faster.
            fs::remove_file(directory.join(ended)).ok();
        }
        let path = directory.join(&self.name);
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(atomic::PRIVATE).open(path)?;
        file.write_all(format!("{line}\n").as_bytes())
    }
}

/// Marks that have ended, and those that end first where there are too many.
fn superfluous(directory: &Path, now: Timestamp) -> io::Result<Vec<String>> {
    let names = fs::read_dir(directory)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| end(name).is_some()).collect();
    names.sort();
    let ended = names.partition_point(|name| end(name).is_some_and(|end| end < now.as_second()));
    names.truncate(ended.max(names.len().saturating_sub(MOST)));
    Ok(names)
}

fn end(name: &str) -> Option<i64> {
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn mark(home: &Path, text: &str, until: i64) -> Mark {
        let places = Places { marks: Some(home.join("told")), ..Places::below(home) };
        Mark::of(&places, &Sameness { text: text.to_owned(), until: at(until) })
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut told = Told::default();
        let mark = |number: u64| mark(Path::new("/"), &number.to_string(), 9);
        for number in 0..=MOST as u64 {
            told.remember(&mark(number), number);
        }
        assert_eq!((told.line_of(&mark(0)), told.line_of(&mark(1))), (None, Some(1)));
        assert_eq!(told.known.len(), MOST);
    }

    #[test]
    fn a_mark_is_found_by_other_processes_until_its_lease_has_ended() {
        let home = tempfile::tempdir().unwrap();
        mark(home.path(), "a", 100).leave(7, at(0));
        assert_eq!(mark(home.path(), "a", 100).line(), Some(7));
        assert_eq!((mark(home.path(), "b", 100).line(), mark(home.path(), "a", 101).line()), (None, None));
        let elsewhere = Places { marks: Some(home.path().join("told")), ..Places::below(Path::new("/other")) };
        assert_eq!(Mark::of(&elsewhere, &Sameness { text: "a".to_owned(), until: at(100) }).line(), None);
        mark(home.path(), "b", 200).leave(8, at(101));
        assert_eq!((mark(home.path(), "a", 100).line(), mark(home.path(), "b", 200).line()), (None, Some(8)));
    }

    #[test]
    fn a_mark_that_was_only_just_begun_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mark = mark(home.path(), "a", 100);
        mark.leave(7, at(0));
        atomic::write_private(&home.path().join("told").join(&mark.name), b"").unwrap();
        assert_eq!(mark.line(), None);
    }
}
