//! Plain HTTP to whoever sits beside the program and hands out credentials: one exchange, bounded, and the document that
//! containers and instances answer with.

use std::time::Duration;

use bowline_base::{
    Credentials, Fault, KeyId, Kind, Retry, Secret, Timestamp, parse_timestamp, url,
    wire::{Limits, Wire, WireError},
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

/// No answer of these is longer.
const MOST: usize = 64 * 1024;

/// Why there was no good answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody is there.
    Silent(WireError),
    /// Somebody said no, or something else.
    Said {
        /// Whose move it is.
        kind: Kind,
        /// What was said.
        why: String,
    },
}

/// One exchange, whole, within `limit`; the body of a 200.
pub(super) async fn ask(wire: &dyn Wire, request: Request<Bytes>, limit: Duration) -> Result<Secret, Answered> {
    let host = url::place(request.uri()).to_owned();
    let answer = wire.send(request, Limits { head: limit, idle: limit }).await.map_err(Answered::silent)?;
    let status = answer.status();
    let broken = |cause: Box<dyn std::error::Error + Send + Sync>| Answered {
        status: Some(status),
        trouble: Trouble::Silent(WireError::Broken { host: host.clone(), cause }),
    };
    let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(broken)?.to_bytes();
    let Ok(text) = String::from_utf8(body.to_vec()) else {
        return Err(Answered::said(status, Kind::Unreachable, "an answer that is no text".to_owned()));
    };
    if status == StatusCode::OK {
        return Ok(Secret::new(text));
    }
    let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let kind = if passing { Kind::Unreachable } else { Kind::Refused };
    Err(Answered::said(status, kind, refusal(status, &text)))
}

/// An answer that was not a good one.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: Option<StatusCode>,
    pub(super) trouble: Trouble,
}

impl Answered {
    fn silent(error: WireError) -> Self {
        Self { status: None, trouble: Trouble::Silent(error) }
    }

    fn said(status: StatusCode, kind: Kind, why: String) -> Self {
        Self { status: Some(status), trouble: Trouble::Said { kind, why } }
    }

    /// As a fault of `origin`, which `what` was asked of.
    pub(super) fn fault(self, origin: &str, what: &str) -> Fault {
        match self.trouble {
            Trouble::Silent(error) => Fault::new(Kind::Unreachable, origin, format!("{what} does not answer"))
                .hint("see that it runs, and that this machine may reach it")
                .cause(error),
            Trouble::Said { kind, why } => {
                let fault = Fault::new(kind, origin, format!("{what} answered with {why}"));
                let again = Retry::After(Duration::from_secs(60));
                if kind == Kind::Refused { fault.retry(again) } else { fault }
            }
        }
    }
}

/// Reads `{"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}`. Never shows it.
pub(super) fn credentials(text: &Secret, now: Timestamp) -> Result<Credentials, String> {
    let value: Value =
        serde_json::from_str(text.expose()).map_err(|_| "something that is no JSON object".to_owned())?;
    if let Some(code) = value["Code"].as_str().filter(|code| *code != "Success") {
        return Err(format!("`{}`", short(code)));
    }
    let text = |name: &str| value[name].as_str().filter(|text| !text.trim().is_empty());
    let required = |name: &str| text(name).ok_or_else(|| format!("an object without `{name}`"));
    let expires_at = match text("Expiration") {
        Some(end) => Some(parse_timestamp(end).map_err(|error| format!("an `Expiration` that is none: {error}"))?),
        None => None,
    };
    Ok(Credentials {
        key_id: KeyId::new(required("AccessKeyId")?),
        secret_key: Secret::new(required("SecretAccessKey")?),
        session_token: text("Token").map(Secret::new),
        expires_at,
        obtained_at: now,
        account_id: text("AccountId").map(str::to_owned),
    })
}

fn refusal(status: StatusCode, body: &str) -> String {
    let said: Option<Value> = serde_json::from_str(body).ok();
    let message = said.as_ref().and_then(|said| said["Message"].as_str().or_else(|| said["message"].as_str()));
    match message {
        Some(message) => format!("status {}: {}", status.as_u16(), short(message)),
        None => format!("status {}", status.as_u16()),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_without_keys_or_with_another_code_is_refused_unseen() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let good = r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"hush","Token":"t","Expiration":"2027-01-15T08:00:00Z"}"#;
        let read = credentials(&Secret::new(good), now).unwrap();
        assert_eq!((read.key_id.as_str(), read.session_token.unwrap().expose()), ("A", "t"));
        for (from, to, why) in [
            ("\"A\"", "\"\"", "without `AccessKeyId`"),
            ("SecretAccessKey", "Other", "without `SecretAccessKey`"),
            ("Success", "AssumeRoleUnauthorizedAccess", "`AssumeRoleUnauthorizedAccess`"),
            ("2027-01-15T08:00:00Z", "soon", "`Expiration`"),
            ("{", "<html>", "no JSON"),
        ] {
            let error = credentials(&Secret::new(good.replace(from, to)), now).unwrap_err();
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }
}
