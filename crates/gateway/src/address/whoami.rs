//! A question over DNS whose answer is the address that it came from, written as RFC 4501 writes it:
//! `//RESOLVER[:PORT]/NAME[?type=A|TXT;class=IN|CH]`, or by the name of somebody who answers such questions.
//!
//! Only the two records and the one datagram each way that this needs. A resolver of one's own would tell its own
//! address, so the one to ask is always named, by number.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::{Unreadable, parse};

/// What to ask whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// Who is asked.
    pub(super) resolver: SocketAddr,
    name: String,
    kind: Kind,
    class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    A = 1,
    Txt = 16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Internet = 1,
    /// What servers tell of themselves.
    Chaos = 3,
}

/// What came is no answer that an address can be taken from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// The resolver said so: 2 failed, 3 no such name, 5 refused.
    #[error("the resolver answers with error {0}")]
    Error(u8),
    /// It does not fit into one datagram: an address does.
    #[error("the resolver's answer is cut off")]
    CutOff,
    /// It cannot be read.
    #[error("the resolver's answer cannot be read")]
    Broken,
    /// None.
    #[error("the resolver's answer holds no such record")]
    NoRecord,
    /// More than one.
    #[error("the resolver's answer holds several records")]
    Several,
    /// A text that is no address.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
}

/// By the names of their operators: the numbers of their public resolvers.
const KNOWN: [(&str, &str); 3] = [
    ("cloudflare", "//1.1.1.1/whoami.cloudflare?type=TXT;class=CH"),
    ("google", "//216.239.32.10/o-o.myaddr.l.google.com?type=TXT"),
    ("opendns", "//208.67.222.222/myip.opendns.com"),
];
const PORT: u16 = 53;
const HEADER: usize = 12;
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
const MOST_RECORDS: u16 = 16;

impl Whoami {
    /// Reads what follows `dns:`.
    ///
    /// # Errors
    /// What is wrong with it, to be put behind the text.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let known = KNOWN.iter().find(|(name, _)| *name == text).map(|(_, question)| *question);
        let rest = known.unwrap_or(text).strip_prefix("//");
        let rest = rest.ok_or("is neither `dns://RESOLVER/NAME` nor one of dns:cloudflare, dns:google, dns:opendns")?;
        let (resolver, question) = rest.split_once('/').ok_or("asks for no name")?;
        let (name, options) = question.split_once('?').unwrap_or((question, ""));
        let number = resolver.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let resolver = number.map(|ip| SocketAddr::new(ip, PORT)).or_else(|_| resolver.parse());
        let mut whoami = Self {
            resolver: resolver.map_err(|_| "names its resolver by something else than an address")?,
            name: host_name(name)?,
            kind: Kind::A,
            class: Class::Internet,
        };
        options.split(';').filter(|option| !option.is_empty()).try_for_each(|option| whoami.set(option))?;
        Ok(whoami)
    }

    fn set(&mut self, option: &str) -> Result<(), &'static str> {
        match option.to_ascii_lowercase().as_str() {
            "type=a" => self.kind = Kind::A,
            "type=txt" => self.kind = Kind::Txt,
            "class=in" => self.class = Class::Internet,
            "class=ch" => self.class = Class::Chaos,
            _ => return Err("has an option other than type=A, type=TXT, class=IN and class=CH"),
        }
        Ok(())
    }

    /// The datagram to send: one question, to be answered whole.
    pub(super) fn question(&self, id: u16) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        // Recursion is wanted; one question.
        message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend(self.asked());
        message
    }

    /// The question as it stands in both datagrams.
    fn asked(&self) -> Vec<u8> {
        let mut bytes = wire_name(&self.name);
        bytes.extend((self.kind as u16).to_be_bytes());
        bytes.extend((self.class as u16).to_be_bytes());
        bytes
    }

    /// The address in a datagram that came from the resolver. `None`: it answers another question than ours, as one does
    /// that somebody else has made up; the right one may still come.
    pub(super) fn answer(&self, id: u16, message: &[u8]) -> Option<Result<IpAddr, NoAddress>> {
        let (head, rest) = message.split_at_checked(HEADER)?;
        let asked = self.asked();
        let (echo, records) = rest.split_at_checked(asked.len())?;
        let is_answer = head[2] & 0xf8 == 0x80;
        let ours = head[..2] == id.to_be_bytes() && is_answer && head[4..6] == [0, 1];
        (ours && echo.eq_ignore_ascii_case(&asked)).then(|| self.read(head, records))
    }

    fn read(&self, head: &[u8], records: &[u8]) -> Result<IpAddr, NoAddress> {
        if head[2] & 2 != 0 {
            return Err(NoAddress::CutOff);
        }
        if head[3] & 0x0f != 0 {
            return Err(NoAddress::Error(head[3] & 0x0f));
        }
        let count = u16::from_be_bytes([head[6], head[7]]);
        if count > MOST_RECORDS {
            return Err(NoAddress::Broken);
        }
        let (mut rest, mut found) = (records, None);
        for _ in 0..count {
            let (record, behind) = Record::read(rest).ok_or(NoAddress::Broken)?;
            rest = behind;
            if !self.is_asked_for(&record) {
                continue;
            }
            if found.is_some() {
                return Err(NoAddress::Several);
            }
            found = Some(self.address(record.data)?);
        }
        found.ok_or(NoAddress::NoRecord)
    }

    fn is_asked_for(&self, record: &Record<'_>) -> bool {
        let is_ours = record.name == FIRST_NAME || record.name.eq_ignore_ascii_case(&wire_name(&self.name));
        is_ours && (record.kind, record.class) == (self.kind as u16, self.class as u16)
    }

    fn address(&self, data: &[u8]) -> Result<IpAddr, NoAddress> {
        match self.kind {
            Kind::A => {
                let four: [u8; 4] = data.try_into().map_err(|_| NoAddress::Broken)?;
                Ok(Ipv4Addr::from(four).into())
            }
            Kind::Txt => Ok(parse(&joined(data).ok_or(NoAddress::Broken)?)?),
        }
    }
}

impl fmt::Display for Whoami {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.resolver)
    }
}

/// Points at the name in the question.
const FIRST_NAME: [u8; 2] = [0xc0, 12];

struct Record<'a> {
    name: &'a [u8],
    kind: u16,
    class: u16,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `bytes`, and what is behind it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (name, rest) = bytes.split_at_checked(name_length(bytes)?)?;
        let (fixed, rest) = rest.split_at_checked(10)?;
        let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let (data, rest) = rest.split_at_checked(usize::from(word(8)))?;
        Some((Self { name, kind: word(0), class: word(2), data }, rest))
    }
}

/// How many bytes a name takes: up to its end, or to the place where it goes on elsewhere. Nothing is followed.
fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at <= LONGEST_NAME + 1 {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=LONGEST_LABEL => at += length + 1,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
    None
}

/// The strings of a text record, one behind the other.
fn joined(mut data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (part, behind) = rest.split_at_checked(usize::from(*length))?;
        text.extend(part);
        data = behind;
    }
    Some(text)
}

fn host_name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let usual = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(usual);
    if name.len() <= LONGEST_NAME && name.split('.').all(is_label) {
        Ok(name.to_owned())
    } else {
        Err("asks for what is no name")
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    // Every label is at most 63 bytes long: `host_name` saw to that.
    let label = |label: &str| std::iter::once(label.len() as u8).chain(label.bytes()).collect::<Vec<u8>>();
    name.split('.').flat_map(label).chain([0]).collect()
}

#[cfg(test)]
mod tests;
