//! What EC2 shows of a region, as far as a plan looks at it.

use std::net::{IpAddr, Ipv4Addr};

use bowline_aws::ec2::{self, Asn, tag};
use bowline_base::Timestamp;

/// Whose a gateway or a connection is: the key of the tag.
pub const OWNER_TAG: &str = "bowline:owner";

/// A VPN connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `vpn-…`.
    pub id: String,
    /// As EC2 writes it; a word that nobody knows means busy.
    pub state: String,
    /// Where it points.
    pub gateway: String,
    /// It is ours to point elsewhere.
    pub managed: bool,
    /// It runs over the public internet, with IPv4.
    pub is_public: bool,
    /// Whose it is: the value of [`OWNER_TAG`].
    pub owner: Option<String>,
    /// Both, where AWS has looked at them.
    pub tunnels: Vec<Tunnel>,
}

/// One of a connection's two tunnels, as AWS sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// AWS's end.
    pub outside: Option<IpAddr>,
    /// Whether traffic can pass.
    pub up: bool,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// `IPSEC IS DOWN`; empty when there is nothing to say.
    pub message: String,
    /// Routes that BGP brought.
    pub routes: u32,
}

/// A customer gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `cgw-…`.
    pub id: String,
    /// As EC2 writes it.
    pub state: String,
    /// Absent where a certificate names the device.
    pub address: Option<IpAddr>,
    /// The site's number.
    pub asn: Option<Asn>,
    /// `ipsec.1`.
    pub kind: String,
    /// A certificate names the device.
    pub has_certificate: bool,
    /// The value of [`OWNER_TAG`].
    pub owner: Option<String>,
    /// The value of the tag `Name`.
    pub name: Option<String>,
}

/// All of the region: also what belongs to others, for that is what must not be touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Every connection that is listed.
    pub connections: Vec<Connection>,
    /// Every gateway that is listed.
    pub gateways: Vec<Gateway>,
}

impl Connection {
    /// What matters of a connection. `managed` decides which ones are ours.
    #[must_use]
    pub fn of(connection: &ec2::VpnConnection, managed: bool) -> Self {
        let kind = connection.outside_address_type.as_deref();
        Self {
            id: connection.id.clone(),
            state: connection.state.clone(),
            gateway: connection.customer_gateway.clone(),
            managed,
            is_public: matches!(kind, None | Some("PublicIpv4")),
            owner: tag(&connection.tags, OWNER_TAG).map(str::to_owned),
            tunnels: connection.telemetry.iter().map(Tunnel::of).collect(),
        }
    }

    /// How many tunnels are up.
    #[must_use]
    pub fn tunnels_up(&self) -> usize {
        self.tunnels.iter().filter(|tunnel| tunnel.up).count()
    }

    /// It is gone, or goes: nobody's business any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state.as_str(), "deleted" | "deleting")
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == "available"
    }
}

impl Tunnel {
    fn of(telemetry: &ec2::Telemetry) -> Self {
        Self {
            outside: telemetry.outside_address,
            up: telemetry.is_up(),
            since: telemetry.changed_at,
            message: telemetry.message.clone(),
            routes: telemetry.accepted_routes,
        }
    }
}

impl Gateway {
    /// What matters of a gateway.
    #[must_use]
    pub fn of(gateway: &ec2::CustomerGateway) -> Self {
        let value = |key| tag(&gateway.tags, key).map(str::to_owned);
        Self {
            id: gateway.id.clone(),
            state: gateway.state.clone(),
            address: gateway.address,
            asn: gateway.asn,
            kind: gateway.kind.clone(),
            has_certificate: gateway.certificate_arn.is_some(),
            owner: value(OWNER_TAG),
            name: value("Name").filter(|name| !name.is_empty()),
        }
    }

    /// Whether it is there or comes. A word that nobody knows is neither: it is not used, and not deleted.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state.as_str(), "available" | "pending")
    }

    pub(crate) fn v4(&self) -> Option<Ipv4Addr> {
        if let Some(IpAddr::V4(address)) = self.address { Some(address) } else { None }
    }
}

impl Observed {
    pub(crate) fn gateway(&self, id: &str) -> Option<&Gateway> {
        self.gateways.iter().find(|gateway| gateway.id == id)
    }

    /// The connections that are ours and still there.
    pub(crate) fn managed(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().filter(|connection| connection.managed && !connection.is_gone())
    }

    /// Whether any connection of the account points at it, ours or not. One that is being deleted counts.
    pub(crate) fn is_used(&self, gateway: &str) -> bool {
        self.connections.iter().any(|connection| connection.gateway == gateway && connection.state != "deleted")
    }
}
