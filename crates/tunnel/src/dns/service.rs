//! The forwarder's sockets: a fresh one for each question that goes out, so that its port is as random as the system makes it.

use std::{collections::HashMap, io, net::SocketAddr, time::Duration};

use mio::{Interest, net::UdpSocket};

use super::{Action, Client, Counters, Forwarder, Ticket};
use crate::{
    core::{Core, Timer},
    link::Emit as _,
    packet::{Packet, Udp, build},
    path::{Kind, token},
    peers::PeerId,
    slots::Slots,
};

/// The port of DNS.
pub(crate) const PORT: u16 = 53;
/// No answer that we take is longer.
const LONGEST: usize = 4096;

struct Lookup {
    ticket: Ticket,
    socket: UdpSocket,
}

/// DNS on the tunnel's addresses, if it is switched on.
pub(crate) struct DnsService {
    forwarder: Option<Forwarder>,
    lookups: Slots<Lookup>,
    by_ticket: HashMap<Ticket, usize>,
    ready: Vec<usize>,
    /// The earliest entry that the timer wheel holds.
    wake: Option<Duration>,
}

impl DnsService {
    pub(crate) fn new(resolvers: Option<Vec<SocketAddr>>) -> Self {
        Self {
            forwarder: resolvers.map(Forwarder::new),
            lookups: Slots::new(),
            by_ticket: HashMap::new(),
            ready: Vec::new(),
            wake: None,
        }
    }

    /// Whether a datagram or connection to this port of ours is for the forwarder.
    pub(crate) fn takes(&self, port: u16) -> bool {
        port == PORT && self.forwarder.is_some()
    }

    /// Where a connection to it is passed on to.
    pub(crate) fn tcp_resolver(&self) -> Option<SocketAddr> {
        self.forwarder.as_ref().and_then(Forwarder::tcp_resolver)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.forwarder.as_ref().map(Forwarder::counters).unwrap_or_default()
    }

    /// A question of a peer's.
    pub(crate) fn receive(&mut self, core: &mut Core, peer: PeerId, packet: &Packet<'_>, udp: &Udp<'_>) {
        if packet.verify().is_err() {
            return core.link.dropped_of(peer, "checksum");
        }
        let from = SocketAddr::new(packet.source, udp.source_port);
        let to = SocketAddr::new(packet.destination, udp.destination_port);
        let (Some(forwarder), Ok(random)) = (&mut self.forwarder, getrandom::u32()) else { return };
        let id = (random & 0xffff) as u16;
        let actions = forwarder.question(core.boot(), Client { user: peer, from, to }, udp.payload, id);
        self.act(core, actions);
    }

    /// The system says that a lookup's socket is ready.
    pub(crate) fn ready(&mut self, place: usize) {
        self.ready.push(place);
    }

    /// Takes the answers that have come.
    pub(crate) fn settle(&mut self, core: &mut Core) {
        for place in std::mem::take(&mut self.ready) {
            self.take_answers(core, place);
        }
    }

    /// The timer has come.
    pub(crate) fn woken(&mut self, core: &mut Core) {
        self.wake = None;
        let actions = self.forwarder.as_mut().map(|forwarder| forwarder.expire(core.boot()));
        self.act(core, actions.unwrap_or_default());
    }

    /// A peer is gone.
    pub(crate) fn forget_peer(&mut self, peer: PeerId) {
        if let Some(forwarder) = &mut self.forwarder {
            forwarder.forget(peer);
        }
    }

    fn take_answers(&mut self, core: &mut Core, place: usize) {
        let mut buffer = [0; LONGEST];
        while let Some(Lookup { ticket, socket }) = self.lookups.get_mut(place) {
            let (ticket, received) = (*ticket, socket.recv(&mut buffer));
            let Some(forwarder) = &mut self.forwarder else { return };
            let actions = match received {
                Ok(length) => forwarder.answer(core.boot(), ticket, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => forwarder.unreachable(core.boot(), ticket),
            };
            self.act(core, actions);
        }
    }

    fn act(&mut self, core: &mut Core, actions: Vec<Action>) {
        let mut actions = std::collections::VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Reply { client, message } => reply(core, client, &message),
                Action::Close { ticket } => self.close(ticket),
                Action::Ask { ticket, resolver, message } => {
                    self.close(ticket);
                    if self.ask(core, ticket, resolver, &message).is_err()
                        && let Some(forwarder) = &mut self.forwarder
                    {
                        actions.extend(forwarder.unreachable(core.boot(), ticket));
                    }
                }
            }
        }
        self.set_timer(core);
    }

    fn ask(&mut self, core: &Core, ticket: Ticket, resolver: SocketAddr, message: &[u8]) -> io::Result<()> {
        let any: SocketAddr = if resolver.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let mut socket = UdpSocket::bind(any)?;
        socket.connect(resolver)?;
        let token = token(Kind::Dns, self.lookups.next_place());
        core.registry.register(&mut socket, token, Interest::READABLE)?;
        socket.send(message)?;
        self.by_ticket.insert(ticket, self.lookups.insert(Lookup { ticket, socket }));
        Ok(())
    }

    fn close(&mut self, ticket: Ticket) {
        if let Some(place) = self.by_ticket.remove(&ticket) {
            self.lookups.remove(place);
        }
    }

    fn set_timer(&mut self, core: &mut Core) {
        let Some(at) = self.forwarder.as_ref().and_then(Forwarder::next_wake) else { return };
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            core.wheel.insert(at, Timer::Dns);
        }
    }
}

fn reply(core: &mut Core, client: Client, message: &[u8]) {
    if let Some(packet) = build::udp(client.to, client.from, message) {
        core.link.to(client.user).send(&packet);
    }
}
