//! How a profile or a session stands, for people, for `status --output json` and for readiness.

use std::time::Duration;

use bowline_base::{Kind, Now, utc};
use bowline_host::{Check, Verdict};
use serde::Serialize;

use super::{
    machine::{Health, Name},
    slot::Snapshot,
};

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing was fetched yet.
    New,
    /// Good, and nothing is wrong.
    Fresh,
    /// Good for now, but the last renewal failed.
    Stale,
    /// A person has to sign in.
    LoginNeeded,
    /// There is nothing to serve.
    Failing,
    /// It ran out while nobody asked.
    Ended,
}

/// One line of `bowline status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `profile` or `session`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Whether it is kept fresh although nobody asks; what somebody merely asked for cannot make the daemon unready.
    pub standing: bool,
    /// Whether a fetch is on its way.
    pub fetching: bool,
    /// Where it comes from, in a few words.
    pub source: String,
    /// When it ends, `…Z`.
    pub expires: Option<String>,
    /// When it is renewed or tried next, `…Z`.
    pub next_try: Option<String>,
    /// Why the last try failed.
    pub failure: Option<String>,
    /// The next command.
    pub command: Option<String>,
}

const SESSION: &str = "session";

impl Status {
    /// The same as a line of `/readyz`.
    #[must_use]
    pub fn check(&self) -> Check {
        let verdict = match self.state {
            State::New | State::Fresh | State::Ended => Verdict::Ok,
            // A restart would not help, and what is cached is served: docs/decisions/0002-readiness.md.
            State::Stale | State::LoginNeeded => Verdict::Degraded,
            State::Failing if !self.standing || self.kind == SESSION => Verdict::Degraded,
            State::Failing => Verdict::Failed,
        };
        let until = self.expires.as_ref().map(|end| format!("good until {end}"));
        let why = self.failure.clone().or(until).unwrap_or_else(|| "nothing was fetched yet".to_owned());
        Check { id: format!("credentials.{}.{}", self.kind, self.name), verdict, why, fix: self.command.clone() }
    }
}

/// What the machine says about a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) health: Health,
    pub(super) standing: bool,
    pub(super) fetching: bool,
    /// Boot time of the next renewal or try.
    pub(super) wake: Option<Duration>,
}

pub(super) fn of(name: &Name, held: &Snapshot, standing: Standing, now: Now) -> Status {
    let Standing { health, standing, fetching, wake } = standing;
    let lease = held.lease.as_ref();
    let usable = lease.is_some_and(|lease| lease.usable_at(now.wall));
    let state = match health {
        Health::Failing(Kind::LoginRequired) => State::LoginNeeded,
        Health::Failing(_) if usable => State::Stale,
        Health::Failing(_) => State::Failing,
        Health::Good | Health::New if usable => State::Fresh,
        Health::Good => State::Ended,
        Health::New => State::New,
    };
    let (kind, name) = match name {
        Name::Profile(name) => ("profile", name.clone()),
        Name::Session(name) => (SESSION, name.clone()),
    };
    Status {
        kind,
        name,
        state,
        standing,
        fetching,
        source: held.source.clone(),
        expires: lease.filter(|_| usable).and_then(|lease| lease.expires_at).map(utc),
        next_try: wake.map(|deadline| utc(now.wall + deadline.saturating_sub(now.boot))),
        failure: held.fault.as_ref().map(|fault| fault.chain()),
        command: held.fault.as_ref().and_then(|fault| fault.hint.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bowline_base::{Fault, KeyId, Timestamp};

    use super::*;
    use crate::renewal::Lease;

    fn status(health: Health, left: i64) -> Status {
        status_of(&Name::Profile("p".to_owned()), health, left, true)
    }

    fn status_of(name: &Name, health: Health, left: i64, standing: bool) -> Status {
        let now = Now { boot: Duration::from_secs(50), wall: Timestamp::from_second(1_800_000_000).unwrap() };
        let end = Timestamp::from_second(1_800_000_000 + left).unwrap();
        let lease = Lease { key: KeyId::new("k"), obtained_at: now.wall, expires_at: Some(end) };
        let fault = Fault::new(Kind::LoginRequired, "sso", "`corp` needs a login").hint("run `bowline login corp`");
        let fault = matches!(health, Health::Failing(_)).then(|| Arc::new(fault));
        let mut held = Snapshot::default();
        (held.lease, held.fault) = (Some(lease), fault);
        of(name, &held, Standing { health, standing, fetching: false, wake: Some(Duration::from_secs(60)) }, now)
    }

    #[test]
    fn only_a_profile_that_is_kept_fresh_can_make_the_daemon_unready() {
        let (profile, session) = (Name::Profile("p".to_owned()), Name::Session("s".to_owned()));
        let verdict = |name, standing| status_of(name, Health::Failing(Kind::Config), -1, standing).check().verdict;
        assert_eq!(verdict(&profile, true), Verdict::Failed);
        assert_eq!(verdict(&profile, false), Verdict::Degraded, "somebody merely asked");
        assert_eq!(verdict(&session, true), Verdict::Degraded, "its profiles say what it costs");
    }

    #[test]
    fn a_login_that_is_needed_is_a_state_with_its_command() {
        let status = status(Health::Failing(Kind::LoginRequired), -1);
        assert_eq!(status.state, State::LoginNeeded);
        assert_eq!(status.command.as_deref(), Some("run `bowline login corp`"));
        assert_eq!(status.check().verdict, Verdict::Degraded);
    }

    #[test]
    fn a_failing_renewal_with_a_good_set_in_hand_is_degraded_only() {
        let status = status(Health::Failing(Kind::Unreachable), 10);
        assert_eq!((status.state, status.check().verdict), (State::Stale, Verdict::Degraded));
        assert_eq!(status.next_try.as_deref(), Some("2027-01-15T08:00:10Z"));
    }

    #[test]
    fn the_text_form_is_kebab_case() {
        let json = serde_json::to_value(status(Health::Failing(Kind::LoginRequired), -1)).unwrap();
        assert_eq!(json["state"], "login-needed");
    }
}
