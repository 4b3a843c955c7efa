//! Debian's `age` opens what we write, with nothing of ours installed.

use std::{path::Path, process::Command};

use bowline_base::Secret;
use bowline_vault::store::{Passphrase, Place, RecoveryKey};
use serde_json::Value;

use crate::tools::{contents, fixture, output, place, program, python, recipient, skip};

fn check(printed: &str) {
    let document: Value = serde_json::from_str(printed).unwrap();
    assert_eq!((document["kind"].as_str(), document["version"].as_u64()), (Some("bowline-vault"), Some(1)));
    assert_eq!(document["profiles"]["build"]["aws_access_key_id"], "AKIAIOSFODNN7EXAMPLE");
}

#[test]
fn age_opens_the_store_with_an_ssh_key_and_with_the_recovery_key() {
    let Some(age) = program("age") else { skip!("plain age: not installed") };
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    let (recovery, passphrase) = (RecoveryKey::generate(), Passphrase::new(&Secret::new("a b"), 4));
    let recipients = vec![recipient("ed25519-open"), recipient("rsa4096"), recovery.recipient(), passphrase.recipient];
    store.create(&contents(recipients), Some(&passphrase.file)).unwrap();
    let files = [
        place(folder.path(), "ssh", &fixture("ed25519-open")),
        place(folder.path(), "recovery", recovery.secret().expose().as_bytes()),
    ];
    for file in files {
        let mut command = Command::new(&age);
        command.args(["--decrypt", "--identity"]).arg(file).arg(store.directory().join("vault.age"));
        check(&output(&mut command, b""));
    }
}

#[test]
fn age_asks_for_the_passphrase_and_opens_the_store_with_it() {
    let (Some(age), Some(python)) = (program("age"), python()) else {
        skip!("age with a passphrase: no age or target/py")
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    let passphrase = Passphrase::new(&Secret::new("a b"), 4);
    store.create(&contents(vec![recipient("ed25519"), passphrase.recipient]), Some(&passphrase.file)).unwrap();
    let opened = folder.path().join("opened");
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/at_a_terminal.py")).arg("a b").arg(age);
    command.args(["-d", "-i"]).arg(store.directory().join("passphrase.age")).arg("-o").arg(&opened);
    output(command.arg(store.directory().join("vault.age")), b"");
    check(&std::fs::read_to_string(opened).unwrap());
}

#[test]
fn age_seals_to_our_list_and_we_open_it() {
    let Some(age) = program("age") else { skip!("plain age: not installed") };
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519-open"), RecoveryKey::generate().recipient()]), None).unwrap();
    // What a person without our program can do: open, edit, seal again to `recipients.txt`.
    let sealed = store.directory().join("vault.age");
    let key = place(folder.path(), "ssh", &fixture("ed25519-open"));
    let text = output(Command::new(&age).args(["-d", "-i"]).arg(&key).arg(&sealed), b"");
    let edited = text.replace("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE");
    let mut seal = Command::new(&age);
    seal.arg("-R").arg(store.directory().join("recipients.txt")).arg("-o").arg(&sealed);
    output(&mut seal, edited.as_bytes());
    let unlocked = bowline_vault::store::Unlocked::ssh_key(&fixture("ed25519-open"), None).unwrap();
    let found = store.open(&unlocked).unwrap();
    let entry = found.contents.profiles.values().next().unwrap();
    assert_eq!(entry.keys.key_id.expose(), "AKIAI44QH8DHBEXAMPLE");
}
