//! The log in CloudWatch Logs: sent from the files, in order, up to the last checkpoint, in batches within AWS's limits.
//!
//! Where it got to is in a file beside the log. After a start and after every failure the stream itself is asked for its
//! last line first, since an answer may have been lost: nothing is sent twice and nothing is left out. Of several processes
//! one sends; another takes over when it ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
};

use bowline_aws::{
    Aws, Error, Region,
    logs::{self, LogEvent, Stream},
};
use bowline_base::{Fault, Identity, Kind, Timestamp, atomic, lock};
use serde_json::{Value, json};

use crate::{
    chain::{CHECKPOINT, Parsed},
    log::Places,
    sink::file::log_files,
};

/// Where in AWS the lines go, and who brings them.
#[derive(Clone)]
pub struct Destination {
    /// The way to AWS.
    pub aws: Aws,
    /// Of the log group.
    pub region: Region,
    /// May `logs:CreateLogStream`, `logs:PutLogEvents` and `logs:GetLogEvents`.
    pub identity: Arc<dyn Identity>,
    /// Group and stream.
    pub stream: Stream,
}

/// Sends the log.
pub struct Shipper {
    to: Destination,
    places: Places,
    reader: Reader,
    /// Held from the moment on at which it is this process's turn to send.
    turn: Option<File>,
    /// Lines that AWS did not take since somebody asked.
    refused: u64,
    /// Whether the stream was asked for its last line since something went wrong.
    sure: bool,
}

/// A line on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outgoing {
    seq: u64,
    event: LogEvent,
}

const MOST_EVENTS: usize = 10_000;
const MOST_BYTES: usize = 1_048_576;
/// What AWS adds to each event when it counts.
const OVERHEAD: usize = 26;
const LONGEST_SPAN_SECONDS: i64 = 86_400;
const KIND: &str = "bowline-audit-cursor";

impl Shipper {
    /// Sends what is in `places` to `destination`; goes on where a former process ended.
    #[must_use]
    pub fn new(places: Places, destination: Destination) -> Self {
        Self { to: destination, places, reader: Reader::default(), turn: None, refused: 0, sure: false }
    }

    /// The number of the last line that was sent.
    pub(crate) fn sent(&self) -> u64 {
        self.reader.after
    }

    /// How many lines AWS did not take since the last time that this was asked.
    pub(crate) fn refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Sends everything that is signed and was not sent. Gives the number of lines.
    ///
    /// # Errors
    /// Why the rest was not sent; it stays in the files, and the next call goes on there.
    pub async fn ship(&mut self) -> Result<usize, Fault> {
        if !self.has_turn().map_err(|cause| self.unreadable(cause))? {
            return Ok(0);
        }
        let mut sent = 0;
        loop {
            let waiting = self.reader.read(&self.places).map_err(|cause| self.unreadable(cause))?;
            if waiting.is_empty() {
                return Ok(sent);
            }
            if !self.sure {
                self.ask_where().await?;
                self.sure = true;
                continue;
            }
            for batch in batches(&waiting) {
                sent += self.send(batch).await?;
            }
        }
    }

    /// Whether nobody else sends.
    fn has_turn(&mut self) -> std::io::Result<bool> {
        if self.turn.is_some() || !self.places.directory.is_dir() {
            return Ok(self.turn.is_some());
        }
        let path = self.places.directory.join("cloudwatch.lock");
        let turn = OpenOptions::new().create(true).append(true).mode(atomic::PRIVATE).open(path)?;
        if !lock::try_acquire(&turn)? {
            return Ok(false);
        }
        self.turn = Some(turn);
        self.reader.after = sent(&self.places, &self.to.stream);
        Ok(true)
    }

    async fn send(&mut self, batch: &[Outgoing]) -> Result<usize, Fault> {
        let Some(last) = batch.last() else { return Ok(0) };
        let events: Vec<LogEvent> = in_order(batch);
        let Destination { aws, region, identity, stream } = &self.to;
        match logs::put_log_events(aws, region, &**identity, stream, &events).await {
            Ok(0) => {}
            Ok(refused) => {
                self.refused += refused as u64;
                tracing::warn!(refused, "CloudWatch Logs refused audit lines for their time");
            }
            Err(error) => {
                self.sure = false;
                return Err(self.failed(error));
            }
        }
        self.reached(last.seq)?;
        Ok(batch.len())
    }

    /// Asks the stream for its last line; makes the stream where there is none.
    async fn ask_where(&mut self) -> Result<(), Fault> {
        let Destination { aws, region, identity, stream } = &self.to;
        let last = match logs::last_event(aws, region, &**identity, stream).await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                logs::create_log_stream(aws, region, &**identity, stream).await.map_err(|error| self.failed(error))?;
                None
            }
            // Who may not read goes by the file alone: then a lost answer means lines that are there twice.
            Err(error) if error.is_access_denied() => None,
            outcome => outcome.map_err(|error| self.failed(error))?,
        };
        match last.as_deref().and_then(|text| Parsed::read(text.as_bytes())).map(|line| line.seq) {
            Some(seq) if seq > self.reader.after => self.reached(seq),
            _ => Ok(()),
        }
    }

    fn reached(&mut self, seq: u64) -> Result<(), Fault> {
        self.reader.after = seq;
        let place = cursor_file(&self.places);
        let cursor = json!({ "kind": KIND, "version": 1, "group": self.to.stream.group, "stream": self.to.stream.name, "line": seq });
        atomic::write(&place, format!("{cursor}\n").as_bytes(), 0o600).map_err(|cause| self.unreadable(cause))
    }

    fn failed(&self, error: Error) -> Fault {
        let Stream { group, name } = &self.to.stream;
        let hint = match error.code() {
            Some("ResourceNotFoundException") => {
                Some(format!("make the group: `aws logs create-log-group --log-group-name {group}`"))
            }
            _ if error.is_access_denied() => Some(format!(
                "allow logs:CreateLogStream, logs:PutLogEvents and logs:GetLogEvents on the log group `{group}`"
            )),
            _ => None,
        };
        let fault = Fault::from(error);
        let hint = hint.or_else(|| fault.hint.clone());
        let whole =
            Fault::new(fault.kind, "logs", format!("cannot send the audit log to `{group}` `{name}`")).cause(fault);
        Fault { hint, ..whole }
    }

    fn unreadable(&self, cause: std::io::Error) -> Fault {
        let shown = self.places.directory.display();
        Fault::new(Kind::Unreachable, "audit", format!("cannot read the audit log at `{shown}`")).cause(cause)
    }
}

/// The number of the last line that a process has sent to `stream`, by the file beside the log.
pub(crate) fn sent(places: &Places, stream: &Stream) -> u64 {
    let text = fs::read_to_string(cursor_file(places)).unwrap_or_default();
    let cursor: Value = serde_json::from_str(&text).unwrap_or_default();
    let same = cursor["kind"] == KIND
        && cursor["version"] == 1
        && cursor["group"] == stream.group.as_str()
        && cursor["stream"] == stream.name.as_str();
    cursor["line"].as_u64().filter(|_| same).unwrap_or(0)
}

fn cursor_file(places: &Places) -> PathBuf {
    places.directory.join("cloudwatch.json")
}

/// The longest runs of lines that fit in one call, in order.
fn batches(lines: &[Outgoing]) -> Vec<&[Outgoing]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes, mut latest) = (0, 0, Timestamp::MIN);
    for (index, line) in lines.iter().enumerate() {
        let size = line.event.message.len() + OVERHEAD;
        latest = latest.max(line.event.at);
        let long = latest.as_second() - lines[start].event.at.as_second() >= LONGEST_SPAN_SECONDS;
        if index > start && (index - start == MOST_EVENTS || bytes + size > MOST_BYTES || long) {
            batches.push(&lines[start..index]);
            (start, bytes, latest) = (index, 0, line.event.at);
        }
        bytes += size;
    }
    if start < lines.len() {
        batches.push(&lines[start..]);
    }
    batches
}

/// AWS takes a batch in the order of its times only: where a clock was set back, the later line has the earlier one's time.
fn in_order(batch: &[Outgoing]) -> Vec<LogEvent> {
    let mut latest = Timestamp::MIN;
    let clamped = batch.iter().map(|line| {
        latest = latest.max(line.event.at);
        LogEvent { at: latest, message: line.event.message.clone() }
    });
    clamped.collect()
}

/// Reads the lines behind a number, without reading twice what it knows.
#[derive(Debug, Default)]
struct Reader {
    /// The last line that was sent.
    after: u64,
    file: Option<PathBuf>,
    /// Everything before this byte of `file` was sent.
    offset: u64,
}

impl Reader {
    /// What is signed and not sent, a file at a time; empty when there is nothing.
    fn read(&mut self, places: &Places) -> std::io::Result<Vec<Outgoing>> {
        for path in log_files(&places.directory)? {
            if self.file.as_ref().is_some_and(|done| path < *done) {
                continue;
            }
            if self.file.as_ref() != Some(&path) {
                (self.file, self.offset) = (Some(path.clone()), 0);
            }
            let mut file = File::open(&path)?;
            if file.metadata()?.len() < self.offset {
                self.offset = 0;
            }
            file.seek(SeekFrom::Start(self.offset))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let lines = self.signed(&bytes);
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
        Ok(Vec::new())
    }

    /// The lines up to the last checkpoint; what is before the first that was not sent is not read again.
    fn signed(&mut self, bytes: &[u8]) -> Vec<Outgoing> {
        let (mut lines, mut signed, mut sent, mut position) = (Vec::new(), 0, 0, 0);
        for text in bytes.split_inclusive(|byte| *byte == b'\n') {
            position += text.len();
            let Some(line) = text.strip_suffix(b"\n").and_then(Parsed::read) else { continue };
            if line.seq <= self.after {
                sent = position;
                continue;
            }
            let (Some(at), Ok(message)) = (line.at(), String::from_utf8(text[..text.len() - 1].to_vec())) else {
                continue;
            };
            lines.push(Outgoing { seq: line.seq, event: LogEvent { at, message } });
            if line.event() == CHECKPOINT {
                signed = lines.len();
            }
        }
        self.offset += sent as u64;
        lines.truncate(signed);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, second: i64, bytes: usize) -> Outgoing {
        let at = Timestamp::from_second(second).unwrap();
        Outgoing { seq, event: LogEvent { at, message: "x".repeat(bytes) } }
    }

    fn sizes(lines: &[Outgoing]) -> Vec<usize> {
        batches(lines).iter().map(|batch| batch.len()).collect()
    }

    #[test]
    fn batches_keep_to_the_limits_of_aws() {
        let small: Vec<Outgoing> = (0..25_000).map(|seq| line(seq, 0, 10)).collect();
        assert_eq!(sizes(&small), [10_000, 10_000, 5_000]);
        let large: Vec<Outgoing> = (0..3).map(|seq| line(seq, 0, 500_000)).collect();
        assert_eq!(sizes(&large), [2, 1]);
        assert_eq!(sizes(&[line(1, 0, 1), line(2, 86_399, 1), line(3, 86_400, 1)]), [2, 1]);
        assert_eq!(sizes(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_break_the_order() {
        let events = in_order(&[line(1, 100, 1), line(2, 50, 1), line(3, 120, 1)]);
        assert_eq!(events.iter().map(|event| event.at.as_second()).collect::<Vec<_>>(), [100, 100, 120]);
    }
}
