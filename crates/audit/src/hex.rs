//! Hexadecimal text for hashes, keys and signatures.

use std::fmt::Write as _;

/// Lower case, two digits a byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// The bytes of lower-case digits; `None` for anything else, so that one value has one text.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        assert_eq!(encode(&[0, 0xaf]), "00af");
        assert_eq!(decode("00af"), Some(vec![0, 0xaf]));
        for bad in ["0", "0G", "AF", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
