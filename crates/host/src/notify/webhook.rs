//! A server that is sent each message as JSON, with a time and a signature that only a holder of the secret can make.
//!
//! One POST, one verdict: when it is tried again is the outbox's business. Redirects are not followed, and the answer's
//! body is not read.

use std::{error::Error as _, fmt, fs, io, path::PathBuf, time::Duration};

use bowline_base::{
    Fault, Kind, Secret, shell,
    wire::{Limits, Wire, WireError},
};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use ring::hmac;
use zeroize::Zeroizing;

use super::{message::Message, outbox::Outcome};

/// Where messages go, and what signs them.
#[derive(Clone)]
pub struct Webhook {
    url: Uri,
    secret: SecretPlace,
    patience: Duration,
}

/// Where the secret is.
#[derive(Clone, Debug)]
pub enum SecretPlace {
    /// In a file, read for every message; a line end behind it does not count.
    File(PathBuf),
    /// It was in the environment.
    Given(Secret),
    /// There is none: messages are not signed.
    None,
}

/// An address may hold a token: only its host is shown.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// How long the server may take.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Sends to `url`, signed with `secret`; the server has `patience` to answer.
    ///
    /// # Errors
    /// Why `url` is no address to send to, never showing it whole.
    pub fn new(url: &str, secret: SecretPlace, patience: Duration) -> Result<Self, String> {
        Ok(Self { url: parse(url)?, secret, patience })
    }

    /// Host and port, for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.authority().map_or("", http::uri::Authority::as_str)
    }

    /// `SCHEME://HOST:PORT/`, for people and for a look at who answers: a path may be a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}/", self.url.scheme_str().unwrap_or("https"), self.host())
    }

    /// Whether there is a secret to sign with.
    ///
    /// # Errors
    /// `Config`: there is none.
    pub fn check(&self) -> Result<(), Fault> {
        self.secret.read().map(drop)
    }

    pub(super) async fn post(&self, wire: &dyn Wire, message: &Message, machine: &str) -> Outcome {
        let secret = match self.secret.read() {
            Ok(secret) => secret,
            Err(fault) => return Outcome::Later(fault.chain()),
        };
        let body = message.document(machine).to_string();
        let timestamp = wire.now().wall.as_second().to_string();
        let request = Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("bowline/", env!("CARGO_PKG_VERSION")))
            .header("x-bowline-delivery", &message.id);
        let request = match &secret {
            Some(secret) => request.header("x-bowline-signature", signature(secret, &timestamp, &body)),
            None => request,
        };
        let request = request.header("x-bowline-timestamp", timestamp).body(Bytes::from(body));
        let Ok(request) = request else { return Outcome::Refused("the message makes no request".to_owned()) };
        match wire.send(request, Limits { head: self.patience, idle: self.patience }).await {
            Ok(answer) => verdict(answer.status(), self.host()),
            Err(error) => Outcome::Later(whole(&error)),
        }
    }
}

impl SecretPlace {
    fn read(&self) -> Result<Option<Secret>, Fault> {
        let path = match self {
            Self::None => return Ok(None),
            Self::Given(secret) => return Ok(Some(secret.clone())),
            Self::File(path) => path,
        };
        let wrong = |why: &str, cause: &io::Error| {
            Fault::new(Kind::Config, "webhook", format!("{why} the webhook's secret in `{}`", path.display()))
                .hint(shell::to_have_a_secret_in(path, cause))
        };
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|cause| wrong("cannot read", &cause).cause(cause))?;
        let secret = Secret::new(text.trim_end_matches(['\r', '\n']));
        // Nothing is lost by writing over nothing.
        let nothing = || wrong("there is nothing in place of", &io::ErrorKind::NotFound.into());
        if secret.is_blank() { Err(nothing()) } else { Ok(Some(secret)) }
    }
}

/// `sha256=` and the HMAC-SHA-256 of `TIMESTAMP.BODY` in lower-case hexadecimal digits.
fn signature(secret: &Secret, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// What and why; a certificate that is not trusted is told as deep as this.
fn whole(error: &WireError) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

fn verdict(status: StatusCode, host: &str) -> Outcome {
    let code = status.as_u16();
    match code {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 | 500..=599 => Outcome::Later(format!("`{host}` answered {code}")),
        300..=399 => Outcome::Refused(format!("`{host}` answered {code}, and redirects are not followed")),
        _ => Outcome::Refused(format!("`{host}` answered {code}")),
    }
}

/// Over https, or in plain text on loopback; without a user and a password, which would not be sent.
fn parse(text: &str) -> Result<Uri, String> {
    let no = || "the webhook's `url` must be https://HOST/PATH, or http:// on loopback".to_owned();
    let url: Uri = text.parse().map_err(|_| no())?;
    let authority = url.authority().ok_or_else(no)?;
    if authority.as_str().contains('@') {
        return Err("the webhook's `url` holds a user name, and a request has no place for it".to_owned());
    }
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if crate::client::is_loopback(&url) => Ok(url),
        _ => Err(no()),
    }
}

#[cfg(test)]
mod tests;
