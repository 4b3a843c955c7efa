//! TCP, UDP and echo headers.

use super::{Malformed, protocol};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// A segment.
    Tcp(Tcp<'a>),
    /// A datagram.
    Udp(Udp<'a>),
    /// A question for an echo.
    EchoRequest(Echo<'a>),
    /// An echo.
    EchoReply(Echo<'a>),
    /// Any other ICMP message, by its type.
    Icmp(u8),
    /// Another protocol.
    Other(u8),
}

/// The flags of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data comes.
    pub const FIN: u8 = 1;
    /// A connection begins.
    pub const SYN: u8 = 2;
    /// A connection breaks off.
    pub const RST: u8 = 4;
    /// The acknowledgement counts.
    pub const ACK: u8 = 16;

    /// Whether all of `flags` are set.
    #[must_use]
    pub fn has(self, flags: u8) -> bool {
        self.0 & flags == flags
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Of the sender.
    pub source_port: u16,
    /// Of the receiver.
    pub destination_port: u16,
    /// Number of its first byte.
    pub sequence: u32,
    /// The byte that is expected next.
    pub acknowledgement: u32,
    /// What it means.
    pub flags: Flags,
    /// Unscaled.
    pub window: u16,
    /// As they stand there.
    pub options: &'a [u8],
    /// Its data.
    pub payload: &'a [u8],
}

impl Tcp<'_> {
    /// How many sequence numbers it takes.
    #[must_use]
    pub fn length(&self) -> u32 {
        let marks = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX).wrapping_add(marks)
    }

    /// Whether it asks for a new connection.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.flags.has(Flags::SYN) && self.flags.0 & (Flags::ACK | Flags::RST | Flags::FIN) == 0
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Of the sender.
    pub source_port: u16,
    /// Of the receiver.
    pub destination_port: u16,
    /// Its data.
    pub payload: &'a [u8],
}

/// An echo, or the question for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Of the asking program.
    pub id: u16,
    /// Counts its questions.
    pub sequence: u16,
    /// What comes back as it went.
    pub data: &'a [u8],
}

/// Reads the header of protocol `number` at the beginning of `payload`.
///
/// # Errors
/// [`Malformed`].
pub fn parse(number: u8, payload: &[u8]) -> Result<Transport<'_>, Malformed> {
    match number {
        protocol::TCP => tcp(payload).map(Transport::Tcp),
        protocol::UDP => udp(payload).map(Transport::Udp),
        protocol::ICMP => icmp(payload, 8, 0),
        protocol::ICMPV6 => icmp(payload, 128, 129),
        _ => Ok(Transport::Other(number)),
    }
}

fn tcp(bytes: &[u8]) -> Result<Tcp<'_>, Malformed> {
    let fixed = bytes.first_chunk::<20>().ok_or(Malformed::Truncated)?;
    let header = usize::from(fixed[12] >> 4) * 4;
    if header < 20 {
        return Err(Malformed::Length);
    }
    let four = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    Ok(Tcp {
        source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
        destination_port: u16::from_be_bytes([fixed[2], fixed[3]]),
        sequence: four(4),
        acknowledgement: four(8),
        flags: Flags(fixed[13]),
        window: u16::from_be_bytes([fixed[14], fixed[15]]),
        options: bytes.get(20..header).ok_or(Malformed::Truncated)?,
        payload: &bytes[header..],
    })
}

fn udp(bytes: &[u8]) -> Result<Udp<'_>, Malformed> {
    let fixed = bytes.first_chunk::<8>().ok_or(Malformed::Truncated)?;
    let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if length < 8 {
        return Err(Malformed::Length);
    }
    Ok(Udp {
        source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
        destination_port: u16::from_be_bytes([fixed[2], fixed[3]]),
        payload: bytes.get(8..length).ok_or(Malformed::Truncated)?,
    })
}

fn icmp(bytes: &[u8], request: u8, reply: u8) -> Result<Transport<'_>, Malformed> {
    let fixed = bytes.first_chunk::<8>().ok_or(Malformed::Truncated)?;
    let echo = Echo {
        id: u16::from_be_bytes([fixed[4], fixed[5]]),
        sequence: u16::from_be_bytes([fixed[6], fixed[7]]),
        data: &bytes[8..],
    };
    Ok(match (fixed[0], fixed[1]) {
        (kind, 0) if kind == request => Transport::EchoRequest(echo),
        (kind, 0) if kind == reply => Transport::EchoReply(echo),
        (kind, _) => Transport::Icmp(kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_with_its_options() {
        let mut bytes = vec![0x13, 0x88, 0, 80, 0, 0, 0, 9, 0, 0, 0, 7, 0x60, Flags::SYN, 0xff, 0xff, 0, 0, 0, 0];
        bytes.extend([2, 4, 5, 0xb4]);
        bytes.extend(b"hi");
        let Ok(Transport::Tcp(tcp)) = parse(protocol::TCP, &bytes) else { panic!() };
        assert_eq!((tcp.source_port, tcp.destination_port, tcp.sequence, tcp.acknowledgement), (5000, 80, 9, 7));
        assert_eq!((tcp.options, tcp.payload, tcp.length(), tcp.opens()), (&[2, 4, 5, 0xb4][..], &b"hi"[..], 3, true));
        bytes[12] = 0x40;
        assert_eq!(parse(protocol::TCP, &bytes), Err(Malformed::Length));
        bytes[12] = 0xf0;
        assert_eq!(parse(protocol::TCP, &bytes), Err(Malformed::Truncated));
    }

    #[test]
    fn a_datagram_is_no_longer_than_its_packet() {
        assert_eq!(parse(protocol::UDP, &[0, 1, 0, 2, 0, 9, 0, 0]), Err(Malformed::Truncated));
        assert_eq!(parse(protocol::UDP, &[0, 1, 0, 2, 0, 7, 0, 0]), Err(Malformed::Length));
        let Ok(Transport::Udp(udp)) = parse(protocol::UDP, &[0, 1, 0, 2, 0, 9, 0, 0, 5, 6]) else { panic!() };
        assert_eq!(udp.payload, [5]);
    }

    #[test]
    fn echoes_are_told_from_other_messages_in_both_families() {
        let message = |kind, code| [kind, code, 0, 0, 0, 7, 0, 9, 1, 2];
        let echo = Echo { id: 7, sequence: 9, data: &[1, 2] };
        assert_eq!(parse(protocol::ICMP, &message(8, 0)), Ok(Transport::EchoRequest(echo)));
        assert_eq!(parse(protocol::ICMP, &message(0, 0)), Ok(Transport::EchoReply(echo)));
        assert_eq!(parse(protocol::ICMPV6, &message(128, 0)), Ok(Transport::EchoRequest(echo)));
        assert_eq!(parse(protocol::ICMP, &message(8, 1)), Ok(Transport::Icmp(8)));
        assert_eq!(parse(protocol::ICMPV6, &message(8, 0)), Ok(Transport::Icmp(8)));
    }
}
