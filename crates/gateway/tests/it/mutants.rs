//! The model has teeth: plans with one mistake each, every one of which it must find.

use std::{net::Ipv4Addr, time::Duration};

use bowline_gateway::{Action, Gateway, Memory, Observed, Site, plan};

use crate::schedule::{Planner, wrongs};

const SEEDS: std::ops::Range<u64> = 0..150;

/// Seeds under which something went wrong.
fn caught(mutant: Planner) -> usize {
    SEEDS.filter(|seed| !wrongs(*seed, mutant).is_empty()).count()
}

#[track_caller]
fn must_be_caught(name: &str, mutant: Planner) {
    let caught = caught(mutant);
    assert!(caught > 5, "`{name}` got through: caught under {caught} of {} seeds", SEEDS.count());
}

fn ours(observed: &Observed, change: impl Fn(&mut Gateway)) -> Observed {
    let mut observed = observed.clone();
    observed.gateways.iter_mut().for_each(change);
    observed
}

/// As the script does it: the old one is deleted in the pass that points elsewhere, and forgotten.
fn deletes_at_once(
    observed: &Observed,
    address: Option<Ipv4Addr>,
    memory: &Memory,
    site: &Site,
    now: Duration,
) -> Vec<Action> {
    let kept = plan(observed, address, memory, site, now)
        .into_iter()
        .filter(|action| !matches!(action, Action::Delete { .. }));
    let mut actions: Vec<Action> = kept.collect();
    let moved = actions.iter().filter_map(|action| match action {
        Action::Modify { connection, .. } => observed.connections.iter().find(|one| one.id == *connection),
        _ => None,
    });
    let owned = |id: &String| observed.gateways.iter().any(|one| one.id == *id && site.owns(one));
    let old: Vec<String> = moved.map(|connection| connection.gateway.clone()).filter(owned).collect();
    actions.extend(old.into_iter().map(|gateway| Action::Delete { gateway }));
    actions
}

#[test]
fn deleting_at_once_is_caught() {
    must_be_caught("deletes at once", deletes_at_once);
}

#[test]
fn not_looking_at_the_owner_is_caught() {
    must_be_caught("no owner check", |observed, address, _, site, now| {
        let blind = ours(observed, |gateway| gateway.owner = Some(site.owner.clone()));
        let mut memory = Memory::default();
        memory.looked(&blind, site, now);
        memory.looked(&blind, site, now);
        plan(&blind, address, &memory, site, now)
    });
}

#[test]
fn creating_without_looking_is_caught() {
    must_be_caught("creates without looking", |observed, address, memory, site, now| {
        let mut blind = observed.clone();
        let used = |id: &str| observed.connections.iter().any(|one| one.gateway == id);
        blind.gateways.retain(|gateway| used(&gateway.id) || !site.owns(gateway));
        plan(&blind, address, memory, site, now)
    });
}

#[test]
fn taking_every_word_for_available_is_caught() {
    must_be_caught("ignores the state", |observed, address, memory, site, now| {
        let mut blind = observed.clone();
        blind.connections.iter_mut().for_each(|connection| connection.state = "available".to_owned());
        plan(&blind, address, memory, site, now)
    });
}

#[test]
fn never_deleting_is_caught() {
    must_be_caught("never deletes", |observed, address, memory, site, now| {
        let actions = plan(observed, address, memory, site, now).into_iter();
        actions.filter(|action| !matches!(action, Action::Delete { .. })).collect()
    });
}

#[test]
fn acting_without_an_address_is_caught() {
    must_be_caught("takes no answer for an answer", |observed, address, memory, site, now| {
        plan(observed, Some(address.unwrap_or(Ipv4Addr::UNSPECIFIED)), memory, site, now)
    });
}

#[test]
fn remembering_nothing_is_caught() {
    must_be_caught("remembers nothing", |observed, address, _, site, now| {
        plan(observed, address, &Memory::default(), site, now)
    });
}
