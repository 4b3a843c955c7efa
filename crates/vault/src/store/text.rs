//! Secrets in our JSON: read straight into wiped memory, written into a buffer that never moves.
//!
//! A buffer that grows leaves copies behind where it was, so the room is measured before anything is written.

use base::Secret;
use bowline_base as base;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// A [`Secret`] as a JSON string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text(pub(super) Secret);

impl Text {
    pub(super) fn of(secret: &Secret) -> Self {
        Self(secret.clone())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Secret::new(text)))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The JSON of `document` in memory that is wiped.
pub(super) fn encode(document: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut measure = Measure(0);
    serde_json::to_writer(&mut measure, document).expect("counting cannot fail, and every key is a string");
    let mut bytes = Zeroizing::new(Vec::with_capacity(measure.0));
    serde_json::to_writer(&mut *bytes, document).expect("writing to memory cannot fail");
    bytes
}

struct Measure(usize);

impl std::io::Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_back_and_the_buffer_did_not_move() {
        let text = Text::of(&Secret::new("a\"/+\n\u{1}é"));
        let json = encode(&text);
        assert_eq!(json.len(), json.capacity());
        assert_eq!(serde_json::from_slice::<Text>(&json).unwrap(), text);
    }
}
