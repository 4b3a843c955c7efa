//! What is remembered from one look to the next. All of it may be lost at any moment: then things take longer, and
//! nothing goes wrong.

use std::{collections::BTreeMap, time::Duration};

use bowline_aws::Error;

use crate::{
    observed::Observed,
    plan::{Action, Key, Site},
};

/// A change that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) target: String,
    pub(crate) at: Duration,
    /// How often in a row the same was asked for.
    pub(crate) tries: usize,
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// EC2 said yes.
    Done,
    /// EC2 said no: nothing was done.
    Refused,
    /// The answer was lost: it may have been done.
    Unknown,
}

impl Outcome {
    /// What the answer of a call means for what is remembered.
    #[must_use]
    pub fn of(answer: &Result<(), Error>) -> Self {
        match answer {
            Ok(()) => Self::Done,
            Err(error) if error.is_ambiguous() => Self::Unknown,
            Err(_) => Self::Refused,
        }
    }
}

/// What the plan is told besides what is seen. Times are of the boot clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub(crate) changes: BTreeMap<String, Change>,
    pub(crate) creates: BTreeMap<Key, Duration>,
    /// Gateways that were deleted a moment ago, which EC2 may show still.
    pub(crate) deletes: BTreeMap<String, Duration>,
    /// In how many looks in a row nothing hung on a gateway of ours.
    pub(crate) unused: BTreeMap<String, u32>,
}

impl Memory {
    /// Takes note of a look. Once for each look, before the plan.
    pub fn looked(&mut self, observed: &Observed, site: &Site, now: Duration) {
        let ours = observed.gateways.iter().filter(|gateway| gateway.is_live() && site.owns(gateway));
        let idle = ours.filter(|gateway| !observed.is_used(&gateway.id));
        let count = |id: &str| self.unused.get(id).copied().unwrap_or(0).saturating_add(1);
        self.unused = idle.map(|gateway| (gateway.id.clone(), count(&gateway.id))).collect();
        self.creates.retain(|_, at| now.saturating_sub(*at) < site.pace.create_grace);
        self.deletes.retain(|_, at| now.saturating_sub(*at) < site.pace.lag);
        self.changes.retain(|id, _| observed.connections.iter().any(|connection| connection.id == *id));
    }

    /// Takes note of what a call came to. `now` is the time before it was sent.
    pub fn acted(&mut self, action: &Action, outcome: Outcome, now: Duration) {
        match (action, outcome) {
            (Action::Create { key, .. }, Outcome::Refused) => drop(self.creates.remove(key)),
            (Action::Create { key, .. }, _) => drop(self.creates.insert(*key, now)),
            (Action::Modify { .. } | Action::Delete { .. }, Outcome::Refused) => {}
            (Action::Delete { gateway }, _) => drop(self.deletes.insert(gateway.clone(), now)),
            (Action::Modify { connection, gateway }, _) => {
                let before = self.changes.get(connection).filter(|change| change.target == *gateway);
                let tries = before.map_or(1, |change| change.tries.saturating_add(1));
                let change = Change { target: gateway.clone(), at: now, tries };
                self.changes.insert(connection.clone(), change);
            }
        }
    }
}
