//! Packets that were cut on their way are put together again, within small bounds; ours are cut where they do not fit.
//!
//! Parts that overlap end the packet they belong to (RFC 5722): nobody sends them in good faith. A user who sends parts
//! without an end loses his own oldest ones, never those of others. `now` is time since the machine started.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::packet::{Fragment, IPV4_HEADER, IPV6_HEADER, Packet, build, protocol};

/// No packet is longer.
const LONGEST: usize = 65535;
/// 64 KiB in parts of 1,280 are 52.
const MOST_PARTS: usize = 64;
/// What a part costs beside its bytes.
const PART_COST: usize = 64;
/// Packets of one user that wait at once.
const MOST_PACKETS: usize = 64;
/// Bytes of IPv6's fragment header.
const FRAGMENT_HEADER: usize = 8;

/// How much may wait for its rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one user.
    pub user: usize,
    /// Bytes of all.
    pub total: usize,
    /// How long.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { user: 256 << 10, total: 4 << 20, patience: Duration::from_secs(15) }
    }
}

/// Why a part was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// It holds bytes that are there already.
    Overlap,
    /// Its place or length cannot be.
    Bounds,
    /// Too much is waiting already.
    Full,
}

impl Dropped {
    /// The value of the metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Overlap => "fragment_overlap",
            Self::Bounds => "fragment_bounds",
            Self::Full => "fragment_full",
        }
    }
}

/// A packet whose rest did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired<U> {
    /// Who sent it.
    pub user: U,
    /// Its first part as it came, if that one came: what an ICMP error quotes.
    pub first: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<U> {
    user: U,
    source: IpAddr,
    destination: IpAddr,
    /// 0 in IPv6, where the identification is enough.
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Partial {
    parts: BTreeMap<usize, Vec<u8>>,
    /// What the first part says it carries.
    protocol: u8,
    /// Where the last part ends, once it is here.
    end: Option<usize>,
    bytes: usize,
    cost: usize,
    /// Its place among the deadlines.
    deadline: (Duration, u64),
    /// The whole first packet, for errors.
    first: Option<Vec<u8>>,
}

/// Everything that waits for its rest.
#[derive(Debug)]
pub struct Reassembly<U> {
    bounds: Bounds,
    waiting: BTreeMap<Key<U>, Partial>,
    /// Every packet that waits, by the time it is given up; the number tells those of one moment apart.
    deadlines: BTreeMap<(Duration, u64), Key<U>>,
    used: BTreeMap<U, usize>,
    total: usize,
    next: u64,
}

impl<U: Copy + Ord> Reassembly<U> {
    /// Nothing waits.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let (waiting, deadlines, used) = Default::default();
        Self { bounds, waiting, deadlines, used, total: 0, next: 0 }
    }

    /// Takes a part; gives the packet when it was the last one missing. Packets that are whole are not for here.
    ///
    /// # Errors
    /// [`Dropped`]; after `Overlap` and `Bounds` nothing of the packet is left.
    pub fn accept(&mut self, now: Duration, user: U, packet: &Packet<'_>) -> Result<Option<Vec<u8>>, Dropped> {
        let Some(fragment) = packet.fragment else { return Ok(Some(packet.bytes().to_vec())) };
        let key = Key::of(user, packet, fragment);
        if let Err(dropped) = check(&fragment, packet) {
            self.remove(&key);
            return Err(dropped);
        }
        self.make_room(&key, packet.payload().len() + PART_COST + first_cost(&fragment, packet))?;
        let fresh = (now + self.bounds.patience, self.next);
        let partial = self.waiting.entry(key).or_insert_with(|| Partial::new(fresh));
        let before = partial.cost;
        let added = partial.add(&fragment, packet);
        let (grown, whole) = (partial.cost - before, partial.is_whole());
        if partial.deadline == fresh {
            self.deadlines.insert(fresh, key);
            self.next += 1;
        }
        self.total += grown;
        *self.used.entry(user).or_default() += grown;
        if let Err(dropped) = added {
            self.remove(&key);
            return Err(dropped);
        }
        Ok(if whole { self.remove(&key).and_then(|partial| partial.join(&key)) } else { None })
    }

    /// Gives up what has waited too long.
    pub fn expire(&mut self, now: Duration) -> Vec<Expired<U>> {
        let mut expired = Vec::new();
        while let Some((&(deadline, _), &key)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            let first = self.remove(&key).and_then(|partial| partial.first);
            expired.push(Expired { user: key.user, first });
        }
        expired
    }

    /// When [`Reassembly::expire`] has something to do.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Drops everything of a user who is gone.
    pub fn forget(&mut self, user: U) {
        let theirs: Vec<_> = self.of_user(user).map(|(key, _)| *key).collect();
        for key in theirs {
            self.remove(&key);
        }
    }

    /// Bytes that wait, all users together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.total
    }

    /// Drops the user's oldest packets until `cost` more bytes fit.
    fn make_room(&mut self, key: &Key<U>, cost: usize) -> Result<(), Dropped> {
        while self.is_full(key, cost) {
            let others = self.of_user(key.user).filter(|(other, _)| *other != key);
            let oldest = others.min_by_key(|(_, partial)| partial.deadline).map(|(key, _)| *key);
            self.remove(&oldest.ok_or(Dropped::Full)?);
        }
        if self.total + cost > self.bounds.total { Err(Dropped::Full) } else { Ok(()) }
    }

    fn is_full(&self, key: &Key<U>, cost: usize) -> bool {
        let used = self.used.get(&key.user).copied().unwrap_or(0);
        let crowded = !self.waiting.contains_key(key) && self.of_user(key.user).count() >= MOST_PACKETS;
        crowded || used + cost > self.bounds.user
    }

    fn of_user(&self, user: U) -> impl Iterator<Item = (&Key<U>, &Partial)> {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let first = Key { user, source: nobody, destination: nobody, protocol: 0, id: 0 };
        self.waiting.range(first..).take_while(move |(key, _)| key.user == user)
    }

    fn remove(&mut self, key: &Key<U>) -> Option<Partial> {
        let partial = self.waiting.remove(key)?;
        self.deadlines.remove(&partial.deadline);
        self.total -= partial.cost;
        if let Some(used) = self.used.get_mut(&key.user) {
            *used -= partial.cost;
            if *used == 0 {
                self.used.remove(&key.user);
            }
        }
        Some(partial)
    }
}

impl<U> Key<U> {
    fn of(user: U, packet: &Packet<'_>, fragment: Fragment) -> Self {
        let protocol = if packet.source.is_ipv4() { packet.protocol } else { 0 };
        Self { user, source: packet.source, destination: packet.destination, protocol, id: fragment.id }
    }
}

impl Partial {
    fn new(deadline: (Duration, u64)) -> Self {
        Self { parts: BTreeMap::new(), protocol: 0, end: None, bytes: 0, cost: 0, deadline, first: None }
    }

    fn add(&mut self, fragment: &Fragment, packet: &Packet<'_>) -> Result<(), Dropped> {
        let data = packet.payload();
        let (start, end) = (fragment.offset, fragment.offset + data.len());
        if self.parts.get(&start).is_some_and(|there| there == data) {
            return Ok(());
        }
        let before = self.parts.range(..end).next_back();
        if before.is_some_and(|(offset, part)| offset + part.len() > start) {
            return Err(Dropped::Overlap);
        }
        let last = self.parts.last_key_value().map_or(0, |(offset, part)| offset + part.len());
        let past = self.end.is_some_and(|known| end > known || !fragment.more);
        if past || (!fragment.more && last > end) || self.parts.len() == MOST_PARTS {
            return Err(Dropped::Bounds);
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if start == 0 {
            self.protocol = packet.protocol;
            self.first = Some(packet.bytes()[..packet.bytes().len().min(QUOTE)].to_vec());
        }
        self.bytes += data.len();
        self.cost += data.len() + PART_COST + first_cost(fragment, packet);
        self.parts.insert(start, data.to_vec());
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.end == Some(self.bytes)
    }

    /// The packet, with a header that knows nothing of parts.
    fn join<U>(&self, key: &Key<U>) -> Option<Vec<u8>> {
        let header = if key.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let mut packet = Vec::with_capacity(header + self.bytes);
        packet.resize(header, 0);
        self.parts.values().for_each(|part| packet.extend_from_slice(part));
        let written = match (key.source, key.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                build::write_v4(&mut packet, from.octets(), to.octets(), self.protocol, 0, 0)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                build::write_v6(&mut packet, from.octets(), to.octets(), self.protocol)
            }
            _ => false,
        };
        written.then_some(packet)
    }
}

/// As much of a first part as an error may quote.
const QUOTE: usize = 1280;

fn first_cost(fragment: &Fragment, packet: &Packet<'_>) -> usize {
    if fragment.offset == 0 { packet.bytes().len().min(QUOTE) } else { 0 }
}

fn check(fragment: &Fragment, packet: &Packet<'_>) -> Result<(), Dropped> {
    let length = packet.payload().len();
    let header = if packet.source.is_ipv4() { IPV4_HEADER } else { 0 };
    let odd = fragment.more && !length.is_multiple_of(8);
    if length == 0 || odd || header + fragment.offset + length > LONGEST { Err(Dropped::Bounds) } else { Ok(()) }
}

/// Cuts a packet of ours into parts of at most `mtu` bytes; `id` is the same in all parts and another for each packet. One
/// that fits, or cannot be cut, stays whole.
#[must_use]
pub fn split(bytes: Vec<u8>, mtu: u16, id: u32) -> Vec<Vec<u8>> {
    let mtu = usize::from(mtu.max(68));
    // What is all headers has nothing that could be cut.
    let can_be_cut = |packet: &Packet<'_>| packet.bytes().len() > mtu && !packet.payload().is_empty();
    let Some(packet) = Packet::parse(&bytes).ok().filter(can_be_cut) else {
        return vec![bytes];
    };
    let header = if packet.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER + FRAGMENT_HEADER };
    let room = (mtu - header) & !7;
    let parts = packet.payload().chunks(room).enumerate().map(|(place, data)| {
        let more = (place + 1) * room < packet.payload().len();
        part(&packet, data, Fragment { id, offset: place * room, more })
    });
    parts.collect::<Option<_>>().unwrap_or_else(|| vec![bytes.clone()])
}

fn part(packet: &Packet<'_>, data: &[u8], fragment: Fragment) -> Option<Vec<u8>> {
    let offset = u16::try_from(fragment.offset).ok()?;
    let id = fragment.id.to_be_bytes();
    match (packet.source, packet.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => part_v4(packet.protocol, [from, to], data, fragment, offset),
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut bytes = vec![0; IPV6_HEADER];
            bytes.extend([packet.protocol, 0]);
            bytes.extend((offset | u16::from(fragment.more)).to_be_bytes());
            bytes.extend(id);
            bytes.extend(data);
            build::write_v6(&mut bytes, from.octets(), to.octets(), protocol::FRAGMENT).then_some(bytes)
        }
        _ => None,
    }
}

fn part_v4(number: u8, ends: [Ipv4Addr; 2], data: &[u8], fragment: Fragment, offset: u16) -> Option<Vec<u8>> {
    let mut bytes = vec![0; IPV4_HEADER];
    bytes.extend(data);
    let [_, _, high, low] = fragment.id.to_be_bytes();
    let cut = (offset / 8) | if fragment.more { 0x2000 } else { 0 };
    let [from, to] = ends.map(|end| end.octets());
    build::write_v4(&mut bytes, from, to, number, u16::from_be_bytes([high, low]), cut).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V4: [&str; 2] = ["10.77.0.2:9", "1.1.1.1:7"];
    const V6: [&str; 2] = ["[fd77::2]:9", "[2606::1]:7"];

    fn datagram(ends: [&str; 2], length: usize) -> Vec<u8> {
        let payload: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        build::udp(ends[0].parse().unwrap(), ends[1].parse().unwrap(), &payload).unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn take(reassembly: &mut Reassembly<u8>, user: u8, part: &[u8]) -> Result<Option<Vec<u8>>, Dropped> {
        reassembly.accept(at(100), user, &Packet::parse(part).unwrap())
    }

    #[test]
    fn parts_in_any_order_become_the_packet_that_they_were() {
        for ends in [V4, V6] {
            let whole = datagram(ends, 5000);
            for turn in 0..4 {
                let mut parts = split(whole.clone(), 1420, 7);
                assert_eq!(parts.len(), 4);
                parts.rotate_left(turn);
                let mut reassembly = Reassembly::new(Bounds::default());
                for part in &parts[..3] {
                    assert!(part.len() <= 1420);
                    assert_eq!(take(&mut reassembly, 1, part), Ok(None));
                }
                assert_eq!(take(&mut reassembly, 1, &parts[0]), Ok(None), "a part twice changes nothing");
                assert_eq!(take(&mut reassembly, 1, &parts[3]), Ok(Some(whole.clone())));
                assert_eq!(reassembly.bytes(), 0);
            }
        }
    }

    #[test]
    fn parts_of_different_users_never_meet() {
        let parts = split(datagram(V4, 2000), 1420, 7);
        let mut reassembly = Reassembly::new(Bounds::default());
        assert_eq!(take(&mut reassembly, 1, &parts[0]), Ok(None));
        assert_eq!(take(&mut reassembly, 2, &parts[1]), Ok(None));
        assert!(take(&mut reassembly, 2, &parts[0]).unwrap().is_some());
    }

    /// A part of `length` bytes at `offset`.
    fn forged(ends: [&str; 2], offset: usize, length: usize, more: bool, fill: u8) -> Vec<u8> {
        let whole = datagram(ends, 8);
        part(&Packet::parse(&whole).unwrap(), &vec![fill; length], Fragment { id: 7, offset, more }).unwrap()
    }

    #[test]
    fn overlapping_parts_end_the_packet() {
        for ends in [V4, V6] {
            for (offset, length) in [(8, 16), (0, 8), (16, 24), (0, 64)] {
                let mut reassembly = Reassembly::new(Bounds::default());
                assert_eq!(take(&mut reassembly, 1, &forged(ends, 8, 16, true, 1)), Ok(None));
                assert_eq!(take(&mut reassembly, 1, &forged(ends, 32, 8, true, 1)), Ok(None));
                let overlap = take(&mut reassembly, 1, &forged(ends, offset, length, true, 2));
                let expected = if (offset, length) == (0, 8) { Ok(None) } else { Err(Dropped::Overlap) };
                assert_eq!(overlap, expected, "{offset}+{length}");
                assert_eq!(reassembly.bytes() == 0, expected.is_err());
            }
        }
    }

    #[test]
    fn what_no_packet_can_be_is_dropped() {
        let mut reassembly = Reassembly::new(Bounds::default());
        assert_eq!(take(&mut reassembly, 1, &forged(V4, 0, 13, true, 1)), Err(Dropped::Bounds));
        assert_eq!(take(&mut reassembly, 1, &forged(V4, 65528, 16, true, 1)), Err(Dropped::Bounds));
        assert_eq!(take(&mut reassembly, 1, &forged(V4, 64, 8, false, 1)), Ok(None));
        assert_eq!(take(&mut reassembly, 1, &forged(V4, 128, 8, true, 1)), Err(Dropped::Bounds));
        assert_eq!(take(&mut reassembly, 1, &forged(V4, 64, 8, true, 1)), Ok(None));
        assert_eq!(take(&mut reassembly, 1, &forged(V4, 16, 8, false, 1)), Err(Dropped::Bounds));
        assert_eq!(reassembly.bytes(), 0);
    }

    #[test]
    fn a_user_with_endless_beginnings_loses_his_own_oldest() {
        let bounds = Bounds { user: 8000, ..Bounds::default() };
        let mut reassembly = Reassembly::new(bounds);
        let quiet = split(datagram(V4, 2000), 1420, 1);
        assert_eq!(take(&mut reassembly, 2, &quiet[0]), Ok(None));
        for id in 0..100 {
            assert_eq!(take(&mut reassembly, 1, &split(datagram(V4, 2000), 1420, id)[0]), Ok(None));
        }
        assert!(reassembly.bytes() <= 8000 + 3000);
        assert!(take(&mut reassembly, 2, &quiet[1]).unwrap().is_some());
        assert!(take(&mut reassembly, 1, &split(datagram(V4, 2000), 1420, 99)[1]).unwrap().is_some());
    }

    #[test]
    fn all_users_together_stay_within_the_total() {
        let mut reassembly = Reassembly::new(Bounds { total: 10_000, ..Bounds::default() });
        let part = &split(datagram(V6, 2000), 1420, 1)[0];
        let taken = (0..100).map(|user| take(&mut reassembly, user, part)).filter(Result::is_ok).count();
        assert!((2..5).contains(&taken), "{taken}");
        reassembly.forget(0);
        assert_eq!(take(&mut reassembly, 200, part), Ok(None));
    }

    #[test]
    fn what_waits_too_long_is_given_up_with_its_first_part() {
        let mut reassembly = Reassembly::new(Bounds::default());
        let parts = split(datagram(V4, 2000), 1420, 1);
        take(&mut reassembly, 1, &parts[0]).unwrap();
        assert_eq!(reassembly.next_wake(), Some(at(115)));
        assert_eq!(reassembly.expire(at(114)), []);
        let [expired] = reassembly.expire(at(115)).try_into().unwrap();
        assert!(parts[0].starts_with(&expired.first.unwrap()));
        assert_eq!((reassembly.next_wake(), reassembly.bytes()), (None, 0));
    }

    #[test]
    fn a_packet_that_came_whole_does_not_shorten_the_next_one() {
        let mut reassembly = Reassembly::new(Bounds::default());
        let parts = split(datagram(V4, 2000), 1420, 1);
        for part in &parts {
            take(&mut reassembly, 1, part).unwrap();
        }
        reassembly.accept(at(110), 1, &Packet::parse(&parts[0]).unwrap()).unwrap();
        assert_eq!(reassembly.expire(at(116)), []);
        assert_eq!(reassembly.expire(at(125)).len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_books_stay_right(parts in proptest::collection::vec(
            (0..3_u8, 0..40_usize, 0..200_usize, any::<bool>(), any::<u8>()), 0..80)
        ) {
            let mut reassembly = Reassembly::new(Bounds { user: 2000, total: 5000, ..Bounds::default() });
            for (user, place, length, more, fill) in parts {
                let _ = take(&mut reassembly, user, &forged(V4, place * 8, length, more, fill));
                prop_assert!(reassembly.bytes() <= 5000);
                prop_assert_eq!(reassembly.bytes(), reassembly.waiting.values().map(|partial| partial.cost).sum::<usize>());
                prop_assert_eq!(reassembly.bytes(), reassembly.used.values().sum::<usize>());
            }
            reassembly.expire(at(1000));
            prop_assert_eq!(reassembly.bytes(), 0);
        }

        #[test]
        fn every_packet_survives_being_cut(length in 0..9000_usize, mtu in 1280..1500_u16, id: u32) {
            for ends in [V4, V6] {
                let whole = datagram(ends, length);
                let mut reassembly = Reassembly::new(Bounds::default());
                let parts = split(whole.clone(), mtu, id);
                let results: Vec<_> = parts.iter().map(|part| take(&mut reassembly, 1, part).unwrap()).collect();
                prop_assert_eq!(results.last().unwrap(), &Some(whole));
            }
        }
    }
}
