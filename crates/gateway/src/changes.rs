//! Follows a change from the first call to its end, for people: what is told when. Decides nothing about EC2.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use bowline_aws::ec2::Why;
use bowline_base::{Kind, Now};

use crate::{
    account::Did,
    observed::Gateway,
    outlook::{Outlook, Stand},
    plan::{Action, Verdict},
};

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The site has another address, and something is being done about it.
    Detected,
    /// EC2 has begun to point a connection elsewhere: both of its tunnels are down for minutes.
    Modifying,
    /// Every connection is where it belongs, seen twice.
    Done,
    /// EC2 said no.
    Failed,
}

impl Phase {
    /// As hooks and messages name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Modifying => "modifying",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A change of the address, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the connections pointed, if it was one place.
    pub from: Option<Ipv4Addr>,
    /// Where they are to point.
    pub to: Ipv4Addr,
    /// The connections that it moves.
    pub connections: BTreeSet<String>,
    /// The gateways that are left, which may be others'.
    pub left: BTreeSet<String>,
    /// Those of them that are not ours: they stay.
    pub kept: BTreeSet<String>,
    /// The gateways that are gone to.
    pub gateways: BTreeSet<String>,
    /// When it was detected.
    pub begun: Now,
    /// Another run of the program began it: nobody here knows when.
    pub resumed: bool,
    /// How long it took, once it is done and where that is known.
    pub took: Option<Duration>,
    /// Times from EC2's yes to the connection's being there, by connection.
    pub modified: BTreeMap<String, Duration>,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// How far the change is.
    pub phase: Phase,
    /// Of which.
    pub change: Change,
    /// What EC2 said, where it said no.
    pub why: Option<String>,
    /// What helps then.
    pub fix: Option<&'static str>,
}

/// The change that is under way, and the last that ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    open: Option<Open>,
    last: Option<Change>,
    /// Whether a look was taken with the address known: only the first can find what another run has begun.
    looked: bool,
}

#[derive(Clone, Debug)]
struct Open {
    change: Change,
    /// When EC2 said yes, by connection.
    accepted: BTreeMap<String, Duration>,
    seen_good: u32,
    refusals: BTreeSet<String>,
}

/// A change is over when it was seen in place so often: a single look may be old.
const LOOKS_GOOD: u32 = 2;

impl Changes {
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The change that is under way.
    pub(crate) fn open(&self) -> Option<&Change> {
        self.open.as_ref().map(|open| &open.change)
    }

    /// The last change that was brought to its end.
    pub(crate) fn last(&self) -> Option<&Change> {
        self.last.as_ref()
    }

    /// Takes up a change that another run of the program has begun, so that its end is told. To be called at every look.
    ///
    /// There is no journal: EC2 must show it. A connection that is being changed and points, or will point, at the address,
    /// and a gateway of ours that it has left, or goes to, and that nothing else uses. Less than both proves nothing:
    /// others change connections too.
    pub(crate) fn resume(&mut self, address: Option<Ipv4Addr>, outlook: &Outlook, unused: &[&Gateway], now: Now) {
        let Some(address) = address else { return };
        if std::mem::replace(&mut self.looked, true) {
            return;
        }
        let is_busy = |stand: &&Stand| matches!(stand.verdict, Some(Verdict::Busy(_)));
        let coming = unused.iter().find(|gateway| gateway.v4() == Some(address));
        let left = unused.iter().find(|gateway| gateway.v4().is_some_and(|other| other != address));
        let stands = |flipped: bool| {
            let there = |stand: &&Stand| (stand.address == Some(address)) == flipped;
            outlook.stands.iter().filter(is_busy).filter(there).collect::<Vec<&Stand>>()
        };
        let change = match (stands(true), left, stands(false), coming) {
            (moving, Some(left), ..) if !moving.is_empty() => {
                Change { from: left.v4(), left: [left.id.clone()].into(), ..Change::to(address, &moving, now) }
            }
            (_, _, moving, Some(coming)) if !moving.is_empty() => {
                let left = moving.iter().map(|stand| stand.connection.gateway.clone()).collect();
                let gateways = [coming.id.clone()].into();
                Change { from: moving[0].address, left, gateways, ..Change::to(address, &moving, now) }
            }
            _ => return,
        };
        self.open = Some(Open::of(Change { resumed: true, ..change }));
    }

    /// Takes note of a look and of what was done after it; gives what is worth telling.
    pub(crate) fn observe(
        &mut self,
        address: Option<Ipv4Addr>,
        outlook: &Outlook,
        done: &[Did],
        now: Now,
    ) -> Vec<News> {
        let Some(address) = address else { return Vec::new() };
        let mut news = Vec::new();
        let moves = done.iter().any(|did| !matches!(did.action, Action::Delete { .. }));
        if moves && self.open.as_ref().is_none_or(|open| open.change.to != address) {
            let open = Open::begin(address, outlook, now);
            news.push(open.news(Phase::Detected));
            self.open = Some(open);
        }
        let Some(open) = &mut self.open else { return news };
        news.extend(done.iter().filter_map(|did| open.note(did, now)));
        if open.change.to != address {
            // The site is back where it was: nothing is left to be moved.
            if outlook.is_settled() {
                self.open = None;
            }
            return news;
        }
        open.arrived(outlook, now);
        if open.seen_good >= LOOKS_GOOD {
            let took = now.boot.saturating_sub(open.change.begun.boot);
            open.change.took = (!open.change.resumed).then_some(took);
            news.push(open.news(Phase::Done));
            self.last = self.open.take().map(|open| open.change);
        }
        news
    }
}

impl Change {
    /// Of these connections, with nothing known yet of where they point.
    fn to(to: Ipv4Addr, moving: &[&Stand], begun: Now) -> Self {
        Self {
            from: None,
            to,
            connections: moving.iter().map(|stand| stand.connection.id.clone()).collect(),
            kept: BTreeSet::new(),
            left: BTreeSet::new(),
            gateways: BTreeSet::new(),
            begun,
            resumed: false,
            took: None,
            modified: BTreeMap::new(),
        }
    }
}

impl Open {
    fn of(change: Change) -> Self {
        Self { change, accepted: BTreeMap::new(), seen_good: 0, refusals: BTreeSet::new() }
    }

    fn begin(to: Ipv4Addr, outlook: &Outlook, now: Now) -> Self {
        let is_moving = |stand: &&Stand| stand.verdict.as_ref().is_some_and(|verdict| !verdict.is_settled());
        let moving: Vec<&Stand> = outlook.stands.iter().filter(is_moving).collect();
        let from: BTreeSet<Ipv4Addr> = moving.iter().filter_map(|stand| stand.address).collect();
        let left: BTreeSet<String> = moving.iter().map(|stand| stand.connection.gateway.clone()).collect();
        Self::of(Change {
            from: if from.len() == 1 { from.into_iter().next() } else { None },
            kept: left.iter().filter(|gateway| !outlook.owned.contains(gateway)).cloned().collect(),
            left,
            ..Change::to(to, &moving, now)
        })
    }

    /// Takes note of a call.
    fn note(&mut self, did: &Did, now: Now) -> Option<News> {
        match (&did.action, &did.answer) {
            (Action::Modify { connection, gateway }, Ok(())) => {
                self.seen_good = 0;
                self.change.gateways.insert(gateway.clone());
                let first = self.accepted.is_empty();
                self.accepted.insert(connection.clone(), now.boot);
                first.then(|| self.news(Phase::Modifying))
            }
            (Action::Create { .. } | Action::Modify { .. }, Err(error)) if error.kind() == Kind::Refused => {
                let why = Why::of(error);
                // Normal answers: what was seen was a moment old.
                let passing = [Why::Changing, Why::NoGateway, Why::GatewayNotReady, Why::Busy].map(Some);
                // By its code: the words name every single request.
                let refusal = format!("{}: {}", did.action, error.code().unwrap_or_default());
                let is_new = !passing.contains(&why) && self.refusals.insert(refusal);
                let text = Some(format!("{}: {error}", did.action));
                is_new.then(|| News { why: text, fix: why.map(Why::fix), ..self.news(Phase::Failed) })
            }
            _ => None,
        }
    }

    /// Which connections are there by now.
    fn arrived(&mut self, outlook: &Outlook, now: Now) {
        let good = |stand: &&Stand| stand.verdict == Some(Verdict::Good);
        for stand in outlook.stands.iter().filter(good) {
            if let Some(at) = self.accepted.remove(&stand.connection.id) {
                self.change.modified.insert(stand.connection.id.clone(), now.boot.saturating_sub(at));
            }
        }
        let all = outlook.stands.iter().all(|stand| stand.verdict.as_ref().is_some_and(Verdict::is_settled));
        self.seen_good = if all { self.seen_good + 1 } else { 0 };
    }

    fn news(&self, phase: Phase) -> News {
        News { phase, change: self.change.clone(), why: None, fix: None }
    }
}

#[cfg(test)]
mod tests;
