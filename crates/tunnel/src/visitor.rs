//! A WireGuard client in one process: a request over one TCP connection through a server, without TUN, root or a route.
//! For `bowline demo`, and for anybody who wants to know whether a server lets a user through.
//!
//! It blocks, on a socket and a stack of its own; it knows no DNS and speaks IPv4.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use boringtun::{
    noise::{Tunn, TunnResult},
    x25519,
};
use bowline_host::clock;
use smoltcp::{
    iface::{Interface, SocketHandle, SocketSet},
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    socket::tcp,
    time::Instant,
    wire::{HardwareAddress, IpAddress, IpCidr},
};

use crate::wg_conf::Conf;

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The file is not a client's: a key, an address or the server is missing.
    #[error("the client's file has no {0}")]
    Incomplete(&'static str),
    /// The other end of the connection refused it, or reset it.
    #[error("the connection was refused")]
    Refused,
    /// Nothing came for this long.
    #[error("nothing came through the tunnel for {}", bowline_base::units::duration(*.0))]
    Silent(Duration),
    /// More came than was asked for.
    #[error("more than {0} bytes came")]
    TooLong(usize),
    /// The system said no.
    #[error("cannot send to the server")]
    System(#[from] io::Error),
}

/// Between two looks at the socket.
const LOOK: Duration = Duration::from_millis(5);
/// Of TCP, each way.
const BUFFER: usize = 64 * 1024;
/// A datagram of WireGuard's around the largest packet.
const ROOM: usize = 2048;
const MTU: usize = 1420;

/// A client with a session of its own.
pub struct Visitor {
    wire: UdpSocket,
    session: Tunn,
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    begun: Duration,
    port: u16,
}

impl Visitor {
    /// A client by its file, as `bowline vpn users` hands it out; `random` makes its ports and numbers. Nothing is sent yet.
    ///
    /// # Errors
    /// The file lacks something, or the system has no socket.
    pub fn new(conf: &Conf, random: u64) -> Result<Self, VisitError> {
        let missing = VisitError::Incomplete;
        let private = conf.interface.private_key.as_ref().ok_or(missing("private key"))?;
        let own = conf.interface.addresses.iter().find_map(|one| ipv4(one.address)).ok_or(missing("IPv4 address"))?;
        let peer = conf.peers.first().ok_or(missing("peer"))?;
        let server: SocketAddr = peer
            .endpoint
            .as_deref()
            .and_then(|text| text.parse().ok())
            .ok_or(missing("endpoint that is an address"))?;
        let public = x25519::PublicKey::from(peer.public_key.0);
        let preshared = peer.preshared_key.as_ref().map(|key| *key.bytes());
        let index = u32::try_from(random & 0x00ff_ffff).unwrap_or_default();
        let mut queues = Queues::default();
        let mut config = smoltcp::iface::Config::new(HardwareAddress::Ip);
        config.random_seed = random;
        let mut interface = Interface::new(config, &mut queues, Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(IpAddress::from(own), 0)).unwrap_or_default());
        Ok(Self {
            wire: socket(server)?,
            session: Tunn::new(private.x25519(), public, preshared, None, index, None),
            queues,
            interface,
            sockets: SocketSet::new(Vec::new()),
            begun: clock::now().boot,
            port: 49152 + u16::try_from(random >> 50).unwrap_or_default(),
        })
    }

    /// Sends `request` to `to` through the tunnel, and gives everything that comes until the other side closes: at most
    /// `longest` bytes, within `limit`.
    ///
    /// # Errors
    /// [`VisitError`].
    pub fn exchange(
        &mut self,
        to: SocketAddr,
        request: &[u8],
        longest: usize,
        limit: Duration,
    ) -> Result<Vec<u8>, VisitError> {
        let handle = self.connect(to)?;
        let (end, mut left, mut answer) = (clock::now().boot + limit, request, Vec::new());
        loop {
            self.step()?;
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            if socket.can_send() && !left.is_empty() {
                let sent = socket.send_slice(left).unwrap_or(0);
                left = &left[sent..];
            }
            while socket.can_recv() {
                let taken = socket.recv(|bytes| (bytes.len(), answer.extend_from_slice(bytes)));
                taken.map_err(|_| VisitError::Refused)?;
            }
            if answer.len() > longest {
                return Err(VisitError::TooLong(longest));
            }
            match socket.state() {
                tcp::State::CloseWait | tcp::State::TimeWait => {
                    socket.close();
                    self.step()?;
                    return Ok(answer);
                }
                tcp::State::Closed => return Err(VisitError::Refused),
                _ => {}
            }
            if clock::now().boot >= end {
                return Err(VisitError::Silent(limit));
            }
        }
    }

    fn connect(&mut self, to: SocketAddr) -> Result<SocketHandle, VisitError> {
        let IpAddr::V4(address) = to.ip() else { return Err(VisitError::Incomplete("IPv6 stack")) };
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        self.port = self.port.checked_add(1).unwrap_or(49152);
        let remote = (IpAddress::from(address), to.port());
        socket.connect(self.interface.context(), remote, self.port).map_err(|_| VisitError::Refused)?;
        Ok(self.sockets.add(socket))
    }

    /// One round: what has come in, what the stack says to it, and out with it.
    fn step(&mut self) -> Result<(), VisitError> {
        let mut datagram = [0; ROOM];
        loop {
            match self.wire.recv(&mut datagram) {
                Ok(length) => self.open(&datagram[..length])?,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let passed = clock::now().boot.saturating_sub(self.begun);
        let now = Instant::from_millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX));
        self.interface.poll(now, &mut self.queues, &mut self.sockets);
        let mut room = [0; ROOM];
        if let TunnResult::WriteToNetwork(datagram) = self.session.update_timers(&mut room) {
            self.wire.send(datagram)?;
        }
        while let Some(packet) = self.queues.outgoing.pop_front() {
            if let TunnResult::WriteToNetwork(datagram) = self.session.encapsulate(&packet, &mut room) {
                self.wire.send(datagram)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, datagram: &[u8]) -> Result<(), VisitError> {
        let mut room = [0; ROOM];
        match self.session.decapsulate(None, datagram, &mut room) {
            TunnResult::WriteToTunnelV4(packet, _) => self.queues.incoming.push_back(packet.to_vec()),
            TunnResult::WriteToNetwork(reply) => {
                self.wire.send(reply)?;
                // What waited for the session.
                while let TunnResult::WriteToNetwork(waited) = self.session.decapsulate(None, &[], &mut room) {
                    self.wire.send(waited)?;
                }
            }
            TunnResult::WriteToTunnelV6(..) | TunnResult::Done | TunnResult::Err(_) => {}
        }
        Ok(())
    }
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let wire = UdpSocket::bind(any)?;
    wire.connect(server)?;
    wire.set_read_timeout(Some(LOOK))?;
    Ok(wire)
}

/// Inner packets on their way.
#[derive(Default)]
struct Queues {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

struct In(Vec<u8>);

struct Out<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Queues {
    type RxToken<'a> = In;
    type TxToken<'a> = Out<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(In, Out<'_>)> {
        Some((In(self.incoming.pop_front()?), Out(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Out<'_>> {
        Some(Out(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

impl RxToken for In {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Out<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let written = write(&mut packet);
        self.0.push_back(packet);
        written
    }
}

#[cfg(test)]
mod tests {
    use bowline_base::Secret;

    use super::*;

    fn conf(text: &str) -> Conf {
        Conf::parse(&Secret::new(text)).unwrap()
    }

    #[test]
    fn a_file_that_is_no_clients_is_refused_with_what_it_lacks() {
        let key = "aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gMTI=";
        let lacks = |text: &str| Visitor::new(&conf(text), 7).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(lacks("[Interface]\nAddress = 10.77.0.2/32\n").contains("private key"));
        let own = format!("[Interface]\nPrivateKey = {key}\n");
        assert!(lacks(&own).contains("IPv4 address"));
        let own = format!("{own}Address = 10.77.0.2/32\n");
        assert!(lacks(&own).contains("peer"));
        let named = format!("{own}[Peer]\nPublicKey = {key}\nAllowedIPs = 0.0.0.0/0\nEndpoint = vpn.example:51820\n");
        assert!(lacks(&named).contains("endpoint that is an address"), "{}", lacks(&named));
    }
}
