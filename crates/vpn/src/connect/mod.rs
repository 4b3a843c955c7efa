//! The CONNECT proxy: lets the VPN's users out over TCP where WireGuard cannot be had, by the same keys and the same rules.
//!
//! A name is resolved once, **every** answer is held against the egress policy, and the literal address is dialled; one
//! refused answer refuses the name, since names that point inside and outside at once are how rebinding begins. One target
//! is not dialled at all: [`WIREGUARD`], behind which a client's WireGuard session comes as frames in the stream
//! (`docs/decisions/0010-wireguard-in-connect.md`).
//!
//! Who the users are is behind [`Users`]. The proxy keeps no key, and no name of a host beyond a line at debug level.

mod answers;
mod choice;
pub(crate) mod framing;
mod offer;
mod proxy;
mod refusal;
mod sessions;
mod target;
pub(crate) mod wireguard;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bowline_base::BoxFuture;
use bowline_host::{Listener, ServerLimits, Tasks, relay::Relay, server};
use bowline_tunnel::egress::Policy;

pub use self::{offer::Offer, target::WIREGUARD};
use self::{proxy::Proxy, sessions::Sessions};

/// What the proxy asks of those who know the users. Answers come from memory.
pub trait Users: Send + Sync {
    /// Whose key this is.
    ///
    /// # Errors
    /// Why nobody is let in.
    fn admit(&self, offer: &Offer, from: IpAddr) -> Result<Arc<dyn Account>, Refused>;
}

/// A user who was let in, by one key.
pub trait Account: Send + Sync {
    /// The user's id.
    fn user(&self) -> &str;

    /// Why the user may not go on by this key: deleted, disabled, at the end of its time or quota, or the key is another
    /// now. `None` while it may.
    fn ended(&self) -> Option<String>;

    /// Bytes that have passed for the user since the last time, from it and to it.
    fn used(&self, up: u64, down: u64);
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such key.
    Unknown,
    /// The user is known and may not use the VPN now.
    Ended(String),
    /// Too many wrong keys came from there.
    TryLater(Duration),
}

/// Finds addresses of names.
pub trait Resolver: Send + Sync {
    /// All addresses of `host`.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver: `/etc/hosts`, then DNS.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// How the proxy works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports that may be dialled.
    pub ports: BTreeSet<u16>,
    /// Tunnels of one user at once.
    pub tunnels_a_user: usize,
    /// Longest for resolving and dialling together.
    pub dial: Duration,
    /// A tunnel on which nothing moves for so long is ended.
    pub idle: Duration,
    /// Where the VPN's own WireGuard listens, for [`WIREGUARD`].
    pub wireguard: Option<SocketAddr>,
}

impl Default for Config {
    /// Ports 80 and 443, 256 tunnels, 10 s, 5 minutes, no WireGuard.
    fn default() -> Self {
        Self {
            ports: [80, 443].into(),
            tunnels_a_user: 256,
            dial: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            wireguard: None,
        }
    }
}

/// What the proxy works with.
#[derive(Clone)]
pub struct Parts {
    /// Who is let in.
    pub users: Arc<dyn Users>,
    /// What may be reached.
    pub egress: Arc<Policy>,
    /// Finds addresses.
    pub resolver: Arc<dyn Resolver>,
}

/// A head is at most 8 KB and there within 10 s.
const LIMITS: ServerLimits =
    ServerLimits { head: Duration::from_secs(10), connections: 1024, head_bytes: 8192, stall: Duration::from_secs(60) };

/// Serves `listener` (plain or TLS) until shutdown; then every tunnel ends.
pub fn serve(tasks: &Tasks, listener: Arc<Listener>, config: Config, parts: Parts) {
    let sessions = Arc::new(Sessions::new(config.tunnels_a_user));
    let looking = Arc::clone(&sessions);
    tasks.spawn_until_shutdown("connect-users", async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            looking.look();
        }
    });
    let relay = Relay::new(config.idle);
    let proxy = Arc::new(Proxy { tasks: tasks.clone(), config, parts, sessions, relay });
    server::serve_tunnels(tasks, "connect", listener, LIMITS, move |peer, request| {
        let proxy = Arc::clone(&proxy);
        async move { proxy.answer(peer, request).await }
    });
}
