//! Exponential back-off with full jitter, as a pure function of the attempt and one random number.

use std::time::Duration;

/// How long to wait before attempt `attempt` (0 is the first retry): somewhere between zero and
/// `base * 2^attempt`, capped at `cap`. `entropy` is any uniformly random number.
#[must_use]
pub fn full_jitter(attempt: u32, base: Duration, cap: Duration, entropy: u64) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(cap);
    ceiling.mul_f64(unit(entropy))
}

/// A random number as a fraction in `0.0..1.0`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
pub fn unit(entropy: u64) -> f64 {
    (entropy >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_longer_than_the_cap(attempt in 0_u32..100, entropy: u64) {
            let cap = Duration::from_secs(20);
            prop_assert!(full_jitter(attempt, Duration::from_millis(50), cap, entropy) <= cap);
        }
    }

    #[test]
    fn doubles_with_each_attempt() {
        let wait =
            |attempt| full_jitter(attempt, Duration::from_millis(100), Duration::from_secs(60), u64::MAX).as_millis();
        assert_eq!([wait(0), wait(1), wait(2)], [100, 200, 400]);
    }
}
