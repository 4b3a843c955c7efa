//! What the tunnel is started with: flags over the file over defaults. Pure: what the machine is, is handed in.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bowline_base::{Fault, Kind};
use bowline_tunnel::{
    Config, Dns, Limits, Peer, Prefix,
    egress::{ClientToClient, CredentialAddresses, Policy, Rules, Smtp},
    usage::Usage,
    wg_conf::Conf,
};

use crate::cli::VpnServe;

/// Where everybody expects WireGuard.
const PORT: u16 = 51_820;
/// Fits wherever 1,500 bytes fit outside.
const MTU: u16 = 1420;
/// A network that a file does not name is taken to be as large as people make them.
const USUAL_BITS: [u8; 2] = [24, 64];

/// What this machine is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// Its addresses.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// The text of `/etc/resolv.conf`.
    pub(crate) resolv_conf: String,
}

/// The tunnel's configuration.
pub(super) fn config(arguments: &VpnServe, conf: &Conf, machine: &Machine) -> Result<Config, Fault> {
    let private_key = conf.interface.private_key.clone();
    let private_key = private_key.ok_or_else(|| Fault::new(Kind::Config, "peers", "there is no PrivateKey"))?;
    let addresses = own_addresses(conf);
    let listen = listen(arguments, conf);
    let egress = Arc::new(Policy::new(rules(arguments, conf, machine, &addresses, &listen)));
    let mtu = arguments.mtu.or(conf.interface.mtu).unwrap_or(MTU);
    let (limits, dns) = (limits(arguments), dns(arguments, machine));
    Ok(Config { listen, private_key, former_key: None, addresses, mtu, egress, limits, dns })
}

/// The file's peers, with what they have used before.
pub(super) fn peers(conf: &Conf, usage: &Usage) -> Vec<Peer> {
    conf.peers.iter().map(|peer| Peer { used: usage.used(peer.public_key), ..peer.peer() }).collect()
}

fn listen(arguments: &VpnServe, conf: &Conf) -> Vec<SocketAddr> {
    if arguments.listen.is_empty() {
        let port = conf.interface.listen_port.filter(|port| *port > 0).unwrap_or(PORT);
        return vec![(Ipv4Addr::UNSPECIFIED, port).into()];
    }
    arguments.listen.clone()
}

/// The server's own addresses inside the tunnel: the file's, else the first of each family that no peer has in the
/// network around the first peer.
fn own_addresses(conf: &Conf) -> Vec<IpAddr> {
    if !conf.interface.addresses.is_empty() {
        return conf.interface.addresses.iter().map(|own| own.address).collect();
    }
    let free = |network: Prefix| (1..255).map(|number| nth(network, number)).find(|address| !is_taken(conf, *address));
    guessed_networks(conf).into_iter().filter_map(free).collect()
}

/// Of each family the network around the first peer that is one host.
fn guessed_networks(conf: &Conf) -> Vec<Prefix> {
    let hosts = || conf.peers.iter().flat_map(|peer| &peer.allowed_ips).filter(|range| range.is_host());
    let around = |v4: bool| {
        let first = hosts().find(|host| host.address().is_ipv4() == v4)?;
        Prefix::new(first.address(), USUAL_BITS[usize::from(!v4)])
    };
    [around(true), around(false)].into_iter().flatten().collect()
}

fn is_taken(conf: &Conf, address: IpAddr) -> bool {
    conf.peers.iter().flat_map(|peer| &peer.allowed_ips).any(|range| range.contains(address))
}

fn nth(network: Prefix, number: u8) -> IpAddr {
    match network.address() {
        IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | u32::from(number)).into(),
        IpAddr::V6(first) => std::net::Ipv6Addr::from_bits(first.to_bits() | u128::from(number)).into(),
    }
}

fn rules(arguments: &VpnServe, conf: &Conf, machine: &Machine, inner: &[IpAddr], listen: &[SocketAddr]) -> Rules {
    let flags = &arguments.egress;
    let named = conf.interface.addresses.iter().map(|own| own.network).filter(|network| !network.is_host());
    let peers = conf.peers.iter().flat_map(|peer| peer.allowed_ips.iter().copied());
    let ports = listen.iter().chain(&arguments.status).map(SocketAddr::port);
    Rules {
        allow: flags.egress_allow.clone(),
        credential_addresses: if flags.dangerously_expose_credential_addresses {
            CredentialAddresses::Exposed
        } else {
            CredentialAddresses::Refused
        },
        smtp: if flags.allow_smtp { Smtp::Allowed } else { Smtp::Refused },
        client_to_client: if flags.client_to_client { ClientToClient::Allowed } else { ClientToClient::Refused },
        // Everything of the other side is no address of a client.
        tunnel: named.chain(guessed_networks(conf)).chain(peers).filter(|network| network.bits() > 0).collect(),
        own_addresses: machine.addresses.iter().chain(inner).copied().collect(),
        own_ports: ports.collect(),
    }
}

fn limits(arguments: &VpnServe) -> Limits {
    let (flags, usual) = (&arguments.limits, Limits::usual());
    Limits {
        download: flags.download_limit,
        upload: flags.upload_limit,
        quota: flags.quota,
        flows: flags.flows.unwrap_or(usual.flows),
        dials: flags.dials.unwrap_or(usual.dials),
    }
}

fn dns(arguments: &VpnServe, machine: &Machine) -> Option<Dns> {
    let flags = &arguments.dns;
    if flags.no_dns {
        return None;
    }
    let upstream = if flags.dns.is_empty() { nameservers(&machine.resolv_conf) } else { flags.dns.clone() };
    (!upstream.is_empty()).then_some(Dns { upstream })
}

/// resolv.conf(5): `nameserver` and an address.
pub(crate) fn nameservers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| line.trim().strip_prefix("nameserver")?.trim().parse().ok();
    text.lines().filter_map(address).map(|address: IpAddr| SocketAddr::new(address, 53)).collect()
}

#[cfg(test)]
mod tests {
    use bowline_base::Secret;
    use bowline_tunnel::egress::Transport;
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, Vpn};

    const KEYS: [&str; 3] = [
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
        "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
        "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    ];

    fn conf(interface: &str, allowed: [&str; 2]) -> Conf {
        let peer = |index: usize| format!("[Peer]\nPublicKey = {}\nAllowedIPs = {}\n", KEYS[index + 1], allowed[index]);
        let text = format!("[Interface]\nPrivateKey = {}\n{interface}\n{}{}", KEYS[0], peer(0), peer(1));
        Conf::parse(&Secret::new(text)).unwrap()
    }

    fn flags(words: &str) -> VpnServe {
        let words = format!("bowline vpn serve --peers p {words}");
        match Cli::parse_from(words.split_whitespace()).command {
            Command::Vpn(Vpn::Serve(serve)) => *serve,
            other => panic!("{other:?}"),
        }
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_file_names_port_address_and_mtu_and_flags_win() {
        let file = conf("ListenPort = 4500\nAddress = 10.77.0.9/16\nMTU = 1300", ["10.77.0.2", "10.77.0.3"]);
        let made = config(&flags(""), &file, &Machine::default()).unwrap();
        assert_eq!((made.listen[0].to_string().as_str(), made.mtu), ("0.0.0.0:4500", 1300));
        assert_eq!(made.addresses, addresses(&["10.77.0.9"]));
        let made = config(&flags("--listen [::]:9 --mtu 1400 --flows 3"), &file, &Machine::default()).unwrap();
        assert_eq!((made.listen[0].to_string().as_str(), made.mtu, made.limits.flows), ("[::]:9", 1400, 3));
    }

    #[test]
    fn without_an_address_the_server_takes_the_first_that_no_peer_has() {
        let file = conf("", ["10.77.0.1/32, fd77::5/128", "10.77.0.2/32"]);
        let made = config(&flags(""), &file, &Machine::default()).unwrap();
        assert_eq!(made.addresses, addresses(&["10.77.0.3", "fd77::1"]));
        assert_eq!((made.listen[0].port(), made.mtu), (51_820, 1420));
    }

    #[test]
    fn this_machine_its_ports_and_the_other_clients_are_shut() {
        let machine = Machine { addresses: addresses(&["203.0.113.9"]).into_iter().collect(), ..Machine::default() };
        let file = conf("", ["10.77.0.2", "10.77.0.3"]);
        let made = config(&flags("--status 127.0.0.1:9920 --egress-allow 203.0.113.9"), &file, &machine).unwrap();
        let open = |address: &str| made.egress.verdict(Transport::Tcp, address.parse().unwrap()).is_ok();
        assert!(open("203.0.113.9:80") && open("1.1.1.1:443"));
        for shut in ["203.0.113.9:9920", "203.0.113.9:51820", "10.77.0.3:80", "10.77.0.200:80", "1.1.1.1:25"] {
            assert!(!open(shut), "{shut}");
        }
    }

    #[test]
    fn resolvers_are_those_of_the_flags_else_of_the_machine() {
        let machine =
            Machine { resolv_conf: "# x\nnameserver 10.0.0.2\nsearch a\nnameserver ::1".into(), ..Machine::default() };
        let upstream = |words: &str| dns(&flags(words), &machine).map(|dns| dns.upstream);
        assert_eq!(upstream(""), Some(vec!["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()]));
        assert_eq!(upstream("--dns 9.9.9.9"), Some(vec!["9.9.9.9:53".parse().unwrap()]));
        assert_eq!(upstream("--no-dns"), None);
        assert_eq!(dns(&flags(""), &Machine::default()), None);
    }
}
