//! This machine's clock against that of AWS, as the `Date` of an answer of STS tells it.

use bowline_aws::Service;
use bowline_base::{Now, Timestamp};
use bowline_host::{Check, obstacle::Obstacle};

use super::{Patient, ids, network, verdict::*};
use crate::world::small_runtime;

/// From here on AWS refuses signatures.
const TOO_MUCH: i64 = 5 * 60;
/// More than a network takes, and more than a clock that is kept ever has.
const SUSPICIOUS: i64 = 30;

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let (url, world) = (sts(patient), &patient.world);
    let Ok(runtime) = small_runtime() else { return Vec::new() };
    let (before, answer, after) = runtime.block_on(async {
        let before = world.wire.now();
        let answer = network::ask(&*world.wire, &url).await;
        (before, answer, world.wire.now())
    });
    runtime.shutdown_background();
    let date = answer.map_err(|error| Obstacle::of(&error).to_string()).and_then(|answer| {
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        date.and_then(|date| Timestamp::try_from(date).ok()).ok_or_else(|| "the answer has no date".to_owned())
    });
    vec![judge(&url, date.map(|date| ahead(before, after, date)))]
}

/// STS of the region that is used here, where the profile's endpoints send it.
fn sts(patient: &Patient) -> String {
    let world = &patient.world;
    let profile = patient.profile.clone().unwrap_or_else(|| world.default_profile());
    let resolved = network::with_sources(world, |sources| sources.resolve(&profile).ok()).flatten();
    let endpoints = resolved.map_or_else(|| world.setup.endpoints.clone(), |resolved| resolved.endpoints);
    let region = world.region(None, &profile).or_else(|_| bowline_aws::Region::parse("us-east-1"));
    region.map_or_else(|_| String::new(), |region| endpoints.url(Service::Sts, &region))
}

/// Seconds that we are ahead; the answer was made half-way, give or take.
fn ahead(before: Now, after: Now, date: Timestamp) -> i64 {
    let halfway = before.wall + after.boot.saturating_sub(before.boot) / 2;
    halfway.as_second() - date.as_second()
}

fn judge(url: &str, ahead: Result<i64, String>) -> Check {
    let id = ids::CLOCK_DRIFT;
    let fix = "timedatectl set-ntp true   # with chrony: sudo chronyc makestep; in a container: the host's clock";
    let ahead = match ahead {
        Ok(ahead) => ahead,
        Err(why) => {
            return degraded(
                id,
                format!("not compared: {url}: {why}"),
                format!("curl -sI {url}   # why nothing comes back"),
            );
        }
    };
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    let why = format!("this clock is {} s {way} that of {url}", ahead.abs());
    match ahead.abs() {
        much if much > TOO_MUCH => failed(id, format!("{why}: AWS refuses what is signed by it"), Some(fix.to_owned())),
        some if some > SUSPICIOUS => degraded(id, why, fix),
        _ => ok(id, why),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bowline_host::Verdict;

    use super::*;

    #[test]
    fn thirty_seconds_are_suspicious_and_five_minutes_too_much_either_way() {
        let verdict = |seconds| judge("https://sts", Ok(seconds)).verdict;
        assert_eq!([0, 30, -30].map(verdict), [Verdict::Ok; 3]);
        assert_eq!([31, -31, 300].map(verdict), [Verdict::Degraded; 3]);
        assert_eq!([301, -301].map(verdict), [Verdict::Failed; 2]);
        assert_eq!(judge("https://sts", Err("silence".to_owned())).verdict, Verdict::Degraded);
    }

    #[test]
    fn a_slow_answer_is_no_drift() {
        let before = Now { boot: Duration::ZERO, wall: Timestamp::from_second(1000).unwrap() };
        let after = before.after(Duration::from_secs(4));
        assert_eq!(ahead(before, after, Timestamp::from_second(1002).unwrap()), 0);
        assert_eq!(ahead(before, after, Timestamp::from_second(962).unwrap()), 40);
    }
}
