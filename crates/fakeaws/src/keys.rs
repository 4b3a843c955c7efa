//! Access keys that were issued: who they stand for, from when they work and from when they are refused.

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{Credentials, KeyId, Secret, Timestamp};
use jiff::{RoundMode, SignedDuration, TimestampRound, Unit};

use crate::{ledger::Ledger, mint::Mint, slow::Slow};

/// Who a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Twelve digits.
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
    /// The key comes from `AssumeRole` or `GetRoleCredentials`: assuming another role with it is chaining.
    pub(crate) assumed: bool,
    /// Whether a session of `GetSessionToken` came about with an MFA device; `None` for everything else.
    pub(crate) mfa: Option<bool>,
    pub(crate) source_identity: Option<String>,
}

impl Principal {
    pub(crate) fn user(account: &str, arn: &str, id: &str) -> Self {
        let (account, arn, user_id) = (account.to_owned(), arn.to_owned(), id.to_owned());
        Self { account, arn, user_id, assumed: false, mfa: None, source_identity: None }
    }

    pub(crate) fn role_session(account: &str, role: &str, session: &str, role_id: &str) -> Self {
        let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
        let user_id = format!("{role_id}:{session}");
        Self { account: account.to_owned(), arn, user_id, assumed: true, mfa: None, source_identity: None }
    }
}

/// What may be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Inactive,
    /// Deleted; it may take a moment until everybody knows.
    Gone,
}

/// When and where a key was used last.
#[derive(Clone, Debug)]
pub(crate) struct LastUse {
    pub(crate) at: Timestamp,
    pub(crate) service: &'static str,
    pub(crate) region: String,
}

/// One key pair.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
    pub(crate) principal: Principal,
    /// Unknown to every service before its first value (propagation delay).
    pub(crate) standing: Slow<Standing>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used: Option<LastUse>,
    /// Refused from this moment; `None` for long-lived keys.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Key {
    fn is_listed(&self, now: Timestamp) -> bool {
        self.token.is_none() && matches!(self.standing.at(now), Some(Standing::Active | Standing::Inactive))
    }

    pub(crate) fn credentials(&self, obtained_at: Timestamp) -> Credentials {
        Credentials {
            key_id: KeyId::new(self.id.clone()),
            secret_key: self.secret.clone(),
            session_token: self.token.clone(),
            expires_at: self.expires_at,
            obtained_at,
            account_id: Some(self.principal.account.clone()),
        }
    }
}

/// Every key ever issued; expired ones stay, since they are refused in another way than unknown ones.
#[derive(Default)]
pub(crate) struct Keys(BTreeMap<String, Key>);

/// When a long-lived key was made, and from when it works.
pub(crate) struct Birth {
    pub(crate) created_at: Timestamp,
    pub(crate) live_from: Timestamp,
}

/// When a temporary key works.
pub(crate) struct Term {
    pub(crate) live_from: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl Keys {
    pub(crate) fn issue_long_lived(
        &mut self,
        principal: Principal,
        birth: &Birth,
        mint: &mut Mint,
        ledger: &mut Ledger,
    ) -> Key {
        let secret = ledger.note(mint.secret_key());
        let id = mint.key_id("AKIA");
        self.keep(Key {
            id,
            secret,
            token: None,
            principal,
            standing: Slow::new(birth.live_from, Standing::Active),
            created_at: birth.created_at,
            last_used: None,
            expires_at: None,
        })
    }

    pub(crate) fn issue_session(
        &mut self,
        principal: Principal,
        term: &Term,
        mint: &mut Mint,
        ledger: &mut Ledger,
    ) -> Key {
        let secret = ledger.note(mint.secret_key());
        let token = Some(ledger.note(mint.session_token()));
        let id = mint.key_id("ASIA");
        let expires_at = Some(term.expires_at);
        let standing = Slow::new(term.live_from, Standing::Active);
        self.keep(Key {
            id,
            secret,
            token,
            principal,
            standing,
            created_at: term.live_from,
            last_used: None,
            expires_at,
        })
    }

    /// The key, if it has reached the services and may be used.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<&Key> {
        self.0.get(id).filter(|key| key.standing.at(now) == Some(&Standing::Active))
    }

    /// A long-lived key that is not gone as far as readers see, active or not.
    pub(crate) fn listed(&self, id: &str, now: Timestamp) -> Option<&Key> {
        self.0.get(id).filter(|key| key.is_listed(now))
    }

    /// The long-lived keys of a user that readers see, oldest first.
    pub(crate) fn of_user(&self, user_id: &str, now: Timestamp) -> Vec<&Key> {
        let mut keys: Vec<&Key> =
            self.0.values().filter(|key| key.principal.user_id == user_id && key.is_listed(now)).collect();
        keys.sort_by_key(|key| key.created_at);
        keys
    }

    /// The long-lived keys of a user that really are, whether or not anybody sees them yet.
    pub(crate) fn truly_of_user(&self, user_id: &str) -> impl Iterator<Item = &Key> {
        let theirs = |key: &&Key| key.token.is_none() && *key.standing.truth() != Standing::Gone;
        self.0.values().filter(move |key| key.principal.user_id == user_id).filter(theirs)
    }

    /// Changes what may be done with a key from that moment.
    pub(crate) fn stand(&mut self, id: &str, from: Timestamp, standing: Standing) {
        if let Some(key) = self.0.get_mut(id) {
            key.standing.set(from, standing);
        }
    }

    /// Notes that a key was used.
    pub(crate) fn used(&mut self, id: &str, service: &'static str, region: &str, at: Timestamp) {
        if let Some(key) = self.0.get_mut(id) {
            key.last_used = Some(LastUse { at, service, region: region.to_owned() });
        }
    }

    /// The key, wherever it has got to.
    pub(crate) fn issued(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }

    /// Ends every temporary key.
    pub(crate) fn expire_sessions(&mut self, now: Timestamp) {
        for key in self.0.values_mut() {
            key.expires_at = key.expires_at.map(|end| end.min(now));
        }
    }

    /// Makes a key unknown, as deleting it does; whether it was there.
    pub(crate) fn delete(&mut self, id: &str) -> bool {
        self.0.remove(id).is_some()
    }

    /// Keeps a key made elsewhere.
    #[cfg(test)]
    pub(crate) fn put(&mut self, key: Key) {
        self.keep(key);
    }

    fn keep(&mut self, key: Key) -> Key {
        self.0.insert(key.id.clone(), key.clone());
        key
    }
}

/// `time` later; the end of time instead of an overflow.
pub(crate) fn later(now: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

/// Up to the next whole second, the finest that STS prints: a key works until the printed second and not longer.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_printed_as_it_is_kept() {
        let at: Timestamp = "2026-11-22T02:00:00.25Z".parse().unwrap();
        assert_eq!(whole_second(at).to_string(), "2026-11-22T02:00:01Z");
        assert_eq!(whole_second(whole_second(at)), whole_second(at));
        assert_eq!(later(at, Duration::MAX), Timestamp::MAX);
    }
}
