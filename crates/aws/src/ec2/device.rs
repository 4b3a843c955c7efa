//! What AWS writes for the device at the other end of a VPN connection: XML with both tunnels and their keys, inside the
//! XML of the connection. Every part is read as what it is, an address or a number, so that nothing else gets further.
//!
//! Its algorithms are not read: it names the weakest that AWS takes, whatever else it takes. Those are among the
//! connection's options ([`super::Tunnel`]).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use bowline_base::Secret;

use crate::xml::Element;

/// What a device has to know of a connection.
#[derive(Clone, Debug)]
pub struct Device {
    /// `cgw-…`.
    pub customer_gateway: String,
    /// Routes are given by hand and not by BGP.
    pub is_static: bool,
    /// Both, as a rule.
    pub tunnels: Vec<DeviceTunnel>,
}

/// One tunnel.
#[derive(Clone, Debug)]
pub struct DeviceTunnel {
    /// The site's end. Without an outside address where a certificate names the device.
    pub site: End,
    /// AWS's end.
    pub aws: End,
    /// Absent where it is kept elsewhere.
    pub key: Option<Secret>,
    /// Seconds after which the keys of IKE are made anew.
    pub ike_lifetime: u32,
    /// Seconds after which the keys of what it protects are made anew.
    pub lifetime: u32,
    /// Seconds of silence after which the other end is asked for a sign of life, and how often.
    pub dead_peer: (u32, u32),
    /// The longest TCP segment that fits.
    pub segment: Option<u16>,
}

/// One end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// On the internet.
    pub outside: Option<IpAddr>,
    /// In the tunnel.
    pub inside: Option<(Ipv4Addr, u8)>,
    /// For BGP.
    pub asn: Option<u32>,
}

/// It is no configuration that AWS would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection's configuration for the device cannot be read: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

/// AWS's are some ten thousand letters long.
const LONGEST: usize = 256 << 10;
const MOST_TUNNELS: usize = 8;
/// Where it is not said: what AWS uses.
const IKE_LIFETIME: u32 = 28_800;
const LIFETIME: u32 = 3_600;
const DEAD_PEER: (u32, u32) = (10, 3);
const LONGEST_LIFETIME: u32 = 28_800;

impl Device {
    /// Reads [`super::VpnConnection::configuration`].
    ///
    /// # Errors
    /// [`Unreadable`]: too long, cut off, with entities of its own, or with something else where an address or a number
    /// stands.
    pub fn read(configuration: &Secret) -> Result<Self, Unreadable> {
        let text = configuration.expose();
        if text.len() > LONGEST {
            return Err(Unreadable("it is too long"));
        }
        let document = Element::parse(text.as_bytes()).map_err(|_| Unreadable("it is no XML"))?;
        if document.name() != "vpn_connection" {
            return Err(Unreadable("it is of something else"));
        }
        let tunnels: Vec<DeviceTunnel> = document.children("ipsec_tunnel").map(tunnel).collect::<Result<_, _>>()?;
        if tunnels.is_empty() || tunnels.len() > MOST_TUNNELS {
            return Err(Unreadable("it has no tunnels, or too many"));
        }
        let id = document.text_at(&["customer_gateway_id"]).unwrap_or_default().trim();
        if id.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') || id.is_empty() {
            return Err(Unreadable("its customer gateway has no id"));
        }
        let attributes = document.text_at(&["vpn_connection_attributes"]).unwrap_or_default();
        let is_static = attributes.trim() == "NoBGPVPNConnection";
        Ok(Self { customer_gateway: id.to_owned(), is_static, tunnels })
    }
}

fn tunnel(element: &Element) -> Result<DeviceTunnel, Unreadable> {
    let end = |name: &str| element.children(name).next().map_or(Err(Unreadable("a tunnel has no such end")), end);
    let key = element.text_at(&["ike", "pre_shared_key"]).unwrap_or_default().trim();
    let seconds = |path: &[&str], usual: u32| {
        let read = number::<u32>(element, path)?.unwrap_or(usual);
        if (1..=LONGEST_LIFETIME).contains(&read) {
            Ok(read)
        } else {
            Err(Unreadable("a time is too short or too long"))
        }
    };
    let dead_peer = |name: &str, usual| seconds(&["ipsec", "dead_peer_detection", name], usual);
    Ok(DeviceTunnel {
        site: end("customer_gateway")?,
        aws: end("vpn_gateway")?,
        key: (!key.is_empty()).then(|| Secret::new(key)),
        ike_lifetime: seconds(&["ike", "lifetime"], IKE_LIFETIME)?,
        lifetime: seconds(&["ipsec", "lifetime"], LIFETIME)?,
        dead_peer: (dead_peer("interval", DEAD_PEER.0)?, dead_peer("retries", DEAD_PEER.1)?),
        segment: number(element, &["ipsec", "tcp_mss_adjustment"])?,
    })
}

fn end(element: &Element) -> Result<End, Unreadable> {
    let address: Option<Ipv4Addr> = number(element, &["tunnel_inside_address", "ip_address"])?;
    let length: Option<u8> = number(element, &["tunnel_inside_address", "network_cidr"])?;
    let inside = address.zip(length.or(Some(30)));
    if inside.is_some_and(|(_, length)| length > 32) {
        return Err(Unreadable("a network is longer than its address"));
    }
    let outside = number(element, &["tunnel_outside_address", "ip_address"])?;
    Ok(End { outside, inside, asn: number(element, &["bgp", "asn"])? })
}

/// What stands at `path`, if anything does: a number or an address, and nothing else.
fn number<T: std::str::FromStr>(element: &Element, path: &[&str]) -> Result<Option<T>, Unreadable> {
    match element.text_at(path).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| Unreadable("there is a word where a number or an address stands"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = "<tunnel_outside_address><ip_address>OUT</ip_address></tunnel_outside_address><tunnel_inside_address>\
        <ip_address>169.254.10.1</ip_address><network_mask>255.255.255.252</network_mask><network_cidr>30</network_cidr>\
        </tunnel_inside_address><bgp><asn>65000</asn><hold_time>30</hold_time></bgp>";

    fn document() -> String {
        let ends = |name: &str, outside| format!("<{name}>{}</{name}>", END.replace("OUT", outside));
        format!(
            "<?xml version=\"1.0\"?>\n<vpn_connection id=\"vpn-1\">\n<customer_gateway_id>cgw-1</customer_gateway_id>\
             <vpn_connection_attributes>NoBGPVPNConnection</vpn_connection_attributes><ipsec_tunnel>{}{}\
             <ike><lifetime>14400</lifetime><pre_shared_key>a.b_c</pre_shared_key></ike><ipsec>\
             <tcp_mss_adjustment>1379</tcp_mss_adjustment><dead_peer_detection><interval>10</interval>\
             <retries>3</retries></dead_peer_detection></ipsec></ipsec_tunnel></vpn_connection>",
            ends("customer_gateway", "198.51.100.7"),
            ends("vpn_gateway", "192.0.2.11"),
        )
    }

    fn read(text: &str) -> Result<Device, Unreadable> {
        Device::read(&Secret::new(text))
    }

    #[test]
    fn ends_times_and_keys_are_read() {
        let device = read(&document()).unwrap();
        assert_eq!((device.customer_gateway.as_str(), device.is_static, device.tunnels.len()), ("cgw-1", true, 1));
        let tunnel = &device.tunnels[0];
        let inside = Some((Ipv4Addr::new(169, 254, 10, 1), 30));
        assert_eq!(tunnel.site, End { outside: "198.51.100.7".parse().ok(), inside, asn: Some(65_000) });
        assert_eq!(tunnel.aws.outside, "192.0.2.11".parse().ok());
        assert_eq!(tunnel.key, Some(Secret::new("a.b_c")));
        assert_eq!((tunnel.ike_lifetime, tunnel.lifetime), (14_400, 3_600));
        assert_eq!((tunnel.dead_peer, tunnel.segment), ((10, 3), Some(1379)));
        let elsewhere = read(&document().replace("a.b_c", "").replace("198.51.100.7", "")).unwrap();
        assert!(elsewhere.tunnels[0].key.is_none() && elsewhere.tunnels[0].site.outside.is_none());
    }

    #[test]
    fn whatever_is_hostile_or_cut_off_is_refused() {
        let good = document();
        let replaced = |from: &str, to: &str| good.replace(from, to);
        for (text, why) in [
            (replaced("198.51.100.7", "198.51.100.7\n}"), "a word where"),
            (replaced("169.254.10.1", "x"), "a word where"),
            (replaced("65000", "65000; }"), "a word where"),
            (replaced("14400", "0"), "too short"),
            (replaced(">30</network_cidr", ">33</network_cidr"), "longer than"),
            (replaced("cgw-1", "cgw-1\n# x"), "no id"),
            (replaced("cgw-1", ""), "no id"),
            (replaced("ipsec_tunnel", "tunnel"), "no tunnels"),
            (replaced("vpn_gateway>", "gateway>"), "no such end"),
            (replaced("vpn_connection", "html"), "something else"),
            (good.replace("<?xml version=\"1.0\"?>", "<!DOCTYPE x [<!ENTITY a \"b\">]>"), "no XML"),
            (replaced("a.b_c", "&a;"), "no XML"),
            (good[..good.len() - 20].to_owned(), "no XML"),
            (replaced("a.b_c", &"x".repeat(LONGEST)), "too long"),
        ] {
            let refusal = read(&text).unwrap_err().to_string();
            assert!(refusal.contains(why), "{why}: {refusal}");
            assert!(!refusal.contains("a.b_c"));
        }
        let tunnel = &good[good.find("<ipsec_tunnel>").unwrap()..good.find("</vpn_connection>").unwrap()];
        assert_eq!(
            read(&replaced(tunnel, &tunnel.repeat(9))).unwrap_err(),
            Unreadable("it has no tunnels, or too many")
        );
    }
}
