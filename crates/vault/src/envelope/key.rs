//! From the bytes of a key file to the cipher: two schemes, one cipher.

use base::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_base as base;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use zeroize::Zeroizing;

use super::{NONCE, PREFIX, TAG};
use crate::ssh::{Doubt, KeyFile, Unfit, for_sealing};

const SALT: &[u8] = b"iam-sorry-v1-salt-2025";
const INFO: &[u8] = b"iam-sorry-encryption";

/// How the key is derived. Nothing in a value says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// iam-sorry 0.2: with a salt.
    V1,
    /// iam-sorry 0.1 and before: without.
    Saltless,
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V1 => "iam-sorry-v1",
            Self::Saltless => "iam-sorry-saltless",
        })
    }
}

/// A key file that may be sealed with: it is protected, and of a kind that lasts.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// Checks the bytes of a key file, and derives v1's key from them. A doubt is for the owner to read.
    ///
    /// # Errors
    /// [`Unfit`]
    pub fn new(key_file: &[u8]) -> Result<(Self, Option<Doubt>), Unfit> {
        let doubt = for_sealing(&KeyFile::parse(key_file))?;
        Ok((Self(cipher(key_file, Scheme::V1)), doubt))
    }

    /// Seals `value` as iam-sorry 0.2 would with this nonce. A nonce is used once: take it from the system's randomness.
    #[must_use]
    pub fn seal(&self, value: &Secret, nonce: [u8; NONCE]) -> String {
        let mut bytes = Vec::with_capacity(NONCE + value.expose().len() + TAG);
        bytes.extend_from_slice(&nonce);
        let mut text = Zeroizing::new(value.expose().as_bytes().to_vec());
        let tag = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text);
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(tag.expect("no text that fits in memory is too long for GCM").as_ref());
        format!("{PREFIX}{}", STANDARD.encode(bytes))
    }
}

/// Opens `nonce | ciphertext | tag`; `None` if a bit is not as it was, or the key is another one.
pub(super) fn open(payload: &[u8], key_file: &[u8], scheme: Scheme) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = payload.split_at_checked(NONCE)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let length = cipher(key_file, scheme).open_in_place(nonce, Aad::empty(), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

fn cipher(key_file: &[u8], scheme: Scheme) -> LessSafeKey {
    let salt = match scheme {
        Scheme::V1 => SALT,
        Scheme::Saltless => &[],
    };
    let prk = Salt::new(HKDF_SHA256, salt).extract(key_file);
    let okm = prk.expand(&[INFO], &AES_256_GCM).expect("32 bytes are well within HKDF's limit");
    LessSafeKey::new(UnboundKey::from(okm))
}
