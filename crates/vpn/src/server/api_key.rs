//! Keys of the API: 256 random bits, shown once, kept as a hash, compared in constant time.
//!
//! A key is as random as its hash, so one round of SHA-256 is enough: there is nothing to guess.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bowline_base::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What a key opens; it shows in the key's first letters, for people and for whoever searches for leaked ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Administration.
    Master,
    /// One user's record.
    User,
    /// One acceptance of one invitation.
    Invitation,
}

impl Purpose {
    fn prefix(self) -> &'static str {
        match self {
            Self::Master => "bvm_",
            Self::User => "bvu_",
            Self::Invitation => "bvi_",
        }
    }
}

/// A new key, from `random` bits.
#[must_use]
pub fn new_key(purpose: Purpose, random: &[u8; 32]) -> Secret {
    Secret::new(format!("{}{}", purpose.prefix(), BASE64_URL_SAFE_NO_PAD.encode(random)))
}

/// What is kept of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of `key`, blanks around it left off.
    #[must_use]
    pub fn of(key: &Secret) -> Self {
        Self(Sha256::digest(key.expose().trim()).into())
    }

    /// Whether it is of the same key; takes as long whatever the answer is.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// As it stands in the store: 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads [`KeyHash::hex`].
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// The first digits, enough to tell two apart.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({})", &self.hex()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_its_hash_alone() {
        let key = new_key(Purpose::User, &[7; 32]);
        assert!(key.expose().starts_with("bvu_") && key.expose().len() == 47);
        let kept = KeyHash::from_hex(&KeyHash::of(&key).hex()).unwrap();
        assert!(kept.matches(&KeyHash::of(&Secret::new(format!(" {}\n", key.expose())))));
        assert!(!kept.matches(&KeyHash::of(&new_key(Purpose::User, &[8; 32]))));
        assert!(KeyHash::from_hex("").is_none() && KeyHash::from_hex(&"g".repeat(64)).is_none());
    }
}
