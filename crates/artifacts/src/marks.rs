//! What this process remembers of keys, besides their copies: when they were validated on the boot clock, and which
//! do not exist. Bounded; forgetting costs a question to the upstream.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_base::Now;

use crate::record::Id;

/// Entries of either kind. 200,000 names of 32 bytes are some 10 MB.
const MOST: usize = 200_000;

#[derive(Debug, Default)]
pub(crate) struct Marks {
    validated: Mutex<HashMap<Id, Duration>>,
    missing: Mutex<HashMap<Id, Duration>>,
}

impl Marks {
    /// Boot time of the last validation.
    pub(crate) fn validated(&self, id: Id) -> Option<Duration> {
        lock(&self.validated).get(&id).copied()
    }

    /// Boot time until which the key is known not to exist.
    pub(crate) fn missing_until(&self, id: Id) -> Option<Duration> {
        lock(&self.missing).get(&id).copied()
    }

    /// Every key may exist again.
    pub(crate) fn forget_missing(&self) {
        lock(&self.missing).clear();
    }

    /// There is a right copy, as of `now`.
    pub(crate) fn validate(&self, id: Id, now: Now) {
        lock(&self.missing).remove(&id);
        bounded(&mut lock(&self.validated), now, |_, _| false).insert(id, now.boot);
    }

    /// There is no such key, and nobody asks again for `ttl`.
    pub(crate) fn miss(&self, id: Id, now: Now, ttl: Duration) {
        lock(&self.validated).remove(&id);
        bounded(&mut lock(&self.missing), now, |until, now| until > now.boot).insert(id, now.boot + ttl);
    }
}

/// Makes room when the map is full: what need not be kept goes, or else everything.
fn bounded(
    map: &mut HashMap<Id, Duration>,
    now: Now,
    keep: impl Fn(Duration, Now) -> bool,
) -> &mut HashMap<Id, Duration> {
    if map.len() >= MOST {
        map.retain(|_, time| keep(*time, now));
        if map.len() >= MOST {
            map.clear();
        }
    }
    map
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_appears_is_no_longer_missing() {
        let marks = Marks::default();
        let now = Now { boot: Duration::from_secs(5), wall: "2026-11-22T02:02:02Z".parse().unwrap() };
        let id = Id::of("o", "k");
        marks.miss(id, now, Duration::from_secs(60));
        assert_eq!(marks.missing_until(id), Some(Duration::from_secs(65)));
        marks.validate(id, now);
        assert_eq!((marks.missing_until(id), marks.validated(id)), (None, Some(now.boot)));
    }

    #[test]
    fn a_full_memory_forgets_what_has_ended_first() {
        let now = Now { boot: Duration::from_secs(5), wall: "2026-11-22T02:02:02Z".parse().unwrap() };
        let mut map: HashMap<Id, Duration> =
            (0..MOST).map(|n| (Id::of("o", &n.to_string()), Duration::from_secs(n as u64 % 10))).collect();
        let left = bounded(&mut map, now, |until, now| until > now.boot).len();
        assert_eq!(left, MOST / 10 * 4);
    }
}
