//! The store's age file, with the stanzas of every way in: it does not open with keys that it is not for, and nothing that
//! it says makes its reader panic, ask an agent without end or take long.

use bowline_base::Secret;
use bowline_vault::{
    agent::{AgentError, Signer},
    ssh::PublicKey,
    store::{Contents, RecoveryKey, Unlocked},
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// Of nobody.
const RECOVERY: &str = "AGE-SECRET-KEY-1V02CE3S5VZZUSQ47WVAK58XUSP0QD6VQYMQP70URFS6QLCYMWUGS4DSDTE";

/// Takes `bytes` for a store, and tries the recovery key, an SSH key and an agent's.
pub fn look(bytes: &[u8]) {
    KEYS.with(|keys| keys.iter().for_each(|key| drop(Contents::open(bytes, key))));
    // It counts how often it asked: a new one for each file.
    Contents::open(bytes, &Unlocked::agent(Box::new(Holder))).ok();
}

thread_local! {
    /// Read once: that takes longer than trying them.
    static KEYS: [Unlocked; 2] = keys();
}

fn keys() -> [Unlocked; 2] {
    let recovery = RecoveryKey::parse(&Secret::new(RECOVERY)).expect("it is one");
    let ssh = include_bytes!("../../crates/vault/tests/fixtures/ed25519-open");
    [Unlocked::recovery(&recovery), Unlocked::ssh_key(ssh, None).expect("the fixture is a good key")]
}

/// Signs whatever it is asked to, as an agent does whose key nobody protects.
struct Holder;

impl Holder {
    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("every seed is a key")
    }
}

impl Signer for Holder {
    fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
        let blob = two_strings(b"ssh-ed25519", Self::pair().public_key().as_ref());
        Ok(vec![PublicKey::from_blob(&blob).expect("it is one")])
    }

    fn sign(&self, _: &PublicKey, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        Ok(two_strings(b"ssh-ed25519", Self::pair().sign(data).as_ref()))
    }
}

fn two_strings(first: &[u8], second: &[u8]) -> Vec<u8> {
    let string = |text: &[u8]| [&u32::try_from(text.len()).unwrap_or(0).to_be_bytes()[..], text].concat();
    [string(first), string(second)].concat()
}
