//! A manager at work: who it is, what it may manage, and the way to AWS that it takes.

use std::{sync::Arc, time::Duration};

use aws::{Aws, Region, sts};
use base::{Credentials, Fault, Identity, Kind, Timestamp};
use bowline_aws as aws;
use bowline_base as base;

use crate::{caller::Caller, namespace::Namespace, refusal::told};

/// A manager whose keys AWS has taken.
pub struct Manager {
    aws: Aws,
    region: Region,
    identity: Arc<dyn Identity>,
    caller: Caller,
    namespace: Namespace,
}

impl Manager {
    /// Asks STS, once, whose keys `identity` has.
    ///
    /// # Errors
    /// They are nobody's, or not a user's ([`crate::caller::WrongKind`]), or the user has no namespace.
    pub async fn meet(aws: Aws, region: Region, identity: Arc<dyn Identity>) -> Result<Self, Fault> {
        let who = sts::caller_identity(&aws, &region, &*identity).await.map_err(told)?;
        let caller = Caller::of(&who.arn)?;
        let namespace = Namespace::of(&caller.user)?;
        Ok(Self { aws, region, identity, caller, namespace })
    }

    /// Who it is.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What it may manage.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A session of `role`, which bears the name of `user` wherever it goes: as its own, and as source identity.
    ///
    /// # Errors
    /// STS says no.
    pub async fn role_session(&self, role: &str, user: &str, duration: Duration) -> Result<Credentials, Fault> {
        let request = sts::AssumeRole {
            duration: Some(duration),
            source_identity: Some(user.to_owned()),
            ..sts::AssumeRole::new(role, user)
        };
        let (aws, region, identity) = self.way();
        Ok(sts::assume_role(aws, region, identity, &request).await.map_err(told)?.credentials)
    }

    pub(crate) fn way(&self) -> (&Aws, &Region, &dyn Identity) {
        (&self.aws, &self.region, &*self.identity)
    }

    pub(crate) fn wall(&self) -> Timestamp {
        self.aws.now().wall
    }
}

/// Checks the length of a session: 1 to 36 hours, and 12 at most with a role.
///
/// # Errors
/// It is none of these.
pub fn session_length(length: Duration, with_role: bool) -> Result<Duration, Fault> {
    let most = if with_role { 12 } else { 36 };
    if (HOUR..=HOUR * most).contains(&length) {
        return Ok(length);
    }
    let message = format!("a session lasts from 1h to {most}h, not {}", base::units::duration(length));
    Err(Fault::new(Kind::Config, "users", message).hint("give another --duration"))
}

const HOUR: Duration = Duration::from_secs(3600);
