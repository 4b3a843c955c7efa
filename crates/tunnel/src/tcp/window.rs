//! How much may be on its way to a user, and when a hole in it is to be filled at once.
//!
//! `smoltcp` forgets a loss once it has sent one segment again: each further hole costs it a second. And it takes an
//! acknowledgement that says the same once more for news if the window in it is another, as it always is on Linux. So
//! the acknowledgements are counted here (RFC 5681, and RFC 6582 for several holes), and so is what may be on its way:
//! it begins small, grows with what is acknowledged, and shrinks with every loss. How fast what a timer sends again may
//! follow is `smoltcp`'s own affair. No clock and no socket is known here.

/// What may be on its way at the beginning, and at the least.
const BEGINNING: usize = 64 << 10;
const LEAST: usize = 16 << 10;

/// About what one call to the system sends: less room than this is not worth filling while enough is on its way. Full
/// batches cost both ends least, however many connections share the way.
const BATCH: usize = 60 << 10;

/// Acknowledgements of the same byte that mean a loss.
const DUPLICATES: u8 = 3;

/// What the user's side is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    limit: usize,
    most: usize,
    /// Growth is fast until the first loss.
    lossless: bool,
    highest: u32,
    acknowledged: u32,
    duplicates: u8,
    mode: Mode,
    /// Whether a byte was sent yet: before, there is nothing to compare with.
    begun: bool,
    /// Segments sent again.
    again: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing is missing.
    Smooth,
    /// Holes before this byte are filled one by one.
    Filling(u32),
    /// Everything before this byte is being sent again.
    Resending(u32),
}

impl Window {
    /// At most `most` bytes will ever be on their way.
    pub(super) fn new(most: usize) -> Self {
        Self {
            limit: BEGINNING.min(most),
            most,
            lossless: true,
            highest: 0,
            acknowledged: 0,
            duplicates: 0,
            mode: Mode::Smooth,
            begun: false,
            again: 0,
        }
    }

    /// How many bytes should be taken now, in whole segments of `segment` bytes, where `queued` wait to be sent or to be
    /// acknowledged. A short segment would end the batch for everybody behind it.
    pub(super) fn room(&self, queued: usize, segment: usize) -> usize {
        let room = self.limit.saturating_sub(queued);
        let worth = (self.limit / 4).min(BATCH);
        if room < worth && queued >= worth {
            return 0;
        }
        let unsent = queued.saturating_sub(self.on_its_way());
        let whole = (unsent + room) / segment * segment;
        whole.saturating_sub(unsent)
    }

    /// Whether a timer ran out, and not all that was on its way then has arrived.
    pub(super) fn is_resending(&self) -> bool {
        matches!(self.mode, Mode::Resending(_))
    }

    /// Segments that were sent again since the last call.
    pub(super) fn sent_again(&mut self) -> u64 {
        std::mem::take(&mut self.again)
    }

    /// A segment of `length` bytes that ends before `end` goes out. Whether it has gone before.
    pub(super) fn sent(&mut self, end: u32, length: u32) -> bool {
        if !self.begun {
            (self.highest, self.acknowledged, self.begun) = (end, end.wrapping_sub(length), true);
        } else if after(end, self.highest) {
            self.highest = end;
        } else if length > 0 {
            self.again += 1;
            let asked_for = match self.mode {
                Mode::Smooth => false,
                // A hole is filled by the segment that is missing, and by no other.
                Mode::Filling(_) => end.wrapping_sub(length) == self.acknowledged,
                Mode::Resending(_) => true,
            };
            if !asked_for {
                // A timer ran out, and all is sent again.
                self.mode = Mode::Resending(self.highest);
                self.shrink(1, 2);
            }
            return true;
        }
        false
    }

    /// Bytes that were sent and not acknowledged.
    fn on_its_way(&self) -> usize {
        self.highest.wrapping_sub(self.acknowledged) as usize
    }

    /// The user has everything before `byte`; `bare` if it says nothing else. Whether the segment at `byte` has to go out
    /// again at once. `waiting` bytes were not yet acknowledged before.
    pub(super) fn acknowledged(&mut self, byte: u32, bare: bool, waiting: usize) -> bool {
        if !self.begun {
            return false;
        }
        if after(byte, self.acknowledged) {
            let news = byte.wrapping_sub(self.acknowledged) as usize;
            (self.acknowledged, self.duplicates) = (byte, 0);
            return self.progress(byte, bare, news, waiting);
        }
        let again = byte == self.acknowledged && bare && after(self.highest, byte);
        self.duplicates = self.duplicates.saturating_add(u8::from(again));
        if !again || self.duplicates != DUPLICATES || self.mode != Mode::Smooth {
            return false;
        }
        self.mode = Mode::Filling(self.highest);
        self.shrink(7, 10);
        true
    }

    fn progress(&mut self, byte: u32, bare: bool, news: usize, waiting: usize) -> bool {
        match self.mode {
            Mode::Filling(end) if after(end, byte) => return bare,
            Mode::Resending(end) if after(end, byte) => {}
            Mode::Filling(_) | Mode::Resending(_) => self.mode = Mode::Smooth,
            Mode::Smooth if waiting * 2 >= self.limit => self.grow(news),
            Mode::Smooth => {}
        }
        false
    }

    fn grow(&mut self, news: usize) {
        let step = if self.lossless { news / 2 } else { news / 32 + 1 };
        self.limit = (self.limit + step).min(self.most);
    }

    fn shrink(&mut self, by: usize, of: usize) {
        self.lossless = false;
        self.limit = (self.limit * by / of).max(LEAST);
    }
}

/// Whether sequence number `one` is after `other`.
fn after(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u32 = u32::MAX - 3000;

    fn number(segment: u32) -> u32 {
        START.wrapping_add(segment * 1000)
    }

    /// Ten segments on their way, across the end of the numbers.
    fn ten() -> Window {
        let mut window = Window::new(1 << 20);
        (1..=10).for_each(|segment| assert!(!window.sent(number(segment), 1000)));
        window
    }

    #[test]
    fn what_may_be_on_its_way_grows_with_use_alone() {
        let mut window = ten();
        assert!(!window.acknowledged(number(5), true, 10_000));
        assert_eq!(window.limit, BEGINNING, "little was on its way");
        window.acknowledged(number(9), true, BEGINNING);
        assert_eq!(window.limit, BEGINNING + 2000);
    }

    #[test]
    fn bytes_are_taken_by_whole_segments_and_in_pieces_that_are_worth_it() {
        let window = ten();
        assert_eq!(window.on_its_way(), 10_000);
        // 65,536 may wait: with 10,000 on their way 55 whole segments of 1,000 find room.
        assert_eq!(window.room(10_000, 1000), 55_000);
        assert_eq!(window.room(10_300, 1000), 54_700, "what waits to be sent is made a whole segment first");
        assert_eq!((window.room(60_000, 1000), window.room(65_536, 1000), window.room(70_000, 1000)), (0, 0, 0));
        assert_eq!(window.room(49_000, 1000), 16_000, "a quarter of what may wait");
        let small = Window::new(16 << 10);
        assert_eq!((small.room(0, 1380), small.room(0, 9000)), (11 * 1380, 9000));
        assert_eq!(small.room(3000, 1380), 13_384 - (13_384 + 3000) % 1380, "less than a quarter is on its way");
    }

    #[test]
    fn three_repetitions_are_a_loss_and_each_further_hole_is_filled_at_once() {
        let mut window = ten();
        assert!(!window.acknowledged(number(2), true, 10_000));
        assert_eq!([0; 3].map(|_| window.acknowledged(number(2), true, 10_000)), [false, false, true]);
        assert_eq!(window.limit, BEGINNING * 7 / 10);
        window.sent(number(3), 1000);
        assert!(window.acknowledged(number(6), true, 10_000), "the next hole");
        window.sent(number(7), 1000);
        assert!(!window.acknowledged(number(10), true, 10_000), "all is there");
        assert_eq!((window.limit, window.sent_again(), window.sent_again()), (BEGINNING * 7 / 10, 2, 0));
    }

    #[test]
    fn after_a_timer_everything_is_on_its_way_again_and_nothing_is_asked_for_twice() {
        let mut window = ten();
        (1..=10).for_each(|segment| assert!(window.sent(number(segment), 1000)));
        assert_eq!((window.limit, window.sent_again()), (BEGINNING / 2, 10));
        for segment in [1, 4, 4, 4, 4, 9] {
            assert!(!window.acknowledged(number(segment), true, 10_000), "{segment}");
        }
    }

    #[test]
    fn a_timer_is_noticed_while_holes_are_filled() {
        let mut window = ten();
        let asked = (0..4).filter(|_| window.acknowledged(number(2), true, 10_000)).count();
        assert_eq!(asked, 1);
        window.sent(number(3), 1000);
        assert!(!window.is_resending(), "it was asked for");
        window.sent(number(3), 1000);
        window.sent(number(4), 1000);
        assert!(window.is_resending());
        window.acknowledged(number(10), true, 10_000);
        assert!(!window.is_resending(), "all is there");
    }

    #[test]
    fn data_and_old_numbers_are_no_repetitions() {
        let mut window = ten();
        for (byte, bare) in [(2, false), (2, false), (2, false), (1, true), (0, true), (1, true), (2, true)] {
            assert!(!window.acknowledged(number(byte), bare, 10_000));
        }
        assert!(!Window::new(1000).acknowledged(5, true, 0));
    }
}
