//! How much life a set must have left when it is handed out: pure arithmetic.
//!
//! botocore believes IMDS credentials near their end for up to 25 minutes longer than they live, and asks an ECS
//! endpoint again on every call below 15 minutes. So a set is renewed before it comes below its floor, and over IMDS it
//! is not handed out below it. A session that is not longer than the floor has none.

use std::time::Duration;

use bowline_base::{Credentials, Timestamp};

/// Which floor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The ECS-style endpoint.
    Ecs,
    /// Instance metadata.
    Imds,
}

impl Door {
    fn floor(self) -> Duration {
        Duration::from_secs(60 * if self == Self::Imds { 25 } else { 15 })
    }
}

/// Whether `credentials` have so little left that another set should be fetched ahead of the broker's own time. Never
/// in the first tenth of their life, so that a short session is not fetched over and over.
pub(super) fn is_due(door: Door, credentials: &Credentials, now: Timestamp) -> bool {
    times(credentials, now)
        .is_some_and(|t| t.life > door.floor() && t.left < door.floor() + t.life / 10 && t.age >= t.life / 10)
}

/// Whether clients would do harm with `credentials`: below the floor of IMDS although there was time to renew them. An
/// ECS client just asks again, so there the old set goes on to its end.
pub(super) fn is_too_late(door: Door, credentials: &Credentials, now: Timestamp) -> bool {
    let late = |t: Times| t.life > door.floor() && t.left < door.floor() && t.age > t.life / 5;
    door == Door::Imds && times(credentials, now).is_some_and(late)
}

/// Sessions that cannot keep above the floor of IMDS for half of their life: worth a warning.
pub(super) fn is_short_for_imds(credentials: &Credentials) -> bool {
    times(credentials, credentials.obtained_at).is_some_and(|t| t.life < 2 * Door::Imds.floor())
}

struct Times {
    life: Duration,
    left: Duration,
    age: Duration,
}

fn times(credentials: &Credentials, now: Timestamp) -> Option<Times> {
    let between = |from: Timestamp, to: Timestamp| to.duration_since(from).try_into().unwrap_or(Duration::ZERO);
    let end = credentials.expires_at?;
    Some(Times {
        life: between(credentials.obtained_at, end),
        left: between(now, end),
        age: between(credentials.obtained_at, now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::{at, credentials};

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn of(life: u64) -> Credentials {
        Credentials { expires_at: Some(at() + minutes(life)), ..credentials() }
    }

    #[test]
    fn an_hour_is_due_before_it_comes_below_the_floor() {
        let due = |door, age| is_due(door, &of(60), at() + minutes(age));
        assert!(!due(Door::Imds, 28) && due(Door::Imds, 30));
        assert!(!due(Door::Ecs, 38) && due(Door::Ecs, 40));
    }

    #[test]
    fn imds_refuses_below_its_floor_and_ecs_serves_to_the_end() {
        let late = |door, age| is_too_late(door, &of(60), at() + minutes(age));
        assert!(!late(Door::Imds, 35) && late(Door::Imds, 36));
        assert!(!late(Door::Ecs, 59));
    }

    #[test]
    fn a_session_not_longer_than_the_floor_has_none() {
        for (door, life) in [(Door::Ecs, 15), (Door::Imds, 25), (Door::Imds, 1)] {
            for age in 0..life {
                let now = at() + minutes(age);
                assert!(!is_due(door, &of(life), now) && !is_too_late(door, &of(life), now), "{door:?} {life} {age}");
            }
        }
    }

    #[test]
    fn between_due_and_too_late_there_is_always_time_for_a_renewal() {
        for life in 26..120 {
            let first =
                |wanted: &dyn Fn(Timestamp) -> bool| (0..life * 60).find(|s| wanted(at() + Duration::from_secs(*s)));
            let due = first(&|now| is_due(Door::Imds, &of(life), now)).unwrap();
            let late = first(&|now| is_too_late(Door::Imds, &of(life), now)).unwrap();
            assert!(late >= due + 150, "a life of {life} min: due at {due} s, too late at {late} s");
        }
    }

    #[test]
    fn short_sessions_are_told() {
        assert!(is_short_for_imds(&of(49)) && !is_short_for_imds(&of(60)));
    }
}
