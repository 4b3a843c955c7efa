//! Access keys that were issued: who they stand for, from when they work and from when they are refused.

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{Credentials, KeyId, Secret, Timestamp};
use jiff::{RoundMode, SignedDuration, TimestampRound, Unit};

use crate::{ledger::Ledger, mint::Mint};

/// Who a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Twelve digits.
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
    /// The key comes from `AssumeRole` or `GetRoleCredentials`: assuming another role with it is chaining.
    pub(crate) assumed: bool,
}

impl Principal {
    pub(crate) fn user(account: &str, name: &str, id: String) -> Self {
        let arn = format!("arn:aws:iam::{account}:user/{name}");
        Self { account: account.to_owned(), arn, user_id: id, assumed: false }
    }

    pub(crate) fn role_session(account: &str, role: &str, session: &str, role_id: &str) -> Self {
        let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
        Self { account: account.to_owned(), arn, user_id: format!("{role_id}:{session}"), assumed: true }
    }
}

/// One key pair.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
    pub(crate) principal: Principal,
    /// Unknown to every service before this (propagation delay).
    pub(crate) live_from: Timestamp,
    /// Refused from this moment; `None` for long-lived keys.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Key {
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

/// When a new key works.
pub(crate) struct Term {
    pub(crate) live_from: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl Keys {
    pub(crate) fn issue_long_lived(&mut self, principal: Principal, mint: &mut Mint, ledger: &mut Ledger) -> Key {
        let secret = ledger.note(mint.secret_key());
        let id = mint.key_id("AKIA");
        let key = Key { id, secret, token: None, principal, live_from: Timestamp::MIN, expires_at: None };
        self.keep(key)
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
        self.keep(Key { id, secret, token, principal, live_from: term.live_from, expires_at })
    }

    /// The key, if it has reached the services.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<&Key> {
        self.0.get(id).filter(|key| key.live_from <= now)
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
