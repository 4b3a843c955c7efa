//! The opened store in memory, how the files stood then, and what a person typed for it: all wiped together.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_base::{Now, Secret};
use bowline_vault::{
    ProfileName,
    store::{Addition, Contents, Locked, Opened, Place, Replacing, StoreError, Unlocked},
};

use crate::stamps::{Stamp, stamp};

/// What is in the store, without any key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The profiles, and when their keys were put in.
    pub profiles: Vec<(String, String)>,
    /// Who can open it, as `age` sees them.
    pub recipients: Vec<String>,
    /// Profiles with other keys in the inbox, which wait for somebody to say which ones count.
    pub waiting: Vec<String>,
    /// Files of the inbox that do not open, and why.
    pub unreadable: Vec<(PathBuf, String)>,
    /// The public list of recipients is not the sealed one.
    pub recipients_changed: bool,
}

/// How the store's files stand: other stamps mean that somebody wrote them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamps([Option<Stamp>; 3]);

impl Stamps {
    pub(super) fn take(directory: &Path) -> Self {
        Self(["vault.age", "recipients.txt", "inbox"].map(|name| stamp(&directory.join(name))))
    }
}

/// The store, opened.
pub(super) struct Held {
    opened: Opened,
    typed: Option<Secret>,
    pub(super) stamps: Stamps,
    /// Everything of the listing that the contents do not say.
    beside: Listing,
}

impl Held {
    /// Opens the store and takes in what waits in its inbox. Where the store cannot be written, what waits for a profile
    /// of no keys is used all the same.
    pub(super) fn open(
        place: &Place,
        key: &Unlocked,
        typed: Option<Secret>,
        idle: Duration,
        now: Now,
    ) -> Result<Self, StoreError> {
        let mut found = place.open(key)?;
        let mut waiting: Vec<ProfileName> = found.waiting.iter().map(|addition| addition.profile.clone()).collect();
        if !waiting.is_empty() {
            match place.change(key, Replacing::Held, |_| Ok(())) {
                Ok((contents, merged)) => (found.contents, waiting) = (contents, merged.held),
                Err(_) => take_in(&mut found.contents, &found.waiting, &mut waiting),
            }
        }
        let beside = Listing {
            recipients: found.contents.recipients.iter().map(ToString::to_string).collect(),
            waiting: waiting.iter().map(ToString::to_string).collect(),
            unreadable: found.unreadable.iter().map(|(path, error)| (path.clone(), error.to_string())).collect(),
            recipients_changed: found.recipients_changed,
            ..Listing::default()
        };
        // After the change, which is ours.
        let stamps = Stamps::take(place.directory());
        Ok(Self { opened: Opened::new(found.contents, idle, now), typed, stamps, beside })
    }

    pub(super) fn contents(&mut self, now: Now) -> Result<&Contents, Locked> {
        self.opened.ask(now)
    }

    pub(super) fn listing(&mut self, now: Now) -> Result<Listing, Locked> {
        let contents = self.opened.ask(now)?;
        let profiles = contents.profiles.iter().map(|(name, entry)| (name.to_string(), entry.added.clone())).collect();
        Ok(Listing { profiles, ..self.beside.clone() })
    }

    /// What a person typed, while it is open.
    pub(super) fn passphrase(&mut self, now: Now) -> Option<Secret> {
        self.opened.ask(now).ok().and(self.typed.clone())
    }

    pub(super) fn is_over(&mut self, now: Now) -> bool {
        self.opened.tick(now)
    }

    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.opened.next_wake()
    }
}

/// The additions for profiles without keys, the oldest first; `waiting` keeps the others.
fn take_in(contents: &mut Contents, additions: &[Addition], waiting: &mut Vec<ProfileName>) {
    let mut oldest: Vec<&Addition> = additions.iter().collect();
    oldest.sort_by(|one, other| one.entry.added.cmp(&other.entry.added));
    waiting.clear();
    for addition in oldest {
        match contents.profiles.get(&addition.profile) {
            None => drop(contents.profiles.insert(addition.profile.clone(), addition.entry.clone())),
            Some(known) if known.keys == addition.entry.keys => {}
            Some(_) => waiting.push(addition.profile.clone()),
        }
    }
}
