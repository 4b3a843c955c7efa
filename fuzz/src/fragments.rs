//! Parts of packets, in any order and number: the bounds hold, and what comes whole can be cut and joined again.

use std::time::Duration;

use bowline_tunnel::{
    fragments::{Bounds, Reassembly, split},
    packet::Packet,
};

const BOUNDS: Bounds = Bounds { user: 40_000, total: 100_000, patience: Duration::from_secs(15) };

/// Takes `bytes` for packets of three users, each behind two bytes: whose it is and how long it is.
pub fn look(mut bytes: &[u8]) {
    let mut reassembly = Reassembly::new(BOUNDS);
    let mut now = Duration::from_secs(1);
    while let [user, length, rest @ ..] = bytes {
        let (part, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        now += Duration::from_secs(u64::from(*user >> 4));
        reassembly.expire(now);
        if let Ok(packet) = Packet::parse(part)
            && let Ok(Some(joined)) = reassembly.accept(now, user % 3, &packet)
        {
            cut_and_join(&joined);
        }
        assert!(reassembly.bytes() <= BOUNDS.total);
    }
    reassembly.forget(0);
    reassembly.expire(now + BOUNDS.patience);
    assert_eq!((reassembly.bytes(), reassembly.next_wake()), (0, None));
}

fn cut_and_join(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else { return };
    if packet.fragment.is_some() {
        return;
    }
    let mut reassembly = Reassembly::new(Bounds::default());
    let mut joined = None;
    for part in split(bytes.to_vec(), 100, 7) {
        let packet = Packet::parse(&part).expect("we wrote it");
        joined = reassembly.accept(Duration::ZERO, 0, &packet).expect("parts of one packet fit together");
    }
    let joined = joined.expect("every part was there");
    assert_eq!(Packet::parse(&joined).map(|joined| joined.payload().to_vec()), Ok(packet.payload().to_vec()));
}
