//! Which addresses a user of the tunnel or of the CONNECT proxy may reach: one policy, asked before every dial.
//!
//! It judges the **address that is dialled**, never a name, and every address that is wrapped in it: an IPv4 address in an
//! IPv6 one is judged as itself. Public addresses are open. The machine itself, its neighbours and the credentials of the
//! role that it runs under are not: see [`ranges`] for the list. An operator opens ranges by [`Rules::allow`]; the machine's
//! own addresses open one by one, each by its own entry; the addresses that hand out credentials open by
//! [`CredentialAddresses::Exposed`] alone, whatever ranges are allowed.
//!
//! It opens no socket, resolves nothing and counts nothing: a verdict is a value, and [`Reason`] is a label for counters.

mod ranges;
mod reason;
mod wrapped;

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use self::ranges::{Opening, Range};
pub use self::reason::Reason;
use crate::Prefix;

/// The port of mail between servers. Closed by default: AWS blocks it, and what passes is abuse reported to the operator.
const SMTP: u16 = 25;

/// What is dialled: ports mean something for the first two only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
    /// An echo; its port is 0.
    Icmp,
}

/// Whether the addresses that hand out credentials, and AWS's own services beside them, can be reached through us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CredentialAddresses {
    /// No range opens them.
    #[default]
    Refused,
    /// Every user can become the role that this machine runs under. Only for networks where everybody may.
    Exposed,
}

/// Whether users reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientToClient {
    /// No packet of one user comes to another.
    #[default]
    Refused,
    /// Addresses of the tunnel's own subnets are those of other users.
    Allowed,
}

/// Whether port 25 is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smtp {
    /// Connections to port 25 are refused wherever they go.
    #[default]
    Refused,
    /// Port 25 is a port like any other.
    Allowed,
}

/// What the operator says, and what the machine is. The default refuses all that can be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Ranges that are open although they are not public.
    pub allow: Vec<Prefix>,
    /// The loud one.
    pub credential_addresses: CredentialAddresses,
    /// Mail between servers.
    pub smtp: Smtp,
    /// Users among themselves.
    pub client_to_client: ClientToClient,
    /// The tunnel's own subnets: addresses of users.
    pub tunnel: Vec<Prefix>,
    /// Every address of this machine, the tunnel's own included.
    pub own_addresses: BTreeSet<IpAddr>,
    /// Ports on which this program listens (API, proxy, health, WireGuard): shut on this machine for ever.
    pub own_ports: BTreeSet<u16>,
}

/// Where an allowed packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Out of this machine by a socket, to this address: never a wrapped one where the inner one can be dialled.
    World(SocketAddr),
    /// To another user of the tunnel.
    Client(IpAddr),
}

/// The policy. Asked by every dial of the tunnel and of the proxy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Rules,
    /// Beside those of the rules: ports that the system has chosen.
    bound: Arc<RwLock<BTreeSet<u16>>>,
    /// And those that come and go.
    opened: Option<Opened>,
}

/// Whether this program listens on a port at this moment.
#[derive(Clone)]
struct Opened(Arc<dyn Fn(u16) -> bool + Send + Sync>);

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

impl Policy {
    /// The policy by these rules. An allowed range in IPv4-mapped form means the IPv4 one.
    #[must_use]
    pub fn new(mut rules: Rules) -> Self {
        for net in rules.allow.iter_mut().chain(&mut rules.tunnel) {
            *net = wrapped::canonical(*net);
        }
        rules.own_addresses = rules.own_addresses.iter().map(IpAddr::to_canonical).collect();
        Self { rules, bound: Arc::default(), opened: None }
    }

    /// Shuts on this machine every port to which `listens` says yes. It is asked before each dial: what this program opens,
    /// moves and closes while the policy is in force is shut for as long as it is open.
    #[must_use]
    pub fn shutting(self, listens: impl Fn(u16) -> bool + Send + Sync + 'static) -> Self {
        Self { opened: Some(Opened(Arc::new(listens))), ..self }
    }

    /// This program listens on `port` as well, as is known once it is bound: shut on this machine from now on.
    pub fn shut(&self, port: u16) {
        self.bound.write().unwrap_or_else(PoisonError::into_inner).insert(port);
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether `to` may be reached, and where it is.
    ///
    /// # Errors
    /// The first [`Reason`] against it.
    pub fn verdict(&self, transport: Transport, to: SocketAddr) -> Result<Route, Reason> {
        let (ip, port) = (to.ip().to_canonical(), to.port());
        if self.is_client(ip) && self.rules.client_to_client == ClientToClient::Allowed {
            return Ok(Route::Client(ip));
        }
        for address in std::iter::once(ip).chain(wrapped::inside(ip)) {
            self.judge(address, port)?;
        }
        if transport == Transport::Tcp && port == SMTP && self.rules.smtp == Smtp::Refused {
            return Err(Reason::Smtp);
        }
        Ok(Route::World(SocketAddr::new(ip, port)))
    }

    fn is_client(&self, ip: IpAddr) -> bool {
        self.rules.tunnel.iter().any(|net| net.contains(ip)) && !self.rules.own_addresses.contains(&ip)
    }

    /// One address, taken literally.
    fn judge(&self, ip: IpAddr, port: u16) -> Result<(), Reason> {
        if self.is_client(ip) {
            return Err(Reason::ClientToClient);
        }
        let range = ranges::of(ip);
        let own = self.rules.own_addresses.contains(&ip);
        if own || range.is_some_and(|range| range.reason.is_this_machine()) {
            self.judge_own(ip, port, range)
        } else if let Some(range) = range {
            self.judge_range(ip, range)
        } else {
            Ok(())
        }
    }

    fn judge_own(&self, ip: IpAddr, port: u16, range: Option<Range>) -> Result<(), Reason> {
        if self.is_own_port(port) {
            return Err(Reason::OwnPort);
        }
        // Loopback has a rule of its own: a range of it says "this machine" as plainly as an address does.
        let own = self.rules.own_addresses.contains(&ip) && !ip.is_loopback();
        if own && !self.is_named(ip) {
            return Err(Reason::OwnAddress);
        }
        range.map_or(Ok(()), |range| self.judge_range(ip, range))
    }

    fn is_own_port(&self, port: u16) -> bool {
        let bound = || self.bound.read().unwrap_or_else(PoisonError::into_inner).contains(&port);
        let opened = || self.opened.as_ref().is_some_and(|opened| (opened.0)(port));
        self.rules.own_ports.contains(&port) || bound() || opened()
    }

    /// Whether an entry is exactly this address. Who allows a network means its hosts, and has not looked at what listens
    /// on this machine: on an address of its own, services answer that trust whoever is that near.
    fn is_named(&self, ip: IpAddr) -> bool {
        self.rules.allow.iter().any(|net| net.is_host() && net.address() == ip)
    }

    fn judge_range(&self, ip: IpAddr, range: Range) -> Result<(), Reason> {
        let opened = match range.opening {
            Opening::Flag => self.rules.credential_addresses == CredentialAddresses::Exposed,
            Opening::Any => self.rules.allow.iter().any(|net| net.contains(ip)),
            Opening::Inside => self.rules.allow.iter().any(|net| net.contains(ip) && range.holds(*net)),
        };
        if opened { Ok(()) } else { Err(range.reason) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> Rules {
        Rules {
            tunnel: vec!["10.77.0.0/16".parse().unwrap(), "fd77::/64".parse().unwrap()],
            own_addresses: ["203.0.113.9", "10.0.0.9", "10.77.0.1"].map(|ip| ip.parse().unwrap()).into(),
            own_ports: [8000, 51820].into(),
            ..Rules::default()
        }
    }

    fn allowing(nets: &[&str]) -> Policy {
        Policy::new(Rules { allow: nets.iter().map(|net| net.parse().unwrap()).collect(), ..rules() })
    }

    fn tcp(egress: &Policy, ip: &str, port: u16) -> Result<Route, Reason> {
        egress.verdict(Transport::Tcp, SocketAddr::new(ip.parse().unwrap(), port))
    }

    fn refused(egress: &Policy, ip: &str) -> Option<Reason> {
        tcp(egress, ip, 443).err()
    }

    #[test]
    fn public_addresses_are_open_and_everything_near_is_not() {
        let egress = Policy::new(rules());
        for ip in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "198.51.100.7", "2606:4700::1111"] {
            assert_eq!(refused(&egress, ip), None, "{ip}");
        }
        let near = [
            ("0.1.2.3", Reason::Unspecified),
            ("127.0.0.1", Reason::Loopback),
            ("169.254.1.1", Reason::LinkLocal),
            ("169.254.169.254", Reason::CredentialAddress),
            ("10.1.2.3", Reason::Private),
            ("172.16.0.1", Reason::Private),
            ("172.31.255.255", Reason::Private),
            ("192.168.7.7", Reason::Private),
            ("100.64.0.1", Reason::SharedAddress),
            ("192.0.0.8", Reason::Reserved),
            ("198.19.255.255", Reason::Reserved),
            ("224.0.0.1", Reason::Multicast),
            ("255.255.255.255", Reason::Broadcast),
            ("::", Reason::Unspecified),
            ("::1", Reason::Loopback),
            ("fe80::1", Reason::LinkLocal),
            ("fc00::1", Reason::Private),
            ("fd00:ec2::254", Reason::CredentialAddress),
            ("ff02::1", Reason::Multicast),
            ("64:ff9b::808:808", Reason::Wrapped),
            ("2002:808:808::1", Reason::Wrapped),
            ("2001::1", Reason::Wrapped),
            ("::8.8.8.8", Reason::Wrapped),
        ];
        for (ip, reason) in near {
            assert_eq!(refused(&egress, ip), Some(reason), "{ip}");
        }
    }

    #[test]
    fn no_range_opens_the_addresses_that_hand_out_credentials() {
        let everything = allowing(&["0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.170.2/32", "fd00:ec2::254/128"]);
        let loud = Policy::new(Rules { credential_addresses: CredentialAddresses::Exposed, ..rules() });
        for ip in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.169.123",
            "169.254.169.253",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd00:ec2::253",
        ] {
            assert_eq!(refused(&everything, ip), Some(Reason::CredentialAddress), "{ip}");
            assert_eq!(refused(&loud, ip), None, "{ip}");
        }
        assert_eq!(refused(&loud, "169.254.1.1"), Some(Reason::LinkLocal));
    }

    #[test]
    fn an_address_in_another_one_is_judged_as_itself() {
        let everything =
            allowing(&["0.0.0.0/0", "::/0", "::/96", "64:ff9b::/96", "2002::/16", "2001::/32", "64:ff9b:1::/48"]);
        for ip in [
            "::ffff:169.254.170.2",
            "64:ff9b::169.254.170.2",
            "64:ff9b:1:a9fe:aa:200::",
            "64:ff9b:1::169.254.170.2",
            "2002:a9fe:aa02::1",
            "2001:0:808:808::5601:55fd",
            "2001:0:a9fe:aa02::f7f7:f7f7",
            "::169.254.170.2",
        ] {
            assert_eq!(refused(&everything, ip), Some(Reason::CredentialAddress), "{ip}");
        }
        assert_eq!(refused(&everything, "64:ff9b::8.8.8.8"), None);
    }

    #[test]
    fn a_mapped_address_is_dialled_as_what_it_means() {
        let to = "8.8.8.8:53".parse().unwrap();
        assert_eq!(tcp(&Policy::default(), "::ffff:8.8.8.8", 53), Ok(Route::World(to)));
        assert_eq!(refused(&allowing(&["::ffff:10.0.0.0/104"]), "10.1.1.1"), None);
    }

    #[test]
    fn allowed_ranges_open_private_networks() {
        let egress = allowing(&["10.0.0.0/16", "fd12::/16"]);
        assert_eq!(refused(&egress, "10.0.3.4"), None);
        assert_eq!(refused(&egress, "fd12::7"), None);
        assert_eq!(refused(&egress, "10.1.0.1"), Some(Reason::Private));
    }

    #[test]
    fn a_wide_range_opens_neither_this_machine_nor_its_link() {
        let wide = allowing(&["0.0.0.0/0", "::/0", "8.0.0.0/7"]);
        assert_eq!(refused(&wide, "127.0.0.1"), Some(Reason::Loopback));
        assert_eq!(refused(&wide, "::1"), Some(Reason::Loopback));
        assert_eq!(refused(&wide, "169.254.9.9"), Some(Reason::LinkLocal));
        assert_eq!(refused(&wide, "10.0.0.9"), Some(Reason::OwnAddress));
        assert_eq!(refused(&wide, "203.0.113.9"), Some(Reason::OwnAddress));
        assert_eq!(refused(&allowing(&["127.0.0.0/8"]), "127.0.0.1"), None);
    }

    #[test]
    fn an_address_of_this_machine_opens_by_its_own_entry_and_by_no_network_that_holds_it() {
        for net in ["10.0.0.0/8", "10.0.0.0/16", "10.0.0.8/31", "203.0.113.0/24", "203.0.113.8/31", "0.0.0.0/0"] {
            let network = allowing(&[net]);
            for ip in ["10.0.0.9", "203.0.113.9", "::ffff:10.0.0.9", "64:ff9b::10.0.0.9"] {
                assert!(refused(&network, ip).is_some(), "{ip} by {net}");
            }
        }
        assert_eq!(refused(&allowing(&["10.0.0.0/16"]), "10.0.0.9"), Some(Reason::OwnAddress));
        assert_eq!(refused(&allowing(&["10.0.0.0/16"]), "10.0.0.10"), None, "its neighbour is open");
        for entry in ["10.0.0.9", "10.0.0.9/32", "::ffff:10.0.0.9"] {
            let named = allowing(&[entry]);
            assert_eq!(refused(&named, "10.0.0.9"), None, "{entry}");
            assert_eq!(refused(&named, "203.0.113.9"), Some(Reason::OwnAddress), "{entry} names one");
        }
    }

    #[test]
    fn loopback_opens_by_its_range_although_it_is_an_address_of_this_machine() {
        let own_addresses = ["127.0.0.1", "::1"].map(|ip| ip.parse().unwrap()).into();
        let allow = ["127.0.0.0/8", "::1"].map(|net| net.parse().unwrap()).to_vec();
        let open = Policy::new(Rules { allow, own_addresses, ..Rules::default() });
        assert_eq!((refused(&open, "127.0.0.1"), refused(&open, "::1")), (None, None));
    }

    #[test]
    fn ports_on_which_we_listen_stay_shut_even_where_the_address_is_open() {
        let named = allowing(&["127.0.0.0/8", "10.0.0.9/32"]);
        for ip in ["127.0.0.1", "127.9.9.9", "10.0.0.9", "::ffff:127.0.0.1"] {
            assert_eq!(tcp(&named, ip, 8000), Err(Reason::OwnPort), "{ip}");
            assert_eq!(tcp(&named, ip, 8001).err(), None, "{ip}");
        }
        assert_eq!(tcp(&named, "1.1.1.1", 8000).err(), None);
        named.shut(8001);
        assert_eq!(tcp(&named, "127.0.0.1", 8001), Err(Reason::OwnPort), "chosen by the system, known later");
        assert_eq!(tcp(&named, "1.1.1.1", 8001).err(), None);
    }

    #[test]
    fn a_port_that_comes_and_goes_is_shut_while_it_is_there() {
        let listening: Arc<RwLock<BTreeSet<u16>>> = Arc::default();
        let asked = Arc::clone(&listening);
        let named = allowing(&["127.0.0.0/8"]).shutting(move |port| asked.read().unwrap().contains(&port));
        let reaches = |port| tcp(&named, "127.0.0.1", port).err();
        assert_eq!([9911, 9912].map(reaches), [None, None]);
        listening.write().unwrap().insert(9912);
        assert_eq!([9911, 9912].map(reaches), [None, Some(Reason::OwnPort)]);
        *listening.write().unwrap() = [9911].into();
        assert_eq!([9911, 9912].map(reaches), [Some(Reason::OwnPort), None]);
        assert_eq!(tcp(&named, "1.1.1.1", 9911).err(), None, "on this machine");
    }

    #[test]
    fn mail_is_off_until_asked_for() {
        let off = Policy::new(rules());
        assert_eq!(tcp(&off, "1.1.1.1", 25), Err(Reason::Smtp));
        assert!(tcp(&off, "1.1.1.1", 587).is_ok());
        assert!(off.verdict(Transport::Udp, "1.1.1.1:25".parse().unwrap()).is_ok());
        let on = Policy::new(Rules { smtp: Smtp::Allowed, ..rules() });
        assert!(tcp(&on, "1.1.1.1", 25).is_ok());
    }

    #[test]
    fn users_meet_only_where_the_operator_says_so() {
        let egress = allowing(&["10.0.0.0/8", "fd77::/64"]);
        assert_eq!(refused(&egress, "10.77.0.5"), Some(Reason::ClientToClient));
        assert_eq!(refused(&egress, "fd77::5"), Some(Reason::ClientToClient));
        let open = Policy::new(Rules { client_to_client: ClientToClient::Allowed, ..rules() });
        assert_eq!(tcp(&open, "10.77.0.5", 25), Ok(Route::Client("10.77.0.5".parse().unwrap())));
        assert_eq!(refused(&open, "10.77.0.1"), Some(Reason::OwnAddress));
    }

    proptest! {
        #[test]
        fn wrapping_an_address_never_opens_it(v4: std::net::Ipv4Addr, port: u16) {
            let egress = allowing(&["::/0", "64:ff9b::/96", "2002::/16"]);
            let plain = egress.verdict(Transport::Tcp, SocketAddr::new(v4.into(), port));
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let nat64 = std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
            let six_to_four = std::net::Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
            for outer in [v4.to_ipv6_mapped(), nat64, six_to_four] {
                let verdict = egress.verdict(Transport::Tcp, SocketAddr::new(outer.into(), port));
                prop_assert_eq!(verdict.err(), plain.err());
            }
        }

        #[test]
        fn what_is_allowed_is_never_more_than_the_rules_say(ip: IpAddr, port: u16) {
            let verdict = Policy::new(rules()).verdict(Transport::Udp, SocketAddr::new(ip, port));
            if let Ok(Route::World(to)) = verdict {
                prop_assert!(ranges::of(to.ip()).is_none());
                prop_assert!(!rules().own_addresses.contains(&to.ip()));
            }
        }
    }
}
