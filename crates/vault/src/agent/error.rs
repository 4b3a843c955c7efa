//! Why an ssh-agent was of no use.

use std::{io, path::PathBuf};

use base::{Fault, Kind};
use bowline_base as base;

use crate::ssh::KeyKind;

/// Why an ssh-agent was of no use.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say in order what the message shows")]
pub enum AgentError {
    /// No socket, or nobody behind it.
    #[error("no ssh-agent answers at `{socket}`")]
    Unreachable {
        socket: PathBuf,
        #[source]
        error: io::Error,
    },
    /// It did not answer in time: a confirmation that nobody gave, or a hung agent.
    #[error("the ssh-agent at `{0}` did not answer in time")]
    Silent(PathBuf),
    /// Not the protocol.
    #[error("the ssh-agent answered nonsense: {0}")]
    Nonsense(&'static str),
    /// It said no.
    #[error("the ssh-agent refused to sign with `{0}`")]
    Refused(String),
    /// Not there.
    #[error("the ssh-agent does not hold the key `{0}`")]
    NoKey(String),
    /// A kind whose signatures differ each time, or want a touch.
    #[error("a key of the kind {0} cannot open through ssh-agent: its signatures are not the same each time")]
    Kind(KeyKind),
    /// Two signatures of one text differ.
    #[error("the ssh-agent signs the same text differently each time with `{0}`: it could not open anything again")]
    Unsteady(String),
}

impl From<AgentError> for Fault {
    fn from(error: AgentError) -> Self {
        let kind = match error {
            AgentError::Unreachable { .. } | AgentError::Silent(_) => Kind::Unreachable,
            AgentError::Refused(_) | AgentError::NoKey(_) => Kind::Refused,
            _ => Kind::Config,
        };
        let hint = match &error {
            AgentError::Unreachable { .. } => "start one: eval \"$(ssh-agent)\" && ssh-add",
            AgentError::Silent(_) => "unlock the agent or confirm its question, then try again",
            AgentError::Refused(_) => "unlock the agent (ssh-add -X), or add the key again: ssh-add KEYFILE",
            AgentError::NoKey(_) => "add it: ssh-add KEYFILE",
            AgentError::Nonsense(_) => "see what SSH_AUTH_SOCK points to",
            AgentError::Kind(_) | AgentError::Unsteady(_) => "use an ed25519 key: ssh-keygen -t ed25519",
        };
        let fault = Self::new(kind, "ssh-agent", error.to_string()).hint(hint);
        match error {
            AgentError::Unreachable { error, .. } => fault.cause(error),
            _ => fault,
        }
    }
}
