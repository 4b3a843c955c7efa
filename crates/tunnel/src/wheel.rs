//! A timer wheel: many deadlines, cheap to set, asked for once a round.
//!
//! An entry is never moved: who is woken looks at its own deadline and sets a new entry if it came too early. So a
//! flow whose deadline moves with every packet costs nothing here, as long as it moves away.

use std::time::Duration;

/// One slot. Delayed acknowledgements are 10 ms, so this is fine enough.
const SLOT: Duration = Duration::from_millis(4);
const SLOTS: usize = 1024;
/// No entry is kept for longer than this.
pub(crate) const REACH: Duration = Duration::from_secs(4);
const WORDS: usize = SLOTS / 64;

/// Deadlines in slots of 4 ms; what lies further than 4 s away is woken early.
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<T>>,
    filled: [u64; WORDS],
    /// The next slot to be emptied, counted from boot.
    next: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel that stands at `now`.
    pub(crate) fn new(now: Duration) -> Self {
        Self { slots: std::iter::repeat_with(Vec::new).take(SLOTS).collect(), filled: [0; WORDS], next: number(now) }
    }

    /// Wakes `item` at `deadline` or up to one slot later; earlier if that is further away than the wheel reaches.
    pub(crate) fn insert(&mut self, deadline: Duration, item: T) {
        let number = (number(deadline) + 1).clamp(self.next, self.next + SLOTS as u64 - 1);
        let slot = index(number);
        self.slots[slot].push(item);
        self.filled[slot / 64] |= 1 << (slot % 64);
    }

    /// Moves everything that is due into `due`.
    pub(crate) fn advance(&mut self, now: Duration, due: &mut Vec<T>) {
        let end = number(now);
        while self.next <= end {
            let Some(away) = self.first_filled() else { break };
            if self.next + away > end {
                break;
            }
            self.next += away;
            let slot = index(self.next);
            due.append(&mut self.slots[slot]);
            self.filled[slot / 64] &= !(1 << (slot % 64));
        }
        self.next = self.next.max(end);
    }

    /// When something is due next.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let away = self.first_filled()?;
        Some(SLOT * u32::try_from(self.next + away).unwrap_or(u32::MAX))
    }

    /// How many slots from the next one the first filled one is.
    fn first_filled(&self) -> Option<u64> {
        let start = index(self.next);
        (0..=WORDS).find_map(|step| {
            let word = (start / 64 + step) % WORDS;
            let from_start = if step == 0 { u64::MAX << (start % 64) } else { u64::MAX };
            let up_to_start = if step == WORDS { !(u64::MAX << (start % 64)) } else { u64::MAX };
            let bits = self.filled[word] & from_start & up_to_start;
            let slot = word * 64 + bits.trailing_zeros() as usize;
            (bits != 0).then(|| ((slot + SLOTS - start) % SLOTS) as u64)
        })
    }
}

fn number(at: Duration) -> u64 {
    u64::try_from(at.as_millis() / SLOT.as_millis()).unwrap_or(u64::MAX / 2)
}

fn index(number: u64) -> usize {
    (number % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn nothing_is_due_before_its_time_and_all_is_at_it() {
        let mut wheel = Wheel::new(ms(1000));
        wheel.insert(ms(1010), "ack");
        wheel.insert(ms(1200), "retransmit");
        let mut due = Vec::new();
        wheel.advance(ms(1009), &mut due);
        assert_eq!(due, Vec::<&str>::new());
        wheel.advance(ms(1016), &mut due);
        assert_eq!(due, ["ack"]);
        assert!(wheel.next_wake().is_some_and(|at| at >= ms(1200) && at <= ms(1208)));
        wheel.advance(ms(60_000), &mut due);
        assert_eq!(due, ["ack", "retransmit"]);
        assert_eq!(wheel.next_wake(), None);
    }

    #[test]
    fn what_is_too_far_away_is_woken_early_and_what_has_passed_at_once() {
        let mut wheel = Wheel::new(ms(500));
        wheel.insert(ms(100), "past");
        wheel.insert(ms(100_000), "far");
        let mut due = Vec::new();
        wheel.advance(ms(500), &mut due);
        assert_eq!(due, ["past"]);
        assert!(wheel.next_wake().is_some_and(|at| at <= ms(500 + 4096)));
    }

    proptest! {
        #[test]
        fn every_entry_comes_out_once_and_never_early(
            entries in proptest::collection::vec(0_u64..3000, 1..60), steps in proptest::collection::vec(1_u64..400, 1..60)
        ) {
            let mut wheel = Wheel::new(ms(7));
            for entry in &entries {
                wheel.insert(ms(7 + entry), 7 + entry);
            }
            let (mut now, mut seen) = (7, Vec::new());
            for step in steps {
                now += step;
                let mut due = Vec::new();
                wheel.advance(ms(now), &mut due);
                prop_assert!(due.iter().all(|deadline| *deadline <= now));
                seen.append(&mut due);
            }
            wheel.advance(ms(now + 10_000), &mut seen);
            let mut expected: Vec<u64> = entries.iter().map(|entry| entry + 7).collect();
            expected.sort_unstable();
            seen.sort_unstable();
            prop_assert_eq!(seen, expected);
        }
    }
}
