//! The Internet's checksum (RFC 1071), eight bytes at a time in whichever order the machine has them: the sum does not care,
//! and every packet of a download goes through here. An addition with its carry needs no compiler that makes vectors of it:
//! linked as the release is, it makes none.

use smoltcp::wire::checksum::combine;

use super::protocol;

/// Where a TCP header has its checksum.
const TCP_PLACE: usize = 16;

/// The folded sum of `bytes`, as network order reads them.
pub(crate) fn data(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut sum: u128 = words.iter().chain([&last]).map(|word| u128::from(u64::from_ne_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::from_be_bytes((sum as u16).to_ne_bytes())
}

/// Writes the checksum of a TCP segment that has zeros there, in a packet without options or extensions.
pub(crate) fn finish_tcp(packet: &mut [u8]) -> Option<()> {
    let (addresses, header) = if packet.first()? >> 4 == 4 { (12..20, 20) } else { (8..40, 40) };
    let addresses = data(packet.get(addresses)?);
    let segment = packet.get_mut(header..)?;
    let length = u32::try_from(segment.len()).ok()?;
    let halves = [(length >> 16) as u16, length as u16];
    let sum = !combine(&[addresses, u16::from(protocol::TCP), halves[0], halves[1], data(segment)]);
    segment.get_mut(TCP_PLACE..TCP_PLACE + 2)?.copy_from_slice(&sum.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smoltcp::wire::checksum;

    use super::*;
    use crate::packet::{Packet, build};

    proptest! {
        #[test]
        fn it_is_the_sum_that_smoltcp_makes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(data(&bytes), checksum::data(&bytes));
        }

        #[test]
        fn a_segment_with_it_is_taken_and_one_with_another_is_not(
            payload in prop::collection::vec(any::<u8>(), 0..90), v4 in any::<bool>(), bit in 0..8_u32,
        ) {
            let ends = if v4 { ["10.77.0.1", "10.77.0.2"] } else { ["fd77::1", "fd77::2"] };
            let [from, to] = ends.map(|end| end.parse().unwrap());
            let head = [0, 80, 0x13, 0x88, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
            let mut bytes = build::message(from, to, protocol::TCP, &[&head, &payload]).unwrap();
            let place = bytes.len() - payload.len() - 4;
            bytes[place..place + 2].fill(0);
            finish_tcp(&mut bytes).unwrap();
            prop_assert!(Packet::parse(&bytes).unwrap().verify().is_ok());
            bytes[place] ^= 1 << bit;
            prop_assert!(Packet::parse(&bytes).unwrap().verify().is_err());
        }
    }

    #[test]
    fn what_is_too_short_is_left_alone() {
        assert_eq!(finish_tcp(&mut []), None);
        assert_eq!(finish_tcp(&mut [0x45; 30]), None);
    }
}
