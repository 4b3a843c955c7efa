//! The outside: UDP sockets that receive many datagrams at once (GRO) and send many at once (GSO), and answer from the
//! address that was asked. It knows nothing of what the datagrams mean.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mio::{Interest, Registry, Token, net::UdpSocket};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Socket, Type};

use crate::StartError;

/// The first token of the listening sockets; they are few.
pub(crate) const WIRE: usize = 1;

/// What is asked of the system for each direction. It grants at most `net.core.rmem_max` and `wmem_max`.
const BUFFER: usize = 4 << 20;

/// Buffers that one call fills; each takes up to 64 datagrams.
const BATCH: usize = 16;
const BUFFER_SIZE: usize = 65_536;

/// A full send buffer drains in microseconds; longer than this it is not waited for.
const DRAIN: Duration = Duration::from_millis(20);

/// Where a peer is, and through which of our sockets and addresses it reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) socket: usize,
}

/// The listening sockets.
pub(crate) struct Wire {
    sockets: Vec<Listening>,
    addresses: Vec<SocketAddr>,
    receive_buffer: usize,
}

struct Listening {
    io: UdpSocket,
    state: UdpSocketState,
}

impl Wire {
    /// Binds all of them, or none.
    pub(crate) fn bind(listen: &[SocketAddr], registry: &Registry) -> Result<Self, StartError> {
        let mut wire = Self { sockets: Vec::new(), addresses: Vec::new(), receive_buffer: usize::MAX };
        for address in listen {
            let wrong = |source| StartError::Listen { address: *address, source };
            let both = !listen.iter().any(|other| other.is_ipv4() && other.port() == address.port());
            let mut io = bound(*address, both).map_err(wrong)?;
            let state = UdpSocketState::new(UdpSockRef::from(&io)).map_err(wrong)?;
            registry.register(&mut io, Token(WIRE + wire.sockets.len()), Interest::READABLE).map_err(wrong)?;
            let granted = state.recv_buffer_size(UdpSockRef::from(&io)).map_err(wrong)?;
            wire.receive_buffer = wire.receive_buffer.min(granted);
            wire.addresses.push(io.local_addr().map_err(wrong)?);
            wire.sockets.push(Listening { io, state });
        }
        Ok(wire)
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The smallest receive buffer that was granted.
    pub(crate) fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Which socket sends to `remote`, for a peer that has not spoken yet.
    pub(crate) fn socket_for(&self, remote: SocketAddr) -> Option<usize> {
        self.addresses.iter().position(|own| own.is_ipv4() == remote.is_ipv4() || own.ip().is_unspecified())
    }

    /// Fills the inbox; `Ok(0)` when nothing is there.
    pub(crate) fn receive(&self, socket: usize, inbox: &mut Inbox) -> io::Result<usize> {
        let Some(listening) = self.sockets.get(socket) else { return Ok(0) };
        let mut buffers = inbox.buffer.chunks_mut(BUFFER_SIZE);
        let mut slices: [_; BATCH] = std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        match listening.state.recv(UdpSockRef::from(&listening.io), &mut slices, &mut inbox.meta) {
            Ok(filled) => Ok(filled),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends datagrams of `segment` bytes each, the last of which may be shorter. Waits a little for a full buffer.
    pub(crate) fn send(&self, to: Endpoint, contents: &[u8], segment: usize) -> io::Result<()> {
        let Some(listening) = self.sockets.get(to.socket) else { return Ok(()) };
        let segment_size = (segment < contents.len()).then_some(segment);
        let transmit = Transmit { destination: to.remote, ecn: None, contents, segment_size, src_ip: to.local };
        match listening.try_send(&transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listening.drained()?;
                listening.try_send(&transmit)
            }
            Err(_) if segment_size.is_some() => self.send_singly(to, contents, segment),
            sent => sent,
        }
    }

    /// How many datagrams one call may send.
    pub(crate) fn most_segments(&self, socket: usize) -> usize {
        self.sockets.get(socket).map_or(1, |listening| listening.state.max_gso_segments())
    }

    /// For devices that refuse segmentation.
    fn send_singly(&self, to: Endpoint, contents: &[u8], segment: usize) -> io::Result<()> {
        contents.chunks(segment).try_for_each(|datagram| self.send(to, datagram, datagram.len()))
    }
}

impl Listening {
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.state.try_send(UdpSockRef::from(&self.io), transmit)
    }

    fn drained(&self) -> io::Result<()> {
        let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: DRAIN.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.io, PollFlags::OUT)], Some(&timeout))?;
        Ok(())
    }
}

/// Where datagrams are received into.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    meta: [RecvMeta; BATCH],
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BATCH * BUFFER_SIZE], meta: [RecvMeta::default(); BATCH] }
    }

    /// One that holds nothing, to stand in for another for a moment.
    pub(crate) fn empty() -> Self {
        Self { buffer: Vec::new(), meta: [RecvMeta::default(); BATCH] }
    }

    /// How many buffers one call fills at most: fewer filled means that nothing is left.
    pub(crate) const FULL: usize = BATCH;

    /// The datagrams of the first `filled` buffers, each with where it came from.
    pub(crate) fn datagrams(&self, socket: usize, filled: usize) -> impl Iterator<Item = (Endpoint, &[u8])> {
        self.buffer.chunks(BUFFER_SIZE).zip(&self.meta).take(filled).flat_map(move |(buffer, meta)| {
            let from = Endpoint { remote: meta.addr, local: meta.dst_ip, socket };
            let filled = buffer.get(..meta.len).unwrap_or_default();
            filled.chunks(meta.stride.max(1)).map(move |datagram| (from, datagram))
        })
    }
}

/// `both`: the IPv6 wildcard serves IPv4 too, since nobody else does.
fn bound(address: SocketAddr, both: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both)?;
    }
    socket.set_nonblocking(true)?;
    // The system grants what it allows; how much that is stands in the statistics.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}
