//! Which routes and rules lead into the link: data in, data out.

use std::net::{IpAddr, SocketAddr};

use bowline_tunnel::Prefix;

/// The first of our rules; the kernel asks rules in order of their numbers, and those of the main table come last.
pub(super) const FIRST_RULE: u32 = 5180;
/// Behind the last of ours.
pub(super) const BEHIND_RULES: u32 = 5190;
/// Tables that we may take: WireGuard's port number, as `wg-quick` does it, and those behind it.
const TABLES: std::ops::Range<u32> = 51_820..51_900;

/// From our table to the one where nothing arrives.
const TO_NOWHERE: u32 = 100;
/// Of a range for documents (RFC 5737): nobody answers for it.
const NOBODY: &str = "192.0.2.1";

/// By number: their names are in `/etc/protocols`, which a small machine does not have.
pub(super) const UDP: u8 = 17;
/// See [`UDP`].
pub(super) const TCP: u8 = 6;

/// What goes through the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Everything, both families, but networks that this machine is part of. DNS without exception.
    Full,
    /// These ranges, and DNS to the link's resolvers.
    Split(Vec<Prefix>),
}

/// How names are found while everything goes through the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Through the link, and no other way.
    Inside,
    /// Through the link; a program that is bound to another device asks there, as systemd-resolved does unless it is told.
    InsideUnlessBound,
    /// As before: the link brings no resolver, and without one of this machine's networks nothing would be found.
    AsBefore,
}

/// A link that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) interface: String,
    /// What must not go through the link, or it would go round in circles: the server, or the proxy before it.
    pub(super) outside: SocketAddr,
    /// [`UDP`] or [`TCP`].
    pub(super) protocol: u8,
    /// Resolvers inside.
    pub(super) dns: Vec<IpAddr>,
    pub(super) names: Names,
    /// Families that the link carries.
    pub(super) carries_v6: bool,
    /// Whether this machine speaks IPv6 at all.
    pub(super) speaks_v6: bool,
    pub(super) table: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}

/// The first table that no rule and no route names.
pub(super) fn free_table(rules_and_routes: &str) -> u32 {
    let named = |table: &u32| rules_and_routes.split_whitespace().any(|word| word == table.to_string());
    TABLES.clone().find(|table| !named(table) && !named(&nowhere(*table))).unwrap_or(TABLES.end)
}

/// The table beside ours where nothing arrives.
pub(super) fn nowhere(table: u32) -> u32 {
    table + TO_NOWHERE
}

/// Routes to nowhere on every other device, for questions of programs that are bound to one, as systemd-resolved is. To be
/// made before the rules. Linux sends what is bound to a device and has no route to whoever is asked for on that device's
/// own network, so that refusing is not enough; IPv6 does not.
pub(super) fn dead_ends(table: u32, devices: &[String]) -> Vec<Vec<String>> {
    let route = |(number, device)| {
        let (table, metric) = (nowhere(table), number + 1);
        words(Family::V4, &format!("route add default via {NOBODY} dev {device} onlink metric {metric} table {table}"))
    };
    devices.iter().enumerate().map(route).collect()
}

/// `ip` with each of these arguments, in this order: routes first, so that no rule leads nowhere.
pub(super) fn commands(link: &Link, routing: &Routing) -> Vec<Vec<String>> {
    let families = Family::BOTH.into_iter().filter(|family| *family == Family::V4 || link.speaks_v6);
    let mut commands = Vec::new();
    for family in families {
        let table = link.table;
        // A family that the link does not carry goes nowhere rather than past it.
        let carried = family == Family::V4 || link.carries_v6;
        let default =
            if carried { format!("default dev {}", link.interface) } else { "unreachable default".to_owned() };
        commands.push(words(family, &format!("route add {default} table {table}")));
        for rule in rules(link, routing, family) {
            commands.push(words(family, &format!("rule add {rule}")));
        }
    }
    commands
}

fn rules(link: &Link, routing: &Routing, family: Family) -> Vec<String> {
    let (first, table) = (FIRST_RULE, link.table);
    let mut rules = Vec::new();
    let outside = Some(link.outside.ip()).filter(|address| Family::of(*address) == family);
    if let Some(address) = outside {
        // Before DNS: a server may well listen on port 53.
        let (protocol, port) = (link.protocol, link.outside.port());
        rules.push(format!("to {address} ipproto {protocol} dport {port} lookup main pref {first}"));
    }
    match routing {
        Routing::Full => {
            let ways = match link.names {
                // Who is bound to another device finds no route in our table, and asks nobody instead.
                Names::Inside => {
                    vec![format!("lookup {table}"), format!("lookup {}", nowhere(table)), "unreachable".to_owned()]
                }
                Names::InsideUnlessBound => vec![format!("lookup {table}")],
                Names::AsBefore => Vec::new(),
            };
            for protocol in [UDP, TCP] {
                rules.extend(ways.iter().map(|way| format!("ipproto {protocol} dport 53 {way} pref {}", first + 1)));
            }
        }
        Routing::Split(_) => {
            let inside = link.dns.iter().filter(|address| Family::of(**address) == family);
            rules.extend(inside.map(|address| format!("to {address} lookup {table} pref {}", first + 1)));
        }
    }
    // What else the server's machine offers: its API, and answers to what went out by the first rule.
    rules.extend(outside.map(|address| format!("to {address} lookup main pref {}", first + 2)));
    // What the main table knows better than by its default: networks that this machine is part of.
    rules.push(format!("lookup main suppress_prefixlength 0 pref {}", first + 3));
    match routing {
        Routing::Full => rules.push(format!("lookup {table} pref {}", first + 4)),
        Routing::Split(ranges) => {
            let ours = ranges.iter().filter(|range| Family::of(range.address()) == family);
            rules.extend(ours.map(|range| format!("to {range} lookup {table} pref {}", first + 4)));
        }
    }
    rules
}

fn words(family: Family, text: &str) -> Vec<String> {
    [family.flag()].into_iter().chain(text.split(' ')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            interface: "bowline0".to_owned(),
            outside: "192.0.2.1:51820".parse().unwrap(),
            protocol: UDP,
            dns: vec![[10, 77, 0, 1].into()],
            names: Names::Inside,
            carries_v6: true,
            speaks_v6: true,
            table: 51_820,
        }
    }

    fn lines(link: &Link, routing: &Routing) -> Vec<String> {
        commands(link, routing).iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn everything_goes_through_the_link_but_the_way_to_the_server_and_our_own_networks() {
        assert_eq!(
            lines(&link(), &Routing::Full),
            [
                "-4 route add default dev bowline0 table 51820",
                "-4 rule add to 192.0.2.1 ipproto 17 dport 51820 lookup main pref 5180",
                "-4 rule add ipproto 17 dport 53 lookup 51820 pref 5181",
                "-4 rule add ipproto 17 dport 53 lookup 51920 pref 5181",
                "-4 rule add ipproto 17 dport 53 unreachable pref 5181",
                "-4 rule add ipproto 6 dport 53 lookup 51820 pref 5181",
                "-4 rule add ipproto 6 dport 53 lookup 51920 pref 5181",
                "-4 rule add ipproto 6 dport 53 unreachable pref 5181",
                "-4 rule add to 192.0.2.1 lookup main pref 5182",
                "-4 rule add lookup main suppress_prefixlength 0 pref 5183",
                "-4 rule add lookup 51820 pref 5184",
                "-6 route add default dev bowline0 table 51820",
                "-6 rule add ipproto 17 dport 53 lookup 51820 pref 5181",
                "-6 rule add ipproto 17 dport 53 lookup 51920 pref 5181",
                "-6 rule add ipproto 17 dport 53 unreachable pref 5181",
                "-6 rule add ipproto 6 dport 53 lookup 51820 pref 5181",
                "-6 rule add ipproto 6 dport 53 lookup 51920 pref 5181",
                "-6 rule add ipproto 6 dport 53 unreachable pref 5181",
                "-6 rule add lookup main suppress_prefixlength 0 pref 5183",
                "-6 rule add lookup 51820 pref 5184",
            ]
        );
    }

    #[test]
    fn names_are_left_alone_where_the_link_brings_no_resolver() {
        let of_names = |names| {
            let lines = lines(&Link { names, ..link() }, &Routing::Full);
            lines.into_iter().filter(|line| line.contains("dport 53 ")).collect::<Vec<_>>()
        };
        assert_eq!(of_names(Names::AsBefore), Vec::<String>::new());
        let inside = of_names(Names::InsideUnlessBound);
        assert!(inside.len() == 4 && inside.iter().all(|line| line.contains("lookup 51820 ")), "{inside:#?}");
    }

    #[test]
    fn on_every_other_device_names_are_asked_of_nobody() {
        let dead =
            dead_ends(51_820, &["eth0", "wlan0"].map(str::to_owned)).iter().map(|words| words.join(" ")).collect();
        let routes: Vec<String> = dead;
        assert_eq!(
            routes,
            [
                "-4 route add default via 192.0.2.1 dev eth0 onlink metric 1 table 51920",
                "-4 route add default via 192.0.2.1 dev wlan0 onlink metric 2 table 51920",
            ]
        );
    }

    #[test]
    fn what_the_link_does_not_carry_goes_nowhere_instead_of_past_it() {
        let link = Link { carries_v6: false, ..link() };
        assert!(lines(&link, &Routing::Full).contains(&"-6 route add unreachable default table 51820".to_owned()));
        let deaf = Link { speaks_v6: false, ..link };
        assert!(lines(&deaf, &Routing::Full).iter().all(|line| line.starts_with("-4 ")));
    }

    #[test]
    fn a_split_link_takes_its_ranges_and_its_resolver() {
        let ranges = ["10.0.0.0/8", "fd00::/8"].map(|range| range.parse().unwrap()).to_vec();
        let lines = lines(&link(), &Routing::Split(ranges));
        for line in [
            "-4 rule add to 10.77.0.1 lookup 51820 pref 5181",
            "-4 rule add to 10.0.0.0/8 lookup 51820 pref 5184",
            "-6 rule add to fd00::/8 lookup 51820 pref 5184",
        ] {
            assert!(lines.contains(&line.to_owned()), "{lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("dport 53") || line.contains("add lookup 51820")), "{lines:#?}");
    }

    #[test]
    fn a_table_that_somebody_uses_is_left_alone() {
        assert_eq!(free_table("0: from all lookup local\n"), 51_820);
        assert_eq!(free_table("default dev x table 51920"), 51_821, "nor is one that we would use beside it");
        assert_eq!(free_table("5183: from all lookup 51820\ndefault dev wg0 table 51821\n"), 51_822);
    }
}
