//! May a copy be served unasked? Decided from the key, the copy's times and the clock; nothing is read here.
//!
//! Maven releases never change. `maven-metadata.xml`, SNAPSHOTs without a timestamp and whatever is not laid out like
//! a Maven release may: they have a time to live. A checksum belongs to the class of the file that it is for, and is
//! of the same generation: it is never newer or older than the copy of that file.
//!
//! There is no stale 404: that a key did not exist says nothing about now, and Maven would remember it for a day.

use std::time::Duration;

use bowline_base::{Now, Timestamp};

const CHECKSUMS: [&str; 4] = [".sha1", ".md5", ".sha256", ".sha512"];

/// Whether a file may change under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A released file, or a checksum or signature of one.
    Immutable,
    /// Everything else.
    Mutable,
}

/// When a copy was last known to be the upstream's, on both clocks where this process saw it, else by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validated {
    pub(crate) wall: Timestamp,
    pub(crate) boot: Option<Duration>,
}

/// What to do about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Serve the copy.
    Hit,
    /// There is a copy; ask whether it is still right.
    Revalidate,
    /// Answer 404 from memory.
    Negative,
    /// Ask for the file.
    Miss,
}

/// The class of `key`.
pub(crate) fn class(key: &str) -> Class {
    let mut key = key;
    while let Some(parent) = checksum_of(key).or_else(|| key.strip_suffix(".asc")) {
        key = parent;
    }
    if is_release(key) { Class::Immutable } else { Class::Mutable }
}

/// The file that `key` is a checksum of, going by its name.
pub(crate) fn checksum_of(key: &str) -> Option<&str> {
    CHECKSUMS.iter().find_map(|suffix| key.strip_suffix(suffix)).filter(|parent| !parent.is_empty())
}

/// `copy`: when it was validated, if there is one; `missing_until`: boot time to which the key is known not to exist.
pub(crate) fn decide(
    class: Class,
    copy: Option<Validated>,
    missing_until: Option<Duration>,
    ttl: Duration,
    now: Now,
) -> Decision {
    match copy {
        Some(_) if class == Class::Immutable => Decision::Hit,
        Some(validated) if is_younger(validated, ttl, now) => Decision::Hit,
        Some(_) => Decision::Revalidate,
        None if missing_until.is_some_and(|until| now.boot < until) => Decision::Negative,
        None => Decision::Miss,
    }
}

/// A checksum whose parent is in the cache and fresh: right while it was validated after the parent's bytes came.
pub(crate) fn decide_checksum(copy: Option<Validated>, parent_came: Timestamp) -> Decision {
    match copy {
        Some(validated) if validated.wall >= parent_came => Decision::Hit,
        Some(_) => Decision::Revalidate,
        None => Decision::Miss,
    }
}

/// Whether a copy may stand in while the upstream fails.
pub(crate) fn may_be_stale(class: Class, copy: Validated, stale_for: Option<Duration>, now: Now) -> bool {
    class == Class::Immutable || stale_for.is_none_or(|longest| is_younger(copy, longest, now))
}

/// Younger on both clocks. A calendar that jumped, either way, only costs a question.
fn is_younger(copy: Validated, ttl: Duration, now: Now) -> bool {
    let by_wall = Duration::try_from(now.wall.duration_since(copy.wall)).is_ok_and(|age| age < ttl);
    let by_boot = copy.boot.is_none_or(|boot| now.boot.saturating_sub(boot) < ttl);
    by_wall && by_boot
}

/// `…/artifact/version/artifact-version….ext`, and not a SNAPSHOT that is overwritten in place.
fn is_release(key: &str) -> bool {
    let mut parts = key.rsplit('/');
    let (Some(name), Some(version), Some(artifact)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Some(rest) = name.strip_prefix(artifact).and_then(|rest| rest.strip_prefix('-')) else { return false };
    match version.strip_suffix("-SNAPSHOT") {
        Some(base) => rest.strip_prefix(base).is_some_and(begins_with_timestamp),
        None => rest.strip_prefix(version).is_some_and(|rest| rest.starts_with(['-', '.'])),
    }
}

/// `-20261122.020202-1` and what follows.
fn begins_with_timestamp(text: &str) -> bool {
    let digits =
        |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let Some((date, rest)) = text.strip_prefix('-').and_then(|text| text.split_once('.')) else { return false };
    let Some((time, _build)) = rest.split_once('-') else { return false };
    date.len() == 8 && digits(Some(date)) && time.len() == 6 && digits(Some(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn start() -> Now {
        Now { boot: Duration::from_secs(1000), wall: "2026-11-22T02:02:02Z".parse().unwrap() }
    }

    fn seen(now: Now) -> Validated {
        Validated { wall: now.wall, boot: Some(now.boot) }
    }

    fn at(seconds: u64) -> Now {
        start().after(Duration::from_secs(seconds))
    }

    #[test]
    fn released_files_their_checksums_and_signatures_never_change() {
        for key in [
            "g/a/1.0/a-1.0.jar",
            "g/a/1.0/a-1.0.jar.sha1",
            "g/a/1.0/a-1.0-sources.jar.asc.md5",
            "g/a/1.0/a-1.0.module",
            "g/a/1.0-SNAPSHOT/a-1.0-20261122.020202-1.pom",
            "g/a/1.0-SNAPSHOT/a-1.0-20261122.020202-1-tests.jar.sha512",
        ] {
            assert_eq!(class(key), Class::Immutable, "{key}");
        }
    }

    #[test]
    fn metadata_snapshots_and_unknown_layouts_may_change() {
        for key in [
            "g/a/maven-metadata.xml",
            "g/a/maven-metadata.xml.sha1",
            "g/a/1.0-SNAPSHOT/maven-metadata.xml",
            "g/a/1.0-SNAPSHOT/a-1.0-SNAPSHOT.jar",
            "g/a/1.0-SNAPSHOT/a-1.0-SNAPSHOT.jar.md5",
            "archetype-catalog.xml",
            "tools/latest.tar.gz",
            "g/a/1.0/a-1.01.jar",
            ".sha1",
        ] {
            assert_eq!(class(key), Class::Mutable, "{key}");
        }
    }

    #[test]
    fn a_release_is_a_hit_for_ever_and_metadata_until_its_time_is_over() {
        let copy = Some(seen(start()));
        assert_eq!(decide(Class::Immutable, copy, None, TTL, at(1_000_000)), Decision::Hit);
        assert_eq!(decide(Class::Mutable, copy, None, TTL, at(299)), Decision::Hit);
        assert_eq!(decide(Class::Mutable, copy, None, TTL, at(300)), Decision::Revalidate);
    }

    #[test]
    fn a_calendar_that_jumps_either_way_costs_a_question_and_no_stale_answer() {
        let back = Now { wall: at(0).wall - Duration::from_secs(3600), ..at(10) };
        assert_eq!(decide(Class::Mutable, Some(seen(start())), None, TTL, back), Decision::Revalidate);
        let frozen = Now { wall: at(0).wall, ..at(400) };
        assert_eq!(decide(Class::Mutable, Some(seen(start())), None, TTL, frozen), Decision::Revalidate);
        let restarted = Validated { boot: None, ..seen(start()) };
        assert_eq!(decide(Class::Mutable, Some(restarted), None, TTL, at(10)), Decision::Hit);
    }

    #[test]
    fn a_missing_key_is_remembered_until_its_time_is_over() {
        let until = Some(at(60).boot);
        assert_eq!(decide(Class::Mutable, None, until, TTL, at(59)), Decision::Negative);
        assert_eq!(decide(Class::Mutable, None, until, TTL, at(60)), Decision::Miss);
        assert_eq!(decide(Class::Immutable, Some(seen(start())), until, TTL, at(1)), Decision::Hit);
    }

    #[test]
    fn a_checksum_follows_the_generation_of_its_parent() {
        let copy = Some(seen(at(100)));
        assert_eq!(decide_checksum(copy, at(100).wall), Decision::Hit);
        assert_eq!(decide_checksum(copy, at(101).wall), Decision::Revalidate);
        assert_eq!(decide_checksum(None, at(1).wall), Decision::Miss);
    }

    #[test]
    fn stale_copies_serve_as_long_as_configured_and_releases_always() {
        let hour = Some(Duration::from_secs(3600));
        assert!(may_be_stale(Class::Mutable, seen(start()), None, at(1_000_000)));
        assert!(may_be_stale(Class::Mutable, seen(start()), hour, at(3599)));
        assert!(!may_be_stale(Class::Mutable, seen(start()), hour, at(3600)));
        assert!(may_be_stale(Class::Immutable, seen(start()), hour, at(9999)));
    }
}
