//! From the upstream's trouble to a status that tells the client the truth.
//!
//! Maven remembers a 404 for a day, so 404 is for keys that do not exist and nothing else. 403 ends a Gradle build and
//! costs Bazel eight tries, so it is not used for keys. 503 says that somebody has to sign in or that S3 is away, 504
//! that it is slow, 502 that what it said is of no use.

use std::time::Duration;

use crate::upstream::Trouble;

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: u16,
    /// `x-bowline-reason`: few values, for scripts.
    pub(crate) reason: &'static str,
    pub(crate) retry_after: Option<Duration>,
}

/// The verdict on `trouble`.
pub(crate) fn of(trouble: &Trouble) -> Verdict {
    if let Trouble::BusyFor(time) = trouble {
        return Verdict { status: 503, reason: "upstream-busy", retry_after: Some(*time) };
    }
    let (status, reason, seconds) = match trouble {
        Trouble::Missing | Trouble::Hidden => (404, "missing", None),
        Trouble::ListingDenied => (403, "listing-denied", None),
        Trouble::Denied | Trouble::KeyDenied(_) | Trouble::AccessLost(_) => (502, "access-denied", Some(30)),
        Trouble::Refused(_) => (502, "upstream-refused", Some(30)),
        Trouble::Credentials { .. } => (503, "no-credentials", Some(10)),
        Trouble::Unreachable(_) => (503, "upstream-unreachable", Some(5)),
        Trouble::Disk(_) => (503, "upstream-disk", Some(5)),
        Trouble::Cache(_) => (503, "cache", Some(5)),
        Trouble::Busy | Trouble::BusyFor(_) => (503, "upstream-busy", Some(5)),
        Trouble::TimedOut(_) => (504, "upstream-timeout", Some(5)),
        Trouble::Server(_) => (502, "upstream-error", Some(5)),
        Trouble::NotS3(_) => (502, "not-s3", Some(5)),
        Trouble::Broken(_) | Trouble::Changed => (502, "upstream-broken", Some(1)),
    };
    Verdict { status, reason, retry_after: seconds.map(Duration::from_secs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_key_is_404() {
        let text = || "x".to_owned();
        let others = [
            Trouble::ListingDenied,
            Trouble::Denied,
            Trouble::KeyDenied(text()),
            Trouble::AccessLost(text()),
            Trouble::Refused(text()),
            Trouble::Credentials { why: text(), hint: None },
            Trouble::Unreachable(text()),
            Trouble::Disk(text()),
            Trouble::Cache(text()),
            Trouble::Busy,
            Trouble::BusyFor(Duration::from_secs(7)),
            Trouble::TimedOut(Duration::from_secs(1)),
            Trouble::Server(500),
            Trouble::NotS3(text()),
            Trouble::Broken(text()),
            Trouble::Changed,
        ];
        for trouble in others {
            let verdict = of(&trouble);
            assert!([403, 502, 503, 504].contains(&verdict.status), "{trouble:?}");
            assert!(verdict.status == 403 || verdict.retry_after.is_some(), "{trouble:?}");
        }
        assert_eq!((of(&Trouble::Missing).status, of(&Trouble::Hidden).status), (404, 404));
    }
}
