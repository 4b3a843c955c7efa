//! `bowline vpn serve` with users: flags over environment over the file, and the daemon does the rest.

use std::{
    iter,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind};
use tracing::warn;

use crate::{
    cli::VpnServe,
    config::{Config, EgressSection, SecretPlace, StorePlace, TlsSection, VpnSection, are_one, vpn_endpoint},
    config_place,
    daemon::{self, Start},
    environment::Environment,
    logging,
    world::World,
};

pub(super) fn run(environment: Environment, file: Option<PathBuf>, arguments: &VpnServe) -> Result<(), Fault> {
    let troubles = logging::start(environment.var("LOG_LEVEL"))?;
    let configured = config_place::load(file, &environment)?;
    let section = section(arguments, &environment, configured.vpn.unwrap_or_default())?;
    let section = if arguments.users.no_proxy { section } else { with_usual_proxy(section, arguments.status) };
    let mut config = Config {
        vpn: Some(section),
        identities: configured.identities,
        audit: configured.audit,
        vault: configured.vault,
        ..Config::default()
    };
    if let Some(status) = arguments.status {
        config.daemon.listen = status;
    }
    daemon::run(
        World::new(environment)?.with_config(&config).remembering(troubles),
        config,
        Start::VpnAlone { status: arguments.status.is_some() },
    )
}

/// The section that flags and environment ask for, on top of what the file has.
pub(crate) fn section(arguments: &VpnServe, environment: &Environment, file: VpnSection) -> Result<VpnSection, Fault> {
    let (flags, egress) = (&arguments.users, &arguments.egress);
    Ok(VpnSection {
        identity: flags.profile.clone().or(file.identity),
        region: flags.region.clone().or(file.region),
        listen: if arguments.listen.is_empty() { file.listen } else { arguments.listen.clone() },
        api: everywhere(flags.api, ("API_PORT", 8000), environment)?.unwrap_or(file.api),
        proxy: everywhere(flags.proxy, ("PROXY_PORT", 3128), environment)?.or(file.proxy),
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

/// The predecessor's place of the proxy, for this machine alone, where nobody names another one, and no other door of ours
/// is there.
fn with_usual_proxy(section: VpnSection, status: Option<SocketAddr>) -> VpnSection {
    if section.proxy.is_some() {
        return section;
    }
    let usual = ([127, 0, 0, 1], 3128).into();
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
    let told = format!("{}:{}", host.unwrap_or("localhost"), port.unwrap_or("3128"));
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
    fn the_proxy_is_on_loopback_unless_it_is_said_where() {
        let with_usual_proxy = |section| with_usual_proxy(section, None);
        let usual = with_usual_proxy(read("", &[]));
        assert_eq!((usual.proxy, usual.proxy_by_default), (Some("127.0.0.1:3128".parse().unwrap()), true));
        let everywhere = with_usual_proxy(read("", &[("PROXY_PORT", "3129")]));
        assert_eq!((everywhere.proxy, everywhere.proxy_by_default), (Some("0.0.0.0:3129".parse().unwrap()), false));
        assert_eq!(with_usual_proxy(read("--proxy 10.0.0.1:1", &[])).proxy, Some("10.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn where_another_door_has_the_proxys_usual_place_there_is_none() {
        let proxy = |words: &str, status: Option<&str>| {
            with_usual_proxy(read(words, &[]), status.map(|status| status.parse().unwrap())).proxy
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
