//! Which profile, which field, which keys: the words that envelopes and store share.

use base::{Fault, Kind, Secret};
use bowline_base as base;

/// The longest name of a profile that is taken, in bytes.
const LONGEST_NAME: usize = 128;

/// The name of a profile that may be sealed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileName(String);

impl ProfileName {
    /// Takes `name` if a profile of that name may be sealed.
    ///
    /// # Errors
    /// [`ProfileError`]: `default` is what every tool falls back to, and a name must fit between the brackets of an
    /// AWS file.
    pub fn new(name: &str) -> Result<Self, ProfileError> {
        if name.eq_ignore_ascii_case("default") {
            return Err(ProfileError::Default);
        }
        let fits = !name.is_empty()
            && name.len() <= LONGEST_NAME
            && name.trim() == name
            && !name.chars().any(|c| c.is_control() || c == '[' || c == ']');
        if fits { Ok(Self(name.to_owned())) } else { Err(ProfileError::Name(name.escape_debug().take(64).collect())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ProfileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a profile cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Tools that are not asked for a profile use it, and would send the ciphertext to AWS as a key.
    #[error("profile `default` cannot be sealed: every tool falls back to it and would send the sealed text as a key")]
    Default,
    /// Blank, too long, or with characters that end a section's name.
    #[error("`{0}` is no name of a profile")]
    Name(String),
}

impl From<ProfileError> for Fault {
    fn from(error: ProfileError) -> Self {
        let hint = match error {
            ProfileError::Default => "give its keys to a profile with a name of its own, then seal that one",
            ProfileError::Name(_) => "use 1 to 128 characters without brackets, line ends and blanks around them",
        };
        Self::new(Kind::Config, "vault", error.to_string()).hint(hint)
    }
}

/// One of the values that together are a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `aws_access_key_id`.
    KeyId,
    /// `aws_secret_access_key`.
    SecretKey,
}

impl Field {
    /// Its name in AWS's files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyId => "aws_access_key_id",
            Self::SecretKey => "aws_secret_access_key",
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A key of AWS, opened. The key id is kept as a secret too: at rest all fields are sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// `AKIA…`
    pub key_id: Secret,
    /// The secret access key.
    pub secret_key: Secret,
    /// Only with keys of a session.
    pub session_token: Option<Secret>,
}

/// Stands for the key id of a text: shorter than any of AWS.
const TEXT: &str = "text";

impl Keys {
    /// A text of its own, such as a token or a password, that is no key of AWS.
    #[must_use]
    pub fn of_text(text: Secret) -> Self {
        Self { key_id: Secret::new(TEXT), secret_key: text, session_token: None }
    }

    /// The text, where this is one.
    #[must_use]
    pub fn text(&self) -> Option<&Secret> {
        (self.key_id.expose() == TEXT).then_some(&self.secret_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_cannot_be_sealed_however_it_is_written() {
        for name in ["default", "DEFAULT", "Default"] {
            assert_eq!(ProfileName::new(name), Err(ProfileError::Default), "{name}");
        }
        assert!(ProfileName::new("default-manager").is_ok());
    }

    #[test]
    fn a_text_is_told_from_a_key() {
        let text = Keys::of_text(Secret::new("t0ken"));
        assert_eq!(text.text().map(Secret::expose), Some("t0ken"));
        assert_eq!(Keys { key_id: Secret::new("AKIAIOSFODNN7EXAMPLE"), ..text }.text(), None);
    }

    #[test]
    fn names_that_would_break_an_aws_file_are_refused() {
        for name in ["", " ", " a", "a ", "a]b", "[a", "a\nb", "a\0b", &"x".repeat(129)] {
            assert!(matches!(ProfileName::new(name), Err(ProfileError::Name(_))), "{name:?}");
        }
        for name in ["dirk-bedrock", "my profile", "ünï", &"x".repeat(128)] {
            assert_eq!(ProfileName::new(name).unwrap().as_str(), name);
        }
    }
}
