//! VPN connections: shown as they were a moment ago, and pointed elsewhere one change at a time.

use bowline_base::{Timestamp, utc};

use super::{
    Ask, Flip,
    configuration::{OUTSIDE, configuration},
    filters::{Filters, page},
    network::{Connection, Gateway, Standing},
    no_connection, no_gateway, tagged, tags,
};
use crate::{cloud::State, keys::later, policy::Context, query::No, xml::element};

pub(super) fn describe(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    ask.may(state, "ec2:DescribeVpnConnections", "*", Context::default())?;
    ask.in_earnest()?;
    let seen_at = ask.now.checked_sub(state.settings.vpn.describe_lag).unwrap_or(ask.now);
    let wanted = ask.each("VpnConnectionId");
    for id in &wanted {
        state.network.connections.iter().find(|one| one.id == *id).ok_or_else(|| no_connection(id))?;
    }
    let filters = Filters::of(ask, &["state", "customer-gateway-id", "vpn-connection-id"])?;
    let named = state.network.connections.iter().filter(|one| wanted.is_empty() || wanted.contains(&one.id.as_str()));
    let passed = named.filter(|connection| {
        let Standing { state, gateway } = connection.at(seen_at).clone();
        let traits = [("state", state), ("customer-gateway-id", gateway), ("vpn-connection-id", connection.id.clone())];
        filters.pass(&traits, &connection.tags)
    });
    let items: Vec<String> = passed.map(|connection| shown(state, connection, seen_at)).collect();
    page(state, ask, "vpnConnectionSet", &items)
}

pub(super) fn modify(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    let id = ask.required("VpnConnectionId")?.to_owned();
    let given =
        ["CustomerGatewayId", "VpnGatewayId", "TransitGatewayId"].map(|name| ask.field(name)).into_iter().flatten();
    if given.count() != 1 {
        let words = "Exactly one of the parameters customerGatewayId, vpnGatewayId, transitGatewayId must be given";
        return Err(No(400, "InvalidParameterCombination", words.to_owned()));
    }
    let gateway = ask.required("CustomerGatewayId")?.to_owned();
    let known = state.network.connection(&id, ask.now);
    let context = tagged(known.map(|connection| &connection.tags[..]).unwrap_or_default());
    ask.may(state, "ec2:ModifyVpnConnection", &format!("vpn-connection/{id}"), context)?;
    ask.in_earnest()?;
    let connection = state.network.connection(&id, ask.now).ok_or_else(|| no_connection(&id))?;
    let standing = connection.at(ask.now).clone();
    if standing.state != "available" {
        let words = format!("The VPN connection '{id}' is in the state '{}' and cannot be modified.", standing.state);
        return Err(No(400, "IncorrectState", words));
    }
    let target = state.network.known(&gateway, ask.now).ok_or_else(|| no_gateway(&gateway))?;
    usable(state, connection, target, ask.now)?;
    point(state, &id, [standing.gateway, gateway], ask.now);
    let changed = state.network.connection(&id, ask.now).ok_or_else(|| no_connection(&id))?;
    Ok(format!("<vpnConnection>{}</vpnConnection>", shown(state, changed, ask.now)))
}

/// Whether the connection may point at `gateway`.
fn usable(state: &State, connection: &Connection, gateway: &Gateway, now: Timestamp) -> Result<(), No> {
    if gateway.state.at(now) != Some(&"available") {
        let words = format!("The customer gateway '{}' is not available.", gateway.id);
        return Err(No(400, "InvalidCustomerGatewayState", words));
    }
    let others = state.network.connections.iter().filter(|other| {
        other.id != connection.id && other.target == connection.target && other.at(now).state != "deleted"
    });
    let mut used = others.map(|other| &other.at(now).gateway).filter(|id| **id != gateway.id);
    let address_of = |id: &str| state.network.live().find(|one| one.id == id).and_then(|one| one.address);
    if gateway.address.is_some() && used.any(|id| address_of(id) == gateway.address) {
        let words = format!("Another customer gateway with the address of '{}' is in use here.", gateway.id);
        return Err(No(400, "InvalidCustomerGateway.DuplicateIpAddress", words));
    }
    Ok(())
}

/// The change and its end, which may be where it began.
fn point(state: &mut State, id: &str, [from, to]: [String; 2], now: Timestamp) {
    let manners = &mut state.settings.vpn;
    let rolls_back = manners.rollbacks > 0;
    manners.rollbacks = manners.rollbacks.saturating_sub(1);
    let end = later(now, manners.modify_time);
    let meanwhile = if manners.flip == Flip::Early { to.clone() } else { from.clone() };
    let finally = if rolls_back { from.clone() } else { to.clone() };
    for connection in state.network.connections.iter_mut().filter(|connection| connection.id == id) {
        let standing = |state: &str, gateway: &str| Standing { state: state.to_owned(), gateway: gateway.to_owned() };
        connection.standing.set(now, standing("modifying", &meanwhile));
        connection.standing.set(end, standing("available", &finally));
        connection.change = Some((end, [from.clone(), to.clone()]));
    }
}

fn shown(state: &State, connection: &Connection, seen_at: Timestamp) -> String {
    let standing = connection.at(seen_at);
    let ready = matches!(standing.state.as_str(), "pending" | "available");
    let gateway = state.network.gateways.iter().find(|gateway| gateway.id == standing.gateway);
    let whole = gateway.filter(|_| ready).map(|gateway| configuration(connection, gateway));
    let target = if connection.target.starts_with("tgw-") { "transitGatewayId" } else { "vpnGatewayId" };
    let up = state.settings.vpn.tunnels_up && standing.state == "available";
    [
        element("vpnConnectionId", &connection.id),
        element("state", &standing.state),
        whole.map(|text| element("customerGatewayConfiguration", &text)).unwrap_or_default(),
        element("type", "ipsec.1"),
        element("category", "VPN"),
        element("customerGatewayId", &standing.gateway),
        element(target, &connection.target),
        options(connection),
        tags::shown(&connection.tags),
        telemetry(connection, up, seen_at),
    ]
    .concat()
}

fn options(connection: &Connection) -> String {
    let tunnels = connection.keys.iter().zip(OUTSIDE).enumerate().map(|(n, (key, address))| {
        let parts = [
            element("outsideIpAddress", address),
            element("tunnelInsideCidr", &format!("169.254.{}.0/30", 10 + n)),
            element("preSharedKey", key.expose()),
            element("startupAction", "add"),
        ];
        format!("<item>{}</item>", parts.concat())
    });
    format!(
        "<options>{}{}<tunnelOptionSet>{}</tunnelOptionSet></options>",
        element("staticRoutesOnly", &connection.static_routes.to_string()),
        element("outsideIpAddressType", "PublicIpv4"),
        tunnels.collect::<String>()
    )
}

fn telemetry(connection: &Connection, up: bool, seen_at: Timestamp) -> String {
    let since = connection.change.as_ref().map_or(Timestamp::UNIX_EPOCH, |(end, _)| (*end).min(seen_at));
    let (status, words) = if up { ("UP", "") } else { ("DOWN", "IPSEC IS DOWN") };
    let items = OUTSIDE.iter().map(|address| {
        let parts = [
            element("outsideIpAddress", address),
            element("status", status),
            element("lastStatusChange", &utc(since)),
            element("statusMessage", words),
            element("acceptedRouteCount", if up { "1" } else { "0" }),
        ];
        format!("<item>{}</item>", parts.concat())
    });
    format!("<vgwTelemetry>{}</vgwTelemetry>", items.collect::<String>())
}
