//! One call as a machine: what to send, when to wait, when to ask for other keys, when it is over.
//!
//! Retry, clock skew and renewal of refused keys are decided here and nowhere else. The machine is told the time, a
//! random number and what came back; it does nothing itself.

use std::{fmt, sync::Arc, time::Duration};

use bowline_base::{Credentials, KeyId, Now, Unavailable, backoff::full_jitter, wire::WireError};
use bytes::Bytes;
use http::{Method, StatusCode, header, response::Parts};

use crate::{
    Error,
    refusal::{self, Said},
    request::{Reading, Repeat, Request},
    sign::prepare,
};

/// What to do next.
pub(crate) enum Step {
    /// Send this and report [`Call::head`] and [`Call::answered`], or [`Call::broken`].
    Send(Box<http::Request<Bytes>>),
    /// Do nothing until the boot clock says this.
    Wait(Duration),
    /// Ask the identity for other keys than these and report [`Call::renewed`].
    Renew(KeyId),
    /// It is over.
    Done(Result<Answer, Error>),
}

/// What is sent may hold secrets.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(request) => write!(f, "Send({} {})", request.method(), request.uri()),
            Self::Wait(until) => write!(f, "Wait({until:?})"),
            Self::Renew(rejected) => write!(f, "Renew({rejected})"),
            Self::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
        }
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) service: crate::Service,
    pub(crate) operation: &'static str,
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

/// Bodies hold secrets.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({} {})", self.operation, self.head.status)
    }
}

impl Answer {
    /// The error of an answer that is not what the call was to bring.
    pub(crate) fn nonsense(&self, expected: &str) -> Error {
        Error::nonsense(self.service, self.operation, Some(self.head.status.as_u16()), expected)
    }
}

#[derive(Debug)]
enum State {
    Ready,
    Sent,
    Waiting { until: Duration },
    Renewing { rejected: KeyId, because: Error },
    Over(Result<Answer, Error>),
    Spent,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Call {
    request: Request,
    credentials: Option<Arc<Credentials>>,
    /// Seconds that the host's clock is ahead of ours.
    drift: i64,
    learnt: bool,
    deadline: Duration,
    total: Duration,
    retries: u32,
    retries_left: u32,
    renewed: bool,
    probing: bool,
    /// Something good for one use was sent, and nobody knows whether it arrived.
    unsure: bool,
    state: State,
}

/// Retries after the first try; renewing and setting the clock right do not count.
const RETRIES: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A service may name a pause of its own; longer ones are for the caller to decide.
const LONGEST_ASKED_PAUSE: u64 = 20;
const LONGEST_REFUSAL: usize = 256 << 10;
/// New keys take this long to reach every host of AWS.
const YOUNG: u64 = 10;
/// A vague refusal is put down to the clock only when it is this many seconds off.
const CLEAR_DRIFT: u64 = 120;

impl Call {
    /// A call that begins at `now` and may take `total`. `drift` is what is known of the host's clock.
    pub(crate) fn new(
        request: Request,
        credentials: Option<Arc<Credentials>>,
        drift: i64,
        now: Now,
        total: Duration,
    ) -> Self {
        let retries_left = match request.repeat {
            Repeat::Freely | Repeat::WhenRefused => RETRIES,
            Repeat::Once => 1,
            Repeat::Never => 0,
        };
        Self {
            request,
            credentials,
            drift,
            learnt: false,
            deadline: now.boot.saturating_add(total),
            total,
            retries: 0,
            retries_left,
            renewed: false,
            probing: false,
            unsure: false,
            state: State::Ready,
        }
    }

    /// The next step.
    pub(crate) fn next(&mut self, now: Now) -> Step {
        match std::mem::replace(&mut self.state, State::Spent) {
            State::Waiting { until } if now.boot < until => {
                self.state = State::Waiting { until };
                Step::Wait(until)
            }
            State::Ready | State::Waiting { .. } if now.boot >= self.deadline => {
                self.state = State::Ready;
                Step::Done(Err(self.out_of_time()))
            }
            State::Ready | State::Waiting { .. } => self.send(now),
            State::Renewing { rejected, because } => {
                self.state = State::Renewing { rejected: rejected.clone(), because };
                Step::Renew(rejected)
            }
            State::Over(outcome) => Step::Done(outcome),
            State::Sent | State::Spent => Step::Done(Err(self.out_of_time())),
        }
    }

    /// What to do with the body behind this head. `Stream` ends the machine's part.
    pub(crate) fn head(&self, head: &Parts) -> Reading {
        if head.status.is_success() { self.request.reading_of(self.probing) } else { Reading::Buffer(LONGEST_REFUSAL) }
    }

    /// A whole answer came.
    pub(crate) fn answered(&mut self, now: Now, entropy: u64, head: Parts, body: Bytes) {
        let empty_object = self.probing && head.status == StatusCode::RANGE_NOT_SATISFIABLE;
        if head.status.is_success() || empty_object {
            return self.accepted(now, entropy, head, body);
        }
        let Some(said) = refusal::read(&head, &body) else {
            let error = self.nonsense(head.status, "an AWS answer");
            let passing = head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS;
            self.unsure |= passing && self.request.repeat.leaves_doubt();
            return if passing && !self.may_be_done(head.status) {
                self.retry(now, entropy, &head, error);
            } else {
                self.fail(error);
            };
        };
        let unmet = matches!(head.status, StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED);
        if self.request.method == Method::HEAD && !self.probing && said.code.is_none() && !unmet {
            self.probing = true;
            self.state = State::Ready;
            return;
        }
        self.refused(now, entropy, &head, said);
    }

    /// The exchange did not take place, or broke off.
    pub(crate) fn broken(&mut self, now: Now, entropy: u64, error: WireError) {
        let arrived = !matches!(error, WireError::Connect { .. });
        self.unsure |= arrived && self.request.repeat.leaves_doubt();
        let error = Error::wire(self.request.service, self.request.operation, error);
        if arrived && self.request.repeat == Repeat::WhenRefused {
            return self.fail(error);
        }
        self.pause(now, entropy, Duration::ZERO, error);
    }

    /// The body went past the bound of [`Call::head`].
    pub(crate) fn too_long(&mut self, head: &Parts) {
        self.unsure |= self.request.repeat.leaves_doubt();
        let error = self.nonsense(head.status, "as short as an answer of this kind");
        self.fail(error);
    }

    /// The identity's answer to [`Step::Renew`].
    pub(crate) fn renewed(&mut self, fresh: Result<Arc<Credentials>, Unavailable>) {
        let State::Renewing { rejected, because } = std::mem::replace(&mut self.state, State::Ready) else { return };
        self.renewed = true;
        self.probing = false;
        match fresh {
            Ok(fresh) if fresh.key_id == rejected => self.fail(because),
            Ok(fresh) => self.credentials = Some(fresh),
            Err(why) => self.fail(Error::no_credentials(self.request.service, self.request.operation, why)),
        }
    }

    /// The error of a call that was given up because its time was over.
    pub(crate) fn out_of_time(&mut self) -> Error {
        let in_flight = matches!(self.state, State::Sent | State::Spent);
        self.unsure |= in_flight && self.request.repeat.leaves_doubt();
        let error = Error::out_of_time(self.request.service, self.request.operation, self.total);
        self.marked(error)
    }

    /// The host's clock against ours, where this call has learnt it.
    pub(crate) fn learnt(&self) -> Option<i64> {
        self.learnt.then_some(self.drift)
    }

    fn send(&mut self, now: Now) -> Step {
        let time = now.wall.checked_add(jiff::SignedDuration::from_secs(self.drift)).unwrap_or(now.wall);
        let prepared = if self.probing {
            prepare(&self.request.probe(), self.credentials.as_deref(), time)
        } else {
            prepare(&self.request, self.credentials.as_deref(), time)
        };
        match prepared {
            Ok(request) => {
                self.state = State::Sent;
                Step::Send(Box::new(request))
            }
            Err(error) => Step::Done(Err(self.marked(error))),
        }
    }

    fn accepted(&mut self, now: Now, entropy: u64, head: Parts, body: Bytes) {
        if self.probing {
            // The HEAD was refused and the GET is not: ask again.
            self.probing = false;
            let error = self.nonsense(head.status, "the same for HEAD and GET");
            return self.pause(now, entropy, Duration::ZERO, error);
        }
        let (service, operation) = (self.request.service, self.request.operation);
        self.state = State::Over(Ok(Answer { service, operation, head, body }));
    }

    fn refused(&mut self, now: Now, entropy: u64, head: &Parts, said: Said) {
        let status = head.status.as_u16();
        let code = said.code.clone().unwrap_or_default();
        let passing = refusal::is_passing(self.request.service, status, &said);
        let error = Error::said_by(self.request.service, self.request.operation, status, said);
        if let Some(drift) = self.drift_in(now, head, &code).filter(|_| self.request.auth.is_signed()) {
            return self.correct(drift, error);
        }
        let throttled = refusal::is_throttled(&code);
        self.unsure |= status >= 500 && !throttled && self.request.repeat.leaves_doubt();
        if self.may_be_done(head.status) && !throttled {
            return self.fail(error);
        }
        let Some(credentials) = self.credentials.clone().filter(|_| self.request.auth.is_signed()) else {
            return if passing { self.retry(now, entropy, head, error) } else { self.fail(error) };
        };
        let young = now.wall.duration_since(credentials.obtained_at).unsigned_abs().as_secs() < YOUNG;
        let spreading = refusal::is_unknown_key(&code) && young && self.retries_left > 0;
        if passing || spreading {
            self.retry(now, entropy, head, error);
        } else if refusal::wants_other_keys(&code) && !self.renewed {
            self.state = State::Renewing { rejected: credentials.key_id.clone(), because: error };
        } else {
            self.fail(error);
        }
    }

    /// How far the host's clock is ahead, if that is what the refusal is about.
    fn drift_in(&self, now: Now, head: &Parts, code: &str) -> Option<i64> {
        let suspect = refusal::may_be_drift(self.request.service, code);
        let date = head.headers.get(header::DATE).filter(|_| suspect)?.to_str().ok()?;
        let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
        let drift = theirs.as_second() - now.wall.as_second();
        let news = drift.abs_diff(self.drift);
        (news >= CLEAR_DRIFT || (refusal::is_drift(code) && news >= 2)).then_some(drift)
    }

    /// A server's error does not say that nothing was done.
    fn may_be_done(&self, status: StatusCode) -> bool {
        status.is_server_error() && self.request.repeat == Repeat::WhenRefused
    }

    fn correct(&mut self, drift: i64, error: Error) {
        if self.learnt {
            return self.fail(error.with_drift(drift));
        }
        (self.drift, self.learnt, self.probing) = (drift, true, false);
        self.state = State::Ready;
    }

    fn retry(&mut self, now: Now, entropy: u64, head: &Parts, error: Error) {
        let asked = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let asked = Duration::from_secs(asked.unwrap_or(0).min(LONGEST_ASKED_PAUSE));
        self.pause(now, entropy, asked, error);
    }

    fn pause(&mut self, now: Now, entropy: u64, least: Duration, error: Error) {
        let pause = full_jitter(self.retries, FIRST_PAUSE, LONGEST_PAUSE, entropy).max(least);
        let until = now.boot.saturating_add(pause);
        if self.retries_left == 0 || until >= self.deadline {
            return self.fail(error);
        }
        self.retries += 1;
        self.retries_left -= 1;
        self.probing = false;
        self.state = State::Waiting { until };
    }

    fn fail(&mut self, error: Error) {
        let error = self.marked(error);
        self.state = State::Over(Err(error));
    }

    fn marked(&self, error: Error) -> Error {
        let error = if self.drift == 0 { error } else { error.with_drift(self.drift) };
        if self.unsure { error.ambiguous() } else { error }
    }

    fn nonsense(&self, status: StatusCode, expected: &str) -> Error {
        Error::nonsense(self.request.service, self.request.operation, Some(status.as_u16()), expected)
    }
}

#[cfg(test)]
mod tests;
