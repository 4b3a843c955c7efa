//! What people are told: a login is needed, renewing fails for too long, a certificate ends.
//!
//! When something is worth telling is decided here; how often it is said, and where, is the notifier's business.
//! A text stays the same while the matter does, and never holds a fault's cause, which may quote what a program printed.

use std::{collections::BTreeMap, time::Duration};

use bowline_awsfiles::Config;
use bowline_base::{Fault, Kind, Now, Retry, utc};
use bowline_host::{
    Notifier,
    notice::LoginNotice,
    notify::{Notification, Pace, Severity},
};

use super::{login_needed, machine::Name, slot::Snapshot};
use crate::{renewal::Lease, source::HeldCertificate};

/// A person has to sign in; the subject is the session, or `profile NAME`.
pub const LOGIN: &str = "login";
/// A certificate is in the last third of its life; the subject is the identity.
pub const CERTIFICATE: &str = "certificate";
/// What is kept fresh cannot be renewed; the subject is the profile, or `sso-session NAME`.
pub const REFRESH: &str = "refresh";

/// With less left than this, or a sixth of the life, every failure is told.
const LITTLE: Duration = Duration::from_secs(10 * 60);
/// With nothing left, passing trouble is told after this long.
const BLIP: Duration = Duration::from_secs(60);

/// Tells people.
#[derive(Debug)]
pub(super) struct Alarm {
    notice: Option<LoginNotice>,
    notifier: Notifier,
}

impl Alarm {
    pub(super) fn new(notice: Option<LoginNotice>, notifier: Notifier) -> Self {
        Self { notice, notifier }
    }

    /// A fetch for `name` failed; `session` is the sign-in that it needs, where it needs one, and `config` says whose.
    pub(super) fn failed(&self, name: &Name, session: Option<&str>, fault: &Fault, config: Option<&Config>) {
        if fault.kind != Kind::LoginRequired {
            return;
        }
        if let (Some(notice), Some(session)) = (&self.notice, session) {
            notice.raise(session, login_needed::paragraph(session, fault, config));
        }
        let subject = session.map_or_else(|| without_session(name), ToOwned::to_owned);
        self.notifier.raise(&Notification {
            kind: LOGIN,
            // Not why: that is told in different ways by whoever meets it first.
            text: format!("`{subject}` needs a login"),
            subject,
            severity: Severity::Critical,
            fix: fault.hint.clone(),
            pace: Pace::BackOff,
            details: BTreeMap::new(),
        });
    }

    /// `session` serves, and can be renewed.
    pub(super) fn signed_in(&self, session: &str) {
        if let Some(notice) = &self.notice {
            notice.clear(session);
        }
        self.notifier.clear(LOGIN, session);
    }

    /// How `name` stands: raised where it fails for too long, cleared where it was fetched well.
    pub(super) fn look(&self, name: &Name, held: &Snapshot, standing: bool, now: Now) {
        match (&held.fault, held.failing_since) {
            (Some(fault), Some(since)) if standing => {
                let trouble = Trouble { since, retry: fault.retry };
                if fault.kind != Kind::LoginRequired && trouble.is_worth_telling(held.lease.as_ref(), now) {
                    self.notifier.raise(&failing(name, held, fault, since, now));
                }
            }
            (None, _) if held.lease.is_some() => {
                self.forget(name);
            }
            _ => {}
        }
    }

    /// Nothing of `name` is to be told any more: it was fetched well, or is not wanted. Whether its session is signed in is
    /// another matter.
    pub(super) fn forget(&self, name: &Name) {
        self.notifier.clear(REFRESH, &subject(name));
        if matches!(name, Name::Profile(_)) {
            self.notifier.clear(LOGIN, &without_session(name));
        }
    }

    /// What is known of the certificates that are in use.
    pub(super) fn certificates(&self, held: &[HeldCertificate]) {
        for certificate in held {
            if certificate.ends_soon {
                self.notifier.raise(&ending(certificate));
            } else {
                self.notifier.clear(CERTIFICATE, &certificate.identity);
            }
        }
    }
}

/// Failures in a row.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// The first of them.
    since: Now,
    /// What may follow the last of them.
    retry: Retry,
}

impl Trouble {
    /// Longer than a third of what was left when it began, or little is left, or nothing.
    fn is_worth_telling(self, lease: Option<&Lease>, now: Now) -> bool {
        let lasted = now.boot.saturating_sub(self.since.boot);
        let Some(lease) = lease.filter(|lease| lease.usable_at(now.wall)) else {
            return self.retry == Retry::Never || lasted >= BLIP;
        };
        let Some((end, life)) = lease.expires_at.zip(lease.life()) else { return lasted >= BLIP };
        let left = |at: Now| Duration::try_from(end.duration_since(at.wall)).unwrap_or_default();
        lasted > left(self.since) / 3 || left(now) < LITTLE.min(life / 6)
    }
}

fn failing(name: &Name, held: &Snapshot, fault: &Fault, since: Now, now: Now) -> Notification {
    let why = match fault.kind {
        // How exactly differs from try to try.
        Kind::Unreachable | Kind::Interrupted => format!("`{}` cannot be reached", fault.origin),
        _ => fault.message.clone(),
    };
    let lease = held.lease.as_ref().filter(|lease| lease.usable_at(now.wall));
    let rest = match lease.map(|lease| lease.expires_at) {
        Some(Some(end)) => format!("what is held ends at {}", utc(end)),
        Some(None) => "what is held does not end".to_owned(),
        None => "there is nothing left to hand out".to_owned(),
    };
    Notification {
        kind: REFRESH,
        subject: subject(name),
        severity: if lease.is_some() { Severity::Warning } else { Severity::Critical },
        text: format!("{name} cannot be renewed since {}: {why}; {rest}", utc(since.wall)),
        fix: fault.hint.clone().or_else(|| Some("look at `bowline status`".to_owned())),
        pace: Pace::BackOff,
        details: BTreeMap::new(),
    }
}

fn ending(certificate: &HeldCertificate) -> Notification {
    let (identity, file) = (&certificate.identity, certificate.file.display());
    Notification {
        kind: CERTIFICATE,
        subject: identity.clone(),
        severity: Severity::Warning,
        text: format!("the certificate of `{identity}` in `{file}` ends at {}", utc(certificate.ends)),
        fix: Some(format!("renew it, and put the new one into `{file}` with its key; nothing has to be restarted")),
        pace: Pace::Daily,
        details: BTreeMap::new(),
    }
}

/// What needs a person and no session, such as an MFA code.
fn without_session(name: &Name) -> String {
    match name {
        Name::Profile(profile) => format!("profile {profile}"),
        Name::Session(session) => session.clone(),
    }
}

fn subject(name: &Name) -> String {
    match name {
        Name::Profile(profile) => profile.clone(),
        Name::Session(session) => format!("sso-session {session}"),
    }
}

#[cfg(test)]
mod tests {
    use bowline_base::{KeyId, Timestamp};

    use super::*;

    const RETRY: Retry = Retry::After(Duration::from_secs(1));

    fn at(minute: u64) -> Now {
        let begin = Now { boot: Duration::from_secs(1000), wall: Timestamp::from_second(1_800_000_000).unwrap() };
        begin.after(Duration::from_secs(60 * minute))
    }

    /// From minute 0 on.
    fn lease(minutes: u64) -> Lease {
        Lease { key: KeyId::new("k"), obtained_at: at(0).wall, expires_at: Some(at(minutes).wall) }
    }

    fn told(begun: u64, retry: Retry, lease: Option<&Lease>, minute: u64) -> bool {
        Trouble { since: at(begun), retry }.is_worth_telling(lease, at(minute))
    }

    #[test]
    fn trouble_is_told_when_it_has_used_up_a_third_of_what_was_left() {
        let hour = lease(60);
        let first = (30..60).find(|minute| told(30, RETRY, Some(&hour), *minute));
        assert_eq!(first, Some(41));
        assert!(told(51, RETRY, Some(&hour), 51), "little is left");
        assert!(!told(49, RETRY, Some(&hour), 49));
    }

    #[test]
    fn a_short_session_is_not_short_of_time_at_its_first_failure() {
        let short = lease(12);
        assert!(!told(6, RETRY, Some(&short), 6) && told(6, RETRY, Some(&short), 9));
    }

    #[test]
    fn with_nothing_left_only_a_blip_is_not_told() {
        let ended = lease(60);
        assert!(!told(60, RETRY, Some(&ended), 60) && told(60, RETRY, Some(&ended), 61));
        assert!(!told(0, RETRY, None, 0) && told(0, Retry::Never, None, 0));
        let forever = Lease { expires_at: None, ..lease(1) };
        assert!(!told(0, RETRY, Some(&forever), 0) && told(0, RETRY, Some(&forever), 1));
    }

    #[test]
    fn the_text_stays_the_same_while_nothing_new_is_known() {
        let fault =
            |cause: &str| Fault::new(Kind::Unreachable, "sts", format!("no answer in {cause}")).cause(cause.to_owned());
        let held = Snapshot { lease: Some(lease(60)), ..Snapshot::default() };
        let text = |cause, now| failing(&Name::Profile("build".to_owned()), &held, &fault(cause), at(30), at(now));
        assert_eq!(text("1 s", 41), text("2 s", 59));
        let ended = text("1 s", 61);
        assert_eq!((ended.severity, ended.subject.as_str()), (Severity::Critical, "build"));
        assert!(ended.text.contains("nothing left") && ended.text != text("1 s", 41).text, "{}", ended.text);
    }
}
