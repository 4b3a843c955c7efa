//! One fetch, from a name to what it brought. It decides nothing: when to fetch is the machine's, what to do with the
//! outcome the keeper's.

use std::sync::Arc;

use bowline_awsfiles::SsoLogin;
use bowline_base::{Credentials, Fault, KeyId, Kind, Now};

use super::{keeper::Keeper, machine::Name};
use crate::{
    lease_store::LeaseId,
    renewal::Lease,
    source::Resolved,
    sso_token::{lease_of, session_name},
};

/// What a fetch brought.
pub(super) struct Brought {
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) lease: Lease,
    pub(super) id: Option<LeaseId>,
    pub(super) source: String,
    pub(super) sealed: bool,
}

impl Keeper {
    /// What ended on its way here, since the machine slept in between, is fetched once more: the clocks do agree.
    pub(super) async fn bring_alive(
        &self,
        name: &Name,
        not: Option<&KeyId>,
    ) -> Result<Brought, (Fault, Option<String>)> {
        let began = self.now();
        let first = self.bring(name, not).await;
        if first.as_ref().is_ok_and(|brought| ended_on_the_way(&brought.lease, began, self.now())) {
            return self.bring(name, not).await;
        }
        first
    }

    async fn bring(&self, name: &Name, not: Option<&KeyId>) -> Result<Brought, (Fault, Option<String>)> {
        match name {
            Name::Profile(profile) => {
                let resolved = self.sources().resolve(profile).map_err(|fault| (fault, None))?;
                let session = resolved.login().map(|login| session_name(login).to_owned());
                if let Some(kept) = self.kept(&resolved).filter(|_| not.is_none()) {
                    return Ok(self.brought(&resolved, kept, None));
                }
                let credentials =
                    self.sources().credentials(&resolved, not).await.map_err(|fault| (fault, session.clone()))?;
                Ok(self.brought(&resolved, credentials, session))
            }
            Name::Session(session) => {
                let failed = |fault| (fault, Some(session.clone()));
                let (login, resolved) = self.session(session).map_err(failed)?;
                let aws = self.sources().aws(&resolved);
                let token = self.sources().tokens().renewed(&aws, &login).await.map_err(failed)?;
                self.announce_good(name, session);
                let source = format!("sso session at {}", login.start_url);
                Ok(Brought { credentials: None, lease: lease_of(&login, &token), id: None, source, sealed: false })
            }
        }
    }

    /// What a former process left, due or not: a daemon that is restarted in an outage loses nothing.
    fn kept(&self, resolved: &Resolved) -> Option<Credentials> {
        let entry = self.sources().store().read(&self.sources().lease_id(resolved));
        entry.usable(self.now()).cloned()
    }

    fn brought(&self, resolved: &Resolved, credentials: Credentials, session: Option<String>) -> Brought {
        if let Some(session) = session {
            self.announce_good(&Name::Profile(resolved.profile.clone()), &session);
        }
        let lease = Lease::of(&credentials);
        let id = Some(self.sources().lease_id(resolved));
        let (source, sealed) = (resolved.describe(), resolved.is_sealed());
        Brought { credentials: Some(Arc::new(credentials)), lease, id, source, sealed }
    }

    /// The login of an sso-session, and the endpoints that the first profile of it uses.
    fn session(&self, name: &str) -> Result<(SsoLogin, bowline_aws::Endpoints), Fault> {
        let config = self.sources().setup().config()?;
        let session = config.sso_sessions().find(|session| session.name() == name).ok_or_else(|| {
            Fault::new(Kind::Config, "config", format!("there is no `[sso-session {name}]` any more"))
        })?;
        let login = session.login()?;
        Ok((login.clone(), self.sources().endpoints_for(&config, &login)))
    }
}

/// Whether it was good when its fetch began and is not now.
fn ended_on_the_way(lease: &Lease, began: Now, now: Now) -> bool {
    lease.usable_at(began.wall) && !lease.usable_at(now.wall)
}
