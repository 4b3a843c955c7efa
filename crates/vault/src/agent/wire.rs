//! The agent protocol as bytes (draft-ietf-sshm-ssh-agent): two questions, two answers. No socket here.

use super::error::AgentError;
use crate::ssh::{
    PublicKey,
    wire::{Reader, put_string},
};

/// OpenSSH's own limit for a message.
pub(super) const LONGEST: usize = 256 * 1024;
/// More keys than this are not looked at.
const MOST_KEYS: u32 = 1024;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Asks which keys there are.
pub(super) fn ask_keys() -> Vec<u8> {
    frame(&[REQUEST_IDENTITIES])
}

/// Asks for a signature.
pub(super) fn ask_signature(key: &PublicKey, data: &[u8]) -> Vec<u8> {
    let mut body = vec![SIGN_REQUEST];
    put_string(&mut body, key.blob());
    put_string(&mut body, data);
    body.extend_from_slice(&0_u32.to_be_bytes());
    frame(&body)
}

/// The length of the message that follows these four bytes.
pub(super) fn length(head: [u8; 4]) -> Result<usize, AgentError> {
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if (1..=LONGEST).contains(&length) {
        Ok(length)
    } else {
        Err(AgentError::Nonsense("a message of impossible length"))
    }
}

/// The public keys of an answer. Keys that we cannot read are left out: an agent may hold any kind.
pub(super) fn keys(message: &[u8]) -> Result<Vec<PublicKey>, AgentError> {
    let cut = || AgentError::Nonsense("a list of keys that is cut");
    let mut reader = Reader::new(message);
    match reader.byte() {
        Some(IDENTITIES_ANSWER) => {}
        Some(FAILURE) => return Err(AgentError::Refused("any key".to_owned())),
        _ => return Err(AgentError::Nonsense("no list of keys")),
    }
    let count = reader.u32().filter(|count| *count <= MOST_KEYS).ok_or_else(cut)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let (blob, _comment) = (reader.string().ok_or_else(cut)?, reader.string().ok_or_else(cut)?);
        keys.extend(PublicKey::from_blob(blob));
    }
    if reader.is_empty() { Ok(keys) } else { Err(AgentError::Nonsense("a list of keys with something behind it")) }
}

/// The signature of an answer.
pub(super) fn signature(message: &[u8], key: &PublicKey) -> Result<Vec<u8>, AgentError> {
    let mut reader = Reader::new(message);
    match reader.byte() {
        Some(SIGN_RESPONSE) => {}
        Some(FAILURE) => return Err(AgentError::Refused(key.fingerprint())),
        _ => return Err(AgentError::Nonsense("no signature")),
    }
    let signature = reader.string().filter(|_| reader.is_empty());
    signature.map(<[u8]>::to_vec).ok_or(AgentError::Nonsense("a signature that is cut"))
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(body.len() + 4);
    put_string(&mut message, body);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    #[test]
    fn keys_of_kinds_that_we_do_not_know_do_not_hide_the_others() {
        let key = PublicKey::from_line(ED25519).unwrap();
        let mut message = vec![IDENTITIES_ANSWER];
        message.extend_from_slice(&2_u32.to_be_bytes());
        for part in [&b"nonsense"[..], b"comment", key.blob(), b"comment"] {
            put_string(&mut message, part);
        }
        assert_eq!(keys(&message).unwrap(), [key]);
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_read() {
        assert!(length([0; 4]).is_err());
        assert!(length([0xff; 4]).is_err());
        assert_eq!(length([0, 4, 0, 0]).unwrap(), LONGEST);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(kind in 5_u8..16, rest: Vec<u8>) {
            let message = [&[kind][..], &rest].concat();
            keys(&message).ok();
            signature(&message, &PublicKey::from_line(ED25519).unwrap()).ok();
        }
    }
}
