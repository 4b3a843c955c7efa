//! What is counted. The site's own address and the ids of its connections are labels here; nothing else of the network is.

use std::time::Duration;

use bowline_base::{Fault, Kind};
use bowline_host::metrics::{Counter, Family, Gauge, Histogram, Metrics};

use crate::{device, outlook::Stand, patrol::Round, plan::Action};

type Labels<const N: usize> = [(&'static str, String); N];

/// Every counter of this crate. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    looks: Family<Labels<1>, Counter<u64>>,
    actions: Family<Labels<2>, Counter<u64>>,
    silent: Family<Labels<1>, Counter<u64>>,
    disagreements: Counter<u64>,
    address: Family<Labels<1>, Gauge>,
    address_since: Gauge,
    states: Family<Labels<2>, Gauge>,
    tunnels: Family<Labels<1>, Gauge>,
    owned: Gauge,
    orphans: Gauge,
    device: Family<Labels<1>, Counter<u64>>,
    changes: Counter<u64>,
    changed_at: Gauge,
    modify: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            looks: Family::default(),
            actions: Family::default(),
            silent: Family::default(),
            disagreements: Counter::default(),
            address: Family::default(),
            address_since: Gauge::default(),
            states: Family::default(),
            tunnels: Family::default(),
            owned: Gauge::default(),
            orphans: Gauge::default(),
            device: Family::default(),
            changes: Counter::default(),
            changed_at: Gauge::default(),
            modify: Histogram::new([15.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 900.0, 1800.0]),
        }
    }
}

impl Counts {
    /// Makes them visible.
    pub(crate) fn register(&self, metrics: &Metrics) {
        let both =
            |name: &str, help: &str, family: &Family<Labels<2>, Gauge>| metrics.register(name, help, family.clone());
        metrics.register("gateway_looks", "Rounds by result", self.looks.clone());
        metrics.register("gateway_actions", "Calls that change something, by action and result", self.actions.clone());
        metrics.register("gateway_provider_failures", "Questions without an address, by provider", self.silent.clone());
        let help = "Readings in which not enough providers agreed";
        metrics.register("gateway_provider_disagreements", help, self.disagreements.clone());
        metrics.register("gateway_address_info", "The address that is believed", self.address.clone());
        let help = "Unix time since which it is believed";
        metrics.register("gateway_address_since_timestamp_seconds", help, self.address_since.clone());
        both("gateway_connection_state", "1 for the state that a connection is in", &self.states);
        metrics.register("gateway_tunnels_up", "Tunnels that are up, by connection", self.tunnels.clone());
        metrics.register("gateway_owned_gateways", "Customer gateways of this site", self.owned.clone());
        metrics.register("gateway_orphan_gateways", "Those that no connection uses", self.orphans.clone());
        let help = "Looks at the device's configuration, by what came of them";
        metrics.register("gateway_device_configs", help, self.device.clone());
        metrics.register(
            "gateway_changes",
            "Changes of the address that were brought to their end",
            self.changes.clone(),
        );
        let help = "Unix time at which the last change ended";
        metrics.register("gateway_last_change_timestamp_seconds", help, self.changed_at.clone());
        let help = "Seconds from the change of a connection to its being available";
        metrics.register("gateway_modify_seconds", help, self.modify.clone());
    }

    /// One more round.
    pub(crate) fn round(&self, round: &Round) {
        let result = match &round.look {
            Ok(_) => "ok",
            Err(error) if error.kind() == Kind::Refused => "refused",
            Err(_) => "failed",
        };
        self.looks.get_or_create(&[("result", result.to_owned())]).inc();
        for did in &round.done {
            let action = match did.action {
                Action::Create { .. } => "create",
                Action::Modify { .. } => "modify",
                Action::Delete { .. } => "delete",
            };
            let result = if did.answer.is_ok() { "ok" } else { "failed" };
            self.actions.get_or_create(&[("action", action.to_owned()), ("result", result.to_owned())]).inc();
        }
        if let Some(asked) = &round.asked {
            let silent = asked.readings.iter().filter(|reading| reading.answer.is_err());
            silent.for_each(|reading| {
                self.silent.get_or_create(&[("provider", reading.provider.clone())]).inc();
            });
            if asked.disagree() {
                self.disagreements.inc();
            }
        }
        if let Some(outlook) = &round.outlook {
            self.owned.set(count(outlook.owned.len()));
            self.orphans.set(count(outlook.orphans.len()));
            self.connections(&outlook.stands);
        }
    }

    /// The address that is believed, since that Unix time.
    pub(crate) fn address(&self, address: &str, since: i64) {
        self.address.clear();
        self.address.get_or_create(&[("address", address.to_owned())]).set(1);
        self.address_since.set(since);
    }

    /// A change ended at that Unix time; each of its connections took so long.
    pub(crate) fn change(&self, at: i64, took: impl Iterator<Item = Duration>) {
        self.changes.inc();
        self.changed_at.set(at);
        took.for_each(|took| self.modify.observe(took.as_secs_f64()));
    }

    /// What became of the device's configuration.
    pub(crate) fn device(&self, outcome: &Result<device::Outcome, Fault>) {
        let result = match outcome {
            Ok(device::Outcome::Same) => "same",
            Ok(device::Outcome::Written) => "written",
            Ok(device::Outcome::Woken) => "woken",
            Err(_) => "failed",
        };
        self.device.get_or_create(&[("result", result.to_owned())]).inc();
    }

    fn connections(&self, stands: &[Stand]) {
        self.states.clear();
        self.tunnels.clear();
        for stand in stands {
            let (id, state) = (stand.connection.id.clone(), stand.connection.state.clone());
            self.tunnels.get_or_create(&[("connection", id.clone())]).set(count(stand.connection.tunnels_up()));
            self.states.get_or_create(&[("connection", id), ("state", state)]).set(1);
        }
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
