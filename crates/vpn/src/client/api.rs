//! The server's REST API, as far as the command line asks it. One request is sent once; what is wrong is told in the
//! server's own words.

use std::{error::Error, sync::Arc, time::Duration};

use bowline_base::{
    Fault, Kind, Secret,
    url::harmless,
    wire::{Limits, Wire, WireError},
};
use bowline_host::tls::Pin;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use crate::server::ADMINISTRATORS;

/// Where the server is, and how it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `https://vpn.example.net:8000`
    pub url: String,
    /// The one certificate that it may show; none where authorities vouch for it.
    pub pin: Option<Pin>,
}

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It opens everything.
    Administrator,
    /// It opens one record.
    User,
}

/// The API with a key.
pub struct Api {
    wire: Arc<dyn Wire>,
    account: Account,
    key: Secret,
}

const LIMITS: Limits = Limits { head: Duration::from_secs(20), idle: Duration::from_secs(10) };
const LONGEST: usize = 8 << 20;
const KIND: &str = "bowline-vpn-account";

impl Account {
    /// Checks the address: https, or this machine.
    ///
    /// # Errors
    /// It is no such address.
    pub fn new(url: &str, pin: Option<Pin>) -> Result<Self, Fault> {
        let with_hint = |what: &str, hint: String| {
            Fault::new(Kind::Config, "vpn", format!("`{}` {what}", harmless(url))).hint(hint)
        };
        let wrong = |what: &str| with_hint(what, "bowline vpn setup https://vpn.example.net:8000".to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if here => {}
            Some("http") => {
                // The API speaks both on one port.
                let sealed = url.replacen("http", "https", 1);
                return Err(with_hint(
                    "would show the key to everybody on the way",
                    format!("bowline vpn setup {sealed}"),
                ));
            }
            _ => return Err(wrong("is no https:// address")),
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("has more than a host and a port"));
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), pin })
    }

    /// As a file.
    #[must_use]
    pub fn text(&self) -> String {
        json!({ "kind": KIND, "version": 1, "url": self.url, "pin": self.pin.map(|pin| pin.to_string()) }).to_string()
    }

    /// Reads [`Account::text`]; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let known = value["kind"] == KIND && value["version"] == 1;
        let pin = match value["pin"].as_str() {
            Some(pin) => Some(pin.parse().ok()?),
            None => None,
        };
        known.then_some(())?;
        Self::new(value["url"].as_str()?, pin).ok()
    }
}

impl Api {
    /// Asks nothing as yet. `wire` believes what `account` says is to be believed.
    #[must_use]
    pub fn new(wire: Arc<dyn Wire>, account: Account, key: Secret) -> Self {
        Self { wire, account, key }
    }

    /// Whether the server is there and healthy.
    ///
    /// # Errors
    /// It is not.
    pub async fn health(&self) -> Result<Value, Fault> {
        self.json(Method::GET, "/health", None).await
    }

    /// A JSON answer of the API.
    ///
    /// # Errors
    /// The server was not reached, or refused, in its words.
    pub async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Fault> {
        let text = self.text(method, path, body).await?;
        if text.is_blank() {
            return Ok(Value::Null);
        }
        serde_json::from_str(text.expose()).map_err(|cause| {
            Fault::new(Kind::Unreachable, "vpn", format!("`{}` answers no JSON", self.account.url)).cause(cause)
        })
    }

    /// Whose the key is: the list of users is the administrator's alone.
    ///
    /// # Errors
    /// As [`Api::json`]; the key is nobody's.
    pub async fn owner(&self) -> Result<Owner, Fault> {
        match self.exchange(Method::GET, "/users", None).await? {
            (status, _) if status.is_success() => Ok(Owner::Administrator),
            // Who is out is forbidden everything.
            (StatusCode::FORBIDDEN, text) if word(&text, "detail").as_deref() == Some(ADMINISTRATORS) => {
                Ok(Owner::User)
            }
            (status, text) => Err(self.refused(status.as_u16(), &text)),
        }
    }

    /// Any answer as text; it may hold keys.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn text(&self, method: Method, path: &str, body: Option<Value>) -> Result<Secret, Fault> {
        let (status, text) = self.exchange(method, path, body).await?;
        if status.is_success() { Ok(text) } else { Err(self.refused(status.as_u16(), &text)) }
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, Secret), Fault> {
        let url = format!("{}{path}", self.account.url);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header(header::ACCEPT, "application/json, text/plain, image/svg+xml")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Bytes::new, |body| body.to_string().into()));
        let request = request
            .map_err(|cause| Fault::new(Kind::Config, "vpn", "the key is no text that can be sent").cause(cause))?;
        let response = self.wire.send(request, LIMITS).await.map_err(|error| self.away(error))?;
        let status = response.status();
        let read = Limited::new(response.into_body(), LONGEST).collect().await;
        let bytes = read.map_err(|cause| self.broken().cause(cause))?.to_bytes();
        Ok((status, Secret::new(String::from_utf8_lossy(&bytes).into_owned())))
    }

    fn away(&self, error: WireError) -> Fault {
        // A certificate does not get better by itself.
        let kind = if is_about_the_certificate(&error) { Kind::Refused } else { Kind::Unreachable };
        Fault { kind, ..self.broken() }
            .hint("bowline vpn setup, if the address or the certificate has changed")
            .cause(error)
    }

    fn broken(&self) -> Fault {
        Fault::new(Kind::Unreachable, "vpn", format!("cannot talk to `{}`", self.account.url))
    }

    /// A problem document (RFC 9457) in the server's words; they hold no key.
    fn refused(&self, status: u16, text: &Secret) -> Fault {
        let detail = word(text, "detail").or_else(|| word(text, "title"));
        let detail = detail.unwrap_or_else(|| format!("status {status}"));
        let kind = if status >= 500 || status == 429 { Kind::Unreachable } else { Kind::Refused };
        let fault = Fault::new(kind, "vpn", format!("the server refuses: {detail}"));
        match (word(text, "hint"), status) {
            (Some(hint), _) => fault.hint(hint),
            (None, 401) => fault.hint("bowline vpn setup, with another key"),
            (None, _) => fault,
        }
    }
}

fn word(problem: &Secret, name: &str) -> Option<String> {
    serde_json::from_str::<Value>(problem.expose()).ok()?[name].as_str().map(str::to_owned)
}

fn is_about_the_certificate(error: &WireError) -> bool {
    let first = Some(error as &(dyn Error + 'static));
    std::iter::successors(first, |error| (*error).source()).any(|error| error.to_string().contains("certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_nobody_knows_is_refused_and_a_silent_server_is_asked_later() {
        let failed = |cause: &str| WireError::Connect { host: "h".to_owned(), cause: cause.into() };
        assert!(is_about_the_certificate(&failed("invalid peer certificate: UnknownIssuer")));
        assert!(!is_about_the_certificate(&failed("connection refused")));
    }

    #[test]
    fn an_account_comes_back_and_a_key_never_travels_in_the_clear() {
        let account = Account::new("https://vpn.example.net:8000/", Some(Pin::of(b"x"))).unwrap();
        assert_eq!(Account::parse(&account.text()), Some(account));
        assert!(Account::new("http://127.0.0.1:8000", None).is_ok());
        let hint = Account::new("http://vpn.example.net:8000", None).unwrap_err().hint.unwrap();
        assert_eq!(hint, "bowline vpn setup https://vpn.example.net:8000");
        for wrong in ["http://vpn.example.net:8000", "vpn.example.net", "https://a/users", "ftp://a"] {
            assert!(Account::new(wrong, None).is_err(), "{wrong}");
        }
    }
}
