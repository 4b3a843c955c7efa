//! The store on disk: who opens it, what is refused, what a change leaves behind.

use std::{fs, os::unix::fs::PermissionsExt as _};

use bowline_base::Secret;
use bowline_vault::store::{
    Insist, Passphrase, Place, Recipient, Recipients, RecoveryKey, Replacing, StoreError, Unlocked, instructions,
};

use crate::tools::{contents, entry, fixture, name, recipient, unlocked};

/// scrypt at 2^4: what is tested is not its cost.
const CHEAP: u8 = 4;

#[test]
fn every_recipient_opens_it_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    let (recovery, passphrase) = (RecoveryKey::generate(), Passphrase::new(&Secret::new("a b"), CHEAP));
    let list = vec![recipient("ed25519"), recipient("rsa4096"), recovery.recipient(), passphrase.recipient];
    let made = contents(list);
    store.create(&made, Some(&passphrase.file)).unwrap();

    let file = store.passphrase_file().unwrap().unwrap();
    let again = RecoveryKey::parse(&recovery.secret()).unwrap();
    let keys = [
        unlocked("ed25519"),
        unlocked("rsa4096"),
        Unlocked::recovery(&again),
        Unlocked::passphrase(&file, &Secret::new("a b")).unwrap(),
    ];
    for key in &keys {
        let found = store.open(key).unwrap();
        assert_eq!((found.contents, found.recipients_changed), (made.clone(), false));
    }
    assert!(matches!(store.open(&unlocked("rsa3072")), Err(StoreError::NotForThisKey(_))));
    let stranger = Unlocked::recovery(&RecoveryKey::generate());
    assert!(matches!(store.open(&stranger), Err(StoreError::NotForThisKey(_))));
    let wrong = Unlocked::passphrase(&file, &Secret::new("ab"));
    assert!(matches!(wrong.err(), Some(StoreError::WrongPassphrase)));
    let ways = instructions(store.directory(), &made.recipients);
    assert_eq!(ways.len(), 4);
    assert!(ways.iter().all(|way| way.command.starts_with("age --decrypt --identity ")));
}

#[test]
fn every_file_is_private_and_none_shows_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519")]), None).unwrap();
    let key = unlocked("ed25519");
    store
        .change(&key, Replacing::Held, |contents| {
            contents.profiles.insert(name("other"), entry("AKIAI44QH8DHBEXAMPLE"));
            Ok(())
        })
        .unwrap();
    let mut files = 0;
    for file in fs::read_dir(store.directory()).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            files += 1;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(4).any(|window| window == b"AKIA" || window == b"othe"), "{}", file.display());
        }
    }
    // vault.age, vault.age.bak, vault.lock, recipients.txt
    assert_eq!(files, 4);
    assert_eq!(fs::metadata(store.directory()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_changed_list_of_recipients_is_sealed_and_an_old_one_locks_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519"), recipient("rsa4096")]), None).unwrap();
    let left = Recipients::new(vec![recipient("rsa4096")], Insist::OnOne).unwrap();
    let change = |contents: &mut bowline_vault::store::Contents| {
        contents.recipients = left.clone();
        Ok(())
    };
    store.change(&unlocked("ed25519"), Replacing::Held, change).unwrap();
    assert!(matches!(store.open(&unlocked("ed25519")), Err(StoreError::NotForThisKey(_))));
    assert_eq!(store.recipients().unwrap().1, left);
    assert!(store.open(&unlocked("rsa4096")).is_ok());
}

#[test]
fn a_public_list_that_somebody_else_wrote_is_noticed_and_never_sealed_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519")]), None).unwrap();
    let list = store.directory().join("recipients.txt");
    let spy = RecoveryKey::generate();
    let Recipient::Recovery { public } = spy.recipient() else { panic!("a recovery key") };
    let text = format!("{}{public}\n", fs::read_to_string(&list).unwrap());
    fs::write(&list, text).unwrap();
    assert!(store.open(&unlocked("ed25519")).unwrap().recipients_changed);
    store.change(&unlocked("ed25519"), Replacing::Held, |_| Ok(())).unwrap();
    assert!(!store.open(&unlocked("ed25519")).unwrap().recipients_changed);
    assert!(matches!(store.open(&Unlocked::recovery(&spy)), Err(StoreError::NotForThisKey(_))));
}

#[test]
fn a_store_that_is_cut_altered_or_something_else_is_named_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    assert!(matches!(store.open(&unlocked("ed25519")), Err(StoreError::Missing(_))));
    store.create(&contents(vec![recipient("ed25519")]), None).unwrap();
    assert!(matches!(store.create(&contents(vec![recipient("ed25519")]), None), Err(StoreError::Exists(_))));
    let (path, key) = (store.directory().join("vault.age"), unlocked("ed25519"));
    let whole = fs::read(&path).unwrap();
    let with = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        store.open(&key).expect_err("it must not open")
    };
    for length in (22..whole.len()).step_by(3) {
        let error = with(&whole[..length]);
        assert!(matches!(error, StoreError::Cut(_) | StoreError::Altered(_)), "after {length}: {error}");
    }
    for at in (22..whole.len()).step_by(3) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        let error = with(&altered);
        assert!(!error.to_string().contains("AKIA"), "{error}");
    }
    assert!(matches!(with(b"[default]\n"), StoreError::NotAge(_)));
    assert!(matches!(with(&vec![b'a'; 5 * 1024 * 1024]), StoreError::TooLong(_)));
    fs::write(&path, &whole).unwrap();
    assert!(store.open(&key).is_ok());
}

#[test]
fn two_writers_at_once_do_not_lose_each_others_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519-open")]), None).unwrap();
    let key = fixture("ed25519-open");
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (store, key) = (&store, &key);
            scope.spawn(move || {
                let key = Unlocked::ssh_key(key, None).unwrap();
                let put = store.change(&key, Replacing::Held, |contents| {
                    contents.profiles.insert(name(&format!("p{writer}")), entry("AKIAIOSFODNN7EXAMPLE"));
                    Ok(())
                });
                put.unwrap();
            });
        }
    });
    assert_eq!(store.open(&Unlocked::ssh_key(&key, None).unwrap()).unwrap().contents.profiles.len(), 9);
}

#[test]
fn a_passphrase_file_that_would_take_minutes_is_refused() {
    let file = String::from_utf8_lossy(&Passphrase::new(&Secret::new("a"), CHEAP).file).into_owned();
    let costly = file.replacen(" 4\n", " 30\n", 1);
    assert_ne!(file, costly);
    let error = Unlocked::passphrase(costly.as_bytes(), &Secret::new("a")).err();
    assert!(matches!(error, Some(StoreError::TooMuchWork { required: 30, .. })));
}

#[test]
fn a_passphrase_that_is_let_in_no_more_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Place::new(folder.path().join("vault"));
    let passphrase = Passphrase::new(&Secret::new("a b"), CHEAP);
    let list = vec![recipient("ed25519"), recipient("rsa4096"), passphrase.recipient];
    store.create(&contents(list), Some(&passphrase.file)).unwrap();
    store.change(&unlocked("ed25519"), Replacing::Held, |_| Ok(())).unwrap();
    assert!(store.passphrase_file().unwrap().is_some(), "it is a recipient");
    let left = Recipients::new(vec![recipient("ed25519"), recipient("rsa4096")], Insist::No).unwrap();
    store
        .change(&unlocked("ed25519"), Replacing::Held, |contents| {
            contents.recipients = left.clone();
            Ok(())
        })
        .unwrap();
    assert_eq!(store.passphrase_file().unwrap(), None);
    assert!(store.open(&unlocked("rsa4096")).is_ok());
}
