//! What is rendered from what AWS says.

use bowline_aws::ec2::{Phase, Target, VpnConnection};

use super::*;
use crate::device::NotRendered;

const KEYS: [&str; 2] = ["first.key_1", "second.key_2"];

fn configuration(address: &str, keys: [&str; 2]) -> String {
    let tunnels = keys.iter().zip(["192.0.2.11", "192.0.2.12"]).enumerate().map(|(n, (key, aws))| {
        let end = |name: &str, outside: &str, last: u8, asn: u32| {
            format!(
                "<{name}><tunnel_outside_address><ip_address>{outside}</ip_address></tunnel_outside_address>\
                 <tunnel_inside_address><ip_address>169.254.1{n}.{last}</ip_address><network_cidr>30</network_cidr>\
                 </tunnel_inside_address><bgp><asn>{asn}</asn></bgp></{name}>"
            )
        };
        format!(
            "<ipsec_tunnel>{}{}<ike><lifetime>28800</lifetime><pre_shared_key>{key}</pre_shared_key></ike><ipsec>\
             <lifetime>3600</lifetime><tcp_mss_adjustment>1379</tcp_mss_adjustment></ipsec></ipsec_tunnel>",
            end("customer_gateway", address, 2, 65_000),
            end("vpn_gateway", aws, 1, 64_512)
        )
    });
    let tunnels: String = tunnels.collect();
    format!("<vpn_connection><customer_gateway_id>cgw-1</customer_gateway_id>{tunnels}</vpn_connection>")
}

fn connection(configuration: Option<String>) -> VpnConnection {
    let tunnel = |address: &str, action: &str, version: &str| Tunnel {
        outside_address: address.parse().ok(),
        startup_action: Some(action.to_owned()),
        ike_versions: vec![version.to_owned()],
        phase1: Phase { encryption: vec!["AES256".into()], integrity: vec!["SHA2-256".into()], groups: vec![14] },
        phase2: Phase { encryption: vec!["AES256-GCM-16".into()], integrity: Vec::new(), groups: vec![20] },
    };
    VpnConnection {
        id: "vpn-1".to_owned(),
        state: "modifying".to_owned(),
        customer_gateway: "cgw-1".to_owned(),
        target: Target::Other,
        static_routes_only: false,
        outside_address_type: None,
        networks: [None, None],
        key_arn: None,
        tags: Vec::new(),
        telemetry: Vec::new(),
        // In another order than in the configuration.
        tunnels: vec![tunnel("192.0.2.12", "start", "ikev1"), tunnel("192.0.2.11", "add", "ikev2")],
        configuration: configuration.map(Secret::new),
    }
}

fn link() -> Link {
    Link::of(&connection(Some(configuration("198.51.100.7", KEYS)))).unwrap()
}

/// `key = value` in the section of a tunnel.
fn value<'a>(text: &'a str, section: &str, key: &str) -> Vec<&'a str> {
    let from = text.find(&format!("  {section} {{")).unwrap();
    let rest = &text[from..];
    let section = &rest[..rest.find("\n  }\n").unwrap()];
    let lines = section.lines().filter_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix("= "));
    lines.collect()
}

#[test]
fn both_tunnels_are_rendered_with_their_own_options() {
    let rendered = render(&[link()], &Choices::default(), "vpn.secrets").unwrap();
    let text = &rendered.connections;
    for (section, key, expected) in [
        ("vpn-1-1", "version", &["2"][..]),
        ("vpn-1-2", "version", &["1"]),
        ("vpn-1-1", "remote_addrs", &["192.0.2.11"]),
        ("vpn-1-2", "remote_addrs", &["192.0.2.12"]),
        ("vpn-1-1", "proposals", &["aes256-sha256-modp2048"]),
        ("vpn-1-1", "esp_proposals", &["aes256gcm16-ecp384"]),
        ("vpn-1-1", "id", &["198.51.100.7", "192.0.2.11"]),
        ("vpn-1-1", "rekey_time", &["25920s", "3240s"]),
        ("vpn-1-1", "dpd_delay", &["10s"]),
        ("vpn-1-1", "dpd_timeout", &[]),
        ("vpn-1-2", "dpd_timeout", &["30s"]),
        ("vpn-1-1", "keyingtries", &["0"]),
        ("vpn-1-1", "start_action", &["start"]),
        ("vpn-1-2", "start_action", &["trap"]),
        ("vpn-1-1", "dpd_action", &["restart"]),
        ("vpn-1-1", "local_ts", &["0.0.0.0/0"]),
        ("vpn-1-1", "if_id_in", &["1"]),
        ("vpn-1-2", "if_id_out", &["2"]),
    ] {
        assert_eq!(value(text, section, key), expected, "{section} {key}\n{text}");
    }
    for words in ["include \"vpn.secrets\"", "169.254.10.2/30 here, 169.254.10.1 at AWS", "AS 65000 here, AS 64512"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    assert!(!KEYS.iter().any(|key| text.contains(key)), "a key where it does not belong");
    let keys = rendered.keys.unwrap();
    assert_eq!(value(keys.expose(), "ike-vpn-1-2", "secret"), ["\"second.key_2\""]);
    assert_eq!(value(keys.expose(), "ike-vpn-1-1", "id-2"), ["192.0.2.11"]);
}

#[test]
fn networks_take_the_place_of_interfaces() {
    let networks = ["10.1.0.0/16", "10.2.0.0/16"].map(|text| vec![text.parse().unwrap()]);
    let choices = Choices { networks, keys: false, ..Choices::default() };
    let rendered = render(&[link()], &choices, "vpn.secrets").unwrap();
    assert_eq!(value(&rendered.connections, "vpn-1-1", "local_ts"), ["10.1.0.0/16"]);
    assert_eq!(value(&rendered.connections, "vpn-1-1", "remote_ts"), ["10.2.0.0/16"]);
    assert!(!rendered.connections.contains("if_id") && !rendered.connections.contains("include"));
    assert!(rendered.keys.is_none());
    let mut narrow = connection(Some(configuration("198.51.100.7", KEYS)));
    narrow.networks = [Some("10.3.0.0/16".to_owned()), None];
    let rendered = render(&[Link::of(&narrow).unwrap()], &Choices::default(), "k").unwrap();
    assert_eq!(value(&rendered.connections, "vpn-1-1", "local_ts"), ["10.3.0.0/16"]);
}

#[test]
fn a_new_address_changes_the_identity_and_nothing_else() {
    let text = |address: &str| {
        let link = Link::of(&connection(Some(configuration(address, KEYS)))).unwrap();
        render(&[link], &Choices::default(), "k").unwrap().connections
    };
    let (before, after) = (text("198.51.100.7"), text("198.51.100.9"));
    assert_ne!(before, after);
    assert_eq!(before, after.replace("198.51.100.9", "198.51.100.7"));
    assert_eq!(before, text("198.51.100.7"), "the same is rendered the same");
}

#[test]
fn a_key_cannot_leave_its_quotes() {
    let odd = configuration("198.51.100.7", ["a\"\n}\ninclude /etc/shadow #", "k&amp;1234567"]);
    let link = Link::of(&connection(Some(odd))).unwrap();
    let keys = render(&[link], &Choices::default(), "k").unwrap().keys.unwrap();
    assert!(!keys.expose().contains("shadow") && keys.expose().contains("secret = 0x61220a7d"));
    assert!(keys.expose().contains("secret = 0x6b2631323334353637"));
}

#[test]
fn what_cannot_be_rendered_is_told_by_name() {
    let refused = |connection: &VpnConnection| Link::of(connection).unwrap_err();
    assert!(
        matches!(refused(&connection(None)), NotRendered::Busy(id, state) if id == "vpn-1" && state == "modifying")
    );
    let certificate = connection(Some(configuration("", KEYS)));
    assert!(matches!(refused(&certificate), NotRendered::Certificate(_)));
    assert!(matches!(refused(&connection(Some("<html/>".to_owned()))), NotRendered::Unreadable(..)));
    let mut odd = connection(Some(configuration("198.51.100.7", KEYS)));
    odd.networks = [None, Some("::/0".to_owned())];
    assert!(matches!(refused(&odd), NotRendered::Unreadable(..)));
    odd = VpnConnection { id: "vpn-1 {}".to_owned(), networks: [None, None], ..odd };
    assert!(matches!(refused(&odd), NotRendered::Unreadable(..)));
    let mut elsewhere = connection(Some(configuration("198.51.100.7", ["", ""])));
    elsewhere.key_arn = Some("arn:aws:secretsmanager:x".to_owned());
    let link = Link::of(&elsewhere).unwrap();
    let why = render(std::slice::from_ref(&link), &Choices::default(), "k").unwrap_err();
    assert!(why.to_string().contains("arn:aws:secretsmanager:x"));
    assert!(render(&[link], &Choices { keys: false, ..Choices::default() }, "k").is_ok());
}
