//! Keys that are added without a private key: sealed on their own, taken into the store when it is next opened.
//!
//! age does not say who sealed something: whoever may write the inbox can put keys into it. So an addition says for
//! which store and profile it is, and never replaces keys unless whoever opens the store says so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    contents::{Contents, Entry, EntryText, StoreId, check_head, parse},
    error::StoreError,
    text,
};
use crate::profile::ProfileName;

pub(super) const WHAT: &str = "an addition in the inbox";
const KIND: &str = "bowline-vault-addition";

/// One profile's keys on their way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Names it, so that it is taken in once: letters and digits, also the name of its file.
    pub id: String,
    /// For which store.
    pub store: StoreId,
    /// For which profile.
    pub profile: ProfileName,
    /// The keys.
    pub entry: Entry,
}

/// Whether additions may replace keys that the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacing {
    /// They wait, and are named.
    Held,
    /// The later one wins.
    Allowed,
}

/// What taking in additions did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Profiles that are new.
    pub added: Vec<ProfileName>,
    /// Profiles whose keys were replaced.
    pub replaced: Vec<ProfileName>,
    /// Profiles that have other keys already; their additions wait.
    pub held: Vec<ProfileName>,
    /// Additions whose files may go once the store is written.
    pub(super) done: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    kind: String,
    version: u64,
    id: String,
    store: String,
    profile: String,
    entry: EntryText,
}

impl Addition {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        text::encode(&Document {
            kind: KIND.to_owned(),
            version: 1,
            id: self.id.clone(),
            store: self.store.as_str().to_owned(),
            profile: self.profile.to_string(),
            entry: EntryText::of(&self.entry),
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        check_head(bytes, WHAT, KIND)?;
        let document: Document = parse(bytes, WHAT)?;
        let not_ours = |why: String| StoreError::NotOurs { what: WHAT, why };
        let id = StoreId::parse(&document.id).ok_or_else(|| not_ours("its identifier is none".to_owned()))?;
        Ok(Self {
            id: id.as_str().to_owned(),
            store: StoreId::parse(&document.store).ok_or(StoreError::OtherStore)?,
            profile: ProfileName::new(&document.profile).map_err(|error| not_ours(error.to_string()))?,
            entry: document.entry.entry(),
        })
    }
}

/// Takes additions into the store, oldest first. Taking one in twice changes nothing, so a crash between writing the
/// store and removing the files does no harm.
pub(super) fn merge(contents: &mut Contents, mut additions: Vec<Addition>, replacing: Replacing) -> Merged {
    additions.sort_by(|a, b| (&a.entry.added, &a.id).cmp(&(&b.entry.added, &b.id)));
    let there: BTreeSet<&String> = additions.iter().map(|addition| &addition.id).collect();
    contents.taken.retain(|id| there.contains(id));
    let mut merged = Merged::default();
    for addition in additions.into_iter().filter(|addition| addition.store == contents.store) {
        let known = contents.profiles.get(&addition.profile).map(|entry| entry.keys == addition.entry.keys);
        if known == Some(false) && replacing == Replacing::Held && !contents.taken.contains(&addition.id) {
            merged.held.push(addition.profile);
            continue;
        }
        merged.done.push(addition.id.clone());
        if contents.taken.contains(&addition.id) {
            continue;
        }
        contents.taken.push(addition.id);
        if known != Some(true) {
            let list = if known.is_none() { &mut merged.added } else { &mut merged.replaced };
            list.push(addition.profile.clone());
            contents.profiles.insert(addition.profile, addition.entry);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use bowline_base as base;

    use super::*;
    use crate::{profile::Keys, store::Recipients};

    fn addition(id: &str, profile: &str, key: &str, added: &str) -> Addition {
        let keys = Keys { key_id: Secret::new(key), secret_key: Secret::new("s"), session_token: None };
        Addition {
            id: id.to_owned(),
            store: StoreId::new([1; 16]),
            profile: ProfileName::new(profile).unwrap(),
            entry: Entry { keys, added: added.to_owned() },
        }
    }

    fn store() -> Contents {
        Contents::new(StoreId::new([1; 16]), Recipients::none())
    }

    #[test]
    fn new_profiles_come_in_and_other_keys_wait() {
        let mut contents = store();
        let first = addition("a", "build", "AKIA1", "2026-11-22T01:00:00Z");
        let second = addition("b", "build", "AKIA2", "2026-11-22T02:00:00Z");
        // The later one is handed in first: what counts is when it was added.
        let merged = merge(&mut contents, vec![second.clone(), first.clone()], Replacing::Held);
        assert_eq!((merged.added.len(), merged.held.len(), merged.done), (1, 1, vec!["a".to_owned()]));
        assert_eq!(contents.profiles[&first.profile].keys, first.entry.keys);
        let merged = merge(&mut contents, vec![second.clone()], Replacing::Allowed);
        assert_eq!(merged.replaced, std::slice::from_ref(&second.profile));
        assert_eq!(contents.profiles[&second.profile].keys, second.entry.keys);
    }

    #[test]
    fn an_addition_whose_file_outlived_a_crash_does_not_undo_what_came_after() {
        let mut contents = store();
        let old = addition("a", "build", "AKIA1", "2026-11-22T01:00:00Z");
        merge(&mut contents, vec![old.clone()], Replacing::Allowed);
        let rotated = addition("b", "build", "AKIA2", "2026-11-22T02:00:00Z").entry;
        contents.profiles.insert(old.profile.clone(), rotated.clone());
        let merged = merge(&mut contents, vec![old.clone()], Replacing::Allowed);
        assert_eq!((merged.done, contents.profiles[&old.profile].clone()), (vec!["a".to_owned()], rotated));
        merge(&mut contents, Vec::new(), Replacing::Held);
        assert!(contents.taken.is_empty());
    }

    #[test]
    fn an_addition_for_another_store_is_not_taken() {
        let mut contents = Contents::new(StoreId::new([2; 16]), Recipients::none());
        let merged = merge(&mut contents, vec![addition("a", "build", "AKIA1", "x")], Replacing::Allowed);
        assert_eq!((merged, contents.profiles.len()), (Merged::default(), 0));
    }

    #[test]
    fn an_addition_comes_back_as_it_was() {
        let addition = addition("a", "build", "AKIA1", "2026-11-22T01:00:00Z");
        assert_eq!(Addition::decode(&addition.encode()).unwrap(), addition);
    }
}
