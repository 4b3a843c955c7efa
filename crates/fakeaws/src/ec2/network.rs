//! Gateways and connections through time: what is true, and what readers see of it some time later.

use std::net::IpAddr;

use bowline_base::{Secret, Timestamp};

use crate::slow::Slow;

/// Key and value.
pub(crate) type Tags = Vec<(String, String)>;

/// A customer gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) asn: u32,
    pub(crate) device: Option<String>,
    pub(crate) certificate_arn: Option<String>,
    pub(crate) tags: Tags,
    /// Nobody knows of it before.
    pub(crate) visible_from: Timestamp,
    pub(crate) state: Slow<&'static str>,
    pub(crate) deleted_at: Option<Timestamp>,
}

impl Gateway {
    /// What makes a second request the same as the first.
    pub(crate) fn identity(&self) -> (&str, Option<IpAddr>, u32, Option<&str>, Option<&str>) {
        (&self.kind, self.address, self.asn, self.device.as_deref(), self.certificate_arn.as_deref())
    }
}

/// What a connection is at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: String,
    pub(crate) gateway: String,
}

/// A VPN connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) standing: Slow<Standing>,
    /// Gateways of the change that is under way, or was last, and its end.
    pub(crate) change: Option<(Timestamp, [String; 2])>,
    /// `vgw-…` or `tgw-…`.
    pub(crate) target: String,
    pub(crate) static_routes: bool,
    pub(crate) tags: Tags,
    pub(crate) keys: [Secret; 2],
}

impl Connection {
    /// What is true at that moment.
    pub(crate) fn at(&self, moment: Timestamp) -> &Standing {
        self.standing.at(moment).unwrap_or_else(|| self.standing.truth())
    }

    /// Whether the connection hangs on this gateway: points at it, or goes to it or away from it just now.
    pub(crate) fn hangs_on(&self, gateway: &str, now: Timestamp) -> bool {
        let standing = self.at(now);
        let changing = self.change.as_ref().filter(|(end, _)| now < *end);
        let in_change = changing.is_some_and(|(_, gateways)| gateways.iter().any(|id| id == gateway));
        standing.state != "deleted" && (standing.gateway == gateway || in_change)
    }
}

/// All of it.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) connections: Vec<Connection>,
}

/// How long what is deleted is listed.
const REMEMBERED: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

impl Network {
    /// The gateways that are there, whether or not anybody sees them.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways.iter().filter(|gateway| gateway.deleted_at.is_none())
    }

    /// A gateway that is there and known to every call by now.
    pub(crate) fn known(&self, id: &str, now: Timestamp) -> Option<&Gateway> {
        self.live().find(|gateway| gateway.id == id && gateway.visible_from <= now)
    }

    /// Forgets what was deleted long ago.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let old = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) > REMEMBERED);
        self.gateways.retain(|gateway| !old(gateway.deleted_at));
    }

    pub(crate) fn connection(&self, id: &str, now: Timestamp) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id && connection.at(now).state != "deleted")
    }
}
