//! Keys that are added by whoever has no private key.

use std::fs;

use bowline_vault::store::{Addition, Place, Recipient, Replacing, StoreError, StoreId};

use crate::tools::{contents, entry, name, recipient, unlocked};

fn store(folder: &tempfile::TempDir) -> (Place, StoreId) {
    let store = Place::new(folder.path().join("vault"));
    let recipients: Vec<Recipient> = vec![recipient("ed25519"), recipient("rsa4096")];
    store.create(&contents(recipients), None).unwrap();
    let id = store.recipients().unwrap().0;
    (store, id)
}

fn addition(id: &str, store: &StoreId, profile: &str, key: &str) -> Addition {
    Addition { id: id.to_owned(), store: store.clone(), profile: name(profile), entry: entry(key) }
}

#[test]
fn adding_needs_no_private_key_and_the_next_opening_takes_it_in() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = store(&folder);
    let before = fs::read(store.directory().join("vault.age")).unwrap();
    store.add(&addition("a1", &id, "deploy", "AKIAI44QH8DHBEXAMPLE")).unwrap();
    assert_eq!(fs::read(store.directory().join("vault.age")).unwrap(), before);

    let found = store.open(&unlocked("rsa4096")).unwrap();
    assert_eq!((found.waiting.len(), found.unreadable.len(), found.contents.profiles.len()), (1, 0, 1));
    let (contents, merged) = store.change(&unlocked("ed25519"), Replacing::Held, |_| Ok(())).unwrap();
    assert_eq!((merged.added, contents.profiles.len()), (vec![name("deploy")], 2));
    assert_eq!(fs::read_dir(store.directory().join("inbox")).unwrap().count(), 0);
    let found = store.open(&unlocked("ed25519")).unwrap();
    assert_eq!(
        (found.contents.profiles[&name("deploy")].clone(), found.waiting.len()),
        (entry("AKIAI44QH8DHBEXAMPLE"), 0)
    );
}

#[test]
fn an_addition_never_replaces_keys_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = store(&folder);
    store.add(&addition("a1", &id, "build", "AKIAI44QH8DHBEXAMPLE")).unwrap();
    let key = unlocked("ed25519");
    let (contents, merged) = store.change(&key, Replacing::Held, |_| Ok(())).unwrap();
    assert_eq!(
        (merged.held, contents.profiles[&name("build")].clone()),
        (vec![name("build")], entry("AKIAIOSFODNN7EXAMPLE"))
    );
    assert_eq!(store.open(&key).unwrap().waiting.len(), 1);
    let (contents, merged) = store.change(&key, Replacing::Allowed, |_| Ok(())).unwrap();
    assert_eq!(
        (merged.replaced, contents.profiles[&name("build")].clone()),
        (vec![name("build")], entry("AKIAI44QH8DHBEXAMPLE"))
    );
}

#[test]
fn what_does_not_belong_into_the_inbox_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = store(&folder);
    let inbox = store.directory().join("inbox");
    assert!(matches!(store.add(&addition("a1", &StoreId::new([9; 16]), "x", "AKIA")), Err(StoreError::OtherStore)));
    let escape = addition("../../escape", &id, "x", "AKIA");
    assert!(store.add(&escape).is_err());
    store.add(&addition("good", &id, "x", "AKIA")).unwrap();
    fs::write(inbox.join("bad.age"), b"not age").unwrap();
    // The store itself in the inbox: it opens, and is no addition.
    fs::copy(store.directory().join("vault.age"), inbox.join("store.age")).unwrap();
    let (_, merged) = store.change(&unlocked("ed25519"), Replacing::Held, |_| Ok(())).unwrap();
    assert_eq!(merged.added, [name("x")]);
    let found = store.open(&unlocked("ed25519")).unwrap();
    assert_eq!((found.unreadable.len(), fs::read_dir(&inbox).unwrap().count()), (2, 2));
}
