//! `vpn status` and `vpn test`: what is there, and what gets through.

use std::{net::ToSocketAddrs as _, time::Duration};

use bowline_base::{
    Fault, Kind, Timestamp,
    wire::{Limits, Wire},
};
use bowline_host::{HttpWire, clock};
use bowline_vpn::client::{Client, Record};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use super::{account, link::surroundings, users};
use crate::{
    cli::{Form, VpnStatus, VpnTest},
    environment::Environment,
    output,
    world::small_runtime,
};

const LIMITS: Limits = Limits { head: Duration::from_secs(8), idle: Duration::from_secs(4) };

pub(super) fn status(environment: &Environment, arguments: &VpnStatus) -> Result<(), Fault> {
    let client = Client::new(surroundings(environment))?;
    let record = client.record()?;
    let (peer, user, exit) = small_runtime()?.block_on(async {
        let Some(record) = &record else { return (None, None, exit_address(environment, &arguments.exit_from).await) };
        tokio::join!(
            async { client.peer(record).await.ok() },
            standing(environment, &record.name),
            exit_address(environment, &arguments.exit_from)
        )
    });
    let shown = document(record.as_ref(), peer.as_deref(), user, exit.as_ref(), client.is_held());
    match arguments.output.output {
        Form::Json => output::data(&format!("{shown:#}\n")),
        Form::Text => output::data(&text(&shown)),
    }
}

pub(super) fn test(arguments: &VpnTest) -> Result<(), Fault> {
    let named = format!("{}:{}", arguments.host, arguments.port);
    let away =
        |what: &str| Fault::new(Kind::Unreachable, "vpn", format!("{what} `{named}`")).hint("bowline vpn status");
    let begun = clock::now().boot;
    let found = (arguments.host.as_str(), arguments.port).to_socket_addrs();
    let address = found.map_err(|cause| away("cannot find").cause(cause))?.next().ok_or_else(|| away("cannot find"))?;
    let stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10));
    let stream = stream.map_err(|cause| away("cannot connect to").cause(cause))?;
    let from = stream.local_addr().map(|from| from.ip().to_string()).unwrap_or_default();
    let took = (clock::now().boot - begun).as_millis();
    output::data(&format!("{named} ({}) answers, from {from}, in {took} ms\n", address.ip()))
}

/// What the server says of the user: `active`, or why not. Nothing where it does not say.
async fn standing(environment: &Environment, name: &str) -> Option<String> {
    let (api, path) = (account::api(environment).ok()?, users::path(name).ok()?);
    let user = tokio::time::timeout(LIMITS.head, api.json(Method::GET, &path, None)).await.ok()?.ok()?;
    user["status"].as_str().map(|_| users::standing(&user))
}

/// How the world sees this machine.
async fn exit_address(environment: &Environment, from: &str) -> Option<Result<String, String>> {
    if from.is_empty() {
        return None;
    }
    let asked = async {
        let wire = HttpWire::new(&environment.outside()).map_err(|fault| fault.chain())?;
        let request = Request::get(from).body(Bytes::new()).map_err(|error| error.to_string())?;
        let response = wire.send(request, LIMITS).await.map_err(|error| error.to_string())?;
        let body = Limited::new(response.into_body(), 256).collect().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
        text.parse::<std::net::IpAddr>().map(|address| address.to_string()).map_err(|_| "no address came".to_owned())
    };
    Some(asked.await)
}

fn document(
    record: Option<&Record>,
    peer: Option<&[String]>,
    user: Option<String>,
    exit: Option<&Result<String, String>>,
    held: bool,
) -> Value {
    let field = |number: usize| peer.and_then(|peer| peer.get(number)).cloned();
    let number = |place: usize| field(place).and_then(|text| text.parse::<u64>().ok());
    let handshake = number(4)
        .filter(|seconds| *seconds > 0)
        .and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(bowline_base::utc));
    let state = match (record, peer) {
        (None, _) => "disconnected",
        (Some(record), Some(_)) if record.up => "connected",
        (Some(_), _) => "broken",
    };
    json!({
        "state": state, "name": record.map(|record| record.name.clone()), "user": user,
        "interface": record.map(|record| record.interface.clone()), "since": record.map(|record| record.since.clone()),
        "held_by_a_process": held, "endpoint": field(2), "last_handshake": handshake,
        "received_bytes": number(5), "sent_bytes": number(6),
        "exit_address": exit.and_then(|exit| exit.as_ref().ok()), "exit_address_error": exit.and_then(|exit| exit.as_ref().err()),
    })
}

/// As people call it.
fn label(name: &str) -> String {
    match name {
        "user" => "at the server".to_owned(),
        "held_by_a_process" => "in the foreground".to_owned(),
        "exit_address_error" => "no exit address".to_owned(),
        _ => name.replace('_', " "),
    }
}

fn text(shown: &Value) -> String {
    let told = |value: &Value| !value.is_null() && *value != json!(false);
    let fields = shown.as_object().into_iter().flatten().filter(|(_, value)| told(value));
    let mut text: String = fields
        .map(|(name, value)| {
            format!("{:<20} {}\n", label(name), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    if let Some(next) = next_step(shown) {
        text.push_str(&format!("hint: {next}\n"));
    }
    text
}

/// Whom the server lets in no longer, it does not answer through the link at all: WireGuard has no word for that.
fn next_step(shown: &Value) -> Option<&'static str> {
    match (shown["state"].as_str()?, shown["user"].as_str()) {
        ("broken", _) => Some("bowline vpn restore"),
        ("connected", Some(user)) if user.starts_with("inactive") => {
            Some("the server does not let this user in: ask its administrator, or bowline vpn disconnect")
        }
        ("connected", None) if shown["exit_address_error"].is_string() => Some(
            "nothing comes back through the link: the server is away, or lets this user in no longer: bowline vpn disconnect",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_through_which_nothing_comes_back_has_a_next_step() {
        let step = |state: &str, user: Option<&str>, error: Option<&str>| {
            next_step(&json!({ "state": state, "user": user, "exit_address_error": error }))
        };
        assert!(step("connected", None, Some("timed out")).is_some_and(|step| step.contains("the server is away")));
        assert!(step("connected", Some("inactive: expired"), None).is_some_and(|step| step.contains("administrator")));
        assert_eq!(step("connected", Some("active"), Some("timed out")), None, "only the one who is asked is away");
        assert_eq!((step("connected", None, None), step("disconnected", None, Some("timed out"))), (None, None));
        assert_eq!(step("broken", None, None), Some("bowline vpn restore"));
    }
}
