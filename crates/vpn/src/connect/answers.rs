//! What is said before a connection leaves HTTP, or is refused.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CONNECTION, CONTENT_TYPE},
};
use http_body_util::Full;

use super::{framing, refusal::Refusal};

/// The bytes that follow are the target's.
pub(super) fn connected() -> Response<Full<Bytes>> {
    Response::new(Full::default())
}

/// What follows are frames: a client must not take a stranger's proxy for ours.
pub(super) fn frames() -> Response<Full<Bytes>> {
    let mut response = connected();
    response.headers_mut().insert(framing::HEADER, HeaderValue::from_static(framing::VERSION));
    response
}

/// The refusal as a status and one line of text.
pub(super) fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{refusal}\n")));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in refusal.headers() {
        headers.append(name, value);
    }
    response
}
