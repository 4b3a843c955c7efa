//! `bowline vpn serve` with users: flags over environment over the file, and the daemon does the rest.

use std::{
    iter,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind};
use tracing::warn;

use crate::{
    cli::VpnServe,
    config::{
        self, Config, DaemonSection, EgressSection, SecretPlace, StorePlace, TlsSection, VpnSection, are_one,
        vpn_endpoint,
    },
    config_place,
    daemon::{self, Start, confinement},
    environment::Environment,
    logging,
    world::World,
};

/// The predecessor's ports.
const API_PORT: u16 = 8000;
const PROXY_PORT: u16 = 3128;

pub(super) fn run(environment: Environment, file: Option<PathBuf>, arguments: &VpnServe) -> Result<(), Fault> {
    let troubles = logging::start(environment.var("LOG_LEVEL"))?;
    let path = config_place::find(file, &environment);
    let configured = path.as_deref().map_or_else(|| Ok(Config::default()), config::load)?;
    let landlock = configured.daemon.landlock;
    // A file says itself where.
    let ip = if configured.vpn.is_some() { Ipv4Addr::LOCALHOST.into() } else { environment.listen()? };
    let file = configured.vpn.unwrap_or_else(|| reachable_by(ip));
    let section = section(arguments, &environment, file)?;
    let section = if arguments.users.no_proxy { section } else { with_usual_proxy(section, ip, arguments.status) };
    if let Some(why) = missed_store(&environment, &section) {
        warn!("{why}");
    }
    let mut config = Config {
        daemon: DaemonSection { landlock, ..DaemonSection::default() },
        vpn: Some(section),
        identities: configured.identities,
        audit: configured.audit,
        vault: configured.vault,
        ..Config::default()
    };
    if let Some(status) = arguments.status {
        config.daemon.listen = status;
    }
    let mut world = World::new(environment)?.with_config(&config).remembering(troubles);
    world.bounds = confinement::enter(&world, &config, path.as_deref())?;
    daemon::run(world, config, Start::VpnAlone { status: arguments.status.is_some() })
}

/// Without a word about it the API is there, as the usual proxy is.
fn reachable_by(ip: IpAddr) -> VpnSection {
    let standard = VpnSection::default();
    VpnSection { api: SocketAddr::new(ip, standard.api.port()), ..standard }
}

/// The predecessor read its users from `/ephem-vpn` where nobody named a prefix. Whoever brings its variables along and no
/// prefix means that, and would begin with nobody.
fn missed_store(environment: &Environment, section: &VpnSection) -> Option<String> {
    let theirs = ["API_PORT", "VPN_PROXY_HOST", "VPN_PROXY_PORT"];
    let set = theirs.into_iter().find(|name| environment.var(name).is_some()).filter(|_| section.store.is_none())?;
    Some(format!(
        "{set} is set and SSM_PREFIX is not: users are kept in a directory of this machine, not in /ephem-vpn as the \
         predecessor would; SSM_PREFIX=/ephem-vpn or --store ssm:/ephem-vpn reads those, --store file:… says that this is meant"
    ))
}

/// The section that flags and environment ask for, on top of what the file has.
pub(crate) fn section(arguments: &VpnServe, environment: &Environment, file: VpnSection) -> Result<VpnSection, Fault> {
    let (flags, egress) = (&arguments.users, &arguments.egress);
    Ok(VpnSection {
        identity: flags.profile.clone().or(file.identity),
        region: flags.region.clone().or(file.region),
        listen: if arguments.listen.is_empty() { file.listen } else { arguments.listen.clone() },
        api: everywhere(flags.api, ("API_PORT", API_PORT), environment)?.unwrap_or(file.api),
        proxy: everywhere(flags.proxy, ("PROXY_PORT", PROXY_PORT), environment)?.or(file.proxy),
        proxy_by_default: false,
        proxy_ports: if flags.proxy_port.is_empty() { file.proxy_ports } else { flags.proxy_port.clone() },
        endpoint: flags.endpoint.clone().or(file.endpoint),
        proxy_endpoint: flags.proxy_endpoint.clone().or(told_proxy(environment)?).or(file.proxy_endpoint),
        public_url: flags.public_url.clone().or(file.public_url),
        store: store(flags.store.clone(), environment, file.store),
        subnet: flags.subnet.unwrap_or(file.subnet),
        mtu: arguments.mtu.unwrap_or(file.mtu),
        master_key: master_key(flags.master_key_file.as_deref(), environment)?.or(file.master_key),
        tls: match (&flags.tls_cert, &flags.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(TlsSection { certificate: whole(certificate)?, private_key: whole(key)? })
            }
            _ => file.tls,
        },
        egress: EgressSection {
            allow: if egress.egress_allow.is_empty() { file.egress.allow } else { egress.egress_allow.clone() },
            expose_credential_addresses: egress.dangerously_expose_credential_addresses
                || file.egress.expose_credential_addresses,
            allow_smtp: egress.allow_smtp || file.egress.allow_smtp,
            client_to_client: egress.client_to_client || file.egress.client_to_client,
        },
        dns: if arguments.dns.dns.is_empty() { file.dns } else { arguments.dns.dns.clone() },
        no_dns: arguments.dns.no_dns || file.no_dns,
        stop_when_idle: flags.stop_when_idle.or(file.stop_when_idle),
    })
}

/// The predecessor's port of the proxy at `ip`, where nobody names another place, and no other door of ours is there.
fn with_usual_proxy(section: VpnSection, ip: IpAddr, status: Option<SocketAddr>) -> VpnSection {
    if section.proxy.is_some() {
        return section;
    }
    let usual = SocketAddr::new(ip, PROXY_PORT);
    if iter::once(section.api).chain(status).any(|door| are_one(door, usual)) {
        warn!(
            "no CONNECT proxy: its usual place {usual} is another door's; --proxy ADDRESS:PORT names another one for it"
        );
        return section;
    }
    VpnSection { proxy: Some(usual), proxy_by_default: true, ..section }
}

/// A flag, then the predecessor's variable, then the file.
pub(super) fn store(
    flag: Option<StorePlace>,
    environment: &Environment,
    file: Option<StorePlace>,
) -> Option<StorePlace> {
    let prefix = environment.var("SSM_PREFIX").map(|prefix| prefix.trim_matches('/').to_owned());
    flag.or(prefix.filter(|prefix| !prefix.is_empty()).map(|prefix| StorePlace::Ssm(format!("/{prefix}")))).or(file)
}

/// A variable with a port means everybody: that is what the predecessor's containers set it for.
fn everywhere(
    flag: Option<SocketAddr>,
    (variable, usual): (&str, u16),
    environment: &Environment,
) -> Result<Option<SocketAddr>, Fault> {
    let Some(text) = environment.var(variable).filter(|_| flag.is_none()) else { return Ok(flag) };
    let port: u16 = text.parse().map_err(|_| {
        Fault::new(Kind::Config, "vpn", format!("{variable} `{text}` is not a port"))
            .hint(format!("write it as {variable}={usual}"))
    })?;
    Ok(Some(([0, 0, 0, 0], port).into()))
}

/// The predecessor's two variables for what clients are told of the proxy; either is enough.
fn told_proxy(environment: &Environment) -> Result<Option<String>, Fault> {
    let (host, port) = (environment.var("VPN_PROXY_HOST"), environment.var("VPN_PROXY_PORT"));
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let usual = PROXY_PORT.to_string();
    let told = format!("{}:{}", host.unwrap_or("localhost"), port.unwrap_or(&usual));
    vpn_endpoint(&told)
        .map(Some)
        .map_err(|why| Fault::new(Kind::Config, "vpn", why).hint("VPN_PROXY_HOST=vpn.example.net VPN_PROXY_PORT=3128"))
}

fn master_key(flag: Option<&Path>, environment: &Environment) -> Result<Option<SecretPlace>, Fault> {
    const VARIABLE: &str = "BOWLINE_VPN_MASTER_KEY";
    match flag {
        Some(path) => whole(path).map(|path| Some(SecretPlace::File(path))),
        None => Ok(environment.var(VARIABLE).map(|_| SecretPlace::Env(VARIABLE.to_owned()))),
    }
}

fn whole(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path)
        .map_err(|cause| Fault::new(Kind::Config, "vpn", format!("`{}` is no path", path.display())).cause(cause))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, Vpn};

    fn read(words: &str, variables: &[(&str, &str)]) -> VpnSection {
        let words = format!("bowline vpn serve {words}");
        let Command::Vpn(Vpn::Serve(serve)) = Cli::parse_from(words.split_whitespace()).command else { unreachable!() };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        section(&serve, &Environment::of(variables), VpnSection::default()).unwrap()
    }

    #[test]
    fn the_predecessors_variables_are_enough() {
        let section = read("", &[("SSM_PREFIX", "ephem-vpn/"), ("API_PORT", "8001"), ("BOWLINE_VPN_MASTER_KEY", "x")]);
        assert_eq!(section.store, Some(StorePlace::Ssm("/ephem-vpn".to_owned())));
        assert_eq!((section.api.to_string().as_str(), section.master_key.is_some()), ("0.0.0.0:8001", true));
    }

    #[test]
    fn the_predecessors_ports_are_the_usual_ones_and_its_prefix_is_asked_for() {
        let usual = with_usual_proxy(read("", &[]), Ipv4Addr::LOCALHOST.into(), None);
        assert_eq!((usual.api.to_string(), usual.proxy.unwrap().to_string()), here(8000, 3128));
        assert_eq!((usual.store, usual.region, usual.proxy_endpoint), (None, None, None));
        let told = read("", &[("VPN_PROXY_HOST", "localhost")]).proxy_endpoint;
        assert_eq!(told.as_deref(), Some("localhost:3128"));
        let missed = |words: &str, variables: &[(&str, &str)]| {
            let of = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            missed_store(&Environment::of(of), &read(words, variables))
        };
        for name in ["API_PORT", "VPN_PROXY_HOST", "VPN_PROXY_PORT"] {
            let why = missed("", &[(name, "8000")]).unwrap();
            assert!(why.contains(name) && why.contains("SSM_PREFIX=/ephem-vpn"), "{why}");
            assert_eq!(missed("", &[(name, "8000"), ("SSM_PREFIX", "/ephem-vpn")]), None);
            assert_eq!(missed("--store file:/srv/vpn", &[(name, "8000")]), None);
        }
        assert_eq!(missed("", &[]), None);
    }

    fn here(api: u16, proxy: u16) -> (String, String) {
        (format!("127.0.0.1:{api}"), format!("127.0.0.1:{proxy}"))
    }

    /// The image names every address; a flag and a variable with a port win.
    #[test]
    fn where_nobody_says_where_the_environment_does() {
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        let section = with_usual_proxy(reachable_by(everywhere), everywhere, None);
        assert_eq!((section.api.to_string().as_str(), section.proxy_by_default), ("0.0.0.0:8000", true));
        assert_eq!(section.proxy.unwrap().to_string(), "0.0.0.0:3128");
    }

    #[test]
    fn the_proxy_is_on_loopback_unless_it_is_said_where() {
        let with_usual_proxy = |section| with_usual_proxy(section, Ipv4Addr::LOCALHOST.into(), None);
        let usual = with_usual_proxy(read("", &[]));
        assert_eq!((usual.proxy, usual.proxy_by_default), (Some("127.0.0.1:3128".parse().unwrap()), true));
        let everywhere = with_usual_proxy(read("", &[("PROXY_PORT", "3129")]));
        assert_eq!((everywhere.proxy, everywhere.proxy_by_default), (Some("0.0.0.0:3129".parse().unwrap()), false));
        assert_eq!(with_usual_proxy(read("--proxy 10.0.0.1:1", &[])).proxy, Some("10.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn where_another_door_has_the_proxys_usual_place_there_is_none() {
        let proxy = |words: &str, status: Option<&str>| {
            let status = status.map(|status| status.parse().unwrap());
            with_usual_proxy(read(words, &[]), Ipv4Addr::LOCALHOST.into(), status).proxy
        };
        assert_eq!(proxy("--api 0.0.0.0:3128", None), None);
        assert_eq!(proxy("", Some("127.0.0.1:3128")), None);
        assert!(proxy("--api 127.0.0.2:3128", Some("127.0.0.1:9920")).is_some());
        let asked = proxy("--api 0.0.0.0:3128 --proxy 127.0.0.1:3128", None);
        assert!(asked.is_some(), "`clashes` says what is wrong with it");
    }

    #[test]
    fn clients_are_told_of_the_proxy_by_the_flag_then_by_the_predecessors_variables() {
        let told = |words: &str, variables: &[(&str, &str)]| read(words, variables).proxy_endpoint;
        assert_eq!(told("", &[]), None);
        assert_eq!(told("", &[("VPN_PROXY_HOST", "vpn.example.net")]).as_deref(), Some("vpn.example.net:3128"));
        assert_eq!(told("", &[("VPN_PROXY_PORT", "3129")]).as_deref(), Some("localhost:3129"));
        let both = [("VPN_PROXY_HOST", "a.example"), ("VPN_PROXY_PORT", "1")];
        assert_eq!(told("--proxy-endpoint b.example:2", &both).as_deref(), Some("b.example:2"));
        assert!(told_proxy(&Environment::of([("VPN_PROXY_PORT".into(), "x".into())].into())).is_err());
    }

    #[test]
    fn flags_win_and_without_any_the_api_is_this_machines_alone() {
        assert_eq!(read("", &[]), VpnSection::default());
        let words =
            "--api 127.0.0.1:9 --store ssm:/other --endpoint v.example:1 --stop-when-idle 30m --subnet 10.1.0.0/24";
        let section = read(words, &[("SSM_PREFIX", "/ephem-vpn"), ("API_PORT", "8001")]);
        assert_eq!((section.api.port(), section.store), (9, Some(StorePlace::Ssm("/other".to_owned()))));
        assert_eq!(
            (section.endpoint.as_deref(), section.subnet.to_string().as_str()),
            (Some("v.example:1"), "10.1.0.0/24")
        );
    }
}
