//! The doors for `bowline healthcheck`: every server of ours has one in its user's runtime directory, or in the one
//! that `BOWLINE_HEALTH` names (the image: a place that is each container's own), called after what it serves. So a container's check finds what runs beside it, whatever address, file or flag that was started with.
//!
//! What is said there the status page knows; how the answers are judged is the command's business.

use std::path::PathBuf;

use crate::environment::Environment;

/// Whether a server can serve, credentials that fail apart: it goes on from its cache, or with what is still good.
pub(crate) const SERVES: &str = "/servez";

/// What a process was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Daemon,
    Artifacts,
    Endpoint,
    Gateway,
    Vpn,
}

impl Server {
    pub(crate) const ALL: [Self; 5] = [Self::Daemon, Self::Artifacts, Self::Endpoint, Self::Gateway, Self::Vpn];

    /// Its door: one for each kind, so that nothing piles up. A second of the same kind and user goes without.
    pub(crate) fn door(self, environment: &Environment) -> PathBuf {
        environment.health_directory().join(format!("{}.sock", self.name()))
    }

    /// What it is asked. The gateway has no client who would notice that it can do nothing: it has to be ready. The daemon
    /// starts a lost job again by itself, and goes on with the others.
    pub(crate) fn question(self) -> &'static str {
        match self {
            Self::Daemon => "/livez",
            Self::Artifacts | Self::Endpoint | Self::Vpn => SERVES,
            Self::Gateway => "/readyz",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Daemon => "run",
            Self::Artifacts => "artifacts",
            Self::Endpoint => "endpoint",
            Self::Gateway => "gateway",
            Self::Vpn => "vpn",
        }
    }
}
