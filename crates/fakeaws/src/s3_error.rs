//! S3's errors: a status, a code, words, and elements of the error's own.

use bowline_base::{Timestamp, utc};
use http::Method;

use crate::{call::Call, cloud::State, reply::Answer, sigv4::Refusal, xml::element};

/// One error on its way out.
#[derive(Debug)]
pub(crate) struct S3Error {
    status: u16,
    code: String,
    message: String,
    extra: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

impl S3Error {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.into(), message: message.into(), extra: Vec::new(), headers: Vec::new() }
    }

    /// An error that was ordered.
    pub(crate) fn injected(status: u16, code: &str) -> Self {
        let words = match code {
            "SlowDown" => "Please reduce your request rate.",
            _ => "We encountered an internal error. Please try again.",
        };
        Self::new(status, code, words)
    }

    pub(crate) fn denied() -> Self {
        Self::new(403, "AccessDenied", "Access Denied")
    }

    /// Adds an element to the body.
    pub(crate) fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.extra.push((name, text.into()));
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.headers.push((name, text.into()));
        self
    }

    /// The answer; without a body for HEAD, as in S3.
    pub(crate) fn answer(self, state: &mut State, call: &Call) -> Answer {
        let id = state.mint.key_id("")[..16].to_owned();
        let extra: String = self.extra.iter().map(|(name, text)| element(name, text)).collect();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{}{}{extra}{}{}</Error>",
            element("Code", &self.code),
            element("Message", &self.message),
            element("RequestId", &id),
            element("HostId", "fake")
        );
        let body = if call.method == Method::HEAD || self.status == 304 { String::new() } else { body };
        let outcome = if self.status == 304 { "304".to_owned() } else { format!("{}.{}", self.status, self.code) };
        let answer = Answer::new(self.status, "application/xml", body, outcome).header("x-amz-request-id", &id);
        self.headers.iter().fold(answer, |answer, (name, text)| answer.header(name, text))
    }
}

/// S3's words for what the verifier found.
impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => Self::denied(),
            Refusal::Malformed(words) => Self::new(400, "AuthorizationHeaderMalformed", &words),
            Refusal::UnknownKey(id) => {
                let words = "The AWS Access Key Id you provided does not exist in our records.";
                Self::new(403, "InvalidAccessKeyId", words).with("AWSAccessKeyId", id)
            }
            Refusal::WrongToken => {
                Self::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
            }
            Refusal::Expired => Self::new(400, "ExpiredToken", "The provided token has expired."),
            Refusal::Skewed { sent, now, window } => skewed(sent, now, window.as_millis()),
            Refusal::NotSigned(name) => {
                let words = "There were headers present in the request which were not signed";
                Self::new(403, "AccessDenied", words).with("HeadersNotSigned", name)
            }
            Refusal::WrongService => {
                Self::new(400, "AuthorizationHeaderMalformed", "The service in the credential scope is not \"s3\"")
            }
            Refusal::BadSignature { key_id, signature, string_to_sign, canonical_request } => {
                let words = "The request signature we calculated does not match the signature you provided. Check \
                             your key and signing method.";
                Self::new(403, "SignatureDoesNotMatch", words)
                    .with("AWSAccessKeyId", key_id)
                    .with("StringToSign", string_to_sign)
                    .with("SignatureProvided", signature)
                    .with("CanonicalRequest", without_token(&canonical_request))
            }
        }
    }
}

/// The canonical request helps to find a mistake; the session token in it would be a secret in an error text.
fn without_token(canonical_request: &str) -> String {
    let hide =
        |line: &str| if line.starts_with("x-amz-security-token:") { "x-amz-security-token:…" } else { line }.to_owned();
    canonical_request.lines().map(hide).collect::<Vec<_>>().join("\n")
}

fn skewed(sent: Timestamp, now: Timestamp, window: u128) -> S3Error {
    let words = "The difference between the request time and the current time is too large.";
    S3Error::new(403, "RequestTimeTooSkewed", words)
        .with("RequestTime", crate::sigv4::stamp(sent))
        .with("ServerTime", utc(now))
        .with("MaxAllowedSkewMilliseconds", window.to_string())
}
