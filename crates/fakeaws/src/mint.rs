//! Draws keys and tokens from a seed: the same seed gives the same sequence, and nothing asks for randomness.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sha2::{Digest as _, Sha256};

/// The letters of access key ids.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A sequence of unguessable texts, as unguessable as its seed.
pub(crate) struct Mint {
    seed: u64,
    drawn: u64,
}

impl Mint {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// `AKIA…` or `ASIA…`: the prefix and 16 letters.
    pub(crate) fn key_id(&mut self, prefix: &str) -> String {
        let letters = self.bytes().into_iter().take(16).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        prefix.chars().chain(letters).collect()
    }

    /// 40 characters, with `/` and `+` like AWS's.
    pub(crate) fn secret_key(&mut self) -> String {
        STANDARD.encode(&self.bytes()[..30])
    }

    /// A session token: long, ends in `=`, needs escaping in a form.
    pub(crate) fn session_token(&mut self) -> String {
        let bytes: Vec<u8> = (0..9).flat_map(|_| self.bytes()).collect();
        format!("IQoJb3JpZ2luX2Vj{}", STANDARD.encode(&bytes[..286]))
    }

    /// An opaque token with a telling prefix.
    pub(crate) fn token(&mut self, prefix: &str) -> String {
        let bytes = [self.bytes(), self.bytes()].concat();
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `ABCD-EFGH`, for people to type.
    pub(crate) fn user_code(&mut self) -> String {
        let code = self.key_id("");
        format!("{}-{}", &code[..4], &code[4..8])
    }

    /// A request id in the form of a UUID.
    pub(crate) fn request_id(&mut self) -> String {
        let hex = hex(&self.bytes()[..16]);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn bytes(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut digest = Sha256::new();
        digest.update(self.seed.to_be_bytes());
        digest.update(self.drawn.to_be_bytes());
        digest.finalize().into()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_forms_of_aws_and_never_repeat() {
        let mut mint = Mint::new(7);
        let (id, secret, token) = (mint.key_id("ASIA"), mint.secret_key(), mint.session_token());
        assert_eq!((id.len(), secret.len()), (20, 40));
        assert!(token.ends_with('=') && token.len() > 300);
        assert_ne!(mint.key_id("ASIA"), id);
        assert_eq!(mint.user_code().len(), 9);
        assert_eq!(mint.request_id().len(), 36);
        assert_eq!(Mint::new(7).key_id("ASIA"), id);
    }
}
