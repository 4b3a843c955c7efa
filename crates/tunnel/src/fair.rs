//! What waits to go to one user or to come from it, fairly: each flow in turn, and a flow that has little to send before those with much.
//!
//! Deficit round robin. A flow that was quiet goes first once, so a ping does not stand behind a download. The packet that
//! goes when there is too much is the last one of the longest flow. `now` is time since the machine started.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher as _},
    time::Duration,
};

use crate::packet::{Packet, protocol};

/// What a flow may send in its turn: about one packet.
const QUANTUM: usize = 1500;

#[derive(Debug)]
struct Flow {
    packets: VecDeque<(Duration, Vec<u8>)>,
    bytes: usize,
    deficit: usize,
}

/// Packets by flow. `F` names a flow.
#[derive(Debug)]
pub struct FairQueue<F> {
    flows: HashMap<F, Flow>,
    /// Flows that were quiet until now: first.
    fresh: VecDeque<F>,
    /// Flows that have had a turn.
    busy: VecDeque<F>,
    bytes: usize,
    bound: usize,
}

/// A packet whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The packet.
    pub packet: Vec<u8>,
    /// How long it waited.
    pub waited: Duration,
}

/// How many lines a user's flows stand in. More flows share them, so that looking for the longest one stays cheap.
const LINES: u64 = 256;

/// The line for the flow that a packet is of: by its two ends and what it carries.
pub(crate) fn flow_of(packet: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Ok(packet) = Packet::parse(packet) {
        (packet.source, packet.destination, packet.protocol).hash(&mut hasher);
        let ports = packet.payload().first_chunk::<4>().filter(|_| packet.fragment.is_none());
        matches!(packet.protocol, protocol::TCP | protocol::UDP).then_some(ports).hash(&mut hasher);
    }
    hasher.finish() % LINES
}

impl<F: Copy + Eq + Hash> FairQueue<F> {
    /// An empty one that holds about `bound` bytes.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { flows: HashMap::new(), fresh: VecDeque::new(), busy: VecDeque::new(), bytes: 0, bound }
    }

    /// Takes a packet. `false` if one had to go for it, or it had to go itself.
    pub fn push(&mut self, now: Duration, flow: F, packet: Vec<u8>) -> bool {
        self.bytes += packet.len();
        let queue = self.flows.entry(flow).or_insert_with(|| {
            self.fresh.push_back(flow);
            Flow { packets: VecDeque::new(), bytes: 0, deficit: QUANTUM }
        });
        queue.bytes += packet.len();
        queue.packets.push_back((now, packet));
        let mut kept = true;
        while self.bytes > self.bound && self.drop_one() {
            kept = false;
        }
        kept
    }

    /// The next packet.
    pub fn pop(&mut self, now: Duration) -> Option<Turn> {
        loop {
            let (from_fresh, flow) = match self.fresh.front() {
                Some(flow) => (true, *flow),
                None => (false, *self.busy.front()?),
            };
            let line = if from_fresh { &mut self.fresh } else { &mut self.busy };
            let Some(queue) = self.flows.get_mut(&flow) else {
                line.pop_front();
                continue;
            };
            let Some((_, packet)) = queue.packets.front() else {
                // A flow that ran dry in its first turn waits its turn once more: else it would be new with every packet.
                line.pop_front();
                if from_fresh {
                    self.busy.push_back(flow);
                } else {
                    self.flows.remove(&flow);
                }
                continue;
            };
            if queue.deficit < packet.len() {
                queue.deficit += QUANTUM;
                line.pop_front();
                self.busy.push_back(flow);
                continue;
            }
            return self.take(flow, now);
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether flows that can hold back should.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= self.bound / 2
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn take(&mut self, flow: F, now: Duration) -> Option<Turn> {
        let queue = self.flows.get_mut(&flow)?;
        let (since, packet) = queue.packets.pop_front()?;
        queue.deficit -= packet.len();
        queue.bytes -= packet.len();
        self.bytes -= packet.len();
        Some(Turn { packet, waited: now.saturating_sub(since) })
    }

    /// Drops the last packet of the flow that has most.
    fn drop_one(&mut self) -> bool {
        let Some(longest) = self.flows.values_mut().max_by_key(|flow| flow.bytes) else { return false };
        let Some((_, packet)) = longest.packets.pop_back() else { return false };
        longest.bytes -= packet.len();
        self.bytes -= packet.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn packet(flow: u8, length: usize) -> Vec<u8> {
        vec![flow; length]
    }

    /// The flows of the next `count` packets.
    fn order(queue: &mut FairQueue<u8>, count: usize) -> Vec<u8> {
        (0..count).filter_map(|_| queue.pop(NOW)).map(|turn| turn.packet[0]).collect()
    }

    #[test]
    fn a_ping_does_not_stand_behind_a_download() {
        let mut queue = FairQueue::new(1 << 20);
        for _ in 0..100 {
            queue.push(NOW, 1, packet(1, 1400));
        }
        assert_eq!(order(&mut queue, 3), [1, 1, 1]);
        for round in 0..5 {
            queue.push(NOW, 2, packet(2, 84));
            let next = order(&mut queue, 3);
            assert!(next.contains(&2), "round {round}: {next:?}");
        }
    }

    #[test]
    fn flows_share_by_bytes_not_by_packets() {
        let mut queue = FairQueue::new(1 << 20);
        for _ in 0..300 {
            queue.push(NOW, 1, packet(1, 1400));
            queue.push(NOW, 2, packet(2, 350));
        }
        let sent = order(&mut queue, 200);
        let bytes = |flow: u8, length: usize| sent.iter().filter(|sent| **sent == flow).count() * length;
        let (big, small) = (bytes(1, 1400), bytes(2, 350));
        assert!(big.abs_diff(small) < 3000, "{big} against {small}");
    }

    #[test]
    fn a_flow_keeps_its_order_and_says_how_long_it_waited() {
        let mut queue = FairQueue::new(1 << 20);
        for length in [100, 200, 300] {
            queue.push(NOW, 1, packet(1, length));
        }
        let later = NOW + Duration::from_millis(7);
        let turns: Vec<_> = std::iter::from_fn(|| queue.pop(later)).collect();
        assert_eq!(turns.iter().map(|turn| turn.packet.len()).collect::<Vec<_>>(), [100, 200, 300]);
        assert!(turns.iter().all(|turn| turn.waited == Duration::from_millis(7)));
        assert!(queue.is_empty() && queue.flows.is_empty() && queue.busy.is_empty());
    }

    #[test]
    fn too_much_costs_the_flow_that_has_most() {
        let mut queue = FairQueue::new(10_000);
        assert!(queue.push(NOW, 2, packet(2, 84)));
        let kept = (0..20).filter(|_| queue.push(NOW, 1, packet(1, 1400))).count();
        assert!((6..8).contains(&kept) && queue.bytes() <= 10_000 && queue.is_full());
        assert!(!queue.push(NOW, 3, packet(3, 500)));
        let left: Vec<_> = std::iter::from_fn(|| queue.pop(NOW)).map(|turn| turn.packet[0]).collect();
        assert!(left.contains(&2) && left.contains(&3));
    }

    proptest! {
        #[test]
        fn every_packet_comes_out_once_or_was_told_to_be_lost(
            packets in proptest::collection::vec((0_u8..5, 1_usize..9000, 0_usize..3), 0..100)
        ) {
            let mut queue = FairQueue::new(30_000);
            let (mut out, mut all_kept) = (0, true);
            for (flow, length, pops) in &packets {
                all_kept &= queue.push(NOW, *flow, packet(*flow, *length));
                out += order(&mut queue, *pops).len();
                let held: usize = queue.flows.values().map(|flow| flow.bytes).sum();
                prop_assert_eq!(queue.bytes(), held);
            }
            out += std::iter::from_fn(|| queue.pop(NOW)).count();
            prop_assert!(out <= packets.len() && (!all_kept || out == packets.len()));
            prop_assert!(queue.is_empty() && queue.flows.is_empty());
        }
    }
}
