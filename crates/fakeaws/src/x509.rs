//! Reads certificates and checks signatures, paths and uses, with crates of its own: the client reads DER by hand.
//!
//! The rules are those of "Signature verification" and "Trust model" in the IAM Roles Anywhere user guide.

use bowline_base::Timestamp;
use p521::ecdsa::signature::hazmat::PrehashVerifier as _;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use sha2::{Digest as _, Sha256, Sha512};
use x509_parser::{
    certificate::X509Certificate,
    pem::Pem,
    prelude::FromDer as _,
    x509::{SubjectPublicKeyInfo, X509Version},
};

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";

/// Reads one certificate.
pub(crate) fn certificate(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

/// The DER of the first certificate in a PEM text.
pub(crate) fn pem(text: &str) -> Option<Vec<u8>> {
    Pem::iter_from_buffer(text.as_bytes()).flatten().find(|pem| pem.label == "CERTIFICATE").map(|pem| pem.contents)
}

/// The serial number in decimal digits.
pub(crate) fn serial(certificate: &X509Certificate<'_>) -> String {
    certificate.tbs_certificate.serial.to_string()
}

/// The algorithm that a request signed with this certificate's key must name.
pub(crate) fn algorithm(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
        RSA => Some("AWS4-X509-RSA-SHA256"),
        EC => Some("AWS4-X509-ECDSA-SHA256"),
        _ => None,
    }
}

/// Whether `signature` is the one of `message` by the key of `certificate`, over SHA-256.
pub(crate) fn signed(certificate: &X509Certificate<'_>, message: &[u8], signature: &[u8]) -> bool {
    verify(certificate.public_key(), 256, message, signature)
}

/// Why this is not the certificate of a workload.
pub(crate) fn unfit(certificate: &X509Certificate<'_>, now: Timestamp) -> Option<&'static str> {
    if certificate.version() != X509Version::V3 {
        return Some("Certificate is not version 3");
    }
    if !valid(certificate, now) {
        return Some("Certificate is expired or not yet valid");
    }
    if certificate.is_ca() {
        return Some("Certificate is a CA certificate");
    }
    let usage = certificate.key_usage().ok().flatten();
    if !usage.is_some_and(|usage| usage.value.digital_signature()) {
        return Some("Certificate key usage does not allow digital signatures");
    }
    if hash_of(certificate).is_none() {
        return Some("Certificate is signed with an insecure algorithm");
    }
    None
}

/// Whether a path of valid CA certificates leads from `leaf` over some of `chain` to one of `anchors`.
pub(crate) fn trusted(
    leaf: &X509Certificate<'_>,
    chain: &[X509Certificate<'_>],
    anchors: &[X509Certificate<'_>],
    now: Timestamp,
) -> bool {
    let issues = |issuer: &X509Certificate<'_>, subject: &X509Certificate<'_>| {
        let may = issuer.is_ca()
            && valid(issuer, now)
            && issuer.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign());
        may && issuer.subject() == subject.issuer() && is_signed_by(subject, issuer)
    };
    let mut at = leaf;
    // The chain comes in order, the issuer of the leaf first.
    for next in chain {
        if anchors.iter().any(|anchor| issues(anchor, at)) {
            return true;
        }
        if !issues(next, at) {
            return false;
        }
        at = next;
    }
    anchors.iter().any(|anchor| issues(anchor, at))
}

fn valid(certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now.as_second())
}

fn is_signed_by(subject: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    let signature: &[u8] = &subject.signature_value.data;
    let message: &[u8] = subject.tbs_certificate.as_ref();
    hash_of(subject).is_some_and(|bits| verify(issuer.public_key(), bits, message, signature))
}

/// The size of the hash under a certificate's signature; `None` for MD5, SHA-1 and what is not known.
fn hash_of(certificate: &X509Certificate<'_>) -> Option<u32> {
    match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => Some(256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(384),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(512),
        _ => None,
    }
}

fn verify(key: &SubjectPublicKeyInfo<'_>, bits: u32, message: &[u8], signature: &[u8]) -> bool {
    let kind = key.algorithm.algorithm.to_id_string();
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
    let algorithm: &'static dyn VerificationAlgorithm = match (kind.as_str(), curve.as_deref(), bits) {
        (RSA, _, 256) => &RSA_PKCS1_2048_8192_SHA256,
        (RSA, _, 384) => &RSA_PKCS1_2048_8192_SHA384,
        (RSA, _, 512) => &RSA_PKCS1_2048_8192_SHA512,
        (EC, Some(P256), 256) => &ECDSA_P256_SHA256_ASN1,
        (EC, Some(P384), 256) => &ECDSA_P384_SHA256_ASN1,
        (EC, Some(P384), 384) => &ECDSA_P384_SHA384_ASN1,
        (EC, Some(P521), 256) => return p521(key, &[&[0], &*Sha256::digest(message)].concat(), signature),
        (EC, Some(P521), 512) => return p521(key, &Sha512::digest(message), signature),
        _ => return false,
    };
    UnparsedPublicKey::new(algorithm, &key.subject_public_key.data).verify(message, signature).is_ok()
}

/// ring has no P-521. A hash shorter than half the curve's size comes with a leading zero: the same number.
fn p521(key: &SubjectPublicKeyInfo<'_>, digest: &[u8], signature: &[u8]) -> bool {
    let verify = || {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&key.subject_public_key.data).ok()?;
        key.verify_prehash(digest, &p521::ecdsa::Signature::from_der(signature).ok()?).ok()
    };
    verify().is_some()
}
