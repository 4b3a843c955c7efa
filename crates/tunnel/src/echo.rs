//! Echoes: the world is asked by the system's datagram sockets for ICMP, which need no privilege where the system's
//! `net.ipv4.ping_group_range` holds the process's group.
//!
//! A reply goes to the user when one has come, and never otherwise. Where the sockets cannot be had, the user is told that
//! it is prohibited, and [`EchoFlows::closed`] says why. What the network says instead of a reply is translated too, so
//! that `traceroute -I` shows the way.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bowline_host::undelivered::{self, Undelivered};
use mio::{Interest, net::UdpSocket};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{
    core::Core,
    egress::Transport,
    packet::{
        self, Echo, Packet, build,
        icmp::{self, Trouble},
    },
    path::{Kind, token},
    peers::PeerId,
    slots::Slots,
};

/// How long a program's echoes are waited for after its last question.
const PATIENCE: Duration = Duration::from_secs(30);
/// Programs of one user that ask at once.
const MOST_OF_ONE: usize = 64;
/// Hosts that one program may wait for.
const MOST_ASKED: usize = 256;
/// Datagrams taken in one turn.
const TURN: usize = 64;
const LONGEST: usize = 65_535;

/// Every program that asks.
pub(crate) struct EchoFlows {
    flows: Slots<Flow>,
    by_program: HashMap<Program, usize>,
    ready: Vec<usize>,
    closed: Option<String>,
    buffer: Vec<u8>,
}

/// What asks: one run of `ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Program {
    peer: PeerId,
    user: IpAddr,
    id: u16,
}

struct Flow {
    program: Program,
    socket: UdpSocket,
    hop_limit: u8,
    asked: VecDeque<IpAddr>,
    last_used: Duration,
    ready: bool,
}

impl EchoFlows {
    /// Finds out whether the sockets can be had.
    pub(crate) fn new() -> Self {
        let closed = no_ping();
        let (flows, by_program) = (Slots::new(), HashMap::new());
        Self { flows, by_program, ready: Vec::new(), closed, buffer: vec![0; LONGEST] }
    }

    /// Why nobody can be asked, as far as is known.
    pub(crate) fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// A question of a peer's to somebody in the world.
    pub(crate) fn receive(&mut self, core: &mut Core, peer: PeerId, packet: &Packet<'_>, echo: &Echo<'_>) {
        if packet.verify().is_err() {
            return core.link.dropped_of(peer, "checksum");
        }
        let Some(to) = core.allowed(peer, Transport::Icmp, packet, 0) else { return };
        if to.is_ipv4() != packet.source.is_ipv4() {
            return core.trouble(peer, packet, Trouble::Network);
        }
        let program = Program { peer, user: packet.source, id: echo.id };
        let place = match self.by_program.get(&program) {
            Some(place) => *place,
            None => match self.begin(core, program) {
                Ok(Some(place)) => place,
                Ok(None) => return core.link.dropped_of(peer, "too many flows"),
                Err(error) => {
                    self.closed = Some(why_closed(&error));
                    core.link.dropped_of(peer, "no echo socket");
                    return core.trouble(peer, packet, Trouble::Prohibited);
                }
            },
        };
        self.ask(core, place, packet, to, echo);
    }

    /// The system says that a socket is ready.
    pub(crate) fn ready(&mut self, place: usize) {
        if let Some(flow) = self.flows.get_mut(place)
            && !std::mem::replace(&mut flow.ready, true)
        {
            self.ready.push(place);
        }
    }

    /// Carries what has come for the users. `true` if there is more.
    pub(crate) fn settle(&mut self, core: &mut Core) -> bool {
        for place in std::mem::take(&mut self.ready) {
            if let Some(flow) = self.flows.get_mut(place) {
                flow.ready = false;
                flow.settle_errors(core);
                if flow.carry(core, &mut self.buffer) {
                    self.ready(place);
                }
            }
        }
        !self.ready.is_empty()
    }

    /// Forgets programs that ask no more.
    pub(crate) fn next_second(&mut self, core: &mut Core) {
        let now = core.boot();
        self.forget(core, |flow| now.saturating_sub(flow.last_used) > PATIENCE);
    }

    /// A peer is gone.
    pub(crate) fn forget_peer(&mut self, core: &mut Core, peer: PeerId) {
        self.forget(core, |flow| flow.program.peer == peer);
    }

    fn forget(&mut self, core: &mut Core, which: impl Fn(&Flow) -> bool) {
        let places: Vec<usize> = self.flows.iter().filter(|(_, flow)| which(flow)).map(|(place, _)| place).collect();
        for place in places {
            let Some(flow) = self.flows.remove(place) else { continue };
            self.by_program.remove(&flow.program);
            if let Some(member) = core.link.peers.get(flow.program.peer) {
                member.flows.echo = member.flows.echo.saturating_sub(1);
            }
        }
    }

    /// None if the user has too many already.
    fn begin(&mut self, core: &mut Core, program: Program) -> io::Result<Option<usize>> {
        let Some(member) = core.link.peers.get(program.peer) else { return Ok(None) };
        if member.flows.echo >= MOST_OF_ONE.min(member.allowance.limits().flows) {
            return Ok(None);
        }
        let mut socket = open(program.user.is_ipv4())?;
        undelivered::keep_errors(&socket, program.user)?;
        let token = token(Kind::Echo, self.flows.next_place());
        core.registry.register(&mut socket, token, Interest::READABLE)?;
        member.flows.echo += 1;
        self.closed = None;
        let (hop_limit, last_used) = (0, core.boot());
        let flow = Flow { program, socket, hop_limit, asked: VecDeque::new(), last_used, ready: false };
        let place = self.flows.insert(flow);
        self.by_program.insert(program, place);
        Ok(Some(place))
    }

    fn ask(&mut self, core: &mut Core, place: usize, packet: &Packet<'_>, to: SocketAddr, echo: &Echo<'_>) {
        let Some(flow) = self.flows.get_mut(place) else { return };
        flow.last_used = core.boot();
        flow.settle_errors(core);
        if let Err(error) = flow.ask(packet.hop_limit, to, echo) {
            let trouble = error.raw_os_error().and_then(Trouble::of_errno);
            core.trouble(flow.program.peer, packet, trouble.unwrap_or(Trouble::Host));
        }
    }
}

impl Flow {
    fn ask(&mut self, hop_limit: u8, to: SocketAddr, echo: &Echo<'_>) -> io::Result<()> {
        // We are a hop too.
        let hop_limit = hop_limit.saturating_sub(1).max(1);
        if self.hop_limit != hop_limit {
            set_hop_limit(&self.socket, to.is_ipv4(), hop_limit)?;
            self.hop_limit = hop_limit;
        }
        if !self.asked.contains(&to.ip()) {
            self.asked.push_back(to.ip());
        }
        if self.asked.len() > MOST_ASKED {
            self.asked.pop_front();
        }
        // The system writes an id of its own, and the checksum.
        let kind = if to.is_ipv4() { 8 } else { 128 };
        let [high, low] = echo.sequence.to_be_bytes();
        let mut message = vec![kind, 0, 0, 0, 0, 0, high, low];
        message.extend_from_slice(echo.data);
        match self.socket.send_to(&message, to) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Tells the user what the network says.
    fn settle_errors(&self, core: &mut Core) {
        while let Ok(Some(undelivered)) = undelivered::next_error(&self.socket) {
            let Some(trouble) = Trouble::of_undelivered(&undelivered, core.mtu) else { continue };
            let from = undelivered.told_by.unwrap_or_else(|| core.own_address(undelivered.to.ip()));
            let sent = self.question(&undelivered);
            if let Some(Ok(about)) = sent.as_deref().map(Packet::parse)
                && let Some(error) = icmp::error(&about, trouble, from)
            {
                core.send(self.program.peer, error);
            }
        }
    }

    /// The user's question that an error is about.
    fn question(&self, undelivered: &Undelivered) -> Option<Vec<u8>> {
        let [high, low] = *undelivered.sent.get(6..8)?.first_chunk::<2>()?;
        let data = undelivered.sent.get(8..).unwrap_or_default();
        let echo = Echo { id: self.program.id, sequence: u16::from_be_bytes([high, low]), data };
        build::echo_request(self.program.user, undelivered.to.ip(), &echo)
    }

    /// Carries replies to the user. `true` if there may be more.
    fn carry(&mut self, core: &mut Core, buffer: &mut [u8]) -> bool {
        for _ in 0..TURN {
            match self.socket.recv_from(buffer) {
                Ok((length, from)) => self.reply(core, from.ip().to_canonical(), &buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // One that the error queue has told of; what is behind it is still there.
                Err(_) => self.settle_errors(core),
            }
        }
        true
    }

    fn reply(&mut self, core: &mut Core, from: IpAddr, message: &[u8]) {
        let number = if from.is_ipv4() { packet::protocol::ICMP } else { packet::protocol::ICMPV6 };
        let Ok(packet::Transport::EchoReply(echo)) = packet::transport(number, message) else { return };
        if !self.asked.contains(&from) {
            return core.link.dropped_of(self.program.peer, "unasked");
        }
        self.last_used = core.boot();
        let reply = build::echo_reply(from, self.program.user, &Echo { id: self.program.id, ..echo });
        if let Some(reply) = reply {
            core.send(self.program.peer, reply);
        }
    }
}

/// Why the system lets no user of a tunnel in this process ping; `None` where it does.
#[must_use]
pub fn no_ping() -> Option<String> {
    open(true).err().map(|error| why_closed(&error))
}

/// A socket for echoes. It is a datagram socket like any other, but for what it speaks.
fn open(v4: bool) -> io::Result<UdpSocket> {
    let (domain, protocol) = if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(UdpSocket::from_std(socket.into()))
}

fn set_hop_limit(socket: &UdpSocket, v4: bool, hop_limit: u8) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if v4 { socket.set_ttl_v4(hop_limit.into()) } else { socket.set_unicast_hops_v6(hop_limit.into()) }
}

fn why_closed(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "net.ipv4.ping_group_range does not hold the group of this process".to_owned(),
        _ => format!("no socket for ICMP: {error}"),
    }
}
