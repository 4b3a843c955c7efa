//! Private keys and certificates in files: every form that people have, read, checked and made ready to sign.
//!
//! [`Files`] reads what an identity names, [`Pair`] is a key with its certificate. What AWS would refuse is told
//! before any call, with the file and the fix; [`certificate_facts`] and [`test_signature`] show it to a person. Nothing here makes a call or reads a clock.

mod certificate;
mod chain;
mod contents;
mod der;
mod encryption;
mod flaw;
mod key;
mod pair;
mod password;
mod pem;
mod pkcs12;
mod proof;

#[cfg(test)]
mod openssl;
#[cfg(test)]
mod tests;

pub use password::password;
pub use proof::{CertificateFacts, Digest, certificate_facts, edition, test_signature};

pub(crate) use pair::{Files, NoPair, Pair};
