//! What to do now: the rules by which gateways are made, used and deleted. Pure; `now` is an argument.
//!
//! Nothing is done without an address. One action a connection and look; then EC2 is looked at again. A gateway is deleted
//! only when it is ours, nothing hangs on it, no connection of ours is being changed, and all that was so twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
    time::Duration,
};

use bowline_aws::ec2::Asn;

use crate::{
    memory::{Change, Memory},
    observed::{Connection, Gateway, Observed},
};

/// What a gateway is wanted for: one for each address and number, however many connections share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Of the site.
    pub address: Ipv4Addr,
    /// Of the site.
    pub asn: Asn,
}

/// One call that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a gateway, with the owner's tag and device name in the same call.
    Create {
        /// For what.
        key: Key,
        /// `ipsec.1`: as the gateway that it replaces.
        kind: String,
        /// The tag `Name`, where there is to be one.
        name: Option<String>,
    },
    /// Point a connection at a gateway.
    Modify {
        /// `vpn-…`.
        connection: String,
        /// `cgw-…`.
        gateway: String,
    },
    /// Delete a gateway.
    Delete {
        /// `cgw-…`.
        gateway: String,
    },
}

/// The words of the plan, the log and the status page.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { key, .. } => write!(f, "create a customer gateway for {key}"),
            Self::Modify { connection, gateway } => write!(f, "point {connection} at {gateway}"),
            Self::Delete { gateway } => write!(f, "delete {gateway}"),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (ASN {})", self.address, self.asn)
    }
}

/// How a connection stands, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It points at the address.
    Good,
    /// EC2 is changing it, or the state is a word that nobody knows.
    Busy(String),
    /// A certificate names the device, whatever its address is.
    Certificate,
    /// It runs over Direct Connect or IPv6: a public IPv4 address is nothing to it.
    OtherNetwork,
    /// Its gateway is not listed, or has no number that could be taken over.
    UnknownGateway,
    /// A change was asked for a moment ago, and EC2 does not show it yet.
    Lag,
    /// EC2 ended the last change where it began, or the address moves too often: not before this time.
    NotBefore(Duration),
    /// A gateway for the address was made a moment ago and is not there yet.
    Coming(Key),
    /// A gateway for the address is needed.
    Lacks(Key),
    /// It is to be pointed at this gateway.
    Movable(String),
}

impl Verdict {
    /// Nothing is to be done about it, now or soon.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Good | Self::Certificate | Self::OtherNetwork)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("points at the site's address"),
            Self::Busy(state) => write!(f, "is `{state}`: waiting"),
            Self::Certificate => f.write_str("has a gateway with a certificate, which needs no address: left alone"),
            Self::OtherNetwork => f.write_str("does not run over public IPv4: left alone"),
            Self::UnknownGateway => f.write_str("points at a gateway that EC2 does not list"),
            Self::Lag => f.write_str("was pointed elsewhere a moment ago: waiting for EC2 to show it"),
            Self::NotBefore(_) => f.write_str("was changed not long ago: waiting before the next change"),
            Self::Coming(key) => write!(f, "waits for its new gateway for {key}"),
            Self::Lacks(key) => write!(f, "needs a gateway for {key}"),
            Self::Movable(gateway) => write!(f, "is to be pointed at {gateway}"),
        }
    }
}

/// Times that the rules need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A change that is not seen yet is believed in for so long.
    pub lag: Duration,
    /// A gateway that is not seen yet is believed in for so long.
    pub create_grace: Duration,
    /// Before a change that EC2 ended where it began is asked for again, for the first time; then longer and longer.
    pub rollback: Duration,
    /// Between two changes of one connection to different gateways: each costs minutes of outage.
    pub between_changes: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lag: Duration::from_secs(60),
            create_grace: Duration::from_secs(120),
            rollback: Duration::from_secs(60),
            between_changes: Duration::from_secs(600),
        }
    }
}

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The value of the owner's tag; unique for each site.
    pub owner: String,
    /// The `Name` of new gateways; `None`: as the gateway that is replaced.
    pub name: Option<String>,
    /// How patient to be.
    pub pace: Pace,
}

impl Site {
    /// The device name that makes a gateway ours alone: EC2 gives nobody else's for it.
    #[must_use]
    pub fn device(&self) -> String {
        format!("bowline/{}", self.owner)
    }

    /// Whether the gateway is ours to delete.
    #[must_use]
    pub fn owns(&self, gateway: &Gateway) -> bool {
        gateway.owner.as_deref() == Some(&self.owner)
    }
}

/// In so many looks in a row nothing may hang on a gateway before it is deleted.
const LOOKS_UNUSED: u32 = 2;
/// The pauses after a rollback, as multiples of the first.
const AFTER_ROLLBACK: [u32; 4] = [1, 2, 5, 15];

/// What to do now, in this order. Deletions come first: there may be no room for a new gateway. An action that is refused
/// does not stop the others.
#[must_use]
pub fn plan(
    observed: &Observed,
    address: Option<Ipv4Addr>,
    memory: &Memory,
    site: &Site,
    now: Duration,
) -> Vec<Action> {
    let Some(address) = address else { return Vec::new() };
    let verdicts = verdicts(observed, address, memory, site, now);
    let mut actions = deletions(observed, address, &verdicts, memory, site, now);
    let mut lacking = BTreeSet::new();
    for (connection, verdict) in &verdicts {
        match verdict {
            Verdict::Movable(gateway) => {
                actions.push(Action::Modify { connection: (*connection).to_owned(), gateway: gateway.clone() });
            }
            Verdict::Lacks(key) if lacking.insert(*key) => actions.extend(creation(observed, connection, *key, site)),
            _ => {}
        }
    }
    actions
}

/// How each connection of ours stands, by its id.
#[must_use]
pub fn verdicts<'a>(
    observed: &'a Observed,
    address: Ipv4Addr,
    memory: &Memory,
    site: &Site,
    now: Duration,
) -> BTreeMap<&'a str, Verdict> {
    let judged = observed
        .managed()
        .map(|connection| (connection.id.as_str(), verdict(observed, connection, address, memory, site, now)));
    judged.collect()
}

fn verdict(
    observed: &Observed,
    connection: &Connection,
    address: Ipv4Addr,
    memory: &Memory,
    site: &Site,
    now: Duration,
) -> Verdict {
    if !connection.is_ready() {
        return Verdict::Busy(connection.state.clone());
    }
    if !connection.is_public {
        return Verdict::OtherNetwork;
    }
    let Some(current) = observed.gateway(&connection.gateway) else { return Verdict::UnknownGateway };
    if current.has_certificate || current.address.is_none() {
        return Verdict::Certificate;
    }
    let Some(own) = current.v4() else { return Verdict::OtherNetwork };
    let Some(asn) = current.asn else { return Verdict::UnknownGateway };
    if own == address {
        return Verdict::Good;
    }
    let key = Key { address, asn };
    match candidate(observed, key, site) {
        Some(gateway) if gateway.state == "available" => {
            let change = memory.changes.get(&connection.id);
            timely(change, &gateway.id, site.pace, now).unwrap_or_else(|| Verdict::Movable(gateway.id.clone()))
        }
        Some(_) => Verdict::Coming(key),
        None if memory.creates.get(&key).is_some_and(|at| now.saturating_sub(*at) < site.pace.create_grace) => {
            Verdict::Coming(key)
        }
        None => Verdict::Lacks(key),
    }
}

/// A gateway for `key` that is there or comes: one that is in use before others, for EC2 refuses two of one address towards
/// one side; then ours before others', and the one that is ready before the one that comes. Somebody else's may be used.
fn candidate<'a>(observed: &'a Observed, key: Key, site: &Site) -> Option<&'a Gateway> {
    let fits = |gateway: &&Gateway| {
        let same = gateway.v4() == Some(key.address) && gateway.asn == Some(key.asn);
        same && !gateway.has_certificate && gateway.is_live()
    };
    let rank = |gateway: &&Gateway| (observed.is_used(&gateway.id), site.owns(gateway), gateway.state == "available");
    observed.gateways.iter().filter(fits).max_by_key(rank)
}

/// What speaks against asking for a change to `gateway` now.
fn timely(change: Option<&Change>, gateway: &str, pace: Pace, now: Duration) -> Option<Verdict> {
    let change = change?;
    let age = now.saturating_sub(change.at);
    if age < pace.lag {
        return Some(Verdict::Lag);
    }
    let pause = if change.target == gateway {
        let tries = change.tries.saturating_sub(1).min(AFTER_ROLLBACK.len() - 1);
        pace.rollback.saturating_mul(AFTER_ROLLBACK.get(tries).copied().unwrap_or(1))
    } else {
        pace.between_changes
    };
    (age < pause).then(|| Verdict::NotBefore(change.at.saturating_add(pause)))
}

fn creation(observed: &Observed, connection: &str, key: Key, site: &Site) -> Option<Action> {
    let connection = observed.connections.iter().find(|one| one.id == connection)?;
    let current = observed.gateway(&connection.gateway)?;
    let name = site.name.clone().or_else(|| current.name.clone());
    Some(Action::Create { key, kind: current.kind.clone(), name })
}

/// Gateways of ours that nothing needs any more.
fn deletions(
    observed: &Observed,
    address: Ipv4Addr,
    verdicts: &BTreeMap<&str, Verdict>,
    memory: &Memory,
    site: &Site,
    now: Duration,
) -> Vec<Action> {
    let unsettled = |verdict: &Verdict| matches!(verdict, Verdict::Busy(_) | Verdict::Lag | Verdict::UnknownGateway);
    if verdicts.values().any(unsettled) {
        return Vec::new();
    }
    let is_wanted = |gateway: &Gateway| {
        let stays = |verdict: &Verdict| matches!(verdict, Verdict::Good | Verdict::Certificate | Verdict::OtherNetwork);
        let moving = verdicts.iter().filter(|(_, verdict)| !stays(verdict));
        let mut asns = moving.filter_map(|(id, _)| asn_of(observed, id));
        gateway.v4() == Some(address) && asns.any(|asn| gateway.asn == Some(asn))
    };
    let sent =
        |gateway: &Gateway| memory.deletes.get(&gateway.id).is_some_and(|at| now.saturating_sub(*at) < site.pace.lag);
    let seen_unused = |gateway: &&Gateway| memory.unused.get(&gateway.id).is_some_and(|looks| *looks >= LOOKS_UNUSED);
    let ours = observed.gateways.iter().filter(|gateway| gateway.is_live() && site.owns(gateway));
    let unused = ours.filter(|gateway| !observed.is_used(&gateway.id)).filter(seen_unused);
    unused
        .filter(|gateway| !is_wanted(gateway) && !sent(gateway))
        .map(|gateway| Action::Delete { gateway: gateway.id.clone() })
        .collect()
}

fn asn_of(observed: &Observed, connection: &str) -> Option<Asn> {
    let connection = observed.connections.iter().find(|one| one.id == connection)?;
    observed.gateway(&connection.gateway)?.asn
}

#[cfg(test)]
pub(crate) mod tests;
