//! The packet path: one thread that waits until something is ready, and carries packets until nothing is.
//!
//! A round: events and timers say which flows have something to do, datagrams are opened and handed to their flows,
//! every flow that something happened to gets one turn, and what they sent leaves in batches. The clock is read once.

use std::{
    io::{self, ErrorKind},
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};

use bowline_host::{clock, metrics::Spread};
use mio::{Events, Poll, Token, event::Event};

use crate::{
    Config, Peer, PublicKey, Stats,
    core::{Core, Timer},
    dns::DnsService,
    echo::EchoFlows,
    egress::ClientToClient,
    fragments::{Bounds, Reassembly},
    handle::Command,
    link::{Emit as _, Link},
    noise::{Door, Which},
    packet::{Packet, Transport, build, icmp::Trouble, mss},
    peers::{AddressTaken, PeerId, Peers, TICK, Way},
    stats::{Flows, PeerStats},
    tcp::TcpFlows,
    udp::UdpFlows,
    wheel::Wheel,
    wire::{Inbox, WIRE, Wire},
};

/// A command is waiting.
pub(crate) const WAKE: Token = Token(0);

/// Tokens below this one belong to the listening sockets.
const FLOWS: usize = 64;
const KINDS: usize = 4;

/// Calls for datagrams in one round: flows get their turn in between.
const CALLS_A_ROUND: usize = 4;

/// The longest time without a look at the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a token's place is a place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A TCP flow.
    Tcp = 0,
    /// A UDP mapping.
    Udp = 1,
    /// Echoes of one program.
    Echo = 2,
    /// A question of DNS.
    Dns = 3,
}

/// The token of a flow's socket.
pub(crate) fn token(kind: Kind, place: usize) -> Token {
    Token(FLOWS + place * KINDS + kind as usize)
}

/// Everything that the thread owns.
pub(crate) struct Path {
    core: Core,
    poll: Poll,
    inbox: Inbox,
    /// Which listening sockets may have something.
    readable: Vec<bool>,
    tcp: TcpFlows,
    udp: UdpFlows,
    echo: EchoFlows,
    dns: DnsService,
    fragments: Reassembly<PeerId>,
    /// The inner packet at hand.
    packet: Vec<u8>,
}

impl Path {
    pub(crate) fn new(config: Config, wire: Wire, poll: Poll) -> io::Result<Self> {
        let now = clock::now();
        let readable = vec![true; wire.addresses().len()];
        let link = Link::new(
            wire,
            Peers::new(config.limits),
            Door::new(&config.private_key, config.former_key.as_ref()),
            config.mtu,
            now,
        );
        let mut wheel = Wheel::new(now.boot);
        wheel.insert(now.boot, Timer::Second);
        let core = Core {
            link,
            wheel,
            registry: poll.registry().try_clone()?,
            policy: config.egress,
            mtu: config.mtu,
            addresses: config.addresses,
            denied: std::collections::BTreeMap::new(),
            tcp_resolver: None,
            next_cut: random_slot(),
            retransmits: 0,
            round_trips: Spread::default(),
        };
        Ok(Self {
            core,
            poll,
            inbox: Inbox::new(),
            readable,
            tcp: TcpFlows::new(random_seed()?),
            udp: UdpFlows::new(),
            echo: EchoFlows::new(),
            dns: DnsService::new(config.dns.map(|dns| dns.upstream)),
            fragments: Reassembly::new(Bounds::default()),
            packet: Vec::new(),
        })
    }

    /// Carries packets until it is told to stop.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut events = Events::with_capacity(1024);
        let mut more = true;
        loop {
            if let Err(error) = self.poll.poll(&mut events, Some(self.wait(more)))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "the tunnel cannot wait for packets");
                return self.stop();
            }
            self.core.link.now = clock::now();
            for event in &events {
                self.event(event);
            }
            if events.iter().any(|event| event.token() == WAKE) && !self.obey(commands) {
                return self.stop();
            }
            more = self.round();
        }
    }

    /// Makes `peers` the only ones.
    pub(crate) fn replace(&mut self, peers: Vec<Peer>) -> Result<(), AddressTaken> {
        if let Some(taken) = Peers::conflict(&peers) {
            return Err(taken);
        }
        for key in self.core.link.peers.keys() {
            if !peers.iter().any(|peer| peer.public_key == key) {
                self.remove(key);
            }
        }
        self.core.link.peers.free_addresses();
        peers.into_iter().try_for_each(|peer| self.add(peer))
    }

    /// How long to wait for events.
    fn wait(&self, more: bool) -> Duration {
        if more {
            return Duration::ZERO;
        }
        let next = self.core.wheel.next_wake().map_or(LONGEST_WAIT, |at| at.saturating_sub(self.core.boot()));
        next.min(LONGEST_WAIT)
    }

    fn event(&mut self, event: &Event) {
        match event.token().0 {
            0 => {}
            number if number < FLOWS => {
                if let Some(readable) = self.readable.get_mut(number - WIRE) {
                    *readable = true;
                }
            }
            number => match ((number - FLOWS) % KINDS, (number - FLOWS) / KINDS) {
                (0, place) => self.tcp.ready(&mut self.core, place, event),
                (1, place) => self.udp.ready(place),
                (2, place) => self.echo.ready(place),
                (_, place) => self.dns.ready(place),
            },
        }
    }

    /// One round of everything. `true` if there is more to do at once.
    fn round(&mut self) -> bool {
        self.timers();
        let mut more = false;
        for socket in 0..self.readable.len() {
            more |= self.datagrams(socket);
        }
        more |= self.tcp.settle(&mut self.core);
        more |= self.udp.settle(&mut self.core);
        more |= self.echo.settle(&mut self.core);
        self.dns.settle(&mut self.core);
        self.core.link.flush();
        self.look_after_the_awoken();
        more
    }

    fn timers(&mut self) {
        let mut due = Vec::new();
        self.core.wheel.advance(self.core.link.now.boot, &mut due);
        for timer in due {
            match timer {
                Timer::Tcp(place) => self.tcp.woken(&mut self.core, place),
                Timer::Peer(peer) => self.tick(peer),
                Timer::Queue(peer, way) => self.queue(peer, way),
                Timer::Dns => self.dns.woken(&mut self.core),
                Timer::Second => self.next_second(),
            }
        }
    }

    fn next_second(&mut self) {
        self.core.link.next_second();
        self.tcp.next_second(&mut self.core);
        self.udp.next_second(&mut self.core);
        self.echo.next_second(&mut self.core);
        self.core.tcp_resolver = self.dns.tcp_resolver();
        self.give_up_fragments();
        self.core.wheel.insert(self.core.boot() + Duration::from_secs(1), Timer::Second);
    }

    /// An entry that is left of a peer which was removed comes too early for the next one in its place.
    fn tick(&mut self, peer: PeerId) {
        let now = self.core.boot();
        let due = |next: Option<Duration>| next.is_some_and(|next| next <= now);
        if !self.core.link.peers.get(peer).is_some_and(|member| due(member.next_tick)) {
            return;
        }
        let next = self.core.link.tick(peer).then_some(now + TICK);
        self.tick_at(peer, next);
    }

    /// A peer's queue may go on. An entry that is left of a peer which was removed comes too early here too.
    fn queue(&mut self, peer: PeerId, way: Way) {
        match way {
            _ if !self.core.link.is_due(peer, way) => {}
            Way::Down => self.core.link.drain(peer),
            Way::Up => self.uploads(peer),
        }
    }

    /// What a peer sent beyond its limit and what may come in now.
    fn uploads(&mut self, peer: PeerId) {
        let mut packet = std::mem::take(&mut self.packet);
        while self.core.link.next_upload(peer, &mut packet) {
            if !packet.is_empty() {
                self.inner(peer, &packet);
            }
        }
        self.packet = packet;
    }

    fn tick_at(&mut self, peer: PeerId, next: Option<Duration>) {
        let Some(member) = self.core.link.peers.get(peer) else { return };
        member.next_tick = next;
        if let Some(at) = next {
            self.core.wheel.insert(at, Timer::Peer(peer));
        }
    }

    fn look_after_the_awoken(&mut self) {
        let at = self.core.boot() + TICK;
        while let Some(peer) = self.core.link.awoken.pop() {
            if self.core.link.peers.get(peer).is_some_and(|member| member.next_tick.is_none()) {
                self.tick_at(peer, Some(at));
            }
        }
        for (peer, way, at) in self.core.link.queued.drain(..) {
            self.core.wheel.insert(at, Timer::Queue(peer, way));
        }
    }

    /// Opens what a socket has, a few calls' worth. `true` if it has more.
    fn datagrams(&mut self, socket: usize) -> bool {
        for _ in 0..CALLS_A_ROUND {
            if !self.readable[socket] {
                return false;
            }
            match self.core.link.wire.receive(socket, &mut self.inbox) {
                Ok(filled) => {
                    self.readable[socket] = filled == Inbox::FULL;
                    self.carry(socket, filled);
                }
                // An ICMP error about an answer of ours; the datagrams behind it are still there.
                Err(_) => self.core.link.dropped::<()>("receive error").unwrap_or_default(),
            }
        }
        self.readable[socket]
    }

    fn carry(&mut self, socket: usize, filled: usize) {
        let inbox = std::mem::replace(&mut self.inbox, Inbox::empty());
        let mut packet = std::mem::take(&mut self.packet);
        for (from, datagram) in inbox.datagrams(socket, filled) {
            if let Some(peer) = self.core.link.open(from, datagram, &mut packet) {
                self.inner(peer, &packet);
            }
        }
        self.packet = packet;
        self.inbox = inbox;
    }

    /// An authentic packet of a peer's, from an address of its own.
    fn inner(&mut self, peer: PeerId, bytes: &[u8]) {
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(malformed) => return self.core.link.dropped_of(peer, malformed.label()),
        };
        if let Some(other) = self.other_user(peer, &packet) {
            return self.pass_on(peer, other, &packet);
        }
        if packet.fragment.is_none() {
            return self.whole(peer, &packet);
        }
        match self.fragments.accept(self.core.boot(), peer, &packet) {
            Ok(None) => {}
            Ok(Some(joined)) => match Packet::parse(&joined) {
                Ok(packet) => self.whole(peer, &packet),
                Err(malformed) => self.core.link.dropped_of(peer, malformed.label()),
            },
            Err(dropped) => self.core.link.dropped_of(peer, dropped.label()),
        }
    }

    /// A packet that is not cut.
    fn whole(&mut self, peer: PeerId, packet: &Packet<'_>) {
        let core = &mut self.core;
        let ours = core.addresses.contains(&packet.destination);
        if packet.hop_limit <= 1 && !ours {
            return core.trouble(peer, packet, Trouble::HopLimit);
        }
        match packet.transport() {
            Ok(Transport::Tcp(tcp)) => self.tcp.receive(core, peer, packet, &tcp),
            Ok(Transport::Udp(udp)) if ours && self.dns.takes(udp.destination_port) => {
                self.dns.receive(core, peer, packet, &udp);
            }
            Ok(Transport::Udp(udp)) => self.udp.receive(core, peer, packet, &udp),
            Ok(Transport::EchoRequest(echo)) if ours => {
                if let Some(reply) = build::echo_reply(packet.destination, packet.source, &echo) {
                    core.send(peer, reply);
                }
            }
            Ok(Transport::EchoRequest(echo)) => self.echo.receive(core, peer, packet, &echo),
            Ok(Transport::Other(_)) => core.trouble(peer, packet, Trouble::Protocol),
            Ok(_) => core.link.dropped_of(peer, "icmp"),
            Err(malformed) => core.link.dropped_of(peer, malformed.label()),
        }
    }

    fn give_up_fragments(&mut self) {
        for expired in self.fragments.expire(self.core.boot()) {
            self.core.link.dropped_of(expired.user, "fragment_timeout");
            if let Some(Ok(first)) = expired.first.as_deref().map(Packet::parse) {
                self.core.trouble(expired.user, &first, Trouble::Reassembly);
            }
        }
    }

    /// Where users may reach each other, packets between them are passed on as they are.
    fn other_user(&self, peer: PeerId, packet: &Packet<'_>) -> Option<PeerId> {
        if self.core.policy.rules().client_to_client == ClientToClient::Refused {
            return None;
        }
        self.core.link.peers.by_address(packet.destination).filter(|other| *other != peer)
    }

    /// To another user as it is, if it is no longer than what fits through the tunnel; and no segments that are longer are
    /// asked for. Its ends know nothing of the way between them, and what is on the wire does not say why it went astray.
    fn pass_on(&mut self, peer: PeerId, other: PeerId, packet: &Packet<'_>) {
        let mtu = self.core.mtu;
        let (core, is_long) = (&mut self.core, packet.bytes().len() > usize::from(mtu));
        if is_long && (packet.dont_fragment || packet.fragment.is_some()) {
            return core.trouble(peer, packet, Trouble::TooBig { mtu });
        }
        if is_long {
            return core.send(other, packet.bytes().to_vec());
        }
        let fits = mss::fitting(mtu, packet.source.is_ipv4());
        if mss::announced(packet.bytes()).is_none_or(|announced| announced <= fits) {
            return core.link.to(other).send(packet.bytes());
        }
        let mut lowered = packet.bytes().to_vec();
        mss::clamp(&mut lowered, fits);
        core.link.to(other).send(&lowered);
    }

    /// `false` when it is told to stop.
    fn obey(&mut self, commands: &Receiver<Command>) -> bool {
        loop {
            match commands.try_recv() {
                Ok(Command::Add(peer, answer)) => drop(answer.send(self.add(*peer))),
                Ok(Command::Remove(key, answer)) => drop(answer.send(self.remove(key))),
                Ok(Command::Recount(key, used, answer)) => drop(answer.send(self.core.link.peers.recount(key, used))),
                Ok(Command::Replace(peers, answer)) => drop(answer.send(self.replace(peers))),
                Ok(Command::Stats(answer)) => drop(answer.send(self.stats())),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn add(&mut self, mut peer: Peer) -> Result<(), AddressTaken> {
        peer.endpoint = peer.endpoint.filter(|remote| self.core.link.wire.socket_for(*remote).is_some());
        self.core.link.peers.put(peer, self.core.link.now.boot, &mut random_slot)?;
        Ok(())
    }

    fn remove(&mut self, key: PublicKey) -> bool {
        let Some(peer) = self.core.link.peers.by_key(key) else { return false };
        self.tcp.forget_peer(&mut self.core, peer);
        self.udp.forget_peer(&mut self.core, peer);
        self.echo.forget_peer(&mut self.core, peer);
        self.dns.forget_peer(peer);
        self.fragments.forget(peer);
        self.core.link.flush();
        self.core.link.peers.remove(key).is_some()
    }

    fn stop(&mut self) {
        for key in self.core.link.peers.keys() {
            self.remove(key);
        }
    }

    fn stats(&mut self) -> Stats {
        let now = self.core.boot();
        let link = &mut self.core.link;
        let peers = link.peers.iter_mut().map(|(_, member)| {
            let stats = PeerStats {
                endpoint: member.endpoint.map(|endpoint| endpoint.remote),
                last_handshake: member.last_handshake,
                former_key: member.speaks_to == Which::Former,
                received: member.received,
                sent: member.sent,
                used: member.allowance.used(),
                flows: member.flows,
                dropped: member.dropped,
                round_trip: member.round_trip,
                queue_delay: member.queued_for.at(now),
            };
            (member.peer.public_key, stats)
        });
        let peers: std::collections::BTreeMap<_, _> = peers.collect();
        let flows = peers.values().fold(Flows::default(), |sum, peer| sum + peer.flows);
        Stats {
            listening: link.wire.addresses().to_vec(),
            receive_buffer: link.wire.receive_buffer(),
            peers,
            handshakes: link.handshakes,
            cookies: link.cookies,
            drops: link.drops.clone(),
            denied: self.core.denied.clone(),
            flows,
            retransmits: self.core.retransmits,
            round_trips: self.core.round_trips,
            queue_delays: link.queue_delays,
            ping: self.echo.closed().map(ToOwned::to_owned),
            dns: self.dns.counters(),
        }
    }
}

fn random_seed() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

/// The system's generator does not fail once it has worked, and it has at the start.
fn random_slot() -> u32 {
    getrandom::u32().unwrap_or_default()
}
