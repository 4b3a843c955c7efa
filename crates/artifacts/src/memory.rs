//! What is held of copies in memory, so that a hit costs neither a file nor another thread: a pure book of names, bounded
//! and scan resistant ([`Shelf`]). It knows no files and no clock.
//!
//! An entry may be served for [`TRUSTED`]; then one request looks at the disk again while the others are still served,
//! and after [`BELIEVED`] all of them do. What this process does to a copy ends its entry at once ([`Memory::forget`]), so
//! these times are for what other processes over the same directory do.
//!
//! Looking at the disk takes time, and what was seen may have changed when it is entered: whoever looks takes a
//! [`Ticket`] first, and what was seen before a change is not entered after it.

use std::{collections::HashMap, time::Duration};

use crate::{eviction::Shelf, record::Id};

/// How long nobody looks at the disk again.
pub(crate) const TRUSTED: Duration = Duration::from_secs(1);
/// After this nothing is served before it was looked at.
pub(crate) const BELIEVED: Duration = Duration::from_secs(2);
/// Files that are held open. A process has 1,024 descriptors where nobody raised the limit.
const MOST_OPEN: u64 = 256;
/// An entry, its record and its headers, about.
const OVERHEAD: u64 = 2048;
/// An entry that says that there is nothing, about.
const ABSENT: u64 = 256;
/// Counters of changes; names that share one only look at the disk once more than they need to.
const COUNTERS: usize = 256;

/// What an entry costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// So many bytes of its own.
    Bytes(u64),
    /// An open file.
    Descriptor,
}

/// When somebody began to look at the disk, by the changes and by the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    changes: u64,
    now: Duration,
}

#[derive(Debug)]
struct Entry<T> {
    /// `None`: there is no copy.
    copy: Option<T>,
    weight: Weight,
    /// Boot time at which the disk was seen, or earlier.
    seen: Duration,
    /// Somebody looks.
    checking: bool,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    entries: HashMap<Id, Entry<T>>,
    bytes: Shelf,
    open: Shelf,
    changes: [u64; COUNTERS],
    /// The latest time that anybody said.
    now: Duration,
    is_on: bool,
}

impl<T: Clone> Memory<T> {
    /// An empty one for `max` bytes and some open files; with 0 nothing is ever held.
    pub(crate) fn new(max: u64) -> Self {
        let (bytes, open) = (Shelf::new(max), Shelf::new(MOST_OPEN));
        let (entries, changes) = (HashMap::new(), [0; COUNTERS]);
        Self { entries, bytes, open, changes, now: Duration::ZERO, is_on: max > 0 }
    }

    /// What may be said of `id` without looking at the disk: that there is this copy, or none. `None`: look.
    pub(crate) fn recall(&mut self, id: Id, now: Duration) -> Option<Option<T>> {
        self.now = self.now.max(now);
        let entry = self.entries.get_mut(&id)?;
        let age = self.now.saturating_sub(entry.seen);
        if age >= TRUSTED && (age >= BELIEVED || !entry.checking) {
            entry.checking = true;
            return None;
        }
        shelf(&mut self.bytes, &mut self.open, entry.weight).touch(id);
        Some(entry.copy.clone())
    }

    /// To be taken before the disk is looked at.
    pub(crate) fn ticket(&self, id: Id) -> Ticket {
        Ticket { changes: self.changes[counter(id)], now: self.now }
    }

    /// What is held of `id`, however old.
    pub(crate) fn held(&self, id: Id) -> Option<T> {
        self.entries.get(&id)?.copy.clone()
    }

    /// Enters what was found on the disk after `ticket` was taken. What this pushes out is the caller's to drop.
    pub(crate) fn learn(&mut self, id: Id, ticket: Ticket, found: Option<(T, Weight)>) -> Vec<T> {
        let valid = self.changes[counter(id)] == ticket.changes;
        let mut gone: Vec<T> = self.forget(id).into_iter().collect();
        let (copy, weight) = match found {
            Some((copy, weight)) => (Some(copy), weight),
            None => (None, Weight::Bytes(0)),
        };
        let size = match (weight, &copy) {
            (Weight::Descriptor, _) => 1,
            (Weight::Bytes(_), None) => ABSENT,
            (Weight::Bytes(bytes), Some(_)) => bytes + OVERHEAD,
        };
        if !valid || !self.is_on {
            return gone;
        }
        self.entries.insert(id, Entry { copy, weight, seen: ticket.now, checking: false });
        for id in shelf(&mut self.bytes, &mut self.open, weight).insert(id, size) {
            gone.extend(self.entries.remove(&id).and_then(|entry| entry.copy));
        }
        gone
    }

    /// The disk was looked at after `ticket` was taken, and what is held is what is there.
    pub(crate) fn confirm(&mut self, id: Id, ticket: Ticket) {
        if self.changes[counter(id)] == ticket.changes
            && let Some(entry) = self.entries.get_mut(&id)
        {
            (entry.seen, entry.checking) = (ticket.now, false);
        }
    }

    /// `id` has changed on the disk, or may have. Returns what was held, for the caller to drop.
    pub(crate) fn forget(&mut self, id: Id) -> Option<T> {
        self.changes[counter(id)] += 1;
        self.bytes.remove(id);
        self.open.remove(id);
        self.entries.remove(&id).and_then(|entry| entry.copy)
    }

    /// Lets go of every open file: the process has no descriptors left.
    pub(crate) fn close(&mut self) -> Vec<T> {
        let open: Vec<Id> =
            self.entries.iter().filter(|(_, entry)| entry.weight == Weight::Descriptor).map(|(id, _)| *id).collect();
        open.into_iter().filter_map(|id| self.forget(id)).collect()
    }
}

fn counter(id: Id) -> usize {
    id.number() as usize % COUNTERS
}

fn shelf<'a>(bytes: &'a mut Shelf, open: &'a mut Shelf, weight: Weight) -> &'a mut Shelf {
    match weight {
        Weight::Bytes(_) => bytes,
        Weight::Descriptor => open,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> Id {
        Id::of("test", &number.to_string())
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn knowing(found: Option<u32>) -> Memory<u32> {
        let mut memory = Memory::new(1 << 20);
        memory.recall(id(1), at(0));
        let ticket = memory.ticket(id(1));
        memory.learn(id(1), ticket, found.map(|copy| (copy, Weight::Bytes(100))));
        memory
    }

    #[test]
    fn what_is_known_is_served_for_a_second_then_one_looks_then_all_do() {
        for found in [Some(7), None] {
            let mut memory = knowing(found);
            assert_eq!(memory.recall(id(1), at(999)), Some(found));
            assert_eq!(memory.recall(id(1), at(1000)), None);
            assert_eq!(memory.recall(id(1), at(1001)), Some(found));
            assert_eq!((memory.recall(id(1), at(2000)), memory.recall(id(1), at(2000))), (None, None));
            memory.confirm(id(1), memory.ticket(id(1)));
            assert_eq!(memory.recall(id(1), at(2999)), Some(found));
        }
    }

    #[test]
    fn what_was_seen_before_a_change_is_not_entered_after_it() {
        let mut memory = knowing(None);
        let ticket = memory.ticket(id(1));
        assert_eq!(memory.forget(id(1)), None);
        memory.learn(id(1), ticket, Some((7, Weight::Bytes(1))));
        assert_eq!(memory.recall(id(1), at(0)), None);
        // Two looked, and another process came between: what the first saw may be older than what the second did.
        let (first, second) = (memory.ticket(id(1)), memory.ticket(id(1)));
        memory.learn(id(1), second, Some((8, Weight::Bytes(1))));
        memory.learn(id(1), first, None);
        assert_eq!(memory.recall(id(1), at(0)), None);
    }

    #[test]
    fn bytes_and_open_files_have_bounds_of_their_own() {
        let mut memory = Memory::new(10 * (OVERHEAD + 100));
        let mut gone = 0;
        for number in 0..=255 {
            let weight = if number % 2 == 0 { Weight::Bytes(100) } else { Weight::Descriptor };
            let ticket = memory.ticket(id(number));
            gone += memory.learn(id(number), ticket, Some((u32::from(number), weight))).len();
        }
        assert_eq!((memory.entries.len(), gone), (10 + 128, 118));
        assert_eq!(memory.close().len(), 128);
        assert!(memory.held(id(1)).is_none() && memory.open.len() == 0);
        assert!((0..=255).filter(|number| number % 2 == 0).any(|number| memory.held(id(number)).is_some()));
    }

    #[test]
    fn what_is_bigger_than_the_memory_or_has_none_is_not_held() {
        for max in [0, OVERHEAD] {
            let mut memory = Memory::new(max);
            let ticket = memory.ticket(id(1));
            memory.learn(id(1), ticket, Some((1, Weight::Bytes(1))));
            assert_eq!((memory.recall(id(1), at(0)), memory.entries.len()), (None, 0), "{max}");
        }
    }

    /// What may happen to one of a few names.
    #[derive(Clone, Debug)]
    enum Step {
        /// This process keeps a new copy, confirms, forgets or evicts one: the disk changes, then the entry ends.
        Ours(u8, Option<u32>),
        /// Another process does, and nobody tells us.
        Theirs(u8, Option<u32>),
        /// Somebody begins to look: takes a ticket and sees the disk.
        Look(u8),
        /// The one who began first enters what he saw.
        Learn,
        Ask(u8),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let name = 0_u8..4;
        let copy = prop::option::of(0_u32..100);
        let step = prop_oneof![
            (name.clone(), copy.clone()).prop_map(|(name, copy)| Step::Ours(name, copy)),
            (name.clone(), copy).prop_map(|(name, copy)| Step::Theirs(name, copy)),
            name.clone().prop_map(Step::Look),
            Just(Step::Learn),
            name.prop_map(Step::Ask),
            (1_u64..1500).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever is served was on the disk at some time in the last [`BELIEVED`], and since our own last change.
        #[test]
        fn nothing_is_served_that_the_disk_did_not_have_lately(steps in steps()) {
            let mut memory: Memory<u32> = Memory::new(3 * (OVERHEAD + 10));
            let mut disk: BTreeMap<u8, Vec<(Duration, Option<u32>)>> = (0..4).map(|name| (name, vec![(at(0), None)])).collect();
            let mut looks = Vec::new();
            let mut now = at(0);
            for step in steps {
                match step {
                    Step::Ours(name, copy) => {
                        disk.insert(name, vec![(now, copy)]);
                        memory.forget(id(name));
                    }
                    Step::Theirs(name, copy) => disk.get_mut(&name).unwrap().push((now, copy)),
                    Step::Look(name) => {
                        // Whoever looks was told to, and so time was said.
                        memory.recall(id(name), now);
                        looks.insert(0, (name, memory.ticket(id(name)), disk[&name].last().unwrap().1));
                    }
                    Step::Learn => {
                        if let Some((name, ticket, seen)) = looks.pop() {
                            memory.learn(id(name), ticket, seen.map(|copy| (copy, Weight::Bytes(10))));
                        }
                    }
                    Step::Ask(name) => {
                        if let Some(served) = memory.recall(id(name), now) {
                            let history = &disk[&name];
                            let ended = |index: usize| history.get(index + 1).map_or(now, |(time, _)| *time);
                            let lately = history.iter().enumerate().any(|(index, (_, copy))| {
                                *copy == served && now.saturating_sub(ended(index)) < BELIEVED
                            });
                            prop_assert!(lately, "{served:?} of {history:?} at {now:?}");
                        }
                    }
                    Step::Pass(millis) => now += at(millis),
                }
                prop_assert!(memory.entries.len() == memory.bytes.len() + memory.open.len());
            }
        }
    }
}
