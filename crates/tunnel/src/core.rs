//! What every kind of flow needs: the link, the timers, the system's readiness, and the policy.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bowline_host::metrics::Spread;
use mio::Registry;

use crate::{
    egress::{Policy, Route, Transport},
    fragments,
    link::{Emit as _, Link},
    packet::{
        Packet, Tcp, build,
        icmp::{self, Trouble},
    },
    peers::{PeerId, Way},
    wheel::Wheel,
};

/// Who is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A peer's handshakes and keepalives.
    Peer(PeerId),
    /// A TCP flow.
    Tcp(usize),
    /// What waits for a peer, or from one, because of its limit.
    Queue(PeerId, Way),
    /// The questions of DNS.
    Dns,
    /// What is done once a second.
    Second,
}

/// Shared by all flows.
pub(crate) struct Core {
    pub(crate) link: Link,
    pub(crate) wheel: Wheel<Timer>,
    pub(crate) registry: Registry,
    pub(crate) policy: Arc<Policy>,
    pub(crate) mtu: u16,
    /// The server's addresses inside the tunnel.
    pub(crate) addresses: Vec<IpAddr>,
    /// TCP segments sent again.
    pub(crate) retransmits: u64,
    /// How long bytes and their acknowledgements took.
    pub(crate) round_trips: Spread,
    pub(crate) denied: BTreeMap<&'static str, u64>,
    /// Where connections to port 53 of these addresses go on to.
    pub(crate) tcp_resolver: Option<SocketAddr>,
    /// Names the parts of the next packet that has to be cut.
    pub(crate) next_cut: u32,
}

impl Core {
    pub(crate) fn boot(&self) -> Duration {
        self.link.now.boot
    }

    /// Where to dial for `to`, if the policy lets it through; else the user is told.
    pub(crate) fn allowed(
        &mut self,
        peer: PeerId,
        transport: Transport,
        packet: &Packet<'_>,
        port: u16,
    ) -> Option<SocketAddr> {
        match self.policy.verdict(transport, SocketAddr::new(packet.destination, port)) {
            Ok(Route::World(address)) => Some(address),
            Ok(Route::Client(_)) => {
                self.trouble(peer, packet, Trouble::Host);
                None
            }
            Err(reason) => {
                *self.denied.entry(reason.label()).or_default() += 1;
                self.link.dropped_of(peer, "denied");
                self.trouble(peer, packet, Trouble::Prohibited);
                None
            }
        }
    }

    /// Sends a packet to a user, in parts if it is longer than what fits through the tunnel.
    pub(crate) fn send(&mut self, peer: PeerId, packet: Vec<u8>) {
        if packet.len() <= usize::from(self.mtu) {
            return self.link.to(peer).send(&packet);
        }
        self.next_cut = self.next_cut.wrapping_add(1);
        for part in fragments::split(packet, self.mtu, self.next_cut) {
            self.link.to(peer).send(&part);
        }
    }

    /// Tells the user what went wrong with its packet.
    pub(crate) fn trouble(&mut self, peer: PeerId, packet: &Packet<'_>, trouble: Trouble) {
        let from = self.own_address(packet.destination);
        if let Some(error) = icmp::error(packet, trouble, from) {
            self.link.to(peer).send(&error);
        }
    }

    /// Resets the connection that a segment belongs to.
    pub(crate) fn reset(&mut self, peer: PeerId, packet: &Packet<'_>, tcp: &Tcp<'_>) {
        if let Some(reset) = build::reset(packet, tcp) {
            self.link.to(peer).send(&reset);
        }
    }

    /// The server's address of the family; without one, errors come from where the packet went.
    pub(crate) fn own_address(&self, destination: IpAddr) -> IpAddr {
        let own = self.addresses.iter().find(|own| own.is_ipv4() == destination.is_ipv4());
        own.copied().unwrap_or(destination)
    }
}
