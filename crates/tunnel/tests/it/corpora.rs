//! Committed inputs, and what a fuzzer does to them: cut everywhere, bits flipped, pieces doubled. What is done with them
//! is written once, for the fuzzer and for these tests.

use std::{fs, path::Path};

use proptest::prelude::*;

#[allow(unreachable_pub, reason = "the fuzzer exports it")]
#[path = "../../../../fuzz/src/dns.rs"]
mod dns;
#[allow(unreachable_pub, reason = "the fuzzer exports it")]
#[path = "../../../../fuzz/src/fragments.rs"]
mod fragments;
#[allow(unreachable_pub, reason = "the fuzzer exports it")]
#[path = "../../../../fuzz/src/packet.rs"]
mod packet;
#[allow(unreachable_pub, reason = "the fuzzer exports it")]
#[path = "../../../../fuzz/src/wg_conf.rs"]
mod wg_conf;

/// Reads untrusted bytes.
type Look = fn(&[u8]);

/// What reads untrusted bytes, and the folder of inputs for it.
const LOOKS: [(&str, Look); 4] =
    [("packet", packet::look), ("fragments", fragments::look), ("dns", dns::look), ("wg_conf", wg_conf::look)];

/// What a fuzzer found is read as it is: it has cut and turned it already.
fn made(name: &str) -> Vec<Vec<u8>> {
    inputs(name, |file| !file.starts_with("found-"))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    inputs(name, |_| true)
}

fn inputs(name: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.file_name().and_then(|file| file.to_str()).is_some_and(&wanted));
    paths.sort();
    assert!(paths.len() > 4, "corpus `{name}` is empty");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_kept_input_is_read_whole_and_cut_everywhere() {
    for (name, look) in LOOKS {
        corpus(name).iter().for_each(|input| look(input));
        for input in made(name) {
            (0..input.len()).for_each(|length| look(&input[..length]));
        }
    }
}

#[test]
fn a_bit_turned_anywhere_does_no_harm() {
    for (name, look) in LOOKS {
        for input in made(name) {
            for at in 0..input.len() {
                let mut turned = input.clone();
                turned[at] ^= 1 << (at % 8);
                look(&turned);
                turned[at] = 0xff;
                look(&turned);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn pieces_of_two_inputs_do_no_harm(
        which in 0..LOOKS.len(), one: prop::sample::Index, other: prop::sample::Index,
        at: prop::sample::Index, from: prop::sample::Index, noise in proptest::collection::vec(any::<u8>(), 0..16)
    ) {
        let (name, look) = LOOKS[which];
        let corpus = corpus(name);
        let (one, other) = (&corpus[one.index(corpus.len())], &corpus[other.index(corpus.len())]);
        let mut mixed = one[..at.index(one.len() + 1)].to_vec();
        mixed.extend(&noise);
        mixed.extend(&other[from.index(other.len() + 1)..]);
        look(&mixed);
    }
}
