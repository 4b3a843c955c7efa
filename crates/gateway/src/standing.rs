//! How things stand after the last round: for `status`, `/readyz` and whoever is to be told. Judged from what was seen.

use std::time::Duration;

use bowline_base::{Fault, Kind, Now, utc};
use bowline_host::{Check, Verdict};
use serde_json::{Value, json};

use crate::{
    address::Heed,
    changes::Change,
    device::Outcome,
    outlook::{Outlook, Stand},
    patrol::{Patrol, Round},
    selection::Selection,
};

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// When the last round began.
    at: Option<Now>,
    /// What is believed, and since when.
    address: Option<(String, Now)>,
    /// What each provider said last.
    said: Vec<String>,
    disagree: bool,
    /// Why there is no address to act on, and since when.
    silence: Option<(String, Now)>,
    /// Another address is being confirmed.
    rival: Option<String>,
    /// Why EC2 could not be looked at, and since when.
    blind: Option<Blind>,
    selection: Selection,
    outlook: Outlook,
    held: Vec<String>,
    /// Calls of the last round that failed.
    refused: Vec<(String, Option<String>)>,
    change: Option<Change>,
    last: Option<(Change, Now)>,
    /// How the device's configuration stands, where one is kept, and since when.
    device: Option<(Result<(), Broken>, Now)>,
}

/// Why the device does not have what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Broken {
    why: String,
    fix: Option<String>,
    kind: Kind,
}

#[derive(Clone, Debug)]
struct Blind {
    why: String,
    fix: Option<String>,
    kind: Kind,
    since: Now,
}

/// A tunnel may be down for so long after a change, or for reasons of its own, before somebody is told.
const DOWN_FOR: Duration = Duration::from_secs(300);
/// A silence or a failure that lasts so long is told.
const TOLD_AFTER: Duration = Duration::from_secs(120);

/// What is wrong, by the part of the job: the text and what helps.
pub(crate) type Matter = (&'static str, Option<(String, Option<String>)>);

impl Standing {
    /// Takes note of a round.
    pub(crate) fn take(&mut self, round: &Round, patrol: &Patrol) {
        self.at = Some(round.at);
        self.asked(round, patrol);
        match &round.look {
            Ok(look) => {
                self.blind = None;
                self.selection = look.selection.clone();
                self.outlook = round.outlook.clone().unwrap_or_default();
            }
            Err(error) => {
                let (since, kind) = (self.blind.as_ref().map_or(round.at, |blind| blind.since), error.kind());
                self.blind = Some(Blind { why: whole(error), fix: error.hint(), kind, since });
            }
        }
        self.held = round.held.iter().map(ToString::to_string).collect();
        self.refused.clear();
        for did in &round.done {
            if let Err(error) = &did.answer {
                self.refused.push((format!("cannot {}: {error}", did.action), error.hint()));
            }
        }
        self.change = patrol.change().cloned();
        if patrol.last_change() != self.last.as_ref().map(|(change, _)| change) {
            self.last = patrol.last_change().map(|change| (change.clone(), round.at));
        }
    }

    fn asked(&mut self, round: &Round, patrol: &Patrol) {
        let Some(asked) = &round.asked else { return };
        self.said = asked.readings.iter().map(ToString::to_string).collect();
        self.disagree = asked.disagree();
        self.rival = match asked.heed {
            Heed::Confirming(address) | Heed::Held(address, _) => Some(address.to_string()),
            _ => None,
        };
        self.silence = match &asked.agreed {
            Ok(_) => None,
            Err(why) => Some((why.to_string(), self.silence.as_ref().map_or(round.at, |(_, since)| *since))),
        };
        let believed = patrol.watch().believed().map(|address| address.to_string());
        if believed != self.address.as_ref().map(|(address, _)| address.clone()) {
            self.address = believed.map(|address| (address, round.at));
        }
    }

    /// Takes note of what became of the device's configuration.
    pub(crate) fn device(&mut self, outcome: &Result<Outcome, Fault>, now: Now) {
        let state = match outcome {
            Ok(_) => Ok(()),
            Err(fault) => Err(Broken { why: fault.chain(), fix: fault.hint.clone(), kind: fault.kind }),
        };
        let goes_on = |(before, _): &&(Result<(), Broken>, Now)| before.is_ok() == state.is_ok();
        let since = self.device.as_ref().filter(goes_on).map_or(now, |(_, since)| *since);
        self.device = Some((state, since));
    }

    /// The address that is believed, since when.
    pub(crate) fn address(&self) -> Option<&(String, Now)> {
        self.address.as_ref()
    }

    pub(crate) fn owner(&self) -> Option<&str> {
        self.selection.owner.as_deref()
    }

    /// What `status --output json` shows.
    pub(crate) fn status(&self) -> Value {
        let time = |now: &Now| utc(now.wall);
        let change = |change: &Change, ended: Option<&Now>| {
            json!({
                "from": change.from, "to": change.to, "connections": change.connections, "begun": time(&change.begun),
                "ended": ended.map(time), "took_seconds": change.took.map(|took| took.as_secs()),
            })
        };
        json!({
            "state": if self.at.is_none() { "starting" } else if self.change.is_some() { "changing" } else { "watching" },
            "owner": self.selection.owner,
            "address": self.address.as_ref().map(|(address, _)| address),
            "address_since": self.address.as_ref().map(|(_, since)| time(since)),
            "confirming": self.rival,
            "providers": self.said,
            "providers_disagree": self.disagree,
            "connections": self.outlook.stands.iter().map(connection).collect::<Vec<_>>(),
            "owned_gateways": self.outlook.owned,
            "orphan_gateways": self.outlook.orphans,
            "plan": self.outlook.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "waiting_for_window": self.held,
            "change": self.change.as_ref().map(|one| change(one, None)),
            "last_change": self.last.as_ref().map(|(one, ended)| change(one, Some(ended))),
            "device_config": self.device.as_ref().map(|(state, since)| json!({
                "state": if state.is_ok() { "current" } else { "failed" },
                "since": time(since),
                "why": state.as_ref().err().map(|broken| &broken.why),
            })),
            "looked_at": self.at.as_ref().map(time),
        })
    }

    /// Lines for `/readyz` and for people.
    pub(crate) fn checks(&self, now: Now) -> Vec<Check> {
        let mut checks = vec![self.check_address(), self.check_aws(), self.check_connections()];
        checks.extend(self.check_tunnels(now));
        checks.extend(self.check_device());
        checks
    }

    /// What people are to be told, or that it is over.
    pub(crate) fn matters(&self, now: Now) -> Vec<Matter> {
        let lasts = |since: &Now| now.boot.saturating_sub(since.boot) >= TOLD_AFTER;
        let silence = self.silence.as_ref().filter(|(_, since)| lasts(since)).map(|(_, since)| {
            let text = format!("the site's address is not known since {}; the VPN is left as it is", utc(since.wall));
            (text, Some("look at `bowline doctor gateway`".to_owned()))
        });
        // A refusal does not pass by itself; what cannot be reached may be back in a moment.
        let blind = self.blind.as_ref().filter(|blind| blind.kind == Kind::Refused || lasts(&blind.since));
        let blind = blind.map(|blind| {
            let text = format!("EC2 cannot be looked at since {}", utc(blind.since.wall));
            (text, blind.fix.clone().or_else(|| Some("look at `bowline status`".to_owned())))
        });
        let missing = self.selection.missing.as_ref().map(|missing| (missing.to_string(), Some(missing.fix())));
        let down = self.down(now);
        let down = (!down.is_empty()).then(|| {
            let fix = "look at the device: after a change it has to begin the IKE session itself".to_owned();
            (format!("no tunnel of {} is up", down.join(", ")), Some(fix))
        });
        let device = self.device.as_ref().and_then(|(state, since)| Some((state.as_ref().err()?, since)));
        // What cannot be reached may be back in a moment; a file or a hook does not mend itself.
        let device = device.filter(|(broken, since)| broken.kind != Kind::Unreachable || lasts(since));
        let device = device.map(|(broken, _)| {
            (format!("the site's device does not have its configuration: {}", broken.why), broken.fix.clone())
        });
        vec![("address", silence), ("aws", blind), ("connections", missing), ("tunnels", down), ("device", device)]
    }

    fn check_address(&self) -> Check {
        let told = |(address, since): &(String, Now)| format!("{address}, since {}", utc(since.wall));
        let known = self.address.as_ref().map(told);
        match (&self.silence, known) {
            (Some((why, _)), Some(known)) => {
                check("gateway.address", Verdict::Degraded, format!("{why}; believed is {known}"), None)
            }
            (Some((why, _)), None) => check("gateway.address", Verdict::Failed, why.clone(), None),
            (None, Some(known)) => check("gateway.address", Verdict::Ok, known, None),
            (None, None) => check("gateway.address", Verdict::Ok, "not known yet".to_owned(), None),
        }
    }

    fn check_aws(&self) -> Check {
        if let Some(blind) = &self.blind {
            let verdict = if blind.kind == Kind::Unreachable { Verdict::Degraded } else { Verdict::Failed };
            let why = format!("{}, since {}", blind.why, utc(blind.since.wall));
            return check("gateway.aws", verdict, why, blind.fix.clone());
        }
        match self.refused.first() {
            Some((why, fix)) => check("gateway.aws", Verdict::Degraded, why.clone(), fix.clone()),
            None => check("gateway.aws", Verdict::Ok, "EC2 answers".to_owned(), None),
        }
    }

    fn check_connections(&self) -> Check {
        let id = "gateway.connections";
        let stands = &self.outlook.stands;
        if let Some(missing) = &self.selection.missing {
            let verdict = if stands.is_empty() { Verdict::Failed } else { Verdict::Degraded };
            return check(id, verdict, missing.to_string(), Some(missing.fix()));
        }
        let unsettled = |stand: &&Stand| stand.verdict.as_ref().is_some_and(|verdict| !verdict.is_settled());
        match stands.iter().find(unsettled) {
            Some(stand) => {
                let verdict = stand.verdict.as_ref().map(ToString::to_string).unwrap_or_default();
                let waits = if self.held.is_empty() { "" } else { " (waiting for the window)" };
                check(id, Verdict::Degraded, format!("{} {verdict}{waits}", stand.connection.id), None)
            }
            None => check(id, Verdict::Ok, format!("{} where they belong", stands.len()), None),
        }
    }

    fn check_tunnels(&self, now: Now) -> Option<Check> {
        let known = self.outlook.stands.iter().any(|stand| !stand.connection.tunnels.is_empty());
        let down = self.down(now);
        known.then(|| match down.is_empty() {
            true => check(
                "gateway.tunnels",
                Verdict::Ok,
                "every connection has a tunnel that is up, or had".to_owned(),
                None,
            ),
            false => {
                let fix = "look at the device: after a change it has to begin the IKE session itself".to_owned();
                check(
                    "gateway.tunnels",
                    Verdict::Degraded,
                    format!("no tunnel of {} is up", down.join(", ")),
                    Some(fix),
                )
            }
        })
    }

    fn check_device(&self) -> Option<Check> {
        let (state, since) = self.device.as_ref()?;
        Some(match state {
            Ok(()) => check("gateway.device", Verdict::Ok, "has what AWS says".to_owned(), None),
            Err(broken) => {
                let why = format!("{}, since {}", broken.why, utc(since.wall));
                check("gateway.device", Verdict::Degraded, why, broken.fix.clone())
            }
        })
    }

    /// Connections that are available and have had no tunnel for a while.
    fn down(&self, now: Now) -> Vec<String> {
        let long = |stand: &&Stand| {
            let connection = &stand.connection;
            let last = connection.tunnels.iter().filter_map(|tunnel| tunnel.since).max();
            let age = last.map(|last| now.wall.duration_since(last).unsigned_abs());
            let is_down = !connection.tunnels.is_empty() && connection.tunnels_up() == 0;
            is_down && connection.state == "available" && age.is_none_or(|age| age >= DOWN_FOR)
        };
        self.outlook.stands.iter().filter(long).map(|stand| stand.connection.id.clone()).collect()
    }
}

fn connection(stand: &Stand) -> Value {
    let connection = &stand.connection;
    let tunnels = connection.tunnels.iter().map(|tunnel| {
        json!({
            "address": tunnel.outside, "up": tunnel.up, "since": tunnel.since.map(utc), "message": tunnel.message,
            "routes": tunnel.routes,
        })
    });
    json!({
        "id": connection.id,
        "state": connection.state,
        "customer_gateway": connection.gateway,
        "address": stand.address,
        "verdict": stand.verdict.as_ref().map(ToString::to_string),
        "tunnels_up": connection.tunnels_up(),
        "tunnels": tunnels.collect::<Vec<_>>(),
    })
}

fn check(id: &str, verdict: Verdict, why: String, fix: Option<String>) -> Check {
    Check { id: id.to_owned(), verdict, why, fix }
}

/// What and why, in one line.
fn whole(error: &bowline_aws::Error) -> String {
    let (mut text, mut next) = (error.to_string(), std::error::Error::source(error));
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
