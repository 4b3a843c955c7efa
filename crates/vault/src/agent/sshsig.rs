//! SSHSIG (OpenSSH's PROTOCOL.sshsig): what is signed, and what comes back.
//!
//! Signing in this form can never be mistaken for a login, and `ssh-keygen -Y sign` does the same.

use ring::{
    digest::{SHA512, digest},
    signature::{ED25519, UnparsedPublicKey},
};
use zeroize::Zeroizing;

use super::{Signer, error::AgentError};
use crate::ssh::{
    KeyKind, PublicKey,
    wire::{Reader, put_string},
};

/// Ours alone: `ssh-keygen -Y sign -n vault@bowline`.
pub const NAMESPACE: &str = "vault@bowline";

/// The 64 bytes of the agent's signature of `message`. They are a secret here.
pub(super) fn sign(signer: &dyn Signer, key: &PublicKey, message: &[u8]) -> Result<Zeroizing<[u8; 64]>, AgentError> {
    let Some(public) = key.ed25519() else { return Err(AgentError::Kind(key.kind().clone())) };
    debug_assert_eq!(key.kind(), &KeyKind::Ed25519);
    let data = to_sign(message);
    let answer = Zeroizing::new(signer.sign(key, &data)?);
    let signature = raw(&answer).ok_or(AgentError::Nonsense("no ed25519 signature"))?;
    // An agent that signs something else would lead to a wrong key, and to a riddle for whoever wants in.
    let checked = UnparsedPublicKey::new(&ED25519, public).verify(&data, &*signature);
    checked.map_err(|_| AgentError::Nonsense("a signature that does not verify")).map(|()| signature)
}

fn to_sign(message: &[u8]) -> Vec<u8> {
    let mut data = b"SSHSIG".to_vec();
    for part in [NAMESPACE.as_bytes(), b"", b"sha512", digest(&SHA512, message).as_ref()] {
        put_string(&mut data, part);
    }
    data
}

fn raw(answer: &[u8]) -> Option<Zeroizing<[u8; 64]>> {
    let mut reader = Reader::new(answer);
    reader.name().filter(|name| *name == "ssh-ed25519")?;
    let signature = reader.string()?.try_into().ok()?;
    reader.is_empty().then_some(Zeroizing::new(signature))
}
