//! The longest time of late, whoever asks and how often. `now` is time since the machine started.

use std::time::Duration;

/// A time is remembered for as long as this, and at most twice as long.
const WINDOW: Duration = Duration::from_secs(30);

/// The longest of the times that were observed within the last [`WINDOW`] or two.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    since: Duration,
    now: Duration,
    before: Duration,
}

impl Peak {
    /// One more.
    pub(crate) fn observe(&mut self, now: Duration, took: Duration) {
        self.turn(now);
        self.now = self.now.max(took);
    }

    /// The longest.
    pub(crate) fn at(&mut self, now: Duration) -> Duration {
        self.turn(now);
        self.now.max(self.before)
    }

    fn turn(&mut self, now: Duration) {
        let age = now.saturating_sub(self.since);
        if age >= WINDOW {
            let before = if age < WINDOW * 2 { self.now } else { Duration::ZERO };
            *self = Self { since: now, now: Duration::ZERO, before };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_remembered_for_a_while_however_often_somebody_asks() {
        let at = Duration::from_secs;
        let mut peak = Peak::default();
        peak.observe(at(100), at(3));
        peak.observe(at(101), at(2));
        assert_eq!([101, 110, 129, 131].map(|now| peak.at(at(now))), [at(3); 4]);
        peak.observe(at(140), at(1));
        assert_eq!((peak.at(at(159)), peak.at(at(161)), peak.at(at(192))), (at(3), at(1), at(0)));
        peak.observe(at(200), at(9));
        assert_eq!(peak.at(at(500)), at(0));
    }
}
