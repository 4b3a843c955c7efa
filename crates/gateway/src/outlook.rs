//! What a look comes to, for people: how each connection stands, what is ours, and what will be done until all is well.
//!
//! The plan says what to do now; the outlook goes on to the end: what is created is pointed at, what is left is deleted.

use std::{collections::BTreeSet, fmt, net::Ipv4Addr, time::Duration};

use crate::{
    memory::Memory,
    observed::{Connection, Gateway, Observed},
    plan::{Action, Key, Site, Verdict, plan, verdicts},
};

/// A look, told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Our connections, as EC2 lists them.
    pub stands: Vec<Stand>,
    /// Gateways of ours that are there.
    pub owned: Vec<String>,
    /// Those of them that nothing hangs on.
    pub orphans: Vec<String>,
    /// What is to be done, to the end; nothing where no address is known.
    pub steps: Vec<Step>,
}

/// One of our connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// As EC2 shows it.
    pub connection: Connection,
    /// The address of its gateway.
    pub address: Option<Ipv4Addr>,
    /// `None` where the site's address is not known.
    pub verdict: Option<Verdict>,
}

/// One thing that is to be done, or is not done on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To be done now.
    Act(Action),
    /// To be done once the gateway for it is there.
    Point {
        /// `vpn-…`.
        connection: String,
        /// Of the new gateway.
        key: Key,
    },
    /// To be deleted once nothing hangs on it.
    DeleteLeft(String),
    /// A gateway that is left and stays, and why.
    Keep {
        /// `cgw-…`.
        gateway: String,
        /// Why it stays.
        why: &'static str,
    },
}

impl Outlook {
    /// What `observed` comes to, with what is remembered.
    #[must_use]
    pub fn of(observed: &Observed, address: Option<Ipv4Addr>, memory: &Memory, site: &Site, now: Duration) -> Self {
        let mut judged = address.map(|address| verdicts(observed, address, memory, site, now)).unwrap_or_default();
        let stands = observed.managed().map(|connection| Stand {
            connection: connection.clone(),
            address: observed.gateway(&connection.gateway).and_then(Gateway::v4),
            verdict: judged.remove(connection.id.as_str()),
        });
        let stands = stands.collect();
        let live = observed.gateways.iter().filter(|gateway| gateway.is_live() && site.owns(gateway));
        let owned: Vec<String> = live.map(|gateway| gateway.id.clone()).collect();
        let orphans = owned.iter().filter(|id| !observed.is_used(id)).cloned().collect();
        let steps = address.map(|address| steps(observed, address, site, now)).unwrap_or_default();
        Self { stands, owned, orphans, steps }
    }

    /// All is as it should be, and nothing is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let settled = |stand: &Stand| stand.verdict.as_ref().is_some_and(Verdict::is_settled);
        self.steps.is_empty() && self.stands.iter().all(settled)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act(action) => action.fmt(f),
            Self::Point { connection, key } => write!(f, "point {connection} at the new gateway for {key}"),
            Self::DeleteLeft(gateway) => write!(f, "delete {gateway} when nothing uses it any more"),
            Self::Keep { gateway, why } => write!(f, "keep {gateway}: {why}"),
        }
    }
}

/// From here to the end, by somebody who remembers nothing and has looked often enough.
fn steps(observed: &Observed, address: Ipv4Addr, site: &Site, now: Duration) -> Vec<Step> {
    let mut memory = Memory::default();
    memory.looked(observed, site, now);
    memory.looked(observed, site, now);
    let actions = plan(observed, Some(address), &memory, site, now);
    let mut steps: Vec<Step> = actions.into_iter().map(Step::Act).collect();
    let judged = verdicts(observed, address, &memory, site, now);
    for (connection, verdict) in &judged {
        if let Verdict::Lacks(key) | Verdict::Coming(key) = verdict {
            steps.push(Step::Point { connection: (*connection).to_owned(), key: *key });
        }
    }
    let leaves = |verdict: &Verdict| matches!(verdict, Verdict::Lacks(_) | Verdict::Coming(_) | Verdict::Movable(_));
    let leaving: BTreeSet<&str> = judged.iter().filter(|(_, verdict)| leaves(verdict)).map(|(id, _)| *id).collect();
    steps.extend(left(observed, &leaving, site));
    steps
}

/// What becomes of the gateways that `leaving` point at now.
fn left(observed: &Observed, leaving: &BTreeSet<&str>, site: &Site) -> Vec<Step> {
    let moving = observed.connections.iter().filter(|one| leaving.contains(one.id.as_str()));
    let gateways: BTreeSet<&str> = moving.map(|one| one.gateway.as_str()).collect();
    let stays = |gateway: &str| {
        let mut users = observed.connections.iter().filter(|one| one.gateway == gateway && one.state != "deleted");
        users.any(|one| !leaving.contains(one.id.as_str()))
    };
    let step = |id: &str| {
        let gateway = id.to_owned();
        let ours = observed.gateway(id).is_some_and(|gateway| site.owns(gateway));
        match (ours, stays(id)) {
            (_, true) => Step::Keep { gateway, why: "another connection uses it" },
            (true, false) => Step::DeleteLeft(gateway),
            (false, false) => Step::Keep { gateway, why: "it was not made by this site's bowline" },
        }
    };
    gateways.into_iter().map(step).collect()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::plan::{Pace, tests::gateway};

    const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    fn connection(id: &str, gateway: &str, managed: bool) -> Connection {
        let (id, gateway, state) = (id.to_owned(), gateway.to_owned(), "available".to_owned());
        Connection { id, state, gateway, managed, is_public: true, owner: None, tunnels: Vec::new() }
    }

    fn outlook(observed: &Observed, address: Ipv4Addr) -> (bool, Vec<String>) {
        let site = Site { owner: "site-1".to_owned(), name: None, pace: Pace::default() };
        let outlook = Outlook::of(observed, Some(address), &Memory::default(), &site, Duration::from_secs(1000));
        (outlook.is_settled(), outlook.steps.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn it_goes_on_to_the_end() {
        let observed = Observed {
            connections: vec![connection("vpn-1", "cgw-1", true), connection("vpn-2", "cgw-1", true)],
            gateways: vec![gateway("cgw-1", A, Some("site-1")), gateway("cgw-0", A, Some("site-1"))],
        };
        let expected = [
            "delete cgw-0",
            "create a customer gateway for 198.51.100.2 (ASN 65000)",
            "point vpn-1 at the new gateway for 198.51.100.2 (ASN 65000)",
            "point vpn-2 at the new gateway for 198.51.100.2 (ASN 65000)",
            "delete cgw-1 when nothing uses it any more",
        ];
        assert_eq!(outlook(&observed, B), (false, expected.map(str::to_owned).to_vec()));
        let (settled, steps) = outlook(&observed, A);
        assert_eq!((settled, steps), (false, vec!["delete cgw-0".to_owned()]), "the orphan goes");
    }

    #[test]
    fn what_is_not_ours_or_used_by_others_stays() {
        let mut observed = Observed {
            connections: vec![connection("vpn-1", "cgw-1", true)],
            gateways: vec![gateway("cgw-1", A, None), gateway("cgw-2", B, Some("site-1"))],
        };
        let why = "keep cgw-1: it was not made by this site's bowline";
        assert_eq!(outlook(&observed, B).1, ["point vpn-1 at cgw-2", why]);
        observed.connections.push(connection("vpn-9", "cgw-1", false));
        assert_eq!(outlook(&observed, B).1[1], "keep cgw-1: another connection uses it");
        observed.connections[0].gateway = "cgw-2".to_owned();
        assert_eq!(outlook(&observed, B), (true, Vec::new()));
        observed.connections[0].state = "modifying".to_owned();
        assert_eq!(outlook(&observed, B), (false, Vec::new()));
    }
}
