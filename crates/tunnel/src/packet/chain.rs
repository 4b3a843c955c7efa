//! What may stand between an IP header and the transport: options of IPv4, extension headers of IPv6.

use super::{Fragment, IPV6_HEADER, Malformed, protocol};

/// A packet with more is made to be tiresome.
const MOST_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Where the chain ends.
pub(super) struct End {
    pub(super) header: usize,
    pub(super) protocol: u8,
    pub(super) fragment: Option<Fragment>,
}

/// Walks over the extension headers; stops at the data of a fragment.
pub(super) fn walk(bytes: &[u8], first: u8) -> Result<End, Malformed> {
    let mut end = End { header: IPV6_HEADER, protocol: first, fragment: None };
    for place in 0..=MOST_EXTENSIONS {
        let Some(length) = extension(&bytes[end.header..], end.protocol, place)? else { return Ok(end) };
        let here = bytes.get(end.header..end.header + length).ok_or(Malformed::Truncated)?;
        if end.protocol == protocol::FRAGMENT {
            end.fragment = part(here);
        }
        (end.header, end.protocol) = (end.header + length, here[0]);
        if end.fragment.is_some() {
            return Ok(end);
        }
    }
    Err(Malformed::Extensions)
}

/// How long the extension header of this kind is at the beginning of `rest`; none if it is none.
fn extension(rest: &[u8], kind: u8, place: usize) -> Result<Option<usize>, Malformed> {
    let start = || rest.first_chunk::<8>().ok_or(Malformed::Truncated);
    match kind {
        HOP_BY_HOP if place > 0 => Err(Malformed::Extensions),
        ROUTING if start()?[3] > 0 => Err(Malformed::SourceRoute),
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => Ok(Some((usize::from(start()?[1]) + 1) * 8)),
        AUTHENTICATION => Ok(Some((usize::from(start()?[1]) + 2) * 4)),
        protocol::FRAGMENT => start().map(|_| Some(8)),
        _ => Ok(None),
    }
}

/// The fragment header; none for one that holds the whole packet (RFC 6946).
fn part(header: &[u8]) -> Option<Fragment> {
    let [_, _, high, low, id @ ..] = header.first_chunk::<8>()?;
    let field = u16::from_be_bytes([*high, *low]);
    let (offset, more) = (usize::from(field & !7), field & 1 == 1);
    (offset > 0 || more).then_some(Fragment { id: u32::from_be_bytes(*id), offset, more })
}

/// Refuses source routes among the options of IPv4, and options that run past the header.
pub(super) fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const LOOSE_ROUTE: u8 = 131;
    const STRICT_ROUTE: u8 = 137;
    while let Some((kind, rest)) = options.split_first() {
        options = match *kind {
            END => return Ok(()),
            NOTHING => rest,
            LOOSE_ROUTE | STRICT_ROUTE => return Err(Malformed::SourceRoute),
            _ => {
                let length = usize::from(*rest.first().ok_or(Malformed::Length)?);
                options.get(length.max(2)..).filter(|_| length >= 2).ok_or(Malformed::Length)?
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    /// An IPv6 packet of these extension headers and 4 bytes.
    fn v6(first: u8, extensions: &[u8]) -> Vec<u8> {
        let length = u16::try_from(extensions.len() + 4).unwrap();
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([first, 64]);
        bytes.extend([0xfd; 32]);
        bytes.extend(extensions);
        bytes.extend(b"data");
        bytes
    }

    #[test]
    fn extension_headers_are_walked_over() {
        let hop = [DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 0];
        let options = [protocol::UDP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = v6(HOP_BY_HOP, &[&hop[..], &options].concat());
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.protocol, packet.payload()), (protocol::UDP, &b"data"[..]));
    }

    #[test]
    fn a_fragment_says_which_part_it_is_and_a_whole_one_is_none() {
        let bytes = v6(protocol::FRAGMENT, &[protocol::UDP, 0, 0x05, 0xa9, 0, 0, 0, 7]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.fragment, Some(Fragment { id: 7, offset: 1448, more: true }));
        let bytes = v6(protocol::FRAGMENT, &[protocol::UDP, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(Packet::parse(&bytes).unwrap().fragment, None);
    }

    #[test]
    fn source_routes_are_refused_in_both_families() {
        let bytes = v6(ROUTING, &[protocol::UDP, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(Packet::parse(&bytes), Err(Malformed::SourceRoute));
        let done = v6(ROUTING, &[protocol::UDP, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Packet::parse(&done).unwrap().protocol, protocol::UDP);
        for options in [&[131, 7, 4, 1, 2, 3, 4][..], &[1, 1, 137, 3, 4]] {
            assert_eq!(check_options(options), Err(Malformed::SourceRoute));
        }
    }

    #[test]
    fn endless_misplaced_and_cut_headers_are_refused() {
        let many = [DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 0].repeat(MOST_EXTENSIONS + 1);
        assert_eq!(Packet::parse(&v6(DESTINATION_OPTIONS, &many)), Err(Malformed::Extensions));
        let second = [HOP_BY_HOP, 0, 0, 0, 0, 0, 0, 0].repeat(2);
        assert_eq!(Packet::parse(&v6(HOP_BY_HOP, &second)), Err(Malformed::Extensions));
        assert_eq!(Packet::parse(&v6(DESTINATION_OPTIONS, &[17, 200, 0, 0, 0, 0, 0, 0])), Err(Malformed::Truncated));
        for options in [&[7, 1][..], &[7, 40, 0], &[7]] {
            assert_eq!(check_options(options), Err(Malformed::Length));
        }
        assert_eq!(check_options(&[7, 3, 0, 0, 99]), Ok(()));
    }
}
