//! Private keys: what their files hold, and signing with them.

use bowline_aws::rolesanywhere::Algorithm;
use p384::ecdsa::signature::hazmat::PrehashSigner as _;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    certificate::PublicKey,
    der::{Reader, context},
    flaw::Flaw,
};

pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The curves that Roles Anywhere takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn of(oid: &[u8]) -> Option<Self> {
        match oid {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => Some(Self::P256),
            [0x2b, 0x81, 0x04, 0x00, 0x22] => Some(Self::P384),
            [0x2b, 0x81, 0x04, 0x00, 0x23] => Some(Self::P521),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// A private key as it stood in a file. Wiped from memory when dropped.
pub(crate) enum PrivateKey {
    /// The DER of PKCS#1's `RSAPrivateKey`.
    Rsa(Zeroizing<Vec<u8>>),
    /// The secret number, as long as the curve's are.
    Ec(Curve, Zeroizing<Vec<u8>>),
}

impl PrivateKey {
    /// `-----BEGIN RSA PRIVATE KEY-----`
    pub(super) fn pkcs1(der: &[u8]) -> Self {
        Self::Rsa(Zeroizing::new(der.to_vec()))
    }

    /// `-----BEGIN EC PRIVATE KEY-----`; `curve` where it is told outside.
    pub(super) fn sec1(der: &[u8], curve: Option<Curve>) -> Result<Self, Flaw> {
        let read = || {
            let mut key = Reader::sequence_of(der)?;
            key.number().filter(|version| *version == 1)?;
            let secret = key.octets()?;
            let parameters = key.next(context(0)).and_then(|named| Reader::new(named.content).oid());
            Some((secret, parameters))
        };
        let (secret, parameters) = read().ok_or_else(broken)?;
        let curve = curve.or_else(|| Curve::of(parameters?)).ok_or_else(other_curve)?;
        let digits = &secret[secret.iter().take_while(|byte| **byte == 0).count()..];
        let mut padded = Zeroizing::new(vec![0; curve.bytes()]);
        let start = curve.bytes().checked_sub(digits.len()).ok_or_else(broken)?;
        padded[start..].copy_from_slice(digits);
        Ok(Self::Ec(curve, padded))
    }

    /// `-----BEGIN PRIVATE KEY-----`
    pub(super) fn pkcs8(der: &[u8]) -> Result<Self, Flaw> {
        let read = || {
            let mut info = Reader::sequence_of(der)?;
            info.number()?;
            let mut algorithm = info.sequence()?;
            Some((algorithm.oid()?, algorithm, info.octets()?))
        };
        let (id, mut algorithm, key) = read().ok_or_else(broken)?;
        match id {
            RSA => Ok(Self::pkcs1(key)),
            EC => Self::sec1(key, Some(algorithm.oid().and_then(Curve::of).ok_or_else(other_curve)?)),
            _ => Err(Flaw::new(
                "holds a key that is neither RSA nor on an elliptic curve that Roles Anywhere takes",
                "make a key with `openssl ecparam -name prime256v1 -genkey -noout -out NEW` and a certificate for it",
            )),
        }
    }
}

/// A private key that is known to belong to a certificate.
pub(crate) enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    P384(Box<p384::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
}

impl SigningKey {
    /// `None`: the key is another one than the certificate's.
    pub(super) fn of(private: &PrivateKey, public: &PublicKey) -> Result<Option<Self>, Flaw> {
        let found = match (private, public) {
            (PrivateKey::Rsa(der), PublicKey::Rsa(public)) => {
                let pair = RsaKeyPair::from_der(der).map_err(|why| unfit(&why))?;
                (pair.public().as_ref() == public).then(|| Self::Rsa(Box::new(pair)))
            }
            (PrivateKey::Ec(Curve::P256, secret), PublicKey::Ec(Curve::P256, public)) => {
                let random = SystemRandom::new();
                let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, secret, public, &random);
                pair.ok().map(|pair| Self::P256(Box::new(pair)))
            }
            (PrivateKey::Ec(Curve::P384, secret), PublicKey::Ec(Curve::P384, public)) => {
                let key = p384::ecdsa::SigningKey::from_slice(secret).map_err(|_| broken())?;
                let same = key.verifying_key().to_sec1_point(false).as_bytes() == public;
                same.then(|| Self::P384(Box::new(key)))
            }
            (PrivateKey::Ec(Curve::P521, secret), PublicKey::Ec(Curve::P521, public)) => {
                let key = p521::ecdsa::SigningKey::from_slice(secret).map_err(|_| broken())?;
                let same = key.verifying_key().to_sec1_point(false).as_bytes() == public;
                same.then(|| Self::P521(Box::new(key)))
            }
            _ => None,
        };
        Ok(found)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rsa,
            Self::P256(_) | Self::P384(_) | Self::P521(_) => Algorithm::Ecdsa,
        }
    }

    /// Signs the SHA-256 of `message`, whatever the key. `None`: no randomness is to be had.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let digest = Sha256::digest(message);
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
            Self::P256(pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&digest).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            Self::P521(key) => {
                // The crate refuses a hash of less than half the curve's size; a leading zero leaves the number as it is.
                let wide = [&[0], digest.as_slice()].concat();
                let signature: p521::ecdsa::Signature = key.sign_prehash(&wide).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

pub(super) fn broken() -> Flaw {
    Flaw::new("holds a private key that cannot be read", "look what `openssl pkey -in FILE -noout -check` says")
}

fn other_curve() -> Flaw {
    let fix = "make a key with `openssl ecparam -name prime256v1 -genkey -noout -out NEW` and a certificate for it";
    Flaw::new("holds a key on a curve that is not P-256, P-384 or P-521", fix)
}

pub(super) fn unfit(why: &ring::error::KeyRejected) -> Flaw {
    let what = format!("holds an RSA key that cannot be used ({why})");
    Flaw::new(what, "make one of 2048 to 4096 bits with `openssl genrsa -out NEW 2048` and a certificate for it")
}
