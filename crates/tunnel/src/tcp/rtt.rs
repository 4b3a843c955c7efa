//! How long a byte takes to the user and its acknowledgement back.
//!
//! One segment is timed at a time, and none that was sent again: its acknowledgement may be that of the first (Karn). No
//! clock is known here.

use std::time::Duration;

/// The stopwatch of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stopwatch {
    /// What is timed: the number behind its last byte, and when it went.
    running: Option<(u32, Duration)>,
    taken: Option<Duration>,
}

impl Stopwatch {
    /// A segment that ends before `end` goes out; `again` if it has gone before.
    pub(super) fn sent(&mut self, now: Duration, end: u32, again: bool) {
        if again {
            self.running = None;
        } else if self.running.is_none() {
            self.running = Some((end, now));
        }
    }

    /// The user has everything before `byte`.
    pub(super) fn acknowledged(&mut self, now: Duration, byte: u32) {
        if let Some((end, sent)) = self.running
            && byte.wrapping_sub(end) < 1 << 31
        {
            self.running = None;
            self.taken = Some(now.saturating_sub(sent));
        }
    }

    /// The last time that was taken, once.
    pub(super) fn take(&mut self) -> Option<Duration> {
        self.taken.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn one_segment_is_timed_at_a_time_across_the_end_of_the_numbers() {
        let mut watch = Stopwatch::default();
        watch.sent(ms(10), u32::MAX - 5, false);
        watch.sent(ms(15), 900, false);
        watch.acknowledged(ms(20), u32::MAX - 900);
        assert_eq!(watch.take(), None, "not yet");
        watch.acknowledged(ms(30), 900);
        assert_eq!((watch.take(), watch.take()), (Some(ms(20)), None));
        watch.acknowledged(ms(99), 900);
        assert_eq!(watch.take(), None, "nothing is on its way");
    }

    #[test]
    fn what_was_sent_again_is_not_timed() {
        let mut watch = Stopwatch::default();
        watch.sent(ms(10), 1000, false);
        watch.sent(ms(300), 1000, true);
        watch.acknowledged(ms(310), 1000);
        assert_eq!(watch.take(), None);
        watch.sent(ms(320), 2000, false);
        watch.acknowledged(ms(325), 2000);
        assert_eq!(watch.take(), Some(ms(5)));
    }
}
