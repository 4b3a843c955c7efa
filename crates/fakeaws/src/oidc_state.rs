//! Clients, pending logins, sessions and tokens of IAM Identity Center, and the rules of their lives.

use std::collections::BTreeMap;

use bowline_base::{Secret, Timestamp};

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User(pub(crate) String);

/// A registered client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) secret: Secret,
    pub(crate) scopes: Vec<String>,
    pub(crate) grant_types: Vec<String>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) expires_at: Timestamp,
}

impl Client {
    /// Whether the client registered for `grant`. A client that named none may do the device flow.
    pub(crate) fn may(&self, grant: &str) -> bool {
        match self.grant_types.is_empty() {
            true => grant != "authorization_code",
            false => self.grant_types.iter().any(|registered| registered == grant),
        }
    }

    /// Refresh tokens go to clients with the portal's scope only; the legacy registration has none.
    pub(crate) fn refreshes(&self) -> bool {
        self.may("refresh_token") && self.scopes.iter().any(|scope| scope == "sso:account:access")
    }
}

/// What the person at the browser said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Pending { approved_from: Option<Timestamp> },
    Approved,
    Denied,
}

/// A device authorization under way.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) client_id: String,
    pub(crate) user_code: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) decision: Decision,
    pub(crate) last_poll: Option<Timestamp>,
}

/// An authorization code on its way from the browser to the client.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) expires_at: Timestamp,
}

/// One login and everything that comes from it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client_id: String,
    pub(crate) ends_at: Timestamp,
    pub(crate) revoked: bool,
}

/// A bearer token of the portal.
#[derive(Clone, Debug)]
struct Access {
    session: u64,
    expires_at: Timestamp,
}

/// A refresh token, kept after its use so that a second use is noticed.
#[derive(Clone, Debug)]
struct Refresh {
    session: u64,
    used: bool,
}

/// Why a refresh token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRefresh {
    Unknown,
    Reused,
    SessionOver,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Oidc {
    pub(crate) clients: BTreeMap<String, Client>,
    pub(crate) devices: BTreeMap<String, Device>,
    pub(crate) codes: BTreeMap<String, Code>,
    sessions: BTreeMap<u64, Session>,
    access: BTreeMap<String, Access>,
    refresh: BTreeMap<String, Refresh>,
}

impl Oidc {
    pub(crate) fn begin_session(&mut self, client_id: &str, ends_at: Timestamp) -> u64 {
        let id = self.sessions.len() as u64;
        self.sessions.insert(id, Session { client_id: client_id.to_owned(), ends_at, revoked: false });
        id
    }

    pub(crate) fn session_end(&self, session: u64) -> Timestamp {
        self.sessions.get(&session).map_or(Timestamp::MIN, |session| session.ends_at)
    }

    pub(crate) fn keep_access(&mut self, token: &Secret, session: u64, expires_at: Timestamp) {
        self.access.insert(token.expose().to_owned(), Access { session, expires_at });
    }

    pub(crate) fn keep_refresh(&mut self, token: &Secret, session: u64) {
        self.refresh.insert(token.expose().to_owned(), Refresh { session, used: false });
    }

    /// Whether the portal takes this bearer token.
    pub(crate) fn admits(&self, token: &str, now: Timestamp) -> bool {
        let Some(access) = self.access.get(token) else { return false };
        now < access.expires_at && self.alive(access.session, now)
    }

    /// The session that `token` may refresh. Using a spent token ends its session if `revoke_on_reuse`.
    pub(crate) fn redeem(
        &mut self,
        token: &str,
        client_id: &str,
        now: Timestamp,
        revoke_on_reuse: bool,
    ) -> Result<u64, BadRefresh> {
        let refresh = self.refresh.get(token).ok_or(BadRefresh::Unknown)?;
        let (session, used) = (refresh.session, refresh.used);
        if self.sessions.get(&session).is_none_or(|session| session.client_id != client_id) {
            return Err(BadRefresh::Unknown);
        }
        if used {
            if revoke_on_reuse {
                self.revoke(session);
            }
            return Err(BadRefresh::Reused);
        }
        if self.alive(session, now) { Ok(session) } else { Err(BadRefresh::SessionOver) }
    }

    /// The token has done its work.
    pub(crate) fn spend(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.get_mut(token) {
            refresh.used = true;
        }
    }

    /// Ends the session of a bearer token.
    pub(crate) fn log_out(&mut self, token: &str) {
        if let Some(session) = self.access.get(token).map(|access| access.session) {
            self.revoke(session);
        }
    }

    /// Decides the pending login with this user code, or all; says how many.
    pub(crate) fn decide(&mut self, user_code: Option<&str>, approve: bool) -> usize {
        let mut decided = 0;
        for device in self.devices.values_mut() {
            let named = user_code.is_none_or(|code| code.eq_ignore_ascii_case(&device.user_code));
            if named && matches!(device.decision, Decision::Pending { .. }) {
                device.decision = if approve { Decision::Approved } else { Decision::Denied };
                decided += 1;
            }
        }
        decided
    }

    pub(crate) fn expire_access_tokens(&mut self, now: Timestamp) {
        for access in self.access.values_mut() {
            access.expires_at = access.expires_at.min(now);
        }
    }

    pub(crate) fn expire_registrations(&mut self, now: Timestamp) {
        for client in self.clients.values_mut() {
            client.expires_at = client.expires_at.min(now);
        }
    }

    pub(crate) fn end_sessions(&mut self) {
        for session in self.sessions.values_mut() {
            session.revoked = true;
        }
    }

    fn alive(&self, session: u64, now: Timestamp) -> bool {
        self.sessions.get(&session).is_some_and(|session| !session.revoked && now < session.ends_at)
    }

    fn revoke(&mut self, session: u64) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.revoked = true;
        }
    }
}
