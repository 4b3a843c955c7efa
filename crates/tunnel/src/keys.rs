//! Keys as WireGuard writes them: 32 bytes, in base64.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use boringtun::x25519;
use bowline_base::Secret;
use zeroize::Zeroizing;

/// Not 32 bytes in base64. The text is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 44 characters of base64, as `wg genkey` and `wg pubkey` print it")]
pub struct KeyError;

/// Who a peer is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(*decoded(text)?))
    }
}

/// A private or preshared key. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// The key that these bytes are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The private key that `wg genkey` would make of 32 random bytes.
    #[must_use]
    pub fn generate(mut random: [u8; 32]) -> Self {
        random[0] &= 248;
        random[31] = (random[31] & 127) | 64;
        Self::from_bytes(random)
    }

    /// Reads base64.
    ///
    /// # Errors
    /// [`KeyError`], which does not repeat the text.
    pub fn parse(text: &Secret) -> Result<Self, KeyError> {
        Ok(Self(decoded(text.expose())?))
    }

    /// The public half of a private key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519::PublicKey::from(&self.x25519()).to_bytes())
    }

    /// The key as it stands in a file.
    #[must_use]
    pub fn to_base64(&self) -> Secret {
        Secret::new(BASE64_STANDARD.encode(self.0.as_slice()))
    }

    /// The form that the handshake takes.
    pub(crate) fn x25519(&self) -> x25519::StaticSecret {
        x25519::StaticSecret::from(*self.0)
    }

    /// The bytes, for a preshared key.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

fn decoded(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).map_err(|_| KeyError)?);
    Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| KeyError)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `wg genkey` and `wg pubkey`.
    #[test]
    fn the_public_half_is_the_one_that_wg_prints() {
        let private = SecretKey::parse(&Secret::new("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=")).unwrap();
        assert_eq!(private.public().to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
        assert_eq!(format!("{private:?}"), "SecretKey(…)");
    }

    #[test]
    fn a_made_key_is_clamped_as_wg_does_and_reads_back() {
        for random in [[0; 32], [255; 32]] {
            let key = SecretKey::generate(random);
            let bytes = *key.0;
            assert_eq!((bytes[0] & 7, bytes[31] & 192), (0, 64));
            assert_eq!(SecretKey::parse(&key.to_base64()), Ok(key));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        for wrong in ["", "hunter2", "AAAA", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo"] {
            assert_eq!(wrong.parse::<PublicKey>(), Err(KeyError), "{wrong}");
        }
    }
}
