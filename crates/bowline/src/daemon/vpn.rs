//! From `[vpn]` to the server: store, tunnel, egress policy and the audit log filled in from the world.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_audit::{Client, Event as Kept, Record};
use bowline_base::{BoxFuture, Fault, Identity, Kind, Secret, atomic};
use bowline_credentials::{Broker, Witness};
use bowline_host::{Address, Check, Ctx, Job, Listeners, Verdict};
use bowline_tunnel::{
    Config as TunnelConfig, Dns, Limits, Stats,
    egress::{ClientToClient, CredentialAddresses, Policy, Rules, Smtp},
    metrics,
};
use bowline_vpn::connect;
use bowline_vpn::server::{
    Config, HandOver, OpenTunnel, Server, ServerKeys, Tls, Tunnel, User, V6, View,
    events::{Event, Recorder, What},
    store::{FileStore, ParameterStore, Store},
};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{
    commands::vpn::{Machine, nameservers, this_machine, tunnel_checks},
    config::{StorePlace, VpnSection},
    environment::Environment,
    output, secrets,
    world::World,
};

/// How often the packet path is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The server as the daemon's job.
pub(super) struct VpnJob {
    config: Config,
    store: Arc<dyn Store>,
    tunnel: TunnelConfigParts,
    recorder: Recorder,
    /// Where the CONNECT proxy listens, and how it works.
    proxy: Option<(SocketAddr, connect::Config)>,
    /// What clients are told of it.
    proxy_endpoint: Option<String>,
    /// Nobody asked for it.
    proxy_by_default: bool,
    running: Mutex<Option<Arc<Server>>>,
}

/// The tunnel's configuration but for the key, which is in the store.
#[derive(Clone)]
struct TunnelConfigParts {
    listen: Vec<SocketAddr>,
    addresses: Vec<IpAddr>,
    mtu: u16,
    rules: Rules,
    dns: Option<Dns>,
}

/// What `section` asks for; credentials come from `broker`, changes go to `witness`.
pub(super) fn job(
    world: &World,
    broker: &Broker,
    section: &VpnSection,
    witness: Option<Witness>,
) -> Result<VpnJob, Fault> {
    let machine = this_machine();
    let place = store_place(world, section);
    let v6 = V6::default();
    let tunnel = tunnel(section, &machine, v6);
    let master_key = section.master_key.as_ref().map(|place| secrets::read(world, place)).transpose()?;
    let config = Config {
        api: Address::Tcp(section.api),
        tls: section
            .tls
            .as_ref()
            .map(|tls| Tls { certificate: tls.certificate.clone(), private_key: tls.private_key.clone() }),
        names: names(section),
        endpoint: section.endpoint.clone().unwrap_or_else(|| guessed_endpoint(section, &machine)),
        public_url: section.public_url.clone(),
        subnet: section.subnet,
        v6: Some(v6),
        mtu: section.mtu,
        dns: tunnel.dns.is_some(),
        master_key,
        new_master_key: matches!(place, StorePlace::File(_)).then(|| hand_over(&world.environment)),
    };
    let store = open_store(world, section, place, &|profile| Ok(broker.identity(profile)))?;
    let deny = world.audit.deny;
    let proxy = proxy(section);
    let (proxy_endpoint, proxy_by_default) = (section.proxy_endpoint.clone(), section.proxy_by_default);
    let recorder = recorder(world, witness, deny);
    Ok(VpnJob { config, store, tunnel, recorder, proxy, proxy_endpoint, proxy_by_default, running: Mutex::default() })
}

/// Shown to whoever started it. What a supervisor keeps of stdout stays there for long: a file is what its operator gets.
fn hand_over(environment: &Environment) -> HandOver {
    if !environment.is_output_kept() {
        return Arc::new(show_master_key);
    }
    let path = environment.state_directory().join("vpn-master-key");
    Arc::new(move |key| leave_master_key(key, &path))
}

fn leave_master_key(key: &Secret, path: &Path) -> Result<(), Fault> {
    let line = Secret::new(format!("{}\n", key.expose()));
    let cannot = |cause| {
        Fault::new(Kind::Config, "vpn", format!("cannot write the new master key to `{}`", path.display()))
            .hint("give one of your own: [vpn] master-key = { file = \"…\" }")
            .cause(cause)
    };
    atomic::write_private(path, line.expose().as_bytes()).map_err(cannot)?;
    warn!(path = %path.display(), "the VPN's master key is in this file, and only its hash is kept elsewhere: take it, and remove the file");
    Ok(())
}

fn show_master_key(key: &Secret) -> Result<(), Fault> {
    output::say("note: this is the master key; it is shown once, and only its hash is kept:");
    output::secret(key)?;
    output::data("\n")
}

/// Where users are: as the section says, else below the state directory.
pub(crate) fn store_place(world: &World, section: &VpnSection) -> StorePlace {
    let usual = || StorePlace::File(world.environment.state_directory().join("vpn"));
    section.store.clone().unwrap_or_else(usual)
}

/// The profile that the store in AWS is read with; `None` for a directory.
pub(crate) fn profile(world: &World, section: &VpnSection) -> Option<String> {
    let in_aws = matches!(section.store, Some(StorePlace::Ssm(_)));
    in_aws.then(|| section.identity.clone().unwrap_or_else(|| world.unnamed_identity()))
}

/// Finds the identity behind a profile.
pub(crate) type IdentityOf<'a> = dyn Fn(&str) -> Result<Arc<dyn Identity>, Fault> + 'a;

/// Opens the store; nothing is read yet. `identity` is asked for a profile where the store is in AWS.
pub(crate) fn open_store(
    world: &World,
    section: &VpnSection,
    place: StorePlace,
    identity: &IdentityOf<'_>,
) -> Result<Arc<dyn Store>, Fault> {
    match place {
        StorePlace::File(directory) => Ok(Arc::new(FileStore::open(directory)?)),
        StorePlace::Ssm(prefix) => {
            let profile = profile(world, section).unwrap_or_default();
            let region = world.region(section.region.as_deref(), &profile)?;
            Ok(Arc::new(ParameterStore::new(&world.aws, region, identity(&profile)?, &prefix)?))
        }
    }
}

impl VpnJob {
    /// The running server, once started.
    pub(super) fn server(&self) -> Option<Arc<Server>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn begin(&self, ctx: &Ctx) -> Result<(), Fault> {
        let handle = Arc::new(Mutex::new(None));
        let opened = Arc::clone(&handle);
        let (parts, egress) = (self.tunnel.clone(), policy(&self.tunnel.rules, &ctx.listeners));
        let proxy_egress = Arc::clone(&egress);
        let open: OpenTunnel = Box::new(move |keys| {
            let tunnel = open_tunnel(parts, egress, keys)?;
            *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tunnel));
            Ok(tunnel as Arc<dyn Tunnel>)
        });
        let (config, store) = (self.config.clone(), Arc::clone(&self.store));
        let server = Server::start(ctx, config, store, open, Arc::clone(&self.recorder)).await?;
        let tunnel = handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tunnel) = tunnel {
            watch(ctx, Arc::clone(&tunnel));
            let times = Arc::clone(&tunnel);
            ctx.metrics.ask(move || tunnel.stats().map(|stats| metrics::readings(&stats)).unwrap_or_default());
            ctx.metrics.ask_times(move || times.stats().map(|stats| metrics::times(&stats)).unwrap_or_default());
        }
        if let Some((address, proxy)) = &self.proxy {
            let told = self.proxy_endpoint.clone();
            match server.open_proxy(ctx, *address, told, proxy.clone(), proxy_egress).await {
                Err(fault) if self.proxy_by_default => {
                    warn!(reason = %fault.chain(), "no CONNECT proxy; --proxy ADDRESS:PORT names another place for it");
                }
                opened => drop(opened?),
            }
        }
        info!(
            public_key = %server.public_key(), endpoint = server.endpoint(), store = self.store.place(),
            pin = server.fingerprint(), "clients pin this certificate"
        );
        for check in tunnel_checks(&server.board().view().stats) {
            if check.verdict != Verdict::Ok {
                warn!(check = check.id, fix = check.fix, "{}", check.why);
            }
        }
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(server));
        Ok(())
    }

    fn stats(&self) -> Option<Arc<Stats>> {
        self.server().map(|server| Arc::clone(&server.board().view().stats))
    }
}

impl Job for VpnJob {
    fn name(&self) -> &'static str {
        "vpn"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.begin(ctx))
    }

    fn status(&self) -> Value {
        let Some(server) = self.server() else { return Value::Null };
        let view = server.board().view();
        let api = server.api();
        json!({
            "listening": view.stats.listening.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "api": api.map(|address| address.to_string()), "pin": server.fingerprint(), "page": api.map(page),
            "store": self.store.place(), "users": view.directory.users().count(),
            "connected": view.connected.len(), "inactive": view.idle.len(), "peers": peers(&view),
        })
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks = self.stats().map(|stats| tunnel_checks(&stats)).unwrap_or_default();
        let away = self.server().and_then(|server| server.board().view().store_away.clone());
        checks.push(Check {
            id: "vpn.store".to_owned(),
            verdict: if away.is_some() { Verdict::Degraded } else { Verdict::Ok },
            why: away.unwrap_or_else(|| self.store.place()),
            fix: None,
        });
        checks.extend(self.server().and_then(|server| server.on_the_former_key()).map(on_the_former_key));
        checks
    }
}

/// The page for users as this machine reaches it: over loopback the API is heard without TLS.
fn page(api: SocketAddr) -> String {
    let here = if api.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], api.port())) } else { api };
    let scheme = if here.ip().is_loopback() { "http" } else { "https" };
    format!("{scheme}://{here}/")
}

/// Who may come, by name, and when they were last heard; not where from.
fn peers(view: &View) -> Vec<Value> {
    let peer = |user: &Arc<User>| {
        let (stats, used) = (view.peer(user), view.usage(&user.id));
        json!({
            "user": user.id.as_str(), "connected": view.connected.contains(&user.id),
            "inactive": view.idle.get(&user.id).map(|idle| idle.why()),
            "last_handshake": stats.and_then(|stats| stats.last_handshake).map(bowline_base::utc),
            "received": stats.map_or(0, |stats| stats.received), "sent": stats.map_or(0, |stats| stats.sent),
            "used": used.total(),
        })
    };
    view.directory.users().map(peer).collect()
}

/// A packet path that has ended takes the job with it, so that both are started again.
fn watch(ctx: &Ctx, tunnel: Arc<bowline_tunnel::Handle>) {
    let (wire, group) = (Arc::clone(&ctx.wire), ctx.tasks.clone());
    ctx.tasks.spawn_until_shutdown("vpn-watch", async move {
        while tunnel.is_running() {
            wire.sleep(LOOK).await;
        }
        group.give_up("the packet path has ended");
    });
}

/// A regeneration is over when nobody names the old key any more.
fn on_the_former_key(users: usize) -> Check {
    let (why, fix) = match users {
        0 => ("nobody has named the server by its former key since this start", "bowline vpn keygen --forget-previous"),
        _ => ("users still name the server by its former key: they need a new configuration", "bowline vpn users ls"),
    };
    let why = if users == 0 { why.to_owned() } else { format!("{users} {why}") };
    Check { id: "vpn.former-key".to_owned(), verdict: Verdict::Ok, why, fix: Some(fix.to_owned()) }
}

/// One policy for tunnel and proxy. Doors of the daemon that are for its owner alone, as the endpoint's and the status
/// page's, are out of reach wherever a reload moves them: they take whoever dials for this machine, and that would be us.
fn policy(rules: &Rules, listeners: &Listeners) -> Arc<Policy> {
    let listeners = listeners.clone();
    Arc::new(Policy::new(rules.clone()).shutting(move |port| listeners.is_private(port)))
}

fn open_tunnel(
    parts: TunnelConfigParts,
    egress: Arc<Policy>,
    keys: ServerKeys,
) -> Result<Arc<bowline_tunnel::Handle>, Fault> {
    let config = TunnelConfig {
        listen: parts.listen,
        private_key: keys.current,
        former_key: keys.former,
        addresses: parts.addresses,
        mtu: parts.mtu,
        egress,
        limits: Limits::usual(),
        dns: parts.dns,
    };
    let started = bowline_tunnel::Tunnel::start(config, Vec::new());
    started.map(Arc::new).map_err(|error| {
        let hint = "another program may have the port: ss -lunp shows which; or --listen with another one";
        Fault::new(Kind::Config, "vpn", error.to_string()).cause(error).hint(hint)
    })
}

fn tunnel(section: &VpnSection, machine: &Machine, v6: V6) -> TunnelConfigParts {
    let server = section.subnet.server();
    let addresses = vec![IpAddr::V4(server), IpAddr::V6(v6.of(server))];
    let flags = &section.egress;
    let inner = bowline_tunnel::Prefix::new(IpAddr::V4(server), section.subnet.bits());
    let ports = section.listen.iter().chain([&section.api]).chain(&section.proxy).map(SocketAddr::port);
    let rules = Rules {
        allow: flags.allow.clone(),
        credential_addresses: if flags.expose_credential_addresses {
            CredentialAddresses::Exposed
        } else {
            CredentialAddresses::Refused
        },
        smtp: if flags.allow_smtp { Smtp::Allowed } else { Smtp::Refused },
        client_to_client: if flags.client_to_client { ClientToClient::Allowed } else { ClientToClient::Refused },
        tunnel: inner.into_iter().chain([v6.prefix()]).collect(),
        own_addresses: machine.addresses.iter().chain(&addresses).copied().collect(),
        own_ports: ports.collect(),
    };
    let upstream = if section.dns.is_empty() { nameservers(&machine.resolv_conf) } else { section.dns.clone() };
    let dns = (!section.no_dns && !upstream.is_empty()).then_some(Dns { upstream });
    let listen = section.listen.clone();
    TunnelConfigParts { listen, addresses, mtu: section.mtu, rules, dns }
}

/// The proxy hands WireGuard in a stream to the tunnel's own port, on loopback where it listens everywhere.
fn proxy(section: &VpnSection) -> Option<(SocketAddr, connect::Config)> {
    let here = section.listen.first().map(|listen| match (listen.ip().is_unspecified(), listen.is_ipv4()) {
        (true, true) => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), listen.port()),
        (true, false) => SocketAddr::new(IpAddr::from(std::net::Ipv6Addr::LOCALHOST), listen.port()),
        (false, _) => *listen,
    });
    let standard = connect::Config::default();
    let ports =
        if section.proxy_ports.is_empty() { standard.ports } else { section.proxy_ports.iter().copied().collect() };
    Some((section.proxy?, connect::Config { ports, wireguard: here, ..standard }))
}

/// What the API's own certificate is for.
fn names(section: &VpnSection) -> Vec<String> {
    let host = section.endpoint.as_deref().and_then(|endpoint| endpoint.rsplit_once(':')).map(|(host, _)| host);
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(host.map(|host| host.trim_matches(['[', ']']).to_owned()).filter(|host| !names.contains(host)));
    names
}

/// Clients have to be told something: the address that is listened on, else the machine's first one that is not its own
/// alone.
fn guessed_endpoint(section: &VpnSection, machine: &Machine) -> String {
    let listen = section.listen.first().copied().unwrap_or_else(|| ([127, 0, 0, 1], 51820).into());
    let outside = machine.addresses.iter().find(|address| address.is_ipv4() && !address.is_loopback());
    let address = if listen.ip().is_unspecified() { outside.copied() } else { Some(listen.ip()) };
    let endpoint = SocketAddr::new(address.unwrap_or_else(|| listen.ip()), listen.port());
    warn!(address = %endpoint.ip(), "clients are told this address; --endpoint HOST:PORT tells them another one");
    endpoint.to_string()
}

/// Changes of users, and refused keys, in the audit log.
fn recorder(world: &World, witness: Option<Witness>, deny: bool) -> Recorder {
    let wire = Arc::clone(&world.wire);
    Arc::new(move |event: &Event| {
        let Some(witness) = witness.as_ref().filter(|_| is_kept(event.what)) else { return Ok(()) };
        let written = witness.note(wire.now(), record(event));
        if deny { written } else { Ok(()) }
    })
}

/// Who comes and goes is in the API's events and in the metrics.
fn is_kept(what: What) -> bool {
    !matches!(what, What::Connected | What::Disconnected | What::StoreAway | What::StoreBack)
}

fn record(event: &Event) -> Record {
    let kept = if event.what == What::Refused { Kept::Refused } else { Kept::VpnChanged };
    let client = event.source.map(|address| Client::Socket {
        address: SocketAddr::new(address, 0),
        uid: None,
        user_agent: Some("vpn api".to_owned()),
    });
    Record {
        profile: event.id.as_ref().map(|id| format!("vpn/{id}")),
        source: Some(event.what.name().to_owned()),
        client,
        reason: event.detail.clone(),
        ..Record::new(kept)
    }
}
