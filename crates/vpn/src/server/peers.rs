//! Users as the tunnel's peers: who is let in, with which addresses and limits, and what has to change for it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use bowline_base::{Fault, Kind};
use bowline_tunnel::{Limits, Peer, Prefix, PublicKey, SecretKey, Stats};

use super::{ClientId, User, directory::Directory, user::Idle};

/// The way packets travel, as the server sees it.
pub trait Tunnel: Send + Sync {
    /// Lets a peer in, or gives it other addresses and limits.
    ///
    /// # Errors
    /// The tunnel has stopped, or another peer has the address.
    fn add(&self, peer: Peer) -> Result<(), Fault>;

    /// Shuts a peer out; its flows end at once.
    ///
    /// # Errors
    /// The tunnel has stopped.
    fn remove(&self, peer: PublicKey) -> Result<(), Fault>;

    /// Counts what a peer has used on from `used`.
    ///
    /// # Errors
    /// The tunnel has stopped.
    fn recount(&self, peer: PublicKey, used: u64) -> Result<(), Fault>;

    /// Everything at this moment.
    ///
    /// # Errors
    /// The tunnel has stopped.
    fn stats(&self) -> Result<Stats, Fault>;
}

impl Tunnel for bowline_tunnel::Handle {
    fn add(&self, peer: Peer) -> Result<(), Fault> {
        Self::add(self, peer).map_err(not_taken)
    }

    fn remove(&self, peer: PublicKey) -> Result<(), Fault> {
        Self::remove(self, peer).map(drop).map_err(not_taken)
    }

    fn recount(&self, peer: PublicKey, used: u64) -> Result<(), Fault> {
        Self::recount(self, peer, used).map(drop).map_err(not_taken)
    }

    fn stats(&self) -> Result<Stats, Fault> {
        Self::stats(self).map_err(not_taken)
    }
}

fn not_taken(cause: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::new(Kind::Bug, "tunnel", "the tunnel does not do it").cause(cause)
}

/// What is told to the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Remove(PublicKey),
    /// It has used less than the tunnel was told: an operator counts it from nothing.
    Recount(PublicKey, u64),
    Add(Box<Peer>),
}

/// Peers by their keys.
pub(crate) type Peers = BTreeMap<PublicKey, Peer>;

/// The peers that are to be: everybody who is not `idle`. `used` knows how much each has used.
pub(crate) fn wanted(
    directory: &Directory,
    idle: &BTreeMap<ClientId, Idle>,
    v6: Option<V6>,
    used: impl Fn(&ClientId) -> u64,
) -> Peers {
    let let_in = directory.users().filter(|user| !idle.contains_key(&user.id));
    let_in.filter_map(|user| Some((user.wireguard.public_key, peer(user, v6, used(&user.id))?))).collect()
}

/// What brings `placed` to `wanted`; removals first, so that addresses are free. That more was used by then is no change: the
/// tunnel counts by itself.
pub(crate) fn differences(placed: &Peers, wanted: &Peers) -> Vec<Act> {
    let gone = placed.keys().filter(|key| !wanted.contains_key(*key)).map(|key| Act::Remove(*key));
    let lower = wanted.iter().filter(|(key, peer)| placed.get(*key).is_some_and(|old| peer.used < old.used));
    let recounted = lower.map(|(key, peer)| Act::Recount(*key, peer.used));
    let same = |key: &PublicKey, peer: &Peer| {
        placed.get(key).is_some_and(|old| Peer { used: peer.used, ..old.clone() } == *peer)
    };
    let new = wanted.iter().filter(|(key, peer)| !same(key, peer));
    gone.chain(recounted).chain(new.map(|(_, peer)| Act::Add(Box::new(peer.clone())))).collect()
}

/// The users' range of IPv6 addresses, a /64: the last 32 bits are those of the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V6(Ipv6Addr);

impl V6 {
    /// The range that `prefix` is in.
    #[must_use]
    pub fn new(prefix: Ipv6Addr) -> Self {
        Self(Ipv6Addr::from_bits(prefix.to_bits() & !u128::from(u64::MAX)))
    }

    /// The range itself.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        Prefix::new(IpAddr::V6(self.0), 64).expect("64 bits fit into 128")
    }

    /// The address that goes with an IPv4 address.
    #[must_use]
    pub fn of(self, address: std::net::Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.0.to_bits() | u128::from(address.to_bits()))
    }
}

impl Default for V6 {
    /// A unique local range.
    fn default() -> Self {
        Self::new(Ipv6Addr::new(0xfd77, 0xb0e1, 0x1e4e, 0, 0, 0, 0, 0))
    }
}

/// `None` where a key of the record is none: then the record was changed by hand.
fn peer(user: &User, v6: Option<V6>, used: u64) -> Option<Peer> {
    let shared = user.wireguard.preshared_key.as_ref();
    let own = Prefix::host(IpAddr::V4(user.wireguard.address));
    let own_v6 = v6.map(|range| Prefix::host(IpAddr::V6(range.of(user.wireguard.address))));
    let limits = user.limits;
    Some(Peer {
        public_key: user.wireguard.public_key,
        preshared_key: shared.map(SecretKey::parse).transpose().ok()?,
        addresses: [own].into_iter().chain(own_v6).collect(),
        endpoint: None,
        keepalive: None,
        limits: Some(Limits {
            download: limits.download,
            upload: limits.upload,
            quota: limits.quota,
            ..Limits::usual()
        }),
        used,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{
        layout,
        samples::{at, user},
        store::Value,
    };

    #[test]
    fn changes_and_nothing_else_are_told_to_the_tunnel() {
        let mut directory = Directory::default();
        let mut alice = user("alice", 2);
        let put = |directory: &mut Directory, user: &User| {
            directory.apply(&layout::record(&user.id), Some(&Value::sealed(user.to_record())));
        };
        put(&mut directory, &alice);
        put(&mut directory, &user("bob", 3));
        let peers = |directory: &Directory, used: u64| {
            wanted(directory, &directory.idle(at(0), |_| used), Some(V6::default()), |_| used)
        };
        let first = peers(&directory, 0);
        assert_eq!((first.len(), differences(&Peers::new(), &first).len()), (2, 2));
        let later = peers(&directory, 500);
        assert_eq!(differences(&first, &later), []);
        let bob = user("bob", 3).wireguard.public_key;
        let recounted = [alice.wireguard.public_key.min(bob), alice.wireguard.public_key.max(bob)];
        assert_eq!(differences(&later, &peers(&directory, 7)), recounted.map(|key| Act::Recount(key, 7)));
        directory.apply("users/bob/record", None);
        alice.limits.quota = Some(100);
        put(&mut directory, &alice);
        let acts = differences(&first, &peers(&directory, 50));
        assert_eq!(acts.len(), 2);
        assert_eq!(acts[0], Act::Remove(bob));
        assert!(matches!(&acts[1], Act::Add(peer) if peer.limits.unwrap().quota == Some(100) && peer.used == 50));
        assert_eq!(peers(&directory, 100), Peers::new(), "the quota is used");
    }

    #[test]
    fn both_addresses_are_found_from_each_other() {
        let range = V6::new("fd77::9".parse().unwrap());
        assert_eq!(range.prefix().to_string(), "fd77::/64");
        assert_eq!(range.of("10.77.1.2".parse().unwrap()).to_string(), "fd77::a4d:102");
    }
}
