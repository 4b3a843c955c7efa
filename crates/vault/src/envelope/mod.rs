//! iam-sorry's envelopes: single values of `~/.aws/credentials` that begin with `__encrypted__:`.
//!
//! ```text
//! __encrypted__: base64( nonce 12 | AES-256-GCM ciphertext | tag 16 )
//! key = HKDF-SHA256(ikm = bytes of the key FILE, salt = "iam-sorry-v1-salt-2025" or none, info = "iam-sorry-encryption")
//! ```
//!
//! Both schemes are read for ever; v1 is written on request. The passphrase of the key file protects nothing here:
//! whoever reads file and value opens it. `docs/concepts/vault.md` says so, and why our [`store`](crate::store) exists.
//! This module refuses to know files: it is given the bytes of the key file.

mod cause;
mod key;
mod open;

pub use cause::{Cause, NotOpened};
pub use key::{Scheme, SealingKey};
pub use open::{OpenedPair, Pair, open_pair, open_value, which_opens};

/// What every sealed value begins with.
pub const PREFIX: &str = "__encrypted__:";
/// No envelope is longer: a key id is at most 128 characters, a secret key 40.
const LONGEST: usize = 64 * 1024;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Whether a value is sealed. As for the peer, anything that does not begin exactly so is plaintext.
#[must_use]
pub fn is_sealed(value: &str) -> bool {
    value.starts_with(PREFIX)
}
