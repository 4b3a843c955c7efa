//! A snapshot as numbers for `/metrics`. Peers are named by their public keys, which are no secret.

use std::time::Duration;

use bowline_host::metrics::{Kind, Labels, Reading, Times};

use crate::{PeerStats, Stats};

/// Every number of `stats`.
#[must_use]
pub fn readings(stats: &Stats) -> Vec<Reading> {
    let mut readings = of_the_tunnel(stats);
    readings.extend(of_clients(stats));
    readings
}

/// How long things took.
#[must_use]
pub fn times(stats: &Stats) -> Vec<Times> {
    let both = [
        ("vpn_round_trip_seconds", "Bytes to clients and their acknowledgements back", stats.round_trips),
        ("vpn_queue_delay_seconds", "Waits of packets because of a client's limit", stats.queue_delays),
    ];
    both.into_iter().map(|(name, help, spread)| Times { name, help, spread }).collect()
}

fn of_the_tunnel(stats: &Stats) -> Vec<Reading> {
    let plain = |name, help, kind, value: u64| Reading { name, help, kind, values: vec![(Labels::new(), value)] };
    let flows = [
        ("tcp", stats.flows.tcp),
        ("dialling", stats.flows.dialling),
        ("udp", stats.flows.udp),
        ("echo", stats.flows.echo),
    ];
    vec![
        plain("vpn_handshakes", "Handshakes completed", Kind::Counter, stats.handshakes),
        plain("vpn_cookies", "Cookies sent because too many handshakes came at once", Kind::Counter, stats.cookies),
        plain("vpn_retransmits", "TCP segments sent again to clients", Kind::Counter, stats.retransmits),
        plain("vpn_peers", "Clients that are let in", Kind::Gauge, wide(stats.peers.len())),
        by("vpn_drops", "Packets dropped, by reason", "reason", stats.drops.iter().map(|(why, n)| (*why, *n))),
        by("vpn_denied", "Connections refused by policy, by reason", "reason", {
            stats.denied.iter().map(|(why, n)| (*why, *n))
        }),
        Reading {
            kind: Kind::Gauge,
            ..by("vpn_flows", "Flows now", "kind", flows.into_iter().map(|(kind, n)| (kind, wide(n))))
        },
    ]
}

fn of_clients(stats: &Stats) -> [Reading; 6] {
    [
        peers(stats, "vpn_received_bytes", "Bytes of inner packets from a client", |peer| peer.received),
        peers(stats, "vpn_sent_bytes", "Bytes of inner packets to a client", |peer| peer.sent),
        peers(stats, "vpn_client_drops", "Packets of a client that were dropped", |peer| peer.dropped),
        Reading {
            kind: Kind::Gauge,
            ..peers(
                stats,
                "vpn_last_handshake_timestamp_seconds",
                "Unix time at which keys were last agreed on, 0 for never",
                |peer| peer.last_handshake.map_or(0, |at| at.as_second().try_into().unwrap_or(0)),
            )
        },
        seconds(
            stats,
            "vpn_client_round_trip_seconds",
            "A byte to a client and its acknowledgement back, of late",
            |peer| peer.round_trip,
        ),
        seconds(
            stats,
            "vpn_client_queue_delay_seconds",
            "The longest wait because of a client's limit, of late",
            |peer| Some(peer.queue_delay),
        ),
    ]
}

fn by<'a>(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    numbers: impl Iterator<Item = (&'a str, u64)>,
) -> Reading {
    let values = numbers.map(|(value, number)| (vec![(label, value.to_owned())], number)).collect();
    Reading { name, help, kind: Kind::Counter, values }
}

fn peers(stats: &Stats, name: &'static str, help: &'static str, number: impl Fn(&PeerStats) -> u64) -> Reading {
    let value = |(key, peer)| (vec![("peer", ToString::to_string(key))], number(peer));
    Reading { name, help, kind: Kind::Counter, values: stats.peers.iter().map(value).collect() }
}

fn seconds(
    stats: &Stats,
    name: &'static str,
    help: &'static str,
    time: impl Fn(&PeerStats) -> Option<Duration>,
) -> Reading {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let value = |(key, peer)| Some((vec![("peer", ToString::to_string(key))], micros(time(peer)?)));
    Reading { name, help, kind: Kind::Time, values: stats.peers.iter().filter_map(value).collect() }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;

    #[test]
    fn a_peer_is_counted_under_its_key_and_a_drop_under_its_reason() {
        let mut stats = Stats::default();
        stats.peers.insert(PublicKey([7; 32]), PeerStats { received: 5, ..PeerStats::default() });
        stats.drops.insert("replay", 3);
        let readings = readings(&stats);
        let values = |name: &str| &readings.iter().find(|reading| reading.name == name).unwrap().values;
        assert_eq!(values("vpn_received_bytes"), &[(vec![("peer", PublicKey([7; 32]).to_string())], 5)]);
        assert_eq!(values("vpn_drops"), &[(vec![("reason", "replay".to_owned())], 3)]);
        assert_eq!(values("vpn_peers"), &[(Vec::new(), 1)]);
    }
}
