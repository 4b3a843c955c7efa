//! What goes back over HTTP: credentials as each kind of client reads them, and refusals with `Code` and `Message`.

use std::{sync::Arc, time::Duration};

use bowline_base::{Credentials, Retry, Secret, Timestamp, Unavailable, utc};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serializer as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::wiped;

/// A whole answer: it fits into one write.
pub(super) type Reply = Response<Full<Bytes>>;

/// Why there is no answer, as SDKs show it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// Nothing fresh in memory: worth another try, and when.
    pub(super) fn nothing_fresh(why: &Unavailable) -> Self {
        let wait = match why.0.retry {
            Retry::After(wait) => wait,
            // A person has to act first.
            Retry::Never => Duration::from_secs(5),
        };
        let hint = why.0.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("{}{hint}", why.0.chain());
        Self { retry_after: Some(wait.as_secs().max(1)), ..Self::new(503, "CredentialsUnavailable", message) }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// For the audit log.
    pub(super) fn reason(&self) -> String {
        format!("{} {}: {}", self.status, self.code, self.message)
    }

    pub(super) fn reply(&self) -> Reply {
        let body = json!({ "Code": self.code, "Message": self.message }).to_string();
        let mut reply = typed(self.status, "application/json", body);
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        reply
    }
}

/// `{"AccessKeyId":…,"SecretAccessKey":…,"Token":…,"Expiration":"…Z"}`, as the clients of ECS read it.
pub(super) fn ecs_document(held: &Held<'_>) -> Result<Secret, Refusal> {
    let account = held.credentials.account_id.as_deref();
    object(held.pairs(&utc(held.end)).into_iter().chain(account.map(|account| ("AccountId", account))))
}

/// The same as instance metadata has it.
pub(super) fn imds_document(held: &Held<'_>) -> Result<Secret, Refusal> {
    let updated = utc(held.credentials.obtained_at);
    let head = [("Code", "Success"), ("LastUpdated", updated.as_str()), ("Type", "AWS-HMAC")];
    object(head.into_iter().chain(held.pairs(&utc(held.end))))
}

/// A JSON object in this order. There is room for every character as six (`\u0000`): the text never moves while it is
/// written, and so leaves no copy of a key behind.
fn object<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Secret, Refusal> {
    let room: usize = pairs.clone().map(|(name, value)| name.len() + 6 * value.len() + 6).sum();
    let mut text = Zeroizing::new(Vec::<u8>::with_capacity(room + 2));
    let broke = |_| Refusal::new(500, "InternalError", "the credentials cannot be written as JSON");
    serde_json::Serializer::new(&mut *text).collect_map(pairs).map_err(broke)?;
    String::from_utf8(std::mem::take(&mut *text)).map(Secret::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        Refusal::new(500, "InternalError", "JSON is always text")
    })
}

/// A set that every client can use: temporary, whole, not ended.
pub(super) struct Held<'a> {
    credentials: &'a Credentials,
    token: &'a Secret,
    end: Timestamp,
}

impl<'a> Held<'a> {
    /// Refuses what a client would take and fail with later.
    pub(super) fn of(credentials: &'a Arc<Credentials>, now: Timestamp) -> Result<Self, Refusal> {
        let (Some(token), Some(end)) = (&credentials.session_token, credentials.expires_at) else {
            let why = "these are long-lived keys; an endpoint hands out temporary credentials only";
            return Err(Refusal::new(500, "LongLivedKeys", why));
        };
        let blank =
            credentials.key_id.as_str().trim().is_empty() || credentials.secret_key.is_blank() || token.is_blank();
        if blank || !credentials.usable_at(now) {
            let refusal =
                Refusal::new(503, "CredentialsUnavailable", "the credentials have ended; others are on their way");
            return Err(Refusal { retry_after: Some(1), ..refusal });
        }
        Ok(Self { credentials, token, end })
    }

    fn pairs<'b>(&'b self, end: &'b str) -> [(&'static str, &'b str); 4] {
        [
            ("AccessKeyId", self.credentials.key_id.as_str()),
            ("SecretAccessKey", self.credentials.secret_key.expose()),
            ("Token", self.token.expose()),
            ("Expiration", end),
        ]
    }
}

/// A document with secrets in it.
pub(super) fn secret(document: Secret) -> Reply {
    typed(200, "application/json", wiped::body(document))
}

/// Without a newline: botocore would take it for a part of the value.
pub(super) fn plain(text: impl Into<String>) -> Reply {
    let text: String = text.into();
    typed(200, "text/plain", text)
}

/// An open document.
pub(super) fn json(value: &Value) -> Reply {
    typed(200, "application/json", value.to_string())
}

/// Adds a header.
pub(super) fn with(mut reply: Reply, name: &'static str, value: u64) -> Reply {
    reply.headers_mut().insert(HeaderName::from_static(name), value.into());
    reply
}

fn typed(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::{at, credentials};

    #[test]
    fn the_documents_are_exactly_what_clients_read() {
        let mut set = credentials();
        set.secret_key = Secret::new("s/+");
        set.session_token = Some(Secret::new("t="));
        let set = Arc::new(set);
        let held = Held::of(&set, at()).map_err(|refusal| refusal.status()).unwrap();
        let keys =
            r#""AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s/+","Token":"t=","Expiration":"2027-01-15T09:00:00Z""#;
        let text = |document: Result<Secret, Refusal>| document.map_err(|refusal| refusal.status()).unwrap();
        assert_eq!(text(ecs_document(&held)).expose(), format!(r#"{{{keys},"AccountId":"111122223333"}}"#));
        let head = r#"{"Code":"Success","LastUpdated":"2027-01-15T08:00:00Z","Type":"AWS-HMAC","#;
        assert_eq!(text(imds_document(&held)).expose(), format!("{head}{keys}}}"));
    }

    #[test]
    fn what_a_client_would_fail_with_is_never_a_success() {
        let status = |change: &dyn Fn(&mut Credentials)| {
            let mut set = credentials();
            change(&mut set);
            Held::of(&Arc::new(set), at()).err().map(|refusal| refusal.status())
        };
        assert_eq!(status(&|_| {}), None);
        assert_eq!(status(&|set| set.expires_at = Some(at())), Some(503));
        assert_eq!(status(&|set| set.secret_key = Secret::new("")), Some(503));
        assert_eq!(status(&|set| set.session_token = Some(Secret::new(" "))), Some(503));
        assert_eq!(status(&|set| set.session_token = None), Some(500));
        assert_eq!(status(&|set| set.expires_at = None), Some(500));
    }

    #[test]
    fn a_refusal_tells_when_to_come_back() {
        use bowline_base::{Fault, Kind};
        let fault = Fault::new(Kind::Unreachable, "sts", "away").retry(Retry::After(Duration::from_millis(200)));
        let reply = Refusal::nothing_fresh(&fault.into()).reply();
        assert_eq!((reply.status().as_u16(), reply.headers()[header::RETRY_AFTER].as_bytes()), (503, &b"1"[..]));
    }
}
