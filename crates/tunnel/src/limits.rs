//! What one user may use: bytes a second each way, and bytes in all. (Flows and dials are counted where they begin.)
//!
//! A rate is a bucket that may be overdrawn by the packet that empties it, so that the average is exact whatever the packets'
//! lengths. Packets beyond it wait in the fair queue of their direction: a TCP sender finds the rate by that, where drops alone
//! would keep it well below.
//! `now` is time since the machine started.

use std::time::Duration;

use crate::Limits;

/// A bucket holds what comes in this long, and never less than [`LEAST_BURST`].
const BURST: Duration = Duration::from_millis(100);
/// A full batch of segments: less would cut every one of them.
const LEAST_BURST: u64 = 64 << 10;

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Over {
    /// Bytes a second.
    #[error("more bytes a second than allowed")]
    Rate,
    /// Bytes in all.
    #[error("the quota is used up")]
    Quota,
}

impl Over {
    /// The value of the metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Rate => "over_rate",
            Self::Quota => "over_quota",
        }
    }
}

/// Bytes a second, on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    rate: u64,
    /// What is in it, negative when overdrawn.
    level: i64,
    filled: Duration,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(rate: u64, now: Duration) -> Self {
        let rate = rate.clamp(1, 1 << 40);
        Self { rate, level: most(rate), filled: now }
    }

    /// Whether a packet may pass now; if not, how long until one may.
    ///
    /// # Errors
    /// The time to wait.
    pub fn ready(&mut self, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        if self.level > 0 {
            return Ok(());
        }
        let missing = u64::try_from(1 - self.level).unwrap_or(u64::MAX);
        let nanos = u128::from(missing) * 1_000_000_000 / u128::from(self.rate) + 1;
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes out what has passed.
    pub fn take(&mut self, bytes: usize) {
        self.level = self.level.saturating_sub_unsigned(bytes as u64);
    }

    /// Puts in what has come since the last time; what is too little for a byte is left for the next time.
    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled).as_nanos();
        let came = elapsed * u128::from(self.rate) / 1_000_000_000;
        if came == 0 {
            return;
        }
        let used = came * 1_000_000_000 / u128::from(self.rate);
        self.filled += Duration::from_nanos(u64::try_from(used).unwrap_or(u64::MAX));
        self.level = self.level.saturating_add_unsigned(u64::try_from(came).unwrap_or(u64::MAX)).min(most(self.rate));
    }
}

fn most(rate: u64) -> i64 {
    let burst = u128::from(rate) * BURST.as_millis() / 1000;
    i64::try_from(burst.max(LEAST_BURST.into())).unwrap_or(i64::MAX)
}

/// What one user may use, and has used.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    limits: Limits,
    upload: Option<Bucket>,
    download: Option<Bucket>,
    used: u64,
}

impl Allowance {
    /// `used` counts on from an earlier start.
    #[must_use]
    pub fn new(limits: Limits, used: u64, now: Duration) -> Self {
        let bucket = |rate: Option<u64>| rate.map(|rate| Bucket::new(rate, now));
        Self { limits, upload: bucket(limits.upload), download: bucket(limits.download), used }
    }

    /// Other limits from now on; what is used stays used.
    pub fn change(&mut self, limits: Limits, now: Duration) {
        if limits != self.limits {
            *self = Self::new(limits, self.used, now);
        }
    }

    /// Other sums in the books: counts on from `used`.
    pub fn recount(&mut self, used: u64) {
        self.used = used;
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether a packet of the user may come in now. Not at all once the quota is used up.
    ///
    /// # Errors
    /// How long to wait; `None` for ever.
    pub fn upload_ready(&mut self, now: Duration) -> Result<(), Option<Duration>> {
        self.quota().map_err(|_| None)?;
        self.upload.as_mut().map_or(Ok(()), |bucket| bucket.ready(now)).map_err(Some)
    }

    /// Counts a packet that came from the user.
    pub fn uploaded(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes as u64);
        if let Some(bucket) = &mut self.upload {
            bucket.take(bytes);
        }
    }

    /// Whether a packet may go to the user now. Not at all once the quota is used up.
    ///
    /// # Errors
    /// How long to wait; `None` for ever.
    pub fn download_ready(&mut self, now: Duration) -> Result<(), Option<Duration>> {
        self.quota().map_err(|_| None)?;
        self.download.as_mut().map_or(Ok(()), |bucket| bucket.ready(now)).map_err(Some)
    }

    /// Counts a packet that went to the user.
    pub fn downloaded(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes as u64);
        if let Some(bucket) = &mut self.download {
            bucket.take(bytes);
        }
    }

    /// Whether bytes to the user have to wait for their turn at all.
    #[must_use]
    pub fn limits_download(&self) -> bool {
        self.download.is_some()
    }

    /// Bytes both ways, those before this start included.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Whether there is quota left.
    ///
    /// # Errors
    /// [`Over::Quota`].
    pub fn quota(&self) -> Result<(), Over> {
        if self.limits.quota.is_some_and(|quota| self.used >= quota) { Err(Over::Quota) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn allowance(limits: Limits) -> Allowance {
        Allowance::new(limits, 0, ms(5000))
    }

    #[test]
    fn a_rate_is_kept_on_average_and_waiting_as_told_is_enough() {
        let mut bucket = Bucket::new(1_000_000, ms(0));
        let (mut now, mut passed) = (ms(0), 0_u64);
        while now < ms(10_000) {
            match bucket.ready(now) {
                Ok(()) => {
                    bucket.take(1400);
                    passed += 1400;
                }
                Err(wait) => {
                    now += wait;
                    assert_eq!(bucket.ready(now), Ok(()));
                }
            }
        }
        assert!((10_000_000..10_200_000).contains(&passed), "{passed}");
    }

    #[test]
    fn a_slow_rate_asked_often_loses_nothing_to_rounding() {
        let mut bucket = Bucket::new(1000, ms(0));
        bucket.take(usize::try_from(LEAST_BURST).unwrap() + 1000);
        let answers: Vec<_> = (0..20_000).map(|tenth| bucket.ready(Duration::from_micros(tenth * 100))).collect();
        let first = answers.iter().position(Result::is_ok).unwrap();
        assert!((10_000..10_100).contains(&first), "{first}");
    }

    #[test]
    fn the_quota_ends_both_directions_and_survives_a_restart() {
        let limits = Limits { quota: Some(3000), ..Limits::usual() };
        let mut before = allowance(limits);
        before.uploaded(1000);
        before.downloaded(1500);
        let mut after = Allowance::new(limits, before.used(), ms(1));
        assert_eq!(after.download_ready(ms(1)), Ok(()));
        after.uploaded(500);
        assert_eq!(after.upload_ready(ms(1)), Err(None));
        assert_eq!(after.download_ready(ms(9000)), Err(None));
        assert_eq!(after.quota(), Err(Over::Quota));
        after.change(Limits { quota: Some(4000), ..limits }, ms(2));
        assert_eq!((after.upload_ready(ms(2)), after.used()), (Ok(()), 3000));
    }

    #[test]
    fn each_direction_has_its_own_rate() {
        let mut user = allowance(Limits { upload: Some(1000), ..Limits::usual() });
        user.uploaded(70_000);
        let waits = user.upload_ready(ms(5000)).unwrap_err().unwrap();
        assert!(user.upload_ready(ms(5000) + waits).is_ok() && waits > ms(4000), "{waits:?}");
        assert_eq!((user.download_ready(ms(5000)), user.limits_download()), (Ok(()), false));
        assert_eq!(user.used(), 70_000);
    }

    proptest! {
        #[test]
        fn no_pattern_beats_the_rate(
            rate in 1_u64..10_000_000, packets in proptest::collection::vec((0_u64..50_000, 1_usize..1500), 1..200)
        ) {
            let mut bucket = Bucket::new(rate, ms(0));
            let (mut now, mut passed, mut last) = (ms(0), 0_u64, 0);
            for (pause, length) in packets {
                now += Duration::from_micros(pause);
                if bucket.ready(now).is_ok() {
                    bucket.take(length);
                    passed += length as u64;
                    last = length as u64;
                }
            }
            let allowed = most(rate).unsigned_abs() + rate * u64::try_from(now.as_micros()).unwrap() / 1_000_000;
            prop_assert!(passed <= allowed + last, "{passed} of {allowed}");
        }
    }
}
