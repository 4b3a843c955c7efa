//! An AWS without sockets, at a time that runs fast and can be moved on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bowline_base::{
    BoxFuture, Now,
    wire::{Body, Limits, Wire, WireError},
};
use bowline_fakeaws::{Cloud, Ending};
use bowline_host::clock;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};

/// Virtual seconds in a real one, so that retries and pauses cost a test little.
const SPEED: u32 = 50;

/// The wire to a cloud; the time of everybody who holds it.
pub(super) struct VirtualCloud {
    cloud: Arc<Cloud>,
    start: Now,
    ahead: AtomicU64,
    draws: AtomicU64,
}

impl VirtualCloud {
    pub(super) fn new(cloud: Arc<Cloud>, start: Now) -> Self {
        Self { cloud, start, ahead: AtomicU64::new(0), draws: AtomicU64::new(0) }
    }

    /// Time that has passed since the start.
    pub(super) fn elapsed(&self) -> Duration {
        let real = clock::now().boot.saturating_sub(self.start.boot);
        real * SPEED + Duration::from_millis(self.ahead.load(Ordering::Relaxed))
    }

    /// It is `time` later now.
    pub(super) fn advance(&self, time: Duration) {
        self.ahead.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Body>, WireError> {
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, host.parse().unwrap());
        }
        let reply = self.cloud.handle(self.now(), request);
        self.cloud.finished(&reply.pass);
        let answer = |body: Bytes| Full::new(body).map_err(|never| match never {}).boxed_unsync();
        match reply.ending {
            Ending::Whole => Ok(reply.response.map(answer)),
            Ending::Hang | Ending::Stall(_) => Err(WireError::TimedOut { host, limit: Duration::from_secs(10) }),
            Ending::Reset | Ending::Truncate(_) => Err(WireError::Broken { host, cause: "reset".into() }),
        }
    }
}

impl Wire for VirtualCloud {
    fn now(&self) -> Now {
        self.start.after(self.elapsed())
    }

    fn entropy(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        Box::pin(async move { self.exchange(request) })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        let end = self.elapsed() + time;
        Box::pin(async move {
            while self.elapsed() < end {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }
}
