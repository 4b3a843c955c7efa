//! The file for `wg-quick`: only what brings the interface up. Routes, DNS and commands in it would be somebody else's idea.

use std::net::SocketAddr;

use bowline_base::{Fault, Kind, Secret};
use bowline_tunnel::{Prefix, wg_conf::Conf};

use super::routing::Routing;

/// What the link is made of.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) conf: Conf,
}

impl Settings {
    /// Reads a client's file.
    ///
    /// # Errors
    /// Every mistake with its line; no private key; not one peer with an endpoint.
    pub(super) fn parse(text: &Secret, name: &str) -> Result<Self, Fault> {
        let wrong = |what: String| Fault::new(Kind::Config, "vpn", format!("the configuration of `{name}` {what}"));
        let conf = Conf::parse(text).map_err(|error| wrong("cannot be used".to_owned()).cause(error))?;
        if conf.interface.private_key.is_none() {
            return Err(wrong("has no PrivateKey".to_owned()).hint(
                "its owner brought a key: put the private half into the file, and `bowline vpn connect --conf FILE`",
            ));
        }
        match conf.peers.as_slice() {
            [peer] if peer.endpoint.is_some() => Ok(Self { conf }),
            [_] => Err(wrong("names no Endpoint".to_owned())),
            peers => Err(wrong(format!("has {} peers; a client has one", peers.len()))),
        }
    }

    /// `host:port` of the server.
    pub(super) fn endpoint(&self) -> &str {
        self.conf.peers[0].endpoint.as_deref().unwrap_or_default()
    }

    /// What is routed where nobody says anything else.
    pub(super) fn routing(&self) -> Routing {
        let ranges = &self.conf.peers[0].allowed_ips;
        if ranges.iter().any(|range| range.bits() == 0) { Routing::Full } else { Routing::Split(ranges.clone()) }
    }

    /// Whether the link can carry IPv6.
    pub(super) fn carries_v6(&self) -> bool {
        let has_address = self.conf.interface.addresses.iter().any(|one| one.address.is_ipv6());
        has_address && self.conf.peers[0].allowed_ips.iter().any(|range| range.address().is_ipv6())
    }

    /// The file, with the server at `endpoint`.
    pub(super) fn file(&self, endpoint: SocketAddr, routing: &Routing) -> Secret {
        let mut conf = self.conf.clone();
        conf.interface.dns.clear();
        conf.interface.dns_search.clear();
        conf.peers[0].endpoint = Some(endpoint.to_string());
        if let Routing::Split(ranges) = routing {
            let resolvers = self.conf.interface.dns.iter().copied().map(Prefix::host);
            conf.peers[0].allowed_ips = ranges.iter().copied().chain(resolvers).collect();
        }
        let text = conf.write();
        Secret::new(text.expose().replacen("[Interface]\n", "[Interface]\nTable = off\n", 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "[Interface]\nPrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\nAddress = 10.77.0.2/32\nDNS = 10.77.0.1\nMTU = 1420\nPostUp = rm -rf /\n[Peer]\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = vpn.example.net:51820\n";

    fn parse(text: &str) -> Result<Settings, Fault> {
        Settings::parse(&Secret::new(text), "alice")
    }

    #[test]
    fn what_wg_quick_is_told_has_no_routes_no_dns_and_no_commands() {
        let settings = parse(CONF).unwrap();
        assert_eq!((settings.routing(), settings.endpoint()), (Routing::Full, "vpn.example.net:51820"));
        let file = settings.file("192.0.2.1:51820".parse().unwrap(), &Routing::Full);
        let text = file.expose();
        assert!(text.contains("[Interface]\nTable = off\n") && text.contains("Endpoint = 192.0.2.1:51820"), "{text}");
        assert!(!text.contains("DNS") && !text.contains("PostUp"), "{text}");
        assert!(!settings.carries_v6(), "it has no address of that family");
        let ranges = vec!["10.0.0.0/8".parse().unwrap()];
        let split = settings.file("192.0.2.1:51820".parse().unwrap(), &Routing::Split(ranges));
        assert!(split.expose().contains("AllowedIPs = 10.0.0.0/8, 10.77.0.1/32"), "{}", split.expose());
    }

    #[test]
    fn a_file_that_cannot_work_is_refused() {
        for (wrong, why) in [
            (CONF.replace("PrivateKey", "#"), "no PrivateKey"),
            (CONF.replace("Endpoint", "#"), "no Endpoint"),
            (CONF.replace("AllowedIPs", "AllowedIP"), "cannot be used"),
        ] {
            let fault = parse(&wrong).unwrap_err();
            assert!(fault.message.contains(why), "{}", fault.chain());
        }
    }
}
