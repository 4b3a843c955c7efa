//! Public keys: their kind, their size, their fingerprint, and the line of `id_….pub`.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ring::digest::{SHA256, digest};

use super::wire::Reader;

/// The longest line of a public key that is read.
const LONGEST_LINE: usize = 16 * 1024;
/// The most bits that OpenSSH gives an RSA key.
const MOST_RSA_BITS: u32 = 16_384;

/// What sort of key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ssh-rsa`, with the size of its modulus.
    Rsa {
        /// Of the modulus.
        bits: u32,
    },
    /// `ecdsa-sha2-…`.
    Ecdsa,
    /// `sk-…`: the private part is in a security key.
    Hardware,
    /// Anything else, by the name that it gives itself.
    Other(String),
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ed25519 => f.write_str("ed25519"),
            Self::Rsa { bits } => write!(f, "RSA with {bits} bits"),
            Self::Ecdsa => f.write_str("ECDSA"),
            Self::Hardware => f.write_str("security key (`sk-…`)"),
            Self::Other(name) => write!(f, "`{name}`"),
        }
    }
}

/// A public key that was read whole: nothing in it is out of bounds, and nothing is left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    name: String,
    blob: Vec<u8>,
}

/// A text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no public SSH key (`ssh-ed25519 AAAA… comment`)")]
pub struct PublicKeyError;

impl PublicKey {
    /// Reads the binary form.
    ///
    /// # Errors
    /// [`PublicKeyError`]
    pub fn from_blob(blob: &[u8]) -> Result<Self, PublicKeyError> {
        let (name, kind) = parse(blob).ok_or(PublicKeyError)?;
        Ok(Self { kind, name, blob: blob.to_vec() })
    }

    /// Reads `KIND BASE64 [COMMENT]`.
    ///
    /// # Errors
    /// [`PublicKeyError`]
    pub fn from_line(line: &str) -> Result<Self, PublicKeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(text)) = (words.next(), words.next()) else { return Err(PublicKeyError) };
        if line.len() > LONGEST_LINE {
            return Err(PublicKeyError);
        }
        let key = Self::from_blob(&STANDARD.decode(text).map_err(|_| PublicKeyError)?)?;
        if key.name == name { Ok(key) } else { Err(PublicKeyError) }
    }

    /// What sort of key.
    #[must_use]
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// The binary form.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, &self.blob)))
    }

    /// `KIND BASE64`, without a comment.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.name, STANDARD.encode(&self.blob))
    }

    /// The 32 bytes of an ed25519 key.
    pub(crate) fn ed25519(&self) -> Option<&[u8]> {
        (self.kind == KeyKind::Ed25519).then(|| &self.blob[self.blob.len() - 32..])
    }
}

fn parse(blob: &[u8]) -> Option<(String, KeyKind)> {
    let mut reader = Reader::new(blob);
    let name = reader.name().filter(|name| !name.is_empty())?;
    let kind = match name {
        "ssh-ed25519" => {
            reader.string().filter(|key| key.len() == 32)?;
            KeyKind::Ed25519
        }
        "ssh-rsa" => {
            positive(reader.string()?)?;
            KeyKind::Rsa { bits: positive(reader.string()?).filter(|bits| *bits <= MOST_RSA_BITS)? }
        }
        _ => return Some((name.to_owned(), foreign(name))),
    };
    reader.is_empty().then(|| (name.to_owned(), kind))
}

fn foreign(name: &str) -> KeyKind {
    if name.starts_with("sk-") {
        KeyKind::Hardware
    } else if name.starts_with("ecdsa-sha2-") {
        KeyKind::Ecdsa
    } else {
        KeyKind::Other(name.to_owned())
    }
}

/// The bits of a positive number in its shortest form; `None` for any other, which libraries stumble over.
fn positive(bytes: &[u8]) -> Option<u32> {
    let digits = match bytes {
        [0, next, ..] if next & 0x80 != 0 => &bytes[1..],
        [0, ..] | [] => return None,
        [first, ..] if first & 0x80 != 0 => return None,
        _ => bytes,
    };
    u32::try_from(digits.len()).ok()?.checked_mul(8)?.checked_sub(digits[0].leading_zeros())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::wire::put_string, *};

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN somebody";

    #[test]
    fn a_line_gives_kind_and_fingerprint() {
        let key = PublicKey::from_line(ED25519).unwrap();
        assert_eq!((key.kind(), key.ed25519().map(<[u8]>::len)), (&KeyKind::Ed25519, Some(32)));
        assert_eq!(format!("{} somebody", key.line()), ED25519);
        assert!(key.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn numbers_that_make_libraries_panic_are_no_key() {
        for (exponent, modulus) in
            [(&[0_u8][..], &[1_u8; 256][..]), (&[1, 0, 1], &[0]), (&[1, 0, 1], &[]), (&[1, 0, 1], &[0xff; 256])]
        {
            let mut blob = Vec::new();
            for part in [b"ssh-rsa", exponent, modulus] {
                put_string(&mut blob, part);
            }
            assert_eq!(PublicKey::from_blob(&blob), Err(PublicKeyError), "{exponent:?}");
        }
    }

    #[test]
    fn what_is_left_over_or_named_wrongly_is_no_key() {
        let mut blob = PublicKey::from_line(ED25519).unwrap().blob().to_vec();
        assert!(PublicKey::from_line(&ED25519.replacen("ssh-ed25519", "ssh-rsa", 1)).is_err());
        blob.push(0);
        assert_eq!(PublicKey::from_blob(&blob), Err(PublicKeyError));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, line in "(ssh-rsa|ssh-ed25519)? ?[A-Za-z0-9+/= ]{0,200}") {
            PublicKey::from_blob(&bytes).ok();
            PublicKey::from_line(&line).ok();
        }
    }
}
