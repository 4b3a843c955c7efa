//! IAM tells its readers late: how long to wait for what was just said, and how to find a key that nobody was told of.

use std::time::Duration;

use base::{KeyId, Now, Timestamp};
use bowline_base as base;

/// After this long a list shows what was made before.
pub const SETTLE: Duration = Duration::from_secs(10);
/// How long a new key may take until STS and IAM know it; seconds, as a rule.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A key of a user, as IAM lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: KeyId,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, by IAM's clock.
    pub created_at: Timestamp,
}

/// What a refused call comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key that signed is unknown: perhaps only for now.
    UnknownKey,
    /// What was named is not there: perhaps not yet.
    Missing,
    /// There are as many as there may be.
    NoRoom,
    /// Not allowed.
    Denied,
    /// It may have been done: the answer was lost.
    Unclear,
    /// Anything else.
    Other,
}

/// The key that was asked for at `asked_at` and of whose id nobody was told: none of `known`, and made just then. A key
/// that somebody else made before or after is not taken for it.
#[must_use]
pub fn stray<'a>(listed: &'a [Listed], known: &[KeyId], asked_at: Timestamp) -> Option<&'a KeyId> {
    let (earliest, latest) = (asked_at - CLOCKS_APART, asked_at + LONGEST_CALL);
    let found = listed.iter().filter(|key| !known.contains(&key.id));
    found.filter(|key| earliest <= key.created_at && key.created_at <= latest).map(|key| &key.id).next()
}

const CLOCKS_APART: Duration = Duration::from_secs(300);
/// A call with its repetitions takes 45 s; then clocks may be apart.
const LONGEST_CALL: Duration = Duration::from_secs(345);

/// Tries that come less and less often, up to a limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    since: Option<Duration>,
    tries: u32,
}

impl Pace {
    /// When to try again (boot time); `None` when that would be past `limit` since the first try.
    pub(crate) fn again(&mut self, now: Now, limit: Duration) -> Option<Duration> {
        let since = *self.since.get_or_insert(now.boot);
        let wait = SHORTEST.saturating_mul(1 << self.tries.min(4)).min(LONGEST);
        self.tries += 1;
        let at = now.boot + wait;
        (at <= since + limit).then_some(at)
    }
}

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, at: i64) -> Listed {
        Listed { id: KeyId::new(id), active: true, created_at: Timestamp::from_second(at).unwrap() }
    }

    #[test]
    fn only_a_key_that_was_made_when_we_asked_is_ours() {
        let asked = Timestamp::from_second(100_000).unwrap();
        let (old, ours, later) = (key("AKIAOLD", 100_000), key("AKIAOURS", 100_002), key("AKIALATER", 101_000));
        let known = [old.id.clone()];
        assert_eq!(stray(&[old.clone(), ours.clone()], &known, asked), Some(&ours.id));
        assert_eq!(stray(&[old, later], &known, asked), None);
    }

    #[test]
    fn tries_become_rarer_and_end() {
        let (mut pace, mut now) = (Pace::default(), Now { boot: Duration::from_secs(5), wall: Timestamp::UNIX_EPOCH });
        let mut tries = 0;
        while let Some(at) = pace.again(now, Duration::from_secs(60)) {
            (now.boot, tries) = (at, tries + 1);
        }
        assert!((50..65).contains(&tries) && now.boot <= Duration::from_secs(65), "{tries} {:?}", now.boot);
    }
}
