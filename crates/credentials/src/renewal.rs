//! When a lease is renewed: arithmetic on times that are passed in, the same for daemon and command line.
//!
//! Knows nothing of sources, files or tasks.

use std::time::Duration;

use bowline_base::{Credentials, KeyId, Kind, Timestamp};
use sha2::{Digest as _, Sha256};

/// The least time between two tries, whatever the length of the lease.
pub const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// SSO tokens are renewed with this much left, before the CLI (15 min) and the SDKs (5 to 15 min) would do it.
pub const TOKEN_WINDOW: Duration = Duration::from_secs(20 * 60);

const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
const LONGEST_REFUSAL: Duration = Duration::from_secs(5 * 60);
const REJECTION_GAP: Duration = Duration::from_secs(10);

/// What decides when something is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At half of the life.
    Credentials,
    /// When this much (usually [`TOKEN_WINDOW`]) or half of the life is left, whichever is less.
    SsoToken(Duration),
}

/// Something that ends, without its secret: the times, and a name that tells it from its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The access key id, or a fingerprint of a token.
    pub key: KeyId,
    /// When it was fetched.
    pub obtained_at: Timestamp,
    /// From this second on AWS refuses it; `None` never ends.
    pub expires_at: Option<Timestamp>,
}

impl Lease {
    /// The times of `credentials`.
    #[must_use]
    pub fn of(credentials: &Credentials) -> Self {
        Self {
            key: credentials.key_id.clone(),
            obtained_at: credentials.obtained_at,
            expires_at: credentials.expires_at,
        }
    }

    /// Whether AWS would still take it at `now`.
    #[must_use]
    pub fn usable_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// From fetching to its end; zero when it had ended before it came; `None` when it never ends.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        self.expires_at.map(|end| end.duration_since(self.obtained_at).try_into().unwrap_or(Duration::ZERO))
    }

    /// When it is to be renewed; `None` when it never ends. The jitter, up to a tenth of the wait and only earlier,
    /// comes from the key, so that every process on the machine comes to the same answer.
    #[must_use]
    pub fn due_at(&self, rule: Rule) -> Option<Timestamp> {
        self.due_after(rule).map(|wait| self.obtained_at + wait)
    }

    /// As [`Lease::due_at`], counted from `obtained_at`.
    #[must_use]
    pub fn due_after(&self, rule: Rule) -> Option<Duration> {
        let life = self.life()?;
        let wait = match rule {
            Rule::Credentials => life / 2,
            Rule::SsoToken(window) => life - (life / 2).min(window),
        };
        Some(wait.mul_f64(1.0 - 0.1 * jitter(&self.key)))
    }

    /// The least time between two tries to renew it ahead: a tenth of its life, at least a second.
    #[must_use]
    pub fn least_gap(&self) -> Duration {
        self.life().map_or(SHORTEST_GAP, |life| (life / 10).max(SHORTEST_GAP))
    }

    /// How soon after a try the next may follow because AWS refused the key. A key that is seconds old may just not
    /// have reached every server of AWS, and another one would be younger still.
    #[must_use]
    pub fn rejection_gap(&self) -> Duration {
        self.least_gap().min(REJECTION_GAP)
    }
}

/// How long to leave alone what failed `attempts` times in a row (1 is the first failure): 1 s, 2 s, 4 s, … 60 s
/// where trying again can help by itself, 5 s, 10 s, … 5 min where it cannot and only a person asks again.
#[must_use]
pub fn back_off(kind: Kind, attempts: u32) -> Duration {
    let doublings = 2_u32.saturating_pow(attempts.saturating_sub(1));
    match kind {
        Kind::Unreachable | Kind::Interrupted => SHORTEST_GAP.saturating_mul(doublings).min(LONGEST_BACK_OFF),
        Kind::Config | Kind::Refused | Kind::LoginRequired | Kind::Bug => {
            (5 * SHORTEST_GAP).saturating_mul(doublings).min(LONGEST_REFUSAL)
        }
    }
}

/// A fraction in `0.0..1.0` that belongs to the key.
fn jitter(key: &KeyId) -> f64 {
    let digest = Sha256::digest(key.as_str());
    f64::from(u16::from_be_bytes([digest[0], digest[1]])) / 65536.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lease(key: &str, life: u64) -> Lease {
        let obtained_at = Timestamp::from_second(1_000_000).unwrap();
        let expires_at = Some(obtained_at + Duration::from_secs(life));
        Lease { key: KeyId::new(key), obtained_at, expires_at }
    }

    #[test]
    fn an_hour_long_session_is_renewed_with_half_of_it_left() {
        let wait = lease("ASIA1", 3600).due_after(Rule::Credentials).unwrap().as_secs();
        assert!((1620..=1800).contains(&wait), "{wait}");
    }

    #[test]
    fn an_sso_token_is_renewed_before_the_cli_would_do_it() {
        let left = |life| life - lease("t", life).due_after(Rule::SsoToken(TOKEN_WINDOW)).unwrap().as_secs();
        assert!((1200..=1440).contains(&left(3600)), "{}", left(3600));
        assert!((5..=6).contains(&left(10)), "{}", left(10));
    }

    #[test]
    fn keys_without_an_end_are_never_due() {
        let forever = Lease { expires_at: None, ..lease("AKIA1", 1) };
        assert_eq!(forever.due_at(Rule::Credentials), None);
        assert!(forever.usable_at(Timestamp::MAX));
    }

    #[test]
    fn what_had_ended_before_it_came_has_no_life() {
        let mut late = lease("ASIA1", 1);
        late.obtained_at += Duration::from_secs(600);
        assert_eq!(late.life(), Some(Duration::ZERO));
    }

    #[test]
    fn back_off_doubles_to_its_cap() {
        let seconds = |kind, attempts| back_off(kind, attempts).as_secs();
        assert_eq!([1, 2, 3, 9, 40].map(|n| seconds(Kind::Unreachable, n)), [1, 2, 4, 60, 60]);
        assert_eq!([1, 2, 9].map(|n| seconds(Kind::LoginRequired, n)), [5, 10, 300]);
    }

    proptest! {
        #[test]
        fn jitter_only_makes_it_earlier(key in "[A-Z0-9]{4,20}", life in 1_u64..100_000) {
            for rule in [Rule::Credentials, Rule::SsoToken(TOKEN_WINDOW)] {
                let wait = lease(&key, life).due_after(rule).unwrap();
                let latest = Duration::from_secs(life) - (Duration::from_secs(life) / 2).min(match rule {
                    Rule::Credentials => Duration::MAX,
                    Rule::SsoToken(window) => window,
                });
                prop_assert!(wait <= latest && wait >= latest.mul_f64(0.899), "{wait:?} {latest:?}");
            }
        }
    }
}
