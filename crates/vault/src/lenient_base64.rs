//! Base64 as Python's `base64.b64decode` reads it without `validate`, because that is what made the envelopes.
//!
//! Characters outside the alphabet are dropped, what stands behind complete padding is not looked at, and missing
//! padding is an error. The differences to a strict reader are tested against Python itself.

/// Why a text is no base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotBase64 {
    /// The last group is incomplete, as after a cut.
    Incomplete,
    /// Characters that are no ASCII.
    Foreign,
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, NotBase64> {
    if !text.is_ascii() {
        return Err(NotBase64::Foreign);
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut group, mut filled, mut pads) = (0_u32, 0_u32, 0_u32);
    for character in text.bytes() {
        if character == b'=' {
            pads += 1;
            if filled >= 2 && filled + pads >= 4 {
                return Ok(bytes);
            }
            continue;
        }
        let Some(value) = value(character) else { continue };
        pads = 0;
        group = (group << 6) | value;
        filled = (filled + 1) % 4;
        if filled != 1 {
            // 2, 3 and 4 characters complete the first, second and third byte.
            let spare = [0, 0, 4, 2][filled as usize];
            bytes.push(u8::try_from((group >> spare) & 0xff).unwrap_or_default());
        }
        if filled == 0 {
            group = 0;
        }
    }
    if filled == 0 { Ok(bytes) } else { Err(NotBase64::Incomplete) }
}

fn value(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_python_reads() {
        // Left: the text. Right: what Python 3.11's base64.b64decode gives, as hex; "-" where it raises.
        let cases = [
            ("", ""),
            ("aGk=", "6869"),
            ("aGk", "-"),
            ("aG=k", "-"),
            ("aG==k", "68"),
            ("a", "-"),
            ("aG\nk=", "6869"),
            ("a-G_k=", "6869"),
            ("aGk=aGk=", "6869"),
            ("=aGk=", "6869"),
            ("aGVq", "68656a"),
            ("aGVqa", "-"),
            ("aGVqa===", "-"),
            ("====", ""),
        ];
        for (text, expected) in cases {
            let read = decode(text).map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            assert_eq!(read.as_deref().unwrap_or("-"), expected, "{text:?}");
        }
        assert_eq!(decode("aGk\u{e9}="), Err(NotBase64::Foreign));
    }

    proptest! {
        #[test]
        fn standard_base64_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&STANDARD.encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            decode(&text).ok();
        }
    }
}
