//! A call as a value, before anybody has signed or sent it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Error, Region, Service, endpoint::Base, rolesanywhere::Signer};

/// How the call proves who asks.
#[derive(Clone)]
pub(crate) enum Auth {
    /// Not by a signature.
    Unsigned,
    /// SigV4 for this region under this service name.
    Signed { region: Region, name: &'static str },
    /// SigV4-X509 for this region: the private key of a certificate signs.
    X509 { region: Region, signer: Arc<dyn Signer> },
}

impl Auth {
    pub(crate) fn signed(region: &Region, service: Service) -> Self {
        let name = match service {
            Service::Iam => return Self::Signed { region: region.partition().iam_region(), name: "iam" },
            Service::Ec2 => "ec2",
            Service::Logs => "logs",
            Service::RolesAnywhere => "rolesanywhere",
            Service::S3 => "s3",
            Service::Signin => "signin",
            Service::Ssm => "ssm",
            Service::Sso => "awsssoportal",
            Service::SsoOidc => "sso-oauth",
            Service::Sts => "sts",
        };
        Self::Signed { region: region.clone(), name }
    }

    /// Whether the host's clock matters.
    pub(crate) fn is_signed(&self) -> bool {
        !matches!(self, Self::Unsigned)
    }
}

/// What a lost answer costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Nothing: the call may be sent again.
    Freely,
    /// What was sent may be spent: one quick repetition, then the caller has to know.
    Once,
    /// It would be done twice: again only after a refusal that says that nothing was done, as a throttled call is. Where
    /// the answer is lost, the error is ambiguous.
    WhenRefused,
    /// It would be done twice: the caller finds out what arrived.
    Never,
}

impl Repeat {
    /// A lost answer leaves the caller in doubt.
    pub(crate) fn leaves_doubt(self) -> bool {
        matches!(self, Self::Once | Self::WhenRefused)
    }
}

/// What to do with a good answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Collect it, at most this many bytes.
    Buffer(usize),
    /// Hand it on.
    Stream,
}

/// A call, complete but for the signature.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) service: Service,
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) base: Base,
    /// Encoded path and query: what is signed is what is sent.
    target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) auth: Auth,
    pub(crate) repeat: Repeat,
    pub(crate) reading: Reading,
}

/// Headers and body may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("operation", &self.operation).finish_non_exhaustive()
    }
}

const USUAL_ANSWER: usize = 1 << 20;

impl Request {
    pub(crate) fn new(service: Service, operation: &'static str, method: Method, base: Base, path: &str) -> Self {
        Self {
            service,
            operation,
            method,
            base,
            target: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            auth: Auth::Unsigned,
            repeat: Repeat::Freely,
            reading: Reading::Buffer(USUAL_ANSWER),
        }
    }

    pub(crate) fn read(service: Service, operation: &'static str, base: Base, path: &str) -> Self {
        Self::new(service, operation, Method::GET, base, path)
    }

    pub(crate) fn post(service: Service, operation: &'static str, base: Base, path: &str) -> Self {
        Self::new(service, operation, Method::POST, base, path)
    }

    pub(crate) fn auth(self, auth: Auth) -> Self {
        Self { auth, ..self }
    }

    pub(crate) fn repeat(self, repeat: Repeat) -> Self {
        Self { repeat, ..self }
    }

    pub(crate) fn streamed(self) -> Self {
        Self { reading: Reading::Stream, ..self }
    }

    pub(crate) fn at_most(self, bytes: usize) -> Self {
        Self { reading: Reading::Buffer(bytes), ..self }
    }

    pub(crate) fn body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(&format!("{name}={}", encode(value)));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// A header whose text came from outside.
    pub(crate) fn text_header(mut self, name: HeaderName, text: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(text).map_err(|_| {
            Error::unusable(self.service, &format!("`{}` cannot stand in `{name}`", text.escape_debug()))
        })?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The body of the query protocol: `Action`, `Version` and the fields that are there.
    pub(crate) fn form(self, version: &str, fields: &[(&str, Option<&str>)]) -> Self {
        let mut text = format!("Action={}&Version={version}", self.operation);
        for (name, value) in fields {
            if let Some(value) = value {
                text.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        self.header("content-type", HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"))
            .body(Bytes::from(text))
    }

    pub(crate) fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", HeaderValue::from_static("application/json")).body(Bytes::from(body.to_string()))
    }

    /// The same question for one byte: S3 gives a reason with a refused GET, and none with a refused HEAD.
    pub(crate) fn probe(&self) -> Self {
        let mut probe = Self { method: Method::GET, reading: Reading::Buffer(USUAL_ANSWER), ..self.clone() };
        probe.headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        probe.headers.remove("x-amz-checksum-mode");
        probe
    }

    /// What to do with a good answer to this call, or to its probe.
    pub(crate) fn reading_of(&self, probing: bool) -> Reading {
        if probing { Reading::Buffer(USUAL_ANSWER) } else { self.reading }
    }

    /// The absolute URI, as text: parsing and printing must not change it.
    pub(crate) fn uri(&self) -> String {
        self.base.url() + &self.target
    }
}

/// RFC 3986's unreserved characters stay; SigV4 allows no others.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const RESERVED_IN_PATH: AsciiSet = RESERVED.remove(b'/');

/// Encodes a query or form value, slashes too.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// Encodes an S3 key; slashes stay, and nothing is folded: `a//b` and `a/../b` are keys of their own.
pub(crate) fn encode_path(key: &str) -> String {
    utf8_percent_encode(key, &RESERVED_IN_PATH).to_string()
}
