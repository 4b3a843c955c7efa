//! After locking, no key is anywhere in the process: its whole memory is searched, as an attacker would.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use base::{Now, Secret};
use bowline_base as base;
use bowline_vault::store::{Opened, Place, Unlocked};
use zeroize::Zeroizing;

use crate::tools::{contents, entry, fixture, name, recipient};

/// Kept with every bit turned, so that the needle is not its own finding.
fn turned(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| !byte).collect()
}

/// How often `needle` (turned) stands in the writable memory of this process.
fn count(needle: &[u8]) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        // Wiped, or this very copy of the memory would be what the next search finds.
        let mut bytes = Zeroizing::new(vec![0; usize::try_from(to - from).unwrap()]);
        if memory.seek(SeekFrom::Start(from)).is_err() || memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        let is_it = |window: &[u8]| window.iter().zip(needle).all(|(byte, turned)| *byte == !turned);
        let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == !needle[0]).map(|(at, _)| at);
        found += starts.filter(|at| bytes.get(*at..at + needle.len()).is_some_and(is_it)).count();
    }
    found
}

#[test]
fn a_locked_vault_leaves_no_key_in_memory() {
    if !fs::exists("/proc/self/mem").unwrap_or(false) {
        crate::tools::skip!("the search of our own memory: no /proc");
    }
    // Made of pieces at run time: the program's text holds it nowhere whole.
    let needle = turned(&[b"Q7".repeat(9), b"memory".to_vec()].concat());
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().join("vault"));
    let mut made = contents(vec![recipient("ed25519-open")]);
    let key_id = String::from_utf8(turned(&needle)).unwrap();
    let mut held = entry("");
    held.keys.key_id = Secret::new(key_id);
    made.profiles.insert(name("searched"), held);
    assert!(count(&needle) > 0, "the search finds nothing even when it is there");
    place.create(&made, None).unwrap();
    drop(made);
    assert_eq!(count(&needle), 0, "after sealing");

    let key = Unlocked::ssh_key(&fixture("ed25519-open"), None).unwrap();
    let now = Now { boot: Duration::from_secs(1), wall: "2026-11-22T02:00:00Z".parse().unwrap() };
    let mut opened = Opened::new(place.open(&key).unwrap().contents, Duration::from_secs(60), now);
    assert!(opened.ask(now).unwrap().profiles.contains_key(&name("searched")));
    assert!(count(&needle) > 0);
    assert!(opened.tick(now.after(Duration::from_secs(60))));
    assert_eq!(count(&needle), 0, "after locking");
}
