//! One odd reading changes nothing: an address is believed when it was read twice, and not changed too often.

use std::{net::Ipv4Addr, time::Duration};

/// When to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Equal readings in a row that a new address needs; 0 is as 1.
    pub readings: u32,
    /// Between two changes of the address that is believed.
    pub between_changes: Duration,
}

impl Default for Rules {
    /// Two readings, ten minutes.
    fn default() -> Self {
        Self { readings: 2, between_changes: Duration::from_secs(600) }
    }
}

/// What a reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heed {
    /// It is as it was.
    Same,
    /// The first address, or another one, is believed from now on.
    Changed {
        /// `None`: none was known.
        from: Option<Ipv4Addr>,
        /// Believed now.
        to: Ipv4Addr,
    },
    /// Another address, not read often enough yet: look again soon.
    Confirming(Ipv4Addr),
    /// Another address, believed from that time on at the earliest (boot clock): the last change was not long ago.
    Held(Ipv4Addr, Duration),
    /// Nothing was read.
    NoAnswer,
}

/// What is believed, and what speaks for something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    believed: Option<Ipv4Addr>,
    changed_at: Option<Duration>,
    rival: Option<(Ipv4Addr, u32)>,
    /// The last reading said what is believed.
    fresh: bool,
}

impl Watch {
    /// The address to act on: believed, and what the last reading said. Without an answer there is none.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.believed.filter(|_| self.fresh)
    }

    /// The address that was believed last, whatever has been read since: to show, not to act on.
    #[must_use]
    pub fn believed(&self) -> Option<Ipv4Addr> {
        self.believed
    }

    /// Since when it is believed, by the boot clock.
    #[must_use]
    pub fn since(&self) -> Option<Duration> {
        self.changed_at
    }

    /// Takes note of a reading. No answer says nothing for or against any address.
    pub fn read(&mut self, reading: Option<Ipv4Addr>, rules: Rules, now: Duration) -> Heed {
        self.fresh = reading.is_some() && reading == self.believed;
        let Some(reading) = reading else { return Heed::NoAnswer };
        if self.fresh {
            self.rival = None;
            return Heed::Same;
        }
        let before = self.rival.filter(|(address, _)| *address == reading).map_or(0, |(_, count)| count);
        let count = before.saturating_add(1);
        self.rival = Some((reading, count));
        if count < rules.readings {
            return Heed::Confirming(reading);
        }
        // The first address is no change: nothing was moved for it.
        let last = self.changed_at.filter(|_| self.believed.is_some());
        let earliest = last.map(|at| at.saturating_add(rules.between_changes));
        if let Some(earliest) = earliest.filter(|earliest| now < *earliest) {
            return Heed::Held(reading, earliest);
        }
        let from = self.believed.replace(reading);
        (self.changed_at, self.rival, self.fresh) = (Some(now), None, true);
        Heed::Changed { from, to: reading }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(n: u8) -> Option<Ipv4Addr> {
        (n > 0).then(|| Ipv4Addr::new(1, 1, 1, n))
    }

    /// Reads these, a minute apart; 0 is no answer. What is acted on after each.
    fn acted(readings: &[u8], rules: Rules) -> Vec<u8> {
        let mut watch = Watch::default();
        let mut minute = Duration::ZERO;
        let mut seen = Vec::new();
        for reading in readings {
            minute += Duration::from_secs(60);
            watch.read(at(*reading), rules, minute);
            seen.push(watch.address().map_or(0, |address| address.octets()[3]));
        }
        seen
    }

    #[test]
    fn two_equal_readings_are_believed_and_silence_means_no_action() {
        let quick = Rules { between_changes: Duration::ZERO, ..Rules::default() };
        assert_eq!(acted(&[1, 1, 1], quick), [0, 1, 1]);
        assert_eq!(acted(&[1, 1, 2, 1], quick), [0, 1, 0, 1], "one odd reading");
        assert_eq!(acted(&[1, 1, 2, 2, 2], quick), [0, 1, 0, 2, 2]);
        assert_eq!(acted(&[1, 1, 0, 1], quick), [0, 1, 0, 1]);
        assert_eq!(acted(&[1, 1, 2, 0, 2], quick), [0, 1, 0, 0, 2], "silence is no vote");
        assert_eq!(acted(&[1, 1, 2, 3, 2, 3], quick), [0, 1, 0, 0, 0, 0]);
        assert_eq!(acted(&[1, 2, 1, 2], quick), [0; 4]);
    }

    #[test]
    fn changes_are_kept_apart() {
        let mut watch = Watch::default();
        let rules = Rules::default();
        let second = Duration::from_secs;
        assert_eq!(watch.read(at(1), rules, second(0)), Heed::Confirming(at(1).unwrap()));
        assert_eq!(watch.read(at(1), rules, second(10)), Heed::Changed { from: None, to: at(1).unwrap() });
        watch.read(at(2), rules, second(20));
        assert_eq!(watch.read(at(2), rules, second(30)), Heed::Held(at(2).unwrap(), second(610)));
        assert_eq!((watch.address(), watch.believed()), (None, at(1)), "neither the old nor the new one is acted on");
        assert_eq!(watch.read(None, rules, second(40)), Heed::NoAnswer);
        let changed = Heed::Changed { from: at(1), to: at(2).unwrap() };
        assert_eq!(watch.read(at(2), rules, second(610)), changed);
        assert_eq!((watch.since(), watch.read(at(2), rules, second(620))), (Some(second(610)), Heed::Same));
    }

    proptest! {
        #[test]
        fn what_is_acted_on_was_just_read_and_changes_are_rare(readings in prop::collection::vec(0_u8..4, 0..60)) {
            let seen = acted(&readings, Rules::default());
            for (read, acted) in readings.iter().zip(&seen) {
                prop_assert!(*acted == 0 || acted == read);
            }
            let mut believed: Vec<(usize, u8)> = Vec::new();
            for (minute, address) in seen.iter().enumerate().filter(|(_, address)| **address > 0) {
                if believed.last().is_none_or(|(_, last)| last != address) {
                    believed.push((minute, *address));
                }
            }
            for pair in believed.windows(2) {
                prop_assert!(pair[1].0 - pair[0].0 >= 10, "{believed:?}");
            }
        }
    }
}
