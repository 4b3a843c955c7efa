//! Wrong keys, counted by where they come from: after ten in a minute the address waits, and the log hears of it once.
//!
//! Good keys are never refused for the bad ones beside them: nobody is locked out by a neighbour, and 256 bits are not
//! guessed faster by it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Who tried what, lately. Bounded: when there are too many addresses, further ones count as one.
#[derive(Debug, Default)]
pub(crate) struct BadLogins {
    tries: BTreeMap<IpAddr, Tries>,
    swept_at: Duration,
}

#[derive(Debug)]
struct Tries {
    since: Duration,
    last: Duration,
    count: u64,
    /// Of them: already told.
    told: u64,
}

/// What becomes of a wrong key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Say so only after this long; `None`: an ordinary refusal.
    pub(crate) wait: Option<Duration>,
    /// As many that nobody was told of yet; worth a line now.
    pub(crate) tell: Option<u64>,
}

const WINDOW: Duration = Duration::from_secs(60);
const FREE: u64 = 10;
const MOST_ADDRESSES: usize = 4096;

impl BadLogins {
    /// One more wrong key from `address`, at `now` of the clock that never jumps.
    pub(crate) fn note(&mut self, address: IpAddr, now: Duration) -> Verdict {
        let mut address = network(address);
        if self.tries.len() >= MOST_ADDRESSES && !self.tries.contains_key(&address) {
            self.sweep(now);
            if self.tries.len() >= MOST_ADDRESSES {
                address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            }
        }
        let fresh = Tries { since: now, last: now, count: 0, told: 0 };
        let tries = self.tries.entry(address).or_insert(fresh);
        let mut left_over = 0;
        if now.saturating_sub(tries.since) >= WINDOW {
            left_over = tries.count - tries.told;
            *tries = Tries { since: now, last: now, count: 0, told: 0 };
        }
        tries.count += 1;
        tries.last = now;
        // The first, the tenth, the hundredth: the log stays short however many there are.
        let round = tries.count == 1 || (tries.count >= FREE && is_power_of_ten(tries.count));
        let tell = round.then(|| left_over + tries.count - tries.told);
        if round {
            tries.told = tries.count;
        }
        let wait = (tries.count > FREE).then(|| WINDOW.saturating_sub(now.saturating_sub(tries.since)));
        Verdict { wait: wait.map(|left| left.max(Duration::from_secs(1))), tell }
    }

    /// Forgets who has been silent for a while; at most once a second, since it looks at everybody.
    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept_at) >= Duration::from_secs(1) {
            self.swept_at = now;
            self.tries.retain(|_, tries| now.saturating_sub(tries.last) < WINDOW);
        }
    }
}

/// A household has a /64: its addresses count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_power_of_ten(count: u64) -> bool {
    let mut power = 1;
    while power < count {
        power *= 10;
    }
    power == count
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn ten_are_free_then_the_address_waits_and_the_log_stays_short() {
        let (mut bad, eve, bob) = (BadLogins::default(), "192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let verdicts: Vec<Verdict> = (0..10_000).map(|_| bad.note(eve, 5 * S)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.wait.is_none()).count(), 10);
        let told: Vec<u64> = verdicts.iter().filter_map(|verdict| verdict.tell).collect();
        assert_eq!(told, [1, 9, 90, 900, 9000]);
        assert_eq!(bad.note(bob, 5 * S).wait, None);
        assert_eq!(bad.note(eve, 35 * S).wait, Some(30 * S));
        assert_eq!(bad.note(eve, 65 * S), Verdict { wait: None, tell: Some(2) });
    }

    #[test]
    fn addresses_are_bounded_and_a_household_is_one() {
        let mut bad = BadLogins::default();
        for number in 0..10_000_u32 {
            bad.note(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), Duration::from_millis(u64::from(number)));
        }
        assert!(bad.tries.len() <= MOST_ADDRESSES + 1);
        for tail in 0..11 {
            bad.note(format!("2001:db8::{tail}").parse().unwrap(), 100 * S);
        }
        assert!(bad.note("2001:db8::ffff".parse().unwrap(), 100 * S).wait.is_some());
        assert!(bad.note("2001:db8:0:1::1".parse().unwrap(), 100 * S).wait.is_none());
    }
}
