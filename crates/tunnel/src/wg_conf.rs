//! The file that `wg setconf` and `wg-quick` read: read with every mistake and its line, and written for a client.
//!
//! Commands (`PostUp` and the like) are read over and never run: [`Conf::ignored`] says which stood there. Nothing here
//! opens a file or resolves a name.

mod mistake;
mod read;
mod write;

use std::{fmt, net::IpAddr, time::Duration};

use bowline_base::Secret;

pub use self::mistake::{ConfError, Mistake, What};
use crate::{Peer, Prefix, PublicKey, SecretKey};

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// The one `[Interface]`.
    pub interface: Interface,
    /// Each `[Peer]`, in the order of the file.
    pub peers: Vec<ConfPeer>,
    /// Keys that were understood and do nothing here, with their lines.
    pub ignored: Vec<(usize, String)>,
}

/// This side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// `PrivateKey`; absent where its owner keeps it.
    pub private_key: Option<SecretKey>,
    /// `ListenPort`.
    pub listen_port: Option<u16>,
    /// `Address`, with the bits of its network.
    pub addresses: Vec<InterfaceAddress>,
    /// `DNS`: the addresses among its values.
    pub dns: Vec<IpAddr>,
    /// `DNS`: the search domains among its values.
    pub dns_search: Vec<String>,
    /// `MTU`.
    pub mtu: Option<u16>,
}

/// An address and the network that it is part of: `10.77.0.1/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address itself.
    pub address: IpAddr,
    /// Its network.
    pub network: Prefix,
}

/// The other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfPeer {
    /// `PublicKey`.
    pub public_key: PublicKey,
    /// `PresharedKey`.
    pub preshared_key: Option<SecretKey>,
    /// `AllowedIPs`.
    pub allowed_ips: Vec<Prefix>,
    /// `Endpoint`, `host:port` or `[address]:port`.
    pub endpoint: Option<String>,
    /// `PersistentKeepalive`; none when it is `off` or 0.
    pub keepalive: Option<Duration>,
}

impl Conf {
    /// Reads a file.
    ///
    /// # Errors
    /// Every mistake with its line; no key is repeated in them.
    pub fn parse(text: &Secret) -> Result<Self, ConfError> {
        read::read(text.expose())
    }

    /// The file as `wg-quick` reads it. [`Conf::parse`] reads the same back.
    #[must_use]
    pub fn write(&self) -> Secret {
        write::write(self)
    }
}

impl ConfPeer {
    /// The peer as the tunnel takes it, without limits of its own. An endpoint that is a name is left to the peer to show.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer {
            public_key: self.public_key,
            preshared_key: self.preshared_key.clone(),
            addresses: self.allowed_ips.clone(),
            endpoint: self.endpoint.as_deref().and_then(|endpoint| endpoint.parse().ok()),
            keepalive: self.keepalive,
            limits: None,
            used: 0,
        }
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.network.bits())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: &str = "\
# made by hand
[interface]
privatekey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=   # ours
ListenPort=51820
ADDRESS = 10.77.0.1/16, fd77::1/64
address = 10.78.0.1
DNS = 10.77.0.1, corp.example
mtu = 1380
PostUp = iptables -A FORWARD -i %i -j ACCEPT
FwMark = 0xca6c

[Peer]
PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
PresharedKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=
AllowedIPs = 10.77.0.2/32,fd77::2/128
AllowedIPs = 192.168.7.0/24
PersistentKeepalive = 25
Endpoint = [2001:db8::1]:51820

[Peer]
PublicKey=3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
AllowedIPs = 10.77.0.3
PersistentKeepalive = off
Endpoint = vpn.example.net:51820
";

    fn parse(text: &str) -> Result<Conf, ConfError> {
        Conf::parse(&Secret::new(text))
    }

    #[test]
    fn a_file_of_wg_quick_is_read_whatever_its_letters_and_comments() {
        for text in [SERVER.to_owned(), SERVER.replace('\n', "\r\n"), format!("\u{feff}{SERVER}")] {
            let conf = parse(&text).unwrap();
            let server = &conf.interface;
            assert_eq!(server.private_key.as_ref().unwrap().public(), conf.peers[0].public_key);
            assert_eq!((server.listen_port, server.mtu), (Some(51820), Some(1380)));
            let addresses: Vec<_> = server.addresses.iter().map(ToString::to_string).collect();
            assert_eq!(addresses, ["10.77.0.1/16", "fd77::1/64", "10.78.0.1/32"]);
            assert_eq!((server.dns.len(), server.dns_search.as_slice()), (1, &["corp.example".to_owned()][..]));
            assert_eq!(conf.ignored, [(9, "PostUp".to_owned()), (10, "FwMark".to_owned())]);
            let (first, second) = (conf.peers[0].peer(), conf.peers[1].peer());
            assert_eq!(first.addresses.len(), 3);
            assert_eq!(first.keepalive, Some(Duration::from_secs(25)));
            assert_eq!(first.endpoint, "[2001:db8::1]:51820".parse().ok());
            assert!(first.preshared_key.is_some());
            assert_eq!((second.keepalive, second.endpoint), (None, None));
            assert_eq!(second.addresses, ["10.77.0.3/32".parse().unwrap()]);
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_no_key_with_it() {
        let error = parse(
            "Stray = 1\n[Interface]\nPrivateKey = hunter2hunter2\nListenPort = 99999\nColour = blue\nnonsense\n\
             Address = 10.0.0.0/99\n[Peer]\nAllowedIPs = here\n[Peer]\nPublicKey = hSDw\nEndpoint = nowhere\n[Nest]\n\
             [Interface]\nMTU = 20\nPersistentKeepalive = 70000\n",
        )
        .unwrap_err()
        .to_string();
        for line in [
            "line 1: `Stray` stands before any section: begin with [Interface]",
            "line 3: `PrivateKey`: a key is 44 characters of base64, as `wg genkey` and `wg pubkey` print it",
            "line 4: `ListenPort`: `99999` is not a port, 0 to 65535",
            "line 5: [Interface] has no key `Colour`",
            "line 6: neither a section like [Peer] nor `Key = value`",
            "line 7: `Address`: `10.0.0.0/99` is not an address or a range like 10.77.0.0/16",
            "line 8: this [Peer] has no PublicKey",
            "line 9: `AllowedIPs`: `here` is not an address or a range like 10.77.0.0/16",
            "line 11: `PublicKey`: a key is 44 characters of base64, as `wg genkey` and `wg pubkey` print it",
            "line 12: `Endpoint`: `nowhere` is not host:port",
            "line 13: there is no section `[Nest]`: write [Interface] or [Peer]",
            "line 14: a second [Interface]",
            "line 15: `MTU`: `20` is not a size from 576 to 65535",
            "line 16: [Interface] has no key `PersistentKeepalive`: it belongs to [Peer]",
        ] {
            assert!(error.lines().any(|told| told == line), "no `{line}` in\n{error}");
        }
        assert_eq!(error.lines().count(), 14, "{error}");
        assert!(!error.contains("hunter2") && !error.contains("hSDw"));
    }

    #[test]
    fn one_peer_or_address_twice_is_a_mistake_that_names_the_first() {
        let key = "PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n";
        let twice = parse(&format!("[Interface]\n[Peer]\n{key}[Peer]\n{key}")).unwrap_err();
        assert_eq!(twice.to_string(), "line 5: this peer stands at line 3 already");
        let other = "PublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n";
        let ips = "AllowedIPs = 10.77.0.2\n";
        let shared = parse(&format!("[Interface]\n[Peer]\n{key}{ips}[Peer]\n{other}{ips}")).unwrap_err();
        assert_eq!(shared.to_string(), "line 7: `10.77.0.2/32` belongs to the peer at line 4 already");
    }

    #[test]
    fn a_file_without_an_interface_is_refused() {
        assert_eq!(parse("# nothing\n").unwrap_err().to_string(), "line 1: there is no [Interface]");
    }

    fn key() -> impl Strategy<Value = SecretKey> {
        any::<[u8; 32]>().prop_map(SecretKey::from_bytes)
    }

    fn address() -> impl Strategy<Value = InterfaceAddress> {
        any::<(IpAddr, u8)>().prop_map(|(address, bits)| {
            let bits = bits % if address.is_ipv4() { 33 } else { 129 };
            InterfaceAddress { address, network: Prefix::new(address, bits).unwrap() }
        })
    }

    prop_compose! {
        fn interface()(
            private_key in proptest::option::of(key()),
            listen_port in any::<Option<u16>>(),
            addresses in proptest::collection::vec(address(), 0..4),
            dns in any::<Vec<IpAddr>>(),
            dns_search in proptest::collection::vec("[a-z]{1,8}\\.example", 0..3),
            mtu in proptest::option::of(576_u16..),
        ) -> Interface {
            Interface { private_key, listen_port, addresses, dns, dns_search, mtu }
        }
    }

    prop_compose! {
        fn peer()(
            public_key in any::<[u8; 32]>().prop_map(PublicKey),
            preshared_key in proptest::option::of(key()),
            allowed_ips in proptest::collection::vec(address().prop_map(|address| address.network), 0..4),
            endpoint in proptest::option::of("[a-z]{1,9}\\.example:[1-9][0-9]{3}"),
            keepalive in proptest::option::of((1_u64..65536).prop_map(Duration::from_secs)),
        ) -> ConfPeer {
            ConfPeer { public_key, preshared_key, allowed_ips, endpoint, keepalive }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(interface in interface(), peer in peer()) {
            let conf = Conf { interface, peers: vec![peer], ignored: Vec::new() };
            prop_assert_eq!(Conf::parse(&conf.write()).unwrap(), conf);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(\\[(Interface|Peer)\\]|[A-Za-z]{0,12} ?= ?[ -~]{0,20}|\\PC{0,30}|\n){0,20}") {
            let _ = parse(&text);
        }
    }
}
