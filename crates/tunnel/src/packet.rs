//! IP packets as users of the tunnel send them: read within bounds, and the few kinds that we write ourselves.
//!
//! Reading trusts no length in a packet. What is wrong has a name ([`Malformed`]), which is the label of a counter. Source
//! routes are refused here: a packet goes where its destination says.

pub mod build;
mod chain;
pub mod icmp;
pub mod mss;
pub(crate) mod sum;
mod transport;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{IpProtocol, checksum};

pub use self::transport::{Echo, Flags, Tcp, Transport, Udp, parse as transport};

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header without extensions.
pub const IPV6_HEADER: usize = 40;

/// Protocol numbers that matter here.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// An IPv6 fragment.
    pub const FRAGMENT: u8 = 44;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// Shorter than it says, or than it must be.
    #[error("the packet is cut off")]
    Truncated,
    /// Neither 4 nor 6.
    #[error("the packet is of no IP version")]
    Version,
    /// A length that contradicts another.
    #[error("a length in the packet is wrong")]
    Length,
    /// A sum that is not that of the bytes.
    #[error("a checksum is wrong")]
    Checksum,
    /// It asks to go by way of other hosts.
    #[error("the packet carries a source route")]
    SourceRoute,
    /// More IPv6 extension headers than anybody needs.
    #[error("the packet has too many extension headers")]
    Extensions,
}

impl Malformed {
    /// The value of the metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Version => "version",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::SourceRoute => "source_route",
            Self::Extensions => "extensions",
        }
    }
}

/// A part of a packet that was cut on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The same in all parts of one packet.
    pub id: u32,
    /// Where this part begins.
    pub offset: usize,
    /// Whether parts follow.
    pub more: bool,
}

/// One packet, its headers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    header: usize,
    /// Who sent it.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// What it carries: the number behind all extension headers.
    pub protocol: u8,
    /// How many more hops it may take.
    pub hop_limit: u8,
    /// Whether it must not be cut; always in IPv6.
    pub dont_fragment: bool,
    /// Which part it is, if it was cut.
    pub fragment: Option<Fragment>,
}

impl<'a> Packet<'a> {
    /// Reads the headers. What stands behind the packet's end (WireGuard pads) is left out.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => Err(Malformed::Version),
        }
    }

    /// The whole packet.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What stands behind all IP headers: a transport header and its data, or a part of them.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }

    /// The transport header, if it is one that we carry. Call it for whole packets only.
    ///
    /// # Errors
    /// [`Malformed`]: it is cut off, or its lengths are wrong. Its checksum is not looked at: see [`Packet::verify`].
    pub fn transport(&self) -> Result<Transport<'a>, Malformed> {
        transport::parse(self.protocol, self.payload())
    }

    /// Holds the transport's checksum against the bytes.
    ///
    /// # Errors
    /// [`Malformed::Checksum`].
    pub fn verify(&self) -> Result<(), Malformed> {
        let payload = self.payload();
        let sum = match self.protocol {
            protocol::ICMP => sum::data(payload),
            protocol::UDP if self.source.is_ipv4() && payload.get(6..8) == Some(&[0, 0]) => return Ok(()),
            protocol::UDP => sum(self.source, self.destination, self.protocol, datagram(payload)),
            protocol::TCP | protocol::ICMPV6 => sum(self.source, self.destination, self.protocol, payload),
            _ => return Ok(()),
        };
        if sum == !0 { Ok(()) } else { Err(Malformed::Checksum) }
    }

    fn parse_v4(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<IPV4_HEADER>().ok_or(Malformed::Truncated)?;
        let header = usize::from(fixed[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if header < IPV4_HEADER || total < header {
            return Err(Malformed::Length);
        }
        let bytes = bytes.get(..total).ok_or(Malformed::Truncated)?;
        if checksum::data(&bytes[..header]) != !0 {
            return Err(Malformed::Checksum);
        }
        chain::check_options(&bytes[IPV4_HEADER..header])?;
        let cut = u16::from_be_bytes([fixed[6], fixed[7]]);
        let (offset, more) = (usize::from(cut & 0x1fff) * 8, cut & 0x2000 != 0);
        let id = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        Ok(Self {
            bytes,
            header,
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]).into(),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]).into(),
            protocol: fixed[9],
            hop_limit: fixed[8],
            dont_fragment: cut & 0x4000 != 0,
            fragment: (more || offset > 0).then_some(Fragment { id, offset, more }),
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<IPV6_HEADER>().ok_or(Malformed::Truncated)?;
        let total = IPV6_HEADER + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let bytes = bytes.get(..total).ok_or(Malformed::Truncated)?;
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&fixed[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let end = chain::walk(bytes, fixed[6])?;
        Ok(Self {
            bytes,
            header: end.header,
            source: address(8),
            destination: address(24),
            protocol: end.protocol,
            hop_limit: fixed[7],
            dont_fragment: true,
            fragment: end.fragment,
        })
    }
}

/// The sum over pseudo header and `data`; all ones if the checksum in it is right.
fn sum(source: IpAddr, destination: IpAddr, protocol: u8, data: &[u8]) -> u16 {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let protocol = IpProtocol::from(protocol);
    let pseudo = checksum::pseudo_header(&source.into(), &destination.into(), protocol, length);
    checksum::combine(&[pseudo, sum::data(data)])
}

/// As much as the UDP header says, where that much is there.
fn datagram(payload: &[u8]) -> &[u8] {
    let length = payload.get(4..6).map_or(0, |field| usize::from(u16::from_be_bytes([field[0], field[1]])));
    payload.get(..length).unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        build::udp(from.parse().unwrap(), to.parse().unwrap(), payload).unwrap()
    }

    #[test]
    fn a_datagram_of_each_family_is_read_as_it_was_written() {
        for (from, to) in [("10.77.0.2:5000", "1.1.1.1:53"), ("[fd77::2]:5000", "[2606:4700::1111]:53")] {
            let mut bytes = udp(from, to, b"hello");
            bytes.extend([0; 11]);
            let packet = Packet::parse(&bytes).unwrap();
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            assert_eq!((packet.source, packet.destination), (from.ip(), to.ip()));
            assert_eq!((packet.protocol, packet.hop_limit, packet.fragment), (protocol::UDP, 64, None));
            packet.verify().unwrap();
            let Ok(Transport::Udp(udp)) = packet.transport() else { panic!("{:?}", packet.transport()) };
            assert_eq!((udp.source_port, udp.destination_port, udp.payload), (5000, 53, &b"hello"[..]));
        }
    }

    #[test]
    fn a_turned_bit_anywhere_behind_the_addresses_is_noticed() {
        for bytes in [udp("10.77.0.2:5000", "1.1.1.1:53", b"hello!"), udp("[fd77::2]:1", "[fd77::1]:53", b"hello!")] {
            let header = bytes.len() - 14;
            for at in header..bytes.len() {
                let mut harmed = bytes.clone();
                harmed[at] ^= 4;
                let packet = Packet::parse(&harmed).unwrap();
                assert!(packet.transport().is_err() || packet.verify() == Err(Malformed::Checksum), "byte {at}");
            }
        }
        let mut harmed = udp("10.77.0.2:5000", "1.1.1.1:53", b"");
        harmed[12] ^= 1;
        assert_eq!(Packet::parse(&harmed), Err(Malformed::Checksum));
    }

    #[test]
    fn a_packet_that_is_cut_off_is_refused_at_every_length() {
        for bytes in [udp("10.77.0.2:5000", "1.1.1.1:53", b"hello"), udp("[fd77::2]:1", "[fd77::1]:53", b"hello")] {
            for length in 0..bytes.len() {
                assert_eq!(Packet::parse(&bytes[..length]).err(), Some(Malformed::Truncated), "{length}");
            }
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let good = udp("10.77.0.2:5000", "1.1.1.1:53", b"hello");
        for (at, byte) in [(0, 0x44), (3, 19)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(Packet::parse(&bytes), Err(Malformed::Length), "byte {at}");
        }
        assert_eq!(Packet::parse(&[0x50; 40]), Err(Malformed::Version));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 4_u8..7) {
            if let Some(first) = bytes.first_mut() {
                *first = version << 4 | *first & 15;
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                let _ = (packet.transport(), packet.verify());
                prop_assert!(packet.bytes().ends_with(packet.payload()));
            }
        }
    }
}
