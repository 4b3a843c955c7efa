//! Between the wire and the flows: which peer a datagram is from, and packets sealed into batches on their way out.
//!
//! A peer's endpoint changes with its authentic datagrams and with nothing else. What is not authentic is counted and
//! dropped in silence.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use bowline_base::Now;
use bowline_host::metrics::Spread;

use crate::{
    batch::Batch,
    fair,
    limits::Over,
    noise::{Claim, Door, HANDSHAKE_ROOM, OVERHEAD, Output, Which},
    packet::Packet,
    peers::{PeerId, Peers, Way},
    wheel,
    wire::{Endpoint, Wire},
};

/// The longest inner packet that is handled, reassembled ones included.
pub(crate) const LONGEST: usize = 65_535;

/// The type of the message that carries a cookie.
const COOKIE: u8 = 3;
/// The type of the message that carries a packet, or none as a keepalive.
const DATA: u8 = 4;

/// Where flows put their packets for a peer.
pub(crate) trait Emit {
    /// Has `write` fill a packet of `len` bytes, and sends it.
    fn emit(&mut self, len: usize, write: &mut dyn FnMut(&mut [u8]));

    /// Whether more should be emitted now. What is emitted nevertheless may be lost.
    fn has_room(&mut self) -> bool {
        true
    }

    /// Sends a packet.
    fn send(&mut self, packet: &[u8]) {
        self.emit(packet.len(), &mut |room| room.copy_from_slice(packet));
    }
}

/// The wire, the peers and the batch in the making.
pub(crate) struct Link {
    pub(crate) wire: Wire,
    pub(crate) peers: Peers,
    pub(crate) now: Now,
    pub(crate) drops: BTreeMap<&'static str, u64>,
    pub(crate) handshakes: u64,
    pub(crate) cookies: u64,
    /// How long packets waited because of a limit.
    pub(crate) queue_delays: Spread,
    /// Peers whose timers have to be looked after from now on.
    pub(crate) awoken: Vec<PeerId>,
    /// Peers whose queues may go on at that time.
    pub(crate) queued: Vec<(PeerId, Way, Duration)>,
    door: Door,
    batch: Batch,
    /// Packets are written here before they are sealed.
    clear: Vec<u8>,
    /// Handshake messages, and what is opened of datagrams.
    opened: Vec<u8>,
    mtu: usize,
}

impl Link {
    pub(crate) fn new(wire: Wire, peers: Peers, door: Door, mtu: u16, now: Now) -> Self {
        Self {
            wire,
            peers,
            now,
            drops: BTreeMap::new(),
            handshakes: 0,
            cookies: 0,
            queue_delays: Spread::default(),
            awoken: Vec::new(),
            queued: Vec::new(),
            door,
            batch: Batch::new(),
            clear: vec![0; LONGEST + 16],
            opened: vec![0; LONGEST + 16],
            mtu: mtu.into(),
        }
    }

    /// Packets for `peer`.
    pub(crate) fn to(&mut self, peer: PeerId) -> ToPeer<'_> {
        ToPeer { link: self, peer }
    }

    /// Opens a datagram. An inner packet is left in `into`, which is as long as the packet then.
    pub(crate) fn open(&mut self, from: Endpoint, datagram: &[u8], into: &mut Vec<u8>) -> Option<PeerId> {
        let address = from.remote.ip().to_canonical();
        let found = match self.door.claim(address, datagram) {
            Claim::Slot(slot) => self.peers.by_slot(slot),
            Claim::Initiation(key, which) => self.initiated(key, which).map(|peer| (peer, which)),
            Claim::Refused(reason) => return self.dropped(reason),
            Claim::Cookie(reply) => {
                self.cookies += 1;
                self.send_raw(from, &reply);
                return None;
            }
        };
        let Some((peer, which)) = found else { return self.dropped("unknown peer") };
        self.open_as(peer, which, from, datagram, into).then_some(peer)
    }

    /// Moves a peer's timers on, if it is time. `false` when it has no session and needs no further ticks.
    pub(crate) fn tick(&mut self, peer: PeerId) -> bool {
        let Some(member) = self.peers.get(peer) else { return false };
        let (endpoint, speaks_to, mut lives) = (member.endpoint, member.speaks_to, false);
        for which in Which::BOTH {
            let Some(noise) = member.noise(which) else { continue };
            match noise.tick(&mut self.opened[..HANDSHAKE_ROOM]) {
                Output::Refused(_) => {}
                Output::Datagram(datagram) => {
                    lives = true;
                    // What comes of a key that the peer has turned away from, it would not understand.
                    if let Some(to) = endpoint.filter(|_| which == speaks_to) {
                        let _ = self.wire.send(to, datagram, datagram.len());
                    }
                }
                _ => lives = true,
            }
        }
        lives
    }

    /// To be called each second.
    pub(crate) fn next_second(&mut self) {
        self.door.next_second();
    }

    /// Sends what the batch holds.
    pub(crate) fn flush(&mut self) {
        if let Some((to, contents, segment)) = self.batch.take()
            && self.wire.send(to, contents, segment).is_err()
        {
            *self.drops.entry("not sent").or_default() += 1;
        }
    }

    /// Counts a drop.
    pub(crate) fn dropped<T>(&mut self, reason: &'static str) -> Option<T> {
        *self.drops.entry(reason).or_default() += 1;
        None
    }

    /// Counts a drop of a known peer's.
    pub(crate) fn dropped_of(&mut self, peer: PeerId, reason: &'static str) {
        *self.drops.entry(reason).or_default() += 1;
        if let Some(member) = self.peers.get(peer) {
            member.dropped += 1;
        }
    }

    /// The peer of an initiation. Its timers are moved on first: they stood still if it was asleep.
    fn initiated(&mut self, key: crate::PublicKey, which: Which) -> Option<PeerId> {
        let peer = self.peers.by_key(key)?;
        let member = self.peers.get(peer)?;
        let _ = member.awake(&self.door, which).tick(&mut self.opened[..HANDSHAKE_ROOM]);
        Some(peer)
    }

    /// Whether an inner packet came out, whose source is the peer's own.
    fn open_as(&mut self, peer: PeerId, which: Which, from: Endpoint, datagram: &[u8], into: &mut Vec<u8>) -> bool {
        let handshake = matches!(datagram.first(), Some(1 | 2));
        let Some(member) = self.peers.get(peer) else { return false };
        let Some(noise) = member.noise(which) else { return self.dropped::<()>("no session").is_some() };
        into.resize(datagram.len().max(HANDSHAKE_ROOM), 0);
        let (len, source) = match noise.open(datagram, into) {
            Output::Refused(reason) => return self.dropped::<()>(reason).is_some(),
            Output::Packet(packet, source) => (packet.len(), Some(source)),
            Output::Datagram(reply) => (reply.len(), None),
            Output::Nothing => (0, None),
        };
        if datagram.first() == Some(&DATA) {
            member.speaks_to = which;
        }
        // A cookie is not proof enough: the initiation that it answers may have been seen by others. Neither is an
        // initiation for the key that it does not speak to: that may be an old one, sent again by anybody.
        if datagram.first() != Some(&COOKIE) && which == member.speaks_to {
            member.endpoint = Some(from);
        }
        let asleep = member.next_tick.is_none();
        self.awoken.extend(asleep.then_some(peer));
        let Some(source) = source else {
            self.answered((peer, which), from, into.get(..len).unwrap_or_default(), handshake);
            return false;
        };
        self.accepted(peer, source, len, into)
    }

    fn accepted(&mut self, peer: PeerId, source: IpAddr, len: usize, packet: &mut Vec<u8>) -> bool {
        let now = self.now.boot;
        let Some(member) = self.peers.get(peer) else { return false };
        if !member.owns(source) {
            self.dropped_of(peer, "foreign source");
            return false;
        }
        packet.truncate(len);
        match member.allowance.upload_ready(now) {
            Err(None) => self.dropped_of(peer, Over::Quota.label()),
            Ok(()) if member.uploads.is_empty() => {
                member.came(len);
                return true;
            }
            waits => self.hold(peer, packet, waits.err().flatten()),
        }
        false
    }

    /// Keeps a packet that came too early until its time comes in `wait`.
    fn hold(&mut self, peer: PeerId, packet: &[u8], wait: Option<Duration>) {
        let now = self.now.boot;
        let Some(member) = self.peers.get(peer) else { return };
        if !member.uploads.push(now, fair::flow_of(packet), packet.to_vec()) {
            self.dropped_of(peer, Over::Rate.label());
        }
        self.wake_in(peer, Way::Up, wait.unwrap_or_default());
    }

    /// The next of the packets that came too early, if its time has come.
    pub(crate) fn next_upload(&mut self, peer: PeerId, into: &mut Vec<u8>) -> bool {
        let now = self.now.boot;
        let Some(member) = self.peers.get(peer).filter(|member| !member.uploads.is_empty()) else { return false };
        match member.allowance.upload_ready(now) {
            Err(None) => return false,
            Err(Some(wait)) => {
                self.wake_in(peer, Way::Up, wait);
                return false;
            }
            Ok(()) => {}
        }
        let Some(turn) = member.uploads.pop(now) else { return false };
        // Its addresses may have changed meanwhile.
        if !Packet::parse(&turn.packet).is_ok_and(|packet| member.owns(packet.source)) {
            self.dropped_of(peer, "foreign source");
            into.clear();
            return true;
        }
        member.came(turn.packet.len());
        self.queue_delays.observe(turn.waited);
        *into = turn.packet;
        true
    }

    /// Whether the time has come that was set for what waits that way.
    pub(crate) fn is_due(&mut self, peer: PeerId, way: Way) -> bool {
        let now = self.now.boot;
        self.peers.get(peer).is_some_and(|member| member.wake(way).take_if(|at| *at <= now).is_some())
    }

    /// Sees to it that what waits goes on, unless that is seen to already.
    fn wake_in(&mut self, peer: PeerId, way: Way, wait: Duration) {
        let at = self.now.boot + wait.min(wheel::REACH);
        let Some(wake) = self.peers.get(peer).map(|member| member.wake(way)) else { return };
        if wake.is_none() {
            *wake = Some(at);
            self.queued.push((peer, way, at));
        }
    }

    /// Sends the answer of a handshake, and what waited for it.
    fn answered(&mut self, (peer, which): (PeerId, Which), from: Endpoint, reply: &[u8], handshake: bool) {
        let wall = self.now.wall;
        if !reply.is_empty() {
            let _ = self.wire.send(from, reply, reply.len());
        }
        let Some(member) = self.peers.get(peer) else { return };
        if handshake && !reply.is_empty() {
            member.last_handshake = Some(wall);
            self.handshakes += 1;
        }
        while let Some(noise) = member.noise(which)
            && let Output::Datagram(waited) = noise.open(&[], &mut self.opened)
        {
            let _ = self.wire.send(from, waited, waited.len());
        }
    }

    fn send_raw(&mut self, to: Endpoint, datagram: &[u8]) {
        if self.wire.send(to, datagram, datagram.len()).is_err() {
            self.dropped::<()>("not sent");
        }
    }

    /// Whether the first `len` bytes of `clear` go now. If not, they wait in the peer's queue or are dropped.
    fn may_go(&mut self, peer: PeerId, len: usize) -> bool {
        let now = self.now.boot;
        let Some(member) = self.peers.get(peer) else { return false };
        let ready = match member.allowance.download_ready(now) {
            Err(None) => {
                self.dropped_of(peer, Over::Quota.label());
                return false;
            }
            ready => ready.is_ok() && member.queue.is_empty(),
        };
        if !ready {
            let packet = &self.clear[..len];
            if !member.queue.push(now, fair::flow_of(packet), packet.to_vec()) {
                self.dropped_of(peer, "queue_full");
            }
            self.drain(peer);
        }
        ready
    }

    /// Sends what waits for a peer, as far as its limit allows, and sees to it that the rest comes later.
    pub(crate) fn drain(&mut self, peer: PeerId) {
        let now = self.now.boot;
        while let Some(member) = self.peers.get(peer) {
            match member.allowance.download_ready(now) {
                Err(None) => return,
                Err(Some(_)) if member.queue.is_empty() => return,
                Err(Some(wait)) => return self.wake_in(peer, Way::Down, wait),
                Ok(()) => {}
            }
            let Some(turn) = member.queue.pop(now) else { return };
            member.queued_for.observe(now, turn.waited);
            self.queue_delays.observe(turn.waited);
            self.clear[..turn.packet.len()].copy_from_slice(&turn.packet);
            self.seal(peer, turn.packet.len());
        }
    }

    /// Seals the first `len` bytes of `clear` into the batch.
    fn seal(&mut self, peer: PeerId, len: usize) {
        let Some(member) = self.peers.get(peer) else { return };
        let Some(to) = member.endpoint else { return };
        let padded = padded(len, self.mtu);
        self.clear[len..padded].fill(0);
        let size = padded + OVERHEAD;
        if !self.batch.takes(to, size, self.wire.most_segments(to.socket)) {
            self.flush();
        }
        let Some(member) = self.peers.get(peer) else { return };
        member.sent += len as u64;
        member.allowance.downloaded(len);
        let asleep = member.next_tick.is_none();
        self.awoken.extend(asleep.then_some(peer));
        let speaks_to = member.speaks_to;
        match member.awake(&self.door, speaks_to).seal(&self.clear[..padded], self.batch.room()) {
            Output::Datagram(datagram) if datagram.first() == Some(&DATA) => {
                let size = datagram.len();
                self.batch.push(to, size);
            }
            Output::Datagram(handshake) => {
                let handshake = handshake.to_vec();
                self.send_raw(to, &handshake);
            }
            _ => {}
        }
    }
}

/// Packets for one peer.
pub(crate) struct ToPeer<'a> {
    link: &'a mut Link,
    peer: PeerId,
}

impl Emit for ToPeer<'_> {
    fn has_room(&mut self) -> bool {
        self.link.peers.get(self.peer).is_none_or(|member| !member.queue.is_full())
    }

    fn emit(&mut self, len: usize, write: &mut dyn FnMut(&mut [u8])) {
        if let Some(room) = self.link.clear.get_mut(..len) {
            write(room);
            if self.link.may_go(self.peer, len) {
                self.link.seal(self.peer, len);
            }
        }
    }
}

/// Packets are padded to 16 bytes, but not beyond the MTU.
fn padded(len: usize, mtu: usize) -> usize {
    len.next_multiple_of(16).min(mtu).max(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_padded_but_not_beyond_the_mtu() {
        let cases = [(0, 0), (1, 16), (16, 16), (60, 64), (1419, 1420), (1420, 1420), (1500, 1500)];
        for (len, expected) in cases {
            assert_eq!(padded(len, 1420), expected, "{len}");
        }
    }
}
