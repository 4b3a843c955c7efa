//! The largest segment that a SYN announces: kept to where a connection is ended here, and made small enough for the tunnel
//! where it goes from user to user, whose ends know nothing of the way between them.

use smoltcp::wire::checksum;

use super::{Flags, IPV4_HEADER, IPV6_HEADER, Packet, Transport};

/// What an end that announces nothing takes (RFC 9293, 3.7.1).
pub const USUAL: u16 = 536;
/// A TCP header without options.
const TCP_HEADER: u16 = 20;

/// The largest segment whose packet is no longer than `mtu`.
#[must_use]
pub fn fitting(mtu: u16, is_ipv4: bool) -> u16 {
    let header = if is_ipv4 { IPV4_HEADER } else { IPV6_HEADER };
    mtu.saturating_sub(u16::try_from(header).unwrap_or(u16::MAX)).saturating_sub(TCP_HEADER)
}

/// What the SYN in `bytes` announces.
#[must_use]
pub fn announced(bytes: &[u8]) -> Option<u16> {
    let at = option(bytes)?;
    Some(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// Lowers the size that the SYN in `bytes` announces to `mss`. Whether it was higher.
pub fn clamp(bytes: &mut [u8], mss: u16) -> bool {
    let Some(at) = option(bytes) else { return false };
    let (old, new) = ([bytes[at], bytes[at + 1]], mss.to_be_bytes());
    if u16::from_be_bytes(old) <= mss {
        return false;
    }
    bytes[at..at + 2].copy_from_slice(&new);
    let Some(sum_at) = checksum_place(bytes) else { return false };
    // RFC 1624: the new sum from the old one. An option may stand at an odd byte: then the bytes count swapped.
    let odd = !(at - sum_at).is_multiple_of(2);
    let word = |[high, low]: [u8; 2]| u16::from_be_bytes(if odd { [low, high] } else { [high, low] });
    let old_sum = u16::from_be_bytes([bytes[sum_at], bytes[sum_at + 1]]);
    let sum = !checksum::combine(&[!old_sum, !word(old), word(new)]);
    bytes[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Where the two bytes of the option stand.
fn option(bytes: &[u8]) -> Option<usize> {
    let packet = Packet::parse(bytes).ok().filter(|packet| packet.fragment.is_none())?;
    let Ok(Transport::Tcp(tcp)) = packet.transport() else { return None };
    if !tcp.flags.has(Flags::SYN) {
        return None;
    }
    let start = packet.bytes().len() - packet.payload().len() + 20;
    let mut at = 0;
    loop {
        match *tcp.options.get(at..)? {
            [1, ..] => at += 1,
            [2, 4, _, _, ..] => return Some(start + at + 2),
            [kind, length, ..] if kind > 1 && length >= 2 => at += usize::from(length),
            _ => return None,
        }
    }
}

fn checksum_place(bytes: &[u8]) -> Option<usize> {
    let packet = Packet::parse(bytes).ok()?;
    Some(packet.bytes().len() - packet.payload().len() + 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{build, protocol};

    fn syn(options: &[u8], flags: u8, ends: [&str; 2]) -> Vec<u8> {
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        let mut bytes = vec![0x13, 0x88, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, words << 4, flags, 1, 0, 0, 0, 0, 0];
        bytes.extend(options);
        let [from, to] = ends.map(|end| end.parse().unwrap());
        build::message(from, to, protocol::TCP, &[&bytes]).unwrap()
    }

    #[test]
    fn the_announced_size_sinks_and_the_sum_stays_right() {
        for ends in [["10.77.0.2", "10.77.0.3"], ["fd77::2", "fd77::3"]] {
            for options in [&[2, 4, 5, 0xb4][..], &[1, 2, 4, 5, 0xb4, 1, 1, 1], &[3, 3, 7, 2, 4, 5, 0xb4, 0]] {
                let mut bytes = syn(options, Flags::SYN, ends);
                assert!(clamp(&mut bytes, 1240));
                Packet::parse(&bytes).unwrap().verify().unwrap();
                let at = option(&bytes).unwrap();
                assert_eq!(bytes[at..at + 2], 1240_u16.to_be_bytes());
                assert_eq!(announced(&bytes), Some(1240));
                assert!(!clamp(&mut bytes, 1240));
            }
        }
    }

    #[test]
    fn a_segment_fits_with_its_headers() {
        assert_eq!((fitting(1420, true), fitting(1280, false), fitting(9, true)), (1380, 1220, 0));
    }

    #[test]
    fn what_announces_nothing_is_left_alone() {
        let ends = ["10.77.0.2", "10.77.0.3"];
        for mut bytes in [syn(&[2, 4, 5, 0xb4], Flags::ACK, ends), syn(&[1, 1, 2, 9], Flags::SYN, ends), vec![0x45; 30]]
        {
            let before = bytes.clone();
            assert!(!clamp(&mut bytes, 500));
            assert_eq!((announced(&bytes), bytes), (None, before));
        }
    }
}
