//! Judges what readers read: a set must be one that the fake issued, whole, and not past its end when it was asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use bowline_base::Timestamp;

use super::stage::Way;
use crate::harness::World;

/// Three things that belong together, and when they were asked for.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) asked_at: Timestamp,
    pub(super) key_id: String,
    pub(super) secret: String,
    pub(super) token: String,
}

/// What a reader came back with.
#[derive(Clone)]
pub(super) enum Read {
    Set(Set),
    /// No credentials, with the reason.
    No(String),
}

#[derive(Default)]
struct Heard {
    reads: BTreeMap<Way, u64>,
    sets: BTreeMap<Way, BTreeSet<String>>,
    faults: Vec<String>,
}

pub(super) struct Judge<'a> {
    world: &'a World,
    heard: Mutex<Heard>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        Self { world, heard: Mutex::default() }
    }

    /// One read through `way`.
    pub(super) fn hear(&self, way: Way, read: Read) {
        let fault = match &read {
            Read::No(why) => Some(format!("a gap: {why}")),
            Read::Set(set) => self.flaw(set).map(|flaw| format!("{}: {flaw}", set.key_id)),
        };
        let mut heard = self.heard.lock().unwrap();
        *heard.reads.entry(way).or_default() += 1;
        if let Read::Set(set) = read {
            heard.sets.entry(way).or_default().insert(set.key_id);
        }
        heard.faults.extend(fault.map(|fault| format!("{way:?}: {fault}")));
    }

    /// How many different sets were seen.
    pub(super) fn sets(&self) -> u64 {
        let heard = self.heard.lock().unwrap();
        heard.sets.values().flatten().collect::<BTreeSet<_>>().len() as u64
    }

    /// How many of them came through `way`.
    pub(super) fn sets_of(&self, way: Way) -> usize {
        self.heard.lock().unwrap().sets.get(&way).map_or(0, BTreeSet::len)
    }

    /// Prints how much was read.
    pub(super) fn say(&self) {
        let heard = self.heard.lock().unwrap();
        eprintln!("reads: {:?}; {} faults", heard.reads, heard.faults.len());
    }

    #[track_caller]
    pub(super) fn assert_no_fault(&self) {
        let heard = self.heard.lock().unwrap();
        assert!(
            heard.faults.is_empty(),
            "{} faults, the first: {:#?}",
            heard.faults.len(),
            &heard.faults[..heard.faults.len().min(5)]
        );
    }

    fn flaw(&self, set: &Set) -> Option<String> {
        let Some(issued) = self.world.cloud().issued(&set.key_id) else { return Some("nobody issued it".to_owned()) };
        let token = issued.session_token.as_ref().map(|token| token.expose()).unwrap_or_default();
        if issued.secret_key.expose() != set.secret || token != set.token {
            return Some("a mixed set".to_owned());
        }
        let end = issued.expires_at?;
        (end <= set.asked_at).then(|| format!("ended {end}, asked for {}", set.asked_at))
    }
}
