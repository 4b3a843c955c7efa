//! Proof that the process that began a sign-in is the one that ends it (RFC 7636), and the state that comes back.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bowline_base::{Fault, Secret};
use bowline_host::client::random_bytes;
use sha2::{Digest as _, Sha256};

/// What is known to this process only until the end, and what is sent ahead.
pub(super) struct Proof {
    pub(super) verifier: Secret,
    pub(super) challenge: String,
    pub(super) state: Secret,
}

impl Proof {
    /// From the system's randomness.
    pub(super) fn new() -> Result<Self, Fault> {
        Ok(Self::of(random_bytes()?, random_bytes()?))
    }

    fn of(verifier: [u8; 32], state: [u8; 32]) -> Self {
        let verifier = URL_SAFE_NO_PAD.encode(verifier);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        Self { verifier: Secret::new(verifier), challenge, state: Secret::new(URL_SAFE_NO_PAD.encode(state)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_the_one_of_the_rfc() {
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191,
            240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let proof = Proof::of(octets, [0; 32]);
        assert_eq!(proof.verifier.expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(proof.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
