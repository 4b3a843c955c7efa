//! How an upstream stands, and what a refused key means. Decided from what was answered; asks nobody.

use std::time::Duration;

use bowline_base::Now;

use crate::upstream::Trouble;

/// While an upstream fails, a copy is served without asking it again for this long.
pub(crate) const ASSUMED_AWAY: Duration = Duration::from_secs(10);
/// How long one probe answers for all refused keys.
pub(crate) const PROBE_HOLDS: Duration = Duration::from_secs(15);

/// What 403 `AccessDenied` for a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// We may not list, and so S3 will not say that the key is missing. It is.
    NoSuchKey,
    /// As above, but nothing was ever read: it may also be that we may not read at all.
    NoSuchKeyPerhaps,
    /// A key that is there, or that could be read before, is refused.
    AccessLost,
}

/// `probe`: may we list? `canary`: a key that could be read lately, asked for again just now, where there is one.
pub(crate) fn meaning(probe: Result<(), Trouble>, canary: Option<Result<(), Trouble>>) -> Result<Meaning, Trouble> {
    match (probe, canary) {
        (Ok(()), _) => Ok(Meaning::AccessLost),
        (Err(Trouble::ListingDenied | Trouble::Denied), None) => Ok(Meaning::NoSuchKeyPerhaps),
        (Err(Trouble::ListingDenied | Trouble::Denied), Some(Ok(()))) => Ok(Meaning::NoSuchKey),
        (Err(Trouble::ListingDenied | Trouble::Denied), Some(Err(Trouble::Denied))) => Ok(Meaning::AccessLost),
        (Err(Trouble::ListingDenied | Trouble::Denied), Some(Err(other))) | (Err(other), _) => Err(other),
    }
}

/// What is known of one upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    trouble: Option<(Trouble, Now)>,
    away_until: Option<Duration>,
    probed: Option<(Meaning, Duration)>,
    good_key: Option<String>,
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
                self.good_key = key.map(str::to_owned).or(self.good_key.take());
                self.probed = self.probed.filter(|(meaning, _)| *meaning == Meaning::NoSuchKey);
                self.rise()
            }
            Err(Trouble::Missing) => self.rise(),
            // Says something about one key or one body, not about the upstream.
            Err(Trouble::Changed | Trouble::Broken(_) | Trouble::ListingDenied) => Turn::None,
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

    /// A key that could be read.
    pub(crate) fn canary(&self) -> Option<String> {
        self.good_key.clone()
    }

    /// It failed a moment ago: serve what there is without asking.
    pub(crate) fn is_away(&self, now: Now) -> bool {
        self.away_until.is_some_and(|until| now.boot < until)
    }

    /// Why it does not serve, and since when.
    pub(crate) fn trouble(&self) -> Option<&(Trouble, Now)> {
        self.trouble.as_ref()
    }

    /// Nothing was ever read, and what is refused might exist.
    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self.probed, Some((Meaning::NoSuchKeyPerhaps, _)))
    }

    /// Whether it was ever asked with success.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered
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
        assert_eq!(meaning(Ok(()), None), Ok(Meaning::AccessLost));
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
        assert_eq!(standing.canary().as_deref(), Some("k"));
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
