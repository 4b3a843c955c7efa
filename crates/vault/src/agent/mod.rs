//! ssh-agent as a further way into the store. Experimental, off by default, never the only recipient.
//!
//! An agent signs and does not decrypt. An ed25519 signature of one text is always the same, so the agent's signature of
//! a random salt, in SSHSIG form and in a namespace of our own, is a secret that only the agent's key can produce. From
//! it comes an X25519 key, and the file's key is wrapped for that in a stanza that plain `age` skips:
//!
//! ```text
//! -> bowline/ssh-agent-v1 FINGERPRINT SALT EPHEMERAL-SHARE
//! ```
//!
//! Sealing needs the public half alone. `ssh-keygen -Y sign` makes the same signature, so this is no lock-in either.
//! The protocol is encoded and decoded in pure code (`wire`); [`Agent`] is the socket.

mod client;
mod enrolment;
mod error;
mod forwarding;
mod sshsig;
mod wire;

pub use client::Agent;
pub use enrolment::{AgentIdentity, Enrolment};
pub use error::AgentError;
pub use forwarding::{Forwarded, looks_forwarded};
pub use sshsig::NAMESPACE;

use crate::ssh::PublicKey;

/// Whoever signs with the keys of an agent.
pub trait Signer {
    /// The public keys that it holds; what it holds besides, such as certificates, is left out.
    ///
    /// # Errors
    /// [`AgentError`]
    fn keys(&self) -> Result<Vec<PublicKey>, AgentError>;

    /// The signature of `data` as the agent gives it: a kind and its bytes.
    ///
    /// # Errors
    /// [`AgentError`]
    fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, AgentError>;
}
