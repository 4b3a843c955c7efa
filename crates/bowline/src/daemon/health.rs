//! Opens the door for `bowline healthcheck` ([`crate::health`]) and answers there as the status page does.

use bowline_host::{Address, Listeners, Tasks};
use tracing::debug;

use super::{Daemon, Start, board::Board, status_page};
use crate::{environment::Environment, health::Server};

/// Opens the door of `server`. Who cannot have one, without a writable directory or beside another of its kind, serves as
/// well without.
pub(crate) async fn open(
    environment: &Environment,
    server: Server,
    tasks: &Tasks,
    listeners: &Listeners,
    board: Board,
) {
    match listeners.listen(&address(environment, server)).await {
        Ok(listener) => status_page::serve(tasks, listener, board),
        Err(fault) => debug!(reason = %fault.chain(), "`bowline healthcheck` finds no door of this process"),
    }
}

fn address(environment: &Environment, server: Server) -> Address {
    Address::Unix(server.door(environment))
}

impl Start {
    fn server(&self) -> Server {
        match self {
            Self::Daemon { .. } => Server::Daemon,
            Self::ArtifactsAlone => Server::Artifacts,
            Self::EndpointAlone => Server::Endpoint,
            Self::GatewayAlone => Server::Gateway,
            Self::VpnAlone { .. } => Server::Vpn,
        }
    }
}

impl Daemon {
    pub(super) async fn open_health_door(&self) {
        open(&self.world.environment, self.start.server(), &self.tasks, &self.listeners, self.board.clone()).await;
    }

    /// Where that is.
    pub(super) fn health_door(&self) -> Address {
        address(&self.world.environment, self.start.server())
    }
}
