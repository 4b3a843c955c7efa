//! Customer gateways: made once however often they are asked for, unknown for a moment, deleted only when nothing hangs
//! on them, and listed for an hour after that.

use std::net::{IpAddr, Ipv4Addr};

use bowline_base::Timestamp;

use super::{
    Ask, bad_value,
    filters::{Filters, page},
    network::{Gateway, Network, Tags},
    no_gateway, tagged, tags,
};
use crate::{cloud::State, keys::later, policy::Context, query::No, slow::Slow, xml::element};

const KIND: &str = "ipsec.1";
const RESERVED_ASN: u32 = 7224;

pub(super) fn describe(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    ask.may(state, "ec2:DescribeCustomerGateways", "*", Context::default())?;
    ask.in_earnest()?;
    state.network.forget(ask.now);
    let seen_at = ask.now.checked_sub(state.settings.vpn.describe_lag).unwrap_or(ask.now);
    let wanted = ask.each("CustomerGatewayId");
    for id in &wanted {
        state
            .network
            .gateways
            .iter()
            .find(|one| one.id == *id && one.visible_from <= seen_at)
            .ok_or_else(|| no_gateway(id))?;
    }
    let filters = Filters::of(ask, &["state", "customer-gateway-id", "ip-address", "type"])?;
    let seen = state.network.gateways.iter().filter(|gateway| gateway.visible_from <= seen_at);
    let items: Vec<String> = seen
        .filter(|gateway| wanted.is_empty() || wanted.contains(&gateway.id.as_str()))
        .filter(|gateway| {
            let address = gateway.address.map(|address| address.to_string()).unwrap_or_default();
            let state = gateway.state.at(seen_at).copied().unwrap_or("pending");
            let traits = [
                ("state", state.to_owned()),
                ("customer-gateway-id", gateway.id.clone()),
                ("ip-address", address),
                ("type", gateway.kind.clone()),
            ];
            filters.pass(&traits, &gateway.tags)
        })
        .map(|gateway| shown(gateway, seen_at))
        .collect();
    page(state, ask, "customerGatewaySet", &items)
}

pub(super) fn create(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    let wanted = wanted(state, ask)?;
    ask.may(
        state,
        "ec2:CreateCustomerGateway",
        "customer-gateway/*",
        tags::requested(Context::default(), &wanted.tags),
    )?;
    if !wanted.tags.is_empty() {
        let context = tags::requested(Context::default(), &wanted.tags);
        let context = context.with("ec2:CreateAction", "CreateCustomerGateway");
        ask.may(state, "ec2:CreateTags", "customer-gateway/*", context)?;
    }
    ask.in_earnest()?;
    if let Some(twin) = state.network.live().find(|gateway| gateway.identity() == wanted.identity()) {
        return Ok(format!("<customerGateway>{}</customerGateway>", shown(twin, ask.now)));
    }
    if state.network.live().count() >= state.settings.vpn.gateway_quota {
        let words = "The maximum number of customer gateways has been reached.".to_owned();
        return Err(No(400, "CustomerGatewayLimitExceeded", words));
    }
    let answer = format!("<customerGateway>{}</customerGateway>", shown(&wanted, ask.now));
    state.network.gateways.push(wanted);
    Ok(answer)
}

pub(super) fn delete(state: &mut State, ask: &Ask<'_>) -> Result<String, No> {
    let id = ask.required("CustomerGatewayId")?.to_owned();
    let known = state.network.known(&id, ask.now).map(|gateway| gateway.tags.clone());
    let context = tagged(known.as_deref().unwrap_or_default());
    ask.may(state, "ec2:DeleteCustomerGateway", &format!("customer-gateway/{id}"), context)?;
    ask.in_earnest()?;
    if known.is_none() {
        return Err(no_gateway(&id));
    }
    if in_use(&state.network, &id, ask.now) {
        return Err(No(400, "IncorrectState", "The customer gateway is in use.".to_owned()));
    }
    for gateway in state.network.gateways.iter_mut().filter(|gateway| gateway.id == id) {
        gateway.deleted_at = Some(ask.now);
        gateway.state.set(ask.now, "deleted");
    }
    Ok(element("return", "true"))
}

fn in_use(network: &Network, id: &str, now: Timestamp) -> bool {
    network.connections.iter().any(|connection| connection.hangs_on(id, now))
}

/// The gateway that a call asks for, with an id that it may never need.
fn wanted(state: &mut State, ask: &Ask<'_>) -> Result<Gateway, No> {
    let kind = ask.required("Type")?;
    if kind != KIND {
        return Err(bad_value(kind, "type"));
    }
    let certificate_arn = ask.field("CertificateArn").map(str::to_owned);
    let address = ask.field("IpAddress").or_else(|| ask.field("PublicIp"));
    let address = address.map(|text| text.parse::<Ipv4Addr>().map_err(|_| bad_value(text, "ipAddress"))).transpose()?;
    if address.is_none() && certificate_arn.is_none() {
        ask.required("IpAddress")?;
    }
    let manners = &state.settings.vpn;
    let (delay, pending) = (manners.gateway_delay, manners.gateway_pending);
    let mut known = Slow::new(Timestamp::MIN, "pending");
    known.set(later(ask.now, pending), "available");
    Ok(Gateway {
        id: new_id(state, "cgw"),
        kind: kind.to_owned(),
        address: address.map(IpAddr::V4),
        asn: asn(ask)?,
        device: ask.field("DeviceName").map(str::to_owned),
        certificate_arn,
        tags: specified(ask)?,
        visible_from: later(ask.now, delay),
        state: known,
        deleted_at: None,
    })
}

fn asn(ask: &Ask<'_>) -> Result<u32, No> {
    let number = |name: &str, text: &str| text.parse::<u32>().map_err(|_| bad_value(text, name));
    let asn = match (ask.field("BgpAsn"), ask.field("BgpAsnExtended")) {
        (Some(_), Some(_)) => {
            let words = "The parameters BgpAsn and BgpAsnExtended cannot be used together".to_owned();
            return Err(No(400, "InvalidParameterCombination", words));
        }
        (Some(text), None) => Some(number("bgpAsn", text)?).filter(|asn| (1..1 << 31).contains(asn)),
        (None, Some(text)) => Some(number("bgpAsnExtended", text)?).filter(|asn| *asn >= 1 << 31),
        (None, None) => Some(65_000),
    };
    asn.filter(|asn| *asn != RESERVED_ASN).ok_or_else(|| bad_value("", "bgpAsn"))
}

fn specified(ask: &Ask<'_>) -> Result<Tags, No> {
    match ask.field("TagSpecification.1.ResourceType") {
        None => Ok(Tags::new()),
        Some("customer-gateway") => tags::read(ask, "TagSpecification.1."),
        Some(other) => Err(bad_value(other, "resourceType")),
    }
}

/// `cgw-` and 17 hexadecimal digits.
pub(super) fn new_id(state: &mut State, prefix: &str) -> String {
    let hex: String = state.mint.request_id().chars().filter(|c| *c != '-').take(17).collect();
    format!("{prefix}-{hex}")
}

fn shown(gateway: &Gateway, seen_at: Timestamp) -> String {
    let number = if gateway.asn < 1 << 31 { "bgpAsn" } else { "bgpAsnExtended" };
    let optional = |name: &str, value: Option<&str>| value.map(|value| element(name, value)).unwrap_or_default();
    let address = gateway.address.map(|address| address.to_string());
    [
        element("customerGatewayId", &gateway.id),
        element("state", gateway.state.at(seen_at).copied().unwrap_or("pending")),
        element("type", &gateway.kind),
        optional("ipAddress", address.as_deref()),
        optional("certificateArn", gateway.certificate_arn.as_deref()),
        element(number, &gateway.asn.to_string()),
        optional("deviceName", gateway.device.as_deref()),
        tags::shown(&gateway.tags),
    ]
    .concat()
}
