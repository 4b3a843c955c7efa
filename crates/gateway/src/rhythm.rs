//! When to look next. Pure: randomness is an argument.

use std::time::Duration;

use bowline_base::backoff::{full_jitter, unit};

/// The times between looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    /// While nothing happens.
    pub(crate) interval: Duration,
    /// While EC2 is busy.
    pub(crate) settle_poll: Duration,
}

/// What the last look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// Something was done: what it led to is to be seen.
    Acted,
    /// Another address was read, and not often enough yet.
    Confirming,
    /// Something is under way.
    Unsettled,
    /// Nothing is to be done for so long.
    Waiting(Duration),
    /// All is well.
    Idle,
    /// So many looks in a row did not succeed.
    Failed(u32),
}

/// Readings that agree are this far apart at most.
const CONFIRMING: Duration = Duration::from_secs(10);
const AFTER_ACTION: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(120);

impl Rhythm {
    /// How long to wait. Never longer than the interval; from change to action it is less than two of them.
    pub(crate) fn wait(self, pulse: Pulse, entropy: u64) -> Duration {
        let Self { interval, settle_poll } = self;
        match pulse {
            Pulse::Acted => AFTER_ACTION.min(settle_poll).min(interval / 10),
            Pulse::Confirming => CONFIRMING.min(settle_poll).min(interval * 2 / 5),
            Pulse::Unsettled => settle_poll.min(interval),
            Pulse::Waiting(time) => time.max(settle_poll).min(interval),
            // Only earlier: nobody waits longer than was asked for, and not all of the world looks at the same second.
            Pulse::Idle => interval.mul_f64(1.0 - unit(entropy) / 10.0),
            Pulse::Failed(times) => {
                let jitter = full_jitter(times, FIRST_RETRY, LAST_RETRY, entropy);
                (FIRST_RETRY / 5 + jitter).min(interval)
            }
        }
    }

    /// How old a reading of the address may be before it is read again.
    pub(crate) fn freshness(self) -> Duration {
        Duration::from_secs(60).min(self.interval * 4 / 5)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_interval(millis in 1_u64..3_600_000, settle in 1_u64..60_000, times: u32, entropy: u64) {
            let rhythm = Rhythm {
                interval: Duration::from_millis(millis),
                settle_poll: Duration::from_millis(settle),
            };
            let long = Pulse::Waiting(Duration::from_secs(100_000));
            let all = [Pulse::Acted, Pulse::Confirming, Pulse::Unsettled, long, Pulse::Idle, Pulse::Failed(times)];
            for pulse in all {
                prop_assert!(rhythm.wait(pulse, entropy) <= rhythm.interval, "{pulse:?}");
            }
            let to_action = rhythm.interval + rhythm.wait(Pulse::Confirming, 0) + rhythm.wait(Pulse::Acted, 0);
            prop_assert!(to_action < rhythm.interval * 2);
            prop_assert!(rhythm.wait(Pulse::Idle, entropy) >= rhythm.interval.mul_f64(0.89));
        }
    }

    #[test]
    fn the_usual_times_are_those_of_the_guide() {
        let rhythm = Rhythm { interval: Duration::from_secs(300), settle_poll: Duration::from_secs(10) };
        let seconds = |pulse| rhythm.wait(pulse, 0).as_secs();
        assert_eq!([Pulse::Acted, Pulse::Confirming, Pulse::Unsettled, Pulse::Idle].map(seconds), [1, 10, 10, 300]);
    }
}
