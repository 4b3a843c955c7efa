//! `[vpn]`: the server. Flags of `vpn serve` are keys of the same names.

use std::{net::SocketAddr, ops::Range, path::PathBuf, time::Duration};

use bowline_tunnel::Prefix;
use bowline_vpn::server::addresses::Subnet;

use super::{
    Mistake, SecretPlace, TlsSection,
    secret::of_key,
    sections::name,
    table::{Table, absolute, address, some_time},
};

/// Where users are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorePlace {
    /// `file:DIR`
    File(PathBuf),
    /// `ssm:/PREFIX`
    Ssm(String),
}

impl StorePlace {
    /// Reads `file:/var/lib/bowline/vpn`, `ssm:/ephem-vpn`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) => absolute(path).map(Self::File),
            Some(("ssm", prefix)) if !prefix.trim_matches('/').is_empty() => Ok(Self::Ssm(prefix.to_owned())),
            _ => Err(format!("`{text}` is no store: write it as file:/var/lib/bowline/vpn or ssm:/ephem-vpn")),
        }
    }
}

/// `[vpn]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VpnSection {
    /// The profile that reads the store in AWS.
    pub(crate) identity: Option<String>,
    pub(crate) region: Option<String>,
    /// Where clients send to.
    pub(crate) listen: Vec<SocketAddr>,
    /// The API and the operator's page.
    pub(crate) api: SocketAddr,
    /// The CONNECT proxy, where there is one.
    pub(crate) proxy: Option<SocketAddr>,
    /// Nobody asked for it there: where the address is taken, the server goes without.
    pub(crate) proxy_by_default: bool,
    /// Ports that it dials; empty: 80 and 443.
    pub(crate) proxy_ports: Vec<u16>,
    /// What clients are told.
    pub(crate) endpoint: Option<String>,
    /// What clients are told of the proxy.
    pub(crate) proxy_endpoint: Option<String>,
    /// How an invitation's link begins.
    pub(crate) public_url: Option<String>,
    pub(crate) store: Option<StorePlace>,
    pub(crate) subnet: Subnet,
    pub(crate) mtu: u16,
    pub(crate) master_key: Option<SecretPlace>,
    pub(crate) tls: Option<TlsSection>,
    pub(crate) egress: EgressSection,
    /// Resolvers; empty: those of the machine.
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) no_dns: bool,
    pub(crate) stop_when_idle: Option<Duration>,
}

/// Who may be reached through us.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EgressSection {
    pub(crate) allow: Vec<Prefix>,
    pub(crate) expose_credential_addresses: bool,
    pub(crate) allow_smtp: bool,
    pub(crate) client_to_client: bool,
}

impl Default for VpnSection {
    fn default() -> Self {
        Self {
            identity: None,
            region: None,
            listen: vec![([0, 0, 0, 0], 51820).into()],
            api: ([127, 0, 0, 1], 8000).into(),
            proxy: None,
            proxy_by_default: false,
            proxy_ports: Vec::new(),
            endpoint: None,
            proxy_endpoint: None,
            public_url: None,
            store: None,
            subnet: Subnet::default(),
            mtu: 1420,
            master_key: None,
            tls: None,
            egress: EgressSection::default(),
            dns: Vec::new(),
            no_dns: false,
            stop_when_idle: None,
        }
    }
}

/// Reads the section.
pub(super) fn read(text: &str, mut section: Table<'_>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> VpnSection {
    let standard = VpnSection::default();
    let vpn = VpnSection {
        identity: section.value("identity", mistakes, name),
        region: section.value("region", mistakes, name),
        listen: section.values("listen", mistakes, address).unwrap_or(standard.listen),
        api: section.value("api", mistakes, address).unwrap_or(standard.api),
        proxy: section.value("proxy", mistakes, address),
        proxy_by_default: false,
        proxy_ports: section.values("proxy-ports", mistakes, port).unwrap_or_default(),
        endpoint: section.value("endpoint", mistakes, endpoint),
        proxy_endpoint: section.value("proxy-endpoint", mistakes, endpoint),
        public_url: section.value("public-url", mistakes, name),
        store: section.value("store", mistakes, StorePlace::parse),
        subnet: section.value("subnet", mistakes, subnet).unwrap_or(standard.subnet),
        mtu: section.number("mtu", mistakes).and_then(|mtu| mtu.try_into().ok()).unwrap_or(standard.mtu),
        master_key: of_key(text, &mut section, "master-key", mistakes),
        tls: tls(text, &mut section, mistakes),
        egress: EgressSection {
            allow: section.values("egress-allow", mistakes, range).unwrap_or_default(),
            expose_credential_addresses: section
                .flag("dangerously-expose-credential-addresses", mistakes)
                .unwrap_or_default(),
            allow_smtp: section.flag("allow-smtp", mistakes).unwrap_or_default(),
            client_to_client: section.flag("client-to-client", mistakes).unwrap_or_default(),
        },
        dns: section.values("dns", mistakes, resolver).unwrap_or_default(),
        no_dns: section.flag("no-dns", mistakes).unwrap_or_default(),
        stop_when_idle: section.value("stop-when-idle", mistakes, some_time),
    };
    section.finish(mistakes);
    if !(1280..=9000).contains(&vpn.mtu) {
        mistakes.push(Mistake::at(text, span, "`vpn.mtu` must be 1280 to 9000"));
    }
    vpn
}

/// `HOST:PORT`, as clients are told.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let split = text.rsplit_once(':').filter(|(host, port)| {
        let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_[]:".contains(c));
        !host.is_empty() && plain && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    split.map(|_| text.to_owned()).ok_or_else(|| format!("`{text}` is not HOST:PORT like vpn.example.net:51820"))
}

pub(crate) fn subnet(text: &str) -> Result<Subnet, String> {
    text.parse().map_err(|error: bowline_vpn::server::addresses::SubnetError| error.to_string())
}

fn range(text: &str) -> Result<Prefix, String> {
    text.parse().map_err(|error: bowline_tunnel::PrefixError| error.to_string())
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{text}` is not a port, 1 to 65535"))
}

/// An address, with a port or without.
pub(crate) fn resolver(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| "write an address, or an address and a port like 10.0.0.2:53".to_owned())
}

fn tls(text: &str, section: &mut Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<TlsSection> {
    let certificate = section.path("tls-cert", mistakes);
    let private_key = section.path("tls-key", mistakes);
    match (certificate, private_key) {
        (Some(certificate), Some(private_key)) => Some(TlsSection { certificate, private_key }),
        (None, None) => None,
        _ => {
            mistakes.push(Mistake::at(text, &(0..0), "`vpn.tls-cert` and `vpn.tls-key` go together"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn every_key_is_read() {
        let text = "[vpn]\nlisten = [\"0.0.0.0:51820\", \"[::]:51820\"]\napi = \"0.0.0.0:8000\"\nendpoint = \"vpn.example.net:51820\"\n\
                    store = \"ssm:/ephem-vpn\"\nregion = \"eu-central-1\"\nidentity = \"site\"\nsubnet = \"10.9.0.0/24\"\nmtu = 1380\n\
                    master-key = { file = \"/run/secrets/key\" }\ntls-cert = \"/a\"\ntls-key = \"/b\"\negress-allow = \"10.20.0.0/16\"\n\
                    dns = \"10.0.0.2\"\nstop-when-idle = \"30m\"\nclient-to-client = true\nproxy-endpoint = \"vpn.example.net:3128\"\npublic-url = \"https://vpn.example.net\"\n";
        let vpn = parse(text).unwrap().vpn.unwrap();
        assert_eq!((vpn.listen.len(), vpn.api.port(), vpn.mtu), (2, 8000, 1380));
        assert_eq!(vpn.store, Some(StorePlace::Ssm("/ephem-vpn".to_owned())));
        assert_eq!(
            (vpn.subnet.to_string().as_str(), vpn.stop_when_idle),
            ("10.9.0.0/24", Some(Duration::from_secs(1800)))
        );
        assert_eq!(vpn.proxy_endpoint.as_deref(), Some("vpn.example.net:3128"));
        assert!(vpn.egress.client_to_client && vpn.tls.is_some() && vpn.master_key.is_some());
        assert_eq!(parse("[vpn]\n").unwrap().vpn, Some(VpnSection::default()));
    }

    #[test]
    fn mistakes_are_told_with_what_is_right() {
        for (line, said) in [
            ("store = \"redis:x\"", "is no store"),
            ("store = \"file:relative\"", "not an absolute path"),
            ("endpoint = \"vpn.example.net\"", "HOST:PORT"),
            ("subnet = \"10.0.0.0\"", "subnet"),
            ("mtu = 500", "1280 to 9000"),
            ("tls-cert = \"/a\"", "go together"),
            ("stor = \"x\"", "did you mean `store`"),
        ] {
            let fault = parse(&format!("[vpn]\n{line}\n")).unwrap_err();
            assert!(format!("{fault:?}").contains(said), "{line}: {fault:?}");
        }
    }
}
