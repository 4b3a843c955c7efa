//! The WireGuard core behind one trait, so that it can be exchanged: today `boringtun`'s handshake and sessions.
//!
//! [`Door`] stands in front of all peers: it drops what no handshake and no session can be, asks for cookies when too
//! many handshakes come, and says which peer a datagram claims to be from. Nothing is trusted, and nothing about a peer
//! changes, before its [`Noise`] has authenticated the datagram. This file knows no socket and no peer table.

use std::{net::IpAddr, sync::Arc};

use boringtun::{
    noise::{
        HandshakeInit, Packet, Tunn, TunnResult, errors::WireGuardError, handshake::parse_handshake_anon,
        rate_limiter::RateLimiter,
    },
    x25519,
};

use crate::{Peer, PublicKey, SecretKey};

/// Handshakes a second before an initiator has to prove its address by a cookie.
const HANDSHAKES_A_SECOND: u64 = 100;

/// Counters near their end are refused: a session ends long before (the protocol says 2^64 - 2^13 - 1).
const LAST_COUNTER: u64 = u64::MAX - (1 << 13);

/// What a datagram adds to an inner packet.
pub(crate) const OVERHEAD: usize = 32;

/// The least room that a handshake message needs.
pub(crate) const HANDSHAKE_ROOM: usize = 148;

/// How many slots there are: 24 bits of a session's index on the wire, of which one says to which key it belongs.
pub(crate) const SLOTS: u32 = 1 << 23;

/// The label of a datagram that is for another server, or another key of ours.
const NOT_AUTHENTIC: &str = "not authentic";

/// Which of the server's keys somebody speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one that new configurations name.
    Current,
    /// The one before it.
    Former,
}

impl Which {
    pub(crate) const BOTH: [Self; 2] = [Self::Current, Self::Former];

    /// The slot that datagrams of such a session name.
    pub(crate) fn slot(self, slot: u32) -> u32 {
        slot + SLOTS * self as u32
    }

    /// The two parts of [`Which::slot`].
    pub(crate) fn of_slot(named: u32) -> (u32, Self) {
        (named % SLOTS, if named < SLOTS { Self::Current } else { Self::Former })
    }
}

/// What came of a datagram, a packet or a tick.
pub(crate) enum Output<'a> {
    /// Nothing more to do; the datagram, if it was one, was authentic.
    Nothing,
    /// To be sent to the peer as it is.
    Datagram(&'a mut [u8]),
    /// An authentic inner packet and the source that it names.
    Packet(&'a mut [u8], IpAddr),
    /// Not authentic, or of no session: to be dropped in silence.
    Refused(&'static str),
}

/// One peer's handshake and sessions.
pub(crate) trait Noise: Send {
    /// Opens a datagram. After a `Datagram`, to be called with an empty one until `Nothing` comes.
    fn open<'a>(&mut self, datagram: &[u8], into: &'a mut [u8]) -> Output<'a>;

    /// Seals a packet. Without a session the packet is kept and the handshake that it needs comes out.
    fn seal<'a>(&mut self, packet: &[u8], into: &'a mut [u8]) -> Output<'a>;

    /// Moves the timers on; to be called a few times a second.
    fn tick<'a>(&mut self, into: &'a mut [u8]) -> Output<'a>;
}

/// Who a datagram claims to be from.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It wants to begin a session with this key of ours.
    Initiation(PublicKey, Which),
    /// It belongs to the session or handshake of this slot.
    Slot(u32),
    /// Too many handshakes: this goes back, and nothing else happens.
    Cookie(Vec<u8>),
    /// To be dropped in silence.
    Refused(&'static str),
}

/// What all peers share: the server's keys, each with its rate limiter.
pub(crate) struct Door {
    current: Lock,
    former: Option<Lock>,
}

/// One key of the server's.
struct Lock {
    private: x25519::StaticSecret,
    public: x25519::PublicKey,
    limiter: RateLimiter,
    /// What the sessions are given: the door has counted already.
    unlimited: Arc<RateLimiter>,
}

impl Door {
    pub(crate) fn new(key: &SecretKey, former: Option<&SecretKey>) -> Self {
        Self { current: Lock::new(key), former: former.map(Lock::new) }
    }

    /// Looks at a datagram from `from`.
    pub(crate) fn claim(&self, from: IpAddr, datagram: &[u8]) -> Claim {
        match (self.current.claim(Which::Current, from, datagram), &self.former) {
            (Claim::Refused(NOT_AUTHENTIC), Some(former)) => former.claim(Which::Former, from, datagram),
            (claim, _) => claim,
        }
    }

    /// To be called each second: counts handshakes anew.
    pub(crate) fn next_second(&self) {
        self.current.limiter.reset_count();
        self.former.iter().for_each(|former| former.limiter.reset_count());
    }

    /// The sessions of `peer` with a key of ours, whose datagrams will name `slot`.
    pub(crate) fn peer(&self, peer: &Peer, slot: u32, which: Which) -> Box<dyn Noise> {
        let lock = match which {
            Which::Current => &self.current,
            Which::Former => self.former.as_ref().unwrap_or(&self.current),
        };
        lock.peer(peer, which.slot(slot))
    }
}

impl Lock {
    fn new(key: &SecretKey) -> Self {
        let private = key.x25519();
        let public = x25519::PublicKey::from(&private);
        let limiter = RateLimiter::new(&public, HANDSHAKES_A_SECOND);
        let unlimited = Arc::new(RateLimiter::new(&public, u64::MAX));
        Self { private, public, limiter, unlimited }
    }

    fn claim(&self, which: Which, from: IpAddr, datagram: &[u8]) -> Claim {
        let mut cookie = [0; 64];
        let packet = match self.limiter.verify_packet(Some(from), datagram, &mut cookie) {
            Ok(packet) => packet,
            Err(TunnResult::WriteToNetwork(reply)) => return Claim::Cookie(reply.to_vec()),
            Err(TunnResult::Err(error)) => return Claim::Refused(reason(&error)),
            Err(_) => return Claim::Refused("malformed"),
        };
        match packet {
            Packet::HandshakeInit(init) => self.initiator(which, &init),
            Packet::HandshakeResponse(response) => Claim::Slot(response.receiver_idx >> 8),
            Packet::PacketCookieReply(reply) => Claim::Slot(reply.receiver_idx >> 8),
            Packet::PacketData(data) if counter(datagram) < LAST_COUNTER => Claim::Slot(data.receiver_idx >> 8),
            Packet::PacketData(_) => Claim::Refused("malformed"),
        }
    }

    fn peer(&self, peer: &Peer, slot: u32) -> Box<dyn Noise> {
        let preshared = peer.preshared_key.as_ref().map(|key| *key.bytes());
        let keepalive = peer.keepalive.and_then(|every| u16::try_from(every.as_secs()).ok()).filter(|every| *every > 0);
        let public = x25519::PublicKey::from(peer.public_key.0);
        let limiter = Arc::clone(&self.unlimited);
        Box::new(Tunn::new(self.private.clone(), public, preshared, keepalive, slot, Some(limiter)))
    }

    fn initiator(&self, which: Which, init: &HandshakeInit<'_>) -> Claim {
        match parse_handshake_anon(&self.private, &self.public, init) {
            Ok(half) => Claim::Initiation(PublicKey(half.peer_static_public), which),
            Err(_) => Claim::Refused("handshake"),
        }
    }
}

impl Noise for Tunn {
    fn open<'a>(&mut self, datagram: &[u8], into: &'a mut [u8]) -> Output<'a> {
        output(self.decapsulate(None, datagram, into))
    }

    fn seal<'a>(&mut self, packet: &[u8], into: &'a mut [u8]) -> Output<'a> {
        output(self.encapsulate(packet, into))
    }

    fn tick<'a>(&mut self, into: &'a mut [u8]) -> Output<'a> {
        output(self.update_timers(into))
    }
}

fn output(result: TunnResult<'_>) -> Output<'_> {
    match result {
        TunnResult::Done => Output::Nothing,
        TunnResult::Err(error) => Output::Refused(reason(&error)),
        TunnResult::WriteToNetwork(datagram) => Output::Datagram(datagram),
        TunnResult::WriteToTunnelV4(packet, source) => Output::Packet(packet, source.into()),
        TunnResult::WriteToTunnelV6(packet, source) => Output::Packet(packet, source.into()),
    }
}

/// The label under which a refusal is counted.
fn reason(error: &WireGuardError) -> &'static str {
    match error {
        WireGuardError::DuplicateCounter | WireGuardError::InvalidCounter => "replayed",
        WireGuardError::WrongTai64nTimestamp => "replayed handshake",
        WireGuardError::NoCurrentSession | WireGuardError::WrongIndex => "no session",
        WireGuardError::ConnectionExpired => "expired",
        WireGuardError::InvalidMac | WireGuardError::InvalidAeadTag | WireGuardError::WrongKey => NOT_AUTHENTIC,
        WireGuardError::UnderLoad => "under load",
        _ => "malformed",
    }
}

fn counter(datagram: &[u8]) -> u64 {
    datagram.get(8..16).and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn keys() -> (SecretKey, SecretKey) {
        (SecretKey::from_bytes([7; 32]), SecretKey::from_bytes([9; 32]))
    }

    fn client(client: &SecretKey, server: &SecretKey) -> Tunn {
        Tunn::new(client.x25519(), x25519::PublicKey::from(server.public().0), None, None, 5, None)
    }

    fn initiation(client: &mut Tunn) -> Vec<u8> {
        let mut into = [0; HANDSHAKE_ROOM];
        match client.format_handshake_initiation(&mut into, true) {
            TunnResult::WriteToNetwork(datagram) => datagram.to_vec(),
            other => panic!("no initiation: {other:?}"),
        }
    }

    #[test]
    fn the_door_says_who_knocks_and_is_silent_to_the_rest() {
        let (server, key) = keys();
        let door = Door::new(&server, None);
        let init = initiation(&mut client(&key, &server));
        assert!(matches!(door.claim(FROM, &init), Claim::Initiation(who, Which::Current) if who == key.public()));
        for garbage in [&b""[..], b"hello", &[1; 148], &[4, 0, 0, 0], &[0xff; 2000]] {
            assert!(matches!(door.claim(FROM, garbage), Claim::Refused(_)), "{garbage:?}");
        }
        let mut spoilt = init;
        spoilt[20] ^= 1;
        assert!(matches!(door.claim(FROM, &spoilt), Claim::Refused(NOT_AUTHENTIC)));
    }

    #[test]
    fn both_keys_open_and_a_third_one_does_not() {
        let (server, key) = keys();
        let former = SecretKey::from_bytes([8; 32]);
        let door = Door::new(&server, Some(&former));
        let claim = |server: &SecretKey| door.claim(FROM, &initiation(&mut client(&key, server)));
        assert!(matches!(claim(&server), Claim::Initiation(who, Which::Current) if who == key.public()));
        assert!(matches!(claim(&former), Claim::Initiation(who, Which::Former) if who == key.public()));
        assert!(matches!(claim(&SecretKey::from_bytes([6; 32])), Claim::Refused(NOT_AUTHENTIC)));
        for which in Which::BOTH {
            assert_eq!(Which::of_slot(which.slot(SLOTS - 1)), (SLOTS - 1, which));
        }
    }

    #[test]
    fn a_hundred_handshakes_a_second_are_answered_then_cookies_are_asked_for() {
        let (server, key) = keys();
        let door = Door::new(&server, None);
        let mut client = client(&key, &server);
        for _ in 0..HANDSHAKES_A_SECOND {
            assert!(matches!(door.claim(FROM, &initiation(&mut client)), Claim::Initiation(..)));
        }
        let Claim::Cookie(reply) = door.claim(FROM, &initiation(&mut client)) else { panic!("no cookie") };
        assert!(matches!(client.decapsulate(None, &reply, &mut [0; 256]), TunnResult::Done));
        assert!(matches!(door.claim(FROM, &initiation(&mut client)), Claim::Initiation(..)));
        let elsewhere = "192.0.2.1".parse().unwrap();
        assert!(matches!(door.claim(elsewhere, &initiation(&mut client)), Claim::Cookie(_)));
    }

    #[test]
    fn a_counter_at_its_end_is_refused_before_anything_looks_at_it() {
        let door = Door::new(&keys().0, None);
        let mut datagram = vec![4, 0, 0, 0, 0, 1, 0, 0];
        datagram.extend_from_slice(&u64::MAX.to_le_bytes());
        datagram.extend_from_slice(&[0; 32]);
        assert!(matches!(door.claim(FROM, &datagram), Claim::Refused("malformed")));
        datagram[8..16].copy_from_slice(&3_u64.to_le_bytes());
        assert!(matches!(door.claim(FROM, &datagram), Claim::Slot(1)));
    }
}
