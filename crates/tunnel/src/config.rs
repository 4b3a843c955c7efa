//! What the tunnel is started with, and what a peer is: plain values, read from wherever the caller keeps them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{Prefix, PublicKey, SecretKey, egress::Policy};

/// What the tunnel is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients send to: one UDP socket each. A wildcard answers from the address that was asked.
    pub listen: Vec<SocketAddr>,
    /// The server's key.
    pub private_key: SecretKey,
    /// The key that it had before: clients that still name it are served beside the others.
    pub former_key: Option<SecretKey>,
    /// The server's own addresses inside the tunnel: they answer pings and, with [`Config::dns`], DNS.
    pub addresses: Vec<IpAddr>,
    /// The largest inner packet, 1280 to 9000; 1420 fits everywhere that 1500 fits.
    pub mtu: u16,
    /// Who may be reached. Shared with whatever else lets the same users out.
    pub egress: Arc<Policy>,
    /// What a peer without limits of its own may do.
    pub limits: Limits,
    /// Answers DNS on the tunnel's addresses.
    pub dns: Option<Dns>,
}

/// Where the DNS forwarder asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Resolvers, in order of preference.
    pub upstream: Vec<SocketAddr>,
}

/// What one peer may do. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes a second to the peer.
    pub download: Option<u64>,
    /// Bytes a second from the peer.
    pub upload: Option<u64>,
    /// Bytes in both directions together, ever; counted from [`Peer::used`].
    pub quota: Option<u64>,
    /// TCP connections and UDP mappings at once.
    pub flows: usize,
    /// TCP connections that are being dialled at once.
    pub dials: usize,
}

impl Limits {
    /// No limit on bytes, 2,048 flows, 64 dials at once.
    #[must_use]
    pub fn usual() -> Self {
        Self { download: None, upload: None, quota: None, flows: 2048, dials: 64 }
    }
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub public_key: PublicKey,
    /// A second, symmetric key, if both sides have one.
    pub preshared_key: Option<SecretKey>,
    /// Its addresses inside the tunnel. A packet from any other address is dropped.
    pub addresses: Vec<Prefix>,
    /// Where it was last, if that is known: the server can speak first.
    pub endpoint: Option<SocketAddr>,
    /// Sends something this often, so that a NAT in between keeps its mapping.
    pub keepalive: Option<Duration>,
    /// Its limits; [`Config::limits`] if it has none of its own.
    pub limits: Option<Limits>,
    /// Bytes that it had used before this start: its quota counts on from here.
    pub used: u64,
}
