//! The user's side of a connection by `smoltcp`: one interface and one socket per flow.
//!
//! `smoltcp` looks through all sockets of a set for every packet, so a set holds one. Buffers are asked of the system
//! whole and used from their beginning: memory that was never written to costs nothing, so a flow grows into them.

use std::time::Duration;

use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken},
    socket::tcp::{CongestionControl, Socket, SocketBuffer, State},
    time::Instant,
    wire::{HardwareAddress, IpAddress, IpCidr},
};

use super::{Phase, Tcp, rtt::Stopwatch, window::Window};
use crate::{
    link::Emit,
    packet::{mss, sum},
};

/// A user that does not acknowledge for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(120);

/// What `smoltcp` takes a smaller announcement for.
const LEAST_SEGMENT: u16 = 48;

/// How often `smoltcp` has to hear of a loss.
const REPETITIONS: usize = 3;

/// What one connection is made of.
pub(super) struct Smol {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    mtu: usize,
    /// The longest segment that both ends take, without headers.
    segment: usize,
    /// Ends of what was sent and received, as of the last segment that went out.
    sent: Sent,
    /// Whether a timer has run out: what is sent again begins with one segment and doubles with each round trip. All of it
    /// at once, of many connections that lost theirs together, would be lost together again.
    slow: bool,
    /// The number behind the user's FIN.
    user_end: Option<u32>,
    aborted: bool,
    user_finished: bool,
    finished: bool,
}

/// What has gone out.
struct Sent {
    /// The time of the round.
    now: Duration,
    last: Ends,
    window: Window,
    watch: Stopwatch,
}

impl Sent {
    /// Takes note of a segment that goes out.
    fn note(&mut self, ends: Ends) {
        let again = self.window.sent(ends.sequence, ends.length);
        if ends.length > 0 {
            self.watch.sent(self.now, ends.sequence, again);
        }
        self.last = ends;
    }
}

/// Where a segment, and what its sender has, ends.
#[derive(Clone, Copy, Default)]
struct Ends {
    length: u32,
    sequence: u32,
    acknowledgement: u32,
}

impl Smol {
    /// A connection to `server`, which waits for the user's SYN, to be handed to it next. `buffer` bytes each way; `seed`
    /// makes its numbers.
    pub(super) fn new(
        server: std::net::SocketAddr,
        mtu: u16,
        buffer: usize,
        seed: u64,
        now: Duration,
        syn: &[u8],
    ) -> Option<Self> {
        let address = IpAddress::from(server.ip());
        if !address.is_unicast() {
            return None;
        }
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut nothing = Nothing;
        let (last, window, watch) = (Ends::default(), Window::new(buffer), Stopwatch::default());
        let mut sent = Sent { now, last, window, watch };
        let segment =
            mss::fitting(mtu, server.is_ipv4()).min(mss::announced(syn).unwrap_or(mss::USUAL).max(LEAST_SEGMENT));
        let (mtu, segment) = (usize::from(mtu), usize::from(segment));
        let mut port = Port { incoming: None, out: &mut nothing, mtu, sent: &mut sent, slow: false };
        let mut interface = Interface::new(config, &mut port, instant(now));
        // A range of no bits: the address is ours, and every other one is a neighbour.
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(address, 0));
        });
        let mut socket = Socket::new(SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; buffer]));
        socket.set_nagle_enabled(false);
        // What may be on its way is decided in `window`, by how much is put into the buffer.
        socket.set_congestion_control(CongestionControl::None);
        socket.set_timeout(Some(smoltcp::time::Duration::from_micros(GONE_AFTER.as_micros() as u64)));
        socket.listen((address, server.port())).ok()?;
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        let (aborted, user_finished, finished) = (false, false, false);
        let (slow, user_end) = (false, None);
        Some(Self { interface, sockets, handle, mtu, segment, sent, slow, user_end, aborted, user_finished, finished })
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn ingress(&mut self, now: Duration, packet: &[u8], out: &mut dyn Emit) {
        let mut port = Port { incoming: Some(packet), out, mtu: self.mtu, sent: &mut self.sent, slow: self.slow };
        self.interface.poll_ingress_single(instant(now), &mut port, &mut self.sockets);
    }

    fn egress(&mut self, now: Duration, out: &mut dyn Emit) {
        let mut port = Port { incoming: None, out, mtu: self.mtu, sent: &mut self.sent, slow: self.slow };
        while self.interface.poll_egress(instant(now), &mut port, &mut self.sockets)
            == smoltcp::iface::PollResult::SocketStateChanged
        {}
    }

    fn ended_well(&self) -> bool {
        !self.aborted && self.user_finished && self.finished
    }

    fn peek(&self) -> &Socket<'static> {
        self.sockets.get(self.handle)
    }
}

impl Tcp for Smol {
    fn receive(&mut self, now: Duration, packet: &[u8], out: &mut dyn Emit) {
        self.sent.now = now;
        let waiting = self.peek().send_queue();
        self.ingress(now, packet, out);
        let ends = Ends::of(packet);
        if let Some(ends) = ends {
            self.sent.watch.acknowledged(now, ends.acknowledgement);
        }
        if let Some(ends) = ends
            && self.sent.window.acknowledged(ends.acknowledgement, ends.length == 0, waiting)
        {
            // Said three times, `smoltcp` sends the segment again at once.
            (0..REPETITIONS).for_each(|_| self.ingress(now, packet, out));
        }
        if matches!(self.peek().state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait) {
            self.user_finished = true;
            self.user_end = ends.map(|ends| ends.sequence);
        }
    }

    fn transmit(&mut self, now: Duration, out: &mut dyn Emit) {
        self.sent.now = now;
        self.egress(now, out);
        if self.slow != self.sent.window.is_resending() {
            self.slow = !self.slow;
            let control = if self.slow { CongestionControl::Reno } else { CongestionControl::None };
            self.socket().set_congestion_control(control);
            self.egress(now, out);
        }
    }

    fn next_wake(&mut self, now: Duration) -> Option<Duration> {
        let at = self.interface.poll_at(instant(now), &self.sockets)?;
        Some(Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)))
    }

    fn received(&mut self) -> &[u8] {
        self.socket().peek(usize::MAX).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        let _ = self.socket().recv(|bytes| (count.min(bytes.len()), ()));
    }

    fn room(&self) -> usize {
        let socket = self.peek();
        if socket.may_send() { self.sent.window.room(socket.send_queue(), self.segment) } else { 0 }
    }

    fn fill(&mut self, read: &mut dyn FnMut(&mut [u8]) -> usize) {
        let most = self.room();
        let _ = self.socket().send(|room| {
            let most = most.min(room.len());
            let count = read(&mut room[..most]);
            (count, ())
        });
    }

    fn finish(&mut self) {
        self.finished = true;
        self.socket().close();
    }

    fn abort(&mut self) {
        self.aborted = true;
        self.socket().abort();
    }

    fn sent_again(&mut self) -> u64 {
        self.sent.window.sent_again()
    }

    fn round_trip(&mut self) -> Option<Duration> {
        self.sent.watch.take()
    }

    fn phase(&self) -> Phase {
        let socket = self.peek();
        match socket.state() {
            State::Listen | State::SynSent | State::SynReceived => Phase::Opening,
            State::TimeWait if !socket.can_recv() && self.user_end == Some(self.sent.last.acknowledgement) => {
                Phase::TimeWait { sequence: self.sent.last.sequence, acknowledgement: self.sent.last.acknowledgement }
            }
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait if !socket.can_recv() => {
                Phase::UserFinished
            }
            // What the user sent before it closed has still to be taken.
            State::Closed if self.ended_well() && socket.can_recv() => Phase::Open,
            State::Closed if self.ended_well() => Phase::Over,
            State::Closed => Phase::Reset,
            _ => Phase::Open,
        }
    }
}

/// What `smoltcp` takes for a network device: one packet in at most, and everything out at once.
struct Port<'a> {
    incoming: Option<&'a [u8]>,
    out: &'a mut dyn Emit,
    mtu: usize,
    sent: &'a mut Sent,
    slow: bool,
}

struct Incoming<'a>(&'a [u8]);

struct Outgoing<'a> {
    out: &'a mut dyn Emit,
    sent: &'a mut Sent,
}

impl Device for Port<'_> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a>
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing { out: self.out, sent: self.sent }))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Outgoing<'_>> {
        // The first segment that a timer sends again tells of it: the next one waits until that is slow.
        let bursts = self.sent.window.is_resending() && !self.slow;
        (!bursts && self.out.has_room()).then_some(Outgoing { out: self.out, sent: self.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // What comes in has been authenticated as a whole: its sums could only have been wrong at the sender's. What goes out
        // is summed up as it is emitted.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let (mut write, mut result, mut ends) = (Some(write), None, None);
        self.out.emit(len, &mut |room| {
            if let Some(write) = write.take() {
                result = Some(write(room));
                let _ = sum::finish_tcp(room);
                ends = Ends::of(room);
            }
        });
        if let Some(ends) = ends {
            self.sent.note(ends);
        }
        // An emitter that has no room for the packet drops it, as a network may.
        match (result, write) {
            (Some(result), _) => result,
            (None, Some(write)) => write(&mut vec![0; len]),
            (None, None) => unreachable!("written once, so there is a result"),
        }
    }
}

impl Ends {
    /// Read from a packet of ours: no IPv4 options, no IPv6 extensions.
    fn of(packet: &[u8]) -> Option<Self> {
        let header = if packet.first()? >> 4 == 4 { 20 } else { 40 };
        let four = |at: usize| Some(u32::from_be_bytes(packet.get(header + at..header + at + 4)?.try_into().ok()?));
        let offset = usize::from(packet.get(header + 12)? >> 4) * 4;
        let marks = (packet.get(header + 13)? & 3).count_ones();
        let data = u32::try_from(packet.len().saturating_sub(header + offset)).ok()?;
        let length = data.wrapping_add(marks);
        Some(Self { length, sequence: four(4)?.wrapping_add(length), acknowledgement: four(8)? })
    }
}

/// Swallows everything.
struct Nothing;

impl Emit for Nothing {
    fn emit(&mut self, _len: usize, _write: &mut dyn FnMut(&mut [u8])) {}
}

fn instant(at: Duration) -> Instant {
    Instant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Flags, build};

    const USER: &str = "10.77.0.2:5000";
    const SERVER: &str = "1.1.1.1:80";

    /// The ends of the data that came out.
    #[derive(Default)]
    struct Out(Vec<Ends>);

    impl Emit for Out {
        fn emit(&mut self, len: usize, write: &mut dyn FnMut(&mut [u8])) {
            let mut packet = vec![0; len];
            write(&mut packet);
            self.0.extend(Ends::of(&packet).filter(|ends| ends.length > 0));
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// From the user to the server; sums are not looked at here any more.
    fn segment(flags: u8, sequence: u32, acknowledgement: u32) -> Vec<u8> {
        let (user, server) = (USER.parse().unwrap(), SERVER.parse().unwrap());
        let mut packet = build::acknowledge(user, server, sequence, acknowledgement).unwrap();
        packet[33] = flags;
        packet[34..36].copy_from_slice(&u16::MAX.to_be_bytes());
        packet
    }

    /// An open connection, and the number of the next byte to the user.
    fn open() -> (Smol, u32) {
        let (syn, mut out) = (segment(Flags::SYN, 9, 0), Out::default());
        let mut smol = Smol::new(SERVER.parse().unwrap(), 1420, 1 << 20, 7, ms(0), &syn).unwrap();
        smol.receive(ms(0), &syn, &mut out);
        smol.transmit(ms(0), &mut out);
        let next = out.0[0].sequence;
        acknowledge(&mut smol, 1, next);
        (smol, next)
    }

    /// What goes out after the user has said that it has everything before `byte`.
    fn acknowledge(smol: &mut Smol, at: u64, byte: u32) -> Vec<Ends> {
        smol.receive(ms(at), &segment(Flags::ACK, 10, byte), &mut Out::default());
        sent(smol, at)
    }

    fn sent(smol: &mut Smol, at: u64) -> Vec<Ends> {
        let mut out = Out::default();
        smol.transmit(ms(at), &mut out);
        out.0
    }

    fn bytes(ends: &[Ends]) -> u32 {
        ends.iter().map(|ends| ends.length).sum()
    }

    /// About two kilobytes: a segment is sent before it is known that a timer has run out.
    const LITTLE: u32 = 3000;

    #[test]
    fn what_a_timer_sends_again_begins_small_and_doubles() {
        let (mut smol, _) = open();
        smol.fill(&mut |room| room.len().min(40_000));
        let first = sent(&mut smol, 2);
        assert!(bytes(&first) > 39_000, "{}", bytes(&first));
        let again = sent(&mut smol, 1100);
        assert!((1..LITTLE).contains(&bytes(&again)) && again[0].sequence == first[0].sequence);
        assert!(smol.next_wake(ms(1100)).unwrap() > ms(2000), "it waits for the user or for its timer");
        let (mut at, mut acknowledged, mut rounds) = (1100, again.last().unwrap().sequence, vec![bytes(&again)]);
        while acknowledged != first.last().unwrap().sequence {
            at += 10;
            let more = acknowledge(&mut smol, at, acknowledged);
            assert!(!more.is_empty() && rounds.len() < 40, "after {rounds:?}");
            rounds.push(bytes(&more));
            acknowledged = more.last().unwrap().sequence;
        }
        assert!(rounds.windows(2).all(|two| two[1] <= two[0] * 2 + LITTLE), "{rounds:?}");
        // Afterwards it is as before.
        acknowledge(&mut smol, at + 10, acknowledged);
        smol.fill(&mut |room| room.len().min(20_000));
        assert!(bytes(&sent(&mut smol, at + 11)) > 10_000);
    }

    #[test]
    fn a_second_timer_begins_small_too() {
        let (mut smol, _) = open();
        smol.fill(&mut |room| room.len().min(40_000));
        let first = sent(&mut smol, 2);
        assert!(bytes(&sent(&mut smol, 1100)) < LITTLE);
        let again = sent(&mut smol, 3300);
        assert!(
            (1..LITTLE).contains(&bytes(&again)) && again[0].sequence <= first[2].sequence,
            "from where the user is"
        );
    }
}
