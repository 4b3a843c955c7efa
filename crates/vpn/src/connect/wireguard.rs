//! A client's WireGuard session in one stream: frames to the VPN's own UDP port, and datagrams from there to frames.
//!
//! Each stream has a UDP socket of its own, so that WireGuard sees a peer that has roamed to it. Bytes are accounted for by
//! the tunnel, where they are decrypted, and not here once more.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bowline_host::relay::Near;
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UdpSocket,
    time::timeout,
};

use super::framing;

/// Datagrams of one write: what has come meanwhile goes out together.
const BATCH: usize = 64 * 1024;

/// Until either side ends, or the client says nothing for `idle`.
pub(super) async fn carry(near: Near, first: Bytes, server: SocketAddr, idle: Duration) -> io::Result<()> {
    let unspecified: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 8], 0).into() };
    let socket = UdpSocket::bind(unspecified).await?;
    socket.connect(server).await?;
    let come = BytesMut::from(first.as_ref());
    match near {
        Near::Tcp(stream) => {
            let (read, write) = stream.into_split();
            both(read, write, come, &socket, idle).await
        }
        Near::Tls(stream) => {
            let (read, write) = tokio::io::split(*stream);
            both(read, write, come, &socket, idle).await
        }
    }
}

async fn both(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    come: BytesMut,
    socket: &UdpSocket,
    idle: Duration,
) -> io::Result<()> {
    tokio::select! {
        ended = to_datagrams(&mut read, come, idle, socket, &Toward::Connected) => ended,
        ended = to_frames(&mut write, socket, &Toward::Connected) => ended,
    }
}

/// Where datagrams go.
pub(crate) enum Toward {
    /// To whom the socket is connected.
    Connected,
    /// To whoever spoke last.
    Last(Mutex<Option<SocketAddr>>),
}

impl Toward {
    async fn send(&self, socket: &UdpSocket, datagram: &[u8]) -> io::Result<usize> {
        let last = match self {
            Self::Connected => return socket.send(datagram).await,
            Self::Last(last) => *last.lock().unwrap_or_else(PoisonError::into_inner),
        };
        match last {
            Some(address) => socket.send_to(datagram, address).await,
            None => Ok(0),
        }
    }

    fn seen(&self, from: SocketAddr) {
        if let Self::Last(last) = self {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        }
    }
}

/// Frames of `read` to datagrams. One that cannot be sent is lost, as on any network.
pub(crate) async fn to_datagrams(
    read: &mut (impl AsyncRead + Unpin),
    mut come: BytesMut,
    idle: Duration,
    socket: &UdpSocket,
    toward: &Toward,
) -> io::Result<()> {
    loop {
        while let Some(datagram) = framing::take(&mut come) {
            toward.send(socket, &datagram).await.ok();
        }
        come.reserve(BATCH);
        match timeout(idle, read.read_buf(&mut come)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Datagrams of `socket` to frames. While the stream takes nothing they wait in the socket, and are lost when it is full:
/// what is inside must slow down, not pile up.
pub(crate) async fn to_frames(
    write: &mut (impl AsyncWrite + Unpin),
    socket: &UdpSocket,
    toward: &Toward,
) -> io::Result<()> {
    let (mut datagram, mut out) = (vec![0; framing::LONGEST], Vec::with_capacity(2 * BATCH));
    loop {
        match socket.recv_from(&mut datagram).await {
            Ok((length, from)) => {
                toward.seen(from);
                framing::put(&mut out, &datagram[..length]);
            }
            // Nobody listens there at the moment; the system tells so once for each datagram.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        }
        while out.len() < BATCH
            && let Ok((length, from)) = socket.try_recv_from(&mut datagram)
        {
            toward.seen(from);
            framing::put(&mut out, &datagram[..length]);
        }
        write.write_all(&out).await?;
        write.flush().await?;
        out.clear();
    }
}
