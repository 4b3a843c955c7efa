//! iam-sorry's envelopes, made and read by Python's `cryptography`.

use std::{path::Path, process::Command};

use bowline_base::Secret;
use bowline_vault::envelope::{Pair, Scheme, SealingKey, open_pair, which_opens};
use serde_json::Value;

use crate::tools::{fixture, output, place, python, skip};

fn envelopes() -> Vec<Value> {
    serde_json::from_slice(&fixture("envelopes.json")).unwrap()
}

fn text<'a>(envelope: &'a Value, key: &str) -> &'a str {
    envelope[key].as_str().unwrap()
}

/// Opens one value, as the secret key of a profile whose key id is plaintext.
fn open(value: &str, key_file: &[u8]) -> (String, Option<Scheme>) {
    let pair = Pair { profile: "p", key_id: "AKIAIOSFODNN7EXAMPLE", secret_key: value };
    let opened = open_pair(pair, key_file).unwrap();
    (opened.secret_key.expose().to_owned(), opened.scheme)
}

fn nonce(envelope: &Value) -> [u8; 12] {
    let hex = text(envelope, "nonce");
    std::array::from_fn(|index| u8::from_str_radix(&hex[index * 2..index * 2 + 2], 16).unwrap())
}

#[test]
fn envelopes_of_both_schemes_open_and_say_which_they_were() {
    let (key, mut opened) = (fixture("ed25519"), 0);
    // A key id where a secret key should be is refused on purpose: `refusals.rs`.
    for envelope in envelopes().iter().filter(|envelope| !text(envelope, "text").starts_with("AKIA")) {
        let (secret, scheme) = open(text(envelope, "value"), &key);
        assert_eq!(secret, text(envelope, "text"));
        assert_eq!(scheme.unwrap().to_string(), text(envelope, "scheme"));
        opened += 1;
    }
    assert_eq!(opened, 8);
}

#[test]
fn a_whole_profile_opens_with_plaintext_left_as_it_is() {
    let (key, envelopes) = (fixture("ed25519"), envelopes());
    let value = |index: usize| text(&envelopes[index], "value");
    let opened = open_pair(Pair { profile: "p", key_id: value(0), secret_key: value(1) }, &key).unwrap();
    assert_eq!(opened.key_id.expose(), "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(opened.scheme, Some(Scheme::V1));
    let plain = open_pair(Pair { profile: "p", key_id: "AKIA", secret_key: " __encrypted__:x" }, &key).unwrap();
    assert_eq!((plain.secret_key.expose(), plain.scheme), (" __encrypted__:x", None));
}

#[test]
fn what_we_seal_with_the_same_nonce_is_the_same_byte_for_byte() {
    let (key, doubt) = SealingKey::new(&fixture("ed25519")).unwrap();
    assert_eq!(doubt, None);
    for envelope in envelopes().iter().filter(|envelope| text(envelope, "scheme") == "iam-sorry-v1") {
        assert_eq!(key.seal(&Secret::new(text(envelope, "text")), nonce(envelope)), text(envelope, "value"));
    }
}

#[test]
fn the_key_file_that_opens_a_value_is_found_among_several() {
    let files: Vec<(&str, Vec<u8>)> =
        ["rsa4096", "ed25519-open", "ed25519", "ecdsa"].into_iter().map(|name| (name, fixture(name))).collect();
    let found = which_opens(text(&envelopes()[0], "value"), files.iter().map(|(name, file)| (*name, file.as_slice())));
    assert_eq!(found, Some("ed25519"));
}

#[test]
fn python_opens_what_we_seal_and_we_open_what_python_seals() {
    let Some(python) = python() else { skip!("envelopes against Python: no target/py") };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/envelope.py");
    let bytes = fixture("rsa4096");
    let file = place(folder.path(), "key", &bytes);
    let oracle = |verb: &str, input: &str| -> Vec<Value> {
        let printed = output(Command::new(&python).arg(&script).arg(verb).arg(&file), input.as_bytes());
        if verb == "make" {
            return serde_json::from_str(&printed).unwrap();
        }
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for envelope in oracle("make", "").iter().filter(|envelope| !text(envelope, "text").starts_with("AKIA")) {
        assert_eq!(open(text(envelope, "value"), &bytes).0, text(envelope, "text"));
    }
    let (key, _) = SealingKey::new(&bytes).unwrap();
    let texts = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "ü"];
    let sealed: Vec<String> =
        texts.iter().zip(0_u8..).map(|(text, n)| key.seal(&Secret::new(*text), [n; 12])).collect();
    let opened = oracle("open", &sealed.join("\n"));
    assert_eq!(opened.len(), 3);
    for (opened, expected) in opened.iter().zip(texts) {
        assert_eq!((text(opened, "text"), text(opened, "scheme")), (expected, "iam-sorry-v1"));
    }
}
