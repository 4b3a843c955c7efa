//! Whether the bytes that came are those that were promised: computed while they are written, judged at the end.
//!
//! S3 promises an MD5 by the ETag of plain objects and, where they were stored with one, checksums of their own; Maven
//! repositories name theirs in headers, or keep them in a file beside. Which of them is there is the upstream's business.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{
    checksum::{Fingerprint, hex},
    upstream::Head,
};

/// Every sum that a file needs, running.
pub(crate) struct Digests {
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256,
    crcs: Vec<(&'static str, Crc)>,
}

/// What was computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) fingerprint: Fingerprint,
    /// By algorithm, in lower-case hex; those that were promised.
    crcs: Vec<(&'static str, String)>,
}

/// What the promises came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Every promise that could be held against the bytes holds; at least one was there.
    Right,
    /// Nothing was promised.
    Unknown,
    /// This algorithm's sum is another one.
    Wrong(&'static str),
}

const CRCS: [(&str, u64, u32); 3] =
    [("crc32", 0xedb8_8320, 32), ("crc32c", 0x82f6_3b78, 32), ("crc64nvme", 0x9a6c_9329_ac4b_c9b5, 64)];

impl Digests {
    /// The fingerprint, and what else is needed for the promises of `head`.
    pub(crate) fn of(head: &Head) -> Self {
        let wants = |kind: &str| head.checksums.contains_key(kind);
        let crc = |&(kind, polynomial, bits): &(&'static str, u64, u32)| (kind, Crc::new(polynomial, bits));
        Self {
            md5: Md5::new(),
            sha1: Sha1::new(),
            sha256: Sha256::new(),
            crcs: CRCS.iter().filter(|(kind, ..)| wants(kind)).map(crc).collect(),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha1.update(bytes);
        self.sha256.update(bytes);
        self.crcs.iter_mut().for_each(|(_, crc)| crc.update(bytes));
    }

    pub(crate) fn finish(self) -> Sums {
        let fingerprint = Fingerprint {
            md5: hex(&self.md5.finalize()),
            sha1: hex(&self.sha1.finalize()),
            sha256: hex(&self.sha256.finalize()),
        };
        Sums { fingerprint, crcs: self.crcs.into_iter().map(|(kind, crc)| (kind, crc.finish())).collect() }
    }
}

impl Sums {
    /// Holds the sums against the promises of `head` (its ETag's MD5 apart) and against `beside`, the SHA-1 of a file of
    /// its own.
    pub(crate) fn judge(&self, head: &Head, beside: Option<&str>) -> Judgement {
        let Fingerprint { md5, sha1, sha256 } = &self.fingerprint;
        let crcs = self.crcs.iter().map(|(kind, sum)| (*kind, sum));
        let mut judgement = Judgement::Unknown;
        for (kind, found) in [("md5", md5), ("sha1", sha1), ("sha256", sha256)].into_iter().chain(crcs) {
            let promised = head.checksums.get(kind).map(String::as_str);
            let promised = promised.into_iter().chain(beside.filter(|_| kind == "sha1"));
            for promise in promised.filter(|promise| promise.len() == found.len()) {
                if !promise.eq_ignore_ascii_case(found) {
                    return Judgement::Wrong(kind);
                }
                judgement = Judgement::Right;
            }
        }
        judgement
    }
}

/// The first word of a `.sha1` file, where it is one.
pub(crate) fn sha1_in(text: &[u8]) -> Option<String> {
    let word = std::str::from_utf8(text).ok()?.split_ascii_whitespace().next()?;
    (word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| word.to_ascii_lowercase())
}

/// A reflected CRC with all bits set before and inverted after, as all three of S3's are.
struct Crc {
    table: Box<[u64; 256]>,
    state: u64,
    mask: u64,
}

impl Crc {
    fn new(polynomial: u64, bits: u32) -> Self {
        let mask = u64::MAX >> (64 - bits);
        let mut table = Box::new([0; 256]);
        for (byte, entry) in (0_u64..).zip(table.iter_mut()) {
            *entry = (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 });
        }
        Self { table, state: mask, mask }
    }

    fn update(&mut self, bytes: &[u8]) {
        let step = |crc: u64, byte: &u8| (crc >> 8) ^ self.table[usize::from(crc as u8 ^ byte)];
        self.state = bytes.iter().fold(self.state, step);
    }

    fn finish(self) -> String {
        let width = self.mask.count_ones() as usize / 4;
        format!("{:0width$x}", self.state ^ self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(promises: &[(&str, &str)]) -> Head {
        let checksums = promises.iter().map(|(kind, sum)| ((*kind).to_owned(), (*sum).to_owned())).collect();
        Head { checksums, ..Head::default() }
    }

    fn sums(head: &Head, pieces: &[&[u8]]) -> Sums {
        let mut digests = Digests::of(head);
        pieces.iter().for_each(|piece| digests.update(piece));
        digests.finish()
    }

    #[test]
    fn the_check_values_of_every_algorithm() {
        // From the catalogue of parametrised CRC algorithms and RFC 3174.
        let promises = head(&[
            ("crc32", "cbf43926"),
            ("crc32c", "e3069283"),
            ("crc64nvme", "ae8b14860a799888"),
            ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
            ("md5", "25f9e794323b453885f5181f1b624d0b"),
        ]);
        let found = sums(&promises, &[b"1234", b"", b"56789"]);
        assert_eq!(found.judge(&promises, None), Judgement::Right);
        for kind in promises.checksums.keys() {
            let mut wrong = promises.clone();
            let sum = wrong.checksums.get_mut(kind).unwrap();
            *sum = "0".repeat(sum.len());
            assert!(matches!(found.judge(&wrong, None), Judgement::Wrong(found) if found == kind), "{kind}");
        }
    }

    #[test]
    fn a_file_beside_is_held_against_the_bytes_and_nonsense_is_not() {
        let none = head(&[]);
        let found = sums(&none, &[b"hello"]);
        assert_eq!(found.judge(&none, Some("AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D")), Judgement::Right);
        assert_eq!(found.judge(&none, Some(&"0".repeat(40))), Judgement::Wrong("sha1"));
        assert_eq!(found.judge(&none, Some("")), Judgement::Unknown);
        assert_eq!(sha1_in(b"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d  a.jar\n").unwrap().len(), 40);
        assert_eq!((sha1_in(b"<html>"), sha1_in(b""), sha1_in(&[0xff; 40])), (None, None, None));
    }
}
