//! Which keys are good enough to seal with: decided when something is sealed, never when it is opened.

use base::{Fault, Kind};
use bowline_base as base;

use super::{
    key_file::{KeyFile, NotOpenSsh},
    public::KeyKind,
};

/// RSA keys below this are refused.
const LEAST_RSA_BITS: u32 = 3072;
/// RSA keys below this get a warning.
const GOOD_RSA_BITS: u32 = 4096;

/// The key is taken, and its owner should know this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// RSA below 4096 bits.
    #[error("the key is {0}; 4096 bits or ed25519 would be good: `ssh-keygen -t ed25519`")]
    ShortRsa(KeyKind),
}

/// Why a key is not taken for sealing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No `openssh-key-v1` file: nobody can tell whether a passphrase protects it.
    #[error("the key file cannot be used for sealing: {0}")]
    Form(#[from] NotOpenSsh),
    /// The private part lies open.
    #[error("the key file has no passphrase: whoever reads it could open what is sealed with it")]
    Unprotected,
    /// Neither ed25519 nor a long RSA key.
    #[error("the key is {0}: only ed25519, and RSA with at least {LEAST_RSA_BITS} bits, are taken")]
    Weak(KeyKind),
}

impl Unfit {
    fn hint(&self) -> &'static str {
        match self {
            Self::Form(NotOpenSsh::PublicHalf) => "name the private half: the same path without `.pub`",
            Self::Form(NotOpenSsh::Pkcs8 | NotOpenSsh::OldPem) => {
                "convert it, with a passphrase: ssh-keygen -p -f KEYFILE"
            }
            Self::Form(_) => "make a key: ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519",
            Self::Unprotected => "give it a passphrase: ssh-keygen -p -f KEYFILE",
            Self::Weak(_) => "make a key with a passphrase: ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519",
        }
    }
}

impl From<Unfit> for Fault {
    fn from(unfit: Unfit) -> Self {
        Self::new(Kind::Config, "SSH key file", unfit.to_string()).hint(unfit.hint())
    }
}

/// Whether something may be sealed with this key file: a passphrase, and a kind that will last.
///
/// # Errors
/// [`Unfit`]
pub fn for_sealing(file: &KeyFile) -> Result<Option<Doubt>, Unfit> {
    match file {
        KeyFile::Other(what) => Err(Unfit::Form(*what)),
        KeyFile::OpenSsh(header) if !header.is_protected() => Err(Unfit::Unprotected),
        KeyFile::OpenSsh(header) => of_kind(header.public.kind()),
    }
}

/// Whether something may be sealed to a key of this kind.
pub(crate) fn of_kind(kind: &KeyKind) -> Result<Option<Doubt>, Unfit> {
    match kind {
        KeyKind::Ed25519 => Ok(None),
        KeyKind::Rsa { bits } if *bits >= GOOD_RSA_BITS => Ok(None),
        KeyKind::Rsa { bits } if *bits >= LEAST_RSA_BITS => Ok(Some(Doubt::ShortRsa(kind.clone()))),
        _ => Err(Unfit::Weak(kind.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ed25519_and_long_rsa_are_taken_and_the_rest_is_not() {
        let taken = |kind| of_kind(&kind).map(|doubt| doubt.is_some()).map_err(|_| ());
        assert_eq!(taken(KeyKind::Ed25519), Ok(false));
        assert_eq!(taken(KeyKind::Rsa { bits: 4096 }), Ok(false));
        assert_eq!(taken(KeyKind::Rsa { bits: 4095 }), Ok(true));
        assert_eq!(taken(KeyKind::Rsa { bits: 3072 }), Ok(true));
        for kind in [KeyKind::Rsa { bits: 3071 }, KeyKind::Ecdsa, KeyKind::Hardware, KeyKind::Other("ssh-dss".into())] {
            assert_eq!(taken(kind.clone()), Err(()), "{kind}");
        }
    }

    #[test]
    fn every_refusal_names_the_next_command() {
        for unfit in [Unfit::Unprotected, Unfit::Form(NotOpenSsh::Pkcs8), Unfit::Weak(KeyKind::Ecdsa)] {
            assert!(Fault::from(unfit).hint.is_some_and(|hint| hint.contains("ssh-keygen ")));
        }
    }
}
