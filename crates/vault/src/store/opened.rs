//! The opened store in a daemon's memory, and until when: decided from `Now`, acted on by whoever holds it.

use std::time::Duration;

use base::{Fault, Kind, Now};
use bowline_base as base;

use super::contents::Contents;

/// An opened store that closes itself when nobody has asked it for a while.
///
/// Dropping it, or [`Opened::lock`], wipes every key from memory.
#[derive(Debug)]
pub struct Opened {
    contents: Option<Contents>,
    idle: Duration,
    used: Duration,
}

/// The store is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vault is locked")]
pub struct Locked;

impl From<Locked> for Fault {
    fn from(locked: Locked) -> Self {
        Self::new(Kind::LoginRequired, "vault", locked.to_string()).hint("open it: bowline vault list")
    }
}

impl Opened {
    /// Holds `contents` until nobody has asked for `idle`.
    #[must_use]
    pub fn new(contents: Contents, idle: Duration, now: Now) -> Self {
        Self { contents: Some(contents), idle, used: now.boot }
    }

    /// The contents, if they are still held; asking begins the idle time anew.
    ///
    /// # Errors
    /// [`Locked`]
    pub fn ask(&mut self, now: Now) -> Result<&Contents, Locked> {
        self.tick(now);
        self.used = now.boot;
        self.contents.as_ref().ok_or(Locked)
    }

    /// Wipes the contents if the time is up; says whether they are gone. The clock counts suspend, so a laptop that
    /// slept for longer wakes up locked.
    pub fn tick(&mut self, now: Now) -> bool {
        if now.boot >= self.used.saturating_add(self.idle) {
            self.lock();
        }
        self.contents.is_none()
    }

    /// When to [`tick`](Self::tick) next, by the boot clock; `None` once locked.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        self.contents.as_ref().map(|_| self.used.saturating_add(self.idle))
    }

    /// Wipes the contents now.
    pub fn lock(&mut self) {
        self.contents = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::contents::StoreId, *};
    use crate::store::Recipients;

    const IDLE: Duration = Duration::from_secs(600);

    fn now() -> Now {
        Now { boot: Duration::from_secs(5), wall: "2026-11-22T02:00:00Z".parse().unwrap() }
    }

    fn opened() -> Opened {
        Opened::new(Contents::new(StoreId::new([7; 16]), Recipients::none()), IDLE, now())
    }

    #[test]
    fn asking_keeps_it_open_and_silence_closes_it() {
        let mut opened = opened();
        let almost = IDLE - Duration::from_secs(1);
        assert!(opened.ask(now().after(almost)).is_ok());
        assert!(opened.ask(now().after(almost * 2)).is_ok());
        assert_eq!(opened.ask(now().after(almost * 2 + IDLE)).err(), Some(Locked));
        assert_eq!(opened.next_wake(), None);
    }

    #[test]
    fn the_wake_up_is_when_it_closes() {
        let mut opened = opened();
        let wake = opened.next_wake().unwrap() - now().boot;
        assert!(!opened.tick(now().after(wake - Duration::from_millis(1))));
        assert!(opened.tick(now().after(wake)));
    }

    #[test]
    fn a_lock_is_final() {
        let mut opened = opened();
        opened.lock();
        assert_eq!(opened.ask(now()).err(), Some(Locked));
    }
}
