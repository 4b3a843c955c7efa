//! The rules one by one; all of them together are in `tests/it`.

use std::net::IpAddr;

use super::*;
use crate::memory::Outcome;

const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

fn site() -> Site {
    Site { owner: "site-1".to_owned(), name: None, pace: Pace::default() }
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn gateway(id: &str, address: Ipv4Addr, owner: Option<&str>) -> Gateway {
    Gateway {
        id: id.to_owned(),
        state: "available".to_owned(),
        address: Some(IpAddr::V4(address)),
        asn: Some(Asn(65_000)),
        kind: "ipsec.1".to_owned(),
        has_certificate: false,
        owner: owner.map(str::to_owned),
        name: None,
    }
}

fn connection(id: &str, gateway: &str) -> Connection {
    let (id, gateway, state) = (id.to_owned(), gateway.to_owned(), "available".to_owned());
    Connection { id, state, gateway, managed: true, is_public: true, owner: None, tunnels: Vec::new() }
}

/// One connection at a gateway of ours at A.
fn world() -> Observed {
    let gateways = vec![gateway("cgw-a", A, Some("site-1"))];
    Observed { connections: vec![connection("vpn-1", "cgw-a")], gateways }
}

fn planned(observed: &Observed, address: Ipv4Addr) -> Vec<Action> {
    plan(observed, Some(address), &Memory::default(), &site(), second(1000))
}

fn creates(asn: u32, name: Option<&str>) -> Action {
    let key = Key { address: B, asn: Asn(asn) };
    Action::Create { key, kind: "ipsec.1".to_owned(), name: name.map(str::to_owned) }
}

fn modifies(connection: &str, gateway: &str) -> Action {
    Action::Modify { connection: connection.to_owned(), gateway: gateway.to_owned() }
}

fn deletes(gateway: &str) -> Action {
    Action::Delete { gateway: gateway.to_owned() }
}

fn verdict_of(observed: &Observed, address: Ipv4Addr) -> Verdict {
    verdicts(observed, address, &Memory::default(), &site(), second(1000)).remove("vpn-1").unwrap()
}

#[test]
fn the_same_address_and_no_address_are_nothing_to_do() {
    assert!(planned(&world(), A).is_empty());
    let mut leaking = world();
    leaking.gateways.push(gateway("cgw-old", B, Some("site-1")));
    let mut memory = Memory::default();
    (0..9).for_each(|n| memory.looked(&leaking, &site(), second(n)));
    assert!(plan(&leaking, None, &memory, &site(), second(9)).is_empty(), "not even a deletion");
    assert_eq!(plan(&leaking, Some(A), &memory, &site(), second(9)), [deletes("cgw-old")]);
}

#[test]
fn one_gateway_is_made_for_all_connections_and_one_for_each_number() {
    let mut observed = world();
    observed.gateways[0].name = Some("Office".to_owned());
    observed.gateways.push(Gateway { asn: Some(Asn(4_200_000_000)), ..gateway("cgw-x", A, None) });
    observed.connections.extend([connection("vpn-2", "cgw-a"), connection("vpn-3", "cgw-x")]);
    assert_eq!(planned(&observed, B), [creates(65_000, Some("Office")), creates(4_200_000_000, None)]);
    let named = Site { name: Some("Depot".to_owned()), ..site() };
    let first = plan(&observed, Some(B), &Memory::default(), &named, second(0)).remove(0);
    assert_eq!(first, creates(65_000, Some("Depot")));
}

#[test]
fn what_is_there_is_used_before_anything_is_made() {
    let mut observed = world();
    observed.gateways.push(gateway("cgw-foreign", B, Some("site-2")));
    assert_eq!(planned(&observed, B), [modifies("vpn-1", "cgw-foreign")]);
    observed.gateways.push(gateway("cgw-b", B, Some("site-1")));
    assert_eq!(planned(&observed, B), [modifies("vpn-1", "cgw-b")], "ours before others'");
    observed.connections.push(Connection { managed: false, ..connection("vpn-9", "cgw-foreign") });
    assert_eq!(planned(&observed, B), [modifies("vpn-1", "cgw-foreign")], "the one in use before ours");
    observed.connections.truncate(1);
    observed.gateways.remove(1);
    observed.gateways[1].state = "pending".to_owned();
    assert_eq!(verdict_of(&observed, B), Verdict::Coming(Key { address: B, asn: Asn(65_000) }));
    for gone in ["deleting", "deleted", "failed"] {
        observed.gateways[1].state = gone.to_owned();
        assert_eq!(planned(&observed, B), [creates(65_000, None)], "{gone}");
    }
}

#[test]
fn a_create_is_believed_in_for_two_minutes_unless_it_was_refused() {
    let (observed, mut memory) = (world(), Memory::default());
    let action = creates(65_000, None);
    for (outcome, expected) in [(Outcome::Done, 0), (Outcome::Unknown, 0), (Outcome::Refused, 1)] {
        memory.acted(&action, outcome, second(1000));
        assert_eq!(plan(&observed, Some(B), &memory, &site(), second(1119)).len(), expected, "{outcome:?}");
    }
    memory.acted(&action, Outcome::Done, second(1000));
    assert_eq!(plan(&observed, Some(B), &memory, &site(), second(1120)), [action]);
}

#[test]
fn unknown_words_and_connections_that_go_are_left_alone() {
    for word in ["modifying", "pending", "reticulating", ""] {
        let mut observed = world();
        observed.connections[0].state = word.to_owned();
        assert_eq!(verdict_of(&observed, B), Verdict::Busy(word.to_owned()));
        assert!(planned(&observed, B).is_empty());
    }
    let mut observed = world();
    observed.connections.push(Connection { state: "deleted".to_owned(), ..connection("vpn-0", "cgw-a") });
    observed.connections.push(Connection { managed: false, ..connection("vpn-9", "cgw-a") });
    assert_eq!(planned(&observed, B), [creates(65_000, None)], "the others are served");
}

#[test]
fn certificates_ipv6_and_direct_connect_are_left_alone() {
    let with = |change: fn(&mut Observed)| {
        let mut observed = world();
        change(&mut observed);
        assert!(planned(&observed, B).is_empty());
        verdict_of(&observed, B)
    };
    assert_eq!(with(|one| one.gateways[0].has_certificate = true), Verdict::Certificate);
    assert_eq!(with(|one| one.gateways[0].address = None), Verdict::Certificate);
    assert_eq!(with(|one| one.gateways[0].address = Some("2001:db8::1".parse().unwrap())), Verdict::OtherNetwork);
    assert_eq!(with(|one| one.connections[0].is_public = false), Verdict::OtherNetwork);
    assert_eq!(with(|one| one.gateways[0].asn = None), Verdict::UnknownGateway);
    assert_eq!(with(|one| one.gateways.clear()), Verdict::UnknownGateway);
}

#[test]
fn a_change_that_is_not_seen_is_lag_first_and_a_rollback_then() {
    let mut observed = world();
    observed.gateways.push(gateway("cgw-b", B, Some("site-1")));
    let mut memory = Memory::default();
    let mut asked = second(1000);
    let at = |memory: &Memory, now| verdicts(&observed, B, memory, &site(), now).remove("vpn-1").unwrap();
    for pause in [60, 120, 300, 900, 900] {
        memory.acted(&modifies("vpn-1", "cgw-b"), Outcome::Unknown, asked);
        assert_eq!(at(&memory, asked + second(59)), Verdict::Lag);
        let end = asked + second(pause);
        if pause > 60 {
            assert_eq!(at(&memory, end - second(1)), Verdict::NotBefore(end));
        }
        assert_eq!(at(&memory, end), Verdict::Movable("cgw-b".to_owned()));
        asked = end;
    }
    memory.acted(&modifies("vpn-1", "cgw-b"), Outcome::Refused, asked + second(5000));
    assert_eq!(at(&memory, asked + second(5000)), Verdict::Movable("cgw-b".to_owned()), "nothing was done");
}

#[test]
fn a_connection_is_not_moved_twice_in_ten_minutes() {
    let mut observed = world();
    observed.gateways.push(gateway("cgw-b", B, Some("site-1")));
    let mut memory = Memory::default();
    memory.acted(&modifies("vpn-1", "cgw-a"), Outcome::Done, second(1000));
    let at = |now| verdicts(&observed, B, &memory, &site(), now).remove("vpn-1").unwrap();
    assert_eq!(at(second(1599)), Verdict::NotBefore(second(1600)));
    assert_eq!(at(second(1600)), Verdict::Movable("cgw-b".to_owned()));
}

#[test]
fn only_what_is_ours_unused_unwanted_and_seen_so_twice_is_deleted() {
    let mut observed = world();
    observed.gateways.push(gateway("cgw-b", B, Some("site-1")));
    observed.gateways.push(gateway("cgw-hand", B, None));
    observed.gateways.push(gateway("cgw-other", B, Some("site-2")));
    let mut memory = Memory::default();
    let now = second(1000);
    memory.looked(&observed, &site(), now);
    assert!(plan(&observed, Some(A), &memory, &site(), now).is_empty(), "seen once");
    memory.looked(&observed, &site(), now);
    assert_eq!(plan(&observed, Some(A), &memory, &site(), now), [deletes("cgw-b")]);
    assert_eq!(plan(&observed, Some(B), &memory, &site(), now), [modifies("vpn-1", "cgw-b")], "it is wanted");
    let mut certified = observed.clone();
    certified.gateways.push(Gateway { has_certificate: true, ..gateway("cgw-c", B, None) });
    certified.connections = vec![connection("vpn-1", "cgw-c")];
    assert_eq!(plan(&certified, Some(B), &memory, &site(), now), [deletes("cgw-b")], "nobody will move to it");
    let mut busy = observed.clone();
    busy.connections.push(Connection { state: "modifying".to_owned(), ..connection("vpn-2", "cgw-a") });
    assert!(plan(&busy, Some(A), &memory, &site(), now).is_empty(), "a connection of ours is being changed");
    let mut used = observed.clone();
    used.connections.push(Connection { managed: false, ..connection("vpn-9", "cgw-b") });
    assert!(plan(&used, Some(A), &memory, &site(), now).is_empty(), "used by others");
    let mut sent = memory.clone();
    sent.acted(&deletes("cgw-b"), Outcome::Unknown, now);
    assert!(plan(&observed, Some(A), &sent, &site(), now + second(59)).is_empty(), "EC2 may show it still");
    assert_eq!(plan(&observed, Some(A), &sent, &site(), now + second(60)), [deletes("cgw-b")]);
    sent = memory.clone();
    sent.acted(&deletes("cgw-b"), Outcome::Refused, now);
    assert_eq!(plan(&observed, Some(A), &sent, &site(), now), [deletes("cgw-b")]);
    memory.looked(&used, &site(), now);
    memory.looked(&observed, &site(), now);
    assert!(plan(&observed, Some(A), &memory, &site(), now).is_empty(), "the count begins anew");
}
