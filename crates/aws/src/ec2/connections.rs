//! VPN connections: where they point, how their tunnels are, and the one change that is made to them.

use std::net::IpAddr;

use bowline_base::{Identity, Secret, Timestamp, parse_timestamp};

use super::{Ask, nonsense, pages, result, tag_set, text};
use crate::{Aws, Error, Region, xml::Element};

/// The AWS side that a connection ends at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `vgw-…`: one VPC.
    VirtualPrivateGateway(String),
    /// `tgw-…`.
    TransitGateway(String),
    /// Cloud WAN, or not attached yet.
    Other,
}

/// How a tunnel is, as AWS sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// AWS's end of the tunnel.
    pub outside_address: Option<IpAddr>,
    /// `UP` or `DOWN`.
    pub status: String,
    /// `IPSEC IS DOWN`; empty when there is nothing to say.
    pub message: String,
    /// When it became so.
    pub changed_at: Option<Timestamp>,
    /// Routes that BGP brought.
    pub accepted_routes: u32,
}

impl Telemetry {
    /// Whether the tunnel is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.status == "UP"
    }
}

/// What AWS takes in one of the two phases of a tunnel. An empty list: whatever it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// `AES256-GCM-16`, …
    pub encryption: Vec<String>,
    /// `SHA2-256`, …
    pub integrity: Vec<String>,
    /// Numbers of Diffie-Hellman groups.
    pub groups: Vec<u32>,
}

/// What was set for a tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// AWS's end of the tunnel; stays when the customer gateway changes.
    pub outside_address: Option<IpAddr>,
    /// `add`: the device begins, `start`: AWS does. Absent where nobody chose: `add`.
    pub startup_action: Option<String>,
    /// `ikev1`, `ikev2`; empty: both.
    pub ike_versions: Vec<String>,
    /// IKE itself.
    pub phase1: Phase,
    /// What it protects.
    pub phase2: Phase,
}

/// A VPN connection.
#[derive(Clone, Debug)]
pub struct VpnConnection {
    /// `vpn-0a1b2c3d`.
    pub id: String,
    /// `pending`, `available`, `modifying` (which no SDK lists), `deleting`, `deleted`, or a word that came later.
    pub state: String,
    /// Where it points now, or will when it is modifying.
    pub customer_gateway: String,
    /// Its other end.
    pub target: Target,
    /// Routes are given by hand and not by BGP.
    pub static_routes_only: bool,
    /// `PublicIpv4`, `PrivateIpv4` or `Ipv6`; absent on old connections: the first.
    pub outside_address_type: Option<String>,
    /// Networks that the tunnels take, the site's and AWS's; absent: all.
    pub networks: [Option<String>; 2],
    /// The pre-shared keys are in this secret of Secrets Manager, and not in the configuration.
    pub key_arn: Option<String>,
    /// Key and value.
    pub tags: Vec<(String, String)>,
    /// One of each tunnel that AWS has looked at.
    pub telemetry: Vec<Telemetry>,
    /// One of each tunnel.
    pub tunnels: Vec<Tunnel>,
    /// XML for the device, with the pre-shared keys; absent while it is being changed.
    pub configuration: Option<Secret>,
}

/// Every VPN connection of the region, or the ones of these ids, also those that are gone since an hour at most.
///
/// # Errors
/// [`Error`]; [`super::Why::NoConnection`] when one of the ids is unknown.
pub async fn vpn_connections(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    ids: &[String],
) -> Result<Vec<VpnConnection>, Error> {
    let ask = Ask::new("DescribeVpnConnections").with_each("VpnConnectionId", ids);
    pages(aws, region, identity, &ask, ("vpnConnectionSet", read)).await
}

/// Points a connection at another customer gateway; both tunnels are down for minutes then. What comes back is the
/// connection as EC2 saw it a moment after. Repeated by itself only where nothing was changed.
///
/// # Errors
/// [`Error`]; [`super::Why::Changing`], [`super::Why::NoGateway`] (also when it is too new to be seen); ambiguous when the
/// answer was lost: then [`vpn_connections`] tells, some seconds later.
pub async fn modify_vpn_connection(
    aws: &Aws,
    region: &Region,
    identity: &dyn Identity,
    (connection, gateway): (&str, &str),
) -> Result<VpnConnection, Error> {
    let ask = modify(connection, gateway);
    let answer = result(aws, region, identity, &ask).await?;
    let changed = answer.children("vpnConnection").next().and_then(read);
    changed.ok_or_else(|| nonsense(ask.operation).ambiguous())
}

pub(super) fn modify(connection: &str, gateway: &str) -> Ask {
    let ask = Ask::new("ModifyVpnConnection").with("VpnConnectionId", connection);
    ask.with("CustomerGatewayId", gateway).changes()
}

fn read(element: &Element) -> Option<VpnConnection> {
    let option = |name: &str| text(element, &["options", name]);
    let target = match (text(element, &["vpnGatewayId"]), text(element, &["transitGatewayId"])) {
        (Some(id), _) => Target::VirtualPrivateGateway(id),
        (None, Some(id)) => Target::TransitGateway(id),
        (None, None) => Target::Other,
    };
    let telemetry = element.children("vgwTelemetry").flat_map(|set| set.children("item")).map(read_telemetry);
    let options = element.children("options").flat_map(|options| options.children("tunnelOptionSet"));
    Some(VpnConnection {
        id: text(element, &["vpnConnectionId"])?,
        state: text(element, &["state"])?,
        customer_gateway: text(element, &["customerGatewayId"]).unwrap_or_default(),
        target,
        static_routes_only: option("staticRoutesOnly").as_deref() == Some("true"),
        outside_address_type: option("outsideIpAddressType"),
        networks: ["localIpv4NetworkCidr", "remoteIpv4NetworkCidr"].map(option),
        key_arn: text(element, &["preSharedKeyArn"]),
        tags: tag_set(element),
        telemetry: telemetry.collect(),
        tunnels: options.flat_map(|set| set.children("item")).map(read_tunnel).collect(),
        configuration: text(element, &["customerGatewayConfiguration"]).map(Secret::new),
    })
}

fn read_telemetry(item: &Element) -> Telemetry {
    let part = |name: &str| item.text_at(&[name]).unwrap_or_default();
    Telemetry {
        outside_address: part("outsideIpAddress").parse().ok(),
        status: part("status").to_owned(),
        message: part("statusMessage").to_owned(),
        changed_at: parse_timestamp(part("lastStatusChange")).ok(),
        accepted_routes: part("acceptedRouteCount").parse().unwrap_or(0),
    }
}

fn read_tunnel(item: &Element) -> Tunnel {
    Tunnel {
        outside_address: text(item, &["outsideIpAddress"]).and_then(|text| text.parse().ok()),
        startup_action: text(item, &["startupAction"]),
        ike_versions: values(item, "ikeVersionSet"),
        phase1: read_phase(item, 1),
        phase2: read_phase(item, 2),
    }
}

fn read_phase(item: &Element, number: u8) -> Phase {
    let list = |what: &str| values(item, &format!("phase{number}{what}Set"));
    Phase {
        encryption: list("EncryptionAlgorithm"),
        integrity: list("IntegrityAlgorithm"),
        groups: list("DHGroupNumber").iter().filter_map(|number| number.parse().ok()).collect(),
    }
}

/// A list of one value each.
fn values(item: &Element, name: &str) -> Vec<String> {
    let items = item.children(name).flat_map(|set| set.children("item"));
    items.filter_map(|item| text(item, &["value"])).collect()
}
