//! The only place that reads clocks, and sleeps that notice when the machine was suspended.

use std::time::Duration;

use bowline_base::Now;
use rustix::time::clock_gettime;

use crate::sys::BOOT_CLOCK;

/// The longest single sleep: after a suspend, at most this much time passes before anybody looks at the clock.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Reads both clocks.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
pub fn now() -> Now {
    Now { boot: boot_time(), wall: jiff::Timestamp::now() }
}

/// Sleeps until the boot clock reads `deadline`, in steps of at most [`LONGEST_SLEEP`].
pub async fn sleep_until(deadline: Duration) {
    loop {
        let left = deadline.saturating_sub(boot_time());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}

/// The minute of the day, 0 to 1439, that this machine's local time has at `moment`: by `TZ`, else `/etc/localtime`, else UTC.
#[must_use]
pub fn minute_of_day(moment: jiff::Timestamp) -> u16 {
    let local = moment.to_zoned(jiff::tz::TimeZone::system());
    u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
}

fn boot_time() -> Duration {
    let time = clock_gettime(BOOT_CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back() {
        let (first, second) = (now(), now());
        assert!(second.boot >= first.boot && !first.boot.is_zero());
    }
}
