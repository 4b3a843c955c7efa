//! Does a checksum file fit the file beside it? Publishers write the one after the other, and a cache that asks in
//! between has two generations.

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Whether `text`, the contents of `key`, is the checksum of `parent`. A file that does not begin with as many hex
/// digits as its name promises is none of ours to judge.
pub(crate) fn fits(key: &str, text: &[u8], parent: &[u8]) -> bool {
    let Some((_, kind)) = key.rsplit_once('.') else { return true };
    let found = match kind {
        "md5" => hex(&Md5::digest(parent)),
        "sha1" => hex(&Sha1::digest(parent)),
        "sha256" => hex(&Sha256::digest(parent)),
        "sha512" => hex(&Sha512::digest(parent)),
        _ => return true,
    };
    let Ok(text) = std::str::from_utf8(text) else { return true };
    // `digest`, `digest  name`: both are found in the wild.
    let given = text.split_ascii_whitespace().next().unwrap_or_default();
    let judged = given.len() == found.len() && given.bytes().all(|byte| byte.is_ascii_hexdigit());
    !judged || given.eq_ignore_ascii_case(&found)
}

/// What tells a file from every other, in lower-case hex: the sums that clients ask for most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) md5: String,
    pub(crate) sha1: String,
    pub(crate) sha256: String,
}

impl Fingerprint {
    /// The sum of this kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Option<&str> {
        match kind {
            "md5" => Some(&self.md5),
            "sha1" => Some(&self.sha1),
            "sha256" => Some(&self.sha256),
            _ => None,
        }
    }
}

/// A running SHA-256.
#[derive(Clone, Debug, Default)]
pub struct Sha256Sum(Sha256);

impl Sha256Sum {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In lower-case hex.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_told_by_the_name_and_forms_in_the_wild_are_read() {
        assert!(fits("m.xml.sha1", b"AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D  m.xml\n", b"hello"));
        assert!(fits("m.xml.md5", b"5d41402abc4b2a76b9719d911017c592", b"hello"));
        assert!(!fits("m.xml.md5", b"5d41402abc4b2a76b9719d911017c592", b"other"));
        assert!(!fits("m.xml.sha256", "0".repeat(64).as_bytes(), b"hello"));
        assert!(!fits("m.xml.sha512", "0".repeat(128).as_bytes(), b"hello"));
    }

    #[test]
    fn what_is_no_checksum_is_not_judged() {
        assert!(fits("m.xml.sha1", b"", b"hello") && fits("m.xml.sha1", b"<html>", b"hello") && fits("m", b"x", b"y"));
    }
}
