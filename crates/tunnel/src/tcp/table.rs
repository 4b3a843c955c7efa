//! All TCP flows: which one a segment belongs to, how many a peer may have, and what has ended a short while ago.

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    net::SocketAddr,
    time::Duration,
};

use mio::{Interest, event::Event, net::TcpStream};
use socket2::SockRef;

use super::{
    Phase,
    flow::{Flow, Key, Stage, Turn},
    smol::Smol,
};
use crate::{
    core::{Core, Timer},
    dns,
    egress::Transport,
    link::Emit as _,
    packet::{Flags, Packet, Tcp, build, icmp::Trouble},
    path::{Kind, token},
    peers::PeerId,
    slots::Slots,
    wheel::REACH,
};

/// A host that does not answer is given up after this long; the user's own system asks again meanwhile.
const DIAL_FOR: Duration = Duration::from_secs(15);

/// A connection without a packet for this long is forgotten (RFC 5382 says not before two hours and four minutes).
const IDLE: Duration = Duration::from_secs(2 * 3600 + 5 * 60);

/// How long a connection that we closed first is kept in mind.
const TIME_WAIT: Duration = Duration::from_secs(15);
const MOST_IN_MIND: usize = 65_536;

/// Room each way: for the flows that begin while their peer has few, and for the rest.
const LARGE: usize = 1 << 20;
const SMALL: usize = 64 << 10;
/// Flows of one peer with large buffers, and of all.
const LARGE_OF_ONE: usize = 64;
const LARGE_OF_ALL: usize = 512;

/// Every TCP flow, and what is left of those that ended.
pub(crate) struct TcpFlows {
    flows: Slots<Flow>,
    by_key: HashMap<Key, usize>,
    ended: HashMap<Key, Ended>,
    ended_order: VecDeque<(Duration, Key)>,
    touched: Vec<usize>,
    /// Most segments belong to the flow of the one before.
    last: Option<(Key, usize)>,
    seed: u64,
}

#[derive(Clone, Copy)]
struct Ended {
    until: Duration,
    sequence: u32,
    acknowledgement: u32,
}

impl TcpFlows {
    /// `seed` makes the flows' first numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            flows: Slots::new(),
            by_key: HashMap::new(),
            ended: HashMap::new(),
            ended_order: VecDeque::new(),
            touched: Vec::new(),
            last: None,
            seed,
        }
    }

    /// A segment of a peer's.
    pub(crate) fn receive(&mut self, core: &mut Core, peer: PeerId, packet: &Packet<'_>, tcp: &Tcp<'_>) {
        let user = SocketAddr::new(packet.source, tcp.source_port);
        let server = SocketAddr::new(packet.destination, tcp.destination_port);
        let key = Key { peer, user, server };
        match self.find(key) {
            Some(place) => self.deliver(core, place, packet, tcp),
            None if tcp.opens() => self.open(core, key, packet, tcp),
            None => self.stray(core, key, packet, tcp),
        }
    }

    /// The system says that a socket is ready.
    pub(crate) fn ready(&mut self, core: &mut Core, place: usize, event: &Event) {
        let Some(flow) = self.flows.get_mut(place) else { return };
        flow.ready(event);
        if matches!(flow.stage, Stage::Dialling { .. }) {
            self.answer(core, place);
        } else {
            self.touch(place);
        }
    }

    /// A timer of a flow's has come.
    pub(crate) fn woken(&mut self, core: &mut Core, place: usize) {
        let now = core.boot();
        let Some(flow) = self.flows.get_mut(place).filter(|flow| flow.wake.is_some_and(|wake| wake <= now)) else {
            return;
        };
        flow.wake = None;
        match flow.stage {
            Stage::Dialling { deadline, .. } if now >= deadline => self.failed(core, place, Some(Trouble::Host)),
            Stage::Dialling { deadline, .. } => self.wake_at(core, place, deadline),
            Stage::Relaying(_) => self.touch(place),
        }
    }

    /// Gives every flow that something happened to its turn. `true` if there is more to do.
    pub(crate) fn settle(&mut self, core: &mut Core) -> bool {
        for place in std::mem::take(&mut self.touched) {
            self.turn(core, place);
        }
        !self.touched.is_empty()
    }

    /// Forgets what has ended long ago; now and then what has been silent for hours.
    pub(crate) fn next_second(&mut self, core: &mut Core) {
        let now = core.boot();
        while let Some((until, key)) = self.ended_order.front().copied()
            && (until <= now || self.ended_order.len() > MOST_IN_MIND)
        {
            self.ended_order.pop_front();
            if self.ended.get(&key).is_some_and(|ended| ended.until == until) {
                self.ended.remove(&key);
            }
        }
        if now.as_secs().is_multiple_of(64) {
            let idle = |flow: &Flow| now.saturating_sub(flow.last_used) > IDLE;
            let idle: Vec<usize> = self.flows.iter().filter(|(_, flow)| idle(flow)).map(|(place, _)| place).collect();
            idle.into_iter().for_each(|place| self.cut(core, place));
        }
    }

    /// Ends every flow of a peer's at once.
    pub(crate) fn forget_peer(&mut self, core: &mut Core, peer: PeerId) {
        let of_peer = |flow: &Flow| flow.key.peer == peer;
        let places: Vec<usize> = self.flows.iter().filter(|(_, flow)| of_peer(flow)).map(|(place, _)| place).collect();
        places.into_iter().for_each(|place| self.cut(core, place));
        self.ended.retain(|key, _| key.peer != peer);
    }

    fn find(&mut self, key: Key) -> Option<usize> {
        if let Some((last, place)) = self.last
            && last == key
        {
            return Some(place);
        }
        let place = *self.by_key.get(&key)?;
        self.last = Some((key, place));
        Some(place)
    }

    fn deliver(&mut self, core: &mut Core, place: usize, packet: &Packet<'_>, tcp: &Tcp<'_>) {
        let now = core.boot();
        let Some(flow) = self.flows.get_mut(place) else { return };
        flow.last_used = now;
        let (key, peer) = (flow.key, flow.key.peer);
        match &mut flow.stage {
            // One dial, however often the user asks; if it asks no more, nobody waits for the answer.
            Stage::Dialling { .. } if tcp.flags.has(Flags::RST) => self.forget(core, place),
            Stage::Dialling { .. } => {}
            Stage::Relaying(state) if tcp.opens() && matches!(state.phase(), Phase::TimeWait { .. }) => {
                self.forget(core, place);
                self.open(core, key, packet, tcp);
            }
            Stage::Relaying(state) => {
                state.receive(now, packet.bytes(), &mut core.link.to(peer));
                self.touch(place);
            }
        }
    }

    /// Dials, if the policy and the peer's limits let it.
    fn open(&mut self, core: &mut Core, key: Key, packet: &Packet<'_>, tcp: &Tcp<'_>) {
        if packet.verify().is_err() {
            return core.link.dropped_of(key.peer, "checksum");
        }
        let ours = core.addresses.contains(&packet.destination);
        let address = match core.tcp_resolver.filter(|_| ours && key.server.port() == dns::PORT) {
            Some(resolver) => resolver,
            None if ours => return core.reset(key.peer, packet, tcp),
            None => match core.allowed(key.peer, Transport::Tcp, packet, key.server.port()) {
                Some(address) => address,
                None => return,
            },
        };
        let Some(member) = core.link.peers.get(key.peer) else { return };
        if member.flows.tcp + member.flows.udp >= member.allowance.limits().flows {
            core.link.dropped_of(key.peer, "too many flows");
            return core.reset(key.peer, packet, tcp);
        }
        if member.flows.dialling >= member.allowance.limits().dials {
            return core.link.dropped_of(key.peer, "too many dials");
        }
        let dialled = TcpStream::connect(address).and_then(|mut stream| {
            let token = token(Kind::Tcp, self.flows.next_place());
            core.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        });
        match dialled {
            Ok(stream) => self.begin(core, key, stream, packet),
            Err(error) => self.refuse(core, key.peer, packet.bytes(), trouble(&error)),
        }
    }

    fn begin(&mut self, core: &mut Core, key: Key, stream: TcpStream, packet: &Packet<'_>) {
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_keepalive(true);
        let deadline = core.boot() + DIAL_FOR;
        let mut flow = Flow::dialling(key, stream, packet.bytes().to_vec(), deadline);
        flow.last_used = core.boot();
        let place = self.flows.insert(flow);
        self.by_key.insert(key, place);
        self.ended.remove(&key);
        if let Some(member) = core.link.peers.get(key.peer) {
            member.flows.tcp += 1;
            member.flows.dialling += 1;
        }
        self.wake_at(core, place, deadline);
    }

    /// The dial has come to something: the user gets its answer.
    fn answer(&mut self, core: &mut Core, place: usize) {
        let Some(flow) = self.flows.get_mut(place) else { return };
        match flow.dialled() {
            Ok(false) => {}
            Ok(true) => self.establish(core, place),
            Err(error) => self.failed(core, place, trouble(&error)),
        }
    }

    fn establish(&mut self, core: &mut Core, place: usize) {
        let (now, mtu) = (core.boot(), core.mtu);
        let large = self.flows.len() < LARGE_OF_ALL;
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let Some(flow) = self.flows.get_mut(place) else { return };
        let Some(member) = core.link.peers.get(flow.key.peer) else { return };
        member.flows.dialling = member.flows.dialling.saturating_sub(1);
        let buffer = if large && member.flows.tcp < LARGE_OF_ONE { LARGE } else { SMALL };
        let seed = self.seed ^ (self.seed >> 29) ^ now.subsec_nanos() as u64;
        let Stage::Dialling { syn, .. } = &flow.stage else { return };
        let Some(mut state) = Smol::new(flow.key.server, mtu, buffer, seed, now, syn) else {
            return self.forget(core, place);
        };
        super::Tcp::receive(&mut state, now, syn, &mut core.link.to(flow.key.peer));
        flow.stage = Stage::Relaying(Box::new(state));
        self.touch(place);
    }

    /// The dial came to nothing: refused is a reset, everything else an ICMP error.
    fn failed(&mut self, core: &mut Core, place: usize, trouble: Option<Trouble>) {
        let Some(flow) = self.flows.get_mut(place) else { return };
        let (peer, stage) = (flow.key.peer, &mut flow.stage);
        let syn = if let Stage::Dialling { syn, .. } = stage { std::mem::take(syn) } else { Vec::new() };
        self.forget(core, place);
        self.refuse(core, peer, &syn, trouble);
    }

    fn refuse(&self, core: &mut Core, peer: PeerId, syn: &[u8], trouble: Option<Trouble>) {
        let Ok(packet) = Packet::parse(syn) else { return };
        match trouble {
            Some(trouble) if trouble != Trouble::Port => core.trouble(peer, &packet, trouble),
            _ => {
                if let Ok(crate::packet::Transport::Tcp(tcp)) = packet.transport() {
                    core.reset(peer, &packet, &tcp);
                }
            }
        }
    }

    /// A segment of no flow: late, or from before a restart.
    fn stray(&mut self, core: &mut Core, key: Key, packet: &Packet<'_>, tcp: &Tcp<'_>) {
        let Some(ended) = self.ended.get(&key).copied() else {
            return core.reset(key.peer, packet, tcp);
        };
        if tcp.flags.has(Flags::RST) {
            self.ended.remove(&key);
        } else if tcp.length() > 0
            && let Some(segment) = build::acknowledge(key.server, key.user, ended.sequence, ended.acknowledgement)
        {
            core.link.to(key.peer).send(&segment);
        }
    }

    fn touch(&mut self, place: usize) {
        if let Some(flow) = self.flows.get_mut(place)
            && !std::mem::replace(&mut flow.touched, true)
        {
            self.touched.push(place);
        }
    }

    fn turn(&mut self, core: &mut Core, place: usize) {
        let now = core.boot();
        let Some(flow) = self.flows.get_mut(place) else { return };
        flow.touched = false;
        let turn = flow.turn(now, &mut core.link.to(flow.key.peer));
        let Stage::Relaying(state) = &mut flow.stage else { return };
        core.retransmits += state.sent_again();
        if let Some(took) = state.round_trip() {
            core.round_trips.observe(took);
            if let Some(member) = core.link.peers.get(flow.key.peer) {
                member.round_trip = smoothed(member.round_trip, took);
            }
        }
        match state.phase() {
            Phase::Over => self.forget(core, place),
            Phase::Reset => {
                flow.reset_world();
                self.forget(core, place);
            }
            Phase::TimeWait { sequence, acknowledgement } => self.remember(core, place, sequence, acknowledgement),
            Phase::Opening | Phase::Open | Phase::UserFinished => {
                if let Some(at) = state.next_wake(now) {
                    self.wake_at(core, place, at);
                }
                if turn == Turn::Again {
                    self.touch(place);
                }
            }
        }
    }

    /// An entry of the wheel is left alone as long as it comes early enough: who is woken too early looks again.
    fn wake_at(&mut self, core: &mut Core, place: usize, at: Duration) {
        let Some(flow) = self.flows.get_mut(place) else { return };
        if flow.wake.is_none_or(|wake| at < wake) {
            let at = at.min(core.boot() + REACH);
            flow.wake = Some(at);
            core.wheel.insert(at, Timer::Tcp(place));
        }
    }

    /// Both sides have closed: the buffers go, the numbers stay for a while.
    fn remember(&mut self, core: &mut Core, place: usize, sequence: u32, acknowledgement: u32) {
        let until = core.boot() + TIME_WAIT;
        if let Some(flow) = self.flows.get_mut(place) {
            self.ended.insert(flow.key, Ended { until, sequence, acknowledgement });
            self.ended_order.push_back((until, flow.key));
        }
        self.forget(core, place);
    }

    /// Breaks a flow off on both sides.
    fn cut(&mut self, core: &mut Core, place: usize) {
        let now = core.boot();
        let Some(flow) = self.flows.get_mut(place) else { return };
        flow.reset_world();
        if let Stage::Relaying(state) = &mut flow.stage {
            state.abort();
            state.transmit(now, &mut core.link.to(flow.key.peer));
        }
        self.forget(core, place);
    }

    fn forget(&mut self, core: &mut Core, place: usize) {
        let Some(flow) = self.flows.remove(place) else { return };
        self.by_key.remove(&flow.key);
        self.last = None;
        if let Some(member) = core.link.peers.get(flow.key.peer) {
            member.flows.tcp = member.flows.tcp.saturating_sub(1);
            if matches!(flow.stage, Stage::Dialling { .. }) {
                member.flows.dialling = member.flows.dialling.saturating_sub(1);
            }
        }
    }
}

/// One measurement more, of which it takes eight to say something else (RFC 6298).
fn smoothed(so_far: Option<Duration>, took: Duration) -> Option<Duration> {
    Some(so_far.map_or(took, |so_far| (so_far * 7 + took) / 8))
}

/// What the user is told about a dial that failed; none for a reset.
fn trouble(error: &std::io::Error) -> Option<Trouble> {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused => Some(Trouble::Port),
        _ => error.raw_os_error().and_then(Trouble::of_errno),
    }
}
