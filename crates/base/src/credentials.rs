//! One set of AWS credentials and the times that go with it.

use std::fmt;

use crate::{Secret, Timestamp};

/// An access key id (`AKIA…`, `ASIA…`): public, names a key pair, tells two sessions apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// Wraps the text as AWS gave it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, as AWS gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One usable set: immutable, handed around as `Arc<Credentials>`, so nobody ever sees half of two sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key pair.
    pub key_id: KeyId,
    /// Signs.
    pub secret_key: Secret,
    /// Present for temporary credentials.
    pub session_token: Option<Secret>,
    /// From this second on AWS refuses the set; `None` for long-lived keys.
    pub expires_at: Option<Timestamp>,
    /// When the set was fetched; with `expires_at` it tells the length of the session.
    pub obtained_at: Timestamp,
    /// The twelve digits of the account, where the source told us.
    pub account_id: Option<String>,
}

impl Credentials {
    /// Whether AWS would still take the set at `now`. Long-lived keys never end.
    #[must_use]
    pub fn usable_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}
