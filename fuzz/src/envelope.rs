//! iam-sorry's sealed values: they open, or they are refused; what was sealed here always opens again.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_vault::envelope::{PREFIX, Pair, SealingKey, open_pair};

const KEY_FILE: &[u8] = include_bytes!("../../crates/vault/tests/fixtures/ed25519");

/// Takes `bytes` for a value, for what follows its prefix, for what stands inside its base64, and for a plaintext.
pub fn look(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    open(&text);
    open(&format!("{PREFIX}{text}"));
    open(&format!("{PREFIX}{}", STANDARD.encode(bytes)));
    comes_back(&text, bytes);
}

fn open(value: &str) {
    open_pair(Pair { profile: "p", key_id: value, secret_key: value }, KEY_FILE).ok();
}

fn comes_back(text: &str, bytes: &[u8]) {
    let text: String = text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).take(100).collect();
    // What no secret key looks like does not open as one, and an empty text can be sealed and not opened, as with the peer.
    if text.is_empty() || text.starts_with("AKIA") || text.starts_with("ASIA") {
        return;
    }
    let mut nonce = [0; 12];
    nonce.iter_mut().zip(bytes).for_each(|(nonce, byte)| *nonce = *byte);
    let (key, _) = SealingKey::new(KEY_FILE).expect("the fixture is a good key");
    let sealed = key.seal(&bowline_base::Secret::new(&*text), nonce);
    let opened = open_pair(Pair { profile: "p", key_id: "AKIAIOSFODNN7EXAMPLE", secret_key: &sealed }, KEY_FILE);
    assert_eq!(opened.expect("it was sealed here").secret_key.expose(), text);
}
