//! The one door to the network: what a crate that speaks HTTP is handed instead of a socket and a clock.
//!
//! `host` has the real one; tests have one with virtual time. Retry, skew and renewal are not its business.

use std::time::Duration;

use bytes::Bytes;

use crate::{BoxFuture, Now};

/// A response body: a stream of chunks that may fail half-way.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, WireError>;

/// How long the other side may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the call to the head of the answer, connecting included.
    pub head: Duration,
    /// Between two chunks of the body.
    pub idle: Duration,
}

impl Default for Limits {
    /// 10 s to the head, 20 s between chunks.
    fn default() -> Self {
        Self { head: Duration::from_secs(10), idle: Duration::from_secs(20) }
    }
}

/// The exchange did not take place, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No connection: refused, no route, no such host, TLS failed.
    #[error("cannot connect to `{host}`")]
    Connect {
        /// Host and port that were tried.
        host: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came within the limit.
    #[error("`{host}` did not answer within {}", crate::units::duration(*.limit))]
    TimedOut {
        /// Host and port that were asked.
        host: String,
        /// The limit that was passed.
        limit: Duration,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("`{host}` broke off the exchange")]
    Broken {
        /// Host and port that were asked.
        host: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Sends one request and gives one answer; tells the time; waits.
pub trait Wire: Send + Sync {
    /// Both clocks, read now.
    fn now(&self) -> Now;

    /// A fresh random number, for jitter and for nothing secret.
    fn entropy(&self) -> u64;

    /// Sends `request` (absolute URI) once and answers with the head and a streaming body. No redirects, no retries.
    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<http::Response<Body>, WireError>>;

    /// Waits, as the runtime sees it.
    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()>;
}
