//! A wire for unit tests: answers from a script, virtual time, every request kept.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use base::{
    BoxFuture, Credentials, KeyId, Now, Secret, Timestamp,
    wire::{Body, Limits, Wire, WireError},
};
use bowline_base as base;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};

use crate::{Aws, Endpoints, Region};

/// What happens to one request.
pub(crate) enum Act {
    Answer(u16, Vec<(&'static str, String)>, String),
    CutOff(u16, String),
    Break,
    Refuse,
    Hang,
}

pub(crate) fn answer(status: u16, body: &str) -> Act {
    Act::Answer(status, Vec::new(), body.to_owned())
}

pub(crate) fn answer_with(status: u16, headers: &[(&'static str, &str)], body: &str) -> Act {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Act::Answer(status, headers, body.to_owned())
}

pub(crate) struct Scripted {
    script: Mutex<VecDeque<Act>>,
    pub(crate) sent: Mutex<Vec<Request<Bytes>>>,
    boot: Mutex<Duration>,
}

pub(crate) const START: &str = "2026-11-22T02:00:00Z";

impl Scripted {
    pub(crate) fn new(script: Vec<Act>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into()), sent: Mutex::default(), boot: Mutex::default() })
    }

    pub(crate) fn aws(self: &Arc<Self>) -> Aws {
        Aws::new(Arc::<Self>::clone(self), Endpoints::default())
    }

    pub(crate) fn header(&self, index: usize, name: &str) -> String {
        let sent = self.sent.lock().unwrap();
        sent[index].headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

impl Wire for Scripted {
    fn now(&self) -> Now {
        let boot = *self.boot.lock().unwrap();
        Now { boot, wall: start() + boot }
    }

    fn entropy(&self) -> u64 {
        u64::MAX
    }

    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        let host = request.uri().authority().unwrap().to_string();
        self.sent.lock().unwrap().push(request);
        let act = self.script.lock().unwrap().pop_front().expect("the script has an act for every request");
        Box::pin(async move {
            match act {
                Act::Answer(status, headers, body) => {
                    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
                    let mut response = Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    Ok(response.body(body).unwrap())
                }
                Act::CutOff(status, body) => {
                    let frames = [Ok(http_body::Frame::data(Bytes::from(body))), Err(broken("x"))];
                    let body = Frames(frames.into_iter().collect()).boxed_unsync();
                    Ok(Response::builder().status(status).body(body).unwrap())
                }
                Act::Break => Err(broken(&host)),
                Act::Refuse => Err(WireError::Connect { host, cause: "refused".into() }),
                Act::Hang => std::future::pending().await,
            }
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        *self.boot.lock().unwrap() += time;
        Box::pin(async {})
    }
}

fn broken(host: &str) -> WireError {
    WireError::Broken { host: host.to_owned(), cause: "cut".into() }
}

type Frame = Result<http_body::Frame<Bytes>, WireError>;

struct Frames(VecDeque<Frame>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Frame>> {
        Poll::Ready(self.0.pop_front())
    }
}

pub(crate) fn start() -> Timestamp {
    START.parse().unwrap()
}

pub(crate) fn region() -> Region {
    Region::parse("eu-central-1").unwrap()
}

pub(crate) fn keys(id: &str) -> Credentials {
    Credentials {
        key_id: KeyId::new(id),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        session_token: Some(Secret::new("TOKEN+/=")),
        expires_at: None,
        obtained_at: start() - Duration::from_secs(3600),
        account_id: None,
    }
}
