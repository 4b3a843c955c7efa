//! Starting the tunnel, and what can be asked of it while it runs.

use std::{io, net::SocketAddr};

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listening address could not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A configuration that cannot work.
    #[error("{0}")]
    Config(String),
    /// The system refused what the packet path needs.
    #[error("cannot start the packet path")]
    System(#[from] io::Error),
}

/// The packet path has ended, or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel has stopped")]
pub struct Stopped;
