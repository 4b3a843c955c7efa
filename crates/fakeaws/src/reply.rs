//! What the cloud decided: an answer, when it goes out and how it ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

/// How the exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The answer goes out whole.
    Whole,
    /// Head and the first so many bytes of the body go out, then the connection closes.
    Truncate(usize),
    /// Head and the first so many bytes of the body go out, then nothing more comes.
    Stall(usize),
    /// The request is read and never answered.
    Hang,
    /// The connection is reset before a byte of the answer.
    Reset,
}

/// Shown again when the exchange is over, so that the calls in flight can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass(pub(crate) Vec<String>);

/// An answer and the orders that go with it.
#[derive(Debug)]
pub struct Reply {
    /// The answer, body whole; a HEAD answer has its headers only.
    pub response: Response<Bytes>,
    /// To wait before the first byte.
    pub delay: Duration,
    /// How the exchange ends.
    pub ending: Ending,
    /// For [`crate::Cloud::finished`].
    pub pass: Pass,
}

/// A service's answer and the word under which it is counted.
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
    pub(crate) outcome: String,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>, outcome: impl Into<String>) -> Self {
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { response, outcome: outcome.into() }.header("content-type", content_type)
    }

    /// Sets a header; a value that cannot stand in one is left out.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.response.headers_mut().insert(name, value);
        }
        self
    }
}
