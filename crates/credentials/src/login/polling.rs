//! When the token service is asked whether the person has approved a device code. Pure.

use std::time::Duration;

use bowline_base::{Fault, Kind};

/// RFC 8628, 3.5: each `slow_down` adds this, for good.
const SLOWER: Duration = Duration::from_secs(5);

/// One device code that is waited for.
#[derive(Debug)]
pub(super) struct Polling {
    interval: Duration,
    next: Duration,
    end: Duration,
}

/// What the service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not yet.
    Pending,
    /// Not yet, and not so fast.
    SlowDown,
    /// Nothing that says anything about the code: 5xx, 429, no connection.
    Trouble,
}

impl Polling {
    /// Polls every `interval` from `boot` on, until the code ends by itself after `expires_in`.
    pub(super) fn new(boot: Duration, interval: Duration, expires_in: Duration) -> Self {
        let interval = interval.max(Duration::from_secs(1));
        Self { interval, next: boot + interval, end: boot + expires_in }
    }

    /// When (boot clock) to ask next.
    ///
    /// # Errors
    /// `Interrupted` when the code will have ended by then.
    pub(super) fn next(&self) -> Result<Duration, Fault> {
        if self.next < self.end {
            return Ok(self.next);
        }
        Err(Fault::new(Kind::Interrupted, "sso-oidc", "nobody approved the code before it ended")
            .hint("run the same command again"))
    }

    /// Takes an answer that came at `boot`.
    pub(super) fn heard(&mut self, boot: Duration, heard: Heard) {
        if heard == Heard::SlowDown {
            self.interval += SLOWER;
        }
        self.next = boot + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn slow_down_makes_it_slower_for_good() {
        let mut polling = Polling::new(seconds(100), seconds(5), seconds(600));
        assert_eq!(polling.next().unwrap(), seconds(105));
        polling.heard(seconds(105), Heard::SlowDown);
        assert_eq!(polling.next().unwrap(), seconds(115));
        polling.heard(seconds(115), Heard::Pending);
        assert_eq!(polling.next().unwrap(), seconds(125));
    }

    #[test]
    fn trouble_is_polled_through_and_the_end_is_ours_to_see() {
        let mut polling = Polling::new(seconds(0), seconds(5), seconds(12));
        polling.heard(seconds(5), Heard::Trouble);
        assert_eq!(polling.next().unwrap(), seconds(10));
        polling.heard(seconds(10), Heard::Trouble);
        assert_eq!(polling.next().unwrap_err().kind, Kind::Interrupted);
    }

    #[test]
    fn an_interval_of_zero_is_no_busy_loop() {
        assert_eq!(Polling::new(seconds(0), seconds(0), seconds(9)).next().unwrap(), seconds(1));
    }
}
