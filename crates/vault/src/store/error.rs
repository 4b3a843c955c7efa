//! What can go wrong with the store, as values; at the border each becomes a `Fault` with the next command.

use std::{io, path::PathBuf};

use base::{Fault, Kind, Retry};
use bowline_base as base;

use crate::{
    agent::AgentError,
    ssh::{KeyKind, NotOpenSsh, Unfit},
};

/// Why the store was not made, opened or changed. Nothing was written then.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say in order what the message shows")]
pub enum StoreError {
    /// Fewer ways in than a lost key leaves.
    #[error("the store would have {0} recipient{s}: one lost key would lose everything", s = if *.0 == 1 { "" } else { "s" })]
    TooFewRecipients(usize),
    /// ssh-agent is a further way in, never the only one.
    #[error("ssh-agent would be the only way into the store")]
    OnlyAgent,
    /// A line of a list of recipients.
    #[error("`{0}` is no recipient: `ssh-ed25519 …`, `ssh-rsa …` or `age1…`")]
    NotARecipient(String),
    /// A key that nothing should be sealed to.
    #[error("recipient `{fingerprint}` is not good enough: {why}")]
    UnfitRecipient { fingerprint: String, why: Unfit },
    /// The public list and the sealed one differ.
    #[error(
        "`recipients.txt` is not the list that is sealed in the store: it was changed by hand, or by somebody else"
    )]
    RecipientsChanged,
    /// No age file.
    #[error("{0} is no age file")]
    NotAge(&'static str),
    /// Cut short.
    #[error("{0} was cut: its end is missing")]
    Cut(&'static str),
    /// Not as it was written.
    #[error("{0} was altered since it was written")]
    Altered(&'static str),
    /// Longer than we ever write.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// Another key's.
    #[error("{0} is not sealed to this key")]
    NotForThisKey(&'static str),
    /// A scrypt cost that would take minutes.
    #[error("{what} asks for 2^{required} rounds of scrypt; at most 2^{most} are done")]
    TooMuchWork { what: &'static str, required: u8, most: u8 },
    /// It opened, and is something else.
    #[error("{what} opened, and is none of ours: {why}")]
    NotOurs { what: &'static str, why: String },
    /// Written by a later program.
    #[error("{what} has version {version}; this program reads version 1")]
    Newer { what: &'static str, version: u64 },
    /// The key file wants its passphrase.
    #[error("the key file is protected, and no passphrase was given")]
    PassphraseNeeded,
    /// And it was another.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// No key file.
    #[error("the key file cannot be used: {0}")]
    KeyFile(NotOpenSsh),
    /// A kind of key that age does not know.
    #[error("a key of the kind {0} cannot open an age file")]
    KeyKind(KeyKind),
    /// A cipher that age does not know.
    #[error("the key file is encrypted with `{0}`, which the age library does not read")]
    Cipher(String),
    /// A cost that would take minutes.
    #[error("the key file asks for {0} rounds of bcrypt; at most 1024 are done")]
    Rounds(u32),
    /// Not `AGE-SECRET-KEY-1…`.
    #[error("the text is no recovery key (`AGE-SECRET-KEY-1…`)")]
    NotARecoveryKey,
    /// An addition for another store.
    #[error("the addition was made for another store")]
    OtherStore,
    /// ssh-agent said no.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Another process has been changing the store for seconds.
    #[error("another process is changing `{0}`")]
    Busy(PathBuf),
    /// Creating over something that is there.
    #[error("there is a store already: `{0}`")]
    Exists(PathBuf),
    /// Nothing there.
    #[error("there is no store at `{0}`")]
    Missing(PathBuf),
    /// The system said no.
    #[error("`{path}` cannot be used")]
    Io {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

impl StoreError {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::TooFewRecipients(_) => "add a recovery key, a second SSH key or a passphrase; or insist on it",
            Self::OnlyAgent => "add the SSH key itself, a recovery key or a passphrase as a recipient",
            Self::RecipientsChanged => {
                "see who wrote it; the next change of recipients by `bowline vault` writes the sealed list back"
            }
            Self::Cut(_) | Self::Altered(_) | Self::NotAge(_) => {
                "restore it from a backup, or from `vault.age.bak` beside it"
            }
            Self::NotForThisKey(_) => "use one of the keys in `recipients.txt`, or the recovery key",
            Self::Newer { .. } => "update bowline; nothing was changed",
            Self::Cipher(_) => "encrypt it anew: ssh-keygen -p -Z aes256-ctr -f KEYFILE",
            Self::KeyKind(_) => "use an ed25519 or RSA key, or the recovery key",
            Self::KeyFile(NotOpenSsh::Pkcs8 | NotOpenSsh::OldPem) => "convert it: ssh-keygen -p -f KEYFILE",
            Self::KeyFile(NotOpenSsh::PublicHalf) => "name the private half: the same path without `.pub`",
            Self::Missing(_) => "make one: bowline vault add",
            Self::Busy(_) => "look for a stopped process: `fuser -v vault.lock` beside it",
            _ => return None,
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Busy(_) => Kind::Unreachable,
            Self::WrongPassphrase | Self::NotForThisKey(_) | Self::Exists(_) | Self::TooFewRecipients(_) => {
                Kind::Refused
            }
            _ => Kind::Config,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if let StoreError::Agent(error) = error {
            return error.into();
        }
        let (kind, hint) = (error.kind(), error.hint());
        let mut fault = Self::new(kind, "vault", error.to_string());
        if kind == Kind::Unreachable {
            fault = fault.retry(Retry::After(std::time::Duration::from_millis(200)));
        }
        if let Some(hint) = hint {
            fault = fault.hint(hint);
        }
        match error {
            StoreError::Io { error, .. } => fault.cause(error),
            _ => fault,
        }
    }
}
