//! What the tunnel tells of itself: a snapshot, taken by the packet path when it is asked.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bowline_base::Timestamp;
use bowline_host::metrics::Spread;

use crate::{PublicKey, dns::Counters};

/// Everything at one moment. Counters count from the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Where it listens, with the ports that were given out for 0.
    pub listening: Vec<SocketAddr>,
    /// The size of the sockets' receive buffers that the system granted, in bytes.
    pub receive_buffer: usize,
    /// Every peer, in the order of its key.
    pub peers: BTreeMap<PublicKey, PeerStats>,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Cookies sent because too many handshakes came at once.
    pub cookies: u64,
    /// What was dropped, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// Connections that the egress policy refused, by reason.
    pub denied: BTreeMap<&'static str, u64>,
    /// Flows of all peers.
    pub flows: Flows,
    /// TCP segments sent again.
    pub retransmits: u64,
    /// How long bytes took to clients and their acknowledgements back: one measurement a connection and round trip.
    pub round_trips: Spread,
    /// How long packets waited because of a client's limit.
    pub queue_delays: Spread,
    /// Whether the system lets us ask for echoes; if not, why.
    pub ping: Option<String>,
    /// What the DNS forwarder has done.
    pub dns: Counters,
}

/// One peer at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStats {
    /// Where it sends from, as of its last authenticated packet.
    pub endpoint: Option<SocketAddr>,
    /// When its keys were last agreed on.
    pub last_handshake: Option<Timestamp>,
    /// Whether it still names the server by [`Config::former_key`](crate::Config::former_key).
    pub former_key: bool,
    /// Bytes of inner packets that came from it.
    pub received: u64,
    /// Bytes of inner packets that went to it.
    pub sent: u64,
    /// Bytes that count against its quota, those from before this start included.
    pub used: u64,
    /// Its flows now.
    pub flows: Flows,
    /// Packets of its that were dropped, for whatever reason.
    pub dropped: u64,
    /// How long a byte takes to it and its acknowledgement back, of late; `None` before the first TCP connection.
    pub round_trip: Option<Duration>,
    /// The longest that a packet waited because of its limit, within about the last minute.
    pub queue_delay: Duration,
}

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// TCP connections, those that are being dialled included.
    pub tcp: usize,
    /// Of them: being dialled.
    pub dialling: usize,
    /// UDP mappings.
    pub udp: usize,
    /// Echo mappings.
    pub echo: usize,
}

impl std::ops::Add for Flows {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tcp: self.tcp + other.tcp,
            dialling: self.dialling + other.dialling,
            udp: self.udp + other.udp,
            echo: self.echo + other.echo,
        }
    }
}
