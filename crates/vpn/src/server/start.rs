//! Brings the server up: reads the store, makes it ours where it is the predecessor's, opens the tunnel, lets users in, and
//! then answers.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bowline_base::{Fault, Kind, Secret, wire::Wire};
use bowline_host::{Address, Ctx, Listener, authority, client::random_bytes, tls_server::ServerTls};
use bowline_tunnel::{SecretKey, egress::Policy};
use tokio::sync::{mpsc, watch};
use tracing::info;

use super::{
    KeyHash,
    addresses::Subnet,
    api::{self, Api},
    api_key::{Purpose, new_key},
    clerk::{Ask, Clerk, Office},
    client_conf::Facts,
    directory::Directory,
    events::Recorder,
    layout::{self, Step},
    migration, news,
    peers::{Tunnel, V6},
    proxy_users::ProxyUsers,
    store::{Mark, Store, StoreError, Value, Values},
    view::Board,
};
use crate::connect;

/// A certificate of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM, the server's own first.
    pub certificate: PathBuf,
    /// PEM.
    pub private_key: PathBuf,
}

/// What the server is started with.
#[derive(Clone)]
pub struct Config {
    /// Where the API listens.
    pub api: Address,
    /// Its certificate; without one, one is made and kept in the store.
    pub tls: Option<Tls>,
    /// Names and addresses that a certificate of our own making is for.
    pub names: Vec<String>,
    /// What clients are told: `vpn.example.net:51820`.
    pub endpoint: String,
    /// How an invitation's link begins, where it is not as the API was asked.
    pub public_url: Option<String>,
    /// Users' addresses.
    pub subnet: Subnet,
    /// Users' IPv6 addresses, where they get any.
    pub v6: Option<V6>,
    /// Of the tunnel.
    pub mtu: u16,
    /// Whether the tunnel answers DNS.
    pub dns: bool,
    /// The administrator's key; else it is the store's.
    pub master_key: Option<Secret>,
    /// Who is handed the key that is made where there is none, before anything of it is kept. Without it none is made.
    pub new_master_key: Option<HandOver>,
}

/// A running server.
pub struct Server {
    board: Board,
    /// The API's addresses, once bound.
    api: Option<std::net::SocketAddr>,
    fingerprint: String,
    busy: watch::Receiver<Duration>,
    wire: Arc<dyn Wire>,
    facts: Facts,
    tls: Arc<ServerTls>,
    has_former_key: bool,
}

/// The server's keys.
#[derive(Clone, Debug)]
pub struct ServerKeys {
    /// What clients are told.
    pub current: SecretKey,
    /// The one before a regeneration: clients that have not moved still name it.
    pub former: Option<SecretKey>,
}

/// Gives the operator a key that is kept nowhere else.
pub type HandOver = Arc<dyn Fn(&Secret) -> Result<(), Fault> + Send + Sync>;

/// Opens the tunnel with the server's keys.
pub type OpenTunnel = Box<dyn FnOnce(ServerKeys) -> Result<Arc<dyn Tunnel>, Fault> + Send>;

/// Orders that may wait; more are refused at once.
const WAITING: usize = 64;

impl Server {
    /// Starts it inside `ctx.tasks`.
    ///
    /// # Errors
    /// What keeps it from coming up: the store is away or holds what cannot be used, an address is taken, there is no
    /// master key.
    pub async fn start(
        ctx: &Ctx,
        config: Config,
        store: Arc<dyn Store>,
        open: OpenTunnel,
        recorder: Recorder,
    ) -> Result<Self, Fault> {
        let prepared = prepare(&*store, &config, &*ctx.wire).await?;
        let tls = match (&config.tls, &prepared.pair) {
            (Some(tls), _) => {
                let tls = ServerTls::load(&tls.certificate, &tls.private_key)?;
                tls.watch(&ctx.tasks);
                tls
            }
            (None, Some((certificate, key))) => ServerTls::from_pem(certificate.expose(), key)?,
            (None, None) => return Err(Fault::new(Kind::Bug, "vpn", "the API has no certificate")),
        };
        let listener = ctx.listeners.listen(&config.api).await?;
        let has_former_key = prepared.keys.former.is_some();
        let tunnel = open(prepared.keys.clone())?;
        let board = Board::new(recorder);
        let (orders, busy) = hire(ctx, &config, store, tunnel, &board, &prepared).await;
        let facts = facts(&config, &prepared.keys.current, tunnel_port(&board));
        let api = Arc::new(Api {
            board: board.clone(),
            orders,
            master: prepared.master,
            facts: facts.clone(),
            wire: Arc::clone(&ctx.wire),
            public_url: config.public_url.clone(),
        });
        let (address, fingerprint) = (listener.local_addr(), tls.fingerprint());
        api::serve(&ctx.tasks, Arc::new(Listener::Either(listener, Arc::clone(&tls))), api);
        let shown = address.map(|address| address.to_string()).unwrap_or_default();
        info!(api = shown, users = board.view().directory.users().count(), "the VPN serves");
        let wire = Arc::clone(&ctx.wire);
        Ok(Self { board, api: address, fingerprint, busy, wire, facts, tls, has_former_key })
    }

    /// Users, keys, and who may go on: what a proxy for the same users needs.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Lets the same users out by CONNECT at `address`, with TLS by the API's certificate or without it, as each client
    /// begins, and tells them so: as `endpoint`, else as `localhost` and the port. Gives the address, with the port that the
    /// system chose.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn open_proxy(
        &self,
        ctx: &Ctx,
        address: std::net::SocketAddr,
        endpoint: Option<String>,
        mut config: connect::Config,
        egress: Arc<Policy>,
    ) -> Result<Option<std::net::SocketAddr>, Fault> {
        let listener = ctx.listeners.listen(&Address::Tcp(address)).await?;
        let bound = listener.local_addr();
        if let (Some(wireguard), Some(port)) = (&mut config.wireguard, tunnel_port(&self.board)) {
            wireguard.set_port(port);
        }
        let users = Arc::new(ProxyUsers::new(self.board.clone(), Arc::clone(&self.wire)));
        let parts = connect::Parts { users, egress, resolver: Arc::new(connect::SystemResolver) };
        connect::serve(&ctx.tasks, Arc::new(Listener::Either(listener, Arc::clone(&self.tls))), config, parts);
        let port = bound.unwrap_or(address).port();
        self.board.tell_of_proxy(endpoint.unwrap_or_else(|| format!("localhost:{port}")));
        info!(proxy = bound.map(|address| address.to_string()).unwrap_or_default(), "the CONNECT proxy serves");
        Ok(bound)
    }

    /// Where the API listens, with the port that the system chose.
    #[must_use]
    pub fn api(&self) -> Option<std::net::SocketAddr> {
        self.api
    }

    /// What clients are told, with the port that the system chose.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.facts.endpoint
    }

    /// What clients pin.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The server's public key.
    #[must_use]
    pub fn public_key(&self) -> bowline_tunnel::PublicKey {
        self.facts.server_key
    }

    /// How many users last spoke to the key before a regeneration; `None` where the store has none such.
    #[must_use]
    pub fn on_the_former_key(&self) -> Option<usize> {
        let stats = || Arc::clone(&self.board.view().stats);
        self.has_former_key.then(|| stats().peers.values().filter(|peer| peer.former_key).count())
    }

    /// Resolves when nothing was sent or ordered for `time`.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            let until = self.busy.borrow().saturating_add(time);
            let left = until.saturating_sub(self.wire.now().boot);
            if left.is_zero() {
                return;
            }
            self.wire.sleep(left).await;
        }
    }
}

/// What the store held, made ours.
struct Prepared {
    values: Values,
    mark: Mark,
    keys: ServerKeys,
    master: KeyHash,
    /// The API's own certificate and key; none where the operator gives them.
    pair: Option<(Secret, Secret)>,
}

/// Another server may prepare the same store at this moment: what it has made is read then.
const MOST_TRIES: usize = 5;

async fn prepare(store: &dyn Store, config: &Config, wire: &dyn Wire) -> Result<Prepared, Fault> {
    for _ in 0..MOST_TRIES {
        let (values, mark) = store.load().await.map_err(away)?;
        let mut random = random_bytes::<32>;
        let now = wire.now().wall;
        let (key, mut steps) = layout::server_key(&values, &mut random)?;
        steps.extend(layout::migrate_users(&values, &config.subnet, now, &mut random)?);
        let master = master(config, &values, &mut steps, store.place())?;
        let pair = certificate(config, &values, &mut steps, now)?;
        let keys = server_keys(&values, &key)?;
        let mut prepared = Prepared { values, mark, keys, master, pair };
        if make(store, steps, &mut prepared.values).await? {
            return Ok(prepared);
        }
        info!("another server prepares the same store: what was made first counts, a master key included");
    }
    Err(Fault::new(Kind::Unreachable, "vpn", format!("other servers keep changing `{}`", store.place()))
        .hint("start once more"))
}

fn server_keys(values: &Values, current: &Secret) -> Result<ServerKeys, Fault> {
    let parsed =
        |key: &Secret| SecretKey::parse(key).map_err(|cause| Fault::new(Kind::Bug, "vpn", "no key").cause(cause));
    let former = layout::former_key(values, current).map(|former| parsed(&former)).transpose()?;
    Ok(ServerKeys { current: parsed(current)?, former })
}

/// Sets the clerk and the reader of news to work; gives the way to the clerk, and when somebody was last busy.
async fn hire(
    ctx: &Ctx,
    config: &Config,
    store: Arc<dyn Store>,
    tunnel: Arc<dyn Tunnel>,
    board: &Board,
    prepared: &Prepared,
) -> (mpsc::Sender<Ask>, watch::Receiver<Duration>) {
    let (generation, generations) = watch::channel(0);
    let (busy, busies) = watch::channel(ctx.wire.now().boot);
    let (orders, inbox) = mpsc::channel(WAITING);
    let (told, heard) = mpsc::channel(1);
    let office = Office {
        store: Arc::clone(&store),
        tunnel,
        wire: Arc::clone(&ctx.wire),
        board: board.clone(),
        subnet: config.subnet,
        v6: config.v6,
        generation,
        busy,
    };
    let mut clerk = Clerk::new(office, Directory::read(&prepared.values));
    clerk.open().await;
    ctx.tasks.spawn("vpn-clerk", clerk.work(inbox, heard, ctx.tasks.shutting_down()));
    let reader = news::read(store, Arc::clone(&ctx.wire), generations, told, prepared.mark.clone());
    ctx.tasks.spawn_until_shutdown("vpn-news", reader);
    (orders, busies)
}

/// The first port of the tunnel, as bound.
fn tunnel_port(board: &Board) -> Option<u16> {
    board.view().stats.listening.first().map(std::net::SocketAddr::port)
}

/// Nobody can be told port 0: the system has chosen another one.
fn told(endpoint: &str, port: Option<u16>) -> String {
    let chosen = endpoint.strip_suffix(":0").zip(port).map(|(host, port)| format!("{host}:{port}"));
    chosen.unwrap_or_else(|| endpoint.to_owned())
}

fn facts(config: &Config, private: &SecretKey, port: Option<u16>) -> Facts {
    Facts {
        endpoint: told(&config.endpoint, port),
        server_key: private.public(),
        subnet: config.subnet,
        v6: config.v6,
        mtu: config.mtu,
        dns: config.dns,
    }
}

/// The master key's hash. A key that is made now is handed over first: whatever goes wrong afterwards, it is not lost.
fn master(config: &Config, values: &Values, steps: &mut Vec<Step>, place: String) -> Result<KeyHash, Fault> {
    let held = config.master_key.as_ref().or_else(|| values.get(layout::MASTER_KEY).map(|value| &value.text));
    if let Some(key) = held.filter(|key| !key.is_blank()) {
        return Ok(KeyHash::of(key));
    }
    let kept = values.get(layout::MASTER_KEY_HASH).and_then(|value| KeyHash::from_hex(value.text.expose().trim()));
    if let Some(hash) = kept {
        return Ok(hash);
    }
    let hand_over = config.new_master_key.as_ref().ok_or_else(|| {
        Fault::new(Kind::Config, "vpn", format!("there is no master key in `{place}`"))
            .hint("let Terraform make the parameter `master-api-key` there, or give one: --master-key-file FILE")
    })?;
    let key = new_key(Purpose::Master, &random_bytes()?);
    hand_over(&key)?;
    let hash = KeyHash::of(&key);
    steps.push(Step::Create(layout::MASTER_KEY_HASH.to_owned(), Value::sealed(Secret::new(hash.hex()))));
    Ok(hash)
}

/// The API's own certificate and key, made now where there are none; `None` where the operator gives them.
fn certificate(
    config: &Config,
    values: &Values,
    steps: &mut Vec<Step>,
    now: bowline_base::Timestamp,
) -> Result<Option<(Secret, Secret)>, Fault> {
    if config.tls.is_some() {
        return Ok(None);
    }
    if let (Some(certificate), Some(key)) = (values.get(layout::CERTIFICATE), values.get(layout::CERTIFICATE_KEY)) {
        return Ok(Some((certificate.text.clone(), key.text.clone())));
    }
    let (certificate, key) = authority::self_signed(&config.names, now)?;
    let certificate = Secret::new(certificate);
    // The key first: a certificate alone is made anew, and so is a key alone.
    for (name, text) in [(layout::CERTIFICATE_KEY, &key), (layout::CERTIFICATE, &certificate)] {
        let value = Value::sealed(text.clone());
        let there = values.contains_key(name);
        let name = name.to_owned();
        steps.push(if there { Step::Replace(name, value) } else { Step::Create(name, value) });
    }
    Ok(Some((certificate, key)))
}

/// Makes the steps; `false` when another server was faster somewhere, so that what we chose is not what is there.
async fn make(store: &dyn Store, steps: Vec<Step>, values: &mut Values) -> Result<bool, Fault> {
    let count = steps.len();
    let made = migration::migrate(store, steps).await.map_err(away)?;
    let names: Vec<String> = made.changed.iter().map(|(name, _)| name.clone()).collect();
    let all = names.len() == count;
    for (name, value) in made.changed {
        match value {
            Some(value) => drop(values.insert(name, value)),
            None => drop(values.remove(&name)),
        }
    }
    store.announce(&names).await.map_err(away)?;
    Ok(all)
}

fn away(error: StoreError) -> Fault {
    match error {
        StoreError::Away(fault) => {
            let mut copy = Fault::new(fault.kind, fault.origin.clone(), fault.chain()).retry(fault.retry);
            copy.hint.clone_from(&fault.hint);
            copy
        }
        StoreError::Taken(name) => Fault::new(Kind::Unreachable, "vpn", format!("`{name}` is in the store already")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_the_port_that_the_system_chose() {
        assert_eq!(told("10.0.0.1:0", Some(40_031)), "10.0.0.1:40031");
        assert_eq!(told("[2001:db8::1]:0", Some(7)), "[2001:db8::1]:7");
        assert_eq!(told("vpn.example.net:51820", Some(7)), "vpn.example.net:51820");
        assert_eq!(told("10.0.0.1:0", None), "10.0.0.1:0");
    }
}
