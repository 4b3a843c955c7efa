//! Answers as HTTP: the same headers for GET and HEAD, from memory and from a growing file.

use std::ops::Range;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{self, HeaderValue as Value},
};

use crate::{
    body::Payload,
    checksum::Fingerprint,
    conditional::{Facts, Portion, portion},
    content_type,
    record::Record,
    upstream::{Head, Trouble},
    verdict,
};

const CACHE: HeaderName = HeaderName::from_static("x-bowline-cache");
const REASON: HeaderName = HeaderName::from_static("x-bowline-reason");
const MD5: HeaderName = HeaderName::from_static("x-checksum-md5");
const SHA1: HeaderName = HeaderName::from_static("x-checksum-sha1");
const SHA256: HeaderName = HeaderName::from_static("x-checksum-sha256");

/// How a request was served: `x-bowline-cache`, and a label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// From the cache, unasked.
    Hit,
    /// The upstream was asked and had it, or had it not.
    Miss,
    /// Another request had the upstream asked already.
    Joined,
    /// From the cache because the upstream fails.
    Stale,
    /// From the cache after the upstream said that it is right.
    Revalidated,
    /// Known to be missing, unasked.
    Negative,
    /// Past the cache.
    Pass,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Negative => "negative",
            Self::Pass => "pass",
        }
    }
}

/// A file that was found, before its bytes.
pub(crate) struct FileAnswer<'a> {
    pub(crate) key: &'a str,
    pub(crate) head: &'a Head,
    pub(crate) outcome: Outcome,
    /// Seconds since the last validation, for a stale answer.
    pub(crate) age: Option<u64>,
    /// Of the whole file, where they are known.
    pub(crate) sums: Option<&'a Fingerprint>,
    /// [`hit_headers`] of this file, where they were made already.
    pub(crate) ready: Option<&'a HeaderMap>,
}

/// The headers of a whole file that is in the cache, to be made once for many answers.
pub(crate) fn hit_headers(record: &Record) -> HeaderMap {
    let Record { key, head, fingerprint, .. } = record;
    let answer = FileAnswer { key, head, outcome: Outcome::Hit, age: None, sums: fingerprint.as_ref(), ready: None };
    let mut headers = HeaderMap::with_capacity(12);
    answer.describe(&mut headers, StatusCode::OK, Some(0..head.length));
    // Every answer gets it in the end; here already, so that the map does not grow then.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, Value::from_static("nosniff"));
    headers
}

impl FileAnswer<'_> {
    /// Holds the conditions and ranges of the request against the file. `payload` is called for what is sent.
    pub(crate) fn respond(
        &self,
        method: &Method,
        request: &HeaderMap,
        payload: impl FnOnce(Range<u64>) -> Payload,
    ) -> Response<Payload> {
        let Head { etag, last_modified, length, .. } = self.head;
        let facts = Facts { etag: etag.as_deref(), last_modified: last_modified.as_deref(), length: *length };
        let (status, range) = match portion(request, facts) {
            // RFC 9110, 14.2: a range is for GET alone.
            Portion::Part(range) if *method == Method::GET => (StatusCode::PARTIAL_CONTENT, Some(range)),
            Portion::Unsatisfiable if *method == Method::GET => (StatusCode::RANGE_NOT_SATISFIABLE, None),
            Portion::Whole | Portion::Part(_) | Portion::Unsatisfiable => (StatusCode::OK, Some(0..*length)),
            Portion::NotModified => (StatusCode::NOT_MODIFIED, None),
            Portion::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, None),
        };
        let mut response = Response::new(Payload::empty());
        *response.status_mut() = status;
        match self.ready.filter(|_| status == StatusCode::OK && self.outcome == Outcome::Hit) {
            Some(headers) => response.headers_mut().clone_from(headers),
            None => self.describe(response.headers_mut(), status, range.clone()),
        }
        if let Some(range) = range.filter(|_| *method == Method::GET) {
            *response.body_mut() = payload(range);
        }
        response
    }

    fn describe(&self, headers: &mut HeaderMap, status: StatusCode, range: Option<Range<u64>>) {
        let length = self.head.length;
        headers.insert(header::ACCEPT_RANGES, Value::from_static("bytes"));
        headers.insert(CACHE, Value::from_static(self.outcome.as_str()));
        put(headers, header::ETAG, self.head.etag.as_deref());
        put(headers, header::LAST_MODIFIED, self.head.last_modified.as_deref());
        match range {
            Some(range) => {
                let given = self.head.content_type.as_deref();
                put(headers, header::CONTENT_TYPE, Some(content_type::of(self.key, given)));
                put(headers, header::CONTENT_ENCODING, self.head.content_encoding.as_deref());
                headers.insert(header::CONTENT_LENGTH, Value::from(range.end - range.start));
                put(headers, MD5, self.sums.map(|sums| sums.md5.as_str()));
                put(headers, SHA1, self.sums.map(|sums| sums.sha1.as_str()));
                put(headers, SHA256, self.sums.map(|sums| sums.sha256.as_str()));
                if status == StatusCode::PARTIAL_CONTENT {
                    let part = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                    put(headers, header::CONTENT_RANGE, Some(&part));
                }
            }
            None if status == StatusCode::RANGE_NOT_SATISFIABLE => {
                put(headers, header::CONTENT_RANGE, Some(&format!("bytes */{length}")));
            }
            None => {}
        }
        if let Some(age) = self.age {
            headers.insert(header::AGE, Value::from(age));
            headers.insert(header::WARNING, Value::from_static("110 bowline \"Response is Stale\""));
        }
    }
}

/// The answer to trouble, and to a missing key.
pub(crate) fn trouble(trouble: &Trouble, outcome: Outcome) -> Response<Payload> {
    let verdict = verdict::of(trouble);
    let status = StatusCode::from_u16(verdict.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let hint = match trouble {
        Trouble::Credentials { hint: Some(hint), .. } => format!("hint: {hint}\n"),
        _ => String::new(),
    };
    let mut response = text(status, &format!("{trouble}\n{hint}"));
    let headers = response.headers_mut();
    headers.insert(CACHE, Value::from_static(outcome.as_str()));
    headers.insert(REASON, Value::from_static(verdict.reason));
    if let Some(pause) = verdict.retry_after {
        headers.insert(header::RETRY_AFTER, Value::from(pause.as_secs()));
    }
    response
}

/// A refusal of the request itself.
pub(crate) fn refusal(status: u16, reason: &'static str, message: &str) -> Response<Payload> {
    let mut response = text(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &format!("{message}\n"));
    response.headers_mut().insert(REASON, Value::from_static(reason));
    if status == 405 {
        response.headers_mut().insert(header::ALLOW, Value::from_static("GET, HEAD"));
    }
    response
}

/// A body that was made here.
pub(crate) fn made(status: StatusCode, media_type: &'static str, body: String) -> Response<Payload> {
    let mut response = Response::new(Payload::memory(Bytes::from(body)));
    *response.status_mut() = status;
    let length = Value::from(http_body::Body::size_hint(response.body()).lower());
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response.headers_mut().insert(header::CONTENT_TYPE, Value::from_static(media_type));
    response
}

fn text(status: StatusCode, body: &str) -> Response<Payload> {
    made(status, "text/plain; charset=utf-8", body.to_owned())
}

/// A value that came from elsewhere: left out if no header can carry it.
fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}
