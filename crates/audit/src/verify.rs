//! Says whether a log is as it was written, and which line is the first that is not. Pure, a line at a time: memory stays
//! small however long the log is.
//!
//! Where the beginning of a whole log is missing, a signed line has to say that it had its time (`retention.rs`) or was
//! moved away (`archived.rs`).
//! What it cannot know from the log alone is whether lines were cut off its very end: a [`Checkpoint`] that was kept
//! elsewhere shows that. Lines behind the last checkpoint hold together but are not signed yet; the verdict says so.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind};

use crate::{
    chain::{CHECKPOINT, Checkpoint, KIND, Parsed},
    event::Event,
    key::PublicKey,
    lines::{self, Piece},
};

/// What is known from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// The log must reach at least to here, unchanged.
    pub checkpoint: Option<Checkpoint>,
    /// The only key to believe; without it each file's own word is taken.
    pub key: Option<PublicKey>,
    /// These are all files of the log: a signed line has to say why something is missing at its beginning.
    pub whole: bool,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Good lines, up to the first bad one.
    pub lines: u64,
    /// The number of the first line; more than 1 when earlier files were not shown.
    pub first: Option<u64>,
    /// The number of the last good line.
    pub last: Option<u64>,
    /// The number of the last good checkpoint: everything before it is signed.
    pub signed_to: Option<u64>,
    /// The lines of which a signed line says last that they are not here any more.
    pub gone: Option<Gone>,
    /// The first thing that is wrong.
    pub bad: Option<Bad>,
    /// A last line that was never finished, as a killed process leaves it: file and bytes.
    pub torn: Option<(String, usize)>,
}

impl Verdict {
    /// Whether nothing is wrong but that the log's first lines are missing, and no signed line says why.
    #[must_use]
    pub fn lacks_its_beginning(&self) -> bool {
        let missing =
            self.bad.as_ref().and_then(|bad| if let Flaw::Missing(_, to) = bad.flaw { Some(to) } else { None });
        missing.is_some_and(|to| self.first == Some(to + 1))
    }
}

/// Lines at the log's beginning that are not here, and who says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// The number of the signed line that says it.
    pub said_by: u64,
    /// Somebody has moved them away by hand, and has shown them; else they had their time.
    pub archived: bool,
}

impl Gone {
    fn said_by(line: &Parsed) -> Option<Self> {
        let archived = line.event() == Event::Archived.name();
        if !archived && line.event() != Event::Dropped.name() {
            return None;
        }
        let number = |name: &str| line.fields.get("lines")?.get(name)?.as_u64();
        Some(Self { first: number("first")?, last: number("last")?, said_by: line.seq, archived })
    }
}

/// Where it is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// How.
    pub flaw: Flaw,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not what its own hash says: changed, or no line of ours.
    Altered,
    /// It is longer than any line of ours.
    TooLong,
    /// The file does not begin as a file of this version does.
    NoBeginning,
    /// Lines are missing before it: the numbers of the first and the last.
    Missing(u64, u64),
    /// The line that belongs here comes later.
    OutOfOrder(u64),
    /// A line of this number was already there: inserted, or moved here.
    Again(u64),
    /// It has the right number and does not follow the line before: one of the two was exchanged.
    NotFollowing,
    /// It belongs to another log.
    OtherLog,
    /// It names another key than the one to believe.
    OtherKey,
    /// The signature is not the key's.
    BadSignature,
    /// The log ends before the checkpoint that was kept elsewhere: the number of that checkpoint's line.
    TailCut(u64),
    /// It is not the line that the checkpoint kept elsewhere was made over.
    Rewritten,
    /// The checkpoint kept elsewhere is not signed by the key that it names, or by the one to believe.
    BadCheckpoint,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("was changed: it is not what its own hash says"),
            Self::TooLong => f.write_str("is longer than any line of an audit log"),
            Self::NoBeginning => f.write_str("is not the beginning of a log file of this version"),
            Self::Missing(from, to) if from == to => write!(f, "follows a cut: line {from} of the log is missing"),
            Self::Missing(from, to) => write!(f, "follows a cut: lines {from} to {to} of the log are missing"),
            Self::OutOfOrder(seq) => write!(f, "is out of order: line {seq} of the log belongs here"),
            Self::Again(seq) => write!(f, "was inserted or moved here: line {seq} of the log was there before"),
            Self::NotFollowing => f.write_str("does not follow the line before it: one of the two was exchanged"),
            Self::OtherLog => f.write_str("belongs to another log"),
            Self::OtherKey => f.write_str("names another key than the one to believe"),
            Self::BadSignature => f.write_str("has a signature that is not the key's"),
            Self::TailCut(seq) => write!(f, "is missing: the checkpoint was line {seq} of the log, which ends before"),
            Self::Rewritten => f.write_str("is not the line that the checkpoint was made over"),
            Self::BadCheckpoint => f.write_str("cannot be compared: the checkpoint itself is not signed as it says"),
        }
    }
}

/// Looks at the log files called `names`, oldest first; `open` opens one of them, and may be asked for it again.
///
/// # Errors
/// One of them cannot be read: its number, and why.
pub fn verify<R: BufRead>(
    names: &[String],
    open: impl Fn(usize) -> io::Result<R>,
    against: &Against,
) -> Result<Verdict, (usize, io::Error)> {
    let mut walk = Walk { against, verdict: Verdict::default(), gone: None, before: None, log: None, key: None };
    let mut lines = 0;
    for (index, name) in names.iter().enumerate() {
        let reader = open(index).map_err(|error| (index, error))?;
        let last = index + 1 == names.len();
        match walk.file(reader, name, last).map_err(|error| (index, error))? {
            Ok(read) => lines = read,
            Err(bad) => {
                let bad = in_the_right_place(bad, names, &open)?;
                return Ok(Verdict { bad: Some(bad), ..walk.verdict });
            }
        }
    }
    let place = |name: Option<&String>, line, flaw| Bad { file: name.cloned().unwrap_or_default(), line, flaw };
    let end = walk.end().err().map(|flaw| place(names.last(), lines + 1, flaw));
    let bad = walk.beginning().err().map(|flaw| place(names.first(), 1, flaw)).or(end);
    Ok(Verdict { bad, ..walk.verdict })
}

/// [`verify()`] over files on the disk.
///
/// # Errors
/// `Config`: one of them cannot be read.
pub fn verify_files(paths: &[PathBuf], against: &Against) -> Result<Verdict, Fault> {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let open = |index: usize| {
        let path: &Path = paths.get(index).ok_or(io::ErrorKind::NotFound)?;
        File::open(path).map(BufReader::new)
    };
    verify(&names, open, against).map_err(|(index, cause)| {
        let name = names.get(index).map_or("", String::as_str);
        Fault::new(Kind::Config, "audit", format!("cannot read `{name}`")).cause(cause)
    })
}

/// [`verify_files`] over the files that `list` gives; where one of them had its time meanwhile, over those that it gives
/// then.
///
/// # Errors
/// As [`verify_files`], and those of `list`.
pub fn verify_listed(list: impl Fn() -> Result<Vec<PathBuf>, Fault>, against: &Against) -> Result<Verdict, Fault> {
    let mut lists = 1;
    loop {
        let paths = list()?;
        match verify_files(&paths, against) {
            Err(_) if lists < MOST_LISTS && paths.iter().any(|path| !path.exists()) => lists += 1,
            outcome => return outcome,
        }
    }
}

/// The beginning of a log goes a file at a time, faster than it is read.
const MOST_LISTS: u32 = 10;

/// A line that is missing where it belongs may stand somewhere else: only then the files are read again.
fn in_the_right_place<R: BufRead>(
    bad: Bad,
    names: &[String],
    open: impl Fn(usize) -> io::Result<R>,
) -> Result<Bad, (usize, io::Error)> {
    let Flaw::Missing(wanted, _) = bad.flaw else { return Ok(bad) };
    for index in 0..names.len() {
        let found = open(index).and_then(|reader| has_line(reader, wanted)).map_err(|error| (index, error))?;
        if found {
            return Ok(Bad { flaw: Flaw::OutOfOrder(wanted), ..bad });
        }
    }
    Ok(bad)
}

fn has_line(mut reader: impl BufRead, seq: u64) -> io::Result<bool> {
    let mut line = Vec::new();
    while lines::next(&mut reader, &mut line)?.is_some() {
        if Parsed::read(&line).is_some_and(|line| line.seq == seq) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What was good so far.
struct Walk<'a> {
    against: &'a Against,
    verdict: Verdict,
    /// As in the verdict, and not signed yet.
    gone: Option<Gone>,
    /// Number and hash of the line before.
    before: Option<(u64, String)>,
    log: Option<String>,
    key: Option<PublicKey>,
}

impl Walk<'_> {
    /// The number of lines in it.
    fn file(&mut self, mut reader: impl BufRead, name: &str, last: bool) -> io::Result<Result<usize, Bad>> {
        let bad = |line, flaw| Ok(Err(Bad { file: name.to_owned(), line, flaw }));
        let (mut number, mut line) = (0, Vec::new());
        while let Some(piece) = lines::next(&mut reader, &mut line)? {
            let outcome = match piece {
                Piece::Line => self.line(&line, number == 0),
                Piece::TooLong => Err(Flaw::TooLong),
                Piece::Torn if !last => Err(Flaw::Altered),
                Piece::Torn => {
                    self.verdict.torn = Some((name.to_owned(), line.len()));
                    break;
                }
            };
            number += 1;
            if let Err(flaw) = outcome {
                return bad(number, flaw);
            }
        }
        Ok(Ok(number))
    }

    fn line(&mut self, bytes: &[u8], first_in_file: bool) -> Result<(), Flaw> {
        let Some(line) = Parsed::read(bytes) else { return Err(Flaw::Altered) };
        if first_in_file && !line.begins_a_file() {
            return Err(Flaw::NoBeginning);
        }
        self.place(&line)?;
        if line.text("kind") == Some(KIND) {
            self.signer(&line)?;
        }
        if line.event() == CHECKPOINT {
            self.checkpoint(&line)?;
        }
        self.gone = Gone::said_by(&line).or(self.gone);
        self.compare(&line)?;
        self.verdict.first.get_or_insert(line.seq);
        (self.verdict.last, self.before) = (Some(line.seq), Some((line.seq, line.hash)));
        self.verdict.lines += 1;
        Ok(())
    }

    /// Whether the line stands where it belongs.
    fn place(&self, line: &Parsed) -> Result<(), Flaw> {
        let Some((last, hash)) = &self.before else {
            let begins_well = line.seq > 1 || line.prev.bytes().all(|byte| byte == b'0');
            return if begins_well { Ok(()) } else { Err(Flaw::NotFollowing) };
        };
        let expected = last + 1;
        match line.seq {
            seq if seq < expected => Err(Flaw::Again(seq)),
            seq if seq > expected => Err(Flaw::Missing(expected, seq - 1)),
            _ if line.prev != *hash => Err(Flaw::NotFollowing),
            _ => Ok(()),
        }
    }

    /// A file's first line names the log and the key of what follows.
    fn signer(&mut self, line: &Parsed) -> Result<(), Flaw> {
        let (Some(log), Some(key)) = (line.text("log"), line.text("key").and_then(PublicKey::parse)) else {
            return Err(Flaw::NoBeginning);
        };
        if self.log.as_ref().is_some_and(|known| known != log) {
            return Err(Flaw::OtherLog);
        }
        if self.against.key.as_ref().is_some_and(|trusted| *trusted != key) {
            return Err(Flaw::OtherKey);
        }
        (self.log, self.key) = (Some(log.to_owned()), Some(key));
        Ok(())
    }

    fn checkpoint(&mut self, line: &Parsed) -> Result<(), Flaw> {
        let checkpoint = Checkpoint::of(line).ok_or(Flaw::BadSignature)?;
        if Some(&checkpoint.log) != self.log.as_ref() {
            return Err(Flaw::OtherLog);
        }
        if Some(&checkpoint.key) != self.key.as_ref() {
            return Err(Flaw::OtherKey);
        }
        if !checkpoint.is_signed() {
            return Err(Flaw::BadSignature);
        }
        self.verdict.signed_to = Some(line.seq);
        self.verdict.gone = self.gone;
        Ok(())
    }

    /// Whether the line is the one that the checkpoint kept elsewhere was made over.
    fn compare(&self, line: &Parsed) -> Result<(), Flaw> {
        match &self.against.checkpoint {
            Some(kept) if kept.seq == line.seq + 1 && kept.prev != line.hash => Err(Flaw::Rewritten),
            _ => Ok(()),
        }
    }

    /// Whether a signed line says of all that is missing before the first one why it is.
    fn beginning(&self) -> Result<(), Flaw> {
        let gone = self.verdict.gone.map_or(0, |gone| gone.last);
        match self.verdict.first {
            Some(first) if self.against.whole && first > gone + 1 => Err(Flaw::Missing(gone + 1, first - 1)),
            _ => Ok(()),
        }
    }

    fn end(&self) -> Result<(), Flaw> {
        let Some(kept) = &self.against.checkpoint else { return Ok(()) };
        if !kept.is_signed() || self.against.key.as_ref().is_some_and(|trusted| *trusted != kept.key) {
            return Err(Flaw::BadCheckpoint);
        }
        if self.log.as_ref().is_some_and(|log| *log != kept.log) {
            return Err(Flaw::OtherLog);
        }
        // The checkpoint's own line may be lost with what came after it only if somebody cut it off.
        if self.verdict.last.unwrap_or(0) < kept.seq { Err(Flaw::TailCut(kept.seq)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
