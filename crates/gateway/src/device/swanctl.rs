//! A connection as strongSwan's `swanctl` reads it: one section a tunnel, and the keys in a file that is included.
//!
//! Everything that comes from AWS is an address, a number, an id or a word of a list by now; a key is written so that
//! nothing in it can be read as anything else.

use std::fmt::Write as _;

use bowline_aws::ec2::{DeviceTunnel, Tunnel};
use bowline_base::Secret;

use super::{Link, Network, NotRendered, Rendered, proposals};

/// What the site's administrator chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// The number of the interface of the first tunnel; the others count up.
    pub first_interface: u32,
    /// The networks of the site and of AWS that go through the tunnels. Without any of both, everything that is routed
    /// into the tunnels' interfaces does.
    pub networks: [Vec<Network>; 2],
    /// Keys are rendered.
    pub keys: bool,
}

impl Default for Choices {
    /// Interfaces from 1 on.
    fn default() -> Self {
        Self { first_interface: 1, networks: [Vec::new(), Vec::new()], keys: true }
    }
}

const HEAD: &str = "# Made by `bowline gateway device-config`, and overwritten by it.\n";

/// Renders connections; `keys_file` is what the first file includes the keys from.
///
/// # Errors
/// [`NotRendered::KeysElsewhere`].
pub fn render(links: &[Link], choices: &Choices, keys_file: &str) -> Result<Rendered, NotRendered> {
    if choices.keys {
        links.iter().try_for_each(Link::has_keys)?;
    }
    let (mut connections, mut keys) = (HEAD.to_owned(), HEAD.to_owned());
    connections.push_str("connections {\n");
    keys.push_str("secrets {\n");
    let mut interface = choices.first_interface;
    for link in links {
        for (index, (tunnel, options)) in link.device.tunnels.iter().zip(&link.options).enumerate() {
            let line = Line { link, tunnel, options, name: format!("{}-{}", link.id, index + 1), interface };
            line.connection(&mut connections, choices);
            line.key(&mut keys);
            interface = interface.saturating_add(1);
        }
    }
    connections.push_str("}\n");
    keys.push_str("}\n");
    if choices.keys {
        let _ = writeln!(connections, "include \"{keys_file}\"");
    }
    Ok(Rendered { connections, keys: choices.keys.then(|| Secret::new(keys)) })
}

/// One tunnel.
struct Line<'a> {
    link: &'a Link,
    tunnel: &'a DeviceTunnel,
    options: &'a Tunnel,
    name: String,
    interface: u32,
}

impl Line<'_> {
    fn connection(&self, out: &mut String, choices: &Choices) {
        let Self { link, tunnel, options, name, .. } = self;
        let _ = writeln!(out, "  # {} at {}", link.id, link.device.customer_gateway);
        self.remarks(out, choices);
        let _ = writeln!(out, "  {name} {{");
        let is_old = !options.ike_versions.is_empty() && options.ike_versions.iter().all(|version| version == "ikev1");
        let mut set = |key: &str, value: &str| {
            let _ = writeln!(out, "    {key} = {value}");
        };
        set("version", if is_old { "1" } else { "2" });
        set("remote_addrs", &outside(tunnel.aws.outside));
        set("proposals", &proposals::of_ike(&options.phase1));
        set("mobike", "no");
        // While AWS's end is made anew, minutes pass without an answer.
        set("keyingtries", "0");
        set("rekey_time", &earlier(tunnel.ike_lifetime));
        set("dpd_delay", &format!("{}s", tunnel.dead_peer.0));
        if is_old {
            set("dpd_timeout", &format!("{}s", tunnel.dead_peer.0.saturating_mul(tunnel.dead_peer.1)));
        }
        // AWS knows the device by the gateway's address, also behind a router that translates.
        for (end, id) in [("local", tunnel.site.outside), ("remote", tunnel.aws.outside)] {
            let _ = writeln!(out, "    {end} {{\n      auth = psk\n      id = {}\n    }}", outside(id));
        }
        self.child(out, choices);
        out.push_str("  }\n");
    }

    fn child(&self, out: &mut String, choices: &Choices) {
        let _ = writeln!(out, "    children {{\n      {} {{", self.name);
        let mut set = |key: &str, value: &str| {
            let _ = writeln!(out, "        {key} = {value}");
        };
        for (key, own, chosen) in [
            ("local_ts", self.link.networks[0], &choices.networks[0]),
            ("remote_ts", self.link.networks[1], &choices.networks[1]),
        ] {
            set(key, &selectors(own, chosen));
        }
        if is_routed(choices) {
            set("if_id_in", &self.interface.to_string());
            set("if_id_out", &self.interface.to_string());
        }
        set("esp_proposals", &proposals::of_esp(&self.options.phase2));
        set("rekey_time", &earlier(self.tunnel.lifetime));
        // Where AWS begins by itself (`start`), a packet is enough to begin here; else (`add`) it is for us to begin.
        let (begin, dead) = match self.options.startup_action.as_deref() {
            Some("start") => ("trap", "trap"),
            _ => ("start", "restart"),
        };
        set("start_action", begin);
        set("close_action", begin);
        set("dpd_action", dead);
        out.push_str("      }\n    }\n");
    }

    /// What a person needs who makes the interface, or sets up BGP.
    fn remarks(&self, out: &mut String, choices: &Choices) {
        let Self { tunnel, interface, .. } = self;
        if let (Some((site, length)), Some((aws, _))) = (tunnel.site.inside, tunnel.aws.inside) {
            let _ = writeln!(out, "  # inside the tunnel: {site}/{length} here, {aws} at AWS");
            if is_routed(choices) {
                let _ = writeln!(out, "  #   ip link add bowline{interface} type xfrm if_id {interface}");
                let _ = writeln!(out, "  #   ip address add {site}/{length} dev bowline{interface}");
                let _ = writeln!(out, "  #   ip link set bowline{interface} up mtu 1436");
            }
        }
        if let (false, Some(site), Some(aws)) = (self.link.device.is_static, tunnel.site.asn, tunnel.aws.asn) {
            let _ = writeln!(out, "  # BGP: AS {site} here, AS {aws} at AWS");
        }
        if let Some(segment) = tunnel.segment {
            let _ = writeln!(out, "  # longest TCP segment: {segment}");
        }
    }

    fn key(&self, out: &mut String) {
        let Some(key) = &self.tunnel.key else { return };
        let _ = writeln!(
            out,
            "  ike-{} {{\n    id-1 = {}\n    id-2 = {}\n    secret = {}\n  }}",
            self.name,
            outside(self.tunnel.site.outside),
            outside(self.tunnel.aws.outside),
            written(key.expose()),
        );
    }
}

/// Through interfaces, into which somebody routes.
fn is_routed(choices: &Choices) -> bool {
    choices.networks.iter().all(Vec::is_empty)
}

fn outside(address: Option<std::net::IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

fn selectors(own: Option<Network>, chosen: &[Network]) -> String {
    if chosen.is_empty() {
        return own.map_or_else(|| "0.0.0.0/0".to_owned(), |network| network.to_string());
    }
    chosen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Keys are made anew before AWS would end the old ones.
fn earlier(lifetime: u32) -> String {
    format!("{}s", u64::from(lifetime) * 9 / 10)
}

/// AWS's keys are letters, digits, periods and underscores; any other is written in hex.
fn written(key: &str) -> String {
    if key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-')) {
        return format!("\"{key}\"");
    }
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{hex}")
}

#[cfg(test)]
mod tests;
