//! Why an envelope did not open, as far as it can be told: in words that lead to the fix, without a byte of plaintext.

use base::{Fault, Kind};
use bowline_base as base;

use crate::{profile::Field, ssh::NotOpenSsh};

/// A profile's value did not open, and most likely because of this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of profile `{profile}` cannot be opened: {cause}")]
pub struct NotOpened {
    /// Whose value.
    pub profile: String,
    /// Which value.
    pub field: Field,
    /// Most likely why.
    pub cause: Cause,
}

/// The likely cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The end is missing.
    #[error("its end is missing; it was cut")]
    Cut,
    /// What stands behind the prefix is no base64, or far too long.
    #[error("what stands behind `__encrypted__:` was never written by a sealing program")]
    Foreign,
    /// The profile's other value opens, so the key is right and this value is not.
    #[error(
        "the profile's other value opens with this key, so this one was altered, or comes from another profile or file"
    )]
    Altered,
    /// With the other line ends the key opens it.
    #[error("the key file's line ends were converted ({0}); its exact bytes are the key")]
    LineEnds(LineEnds),
    /// The key's passphrase was taken away.
    #[error(
        "the key file has no passphrase now, and nothing is sealed with such a file: `ssh-keygen -p` changed it, and with its bytes the key"
    )]
    PassphraseRemoved,
    /// The key file is something else.
    #[error("the key file is not the one it was sealed with: {0}")]
    NotAKey(NotOpenSsh),
    /// Neither value opens with an intact, protected key file.
    #[error(
        "it was sealed with another key file, or this one was written anew since (`ssh-keygen -p`, a new comment): its exact bytes are the key"
    )]
    OtherKey,
    /// It opens, and is not what this field holds.
    #[error(
        "it opens, but to the value of another field: key id and secret key were swapped or copied over each other"
    )]
    Swapped,
    /// It opens to bytes that no key has.
    #[error("it opens, but not to a text that is a key of AWS")]
    NotAKeyOfAws,
}

/// How the key file's line ends differ from what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineEnds {
    /// LF became CRLF.
    #[error("LF became CRLF")]
    ToCrLf,
    /// CRLF became LF.
    #[error("CRLF became LF")]
    ToLf,
    /// The last one is gone.
    #[error("the last line lost its end")]
    LastLost,
    /// There is one more.
    #[error("an empty end was added")]
    LastAdded,
}

impl NotOpened {
    fn hint(&self) -> String {
        match self.cause {
            Cause::Cut | Cause::Foreign | Cause::Altered | Cause::Swapped | Cause::NotAKeyOfAws => format!(
                "restore the section `[{}]` of the credentials file from a backup, or make a new key for its user in IAM and seal it again",
                self.profile
            ),
            Cause::LineEnds(ends) => format!("restore the exact bytes: {}", ends.repair()),
            Cause::PassphraseRemoved | Cause::OtherKey => "restore the key file as it was at sealing from a backup and name it with --ssh-key; a passphrase set again does not bring the bytes back".to_owned(),
            Cause::NotAKey(NotOpenSsh::PublicHalf) => "name the private half with --ssh-key: the same path without `.pub`".to_owned(),
            Cause::NotAKey(_) => "name the key file that it was sealed with: --ssh-key FILE".to_owned(),
        }
    }
}

impl LineEnds {
    fn repair(self) -> &'static str {
        match self {
            Self::ToCrLf => "sed -i 's/\\r$//' KEYFILE",
            Self::ToLf => "sed -i 's/$/\\r/' KEYFILE",
            Self::LastLost => "echo >> KEYFILE",
            Self::LastAdded => "sed -i '$ d' KEYFILE",
        }
    }
}

impl From<NotOpened> for Fault {
    fn from(error: NotOpened) -> Self {
        let hint = error.hint();
        Self::new(Kind::Config, "envelope", error.to_string()).hint(hint)
    }
}
