//! A WireGuard session in one CONNECT stream, for networks that let no UDP out: a port on loopback stands for the server.
//!
//! When the stream ends it is opened again, and the link does not notice more than a pause. How the frames look:
//! `docs/decisions/0010-wireguard-in-connect.md`.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use bowline_base::{Fault, Kind, Secret};
use bowline_host::{
    client::Onward,
    tls::{self, Pin},
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket, lookup_host},
    time::timeout,
};
use tracing::{info, warn};

use crate::connect::{
    WIREGUARD,
    framing::{HEADER, VERSION},
    wireguard::{Toward, to_datagrams, to_frames},
};

/// The proxy before the server.
#[derive(Clone, Debug)]
pub struct Via {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS, and the one certificate that it may show.
    pub tls: Option<Option<Pin>>,
    /// The user's key.
    pub key: Secret,
    /// A proxy on the way to it, where the network has no other way out.
    pub through: Option<Onward>,
}

/// An open stream and the port on loopback that stands for the server.
pub(super) struct Carrier {
    via: Via,
    /// Where connections go: the proxy, or the one before it.
    first: SocketAddr,
    socket: UdpSocket,
    toward: Toward,
    stream: Option<Stream>,
}

struct Stream {
    read: Box<dyn AsyncRead + Send + Unpin>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    /// What came behind the head.
    come: BytesMut,
}

const PATIENCE: Duration = Duration::from_secs(15);
/// A server says something every 25 s.
const IDLE: Duration = Duration::from_secs(300);
const LONGEST_HEAD: usize = 8192;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Carrier {
    /// Finds the proxy and opens the first stream.
    ///
    /// # Errors
    /// It is not there, is nobody's whom we know, or refuses; with its words.
    pub(super) async fn open(via: Via) -> Result<Self, Fault> {
        let (host, port) = via.first();
        let away = |cause: io::Error| {
            Fault::new(Kind::Unreachable, "proxy", format!("cannot reach the proxy `{host}:{port}`")).cause(cause)
        };
        let first = lookup_host((host, port)).await.map_err(away)?.next();
        let first = first.ok_or_else(|| away(io::ErrorKind::NotFound.into()))?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(away)?;
        let stream = Some(stream(&via, first).await?);
        Ok(Self { via, first, socket, toward: Toward::Last(Mutex::default()), stream })
    }

    /// What the link is told.
    pub(super) fn endpoint(&self) -> Result<SocketAddr, Fault> {
        self.socket.local_addr().map_err(|cause| Fault::new(Kind::Bug, "proxy", "a socket has no address").cause(cause))
    }

    /// What must not go through the link.
    pub(super) fn outside(&self) -> SocketAddr {
        self.first
    }

    /// Carries until dropped.
    pub(super) async fn run(mut self) {
        let mut pause = Duration::from_secs(1);
        loop {
            let opened = match self.stream.take() {
                Some(stream) => Ok(stream),
                None => stream(&self.via, self.first).await,
            };
            match opened {
                Ok(stream) => {
                    pause = Duration::from_secs(1);
                    let ended = self.carry(stream).await;
                    info!(?ended, "the stream to the proxy ended; opening another one");
                }
                Err(fault) => warn!(reason = %fault.chain(), "no stream to the proxy; trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn carry(&self, mut stream: Stream) -> io::Result<()> {
        tokio::select! {
            ended = to_datagrams(&mut stream.read, stream.come, IDLE, &self.socket, &self.toward) => ended,
            ended = to_frames(&mut stream.write, &self.socket, &self.toward) => ended,
        }
    }
}

impl Via {
    /// To whom a connection is opened.
    fn first(&self) -> (&str, u16) {
        self.through.as_ref().map_or((&self.host, self.port), |onward| (&onward.host, onward.port))
    }
}

async fn stream(via: &Via, first: SocketAddr) -> Result<Stream, Fault> {
    let away = |cause: io::Error| {
        Fault::new(Kind::Unreachable, "proxy", format!("cannot talk to the proxy `{}:{}`", via.host, via.port))
            .hint("--proxy https://HOST:3128 names it; the server offers it by --proxy 0.0.0.0:3128 --proxy-endpoint HOST:3128")
            .cause(cause)
    };
    let opening = async {
        let mut tcp = TcpStream::connect(first).await.map_err(away)?;
        tcp.set_nodelay(true).map_err(away)?;
        if let Some(onward) = &via.through {
            go_on(onward, via, &mut tcp).await?;
        }
        match via.tls {
            None => {
                let (read, write) = tcp.into_split();
                greet(via, read, write).await
            }
            Some(pin) => {
                let (read, write) = tokio::io::split(tls::greet(tcp, &via.host, pin).await?);
                greet(via, read, write).await
            }
        }
    };
    timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(away(io::ErrorKind::TimedOut.into())))
}

/// Asks a proxy on the way for a connection to ours. Whoever is behind it says nothing before we do.
async fn go_on(onward: &Onward, via: &Via, tcp: &mut TcpStream) -> Result<(), Fault> {
    let host = if via.host.contains(':') { format!("[{}]", via.host) } else { via.host.clone() };
    let to = format!("{host}:{}", via.port);
    let told = onward.authorization.as_ref();
    let told = told.map(|told| format!("Proxy-Authorization: {}\r\n", told.expose())).unwrap_or_default();
    let request = Secret::new(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{told}\r\n"));
    let named = format!("{}:{}", onward.host, onward.port);
    let away = |cause: io::Error| {
        Fault::new(Kind::Unreachable, "proxy", format!("the proxy on the way, `{named}`, broke off")).cause(cause)
    };
    tcp.write_all(request.expose().as_bytes()).await.map_err(away)?;
    let (head, _) = head(tcp).await.map_err(away)?;
    match head.split(' ').nth(1).unwrap_or_default() {
        "200" => Ok(()),
        status => {
            let message = format!("the proxy on the way, `{named}`, answers {status} to CONNECT {to}");
            Err(Fault::new(Kind::Refused, "proxy", message).hint("HTTPS_PROXY names it; NO_PROXY goes past it"))
        }
    }
}

/// Asks for WireGuard, and believes only an answer of ours.
async fn greet(
    via: &Via,
    mut read: impl AsyncRead + Send + Unpin + 'static,
    mut write: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<Stream, Fault> {
    let away = |cause: io::Error| Fault::new(Kind::Unreachable, "proxy", "the proxy broke off").cause(cause);
    let request = Secret::new(format!(
        "CONNECT {WIREGUARD}:51820 HTTP/1.1\r\nHost: {WIREGUARD}:51820\r\nProxy-Authorization: Bearer {}\r\n\r\n",
        via.key.expose()
    ));
    write.write_all(request.expose().as_bytes()).await.map_err(away)?;
    write.flush().await.map_err(away)?;
    let (head, come) = head(&mut read).await.map_err(away)?;
    match judge(&head) {
        Ok(()) => Ok(Stream { read: Box::new(read), write: Box::new(write), come }),
        Err(fault) => Err(fault.cause(String::from_utf8_lossy(&come).trim().chars().take(300).collect::<String>())),
    }
}

/// The head of an answer, and what came behind it.
async fn head(read: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, BytesMut)> {
    let mut come = BytesMut::new();
    loop {
        if let Some(at) = come.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&come.split_to(at + 4)).into_owned();
            return Ok((head, come));
        }
        if come.len() > LONGEST_HEAD || read.read_buf(&mut come).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn judge(head: &str) -> Result<(), Fault> {
    let status = head.split(' ').nth(1).unwrap_or_default();
    let framed = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case(HEADER) && value.trim() == VERSION);
    let refused = |message: &str| Fault::new(Kind::Refused, "proxy", message.to_owned());
    match status {
        "200" if framed => Ok(()),
        "200" => {
            Err(refused("this proxy is not the VPN's: it knows nothing of WireGuard").hint("--proxy http://HOST:3128"))
        }
        "407" => Err(refused("the proxy does not know the key: it takes a user's, and not the administrator's")
            .hint("bowline vpn setup URL --key-file FILE with the user's own key, or BOWLINE_VPN_KEY")),
        status => Err(refused(&format!("the proxy answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_proxy_is_believed() {
        assert!(judge("HTTP/1.1 200 OK\r\nBowline-Framing: datagrams-1\r\n\r\n").is_ok());
        for (head, why) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", "not the VPN's"),
            ("HTTP/1.1 200 OK\r\nbowline-framing: datagrams-2\r\n\r\n", "not the VPN's"),
            ("HTTP/1.1 407 No\r\n\r\n", "does not know the key"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "answers 403"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "answers "),
        ] {
            let fault = judge(head).unwrap_err();
            assert!(fault.message.contains(why), "{head}: {fault}");
        }
    }
}
