//! Gateways and connections that were there before, what becomes of them behind the user's back, and what is really true.

use std::{net::IpAddr, time::Duration};

use bowline_base::{Now, Timestamp};
use serde_json::{Value, json};

use super::{
    customer_gateways::new_id,
    network::{Connection, Gateway, Standing, Tags},
};
use crate::{Cloud, cloud::State, keys::later, slow::Slow};

/// A gateway that somebody made by hand.
#[derive(Clone, Debug, Default)]
pub struct NewGateway {
    /// `None` where a certificate names the device.
    pub address: Option<IpAddr>,
    /// 0 stands for 65000.
    pub asn: u32,
    /// `DeviceName`.
    pub device: Option<String>,
    /// Of ACM.
    pub certificate_arn: Option<String>,
    /// Key and value.
    pub tags: Vec<(String, String)>,
}

/// A connection that somebody made by hand.
#[derive(Clone, Debug, Default)]
pub struct NewConnection {
    /// The gateway that it points at.
    pub customer_gateway: String,
    /// `vgw-…` or `tgw-…`; empty for a virtual private gateway of its own.
    pub target: String,
    /// No BGP.
    pub static_routes: bool,
    /// Key and value.
    pub tags: Vec<(String, String)>,
}

/// A live customer gateway, as it really is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerGateway {
    /// `cgw-…`.
    pub id: String,
    /// `None` where a certificate names the device.
    pub address: Option<IpAddr>,
    /// Of the site.
    pub asn: u32,
    /// `DeviceName`.
    pub device: Option<String>,
    /// Key and value.
    pub tags: Vec<(String, String)>,
}

/// A connection, as it really is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpnConnection {
    /// `vpn-…`.
    pub id: String,
    /// `available`, `modifying`, …
    pub state: String,
    /// Where it points.
    pub customer_gateway: String,
    /// Key and value.
    pub tags: Vec<(String, String)>,
}

impl Cloud {
    /// A gateway that everybody knows already; gives its id.
    pub fn add_customer_gateway(&self, new: &NewGateway) -> String {
        gateway(&mut self.state(), new)
    }

    /// A connection that is available; gives its id.
    pub fn add_vpn_connection(&self, new: &NewConnection) -> String {
        connection(&mut self.state(), new)
    }

    /// Somebody else does something to a connection: it is in `state` for `time`, and available again after it.
    pub fn disturb_connection(&self, now: Now, id: &str, state: &str, time: Duration) {
        disturb(&mut self.state(), id, state, now.wall, time);
    }

    /// Every live gateway, whether or not anybody sees it yet.
    #[must_use]
    pub fn customer_gateways(&self) -> Vec<CustomerGateway> {
        let state = self.state();
        let live = state.network.live().map(|gateway| CustomerGateway {
            id: gateway.id.clone(),
            address: gateway.address,
            asn: gateway.asn,
            device: gateway.device.clone(),
            tags: gateway.tags.clone(),
        });
        live.collect()
    }

    /// Every connection as it is at `now`.
    #[must_use]
    pub fn vpn_connections(&self, now: Now) -> Vec<VpnConnection> {
        let state = self.state();
        let all = state.network.connections.iter().map(|connection| {
            let standing = connection.at(now.wall).clone();
            let (state, customer_gateway) = (standing.state, standing.gateway);
            VpnConnection { id: connection.id.clone(), state, customer_gateway, tags: connection.tags.clone() }
        });
        all.collect()
    }
}

pub(crate) fn gateway(state: &mut State, new: &NewGateway) -> String {
    let id = new_id(state, "cgw");
    state.network.gateways.push(Gateway {
        id: id.clone(),
        kind: "ipsec.1".to_owned(),
        address: new.address,
        asn: if new.asn == 0 { 65_000 } else { new.asn },
        device: new.device.clone(),
        certificate_arn: new.certificate_arn.clone(),
        tags: new.tags.clone(),
        visible_from: Timestamp::MIN,
        state: Slow::new(Timestamp::MIN, "available"),
        deleted_at: None,
    });
    id
}

pub(crate) fn connection(state: &mut State, new: &NewConnection) -> String {
    let id = new_id(state, "vpn");
    let target = if new.target.is_empty() { new_id(state, "vgw") } else { new.target.clone() };
    let keys = [(); 2].map(|()| {
        let text = state.mint.token("psk_");
        state.ledger.note(text)
    });
    let standing = Standing { state: "available".to_owned(), gateway: new.customer_gateway.clone() };
    state.network.connections.push(Connection {
        id: id.clone(),
        standing: Slow::new(Timestamp::MIN, standing),
        change: None,
        target,
        static_routes: new.static_routes,
        tags: new.tags.clone(),
        keys,
    });
    id
}

pub(crate) fn disturb(state: &mut State, id: &str, word: &str, now: Timestamp, time: Duration) {
    for connection in state.network.connections.iter_mut().filter(|connection| connection.id == id) {
        let gateway = connection.at(now).gateway.clone();
        connection.standing.set(now, Standing { state: word.to_owned(), gateway: gateway.clone() });
        connection.standing.set(later(now, time), Standing { state: "available".to_owned(), gateway });
    }
}

/// What an out-of-process test is told: the truth about every gateway and connection.
pub(crate) fn truth(state: &State, now: Timestamp) -> Value {
    let tags =
        |tags: &Tags| tags.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<serde_json::Map<_, _>>();
    let gateways = state.network.live().map(|gateway| {
        json!({"id": gateway.id, "address": gateway.address, "asn": gateway.asn, "device": gateway.device, "tags": tags(&gateway.tags)})
    });
    let connections = state.network.connections.iter().map(|connection| {
        let standing = connection.at(now);
        json!({"id": connection.id, "state": standing.state, "customer_gateway": standing.gateway, "tags": tags(&connection.tags)})
    });
    json!({"customer_gateways": gateways.collect::<Vec<_>>(), "vpn_connections": connections.collect::<Vec<_>>()})
}

/// `{"address": "198.51.100.7", "asn": 65000, "device": "…", "certificate_arn": "…", "tags": {"Name": "x"}}`.
pub(crate) fn gateway_from_json(value: &Value) -> Option<NewGateway> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let asn = value.get("asn").map_or(Some(0), |asn| u32::try_from(asn.as_u64()?).ok())?;
    let address = text("address").map(|text| text.parse()).transpose().ok()?;
    let certificate_arn = text("certificate_arn");
    Some(NewGateway { address, asn, device: text("device"), certificate_arn, tags: tags_from_json(value)? })
}

/// `{"customer_gateway": "cgw-…", "target": "tgw-1", "static_routes": true, "tags": {"Name": "x"}}`.
pub(crate) fn connection_from_json(value: &Value) -> Option<NewConnection> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(NewConnection {
        customer_gateway: text("customer_gateway")?,
        target: text("target").unwrap_or_default(),
        static_routes: value.get("static_routes").and_then(Value::as_bool).unwrap_or(false),
        tags: tags_from_json(value)?,
    })
}

fn tags_from_json(value: &Value) -> Option<Tags> {
    let Some(tags) = value.get("tags") else { return Some(Tags::new()) };
    tags.as_object()?.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
