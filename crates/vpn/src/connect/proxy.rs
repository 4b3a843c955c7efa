//! One request: who asks, for what, whether it may be had; and then the tunnel.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bowline_host::{
    Peer, Tasks,
    relay::{End, Relay},
    server::{Afterwards, Incoming, taken_over},
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use super::{
    Config, Offer, Parts, answers, choice,
    refusal::Refusal,
    sessions::{Sessions, Ticket},
    target::Target,
    wireguard,
};

pub(super) struct Proxy {
    pub(super) tasks: Tasks,
    pub(super) config: Config,
    pub(super) parts: Parts,
    pub(super) sessions: Arc<Sessions>,
    pub(super) relay: Relay,
}

/// What is behind a tunnel.
enum Far {
    Stream(TcpStream),
    WireGuard(SocketAddr),
}

impl Proxy {
    pub(super) async fn answer(self: Arc<Self>, peer: Peer, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        match self.open(&peer, &request).await {
            Ok((ticket, far)) => {
                let answer = match &far {
                    Far::Stream(_) => answers::connected(),
                    Far::WireGuard(_) => answers::frames(),
                };
                if let Some(afterwards) = request.extensions_mut().remove::<Afterwards>() {
                    afterwards.go_on(async move { self.until_shutdown(&ticket, far, request).await });
                }
                answer
            }
            Err(refusal) => {
                debug!(?peer, target = %request.uri(), %refusal, "not connected");
                answers::refused(&refusal)
            }
        }
    }

    async fn open(&self, peer: &Peer, request: &Request<Incoming>) -> Result<(Ticket, Far), Refusal> {
        if request.method() != Method::CONNECT {
            return Err(Refusal::NotConnect);
        }
        let offer = Offer::of(request.headers()).ok_or(Refusal::NoKey)?;
        let account = self.parts.users.admit(&offer, address(peer))?;
        let target = Target::of(request.uri()).ok_or(Refusal::NoTarget)?;
        let ticket = self.sessions.enter(account).ok_or(Refusal::TooMany(self.config.tunnels_a_user))?;
        let far = match target {
            Target::WireGuard => Far::WireGuard(self.config.wireguard.ok_or(Refusal::NoWireGuard)?),
            Target::Host(host, port) => Far::Stream(self.connect(&host, port).await?),
        };
        Ok((ticket, far))
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Refusal> {
        if !self.config.ports.contains(&port) {
            return Err(Refusal::Port(port));
        }
        timeout(self.config.dial, self.reach(host, port)).await.unwrap_or_else(|_| Err(slow(host, port)))
    }

    /// Resolves once, checks every answer, dials what was checked.
    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, Refusal> {
        let answers = match host.parse::<IpAddr>() {
            Ok(literal) => Ok(vec![literal]),
            Err(_) => self.parts.resolver.resolve(host).await,
        };
        let answers = answers.unwrap_or_default();
        if answers.is_empty() {
            return Err(Refusal::NoAddress(host.to_owned()));
        }
        let addresses = choice::allowed(&self.parts.egress, &answers, port);
        let addresses = addresses.map_err(|reason| Refusal::Egress(named(host, port), reason))?;
        match dial(&addresses, self.config.dial).await {
            Ok(stream) => Ok(stream),
            Err(cause) if cause.kind() == io::ErrorKind::TimedOut => Err(slow(host, port)),
            Err(cause) => Err(Refusal::NotReached(named(host, port), cause)),
        }
    }

    async fn until_shutdown(&self, ticket: &Ticket, far: Far, request: Request<Incoming>) {
        tokio::select! {
            () = self.tunnel(ticket, far, request) => {}
            () = self.tasks.shutting_down() => {}
        }
    }

    async fn tunnel(&self, ticket: &Ticket, far: Far, request: Request<Incoming>) {
        let target = request.uri().clone();
        let Some((near, first)) = taken_over(request).await else { return };
        let carried = async {
            match far {
                Far::Stream(far) => self.relay.carry(near, &first, far, &ticket.passed).await,
                Far::WireGuard(server) => match wireguard::carry(near, first, server, self.config.idle).await {
                    Ok(()) => End::Whole,
                    Err(error) => End::Broken(error),
                },
            }
        };
        tokio::select! {
            end = carried => debug!(%target, ?end, "a tunnel ended"),
            () = ticket.stopped() => debug!(%target, "a tunnel was ended with its user"),
        }
    }
}

/// One after the other; each gets its share of the time.
async fn dial(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(cause)) => last = cause,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn address(peer: &Peer) -> IpAddr {
    match peer {
        Peer::Tcp(address) | Peer::Tls(address) => address.ip(),
        Peer::Unix { .. } => IpAddr::from([127, 0, 0, 1]),
    }
}

fn named(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

fn slow(host: &str, port: u16) -> Refusal {
    Refusal::TooSlow(named(host, port))
}
