//! WireGuard datagrams in a stream: two bytes of length, most significant first, and then the datagram. An empty one means
//! nothing and may be sent to keep a connection open. Both directions are alike.

use bytes::{Buf as _, BytesMut};

/// Says that what follows is framed so.
pub(crate) const HEADER: &str = "bowline-framing";
/// Its value.
pub(crate) const VERSION: &str = "datagrams-1";
/// What a length can say.
pub(crate) const LONGEST: usize = u16::MAX as usize;

/// Adds `datagram` to what is to be sent. One that no length can say is left out, as a network would lose it.
pub(crate) fn put(out: &mut Vec<u8>, datagram: &[u8]) {
    let Ok(length) = u16::try_from(datagram.len()) else { return };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(datagram);
}

/// Takes the next whole datagram from what has come; `None` until it has. Empty ones are passed over.
pub(crate) fn take(come: &mut BytesMut) -> Option<BytesMut> {
    loop {
        let length = usize::from(u16::from_be_bytes([*come.first()?, *come.get(1)?]));
        if come.len() < 2 + length {
            return None;
        }
        come.advance(2);
        if length > 0 {
            return Some(come.split_to(length));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_however_the_stream_is_cut(
            sizes in proptest::collection::vec(0_usize..3000, 0..20),
            cuts in 1_usize..700,
        ) {
            let sent: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(number, size)| vec![number as u8; *size]).collect();
            let mut stream = Vec::new();
            sent.iter().for_each(|datagram| put(&mut stream, datagram));
            let (mut come, mut got) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(cuts) {
                come.extend_from_slice(piece);
                while let Some(datagram) = take(&mut come) {
                    got.push(datagram.to_vec());
                }
            }
            let expected: Vec<Vec<u8>> = sent.into_iter().filter(|datagram| !datagram.is_empty()).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(come.is_empty());
        }
    }

    #[test]
    fn what_no_length_can_say_is_lost() {
        let mut stream = Vec::new();
        put(&mut stream, &vec![0; LONGEST + 1]);
        assert!(stream.is_empty());
    }
}
