//! UDP: one socket for each of a user's addresses and ports, whoever it talks to.
//!
//! So the world sees the same address and port of a user wherever it sends (RFC 4787: endpoint-independent mapping), and
//! two users can punch holes to each other. What comes back is let in from hosts that the user has sent to. The
//! system's error queue says what is unreachable, and the user is told.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bowline_host::undelivered;
use mio::{Interest, net::UdpSocket};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::{
    core::Core,
    egress::Transport,
    link::Emit as _,
    packet::{
        Packet, Udp, build,
        icmp::{self, Trouble},
    },
    path::{Kind, token},
    peers::PeerId,
    slots::Slots,
};

/// How long a mapping without a datagram lives: one way, both ways, and for a question of DNS.
const ONE_WAY: Duration = Duration::from_secs(30);
const BOTH_WAYS: Duration = Duration::from_secs(120);
const DNS_QUESTION: Duration = Duration::from_secs(10);
const DNS: u16 = 53;

/// Hosts that one mapping remembers having sent to, and all mappings of a peer together.
const MOST_CONTACTS: usize = 4096;
const MOST_CONTACTS_OF_ONE: usize = 16_384;

/// Calls for datagrams in one turn.
const CALLS_A_TURN: usize = 8;
const BUFFER: usize = 65_536;

/// Every mapping.
pub(crate) struct UdpFlows {
    mappings: Slots<Mapping>,
    by_user: HashMap<(PeerId, SocketAddr), usize>,
    by_port: HashMap<u16, usize>,
    ready: Vec<usize>,
    buffer: Vec<u8>,
}

struct Mapping {
    peer: PeerId,
    user: SocketAddr,
    socket: UdpSocket,
    state: UdpSocketState,
    port: u16,
    /// Hosts that the user has sent to: they may answer.
    contacts: HashMap<IpAddr, Duration>,
    last_used: Duration,
    lifetime: Duration,
    ready: bool,
}

impl UdpFlows {
    pub(crate) fn new() -> Self {
        let (by_user, by_port) = (HashMap::new(), HashMap::new());
        Self { mappings: Slots::new(), by_user, by_port, ready: Vec::new(), buffer: vec![0; BUFFER] }
    }

    /// A datagram of a peer's.
    pub(crate) fn receive(&mut self, core: &mut Core, peer: PeerId, packet: &Packet<'_>, udp: &Udp<'_>) {
        let user = SocketAddr::new(packet.source, udp.source_port);
        if core.addresses.contains(&packet.destination) {
            return core.trouble(peer, packet, Trouble::Port);
        }
        let Some(to) = self.destination(core, peer, packet, udp) else { return };
        let place = match self.by_user.get(&(peer, user)) {
            Some(place) => *place,
            None => match self.begin(core, peer, user, udp.destination_port) {
                Some(place) => place,
                None => return,
            },
        };
        let now = core.boot();
        let Some(mapping) = self.mappings.get_mut(place) else { return };
        if let Some(member) = core.link.peers.get(peer) {
            let elsewhere = member.contacts.saturating_sub(mapping.contacts.len());
            let known =
                mapping.contact(to.ip(), now, MOST_CONTACTS.min(MOST_CONTACTS_OF_ONE.saturating_sub(elsewhere)));
            member.contacts = elsewhere + mapping.contacts.len();
            if !known {
                return core.link.dropped_of(peer, "too many contacts");
            }
        }
        if let Err(error) = mapping.send(to, udp.payload) {
            self.settle_errors(core, place);
            let trouble = match error.raw_os_error() {
                Some(number) if rustix::io::Errno::from_raw_os_error(number) == rustix::io::Errno::MSGSIZE => {
                    Some(Trouble::TooBig { mtu: core.mtu })
                }
                number => number.and_then(Trouble::of_errno),
            };
            if let Some(trouble) = trouble {
                core.trouble(peer, packet, trouble);
            }
        }
    }

    /// The system says that a mapping's socket is ready.
    pub(crate) fn ready(&mut self, place: usize) {
        if let Some(mapping) = self.mappings.get_mut(place)
            && !std::mem::replace(&mut mapping.ready, true)
        {
            self.ready.push(place);
        }
    }

    /// Carries what has come for the users. `true` if there is more.
    pub(crate) fn settle(&mut self, core: &mut Core) -> bool {
        for place in std::mem::take(&mut self.ready) {
            if let Some(mapping) = self.mappings.get_mut(place) {
                mapping.ready = false;
            }
            self.settle_errors(core, place);
            if self.carry(core, place) {
                self.ready(place);
            }
        }
        !self.ready.is_empty()
    }

    /// Forgets mappings that are not used.
    pub(crate) fn next_second(&mut self, core: &mut Core) {
        let now = core.boot();
        let idle = |mapping: &Mapping| now.saturating_sub(mapping.last_used) > mapping.lifetime;
        let idle: Vec<usize> = self.mappings.iter().filter(|(_, m)| idle(m)).map(|(place, _)| place).collect();
        idle.into_iter().for_each(|place| self.forget(core, place));
    }

    /// Ends every mapping of a peer's.
    pub(crate) fn forget_peer(&mut self, core: &mut Core, peer: PeerId) {
        let own: Vec<usize> = self.mappings.iter().filter(|(_, m)| m.peer == peer).map(|(place, _)| place).collect();
        own.into_iter().for_each(|place| self.forget(core, place));
    }

    /// Where to send it. A mapping of ours can always be sent to: that is how two users meet.
    fn destination(&self, core: &mut Core, peer: PeerId, packet: &Packet<'_>, udp: &Udp<'_>) -> Option<SocketAddr> {
        let to = SocketAddr::new(packet.destination, udp.destination_port);
        let rules = core.policy.rules();
        if self.by_port.contains_key(&to.port()) && rules.own_addresses.contains(&to.ip()) {
            return Some(to);
        }
        let address = core.allowed(peer, Transport::Udp, packet, udp.destination_port)?;
        if address.is_ipv4() == packet.source.is_ipv4() {
            return Some(address);
        }
        core.trouble(peer, packet, Trouble::Network);
        None
    }

    fn begin(&mut self, core: &mut Core, peer: PeerId, user: SocketAddr, port: u16) -> Option<usize> {
        let member = core.link.peers.get(peer)?;
        if member.flows.tcp + member.flows.udp >= member.allowance.limits().flows {
            core.link.dropped_of(peer, "too many flows");
            return None;
        }
        let lifetime = if port == DNS { DNS_QUESTION } else { ONE_WAY };
        let Ok(mapping) = Mapping::open(core, peer, user, lifetime, self.mappings.next_place()) else {
            core.link.dropped_of(peer, "no socket");
            return None;
        };
        let port = mapping.port;
        let place = self.mappings.insert(mapping);
        self.by_user.insert((peer, user), place);
        self.by_port.insert(port, place);
        if let Some(member) = core.link.peers.get(peer) {
            member.flows.udp += 1;
        }
        Some(place)
    }

    fn forget(&mut self, core: &mut Core, place: usize) {
        let Some(mapping) = self.mappings.remove(place) else { return };
        self.by_user.remove(&(mapping.peer, mapping.user));
        self.by_port.remove(&mapping.port);
        if let Some(member) = core.link.peers.get(mapping.peer) {
            member.flows.udp = member.flows.udp.saturating_sub(1);
            member.contacts = member.contacts.saturating_sub(mapping.contacts.len());
        }
    }

    /// Tells the user what the system's error queue says.
    fn settle_errors(&mut self, core: &mut Core, place: usize) {
        let Some(mapping) = self.mappings.get_mut(place) else { return };
        while let Ok(Some(undelivered)) = undelivered::next_error(&mapping.socket) {
            let to = SocketAddr::new(undelivered.to.ip().to_canonical(), undelivered.to.port());
            let from = undelivered.told_by.unwrap_or_else(|| core.own_address(to.ip()));
            let told = Trouble::of_undelivered(&undelivered, core.mtu)
                .and_then(|trouble| icmp::udp_error(mapping.user, to, trouble, from));
            if let Some(told) = told {
                core.send(mapping.peer, told);
            }
        }
    }

    /// Carries datagrams to the user, a few calls' worth. `true` if there may be more.
    fn carry(&mut self, core: &mut Core, place: usize) -> bool {
        let now = core.boot();
        let Some(mapping) = self.mappings.get_mut(place) else { return false };
        for _ in 0..CALLS_A_TURN {
            let mut meta = [RecvMeta::default()];
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let received = mapping.state.recv(UdpSockRef::from(&mapping.socket), &mut slices, &mut meta);
            match received {
                Ok(0) => return false,
                Ok(_) => {}
                // An error of the queue is handed out by this call too; what is behind it is still there.
                Err(error) if error.kind() != ErrorKind::WouldBlock => continue,
                Err(_) => return false,
            }
            mapping.deliver(core, &meta[0], &self.buffer, now);
        }
        true
    }
}

impl Mapping {
    fn open(core: &Core, peer: PeerId, user: SocketAddr, lifetime: Duration, place: usize) -> io::Result<Self> {
        let any: IpAddr = if user.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        undelivered::keep_errors(&socket, user.ip())?;
        undelivered::may_be_cut(&socket, user.ip())?;
        core.registry.register(&mut socket, token(Kind::Udp, place), Interest::READABLE)?;
        let port = socket.local_addr()?.port();
        let (contacts, last_used) = (HashMap::new(), core.boot());
        Ok(Self { peer, user, socket, state, port, contacts, last_used, lifetime, ready: false })
    }

    /// Remembers that the user has sent to `host`, as one of `most`; `false` where so many others are too fresh to go.
    fn contact(&mut self, host: IpAddr, now: Duration, most: usize) -> bool {
        self.last_used = now;
        let is_known = self.contacts.contains_key(&host);
        if self.contacts.len() >= most && !is_known {
            self.contacts.retain(|_, last| now.saturating_sub(*last) < ONE_WAY);
            self.contacts.shrink_to(most / 2);
        }
        let has_room = is_known || self.contacts.len() < most;
        if has_room {
            self.contacts.insert(host, now);
        }
        has_room
    }

    fn send(&self, to: SocketAddr, contents: &[u8]) -> io::Result<()> {
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: None };
        match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            // A queued error about an earlier datagram was handed out instead of sending this one.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
            }
            sent => sent,
        }
    }

    fn deliver(&mut self, core: &mut Core, meta: &RecvMeta, buffer: &[u8], now: Duration) {
        let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
        if !self.contacts.contains_key(&from.ip()) {
            return core.link.dropped_of(self.peer, "unasked");
        }
        self.last_used = now;
        if self.lifetime == ONE_WAY {
            self.lifetime = BOTH_WAYS;
        }
        let headers = build::udp_headers(self.user.ip());
        for payload in buffer.get(..meta.len).unwrap_or_default().chunks(meta.stride.max(1)) {
            let len = headers + payload.len();
            if len > usize::from(core.mtu) {
                if let Some(packet) = build::udp(from, self.user, payload) {
                    core.send(self.peer, packet);
                }
                continue;
            }
            let user = self.user;
            core.link.to(self.peer).emit(len, &mut |room| {
                room[headers..].copy_from_slice(payload);
                let _ = build::udp_in_place(room, from, user);
            });
        }
    }
}
