//! What users have used, over restarts: the tunnel counts from its start, the store keeps the sum.

use std::collections::BTreeMap;

use bowline_base::Secret;
use bowline_tunnel::{PublicKey, Stats};
use serde_json::{Value, json};

use super::ClientId;

/// Bytes of inner packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From the user.
    pub received: u64,
    /// To the user.
    pub sent: u64,
}

const KIND: &str = "bowline-vpn-usage";

impl Usage {
    /// Both directions together: what a quota counts.
    #[must_use]
    pub fn total(self) -> u64 {
        self.received.saturating_add(self.sent)
    }

    /// The two together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self { received: self.received.saturating_add(more.received), sent: self.sent.saturating_add(more.sent) }
    }

    /// What is left without `less`.
    pub(crate) fn minus(self, less: Self) -> Self {
        Self { received: self.received.saturating_sub(less.received), sent: self.sent.saturating_sub(less.sent) }
    }

    /// The record: kind and version first.
    #[must_use]
    pub fn to_record(self) -> Secret {
        let text = json!({ "kind": KIND, "version": 1, "received": self.received, "sent": self.sent });
        Secret::new(text.to_string())
    }

    /// Reads [`Usage::to_record`].
    #[must_use]
    pub fn from_record(record: &Secret) -> Option<Self> {
        let value: Value = serde_json::from_str(record.expose()).ok()?;
        let ours = value["kind"] == KIND && value["version"] == 1;
        Some(Self { received: value["received"].as_u64()?, sent: value["sent"].as_u64()? }).filter(|_| ours)
    }
}

/// Less than this is never pressing by itself.
const LITTLE: u64 = 1 << 20;

/// Whether the store should hear of `untold` at once: it is an eighth of what the quota leaves, or all of it. So a quota
/// is told of some dozens of times in its life, and several servers overrun it by little.
pub(crate) fn is_pressing(quota: Option<u64>, known: Usage, untold: Usage) -> bool {
    let Some(quota) = quota else { return false };
    let (left, untold) = (quota.saturating_sub(known.total()), untold.total());
    untold > 0 && (untold >= left || untold >= (left / 8).max(LITTLE))
}

/// What was counted since the store was last told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// What the tunnel last said of each peer.
    seen: BTreeMap<PublicKey, Usage>,
    untold: BTreeMap<ClientId, Usage>,
}

impl Meter {
    /// Takes the tunnel's counters; a peer that began anew counts from nothing. Gives how many bytes are new.
    pub(crate) fn read(&mut self, stats: &Stats, owner: impl Fn(&PublicKey) -> Option<ClientId>) -> u64 {
        self.seen.retain(|key, _| stats.peers.contains_key(key));
        let mut moved = 0;
        for (key, peer) in &stats.peers {
            let now = Usage { received: peer.received, sent: peer.sent };
            let before = self.seen.insert(*key, now).unwrap_or_default();
            let began_anew = now.received < before.received || now.sent < before.sent;
            let new = if began_anew { now } else { now.minus(before) };
            moved += new.total();
            if let Some(id) = owner(key).filter(|_| new.total() > 0) {
                self.add(id, new);
            }
        }
        moved
    }

    /// Counts what went another way than through the tunnel.
    pub(crate) fn add(&mut self, id: ClientId, new: Usage) {
        let sum = self.untold.entry(id).or_default();
        *sum = sum.plus(new);
    }

    /// What the store does not know yet of `id`.
    pub(crate) fn untold(&self, id: &ClientId) -> Usage {
        self.untold.get(id).copied().unwrap_or_default()
    }

    /// Everybody of whom the store does not know all.
    pub(crate) fn owed(&self) -> Vec<(ClientId, Usage)> {
        self.untold.iter().map(|(id, usage)| (id.clone(), *usage)).collect()
    }

    /// What the store was not told of `id` is never told.
    pub(crate) fn forget(&mut self, id: &ClientId) {
        self.untold.remove(id);
    }

    /// The store was told this much of `id`.
    pub(crate) fn told(&mut self, id: &ClientId, told: Usage) {
        if let Some(sum) = self.untold.get_mut(id) {
            *sum = sum.minus(told);
            if sum.total() == 0 {
                self.untold.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bowline_tunnel::PeerStats;

    use super::*;

    fn stats(received: u64, sent: u64) -> Stats {
        let peer = PeerStats { received, sent, ..PeerStats::default() };
        Stats { peers: [(PublicKey([1; 32]), peer)].into(), ..Stats::default() }
    }

    #[test]
    fn the_nearer_the_end_of_a_quota_the_sooner_it_is_told() {
        let bytes = |received| Usage { received, sent: 0 };
        let pressing = |known, untold| is_pressing(Some(800 * LITTLE), bytes(known * LITTLE), bytes(untold));
        assert!(!pressing(0, 99 * LITTLE) && pressing(0, 100 * LITTLE));
        assert!(!pressing(792, LITTLE - 1) && pressing(792, LITTLE));
        assert!(pressing(799, LITTLE) && pressing(900, 1) && !pressing(900, 0));
        assert!(!is_pressing(None, bytes(0), bytes(u64::MAX)));
        let (mut known, mut told) = (0, 0);
        while known < 50 << 30 {
            known += (((50_u64 << 30) - known) / 8).max(LITTLE);
            told += 1;
        }
        assert!(told < 100, "{told}");
    }

    #[test]
    fn every_byte_is_told_once_over_restarts_of_a_peer() {
        let (mut meter, id) = (Meter::default(), "alice".parse::<ClientId>().unwrap());
        let owner = |_: &PublicKey| Some("alice".parse().unwrap());
        assert_eq!(meter.read(&stats(10, 5), owner), 15);
        assert_eq!(meter.read(&stats(30, 5), owner), 20);
        assert_eq!(meter.owed(), [(id.clone(), Usage { received: 30, sent: 5 })]);
        meter.told(&id, Usage { received: 30, sent: 5 });
        assert_eq!(meter.owed(), []);
        assert_eq!(meter.read(&stats(2, 1), owner), 3, "the peer began anew");
        assert_eq!(meter.untold(&id), Usage { received: 2, sent: 1 });
        assert_eq!(Usage::from_record(&meter.untold(&id).to_record()), Some(meter.untold(&id)));
    }
}
