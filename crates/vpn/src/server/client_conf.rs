//! The file that a user puts into any WireGuard program.

use std::{net::IpAddr, time::Duration};

use bowline_base::Secret;
use bowline_tunnel::{
    Prefix, PublicKey, SecretKey,
    wg_conf::{Conf, ConfPeer, Interface, InterfaceAddress},
};

use super::{User, addresses::Subnet, peers::V6};

/// What every client is told.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// `vpn.example.net:51820`
    pub(crate) endpoint: String,
    /// The server's key.
    pub(crate) server_key: PublicKey,
    /// The users' range.
    pub(crate) subnet: Subnet,
    /// The users' range of IPv6, where it is offered.
    pub(crate) v6: Option<V6>,
    /// Of the tunnel.
    pub(crate) mtu: u16,
    /// Whether the server answers DNS on its own address.
    pub(crate) dns: bool,
}

/// Often enough for the NATs in between.
const KEEPALIVE: Duration = Duration::from_secs(25);

/// Everything through the tunnel, DNS too. Whoever brought a key puts the private half in.
#[must_use]
pub(crate) fn conf(facts: &Facts, user: &User) -> Secret {
    let secret = |key: &Option<Secret>| key.as_ref().and_then(|key| SecretKey::parse(key).ok());
    let host = |address: IpAddr| InterfaceAddress { address, network: Prefix::host(address) };
    let v6 = facts.v6.map(|range| IpAddr::V6(range.of(user.wireguard.address)));
    let addresses = [IpAddr::V4(user.wireguard.address)].into_iter().chain(v6).map(host).collect();
    let all = ["0.0.0.0/0", "::/0"].iter().filter_map(|range| range.parse().ok()).collect();
    let conf = Conf {
        interface: Interface {
            private_key: secret(&user.wireguard.private_key),
            listen_port: None,
            addresses,
            dns: facts.dns.then(|| IpAddr::V4(facts.subnet.server())).into_iter().collect(),
            dns_search: Vec::new(),
            mtu: Some(facts.mtu),
        },
        peers: vec![ConfPeer {
            public_key: facts.server_key,
            preshared_key: secret(&user.wireguard.preshared_key),
            allowed_ips: all,
            endpoint: Some(facts.endpoint.clone()),
            keepalive: Some(KEEPALIVE),
        }],
        ignored: Vec::new(),
    };
    conf.write()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::samples::user;

    #[test]
    fn a_client_is_told_everything_and_the_file_reads_back() {
        let facts = Facts {
            endpoint: "vpn.example.net:51820".to_owned(),
            server_key: PublicKey([3; 32]),
            subnet: Subnet::default(),
            v6: Some(V6::default()),
            mtu: 1420,
            dns: true,
        };
        let mut alice = user("alice", 5);
        let conf = Conf::parse(&conf(&facts, &alice)).unwrap();
        assert_eq!(conf.interface.private_key.map(|key| key.public()), Some(alice.wireguard.public_key));
        assert_eq!(conf.interface.dns, [IpAddr::from([10, 77, 0, 1])]);
        assert_eq!(conf.interface.addresses[0].to_string(), "10.77.0.5/32");
        assert_eq!((conf.peers[0].allowed_ips.len(), conf.peers[0].public_key), (2, facts.server_key));
        alice.wireguard.private_key = None;
        let own = super::conf(&facts, &alice);
        assert!(!own.expose().contains("\nPrivateKey"), "its owner puts it in");
    }
}
