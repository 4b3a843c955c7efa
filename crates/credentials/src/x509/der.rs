//! Reads DER: one element after the other, no tree, nothing copied. Values of unexpected form are `None`, never a panic.

use bowline_base::Timestamp;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The context-specific constructed tag of that number, as `EXPLICIT` has it.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With its tag and length.
    pub(super) whole: &'a [u8],
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The only element of `bytes`, which must be a sequence.
    pub(super) fn sequence_of(bytes: &'a [u8]) -> Option<Self> {
        Self::new(bytes).sequence()
    }

    pub(super) fn any(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Element { tag, content, whole })
    }

    /// The next element if it has this tag; otherwise nothing is read.
    pub(super) fn next(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        let found = ahead.any().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(found)
    }

    pub(super) fn sequence(&mut self) -> Option<Self> {
        Some(Self(self.next(SEQUENCE)?.content))
    }

    pub(super) fn oid(&mut self) -> Option<&'a [u8]> {
        Some(self.next(OID)?.content)
    }

    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        Some(self.next(OCTET_STRING)?.content)
    }

    /// The bytes of a bit string without unused bits.
    pub(super) fn bits(&mut self) -> Option<&'a [u8]> {
        self.next(BIT_STRING)?.content.split_first().map(|(_, bits)| bits)
    }

    /// A small non-negative integer.
    pub(super) fn number(&mut self) -> Option<u32> {
        let bytes = self.next(INTEGER)?.content;
        let fits = bytes.len() <= 5 && bytes.first().is_some_and(|first| first & 0x80 == 0);
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        u32::try_from(value).ok().filter(|_| fits)
    }

    /// `UTCTime` or `GeneralizedTime`, in UTC as RFC 5280 wants both.
    pub(super) fn time(&mut self) -> Option<Timestamp> {
        let element = self.any()?;
        let text = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
        let full = match element.tag {
            UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", &full).ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_of_time_are_read() {
        let utc = |text: &[u8]| Reader::new(text).time().map(|time| time.to_string());
        assert_eq!(utc(b"\x17\x0d491231235959Z").as_deref(), Some("2049-12-31T23:59:59Z"));
        assert_eq!(utc(b"\x17\x0d500101000000Z").as_deref(), Some("1950-01-01T00:00:00Z"));
        assert_eq!(utc(b"\x18\x0f20991231235959Z").as_deref(), Some("2099-12-31T23:59:59Z"));
        assert_eq!(utc(b"\x17\x0d990231000000Z"), None);
    }

    #[test]
    fn lengths_past_the_end_are_nothing() {
        for bytes in [&b"\x30"[..], b"\x30\x02\x00", b"\x30\x80\x00\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\x01"]
        {
            assert!(Reader::new(bytes).any().is_none(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while let Some(element) = reader.any() {
                let mut inner = Reader::new(element.content);
                let _ = (inner.time(), inner.number(), inner.bits());
            }
        }
    }
}
