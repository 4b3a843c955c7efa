//! A client: `boringtun` for the wire, `smoltcp` for its TCP, and every inner packet that came written down.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use boringtun::{
    noise::{Tunn, TunnResult},
    x25519,
};
use bowline_tunnel::{
    Config, Handle, Limits, Peer, SecretKey, Tunnel,
    egress::{Policy, Rules},
};
use smoltcp::{
    iface::{Interface, SocketHandle, SocketSet},
    phy::{Device, DeviceCapabilities, Medium},
    socket::tcp,
    wire::{HardwareAddress, IpCidr},
};

/// Everything that a test waits for comes within this time, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) const USER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Keys that need not be secret.
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

pub(crate) fn peer(seed: u8, address: Ipv4Addr) -> Peer {
    Peer {
        public_key: key(seed).public(),
        preshared_key: None,
        addresses: vec![bowline_tunnel::Prefix::host(address.into())],
        endpoint: None,
        keepalive: None,
        limits: None,
        used: 0,
    }
}

/// Lets users reach this machine's loopback address, and nothing else that is private.
pub(crate) fn open_loopback() -> Rules {
    Rules { allow: vec!["127.0.0.1/32".parse().unwrap()], ..Rules::default() }
}

pub(crate) fn config(rules: Rules) -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        private_key: key(1),
        former_key: None,
        addresses: vec![SERVER.into()],
        mtu: 1420,
        egress: Arc::new(Policy::new(rules)),
        limits: Limits::usual(),
        dns: None,
    }
}

/// A tunnel with one user, who may reach loopback.
pub(crate) fn tunnel() -> Handle {
    Tunnel::start(config(open_loopback()), vec![peer(2, USER)]).unwrap()
}

#[derive(Default)]
struct Queues {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

pub(crate) struct Client {
    pub(crate) wire: UdpSocket,
    tunn: Tunn,
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Every inner packet that came.
    pub(crate) seen: Vec<Vec<u8>>,
    /// Every datagram that went.
    pub(crate) sent: Vec<Vec<u8>>,
    port: u16,
    start: Instant,
}

#[expect(clippy::disallowed_methods, reason = "tests wait on a real clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Waits for what comes by itself.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = clock() + PATIENCE;
    while !done() {
        assert!(clock() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self::with(2, USER, server)
    }

    /// The client with this key and address.
    pub(crate) fn with(seed: u8, address: Ipv4Addr, server: SocketAddr) -> Self {
        Self::naming(1, seed, address, server)
    }

    /// The same, which knows the server by another key.
    pub(crate) fn naming(server_seed: u8, seed: u8, address: Ipv4Addr, server: SocketAddr) -> Self {
        let wire = socket(server);
        let private = x25519::StaticSecret::from([seed; 32]);
        let tunn = Tunn::new(private, x25519::PublicKey::from(key(server_seed).public().0), None, None, 3, None);
        let mut queues = Queues::default();
        let config = smoltcp::iface::Config::new(HardwareAddress::Ip);
        let start = clock();
        let mut interface = Interface::new(config, &mut queues, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(address.into(), 0)).unwrap());
        let sockets = SocketSet::new(Vec::new());
        Self { wire, tunn, queues, interface, sockets, seen: Vec::new(), sent: Vec::new(), port: 40_000, start }
    }

    /// Goes on from another address.
    pub(crate) fn roam(&mut self) {
        self.wire = socket(self.wire.peer_addr().unwrap());
    }

    /// Forgets its session, as after 15 s without an answer.
    pub(crate) fn shake_hands_anew(&mut self) {
        let mut room = [0; 256];
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.format_handshake_initiation(&mut room, true) {
            self.wire.send(datagram).unwrap();
        }
    }

    /// Moves everything on until `done` says so.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = clock() + PATIENCE;
        while !done(self) {
            assert!(clock() < deadline, "{what}: not within {PATIENCE:?}");
            self.step();
        }
    }

    /// Moves everything on for a while: to see that nothing happens.
    pub(crate) fn for_a_while(&mut self) {
        let end = clock() + Duration::from_millis(300);
        while clock() < end {
            self.step();
        }
    }

    /// One round: what has come in, what the sockets say to it, and out with it.
    pub(crate) fn step(&mut self) {
        let mut datagram = [0; 2048];
        while let Ok(length) = self.wire.recv(&mut datagram) {
            self.open(&datagram[..length]);
        }
        let now = smoltcp::time::Instant::from_micros(i64::try_from(self.start.elapsed().as_micros()).unwrap());
        self.interface.poll(now, &mut self.queues, &mut self.sockets);
        let mut room = [0; 2048];
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.update_timers(&mut room) {
            self.wire.send(datagram).ok();
        }
        while let Some(packet) = self.queues.outgoing.pop_front() {
            self.send_packet(&packet);
        }
    }

    /// Sends an inner packet as it is.
    pub(crate) fn send_packet(&mut self, packet: &[u8]) {
        let mut room = [0; 2048];
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.encapsulate(packet, &mut room) {
            self.sent.push(datagram.to_vec());
            self.wire.send(datagram).ok();
        }
    }

    fn open(&mut self, datagram: &[u8]) {
        let mut room = [0; 2048];
        match self.tunn.decapsulate(None, datagram, &mut room) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                self.seen.push(packet.to_vec());
                self.queues.incoming.push_back(packet.to_vec());
            }
            TunnResult::WriteToNetwork(reply) => {
                self.wire.send(reply).ok();
                while let TunnResult::WriteToNetwork(waited) = self.tunn.decapsulate(None, &[], &mut room) {
                    self.sent.push(waited.to_vec());
                    self.wire.send(waited).ok();
                }
            }
            _ => {}
        }
    }

    /// Begins a connection.
    pub(crate) fn dial(&mut self, to: SocketAddr) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 << 10]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        self.port += 1;
        let IpAddr::V4(address) = to.ip() else { panic!("IPv4 only") };
        let to = (smoltcp::wire::IpAddress::from(address), to.port());
        socket.connect(self.interface.context(), to, self.port).unwrap();
        self.sockets.add(socket)
    }

    /// A connection that stands.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> SocketHandle {
        let handle = self.dial(to);
        self.until("connected", |client| client.tcp(handle).may_send());
        handle
    }

    pub(crate) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Sends all of `bytes`.
    pub(crate) fn write(&mut self, handle: SocketHandle, mut bytes: &[u8]) {
        self.until("sent", |client| {
            let count = client.tcp(handle).send_slice(bytes).unwrap();
            bytes = &bytes[count..];
            bytes.is_empty()
        });
    }

    /// Everything until the other side closes.
    pub(crate) fn read_to_end(&mut self, handle: SocketHandle) -> Vec<u8> {
        let mut all = Vec::new();
        self.until("read to the end", |client| {
            let socket = client.tcp(handle);
            while socket.can_recv() {
                socket.recv(|bytes| (bytes.len(), all.extend_from_slice(bytes))).unwrap();
            }
            !socket.may_recv()
        });
        all
    }
}

fn socket(server: SocketAddr) -> UdpSocket {
    let wire = UdpSocket::bind("127.0.0.1:0").unwrap();
    wire.connect(server).unwrap();
    wire.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    wire
}

pub(crate) struct Rx(Vec<u8>);

pub(crate) struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Queues {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.incoming.pop_front()?), Tx(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1420;
        capabilities
    }
}

impl smoltcp::phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl smoltcp::phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
