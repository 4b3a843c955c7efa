//! Lets the machine of a call run over a wire: sends, reads, waits, asks the identity. Decides nothing.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use bowline_base::{
    Identity,
    wire::{Body, Wire, WireError},
};
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;

pub(crate) use crate::call::Answer;
use crate::{
    Aws, Error,
    call::{Call, Step},
    request::{Auth, Reading, Request},
};

/// Runs a call to its whole answer.
pub(crate) async fn drive(aws: &Aws, request: Request, identity: Option<&dyn Identity>) -> Result<Answer, Error> {
    let (service, operation) = (request.service, request.operation);
    match start(aws, request, identity).await? {
        Outcome::Whole(answer) => Ok(answer),
        Outcome::Streaming(response) => {
            let status = Some(response.status().as_u16());
            Err(Error::nonsense(service, operation, status, "a whole answer"))
        }
    }
}

/// Runs a call to the head of its answer; the body streams on.
pub(crate) async fn open(
    aws: &Aws,
    request: Request,
    identity: Option<&dyn Identity>,
) -> Result<Response<Body>, Error> {
    match start(aws, request, identity).await? {
        Outcome::Streaming(response) => Ok(response),
        Outcome::Whole(answer) => {
            let body = http_body_util::Full::new(answer.body).map_err(|never| match never {}).boxed_unsync();
            Ok(Response::from_parts(answer.head, body))
        }
    }
}

enum Outcome {
    Whole(Answer),
    Streaming(Response<Body>),
}

async fn start(aws: &Aws, request: Request, identity: Option<&dyn Identity>) -> Result<Outcome, Error> {
    let (service, operation) = (request.service, request.operation);
    let deadline = aws.wire.now().boot.saturating_add(aws.patience.total);
    let credentials = match (identity, &request.auth) {
        (Some(identity), Auth::Signed { .. }) => {
            let held = race(identity.ready(), until(&*aws.wire, deadline)).await.unwrap_or_else(|| identity.current());
            Some(held.map_err(|why| Error::no_credentials(service, operation, why))?)
        }
        (None, _) | (_, Auth::Unsigned | Auth::X509 { .. }) => None,
    };
    let once = request.repeat.leaves_doubt();
    let host = request.base.host().to_owned();
    let now = aws.wire.now();
    let mut call = Call::new(request, credentials, aws.drifts.of(&host), now, deadline.saturating_sub(now.boot));
    let end = async {
        until(&*aws.wire, deadline).await;
        if once {
            aws.wire.sleep(SECOND_CHANCE).await;
        }
    };
    let in_time = race(run(aws, &mut call, identity), end).await;
    let outcome = in_time.unwrap_or_else(|| Err(call.out_of_time()));
    if let Some(seconds) = call.learnt() {
        tracing::warn!(host, seconds, "this machine's clock differs from AWS's");
        aws.drifts.learn(&host, seconds);
    }
    outcome
}

async fn run(aws: &Aws, call: &mut Call, identity: Option<&dyn Identity>) -> Result<Outcome, Error> {
    loop {
        match call.next(aws.wire.now()) {
            Step::Send(request) => {
                if let Some(response) = exchange(aws, call, *request).await {
                    return Ok(Outcome::Streaming(response));
                }
            }
            Step::Wait(until) => aws.wire.sleep(until.saturating_sub(aws.wire.now().boot)).await,
            Step::Renew(rejected) => {
                tracing::debug!(key = %rejected, "AWS refused the keys, asking for others");
                match identity {
                    Some(identity) => call.renewed(identity.renew(&rejected).await),
                    None => return Err(call.out_of_time()),
                }
            }
            Step::Done(outcome) => return outcome.map(Outcome::Whole),
        }
    }
}

/// One exchange, told to the machine; `Some` when the body is to stream past it.
async fn exchange(aws: &Aws, call: &mut Call, request: http::Request<Bytes>) -> Option<Response<Body>> {
    let wire = &aws.wire;
    let response = match wire.send(request, aws.patience.limits).await {
        Ok(response) => response,
        Err(error) => {
            call.broken(wire.now(), wire.entropy(), error);
            return None;
        }
    };
    let (head, body) = response.into_parts();
    match call.head(&head) {
        Reading::Stream => return Some(Response::from_parts(head, body)),
        Reading::Buffer(most) => match collect(body, most).await {
            Ok(Some(body)) => call.answered(wire.now(), wire.entropy(), head, body),
            Ok(None) => call.too_long(&head),
            Err(error) => call.broken(wire.now(), wire.entropy(), error),
        },
    }
    None
}

/// The whole body, or `None` when there is more than `most`.
async fn collect(mut body: Body, most: usize) -> Result<Option<Bytes>, WireError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame?.into_data() {
            if whole.len() + chunk.len() > most {
                return Ok(None);
            }
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(Some(whole.freeze()))
}

/// Waits until the boot clock says `deadline`, in short sleeps: a suspended machine's timers stand still.
async fn until(wire: &dyn Wire, deadline: Duration) {
    loop {
        let left = deadline.saturating_sub(wire.now().boot);
        if left.is_zero() {
            return;
        }
        wire.sleep(left.min(LONGEST_SLEEP)).await;
    }
}

const LONGEST_SLEEP: Duration = Duration::from_secs(15);

/// A process that was stopped wakes past its deadline, with an answer in its socket that nobody has read yet. Where
/// what was sent must not be sent again, it is waited for this long; nothing new is sent in that time.
const SECOND_CHANCE: Duration = Duration::from_secs(1);

/// What `work` brings, or `None` when `end` comes first.
async fn race<T>(work: impl Future<Output = T>, end: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use bowline_base::{BoxFuture, Now, wire::Limits};
    use http::Method;

    use super::*;
    use crate::{
        Endpoints, Service,
        request::Repeat,
        scripted::{region, start},
    };

    /// A process that is stopped in its first sleep for an hour; the answer has come by then, and is read a moment after
    /// it goes on.
    #[derive(Default)]
    struct Stopped(AtomicU64);

    impl Wire for Stopped {
        fn now(&self) -> Now {
            let boot = Duration::from_secs(3600 * self.0.load(Ordering::Relaxed));
            Now { boot, wall: start() + boot }
        }

        fn entropy(&self) -> u64 {
            0
        }

        fn send(&self, _: http::Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
            Box::pin(async {
                while self.0.load(Ordering::Relaxed) < 2 {
                    tokio::task::yield_now().await;
                }
                let body = http_body_util::Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {});
                Ok(Response::new(body.boxed_unsync()))
            })
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(tokio::task::yield_now())
        }
    }

    async fn call(repeat: Repeat) -> Result<Answer, Error> {
        let base = Endpoints::default().base(Service::SsoOidc, &region());
        let mut request = Request::new(Service::SsoOidc, "CreateToken", Method::POST, base, "/token");
        request.repeat = repeat;
        drive(&Aws::new(Arc::new(Stopped::default()), Endpoints::default()), request, None).await
    }

    #[tokio::test]
    async fn an_answer_that_is_good_for_one_use_is_taken_after_a_stop_past_the_deadline() {
        assert_eq!(call(Repeat::Once).await.unwrap().body, "{}");
        assert!(call(Repeat::Freely).await.is_err());
    }
}
