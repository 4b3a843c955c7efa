//! For people and out-of-process tests: the device page, and `/_fake/…` on the same port.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /_fake/counts` | `{"calls": {…}, "peaks": {…}, "objects": {…}}`; `DELETE` sets all to nothing |
//! | `GET /_fake/secrets` | every secret issued so far, as a list |
//! | `POST /_fake/faults` | orders one fault (`Fault::from_json`), or a list of them; `DELETE` clears all |
//! | `POST /_fake/settings` | `Settings::patch` |
//! | `POST /_fake/approve`, `/_fake/deny` | `{"user_code": "ABCD-EFGH"}`, or all pending with `{}` |
//! | `POST /_fake/expire` | `{"what": "access-tokens" \| "sessions" \| "registrations" \| "keys"}` |
//! | `POST /_fake/users` | `{"name": "ci"}`: a long-lived key of a user that may do everything, or, with `"policies": [{…}]`, what they say |
//! | `POST /_fake/customer-gateways` | `{"address": "198.51.100.7", "asn": 65000, "tags": {…}}`: gives its `id` |
//! | `POST /_fake/vpn-connections` | `{"customer_gateway": "cgw-…", "target": "tgw-1", "static_routes": true, "tags": {…}}`: gives its `id` |
//! | `GET /_fake/vpn` | every live gateway and every connection as they really are |
//! | `POST /_fake/buckets` | `{"name": "maven", "region": "…", "directory": "/path", "list_allowed": false}` |

use bowline_base::Timestamp;
use http::Method;
use serde_json::{Value, json};

use crate::{Bucket, Fault, call::Call, cloud::State, ec2::furnish, json, pages, reply::Answer};

/// Answers a call of a person or a test.
pub(crate) fn answer(state: &mut State, call: &Call, now: Timestamp) -> Answer {
    if call.path == "/device" {
        return device(state, call);
    }
    let Some(body) = body(call) else { return refused("the body is not JSON") };
    match (&call.method, call.path.trim_start_matches("/_fake/")) {
        (&Method::GET, "counts") => counts(state),
        (&Method::DELETE, "counts") => {
            state.counters.clear();
            done()
        }
        (&Method::GET, "secrets") => {
            let secrets: Vec<&str> = state.ledger.secrets().iter().map(bowline_base::Secret::expose).collect();
            ok(&json!(secrets))
        }
        (&Method::POST, "faults") => faults(state, &body),
        (&Method::DELETE, "faults") => {
            state.faults.clear();
            done()
        }
        (&Method::POST, "settings") => match state.settings.patch(&body) {
            Ok(()) => done(),
            Err(error) => refused(&error.to_string()),
        },
        (&Method::POST, "approve") => ok(&json!({"decided": state.oidc.decide(json::text(&body, "user_code"), true)})),
        (&Method::POST, "deny") => ok(&json!({"decided": state.oidc.decide(json::text(&body, "user_code"), false)})),
        (&Method::POST, "expire") => expire(state, &body, now),
        (&Method::POST, "users") => user(state, &body),
        (&Method::GET, "vpn") => ok(&furnish::truth(state, now)),
        (&Method::POST, "customer-gateways") => customer_gateway(state, &body),
        (&Method::POST, "vpn-connections") => vpn_connection(state, &body),
        (&Method::POST, "buckets") => bucket(state, &body),
        _ => Answer::new(404, "application/json", json!({"error": "no such call"}).to_string(), "unknown"),
    }
}

fn customer_gateway(state: &mut State, body: &Value) -> Answer {
    match furnish::gateway_from_json(body) {
        Some(new) => ok(&json!({"id": furnish::gateway(state, &new)})),
        None => refused("this is no customer gateway"),
    }
}

fn vpn_connection(state: &mut State, body: &Value) -> Answer {
    match furnish::connection_from_json(body) {
        Some(new) => ok(&json!({"id": furnish::connection(state, &new)})),
        None => refused("this is no VPN connection"),
    }
}

fn body(call: &Call) -> Option<Value> {
    if call.body.is_empty() { Some(json!({})) } else { serde_json::from_slice(&call.body).ok() }
}

fn ok(value: &Value) -> Answer {
    Answer::new(200, "application/json", format!("{value}\n"), "ok")
}

/// Nothing to say.
fn done() -> Answer {
    ok(&json!({}))
}

fn refused(why: &str) -> Answer {
    Answer::new(400, "application/json", json!({"error": why}).to_string(), "refused")
}

fn device(state: &mut State, call: &Call) -> Answer {
    if call.method == Method::GET {
        return pages::device(call.query("user_code").unwrap_or_default());
    }
    let form = call.form();
    let approve = form.field("decision") != Some("deny");
    let found = state.oidc.decide(Some(form.field("user_code").unwrap_or_default()), approve);
    pages::decided(found > 0, approve)
}

fn counts(state: &State) -> Answer {
    let counts = state.counters.counts();
    ok(&json!({"calls": counts.calls, "peaks": counts.peaks, "objects": counts.objects}))
}

fn faults(state: &mut State, body: &Value) -> Answer {
    let orders = body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let faults: Result<Vec<Fault>, _> = orders.iter().map(Fault::from_json).collect();
    match faults {
        Ok(faults) => {
            faults.into_iter().for_each(|fault| state.faults.add(fault));
            done()
        }
        Err(error) => refused(&error.to_string()),
    }
}

fn expire(state: &mut State, body: &Value, now: Timestamp) -> Answer {
    match json::text(body, "what") {
        Some("access-tokens") => state.oidc.expire_access_tokens(now),
        Some("sessions") => state.oidc.end_sessions(),
        Some("registrations") => state.oidc.expire_registrations(now),
        Some("keys") => state.keys.expire_sessions(now),
        _ => return refused("`what` is none of `access-tokens`, `sessions`, `registrations`, `keys`"),
    }
    done()
}

fn user(state: &mut State, body: &Value) -> Answer {
    let Some(name) = json::text(body, "name") else { return refused("`name` is missing") };
    state.furnish_user(name);
    match body.get("policies").map(Value::as_array) {
        None => state.directory.administrator(name),
        Some(None) => return refused("`policies` is not a list of documents"),
        Some(Some(documents)) => {
            for (number, document) in documents.iter().enumerate() {
                if let Err(error) = state.directory.furnish_policy(name, &format!("furnished-{number}"), document) {
                    return refused(&error.to_string());
                }
            }
        }
    }
    let key = state.furnish_key(name);
    ok(&json!({"access_key_id": key.id, "secret_access_key": key.secret.expose()}))
}

fn bucket(state: &mut State, body: &Value) -> Answer {
    let Some(name) = json::text(body, "name") else { return refused("`name` is missing") };
    let region = json::text(body, "region").unwrap_or(&state.settings.region).to_owned();
    let mut bucket = match json::text(body, "directory") {
        Some(directory) => Bucket::directory(&region, directory.as_ref()),
        None => Bucket::memory(&region),
    };
    bucket.list_allowed = body.get("list_allowed").and_then(Value::as_bool).unwrap_or(true);
    state.buckets.add(name, bucket);
    done()
}
