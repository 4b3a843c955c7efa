//! What comes in with a request: a JSON object, small and soon; every field is known and of its type.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bowline_base::{Timestamp, parse_timestamp};
use bowline_tunnel::PublicKey;
use http::StatusCode;
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::server::{ClientId, orders::Wanted, user::UserLimits};

/// More is no request of ours.
pub(crate) const LARGEST: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// The whole body.
pub(crate) async fn bytes(body: Body) -> Result<bytes::Bytes, Problem> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, LARGEST)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 64 KiB"))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s")),
    }
}

/// The object in the body; an empty body is an empty object.
pub(crate) async fn object(body: Body) -> Result<Object, Problem> {
    let bytes = bytes(body).await?;
    if bytes.is_empty() {
        return Ok(Object(Map::new()));
    }
    let bad = |what: &str| Problem::new(StatusCode::BAD_REQUEST, what.to_owned());
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(Object(map)),
        Ok(_) => Err(bad("the body is no JSON object")),
        Err(_) => Err(bad("the body is no JSON")),
    }
}

/// A JSON object, whose fields are taken out one by one; what is left over at the end was none of ours.
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.escape_debug().take(60).collect();
                Err(Problem::unusable(format!("`{name}` is not known here")))
            }
        }
    }

    /// The name that a user is to have.
    pub(crate) fn client_id(&mut self) -> Result<ClientId, Problem> {
        let text = self.text("client_id")?.ok_or_else(|| Problem::unusable("`client_id` is missing"))?;
        text.parse().map_err(|error: crate::server::ClientIdError| Problem::unusable(error.to_string()))
    }

    /// What a new user is to be like.
    pub(crate) fn wanted(&mut self) -> Result<Wanted, Problem> {
        Ok(Wanted {
            public_key: self.public_key()?,
            expires_at: self.change("expires_at", time)?.flatten(),
            limits: UserLimits {
                quota: self.change("quota_bytes", number)?.flatten(),
                download: self.change("download_bytes_per_second", rate)?.flatten(),
                upload: self.change("upload_bytes_per_second", rate)?.flatten(),
            },
        })
    }

    pub(crate) fn public_key(&mut self) -> Result<Option<PublicKey>, Problem> {
        let text = self.text("public_key")?;
        let wrong =
            |_| Problem::unusable("`public_key` is no WireGuard key: 44 characters, as `wg pubkey` prints them");
        text.map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// A field that may be there: `null` takes away what was set.
    pub(crate) fn change<T>(
        &mut self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, &'static str>,
    ) -> Result<Option<Option<T>>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match read(&value) {
                Ok(value) => Ok(Some(Some(value))),
                Err(wanted) => Err(Problem::unusable(format!("`{name}` is no {wanted}"))),
            },
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        let read = |value: &Value| value.as_bool().ok_or("true or false");
        self.change(name, read).map(|found| found.flatten().unwrap_or(false))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let read = |value: &Value| value.as_str().map(str::to_owned).ok_or("text");
        self.change(name, read).map(Option::flatten)
    }
}

/// A time like `2026-11-22T02:02:03Z`.
pub(crate) fn time(value: &Value) -> Result<Timestamp, &'static str> {
    const WANTED: &str = "time like 2026-11-22T02:02:03Z";
    value.as_str().and_then(|text| parse_timestamp(text).ok()).ok_or(WANTED)
}

/// A number of bytes.
pub(crate) fn number(value: &Value) -> Result<u64, &'static str> {
    value.as_u64().ok_or("whole number of bytes, from 0")
}

/// A number of bytes a second.
pub(crate) fn rate(value: &Value) -> Result<u64, &'static str> {
    value.as_u64().filter(|rate| *rate > 0).ok_or("whole number of bytes a second, from 1")
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
