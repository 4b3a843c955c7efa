//! A plain GET after every look at which all was well: healthchecks.io, Uptime Kuma and their like raise an alarm when it
//! stays away.

use std::{fmt, time::Duration};

use bowline_base::wire::{Limits, Wire};
use bytes::Bytes;
use http::{Request, Uri};

/// Where the GET goes. Such an address is as good as a key: only its host is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Healthcheck(Uri);

const LIMITS: Limits = Limits { head: Duration::from_secs(5), idle: Duration::from_secs(2) };

impl fmt::Debug for Healthcheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Healthcheck").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Healthcheck {
    /// A healthcheck at this URL.
    ///
    /// # Errors
    /// Why it is none; the URL is not shown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "a healthcheck is https://HOST/PATH, or http:// on this machine or in the local network".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("https" | "http"), Some(authority)) if !authority.as_str().contains('@') => Ok(Self(uri)),
            _ => Err(wrong()),
        }
    }

    /// Host and port, for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.authority().map_or("", http::uri::Authority::as_str)
    }

    /// Says that all is well.
    ///
    /// # Errors
    /// Why it was not heard.
    pub(crate) async fn ping(&self, wire: &dyn Wire) -> Result<(), String> {
        let request = Request::get(self.0.clone())
            .header("user-agent", concat!("bowline/", env!("CARGO_PKG_VERSION")))
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let answer = wire.send(request, LIMITS).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("`{}` answered {}", self.host(), status.as_u16())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_never_shown_whole() {
        let check = Healthcheck::parse("https://hc-ping.com/5ecret").unwrap();
        assert!(format!("{check:?}").contains("hc-ping.com") && !format!("{check:?}").contains("5ecret"));
        for text in ["", "hc-ping.com/x", "ftp://h/x5ecret", "https://u:5ecret@h/"] {
            assert!(!Healthcheck::parse(text).unwrap_err().contains("5ecret"), "{text}");
        }
        assert!(Healthcheck::parse("http://192.168.1.5:3001/api/push/x?status=up").is_ok());
    }
}
