//! What is written in front of every cached file: kind and version, then what S3 said of it.
//!
//! The block stands in the same file as the bytes, so that one rename makes both true at once. Its length is a
//! multiple of 512, before big files of a page, and named in the first line; the bytes begin behind it.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
};

use bowline_base::{Timestamp, parse_timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{checksum::Fingerprint, copy::SMALL, upstream::Head};

/// Kind and version. Another version is somebody else's file: treated as absent.
const MAGIC: &str = "bowline-artifact 2 ";
const BLOCK: usize = 512;
const PAGE: usize = 4096;
/// What the fingerprint adds to the text.
const FINGERPRINT: usize = r#","fingerprint":{"md5":"","sha1":"","sha256":""}"#.len() + 32 + 40 + 64;
/// Keys have at most 1,024 bytes, and a header of S3's some hundred.
pub(crate) const LARGEST: usize = 64 * 1024;

/// The name of a copy: a hash, so that every key has one, whatever it looks like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id([u8; 32]);

/// Eight bytes of a hash are hash enough for a table.
impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

impl Id {
    pub(crate) fn of(origin: &str, key: &str) -> Self {
        Self(Sha256::new().chain_update(origin).chain_update([0]).chain_update(key).finalize().into())
    }

    /// Its first bytes.
    pub(crate) fn number(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let pair = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..32).map(|index| pair(index * 2)).collect();
        bytes.filter(|_| text.len() == 64)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a copy besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The upstream's name.
    pub(crate) origin: String,
    pub(crate) key: String,
    pub(crate) head: Head,
    /// When these bytes came.
    pub(crate) stored_at: Timestamp,
    /// Of the bytes. `None` while they come, and in caches of versions that did not compute it.
    pub(crate) fingerprint: Option<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    origin: String,
    key: String,
    length: u64,
    etag: Option<String>,
    last_modified: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    stored_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
}

impl Record {
    /// The block. It is as long without the fingerprint as with it, and can be written again when that is known.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            origin: self.origin.clone(),
            key: self.key.clone(),
            length: self.head.length,
            etag: self.head.etag.clone(),
            last_modified: self.head.last_modified.clone(),
            content_type: self.head.content_type.clone(),
            content_encoding: self.head.content_encoding.clone(),
            stored_at: self.stored_at.to_string(),
            fingerprint: self.fingerprint.clone(),
        };
        let json = serde_json::to_string(&stored).expect("a struct of texts and numbers is always JSON");
        // What is sent page by page begins at one.
        let multiple = if self.head.length > SMALL { PAGE } else { BLOCK };
        // 8 digits and two line ends.
        let reserved = if self.fingerprint.is_none() { FINGERPRINT } else { 0 };
        let length = (MAGIC.len() + 8 + 2 + json.len() + reserved).next_multiple_of(multiple);
        let mut block = format!("{MAGIC}{length:08}\n{json}\n").into_bytes();
        block.resize(length, b' ');
        block
    }

    /// Reads the beginning of a file; answers with where the bytes begin. `None`: not ours, or not whole.
    pub(crate) fn decode(beginning: &[u8]) -> Option<(Self, usize)> {
        let length = Self::block_length(beginning)?;
        let text = std::str::from_utf8(beginning.get(MAGIC.len() + 9..length)?).ok()?;
        let stored: Stored = serde_json::from_str(text.trim_end()).ok()?;
        let head = Head {
            length: stored.length,
            etag: stored.etag,
            last_modified: stored.last_modified,
            content_type: stored.content_type,
            content_encoding: stored.content_encoding,
            md5: None,
            checksums: BTreeMap::new(),
        };
        let stored_at = parse_timestamp(&stored.stored_at).ok()?;
        let fingerprint = stored.fingerprint;
        Some((Self { origin: stored.origin, key: stored.key, head, stored_at, fingerprint }, length))
    }

    /// How long the block is, by its first line.
    pub(crate) fn block_length(beginning: &[u8]) -> Option<usize> {
        let digits = beginning.strip_prefix(MAGIC.as_bytes())?.get(..8)?;
        let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (BLOCK..=LARGEST).contains(&length).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(key: &str) -> Record {
        let head = Head {
            length: 7,
            etag: Some("\"e\"".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            ..Head::default()
        };
        let stored_at = "2026-11-22T02:02:02.5Z".parse().unwrap();
        Record { origin: "s3://b/p".to_owned(), key: key.to_owned(), head, stored_at, fingerprint: None }
    }

    fn with_fingerprint(record: Record) -> Record {
        let (md5, sha1, sha256) = ("a".repeat(32), "b".repeat(40), "c".repeat(64));
        Record { fingerprint: Some(Fingerprint { md5, sha1, sha256 }), ..record }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(key in "\\PC{0,300}") {
            let block = record(&key).encode();
            prop_assert_eq!(block.len() % 512, 0);
            prop_assert_eq!(Record::decode(&block), Some((record(&key), block.len())));
            let again = with_fingerprint(record(&key));
            prop_assert_eq!(again.encode().len(), block.len());
            prop_assert_eq!(Record::decode(&again.encode()), Some((again, block.len())));
        }

        #[test]
        fn a_cut_or_foreign_block_is_nothing(cut in 0_usize..511, junk: Vec<u8>) {
            prop_assert_eq!(Record::decode(&record("k").encode()[..cut]), None);
            prop_assert_eq!(Record::decode(&junk), None);
        }
    }

    #[test]
    fn a_block_from_before_there_were_fingerprints_is_read() {
        let json = r#"{"origin":"o","key":"k","length":7,"etag":null,"last_modified":null,"content_type":null,"content_encoding":null,"stored_at":"2026-11-22T02:02:02Z"}"#;
        let mut block = format!("bowline-artifact 2 00000512\n{json}\n").into_bytes();
        block.resize(512, b' ');
        let (record, length) = Record::decode(&block).unwrap();
        assert_eq!((record.key.as_str(), record.fingerprint, length), ("k", None, 512));
    }

    #[test]
    fn another_version_is_nothing() {
        let block = String::from_utf8(record("k").encode()).unwrap().replace("artifact 2", "artifact 1");
        assert_eq!(Record::decode(block.as_bytes()), None);
    }

    #[test]
    fn names_tell_origins_and_keys_apart_and_can_be_read_back() {
        let id = Id::of("s3://a/", "b");
        assert_ne!(id, Id::of("s3://a", "/b"));
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        assert_eq!(Id::parse("zz"), None);
    }
}
