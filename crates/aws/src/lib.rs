//! AWS on the wire: calls as values, signed; one file a service.
//!
//! Every call is a typed request and a typed answer in the file of its service ([`sts`], [`iam`], [`ec2`],
//! [`ssm`], [`sso`], [`sso_oidc`], [`s3`], [`logs`], [`rolesanywhere`], [`signin`]). Underneath is one pure machine (`call`) that alone
//! decides about retries, clock skew and renewal of
//! refused credentials, and one thin driver over a [`Wire`]. This crate opens no socket, reads no clock, no
//! environment and no file, and does not know where an [`Identity`](base::Identity) gets its keys.

mod call;
mod drift;
mod drive;
pub mod ec2;
mod endpoint;
mod error;
pub mod iam;
mod json;
mod json11;
pub mod logs;
mod refusal;
mod region;
mod request;
pub mod rolesanywhere;
pub mod s3;
mod sign;
mod sign_x509;
pub mod signin;
pub mod ssm;
pub mod sso;
pub mod sso_oidc;
pub mod sts;
mod xml;

#[cfg(test)]
mod scripted;

use std::{sync::Arc, time::Duration};

use bowline_base as base;

use base::{
    Timestamp,
    wire::{Limits, Wire},
};

pub use drift::Drift;
pub use endpoint::{Endpoints, Service};
pub use error::Error;
pub use region::{Partition, Region};

/// How long a call may take in all, and each exchange of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Of one exchange: to the head of the answer, and between two chunks of its body.
    pub limits: Limits,
    /// Of the whole call with its retries and renewals, up to the head of a streamed answer.
    pub total: Duration,
}

impl Default for Patience {
    /// The limits of [`Limits::default`], 45 s in all.
    fn default() -> Self {
        Self { limits: Limits::default(), total: Duration::from_secs(45) }
    }
}

/// The way to AWS: a wire, where the services are, and what was learnt about their clocks. Cheap to clone; clones
/// share what was learnt.
#[derive(Clone)]
pub struct Aws {
    wire: Arc<dyn Wire>,
    endpoints: Arc<Endpoints>,
    patience: Patience,
    drifts: drift::Drifts,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aws")
            .field("endpoints", &self.endpoints)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// Speaks through `wire` with the services at `endpoints`.
    #[must_use]
    pub fn new(wire: Arc<dyn Wire>, endpoints: Endpoints) -> Self {
        Self { wire, endpoints: Arc::new(endpoints), patience: Patience::default(), drifts: drift::Drifts::default() }
    }

    /// The same wire and learnt clocks with other endpoints: profiles may each have their own.
    #[must_use]
    pub fn at(&self, endpoints: Endpoints) -> Self {
        Self { endpoints: Arc::new(endpoints), ..self.clone() }
    }

    /// The same with another patience.
    #[must_use]
    pub fn patience(&self, patience: Patience) -> Self {
        Self { patience, ..self.clone() }
    }

    /// Where the services are.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The wire itself, for what is not AWS.
    #[must_use]
    pub fn wire(&self) -> &Arc<dyn Wire> {
        &self.wire
    }

    /// The wall clock of the wire, for the times that go with an answer.
    #[must_use]
    pub fn now(&self) -> base::Now {
        self.wire.now()
    }

    /// How far the clocks of the hosts that refused a signature for its time are from ours, by host. Empty while
    /// nobody complained.
    #[must_use]
    pub fn drifts(&self) -> Vec<Drift> {
        self.drifts.all()
    }

    fn wall(&self) -> Timestamp {
        self.wire.now().wall
    }
}
