//! How the certificate of an identity stands: for `status`, `doctor`, `check` and readiness. Makes no call.

use std::{collections::BTreeMap, path::Path};

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Secret, Timestamp, utc};
use bowline_host::{Check, Verdict};

use crate::{
    source::roles_anywhere::password,
    x509::{Files, Pair},
};

/// Where a certificate is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It begins later: or our clock is wrong.
    NotYet,
    /// More than a third of its life is left.
    Good,
    /// Less than a third of its life is left.
    Ending,
    /// It is over.
    Ended,
}

impl Life {
    /// Where a certificate that is good from `begins` to `ends` is at `now`.
    #[must_use]
    pub fn of(begins: Timestamp, ends: Timestamp, now: Timestamp) -> Self {
        let (left, life) = (ends.duration_since(now), ends.duration_since(begins));
        match () {
            () if now > ends => Self::Ended,
            () if now < begins => Self::NotYet,
            () if left < life / 3 => Self::Ending,
            () => Self::Good,
        }
    }

    /// In one word, for `status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotYet => "not-yet-good",
            Self::Good => "good",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }

    /// What to do about the certificate in `file`; `None` while it is good.
    #[must_use]
    pub fn advice(self, file: &Path) -> Option<String> {
        match self {
            Self::Good => None,
            Self::NotYet => Some("compare this machine's clock with the right time: `timedatectl status`".to_owned()),
            Self::Ending | Self::Ended => {
                Some(format!("renew the certificate and write it over `{}`; nothing restarts", file.display()))
            }
        }
    }

    /// A line of `/readyz` for the certificate of `identity`. One that is over is no failure by itself: sessions that
    /// it brought go on, and the identity's own line says when they do not.
    pub(crate) fn check(self, identity: &str, file: &Path, ends: Timestamp) -> Check {
        let verdict = if self == Self::Good { Verdict::Ok } else { Verdict::Degraded };
        let word = if self == Self::Ended { "ended" } else { "ends" };
        let why = format!("the certificate in `{}` {word} {}", file.display(), utc(ends));
        Check { id: format!("credentials.certificate.{identity}"), verdict, why, fix: self.advice(file) }
    }
}

/// The certificate of an identity as its files have it now.
#[derive(Debug)]
pub struct Standing {
    /// From when it is good.
    pub begins: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// Where it is in its life.
    pub life: Life,
    /// How many certificates go along, between it and the trust anchor.
    pub above: usize,
    /// When the first of those ends.
    pub above_ends: Option<Timestamp>,
    /// Why AWS would refuse it, its end apart.
    pub flaw: Option<Fault>,
}

impl Standing {
    /// Reads certificate and key, opens the key and puts them together.
    ///
    /// # Errors
    /// `Config`, naming file and fix: nothing readable, a wrong password, a key of another certificate.
    pub fn look(
        identity: &RolesAnywhere,
        environment: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let password: Option<Secret> = password(identity, environment)?;
        let (pair, flaw) = Files::read(identity, password.as_ref())?.look(identity, password.as_ref(), now)?;
        Ok(Self::of(&pair, flaw, now))
    }

    fn of(pair: &Pair, flaw: Option<Fault>, now: Timestamp) -> Self {
        use bowline_aws::rolesanywhere::Signer as _;
        let life = Life::of(pair.begins(), pair.ends(), now);
        Self {
            begins: pair.begins(),
            ends: pair.ends(),
            life,
            above: pair.chain().len(),
            above_ends: pair.chain_ends(),
            flaw: flaw.filter(|_| matches!(life, Life::Good | Life::Ending)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_ending_from_a_third_of_its_life() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let life = |now| Life::of(at(1000), at(1300), at(now));
        assert_eq!(
            [999, 1000, 1200, 1201, 1300, 1301].map(life),
            [Life::NotYet, Life::Good, Life::Good, Life::Ending, Life::Ending, Life::Ended]
        );
    }

    #[test]
    fn readiness_says_when_it_ends_and_what_to_do() {
        let check = Life::Ending.check("site", Path::new("/k/site.pem"), Timestamp::UNIX_EPOCH);
        assert_eq!((check.id.as_str(), check.verdict), ("credentials.certificate.site", Verdict::Degraded));
        assert!(check.why.ends_with("ends 1970-01-01T00:00:00Z") && check.fix.unwrap().contains("/k/site.pem"));
        assert_eq!(Life::Good.check("site", Path::new("x"), Timestamp::UNIX_EPOCH).fix, None);
    }
}
