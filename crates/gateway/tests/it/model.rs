//! A model of EC2's VPN, with its manners and without its wire, that notes whatever must not happen.
//!
//! Times are seconds. What is true changes at once; describes show it `lag` later, new gateways only after `delay`.

use std::net::{IpAddr, Ipv4Addr};

use bowline_aws::ec2::Asn;
use bowline_gateway::{Connection, Gateway, Key, Observed, Outcome, Site};

/// How this EC2 behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    pub(crate) lag: u64,
    pub(crate) delay: u64,
    pub(crate) pending: u64,
    pub(crate) modify_time: u64,
    pub(crate) flips_late: bool,
    /// So many changes from now on end where they began.
    pub(crate) rollbacks: u64,
    pub(crate) quota: usize,
    /// One instance that sees everything at once has no excuse for a refusal.
    pub(crate) strict: bool,
}

pub(crate) struct ModelGateway {
    pub(crate) shown: Gateway,
    pub(crate) visible_from: u64,
    pub(crate) ready_from: u64,
    pub(crate) deleted_at: Option<u64>,
}

pub(crate) struct ModelConnection {
    pub(crate) id: String,
    pub(crate) managed: bool,
    /// State and gateway, from each moment on; the last may be to come.
    pub(crate) past: Vec<(u64, &'static str, String)>,
    pub(crate) modifies: u64,
}

#[derive(Default)]
pub(crate) struct Ec2 {
    pub(crate) now: u64,
    pub(crate) habits: Habits,
    pub(crate) gateways: Vec<ModelGateway>,
    pub(crate) connections: Vec<ModelConnection>,
    pub(crate) wrongs: Vec<String>,
}

impl ModelConnection {
    pub(crate) fn at(&self, moment: u64) -> (&'static str, &str) {
        let (_, state, gateway) = self.past.iter().rev().find(|(from, ..)| *from <= moment).unwrap_or(&self.past[0]);
        (state, gateway)
    }

    /// Points at the gateway, or goes to it or away from it just now.
    fn hangs_on(&self, gateway: &str, now: u64) -> bool {
        let to_come = self.past.iter().any(|(from, _, id)| *from > now && id == gateway);
        let before = self.past.len().checked_sub(3).and_then(|at| self.past.get(at));
        let leaving = self.at(now).0 == "modifying" && before.is_some_and(|(.., id)| id == gateway);
        self.at(now).1 == gateway || to_come || leaving
    }
}

impl Ec2 {
    pub(crate) fn add(&mut self, address: Option<IpAddr>, asn: u32, owner: Option<&str>) -> String {
        let id = format!("cgw-{}", self.gateways.len());
        let shown = Gateway {
            id: id.clone(),
            state: "available".to_owned(),
            address,
            asn: Some(Asn(asn)),
            kind: "ipsec.1".to_owned(),
            has_certificate: address.is_none(),
            owner: owner.map(str::to_owned),
            name: None,
        };
        self.gateways.push(ModelGateway { shown, visible_from: 0, ready_from: 0, deleted_at: None });
        id
    }

    pub(crate) fn connect(&mut self, gateway: &str, managed: bool) {
        let id = format!("vpn-{}", self.connections.len());
        let past = vec![(0, "available", gateway.to_owned())];
        self.connections.push(ModelConnection { id, managed, past, modifies: 0 });
    }

    /// What describes show now.
    pub(crate) fn look(&self) -> Observed {
        let at = self.now.saturating_sub(self.habits.lag);
        let gateways = self.gateways.iter().filter(|one| one.visible_from <= at);
        let shown = gateways.map(|one| {
            let deleted = one.deleted_at.is_some_and(|moment| moment <= at);
            let state = if deleted {
                "deleted"
            } else if one.ready_from <= at {
                "available"
            } else {
                "pending"
            };
            Gateway { state: state.to_owned(), ..one.shown.clone() }
        });
        let connections = self.connections.iter().map(|one| {
            let (state, gateway) = one.at(at);
            let (id, managed) = (one.id.clone(), one.managed);
            let (state, gateway) = (state.to_owned(), gateway.to_owned());
            Connection { id, state, gateway, managed, is_public: true, owner: None, tunnels: Vec::new() }
        });
        Observed { connections: connections.collect(), gateways: shown.collect() }
    }

    fn live(&self) -> impl Iterator<Item = &ModelGateway> {
        self.gateways.iter().filter(|one| one.deleted_at.is_none())
    }

    pub(crate) fn create(&mut self, key: Key, site: &Site, looked_at: u64) -> Outcome {
        let address = Some(IpAddr::V4(key.address));
        let twin = |one: &&ModelGateway| {
            one.shown.address == address && one.shown.asn == Some(key.asn) && site.owns(&one.shown)
        };
        let known_from = self.live().find(twin).map(|twin| twin.visible_from);
        if let Some(known_from) = known_from {
            // In the same second the other instance may have been faster.
            if known_from < looked_at.saturating_sub(self.habits.lag) {
                self.wrongs.push(format!("{}: created {key:?} that was there to be seen", self.now));
            }
            return Outcome::Done;
        }
        if self.live().count() >= self.habits.quota {
            return Outcome::Refused;
        }
        let id = self.add(address, key.asn.0, Some(&site.owner));
        let (delay, pending) = (self.habits.delay, self.habits.pending);
        let now = self.now;
        let made = self.gateways.iter_mut().find(|one| one.shown.id == id).unwrap();
        (made.visible_from, made.ready_from) = (now + delay, now + pending);
        Outcome::Done
    }

    pub(crate) fn modify(&mut self, connection: &str, gateway: &str) -> Outcome {
        let (now, habits) = (self.now, self.habits.clone());
        let ready = self.live().any(|one| one.shown.id == gateway && one.visible_from.max(one.ready_from) <= now);
        let found = self.connections.iter_mut().find(|one| one.id == connection).unwrap();
        if !found.managed {
            self.wrongs.push(format!("{now}: {connection} is not ours"));
        }
        let (state, before) = found.at(now);
        let before = before.to_owned();
        if state != "available" || !ready {
            if habits.strict {
                self.wrongs.push(format!("{now}: {connection} is {state}, {gateway} ready: {ready}"));
            }
            return Outcome::Refused;
        }
        let rolls_back = habits.rollbacks > 0;
        self.habits.rollbacks = habits.rollbacks.saturating_sub(1);
        let meanwhile = if habits.flips_late { before.clone() } else { gateway.to_owned() };
        let finally = if rolls_back { before } else { gateway.to_owned() };
        found.past.push((now, "modifying", meanwhile));
        found.past.push((now + habits.modify_time, "available", finally));
        found.modifies += 1;
        Outcome::Done
    }

    pub(crate) fn delete(&mut self, gateway: &str, site: &Site) -> Outcome {
        let now = self.now;
        let in_use = self.connections.iter().any(|one| one.hangs_on(gateway, now));
        let found = self.gateways.iter_mut().find(|one| one.shown.id == gateway).unwrap();
        if !site.owns(&found.shown) {
            self.wrongs.push(format!("{now}: {gateway} is not ours to delete"));
        }
        if found.deleted_at.is_some() || in_use {
            if self.habits.strict {
                self.wrongs.push(format!("{now}: {gateway} was deleted in use ({in_use}) or twice"));
            }
            return Outcome::Refused;
        }
        found.deleted_at = Some(now);
        Outcome::Done
    }

    /// What is wrong at the end, when the address was `address` for long.
    pub(crate) fn unfinished(&self, address: Ipv4Addr, site: &Site) -> Vec<String> {
        let mut wrongs = Vec::new();
        for connection in self.connections.iter().filter(|one| one.managed) {
            let (state, id) = connection.at(self.now);
            let gateway = self.live().find(|one| one.shown.id == id);
            let there =
                gateway.is_some_and(|one| one.shown.has_certificate || one.shown.address == Some(IpAddr::V4(address)));
            if state != "available" || !there {
                wrongs.push(format!("{} is {state} at {id}, not at {address}", connection.id));
            }
        }
        for one in self.live().filter(|one| site.owns(&one.shown)) {
            if !self.connections.iter().any(|connection| connection.at(self.now).1 == one.shown.id) {
                wrongs.push(format!("{} is leaked", one.shown.id));
            }
        }
        wrongs
    }
}
