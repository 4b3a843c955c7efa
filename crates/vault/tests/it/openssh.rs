//! What OpenSSH's own `ssh-keygen` does to keys, and what that means for envelopes and for the store.

use std::{fs, path::Path, process::Command};

use bowline_base::Secret;
use bowline_vault::{
    envelope::{Cause, Pair, SealingKey, open_pair},
    ssh::{KeyFile, PublicKey},
    store::{Place, StoreError, Unlocked},
};

use crate::tools::{
    PASSPHRASE, contents, fixture, output, passphrase, place, program, public, recipient, skip, unlocked,
};

fn rekey(keygen: &Path, key: &Path, old: &str, new: &str) {
    output(Command::new(keygen).args(["-q", "-p", "-a", "1", "-P", old, "-N", new, "-f"]).arg(key), b"");
}

#[test]
fn a_key_that_ssh_keygen_writes_anew_loses_envelopes_and_not_the_store() {
    let Some(keygen) = program("ssh-keygen") else { skip!("re-keying: no ssh-keygen") };
    let folder = tempfile::tempdir().unwrap();
    let key = place(folder.path(), "key", &fixture("ed25519"));
    let store = Place::new(folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519")]), None).unwrap();
    let (sealing, _) = SealingKey::new(&fs::read(&key).unwrap()).unwrap();
    let [id, secret] = [("AKIAIOSFODNN7EXAMPLE", 1), ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 2)]
        .map(|(text, nonce)| sealing.seal(&Secret::new(text), [nonce; 12]));
    let envelope = |file: &[u8]| open_pair(Pair { profile: "p", key_id: &id, secret_key: &secret }, file);
    assert!(envelope(&fs::read(&key).unwrap()).is_ok());

    // To the same passphrase: nothing changed for its owner, and every byte of the file.
    rekey(&keygen, &key, PASSPHRASE, PASSPHRASE);
    let bytes = fs::read(&key).unwrap();
    assert_eq!(envelope(&bytes).unwrap_err().cause, Cause::OtherKey);
    let opened = store.open(&Unlocked::ssh_key(&bytes, Some(&passphrase())).unwrap()).unwrap();
    assert_eq!(opened.contents.profiles.len(), 1);

    rekey(&keygen, &key, PASSPHRASE, "");
    let bytes = fs::read(&key).unwrap();
    assert_eq!(envelope(&bytes).unwrap_err().cause, Cause::PassphraseRemoved);
    assert!(store.open(&Unlocked::ssh_key(&bytes, None).unwrap()).is_ok());
}

#[test]
fn headers_say_what_ssh_keygen_says() {
    let Some(keygen) = program("ssh-keygen") else { skip!("fingerprints: no ssh-keygen") };
    let folder = tempfile::tempdir().unwrap();
    for name in ["ed25519", "ed25519-open", "rsa4096", "rsa2048", "ecdsa"] {
        let KeyFile::OpenSsh(header) = KeyFile::parse(&fixture(name)) else { panic!("{name} is an OpenSSH key") };
        assert_eq!(header.is_protected(), name != "ed25519-open", "{name}");
        assert_eq!(header.public, PublicKey::from_line(&public(name)).unwrap());
        let file = place(folder.path(), name, public(name).as_bytes());
        let printed = output(Command::new(&keygen).arg("-lf").arg(file), b"");
        assert!(printed.contains(&header.public.fingerprint()), "{name}: {printed}");
    }
}

#[test]
fn every_cipher_that_ssh_keygen_offers_opens_or_is_named() {
    for name in ["ed25519", "ed25519-aes128-ctr", "ed25519-aes256-cbc", "ed25519-aes256-gcm", "rsa4096", "rsa3072"] {
        let folder = tempfile::tempdir().unwrap();
        let store = Place::new(folder.path().join("vault"));
        store.create(&contents(vec![recipient(name)]), None).unwrap();
        assert_eq!(store.open(&unlocked(name)).unwrap().contents.profiles.len(), 1, "{name}");
    }
    let refused = Unlocked::ssh_key(&fixture("ed25519-chacha20-poly1305"), Some(&passphrase())).err();
    assert!(matches!(refused, Some(StoreError::Cipher(name)) if name.starts_with("chacha20")));
}

#[test]
fn passphrases_are_asked_for_only_where_they_help() {
    let key = fixture("ed25519");
    assert!(matches!(Unlocked::ssh_key(&key, None).err(), Some(StoreError::PassphraseNeeded)));
    assert!(matches!(Unlocked::ssh_key(&key, Some(&Secret::new(""))).err(), Some(StoreError::PassphraseNeeded)));
    assert!(matches!(Unlocked::ssh_key(&key, Some(&Secret::new("no"))).err(), Some(StoreError::WrongPassphrase)));
    assert!(matches!(Unlocked::ssh_key(&fixture("ecdsa"), None).err(), Some(StoreError::KeyKind(_))));
    assert!(matches!(Unlocked::ssh_key(b"", None).err(), Some(StoreError::KeyFile(_))));
}

/// The fixture takes one round of bcrypt; here it says 100,000 and would take half an hour.
#[test]
fn a_key_file_that_would_take_minutes_is_refused_at_once() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = String::from_utf8(fixture("ed25519")).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut bytes = STANDARD.decode(body).unwrap();
    let kdf = bytes.windows(6).position(|window| window == b"bcrypt").unwrap();
    // Behind the name: the options' length, the salt's length, 16 bytes of salt, the rounds.
    let rounds = kdf + 6 + 4 + 4 + 16;
    assert_eq!(bytes[rounds..rounds + 4], [0, 0, 0, 1]);
    bytes[rounds..rounds + 4].copy_from_slice(&100_000_u32.to_be_bytes());
    let body = STANDARD.encode(bytes);
    let file = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n");
    let refused = Unlocked::ssh_key(file.as_bytes(), Some(&passphrase())).err();
    assert!(matches!(refused, Some(StoreError::Rounds(100_000))));
}
