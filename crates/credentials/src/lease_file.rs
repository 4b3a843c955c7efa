//! The text of a lease file: one JSON object that begins with kind and version.

use std::time::Duration;

use bowline_base::{Credentials, KeyId, Kind, Secret, parse_timestamp};
use serde_json::{Value, json};

use crate::lease_store::{Entry, Failure};

const KIND: &str = "bowline-lease";
const VERSION: u64 = 1;

/// The names of fault kinds in files and in answers of the socket.
const KINDS: [(Kind, &str); 6] = [
    (Kind::Config, "config"),
    (Kind::Refused, "refused"),
    (Kind::Unreachable, "unreachable"),
    (Kind::LoginRequired, "login-required"),
    (Kind::Interrupted, "interrupted"),
    (Kind::Bug, "bug"),
];

/// The name of `kind` in files and answers.
#[must_use]
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("bug", |(_, name)| name)
}

/// The kind called `name`; an unknown one is a bug of whoever wrote it.
#[must_use]
pub(crate) fn kind_called(name: &str) -> Kind {
    KINDS.iter().find(|(_, known)| *known == name).map_or(Kind::Bug, |(kind, _)| *kind)
}

pub(crate) fn encode(entry: &Entry) -> Secret {
    let mut file = json!({ "kind": KIND, "version": VERSION });
    if let Some(credentials) = &entry.credentials {
        file["lease"] = json!({
            "key_id": credentials.key_id.as_str(),
            "secret_key": credentials.secret_key.expose(),
            "session_token": credentials.session_token.as_ref().map(Secret::expose),
            "obtained_at": credentials.obtained_at.to_string(),
            "expires_at": credentials.expires_at.map(|end| end.to_string()),
            "account_id": credentials.account_id,
        });
    }
    if let Some(failure) = &entry.failure {
        file["failure"] = json!({
            "kind": kind_name(failure.kind),
            "origin": failure.origin,
            "message": failure.message,
            "causes": failure.causes,
            "hint": failure.hint,
            "attempts": failure.attempts,
            "until_boot_ms": u64::try_from(failure.until.as_millis()).unwrap_or(u64::MAX),
        });
    }
    Secret::new(file.to_string())
}

/// `None`: not ours, or not of this version.
pub(crate) fn decode(text: &Secret) -> Option<Entry> {
    let file: Value = serde_json::from_str(text.expose()).ok()?;
    if file["kind"] != KIND || file["version"] != VERSION {
        return None;
    }
    Some(Entry { credentials: credentials(&file["lease"]), failure: failure(&file["failure"]) })
}

fn credentials(lease: &Value) -> Option<Credentials> {
    let text = |name: &str| lease[name].as_str();
    let expires_at = match text("expires_at") {
        Some(end) => Some(parse_timestamp(end).ok()?),
        None => None,
    };
    Some(Credentials {
        key_id: KeyId::new(text("key_id")?),
        secret_key: Secret::new(text("secret_key")?),
        session_token: text("session_token").map(Secret::new),
        expires_at,
        obtained_at: parse_timestamp(text("obtained_at")?).ok()?,
        account_id: text("account_id").map(str::to_owned),
    })
}

fn failure(failure: &Value) -> Option<Failure> {
    let text = |name: &str| failure[name].as_str().map(str::to_owned);
    Some(Failure {
        kind: kind_called(failure["kind"].as_str()?),
        origin: text("origin")?,
        message: text("message")?,
        causes: failure["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|why| Some(why.as_str()?.to_owned()))
            .collect(),
        hint: text("hint"),
        attempts: failure["attempts"].as_u64()?.try_into().ok()?,
        until: Duration::from_millis(failure["until_boot_ms"].as_u64()?),
    })
}
