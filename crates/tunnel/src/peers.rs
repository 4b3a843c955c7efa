//! Every peer: found by key, by the slot that its datagrams name, and by its addresses inside the tunnel.
//!
//! A peer's sessions come to life with its first handshake: one that never comes costs a few hundred bytes.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use bowline_base::Timestamp;

use crate::{
    Limits, Peer, Prefix, PublicKey,
    fair::FairQueue,
    limits::Allowance,
    noise::{Door, Noise, SLOTS, Which},
    peak::Peak,
    stats::Flows,
    wire::Endpoint,
};

/// Where a peer stands in the table, for as long as it is in it.
pub(crate) type PeerId = usize;

/// To a peer or from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
}

/// How often a peer's timers are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Bytes that may wait for a peer whose rate is limited, and of one.
const QUEUE: usize = 512 << 10;
const UPLOADS: usize = 128 << 10;

/// One peer and what is known of it.
pub(crate) struct Member {
    pub(crate) peer: Peer,
    /// What it may use, and has used.
    pub(crate) allowance: Allowance,
    /// What waits because of its limit.
    pub(crate) queue: FairQueue<u64>,
    /// The longest that a packet has waited there of late.
    pub(crate) queued_for: Peak,
    /// How long a byte and its acknowledgement take, of late.
    pub(crate) round_trip: Option<Duration>,
    /// When the timer wheel looks at its queue.
    pub(crate) queue_wake: Option<Duration>,
    /// What it sent beyond its limit.
    pub(crate) uploads: FairQueue<u64>,
    /// When the timer wheel looks at those.
    pub(crate) uploads_wake: Option<Duration>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) last_handshake: Option<Timestamp>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) flows: Flows,
    /// Hosts that its UDP mappings remember.
    pub(crate) contacts: usize,
    /// When the timer wheel has a tick for it.
    pub(crate) next_tick: Option<Duration>,
    /// The key of ours that its last data was for.
    pub(crate) speaks_to: Which,
    /// Its sessions with each of our keys.
    noise: [Option<Box<dyn Noise>>; 2],
    slot: u32,
}

impl Member {
    /// Its sessions with a key of ours, if it has ever had one.
    pub(crate) fn noise(&mut self, which: Which) -> Option<&mut Box<dyn Noise>> {
        self.noise[which as usize].as_mut()
    }

    /// Its sessions with a key of ours, made now if they were not there.
    pub(crate) fn awake(&mut self, door: &Door, which: Which) -> &mut Box<dyn Noise> {
        self.noise[which as usize].get_or_insert_with(|| door.peer(&self.peer, self.slot, which))
    }

    /// Counts a packet that came from it.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.allowance.uploaded(bytes);
    }

    /// When the timer wheel looks at what waits that way.
    pub(crate) fn wake(&mut self, way: Way) -> &mut Option<Duration> {
        match way {
            Way::Down => &mut self.queue_wake,
            Way::Up => &mut self.uploads_wake,
        }
    }

    /// Whether it may send from, and be sent to, `address`.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.peer.addresses.iter().any(|prefix| prefix.contains(address))
    }
}

/// Two peers cannot have one address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} belongs to the peer {owner} already")]
pub struct AddressTaken {
    /// What was claimed.
    pub address: Prefix,
    /// Who has it.
    pub owner: PublicKey,
}

/// The table.
pub(crate) struct Peers {
    members: Vec<Option<Member>>,
    free: Vec<PeerId>,
    by_key: HashMap<PublicKey, PeerId>,
    by_slot: HashMap<u32, PeerId>,
    /// Single addresses; ranges are few and looked through.
    by_address: HashMap<IpAddr, PeerId>,
    ranges: Vec<(Prefix, PeerId)>,
    usual: Limits,
}

impl Peers {
    pub(crate) fn new(usual: Limits) -> Self {
        Self {
            members: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            by_slot: HashMap::new(),
            by_address: HashMap::new(),
            ranges: Vec::new(),
            usual,
        }
    }

    /// Adds a peer, or changes the one with its key. `random` names slots.
    pub(crate) fn put(
        &mut self,
        peer: Peer,
        now: Duration,
        random: &mut dyn FnMut() -> u32,
    ) -> Result<PeerId, AddressTaken> {
        if let Some(taken) = self.taken(&peer) {
            return Err(taken);
        }
        let id = self.by_key(peer.public_key).unwrap_or_else(|| self.place());
        self.forget_addresses(id);
        self.note_addresses(id, &peer);
        let usual = self.usual;
        if let Some(member) = &mut self.members[id] {
            member.change(peer, usual, now);
            return Ok(id);
        }
        let slot = self.fresh_slot(random);
        self.by_key.insert(peer.public_key, id);
        self.by_slot.insert(slot, id);
        self.members[id] = Some(Member::new(peer, usual, slot, now));
        Ok(id)
    }

    /// The first two of `peers` that cannot be together.
    pub(crate) fn conflict(peers: &[Peer]) -> Option<AddressTaken> {
        let mut owners = HashMap::new();
        peers.iter().flat_map(|peer| peer.addresses.iter().map(|address| (*address, peer.public_key))).find_map(
            |(address, key)| {
                let owner = *owners.entry(address).or_insert(key);
                (owner != key).then_some(AddressTaken { address, owner })
            },
        )
    }

    /// Frees every address, so that peers can exchange theirs.
    pub(crate) fn free_addresses(&mut self) {
        self.by_address.clear();
        self.ranges.clear();
        self.members.iter_mut().flatten().for_each(|member| member.peer.addresses.clear());
    }

    /// Takes a peer out; its sessions are wiped.
    pub(crate) fn remove(&mut self, key: PublicKey) -> Option<PeerId> {
        let id = self.by_key.remove(&key)?;
        self.forget_addresses(id);
        if let Some(member) = self.members[id].take() {
            self.by_slot.remove(&member.slot);
        }
        self.free.push(id);
        Some(id)
    }

    /// Counts on from `used`; `false` if there is no such peer.
    pub(crate) fn recount(&mut self, key: PublicKey, used: u64) -> bool {
        let member = self.by_key(key).and_then(|id| self.get(id));
        member.map(|member| member.allowance.recount(used)).is_some()
    }

    pub(crate) fn get(&mut self, id: PeerId) -> Option<&mut Member> {
        self.members.get_mut(id)?.as_mut()
    }

    pub(crate) fn by_key(&self, key: PublicKey) -> Option<PeerId> {
        self.by_key.get(&key).copied()
    }

    /// Whose session a datagram names, and with which key of ours.
    pub(crate) fn by_slot(&self, named: u32) -> Option<(PeerId, Which)> {
        let (slot, which) = Which::of_slot(named);
        Some((*self.by_slot.get(&slot)?, which))
    }

    /// Who has this address inside the tunnel; the narrowest range wins.
    pub(crate) fn by_address(&self, address: IpAddr) -> Option<PeerId> {
        let exact = self.by_address.get(&address).copied();
        let wide = || self.ranges.iter().filter(|(range, _)| range.contains(address)).max_by_key(|(r, _)| r.bits());
        exact.or_else(|| wide().map(|(_, id)| *id))
    }

    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        self.by_key.keys().copied().collect()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Member)> {
        self.members.iter_mut().enumerate().filter_map(|(id, member)| Some((id, member.as_mut()?)))
    }

    /// The first address of `peer` that somebody else has.
    fn taken(&self, peer: &Peer) -> Option<AddressTaken> {
        let own = self.by_key(peer.public_key);
        peer.addresses.iter().find_map(|address| {
            let holder = self.holder(*address).filter(|holder| Some(*holder) != own)?;
            let owner = self.members[holder].as_ref()?.peer.public_key;
            Some(AddressTaken { address: *address, owner })
        })
    }

    fn holder(&self, address: Prefix) -> Option<PeerId> {
        if address.is_host() {
            return self.by_address.get(&address.address()).copied();
        }
        self.ranges.iter().find(|(range, _)| *range == address).map(|(_, id)| *id)
    }

    fn place(&mut self) -> PeerId {
        self.free.pop().unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() - 1
        })
    }

    /// A slot that nobody can guess.
    fn fresh_slot(&self, random: &mut dyn FnMut() -> u32) -> u32 {
        loop {
            let slot = random() % SLOTS;
            if !self.by_slot.contains_key(&slot) {
                return slot;
            }
        }
    }

    fn note_addresses(&mut self, id: PeerId, peer: &Peer) {
        for prefix in &peer.addresses {
            if prefix.is_host() {
                self.by_address.insert(prefix.address(), id);
            } else {
                self.ranges.push((*prefix, id));
            }
        }
    }

    fn forget_addresses(&mut self, id: PeerId) {
        let Some(member) = self.members.get(id).and_then(Option::as_ref) else { return };
        for prefix in &member.peer.addresses {
            self.by_address.remove(&prefix.address());
        }
        self.ranges.retain(|(_, other)| *other != id);
    }
}

impl Member {
    fn new(peer: Peer, usual: Limits, slot: u32, now: Duration) -> Self {
        let endpoint = peer.endpoint.map(|remote| Endpoint { remote, local: None, socket: 0 });
        Self {
            allowance: Allowance::new(peer.limits.unwrap_or(usual), peer.used, now),
            queue: FairQueue::new(QUEUE),
            queued_for: Peak::default(),
            round_trip: None,
            queue_wake: None,
            uploads: FairQueue::new(UPLOADS),
            uploads_wake: None,
            endpoint,
            last_handshake: None,
            received: 0,
            sent: 0,
            dropped: 0,
            flows: Flows::default(),
            contacts: 0,
            next_tick: None,
            speaks_to: Which::Current,
            noise: [None, None],
            slot,
            peer,
        }
    }

    /// What it used goes on being counted; a new preshared key or keepalive needs new sessions.
    fn change(&mut self, peer: Peer, usual: Limits, now: Duration) {
        if peer.preshared_key != self.peer.preshared_key || peer.keepalive != self.peer.keepalive {
            self.noise = [None, None];
        }
        self.allowance.change(peer.limits.unwrap_or(usual), now);
        self.peer = peer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn peer(seed: u8, addresses: &[&str]) -> Peer {
        Peer {
            public_key: SecretKey::from_bytes([seed; 32]).public(),
            preshared_key: None,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            endpoint: None,
            keepalive: None,
            limits: None,
            used: 0,
        }
    }

    fn peers() -> (Peers, impl FnMut() -> u32) {
        let mut next = 7_u32;
        (Peers::new(Limits::usual()), move || {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            next
        })
    }

    #[test]
    fn a_peer_is_found_by_key_slot_and_address() {
        let (mut peers, mut random) = peers();
        let id = peers.put(peer(1, &["10.77.0.2", "fd77::2", "10.80.0.0/16"]), Duration::ZERO, &mut random).unwrap();
        let other = peers.put(peer(2, &["10.77.0.3", "10.80.1.0/24"]), Duration::ZERO, &mut random).unwrap();
        assert_eq!(peers.by_key(peer(1, &[]).public_key), Some(id));
        let slot = peers.get(id).unwrap().slot;
        assert_eq!(peers.by_slot(slot), Some((id, Which::Current)));
        assert_eq!(peers.by_slot(Which::Former.slot(slot)), Some((id, Which::Former)));
        for (address, owner) in [
            ("10.77.0.2", Some(id)),
            ("fd77::2", Some(id)),
            ("10.80.2.1", Some(id)),
            ("10.80.1.1", Some(other)),
            ("10.77.0.4", None),
        ] {
            assert_eq!(peers.by_address(address.parse().unwrap()), owner, "{address}");
        }
    }

    #[test]
    fn one_address_has_one_owner_and_a_refusal_changes_nothing() {
        let (mut peers, mut random) = peers();
        peers.put(peer(1, &["10.77.0.2"]), Duration::ZERO, &mut random).unwrap();
        let refused = peers.put(peer(2, &["10.77.0.9", "10.77.0.2"]), Duration::ZERO, &mut random).unwrap_err();
        assert_eq!(refused.owner, peer(1, &[]).public_key);
        assert_eq!(peers.keys().len(), 1);
        assert_eq!(peers.by_address("10.77.0.9".parse().unwrap()), None);
        peers.put(peer(1, &["10.77.0.5"]), Duration::ZERO, &mut random).unwrap();
        peers.put(peer(2, &["10.77.0.2"]), Duration::ZERO, &mut random).unwrap();
    }

    #[test]
    fn a_removed_peer_leaves_nothing_behind() {
        let (mut peers, mut random) = peers();
        let id = peers.put(peer(1, &["10.77.0.2", "10.80.0.0/16"]), Duration::ZERO, &mut random).unwrap();
        assert_eq!(peers.remove(peer(1, &[]).public_key), Some(id));
        assert_eq!(peers.remove(peer(1, &[]).public_key), None);
        assert!(peers.get(id).is_none() && peers.by_slot.is_empty() && peers.ranges.is_empty());
        assert_eq!(peers.put(peer(2, &["10.77.0.2"]), Duration::ZERO, &mut random).unwrap(), id);
    }
}
