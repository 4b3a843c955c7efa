//! How an upstream stands, and what a refused key means. Decided from what was answered; asks nobody.

use std::time::Duration;

use bowline_base::Now;

use crate::upstream::Trouble;

/// While an upstream fails, a copy is served without asking it again for this long.
pub(crate) const ASSUMED_AWAY: Duration = Duration::from_secs(10);
/// How long one probe answers for all refused keys.
pub(crate) const PROBE_HOLDS: Duration = Duration::from_secs(15);
/// Keys that could be read, kept to ask for again. Several, because one may be deleted.
pub(crate) const CANARIES: usize = 4;

/// What 403 `AccessDenied` for a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// We may not list, and so S3 will not say that the key is missing. It is.
    NoSuchKey,
    /// As above, but nothing was ever read: it may also be that we may not read at all.
    NoSuchKeyPerhaps,
    /// We may list, and so the key is there. Nothing is said about other keys.
    KeyDenied,
    /// Keys that could be read before are refused.
    AccessLost,
}

/// `probe`: may we list? `canary`: whether a key that could be read before still can be, where there is one.
pub(crate) fn meaning(probe: Result<(), Trouble>, canary: Option<Result<(), Trouble>>) -> Result<Meaning, Trouble> {
    match (probe, canary) {
        (Ok(()), None | Some(Ok(()))) => Ok(Meaning::KeyDenied),
        (Err(Trouble::ListingDenied | Trouble::Denied), None) => Ok(Meaning::NoSuchKeyPerhaps),
        (Err(Trouble::ListingDenied | Trouble::Denied), Some(Ok(()))) => Ok(Meaning::NoSuchKey),
        (Ok(()) | Err(Trouble::ListingDenied | Trouble::Denied), Some(Err(Trouble::Denied))) => Ok(Meaning::AccessLost),
        (Ok(()) | Err(Trouble::ListingDenied | Trouble::Denied), Some(Err(other))) | (Err(other), _) => Err(other),
    }
}

/// What is known of one upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    trouble: Option<(Trouble, Now)>,
    away_until: Option<Duration>,
    probed: Option<(Meaning, Duration)>,
    /// The latest first.
    canaries: Vec<String>,
    answered: bool,
}

/// What has changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    None,
    Fell(Trouble),
    Recovered,
}

impl Standing {
    /// Notes an answer about `key`.
    pub(crate) fn note(&mut self, key: Option<&str>, answer: Result<(), &Trouble>, now: Now) -> Turn {
        match answer {
            Ok(()) => {
                self.canaries.splice(0..0, key.map(str::to_owned));
                self.settle();
                let still = |meaning| matches!(meaning, Meaning::NoSuchKey | Meaning::KeyDenied);
                self.probed = self.probed.filter(|(meaning, _)| still(*meaning));
                self.rise()
            }
            Err(Trouble::Missing | Trouble::Hidden | Trouble::KeyDenied(_)) => self.rise(),
            // Says something about one key or one body, not about the upstream.
            Err(Trouble::Changed | Trouble::Broken(_) | Trouble::ListingDenied | Trouble::Denied) => Turn::None,
            Err(trouble) => self.fall(trouble, now),
        }
    }

    /// Notes what a probe came to.
    pub(crate) fn probed(&mut self, meaning: Meaning, now: Now) {
        self.probed = Some((meaning, now.boot + PROBE_HOLDS));
    }

    /// What a refused key means, if it was found out lately.
    pub(crate) fn meaning(&self, now: Now) -> Option<Meaning> {
        self.probed.filter(|(_, until)| now.boot < *until).map(|(meaning, _)| meaning)
    }

    /// Keys that could be read, at most [`CANARIES`], the latest first.
    pub(crate) fn canaries(&self) -> &[String] {
        &self.canaries
    }

    /// Adds keys that were read by an earlier process.
    pub(crate) fn recall(&mut self, keys: Vec<String>) {
        self.canaries.extend(keys);
        self.settle();
    }

    /// Other keys can be read and these cannot: they say nothing about the rest.
    pub(crate) fn drop_canaries(&mut self, keys: &[String]) {
        self.canaries.retain(|key| !keys.contains(key));
    }

    /// It failed a moment ago: serve what there is without asking.
    pub(crate) fn is_away(&self, now: Now) -> bool {
        self.away_until.is_some_and(|until| now.boot < until)
    }

    /// Why it does not serve, and since when.
    pub(crate) fn trouble(&self) -> Option<&(Trouble, Now)> {
        self.trouble.as_ref()
    }

    /// Keys are refused, and nothing was ever read that would tell why.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        match self.probed?.0 {
            Meaning::NoSuchKeyPerhaps => Some("keys are refused, listing too; they are taken for missing"),
            Meaning::KeyDenied if self.canaries.is_empty() => Some("keys that exist are refused; none was read yet"),
            Meaning::NoSuchKey | Meaning::KeyDenied | Meaning::AccessLost => None,
        }
    }

    /// Whether it was ever asked with success.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered
    }

    /// Every canary once, and no more of them than are wanted.
    fn settle(&mut self) {
        let mut kept = Vec::with_capacity(CANARIES);
        for key in self.canaries.drain(..) {
            if kept.len() < CANARIES && !kept.contains(&key) {
                kept.push(key);
            }
        }
        self.canaries = kept;
    }

    fn rise(&mut self) -> Turn {
        self.away_until = None;
        self.answered = true;
        if self.trouble.take().is_some() { Turn::Recovered } else { Turn::None }
    }

    fn fall(&mut self, trouble: &Trouble, now: Now) -> Turn {
        self.away_until = Some(now.boot + ASSUMED_AWAY);
        let since = self.trouble.as_ref().map(|(_, since)| *since);
        let same = self
            .trouble
            .as_ref()
            .is_some_and(|(old, _)| std::mem::discriminant(old) == std::mem::discriminant(trouble));
        self.trouble = Some((trouble.clone(), since.unwrap_or(now)));
        if same { Turn::None } else { Turn::Fell(trouble.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now { boot: Duration::from_secs(100), wall: "2026-11-22T02:02:02Z".parse().unwrap() }
    }

    #[test]
    fn a_refused_key_is_missing_only_when_others_can_still_be_read() {
        let no_listing = || Err(Trouble::ListingDenied);
        assert_eq!(meaning(no_listing(), Some(Ok(()))), Ok(Meaning::NoSuchKey));
        assert_eq!(meaning(no_listing(), Some(Err(Trouble::Denied))), Ok(Meaning::AccessLost));
        assert_eq!(meaning(no_listing(), None), Ok(Meaning::NoSuchKeyPerhaps));
    }

    #[test]
    fn a_refused_key_where_listing_is_allowed_says_nothing_of_others_that_can_be_read() {
        assert_eq!(meaning(Ok(()), None), Ok(Meaning::KeyDenied));
        assert_eq!(meaning(Ok(()), Some(Ok(()))), Ok(Meaning::KeyDenied));
        assert_eq!(meaning(Ok(()), Some(Err(Trouble::Denied))), Ok(Meaning::AccessLost));
        let mut standing = Standing::default();
        assert_eq!(standing.note(Some("k"), Err(&Trouble::KeyDenied("k".to_owned())), now()), Turn::None);
        assert!(standing.trouble().is_none() && !standing.is_away(now()));
        standing.probed(Meaning::KeyDenied, now());
        assert!(standing.doubt().is_some());
        standing.note(Some("other"), Ok(()), now());
        assert!(standing.doubt().is_none());
    }

    #[test]
    fn a_few_keys_are_kept_each_once_and_the_latest_first() {
        let mut standing = Standing::default();
        for key in ["a", "b", "a"] {
            standing.note(Some(key), Ok(()), now());
        }
        assert_eq!(standing.canaries(), ["a", "b"]);
        standing.recall(["b", "c", "d", "e"].map(str::to_owned).to_vec());
        assert_eq!(standing.canaries(), ["a", "b", "c", "d"]);
        standing.drop_canaries(&["a".to_owned(), "c".to_owned()]);
        assert_eq!(standing.canaries(), ["b", "d"]);
    }

    #[test]
    fn a_probe_that_fails_says_nothing_about_the_key() {
        assert_eq!(meaning(Err(Trouble::Busy), None), Err(Trouble::Busy));
        assert_eq!(meaning(Err(Trouble::ListingDenied), Some(Err(Trouble::Busy))), Err(Trouble::Busy));
    }

    #[test]
    fn a_failing_upstream_is_left_alone_for_a_while_and_its_recovery_is_told_once() {
        let mut standing = Standing::default();
        let fell = standing.note(Some("k"), Err(&Trouble::Server(500)), now());
        assert_eq!(fell, Turn::Fell(Trouble::Server(500)));
        assert_eq!(standing.note(Some("k"), Err(&Trouble::Server(503)), now()), Turn::None);
        assert!(standing.is_away(now().after(Duration::from_secs(9))));
        assert!(!standing.is_away(now().after(Duration::from_secs(10))));
        assert_eq!(standing.note(Some("k"), Err(&Trouble::Missing), now()), Turn::Recovered);
        assert_eq!(standing.note(Some("k"), Ok(()), now()), Turn::None);
        assert_eq!(standing.canaries(), ["k"]);
    }

    #[test]
    fn a_broken_body_does_not_take_the_upstream_down() {
        let mut standing = Standing::default();
        assert_eq!(standing.note(None, Err(&Trouble::Broken("x".to_owned())), now()), Turn::None);
        assert!(standing.trouble().is_none() && !standing.is_away(now()));
    }

    #[test]
    fn lost_access_is_forgotten_when_a_key_can_be_read_again() {
        let mut standing = Standing::default();
        standing.probed(Meaning::AccessLost, now());
        assert_eq!(standing.meaning(now()), Some(Meaning::AccessLost));
        standing.note(Some("k"), Ok(()), now());
        assert_eq!(standing.meaning(now()), None);
        standing.probed(Meaning::NoSuchKey, now());
        assert_eq!(standing.meaning(now().after(PROBE_HOLDS)), None);
    }
}
