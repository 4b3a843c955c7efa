//! The end of what need not be kept any longer: whole files from the beginning of the log, and never before a signed line
//! on the disk says which. So a file that somebody else took away shows, and one that had its time does not.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_base::{Fault, Kind, Now, Timestamp};

use crate::{
    chain::{Checkpoint, Parsed},
    event::{Event, Record},
    lines,
    log::{AuditLog, Places},
    sink::file::{log_files, turn_to_sign},
};

impl AuditLog {
    /// Ends the files in which every line is older than `keep`, and is not behind line `sent` where another place still
    /// waits for lines. The newest file stays. Gives the numbers of the first and the last line that went.
    ///
    /// # Errors
    /// The log cannot be read or written; then nothing is removed.
    pub fn end_older_than(&self, now: Now, keep: Duration, sent: Option<u64>) -> Result<Option<(u64, u64)>, Fault> {
        let places = self.places();
        let failed = |cause| unremovable(&places.directory, cause);
        let files = beginnings(&places.directory).map_err(failed)?;
        let horizon = now.wall.checked_sub(keep).unwrap_or(Timestamp::MIN);
        let over = over(&files, horizon, sent);
        let (Some(first), Some(next)) = (files.first().filter(|_| over > 0), files.get(over)) else { return Ok(None) };
        let lines = (first.seq, next.seq - 1);
        let reason = format!("every line was older than {}", bowline_base::units::duration(keep));
        let record = Record { lines: Some(lines), reason: Some(reason), ..Record::new(Event::Dropped) };
        if self.on_disk(now, &record)?.is_none() {
            return Ok(None);
        }
        for file in &files[..over] {
            remove(&file.path).map_err(failed)?;
        }
        Ok(Some(lines))
    }

    /// Writes `record` down, and gives the number of its line where that is signed and on the disk.
    pub(crate) fn on_disk(&self, now: Now, record: &Record) -> Result<Option<u64>, Fault> {
        let Some(line) = self.record(now, record)?.line else { return Ok(None) };
        self.sign(now)?;
        // Another thread may have signed it just now, and still wait for the disk.
        drop(turn_to_sign(self.places())?);
        Ok(kept_to(self.places()).filter(|signed| *signed > line).map(|_| line))
    }
}

/// Whether the clock on the wall is to be believed. One that is years ahead (a battery that is empty, a time server that
/// lies) would end all files but the newest: so nothing ends before it has gone as the clock of the boot does for an
/// hour, and each time that it is set begins that hour anew.
#[derive(Debug, Default)]
pub(crate) struct Steady(Option<Now>);

/// By so much the two may differ; a time server that mends a clock bit by bit stays below.
const LEAP_SECONDS: u64 = 60;
const HOUR: Duration = Duration::from_secs(3600);

impl Steady {
    /// Ask often: what happens in between is not seen.
    pub(crate) fn for_an_hour(&mut self, now: Now) -> bool {
        let since = *self.0.get_or_insert(now);
        let boot = now.boot.saturating_sub(since.boot);
        let wall = now.wall.as_second().saturating_sub(since.wall.as_second());
        if wall.saturating_sub_unsigned(boot.as_secs()).unsigned_abs() > LEAP_SECONDS {
            self.0 = Some(now);
            return false;
        }
        boot >= HOUR
    }
}

/// The line of the last checkpoint that is on the disk.
fn kept_to(places: &Places) -> Option<u64> {
    Some(Checkpoint::last_in(&fs::read_to_string(places.checkpoint()).ok()?)?.seq)
}

/// A file, and its first line.
struct Beginning {
    path: PathBuf,
    seq: u64,
    at: Timestamp,
}

/// The log's files, oldest first, up to one that does not begin as it should: `verify` tells of that.
fn beginnings(directory: &Path) -> io::Result<Vec<Beginning>> {
    let mut found = Vec::new();
    for path in log_files(directory)? {
        let mut line = Vec::new();
        lines::next(&mut BufReader::new(File::open(&path)?), &mut line)?;
        let Some((seq, at)) =
            Parsed::read(&line).filter(Parsed::begins_a_file).and_then(|line| Some((line.seq, line.at()?)))
        else {
            break;
        };
        found.push(Beginning { path, seq, at });
    }
    Ok(found)
}

/// How many of `files` may go: the next one began before `horizon`, and everything before it was sent.
fn over(files: &[Beginning], horizon: Timestamp, sent: Option<u64>) -> usize {
    let may_go = |next: &Beginning| next.at < horizon && sent.is_none_or(|sent| sent + 1 >= next.seq);
    files.windows(2).take_while(|pair| may_go(&pair[1])).count()
}

/// With what a killed process had left at its end.
fn remove(path: &Path) -> io::Result<()> {
    let pieces = (1..).map(|number| PathBuf::from(format!("{}.torn-{number}", path.display())));
    for piece in pieces.take_while(|piece| piece.exists()) {
        gone(&piece)?;
    }
    gone(path)
}

/// Another process may have been faster.
fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unremovable(directory: &Path, cause: io::Error) -> Fault {
    let shown = directory.display();
    Fault::new(Kind::Unreachable, "audit", format!("cannot end old files of the audit log at `{shown}`"))
        .hint(format!("look at `ls -ld {shown}`"))
        .cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_an_hour_after_it_was_last_set() {
        let at = |boot, wall| Now { boot: Duration::from_secs(boot), wall: Timestamp::from_second(wall).unwrap() };
        let mut clock = Steady::default();
        let mut ask = |boot, wall| clock.for_an_hour(at(boot, wall));
        assert!(!ask(0, 9_000_000_000), "years ahead");
        assert!(!ask(1800, 9_000_001_800));
        assert!(!ask(1830, 1_800_000_000), "a time server has set it right");
        assert!(!ask(1830 + 3599, 1_800_003_602), "the hour begins anew");
        assert!(ask(1830 + 3600, 1_800_003_603), "seconds make no difference");
        assert!(ask(1830 + 90_000, 1_800_090_000), "nor does sleep, in which both go on");
        assert!(!ask(1830 + 90_001, 2_000_000_000));
    }

    #[test]
    fn a_file_goes_when_the_next_one_is_too_old_and_everything_before_it_was_sent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let file = |seq, second| Beginning { path: PathBuf::new(), seq, at: at(second) };
        let files = [file(1, 0), file(10, 100), file(20, 200)];
        for (horizon, sent, count) in [
            (100, None, 0),
            (101, None, 1),
            (201, None, 2),
            (9999, None, 2),
            (9999, Some(8), 0),
            (9999, Some(9), 1),
            (9999, Some(19), 2),
        ] {
            assert_eq!(over(&files, at(horizon), sent), count, "{horizon} {sent:?}");
        }
        assert_eq!((over(&files[..1], at(9999), None), over(&[], at(9999), None)), (0, 0), "the newest stays");
    }
}
