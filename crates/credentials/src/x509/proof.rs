//! What the owner of a certificate looks at before AWS is asked: what stands in it, and whether the key signs.
//!
//! The signed text and the names of algorithms are those of AWS's `aws_signing_helper`, so that what people have for
//! comparing them goes on working.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_base::{Fault, Kind, Secret};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{
    certificate::{Certificate, PublicKey},
    contents,
    flaw::Flaw,
    key::{self, Curve, PrivateKey},
    pair,
};

/// What a certificate says that Roles Anywhere asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// `RSA` or `EC`; empty for any other key.
    pub key_type: &'static str,
    /// The certificate itself: the base64 of its DER.
    pub base64: String,
    /// Its serial number in decimal digits.
    pub serial: String,
}

/// What a text is hashed with before it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256, which `CreateSession` takes.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The first certificate in the file at `path`.
///
/// # Errors
/// `Config`: no certificate can be read there; names the file and the fix.
pub fn certificate_facts(path: &Path) -> Result<CertificateFacts, Fault> {
    let contents = contents::read(&pair::read(path)?, None).map_err(|flaw| flaw.of(path))?;
    let lacking = || Flaw::new("holds no certificate", "point at a file with `-----BEGIN CERTIFICATE-----`").of(path);
    contents.certificates.first().map(facts).ok_or_else(lacking)
}

/// Names the present contents of the file at `path`: 32 hexadecimal digits, others for other contents.
///
/// # Errors
/// `Config`: the file cannot be read.
pub fn edition(path: &Path) -> Result<String, Fault> {
    Ok(Sha256::digest(pair::read(path)?).iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// The signature of the private key in the file at `path` under a text that is always the same for the same key: RSA
/// signs PKCS#1 v1.5, an elliptic curve ECDSA in DER.
///
/// The text: `AWS Roles Anywhere Credential Helper Signing Test1`, then the SHA-256 of `IAM RA` and the public key
/// (`RSAPublicKey` in DER, or the uncompressed point).
///
/// # Errors
/// `Config`: no key can be read there; names the file and the fix.
pub fn test_signature(path: &Path, password: Option<&Secret>, digest: Digest) -> Result<Vec<u8>, Fault> {
    let bytes = zeroize::Zeroizing::new(pair::read(path)?);
    let contents = contents::read(&bytes, password.map(Secret::expose)).map_err(|flaw| flaw.of(path))?;
    let lacking = || Flaw::new("holds no private key", "point `--private-key` at the file with the key").of(path);
    let key = contents.keys.first().ok_or_else(lacking)?;
    let signature = sign(key, digest).map_err(|flaw| flaw.of(path))?;
    signature.ok_or_else(|| Fault::new(Kind::Bug, "x509", "the private key could not sign"))
}

fn facts(certificate: &Certificate) -> CertificateFacts {
    let key_type = match certificate.public_key {
        PublicKey::Rsa(_) => "RSA",
        PublicKey::Ec(..) => "EC",
        PublicKey::Other => "",
    };
    CertificateFacts { key_type, base64: STANDARD.encode(&certificate.der), serial: certificate.serial() }
}

/// ECDSA with the key `$secret` of the curve `$curve`, which takes no hash shorter than `$least` bytes. ring signs P-256
/// over SHA-256 only, and makes no public point.
macro_rules! ecdsa {
    ($curve:ident, $secret:expr, $digest:expr, $least:literal) => {{
        let key = $curve::ecdsa::SigningKey::from_slice($secret).map_err(|_| key::broken())?;
        let text = test_text(key.verifying_key().to_sec1_point(false).as_bytes());
        let signature: Option<$curve::ecdsa::Signature> = key.sign_prehash(&$digest.of(&text, $least)).ok();
        Ok(signature.map(|signature| signature.to_der().as_bytes().to_vec()))
    }};
}

/// `None`: no randomness is to be had.
fn sign(private: &PrivateKey, digest: Digest) -> Result<Option<Vec<u8>>, Flaw> {
    match private {
        PrivateKey::Rsa(der) => {
            let pair = RsaKeyPair::from_der(der).map_err(|why| key::unfit(&why))?;
            let mut signature = vec![0; pair.public().modulus_len()];
            let text = test_text(pair.public().as_ref());
            let signed = pair.sign(digest.rsa(), &SystemRandom::new(), &text, &mut signature);
            Ok(signed.is_ok().then_some(signature))
        }
        PrivateKey::Ec(Curve::P256, secret) => ecdsa!(p256, secret, digest, 16),
        PrivateKey::Ec(Curve::P384, secret) => ecdsa!(p384, secret, digest, 24),
        PrivateKey::Ec(Curve::P521, secret) => ecdsa!(p521, secret, digest, 33),
    }
}

fn test_text(public_key: &[u8]) -> Vec<u8> {
    let owner = Sha256::new().chain_update("IAM RA").chain_update(public_key).finalize();
    [&b"AWS Roles Anywhere Credential Helper Signing Test1"[..], owner.as_slice()].concat()
}

impl Digest {
    /// The hash of `text`, with zeros before it up to `least` bytes: the number stays the same.
    fn of(self, text: &[u8], least: usize) -> Vec<u8> {
        let hash = match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha384 => Sha384::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        };
        [vec![0; least.saturating_sub(hash.len())], hash].concat()
    }

    fn rsa(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Sha256 => &RSA_PKCS1_SHA256,
            Self::Sha384 => &RSA_PKCS1_SHA384,
            Self::Sha512 => &RSA_PKCS1_SHA512,
        }
    }
}
