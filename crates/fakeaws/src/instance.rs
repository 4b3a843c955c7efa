//! The instance metadata service, as far as credentials go: a token by PUT, the role's name, its credentials, and the
//! few facts that SDKs ask for beside them. Version 1, without a token, only where the settings allow it.

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{Timestamp, utc};
use http::Method;
use serde_json::json;

use crate::{
    call::Call,
    cloud::State,
    keys::{Principal, later, whole_second},
    reply::Answer,
};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Tokens that were given out, and when each ends.
#[derive(Default)]
pub(crate) struct Tokens(BTreeMap<String, Timestamp>);

/// Answers a call of an instance.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    match (&call.method, call.path.as_str()) {
        (&Method::PUT, "/latest/api/token") => token(state, call, now),
        (&Method::GET, path) => match call.header("x-aws-ec2-metadata-token") {
            Some(token) if state.instance.0.get(token).is_some_and(|end| now < *end) => data(state, path, now),
            None if state.settings.imds_v1 => data(state, path, now),
            _ => error(401, "Unauthorized"),
        },
        _ => error(405, "Method Not Allowed"),
    }
}

/// An error in this service's form.
pub(crate) fn error(status: u16, code: &str) -> Answer {
    Answer::new(status, "text/html", format!("<html><title>{status} - {code}</title></html>"), code)
}

fn token(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    if state.settings.imds_v1_only {
        return error(403, "Forbidden");
    }
    let ttl = call.header(TTL).and_then(|ttl| ttl.parse::<u64>().ok()).filter(|ttl| (1..=21600).contains(ttl));
    let Some(ttl) = ttl else { return error(400, "Bad Request") };
    if call.header("x-forwarded-for").is_some() {
        return error(403, "Forbidden");
    }
    let token = state.ledger.note(state.mint.token("AQAE")).expose().to_owned();
    state.instance.0.insert(token.clone(), later(now, Duration::from_secs(ttl)));
    Answer::new(200, "text/plain", token, "ok").header(TTL, &ttl.to_string())
}

fn data(state: &mut State, path: &str, now: Timestamp) -> Answer {
    let text = |text: &str| Answer::new(200, "text/plain", text.to_owned(), "ok");
    let region = state.settings.region.clone();
    let Some(rest) = path.strip_prefix("/latest/meta-data/iam/security-credentials") else {
        return match path.trim_end_matches('/') {
            "/latest/meta-data/placement/region" => text(&region),
            "/latest/meta-data/placement/availability-zone" => text(&format!("{region}a")),
            _ => error(404, "Not Found"),
        };
    };
    match (state.settings.instance_role.clone(), rest.trim_matches('/')) {
        (Some(role), "") => text(&role),
        (Some(role), asked) if role == asked => credentials(state, &role, now),
        _ => error(404, "Not Found"),
    }
}

fn credentials(state: &mut State, role: &str, now: Timestamp) -> Answer {
    let role_id = state.mint.key_id("AROA");
    let principal = Principal::role_session(&state.home_account(), role, "i-0123456789abcdef0", &role_id);
    let end = whole_second(later(now, state.settings.role_lifetime));
    let key = state.issue(principal, end, now);
    let body = json!({
        "Code": "Success",
        "LastUpdated": utc(now),
        "Type": "AWS-HMAC",
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret.expose(),
        "Token": key.token.as_ref().map(bowline_base::Secret::expose),
        "Expiration": utc(end),
    });
    Answer::new(200, "text/plain", body.to_string(), "ok")
}
