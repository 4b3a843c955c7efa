//! Everything that can have happened to an envelope or its key file: refused, with the likely cause, without plaintext.

use base::Fault;
use bowline_base as base;
use bowline_vault::{
    Field,
    envelope::{Cause, NotOpened, OpenedPair, Pair, SealingKey, open_pair},
    ssh::{NotOpenSsh, Unfit},
};
use serde_json::Value;

use crate::tools::fixture;

const TEXTS: [&str; 2] = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"];

/// A sealed key id and its secret key.
fn sealed() -> [String; 2] {
    let envelopes: Vec<Value> = serde_json::from_slice(&fixture("envelopes.json")).unwrap();
    [0, 1].map(|index: usize| envelopes[index]["value"].as_str().unwrap().to_owned())
}

fn open(key_id: &str, secret_key: &str, key_file: &[u8]) -> Result<OpenedPair, NotOpened> {
    open_pair(Pair { profile: "manager", key_id, secret_key }, key_file)
}

/// The cause, after a look at everything that is printed of it.
fn cause(refused: Result<OpenedPair, NotOpened>) -> (Field, Cause) {
    let error = refused.expect_err("it must not open");
    let found = (error.field, error.cause.clone());
    let debug = format!("{error:?}");
    let fault = Fault::from(error);
    let printed = format!("{debug} {} {}", fault.chain(), fault.hint.as_deref().expect("every refusal has a hint"));
    for text in TEXTS {
        assert!(!text.as_bytes().windows(6).any(|piece| printed.contains(std::str::from_utf8(piece).unwrap())));
    }
    found
}

#[test]
fn a_bit_flipped_anywhere_is_named_an_alteration() {
    let ([id, secret], key) = (sealed(), fixture("ed25519"));
    let start = "__encrypted__:".len();
    for at in start..secret.len() - 1 {
        let mut bytes = secret.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(bytes).unwrap();
        assert_eq!(cause(open(&id, &flipped, &key)), (Field::SecretKey, Cause::Altered), "at {at}");
    }
}

#[test]
fn a_cut_value_is_named_so_wherever_it_was_cut() {
    let ([id, secret], key) = (sealed(), fixture("ed25519"));
    for length in "__encrypted__:".len()..secret.len() - 1 {
        let (field, found) = cause(open(&id, &secret[..length], &key));
        assert_eq!((field, found), (Field::SecretKey, Cause::Cut), "after {length}");
    }
    let (field, found) = cause(open(&id[..30], &secret, &key));
    assert_eq!((field, found), (Field::KeyId, Cause::Cut));
}

#[test]
fn text_that_no_program_sealed_is_named_so() {
    let ([id, _], key) = (sealed(), fixture("ed25519"));
    for text in ["__encrypted__:ü", &format!("__encrypted__:{}", "A".repeat(100_000))] {
        assert_eq!(cause(open(&id, text, &key)), (Field::SecretKey, Cause::Foreign));
    }
}

#[test]
fn another_key_and_a_rewritten_one_are_told_from_a_damaged_value() {
    let [id, secret] = sealed();
    assert_eq!(cause(open(&id, &secret, &fixture("rsa4096"))).1, Cause::OtherKey);
    assert_eq!(cause(open(&id, &secret, &fixture("ed25519-open"))).1, Cause::PassphraseRemoved);
    assert_eq!(cause(open(&id, &secret, &fixture("ed25519.pub"))).1, Cause::NotAKey(NotOpenSsh::PublicHalf));
    assert_eq!(cause(open(&id, &secret, b"")).1, Cause::NotAKey(NotOpenSsh::Empty));
    assert_eq!(cause(open(&id, &secret, &[0; 100_000])).1, Cause::NotAKey(NotOpenSsh::TooLong));
}

#[test]
fn converted_line_ends_are_found_and_the_repair_named() {
    let ([id, secret], key) = (sealed(), fixture("ed25519"));
    let text = String::from_utf8(key.clone()).unwrap();
    let copies = [
        (text.replace('\n', "\r\n"), "LF became CRLF", "sed -i 's/\\r$//' KEYFILE"),
        (text.trim_end().to_owned(), "the last line lost its end", "echo >> KEYFILE"),
        (format!("{text}\n"), "an empty end was added", "sed -i '$ d' KEYFILE"),
    ];
    for (copy, what, repair) in copies {
        let error = open(&id, &secret, copy.as_bytes()).expect_err("it must not open");
        assert!(error.to_string().contains(what), "{error}");
        assert!(Fault::from(error).hint.unwrap().contains(repair));
    }
    assert!(open(&id, &secret, &key).is_ok());
}

#[test]
fn swapped_fields_are_refused_although_they_open() {
    let ([id, secret], key) = (sealed(), fixture("ed25519"));
    assert_eq!(cause(open(&secret, &id, &key)), (Field::KeyId, Cause::Swapped));
    assert_eq!(cause(open(&secret, &secret, &key)), (Field::KeyId, Cause::Swapped));
    assert_eq!(cause(open(&id, &id, &key)), (Field::SecretKey, Cause::Swapped));
}

#[test]
fn sealing_is_refused_with_the_command_that_helps() {
    let cases = [
        ("ed25519-open", Unfit::Unprotected, "ssh-keygen -p"),
        ("ed25519.pub", Unfit::Form(NotOpenSsh::PublicHalf), "without `.pub`"),
    ];
    for (name, expected, hint) in cases {
        let unfit = SealingKey::new(&fixture(name)).err().unwrap();
        assert_eq!(unfit, expected);
        assert!(Fault::from(unfit).hint.unwrap().contains(hint));
    }
    for weak in ["rsa2048", "ecdsa"] {
        assert!(matches!(SealingKey::new(&fixture(weak)).err(), Some(Unfit::Weak(_))), "{weak}");
    }
    assert!(SealingKey::new(&fixture("rsa3072")).unwrap().1.is_some_and(|doubt| doubt.to_string().contains("3072")));
    assert!(SealingKey::new(&fixture("rsa4096")).unwrap().1.is_none());
}
