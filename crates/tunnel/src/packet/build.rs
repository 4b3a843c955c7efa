//! Packets that we write: datagrams and echoes that come back from the world, and resets.

use std::net::{IpAddr, SocketAddr};

use smoltcp::wire::checksum;

use super::{Echo, Flags, IPV4_HEADER, IPV6_HEADER, Packet, Tcp, protocol, sum};

const UDP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;

/// How many bytes stand before the payload of a datagram to an address of this family.
#[must_use]
pub fn udp_headers(to: IpAddr) -> usize {
    ip_header(to) + UDP_HEADER
}

/// A datagram, payload copied. None if the families differ or it is too long for one packet.
#[must_use]
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let mut packet = vec![0; udp_headers(to.ip())];
    packet.extend_from_slice(payload);
    udp_in_place(&mut packet, from, to).then_some(packet)
}

/// Writes the headers of a datagram into the first [`udp_headers`] bytes of `packet`; the payload stands behind them.
/// `false`, and nothing is written, if the families differ or it is too long for one packet.
#[must_use]
pub fn udp_in_place(packet: &mut [u8], from: SocketAddr, to: SocketAddr) -> bool {
    let header = ip_header(to.ip());
    let Some(length) = packet.len().checked_sub(header).and_then(|length| u16::try_from(length).ok()) else {
        return false;
    };
    if length < 8 || !write_header(packet, from.ip(), to.ip(), protocol::UDP) {
        return false;
    }
    let segment = &mut packet[header..];
    segment[..2].copy_from_slice(&from.port().to_be_bytes());
    segment[2..4].copy_from_slice(&to.port().to_be_bytes());
    segment[4..6].copy_from_slice(&length.to_be_bytes());
    segment[6..8].fill(0);
    // A sum of 0 is written as all ones: 0 means that there is none.
    let checksum = match !sum(from.ip(), to.ip(), protocol::UDP, segment) {
        0 => !0,
        checksum => checksum,
    };
    segment[6..8].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// An echo from `from` to the user who asked. None if the families differ or it is too long for one packet.
#[must_use]
pub fn echo_reply(from: IpAddr, to: IpAddr, echo: &Echo<'_>) -> Option<Vec<u8>> {
    echo_message(from, to, echo, if to.is_ipv4() { 0 } else { 129 })
}

/// The question for an echo.
#[must_use]
pub fn echo_request(from: IpAddr, to: IpAddr, echo: &Echo<'_>) -> Option<Vec<u8>> {
    echo_message(from, to, echo, if to.is_ipv4() { 8 } else { 128 })
}

fn echo_message(from: IpAddr, to: IpAddr, echo: &Echo<'_>, kind: u8) -> Option<Vec<u8>> {
    let number = if to.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
    let [id, sequence] = [echo.id, echo.sequence].map(u16::to_be_bytes);
    let head = [kind, 0, 0, 0, id[0], id[1], sequence[0], sequence[1]];
    message(from, to, number, &[&head, echo.data])
}

/// The reset that answers `tcp`, a segment of `packet` (RFC 9293, 3.5.2). None for a reset.
#[must_use]
pub fn reset(packet: &Packet<'_>, tcp: &Tcp<'_>) -> Option<Vec<u8>> {
    if tcp.flags.has(Flags::RST) {
        return None;
    }
    let (sequence, acknowledgement, flags) = if tcp.flags.has(Flags::ACK) {
        (tcp.acknowledgement, 0, Flags::RST)
    } else {
        (0, tcp.sequence.wrapping_add(tcp.length()), Flags::RST | Flags::ACK)
    };
    let mut segment = [0; 20];
    segment[..2].copy_from_slice(&tcp.destination_port.to_be_bytes());
    segment[2..4].copy_from_slice(&tcp.source_port.to_be_bytes());
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = flags;
    message(packet.destination, packet.source, protocol::TCP, &[&segment])
}

/// A segment without data: what a connection that has ended here says to one that has not.
#[must_use]
pub fn acknowledge(from: SocketAddr, to: SocketAddr, sequence: u32, acknowledgement: u32) -> Option<Vec<u8>> {
    let mut segment = [0; 20];
    segment[..2].copy_from_slice(&from.port().to_be_bytes());
    segment[2..4].copy_from_slice(&to.port().to_be_bytes());
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
    segment[12..16].copy_from_slice(&[5 << 4, Flags::ACK, 0xff, 0xff]);
    message(from.ip(), to.ip(), protocol::TCP, &[&segment])
}

/// A packet of these parts, with the checksum where its protocol has it.
pub(super) fn message(from: IpAddr, to: IpAddr, number: u8, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let header = ip_header(to);
    let mut packet = vec![0; header];
    parts.iter().for_each(|part| packet.extend_from_slice(part));
    if !write_header(&mut packet, from, to, number) {
        return None;
    }
    let at = if number == protocol::TCP { 16 } else { 2 };
    let payload = &mut packet[header..];
    let checksum = match number {
        protocol::ICMP => !checksum::data(payload),
        _ => !sum(from, to, number, payload),
    };
    payload.get_mut(at..at + 2)?.copy_from_slice(&checksum.to_be_bytes());
    Some(packet)
}

fn ip_header(to: IpAddr) -> usize {
    if to.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
}

/// The IP header at the beginning of `packet`, which is whole otherwise.
fn write_header(packet: &mut [u8], from: IpAddr, to: IpAddr, number: u8) -> bool {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => write_v4(packet, from.octets(), to.octets(), number, 0, 0),
        (IpAddr::V6(from), IpAddr::V6(to)) => write_v6(packet, from.octets(), to.octets(), number),
        _ => false,
    }
}

/// `cut` is the field of flags and offset.
pub(crate) fn write_v4(packet: &mut [u8], from: [u8; 4], to: [u8; 4], number: u8, id: u16, cut: u16) -> bool {
    let Ok(length) = u16::try_from(packet.len()) else { return false };
    let Some(header) = packet.first_chunk_mut::<IPV4_HEADER>() else { return false };
    *header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[6..8].copy_from_slice(&cut.to_be_bytes());
    header[8..10].copy_from_slice(&[HOP_LIMIT, number]);
    header[12..16].copy_from_slice(&from);
    header[16..].copy_from_slice(&to);
    let checksum = !checksum::data(header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    true
}

pub(crate) fn write_v6(packet: &mut [u8], from: [u8; 16], to: [u8; 16], number: u8) -> bool {
    let Some(Ok(length)) = packet.len().checked_sub(IPV6_HEADER).map(u16::try_from) else { return false };
    packet[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet[6..8].copy_from_slice(&[number, HOP_LIMIT]);
    packet[8..24].copy_from_slice(&from);
    packet[24..40].copy_from_slice(&to);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Transport;

    fn segment(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x13, 0x88, 0, 80, 0, 0, 0, 9, 0, 0, 0, 7, 0x50, flags, 1, 0, 0, 0, 0, 0];
        bytes.extend(payload);
        message("10.77.0.2".parse().unwrap(), "1.1.1.1".parse().unwrap(), protocol::TCP, &[&bytes]).unwrap()
    }

    fn answer(flags: u8, payload: &[u8]) -> Option<(u32, u32, u8)> {
        let bytes = segment(flags, payload);
        let packet = Packet::parse(&bytes).unwrap();
        let Ok(Transport::Tcp(tcp)) = packet.transport() else { panic!() };
        let reset = reset(&packet, &tcp)?;
        let reset = Packet::parse(&reset).unwrap();
        reset.verify().unwrap();
        assert_eq!((reset.source, reset.destination), (packet.destination, packet.source));
        let Ok(Transport::Tcp(tcp)) = reset.transport() else { panic!() };
        assert_eq!((tcp.source_port, tcp.destination_port), (80, 5000));
        Some((tcp.sequence, tcp.acknowledgement, tcp.flags.0))
    }

    #[test]
    fn a_reset_is_one_that_the_other_side_believes() {
        assert_eq!(answer(Flags::SYN, b""), Some((0, 10, Flags::RST | Flags::ACK)));
        assert_eq!(answer(Flags::ACK, b"abc"), Some((7, 0, Flags::RST)));
        assert_eq!(answer(Flags::FIN, b"abc"), Some((0, 13, Flags::RST | Flags::ACK)));
        assert_eq!(answer(Flags::RST, b""), None);
    }

    #[test]
    fn an_echo_says_what_it_was_asked() {
        for (from, to) in [("1.1.1.1", "10.77.0.2"), ("2606:4700::1111", "fd77::2")] {
            let asked = Echo { id: 7, sequence: 3, data: b"ping" };
            let bytes = echo_reply(from.parse().unwrap(), to.parse().unwrap(), &asked).unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            packet.verify().unwrap();
            assert_eq!(packet.transport(), Ok(Transport::EchoReply(asked)));
            let bytes = echo_request(from.parse().unwrap(), to.parse().unwrap(), &asked).unwrap();
            assert_eq!(Packet::parse(&bytes).unwrap().transport(), Ok(Transport::EchoRequest(asked)));
        }
    }

    #[test]
    fn what_fits_no_packet_is_not_written() {
        let (v4, v6) = ("1.1.1.1:1".parse().unwrap(), "[fd77::2]:1".parse().unwrap());
        assert_eq!(udp(v4, v6, b""), None);
        assert_eq!(udp(v4, v4, &[0; 65536 - 28]), None);
        assert!(udp(v4, v4, &[0; 65535 - 28]).is_some());
        assert!(udp(v6, v6, &[0; 65535 - 8]).is_some());
        assert_eq!(udp(v6, v6, &[0; 65536 - 8]), None);
    }

    proptest! {
        #[test]
        fn every_datagram_reads_back(from: std::net::SocketAddrV6, to: std::net::SocketAddrV6, payload: Vec<u8>) {
            let bytes = udp(from.into(), to.into(), &payload).unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert!(packet.verify().is_ok());
            let Ok(Transport::Udp(udp)) = packet.transport() else { panic!() };
            prop_assert_eq!((udp.source_port, udp.destination_port, udp.payload), (from.port(), to.port(), &payload[..]));
        }
    }
}
