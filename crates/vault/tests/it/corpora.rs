//! Committed inputs, those among them that a fuzzer found, and what one does to them: cut, bits flipped, pieces doubled.
//! Nothing panics, and nothing takes long. What is done with each is the fuzzer's own function (`fuzz/src`).

use std::{fs, path::Path};

use bowline_base::Secret;
use bowline_vault::{
    ssh::{KeyFile, NotOpenSsh},
    store::{StoreError, Unlocked},
};
use proptest::prelude::*;

use crate::tools::fixture;

#[path = "../../../../fuzz/src/age_file.rs"]
#[expect(unreachable_pub, reason = "the fuzzer sees it from outside")]
mod age_file;
#[path = "../../../../fuzz/src/envelope.rs"]
#[expect(unreachable_pub, reason = "the fuzzer sees it from outside")]
mod envelope;
#[path = "../../../../fuzz/src/key_file.rs"]
#[expect(unreachable_pub, reason = "the fuzzer sees it from outside")]
mod key_file;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    files(name).into_iter().map(|(_, bytes)| bytes).collect()
}

fn files(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 2, "corpus `{name}` is empty");
    paths.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

/// What happens to an input on its way.
#[derive(Clone, Debug)]
enum Harm {
    Cut(usize),
    Flip(usize, u8),
    Double(usize, usize),
    Insert(usize, Vec<u8>),
}

fn harm() -> impl Strategy<Value = Vec<Harm>> {
    let at = 0..10_000_usize;
    let one = prop_oneof![
        at.clone().prop_map(Harm::Cut),
        (at.clone(), any::<u8>()).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        (at.clone(), at.clone()).prop_map(|(from, to)| Harm::Double(from, to)),
        (at, proptest::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
    ];
    proptest::collection::vec(one, 0..4)
}

fn harmed(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        let length = bytes.len() + 1;
        match harm {
            Harm::Cut(at) => bytes.truncate(at % length),
            Harm::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= bits;
                }
            }
            Harm::Double(from, to) => {
                let (from, to) = ((from % length).min(to % length), (from % length).max(to % length));
                bytes.extend_from_within(from..to);
            }
            Harm::Insert(at, piece) => {
                bytes.splice(at % length..at % length, piece.iter().copied());
            }
        }
    }
    bytes
}

/// The armored text of a key file taken apart, its bytes harmed, and put together again: harm inside the base64 is
/// otherwise refused before the header is ever looked at.
fn harmed_inside(file: &[u8], harms: &[Harm]) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = String::from_utf8_lossy(file);
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let Ok(bytes) = STANDARD.decode(body) else { return harmed(file.to_vec(), harms) };
    let body = STANDARD.encode(harmed(bytes, harms));
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n").into_bytes()
}

#[test]
fn every_input_that_was_ever_kept_has_an_answer_wherever_it_is_cut() {
    type Look = fn(&[u8]);
    let looks: [(&str, Look); 3] =
        [("key_file", key_file::look), ("envelope", envelope::look), ("age_file", age_file::look)];
    for (name, look) in looks {
        for (path, bytes) in files(name) {
            look(&bytes);
            // The fuzzer has cut its own finds already.
            let step = (bytes.len() / 100).max(1);
            let cuts = (0..bytes.len()).step_by(step).filter(|_| !path.contains("/found-"));
            cuts.for_each(|length| look(&bytes[..length]));
        }
    }
}

/// A key whose numbers are zero in a form that OpenSSH never writes: the age library's reader panics on it.
#[test]
fn a_key_file_that_makes_the_library_panic_is_damaged_to_us() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/key_file/rsa-zero-number");
    let bytes = fs::read(path).unwrap();
    assert!(matches!(KeyFile::parse(&bytes), KeyFile::OpenSsh(_)), "its header is good");
    let refused = Unlocked::ssh_key(&bytes, None).err();
    assert!(matches!(refused, Some(StoreError::KeyFile(NotOpenSsh::Damaged))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_key_file_makes_it_panic(pick: prop::sample::Index, harms in harm(), inside: bool) {
        let corpus = corpus("key_file");
        let file = &corpus[pick.index(corpus.len())];
        key_file::look(&if inside { harmed_inside(file, &harms) } else { harmed(file.clone(), &harms) });
    }

    #[test]
    fn no_key_file_makes_unlocking_panic_or_linger(harms in harm()) {
        // Unprotected, so that what is harmed reaches the private part.
        let file = harmed_inside(&fixture("ed25519-open"), &harms);
        Unlocked::ssh_key(&file, Some(&Secret::new("x"))).ok();
    }

    #[test]
    fn no_envelope_makes_it_panic(pick: prop::sample::Index, harms in harm()) {
        let corpus = corpus("envelope");
        envelope::look(&harmed(corpus[pick.index(corpus.len())].clone(), &harms));
    }

    #[test]
    fn no_age_file_makes_it_panic(pick: prop::sample::Index, harms in harm()) {
        let corpus = corpus("age_file");
        age_file::look(&harmed(corpus[pick.index(corpus.len())].clone(), &harms));
    }
}
