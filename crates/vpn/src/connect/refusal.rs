//! Why a client is not connected, and what it is told.

use std::{io, time::Duration};

use bowline_tunnel::egress::Reason;
use http::{StatusCode, header::HeaderValue};

use super::Refused;

/// Each has one status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this proxy knows CONNECT alone")]
    NotConnect,
    #[error("the target is not host:port")]
    NoTarget,
    #[error("a key is needed: your name and API key, or the API key as Bearer")]
    NoKey,
    #[error("too many wrong keys came from your address: try again in {} s", .0.as_secs().max(1))]
    TryLater(Duration),
    #[error("you may not use the VPN now: {0}")]
    Ended(String),
    #[error("port {0} is not open here")]
    Port(u16),
    #[error("`{0}` may not be reached: {1}")]
    Egress(String, Reason),
    #[error("this proxy carries no WireGuard")]
    NoWireGuard,
    #[error("you have {0} tunnels open: end some")]
    TooMany(usize),
    #[error("`{0}` has no address")]
    NoAddress(String),
    #[error("cannot connect to `{0}`: {1}")]
    NotReached(String, io::Error),
    #[error("`{0}` does not answer")]
    TooSlow(String),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotConnect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoTarget => StatusCode::BAD_REQUEST,
            Self::NoKey => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::TryLater(_) | Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Ended(_) | Self::Port(_) | Self::Egress(..) | Self::NoWireGuard => StatusCode::FORBIDDEN,
            Self::NoAddress(_) | Self::NotReached(..) => StatusCode::BAD_GATEWAY,
            Self::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What the status obliges to say besides.
    pub(super) fn headers(&self) -> Vec<(&'static str, HeaderValue)> {
        let value = HeaderValue::from_static;
        match self {
            Self::NotConnect => vec![("allow", value("CONNECT"))],
            Self::NoKey => {
                let basic = value("Basic realm=\"bowline\", charset=\"UTF-8\"");
                vec![("proxy-authenticate", basic), ("proxy-authenticate", value("Bearer realm=\"bowline\""))]
            }
            Self::TryLater(time) => vec![("retry-after", time.as_secs().max(1).into())],
            Self::NoTarget
            | Self::Ended(_)
            | Self::Port(_)
            | Self::Egress(..)
            | Self::NoWireGuard
            | Self::TooMany(_)
            | Self::NoAddress(_)
            | Self::NotReached(..)
            | Self::TooSlow(_) => Vec::new(),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::NoKey,
            Refused::Ended(why) => Self::Ended(why),
            Refused::TryLater(time) => Self::TryLater(time),
        }
    }
}
