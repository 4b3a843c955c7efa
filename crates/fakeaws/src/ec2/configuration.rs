//! What AWS writes for the device: XML with both tunnels and their pre-shared keys.

use super::network::{Connection, Gateway};
use crate::xml::element;

/// AWS's ends of the two tunnels: documentation addresses, which no gateway of a test has.
pub(super) const OUTSIDE: [&str; 2] = ["192.0.2.11", "192.0.2.12"];
const AWS_ASN: &str = "64512";

pub(super) fn configuration(connection: &Connection, gateway: &Gateway) -> String {
    let address = gateway.address.map(|address| address.to_string()).unwrap_or_default();
    let tunnels = connection.keys.iter().zip(OUTSIDE).enumerate().map(|(n, (key, outside))| {
        let inside = |last: u8| format!("169.254.{}.{last}", 10 + n);
        let device = end("customer_gateway", (&address, &inside(2)), &gateway.asn.to_string());
        let aws = end("vpn_gateway", (outside, &inside(1)), AWS_ASN);
        format!("<ipsec_tunnel>{device}{aws}{}</ipsec_tunnel>", ike(key.expose()) + &ipsec())
    });
    let kind = if connection.static_routes { "NoBGPVPNConnection" } else { "" };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<vpn_connection id=\"{}\">{}{}{}{}{}</vpn_connection>",
        connection.id,
        element("customer_gateway_id", &gateway.id),
        element("vpn_gateway_id", &connection.target),
        element("vpn_connection_type", "ipsec.1"),
        if kind.is_empty() { String::new() } else { element("vpn_connection_attributes", kind) },
        tunnels.collect::<String>()
    )
}

fn end(name: &str, (outside, inside): (&str, &str), asn: &str) -> String {
    let inner =
        [element("ip_address", inside), element("network_mask", "255.255.255.252"), element("network_cidr", "30")];
    format!(
        "<{name}><tunnel_outside_address>{}</tunnel_outside_address><tunnel_inside_address>{}</tunnel_inside_address>\
         <bgp>{}{}</bgp></{name}>",
        element("ip_address", outside),
        inner.concat(),
        element("asn", asn),
        element("hold_time", "30")
    )
}

fn ike(key: &str) -> String {
    let parts = [
        element("authentication_protocol", "sha1"),
        element("encryption_protocol", "aes-128-cbc"),
        element("lifetime", "28800"),
        element("perfect_forward_secrecy", "group2"),
        element("mode", "main"),
        element("pre_shared_key", key),
    ];
    format!("<ike>{}</ike>", parts.concat())
}

fn ipsec() -> String {
    let peer = element("interval", "10") + &element("retries", "3");
    let parts = [
        element("protocol", "esp"),
        element("authentication_protocol", "hmac-sha1-96"),
        element("encryption_protocol", "aes-128-cbc"),
        element("lifetime", "3600"),
        element("perfect_forward_secrecy", "group2"),
        element("mode", "tunnel"),
        element("clear_df_bit", "true"),
        element("fragmentation_before_encryption", "true"),
        element("tcp_mss_adjustment", "1379"),
    ];
    format!("<ipsec>{}<dead_peer_detection>{peer}</dead_peer_detection></ipsec>", parts.concat())
}
