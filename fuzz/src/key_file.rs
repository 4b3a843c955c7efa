//! SSH key files and public keys: whatever stands in them, they are read or refused, and what was read is a key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_vault::ssh::{KeyFile, PublicKey, for_sealing};

/// Takes `bytes` for a key file, for what stands inside one's armor, for a public key, and for a line with one.
pub fn look(bytes: &[u8]) {
    file(bytes);
    // Harm inside the base64 is otherwise refused before the header is looked at.
    let armored =
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", STANDARD.encode(bytes));
    file(armored.as_bytes());
    if let Ok(key) = PublicKey::from_blob(bytes) {
        again(&key);
    }
    if let Ok(key) = PublicKey::from_line(&String::from_utf8_lossy(bytes)) {
        again(&key);
    }
}

fn file(bytes: &[u8]) {
    let parsed = KeyFile::parse(bytes);
    for_sealing(&parsed).ok();
    if let KeyFile::OpenSsh(header) = parsed {
        again(&header.public);
    }
}

fn again(key: &PublicKey) {
    assert_eq!(&PublicKey::from_blob(key.blob()).expect("it was read once"), key);
    assert_eq!(&PublicKey::from_line(&key.line()).expect("it was written here"), key);
}
