//! What has to go when the cache is full: S3-FIFO over sizes, as a pure book of names.
//!
//! New files enter a small queue (a tenth of the cache). What is asked for again while there moves to the main queue;
//! what is not leaves soon, so one scan over everything does not push out what builds really use. A name that
//! left and comes back goes to the main queue at once. See Yang et al., "FIFO queues are all you need" (SOSP 2023).

use std::collections::{HashMap, VecDeque};

use crate::record::Id;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Small,
    Main,
}

#[derive(Debug)]
struct Entry {
    size: u64,
    hits: u8,
    place: Place,
    /// Which of the queues' items is this entry's; older items of the same name are dead.
    turn: u64,
}

/// The book. Knows no files: who asks for room deletes what it names.
#[derive(Debug)]
pub(crate) struct Shelf {
    max: u64,
    bytes: u64,
    small_bytes: u64,
    reserved: u64,
    entries: HashMap<Id, Entry>,
    small: VecDeque<(Id, u64)>,
    main: VecDeque<(Id, u64)>,
    ghosts: VecDeque<Id>,
    turns: u64,
}

impl Shelf {
    /// An empty shelf for `max` bytes.
    pub(crate) fn new(max: u64) -> Self {
        Self {
            max,
            bytes: 0,
            small_bytes: 0,
            reserved: 0,
            entries: HashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            turns: 0,
        }
    }

    /// Bytes of all entries, without what is only reserved.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sets `size` bytes aside for a fill. `None`: it would not fit an empty cache. Else what has to be deleted.
    pub(crate) fn reserve(&mut self, size: u64) -> Option<Vec<Id>> {
        if self.reserved + size > self.max {
            return None;
        }
        self.reserved += size;
        Some(self.evict())
    }

    /// Gives back what [`Shelf::reserve`] set aside.
    pub(crate) fn release(&mut self, size: u64) {
        self.reserved = self.reserved.saturating_sub(size);
    }

    /// Whether `id` is entered.
    pub(crate) fn has(&self, id: Id) -> bool {
        self.entries.contains_key(&id)
    }

    /// Notes a file of `size` bytes, new or in place of one; answers with what has to be deleted.
    pub(crate) fn insert(&mut self, id: Id, size: u64) -> Vec<Id> {
        let known = self.remove(id);
        let returned = self.ghosts.iter().position(|ghost| *ghost == id).map(|at| self.ghosts.remove(at)).is_some();
        let place = if known || returned { Place::Main } else { Place::Small };
        self.put(id, size, place);
        self.evict()
    }

    /// Notes that `id` was asked for.
    pub(crate) fn touch(&mut self, id: Id) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.hits = (entry.hits + 1).min(3);
        }
    }

    /// Forgets `id`; says whether it was there.
    pub(crate) fn remove(&mut self, id: Id) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        self.bytes -= entry.size;
        if entry.place == Place::Small {
            self.small_bytes -= entry.size;
        }
        true
    }

    fn put(&mut self, id: Id, size: u64, place: Place) {
        self.turns += 1;
        self.bytes += size;
        match place {
            Place::Small => {
                self.small_bytes += size;
                self.small.push_back((id, self.turns));
            }
            Place::Main => self.main.push_back((id, self.turns)),
        }
        self.entries.insert(id, Entry { size, hits: 0, place, turn: self.turns });
        self.compact();
    }

    /// Takes the dead items out of the queues when they are most of what is there. Few at a time would cost more.
    fn compact(&mut self) {
        if self.small.len() + self.main.len() > 2 * self.entries.len() + 16 {
            let entries = &self.entries;
            let lives = |(id, turn): &(Id, u64)| entries.get(id).is_some_and(|entry| entry.turn == *turn);
            self.small.retain(lives);
            self.main.retain(lives);
        }
    }

    fn evict(&mut self) -> Vec<Id> {
        let mut gone = Vec::new();
        while self.bytes + self.reserved > self.max && !self.entries.is_empty() {
            let from_small = self.small_bytes > self.max / 10 || self.small_bytes == self.bytes;
            let (place, queue) =
                if from_small { (Place::Small, &mut self.small) } else { (Place::Main, &mut self.main) };
            // The queue that is owed bytes has an item for them.
            let Some((id, turn)) = queue.pop_front() else { break };
            gone.extend(self.judge(id, turn, place));
        }
        gone
    }

    /// Gives the item another round, or names it.
    fn judge(&mut self, id: Id, turn: u64, place: Place) -> Option<Id> {
        let entry = self.entries.get(&id).filter(|entry| entry.turn == turn && entry.place == place)?;
        let (size, hits) = (entry.size, entry.hits);
        self.remove(id);
        if hits == 0 {
            if place == Place::Small {
                self.remember(id);
            }
            return Some(id);
        }
        self.put(id, size, Place::Main);
        if let Some(entry) = self.entries.get_mut(&id).filter(|_| place == Place::Main) {
            entry.hits = hits - 1;
        }
        None
    }

    fn remember(&mut self, id: Id) {
        self.ghosts.push_back(id);
        if self.ghosts.len() > self.entries.len().clamp(16, 4096) {
            self.ghosts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: usize) -> Id {
        Id::of("test", &number.to_string())
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_asked_for_again() {
        let mut shelf = Shelf::new(1000);
        for number in 0..50 {
            shelf.insert(id(number), 10);
            shelf.touch(id(number));
        }
        let gone: Vec<Id> = (1000..3000).flat_map(|number| shelf.insert(id(number), 10)).collect();
        assert!((0..50).all(|number| !gone.contains(&id(number))), "{}", shelf.len());
    }

    #[test]
    fn what_comes_back_stays() {
        let mut shelf = Shelf::new(100);
        let gone: Vec<Id> = (0..11).flat_map(|number| shelf.insert(id(number), 10)).collect();
        assert_eq!(gone, [id(0)]);
        shelf.insert(id(0), 10);
        let gone: Vec<Id> = (20..30).flat_map(|number| shelf.insert(id(number), 10)).collect();
        assert!(!gone.contains(&id(0)), "{gone:?}");
    }

    #[test]
    fn room_is_made_before_a_fill_and_too_much_is_refused() {
        let mut shelf = Shelf::new(100);
        shelf.insert(id(1), 60);
        assert_eq!(shelf.reserve(50), Some(vec![id(1)]));
        assert_eq!(shelf.reserve(51), None);
        shelf.release(50);
        assert_eq!((shelf.reserve(100), shelf.bytes()), (Some(vec![]), 0));
    }

    #[test]
    fn what_is_replaced_for_ever_leaves_no_queue_behind() {
        let mut shelf = Shelf::new(1000);
        for round in 0..1000 {
            shelf.insert(id(round % 3), 10);
            shelf.insert(id(round + 10), 1);
            shelf.remove(id(round + 10));
        }
        assert_eq!(shelf.len(), 3);
        assert!(shelf.small.len() + shelf.main.len() <= 2 * 3 + 17, "{} {}", shelf.small.len(), shelf.main.len());
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_the_books_are_right(steps in prop::collection::vec((0_usize..30, 0_u64..40, 0_u8..4), 0..300)) {
            let mut shelf = Shelf::new(100);
            let mut files: HashMap<Id, u64> = HashMap::new();
            for (number, size, what) in steps {
                let gone = match what {
                    0 | 1 => { files.insert(id(number), size); shelf.insert(id(number), size) }
                    2 => { shelf.touch(id(number)); Vec::new() }
                    _ => { files.remove(&id(number)); shelf.remove(id(number)); Vec::new() }
                };
                for gone in gone {
                    prop_assert!(files.remove(&gone).is_some());
                }
                prop_assert_eq!(files.values().sum::<u64>(), shelf.bytes());
                prop_assert_eq!(files.len(), shelf.len());
                prop_assert!(shelf.bytes() <= 100);
            }
        }
    }
}
