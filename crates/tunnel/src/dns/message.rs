//! DNS messages (RFC 1035, EDNS of RFC 6891), as little of them as a forwarder needs: the question, the lives of the records, and
//! nothing of what they say.

use std::time::Duration;

/// Bytes of a message's head.
const HEAD: usize = 12;
/// What every path carries; what we tell resolvers that we take.
const LARGEST_DATAGRAM: u16 = 1232;
/// What a user takes who does not say.
const PLAIN_DATAGRAM: usize = 512;
/// No message that we take is longer.
const LONGEST: usize = 4096;
/// Nor has more records.
const MOST_RECORDS: usize = 512;
/// The longest lives that we believe.
const LONGEST_LIFE: u32 = 24 * 3600;
const LONGEST_NEGATIVE_LIFE: u32 = 600;

const SOA: u16 = 6;
const OPT: u16 = 41;
const IXFR: u16 = 251;
const AXFR: u16 = 252;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const AUTHENTIC: u16 = 0x0020;
const CHECKING_DISABLED: u16 = 0x0010;
const CODE: u16 = 0x000f;
/// The flags of a question that change its answer.
const ASKED: u16 = RECURSION_DESIRED | AUTHENTIC | CHECKING_DISABLED;
/// "DNSSEC records too", in the flags of EDNS.
const DNSSEC: u16 = 0x8000;

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Format = 1,
    ServerFailure = 2,
    NotImplemented = 4,
    Refused = 5,
}

/// What cannot be taken for a question, or for the answer to one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing can be answered to that.
    #[error("no question")]
    Noise,
    /// Its parts contradict each other.
    #[error("the message is malformed")]
    Format,
    /// Another operation than a question.
    #[error("no operation that we know")]
    Operation,
    /// A whole zone.
    #[error("zones are not handed on")]
    Zone,
}

/// A question as it is told from others: the same question has the same answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The name on the wire, in small letters.
    name: Vec<u8>,
    kind: u16,
    class: u16,
    flags: u16,
    /// Whether the asker knows EDNS, and if he wants DNSSEC's records.
    edns: Option<bool>,
}

/// A user's question.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) id: u16,
    pub(super) question: Question,
    /// As he wrote it: letters come back in the case that they went.
    written: Vec<u8>,
    /// The longest answer that he takes.
    limit: usize,
}

/// A resolver's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    /// Where lives stand.
    lives: Vec<usize>,
    /// How long it may be kept; zero for not at all.
    pub(super) life: Duration,
}

impl Question {
    /// The question as it goes to a resolver.
    pub(super) fn message(&self, id: u16) -> Vec<u8> {
        let mut message = head(id, self.flags, [1, 0, 0, u16::from(self.edns.is_some())]);
        message.extend(&self.name);
        message.extend(self.kind.to_be_bytes());
        message.extend(self.class.to_be_bytes());
        if let Some(dnssec) = self.edns {
            message.push(0);
            message.extend(OPT.to_be_bytes());
            message.extend(LARGEST_DATAGRAM.to_be_bytes());
            message.extend([0, 0]);
            message.extend(if dnssec { DNSSEC } else { 0 }.to_be_bytes());
            message.extend([0, 0]);
        }
        message
    }
}

impl Query {
    pub(super) fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let flags = word(message, 2).filter(|_| message.len() >= HEAD).ok_or(Malformed::Noise)?;
        if flags & RESPONSE != 0 || message.len() > LONGEST {
            return Err(Malformed::Noise);
        }
        if flags & OPCODE != 0 {
            return Err(Malformed::Operation);
        }
        let (mut question, end) = question(message).ok_or(Malformed::Format)?;
        if matches!(question.kind, IXFR | AXFR) {
            return Err(Malformed::Zone);
        }
        let mut limit = PLAIN_DATAGRAM;
        for record in records(message, end).ok_or(Malformed::Format)? {
            if record.kind == OPT {
                limit = usize::from(record.class.clamp(512, LARGEST_DATAGRAM));
                question.edns = Some(word(message, record.life + 2).is_some_and(|flags| flags & DNSSEC != 0));
            }
        }
        let id = word(message, 0).ok_or(Malformed::Noise)?;
        Ok(Self { id, question, written: message[HEAD..end].to_vec(), limit })
    }

    /// The answer of a forwarder that has none.
    pub(super) fn failure(&self, code: Code) -> Vec<u8> {
        let flags = RESPONSE | RECURSION_AVAILABLE | self.question.flags & RECURSION_DESIRED | code as u16;
        let mut message = head(self.id, flags, [1, 0, 0, 0]);
        message.extend(&self.written);
        message
    }
}

impl Answer {
    /// The answer to our question of this id. One that was cut off is taken as its head alone.
    pub(super) fn parse(message: &[u8], id: u16, asked: &Question) -> Result<Self, Malformed> {
        let flags = word(message, 2).filter(|_| message.len() >= HEAD).ok_or(Malformed::Noise)?;
        if word(message, 0) != Some(id) || flags & (RESPONSE | OPCODE) != RESPONSE || message.len() > LONGEST {
            return Err(Malformed::Noise);
        }
        let (question, end) = question(message).ok_or(Malformed::Format)?;
        if (&question.name, question.kind, question.class) != (&asked.name, asked.kind, asked.class) {
            return Err(Malformed::Noise);
        }
        if flags & TRUNCATED != 0 {
            let mut bytes = head(id, flags, [1, 0, 0, 0]);
            bytes.extend(&message[HEAD..end]);
            return Ok(Self { bytes, lives: Vec::new(), life: Duration::ZERO });
        }
        let records = records(message, end).ok_or(Malformed::Format)?;
        let life = life(message, flags & CODE, &records);
        let lives = records.iter().filter(|record| record.kind != OPT).map(|record| record.life).collect();
        Ok(Self { bytes: message.to_vec(), lives, life })
    }

    /// Whether another resolver should be asked.
    pub(super) fn is_failure(&self) -> bool {
        matches!(word(&self.bytes, 2).unwrap_or(0) & CODE, 2 | 4 | 5)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The same, this much later.
    pub(super) fn aged(&self, age: Duration) -> Self {
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let mut aged = self.clone();
        for at in &self.lives {
            if let Some(field) = aged.bytes.get_mut(*at..at + 4) {
                let life = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
                field.copy_from_slice(&life.saturating_sub(age).to_be_bytes());
            }
        }
        aged
    }

    /// As the user who asked takes it: his id, his letters, and cut off if it is longer than he said.
    pub(super) fn for_query(&self, query: &Query) -> Vec<u8> {
        let end = HEAD + query.written.len();
        let mut message = self.bytes.clone();
        if message.len() > query.limit {
            let flags = word(&message, 2).unwrap_or(0) | TRUNCATED;
            message = head(query.id, flags, [1, 0, 0, 0]);
            message.resize(end, 0);
        }
        message[..2].copy_from_slice(&query.id.to_be_bytes());
        if let Some(room) = message.get_mut(HEAD..end) {
            room.copy_from_slice(&query.written);
        }
        message
    }
}

/// What to say to a datagram that is no question for us, if anything.
pub(super) fn refusal(message: &[u8], wrong: Malformed) -> Option<Vec<u8>> {
    let code = match wrong {
        Malformed::Noise => return None,
        Malformed::Format => Code::Format,
        Malformed::Operation => Code::NotImplemented,
        Malformed::Zone => Code::Refused,
    };
    let (id, flags) = (word(message, 0)?, word(message, 2)?);
    Some(head(id, RESPONSE | flags & (OPCODE | RECURSION_DESIRED) | code as u16, [0; 4]))
}

/// The one question, and where it ends.
fn question(message: &[u8]) -> Option<(Question, usize)> {
    if word(message, 4) != Some(1) {
        return None;
    }
    let mut at = HEAD;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => at += length,
            _ => return None,
        }
    }
    let name = message.get(HEAD..at).filter(|name| name.len() <= 255)?.to_ascii_lowercase();
    let (kind, class) = (word(message, at)?, word(message, at + 2)?);
    let flags = word(message, 2)? & ASKED;
    Some((Question { name, kind, class, flags, edns: None }, at + 4))
}

/// A record behind the question.
struct Record {
    section: usize,
    kind: u16,
    class: u16,
    /// Where its life stands.
    life: usize,
    data: std::ops::Range<usize>,
}

/// All records of all sections.
fn records(message: &[u8], mut at: usize) -> Option<Vec<Record>> {
    let counts = [6, 8, 10].map(|place| usize::from(word(message, place).unwrap_or(0)));
    if counts.iter().sum::<usize>() > MOST_RECORDS {
        return None;
    }
    let mut records = Vec::new();
    for (section, count) in counts.into_iter().enumerate() {
        for _ in 0..count {
            let fixed = name_end(message, at)?;
            let length = usize::from(word(message, fixed + 8)?);
            let data = fixed + 10..fixed + 10 + length;
            message.get(data.clone())?;
            at = data.end;
            let (kind, class) = (word(message, fixed)?, word(message, fixed + 2)?);
            records.push(Record { section, kind, class, life: fixed + 4, data });
        }
    }
    Some(records)
}

/// Where a name ends that may point back.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some(at + 1),
            1..=63 => at += length + 1,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// How long the answer may be kept: as long as its shortest record, or as the zone says of names that are not there.
fn life(message: &[u8], code: u16, records: &[Record]) -> Duration {
    const NO_SUCH_NAME: u16 = 3;
    let value = |at: usize| {
        let bytes = message.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
        // RFC 2181: a life with its highest bit set is none.
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).filter(|life| life >> 31 == 0).unwrap_or(0)
    };
    let shortest = records.iter().filter(|record| record.kind != OPT).map(|record| value(record.life)).min();
    let answered = records.iter().any(|record| record.section == 0);
    let seconds = match (code, shortest) {
        (0, Some(shortest)) if answered => shortest.min(LONGEST_LIFE),
        (0 | NO_SUCH_NAME, Some(shortest)) => {
            let soa =
                records.iter().find(|record| record.section == 1 && record.kind == SOA && record.data.len() >= 22);
            soa.map_or(0, |soa| value(soa.data.end - 4).min(shortest).min(LONGEST_NEGATIVE_LIFE))
        }
        _ => 0,
    };
    Duration::from_secs(seconds.into())
}

fn head(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let words = [id, flags, counts[0], counts[1], counts[2], counts[3]];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}
