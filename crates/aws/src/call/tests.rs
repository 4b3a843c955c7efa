//! The machine against scripted answers, without a wire: time is a number, randomness is its worst case.

use std::sync::Arc;

use bowline_base::{Fault, Kind};
use http::Response;

use super::*;
use crate::{
    Endpoints, Service,
    request::Auth,
    scripted::{keys, region, start},
};

/// A call, the time, and how to feed it.
struct Bench {
    call: Call,
    now: Now,
    sent: Vec<http::Request<Bytes>>,
}

fn request(service: Service, method: Method) -> Request {
    let base = Endpoints::default().base(service, &region());
    Request::new(service, "Operation", method, base, "/bucket/key")
}

fn signed(method: Method) -> Bench {
    let request = request(Service::S3, method).auth(Auth::signed(&region(), Service::S3));
    bench(request, Some(Arc::new(keys("ASIAOLD"))))
}

fn bench(request: Request, credentials: Option<Arc<Credentials>>) -> Bench {
    let now = Now { boot: Duration::from_secs(100), wall: start() };
    Bench { call: Call::new(request, credentials, 0, now, Duration::from_secs(45)), now, sent: Vec::new() }
}

impl Bench {
    /// Sleeps as told, and keeps what is sent.
    fn step(&mut self) -> Step {
        loop {
            match self.call.next(self.now) {
                Step::Wait(until) => self.now = self.now.after(until - self.now.boot),
                Step::Send(request) => {
                    self.sent.push((*request).clone());
                    return Step::Send(request);
                }
                other => return other,
            }
        }
    }

    fn answer(&mut self, status: u16, code: &str) {
        let body = if code.is_empty() { String::new() } else { format!("<Error><Code>{code}</Code></Error>") };
        self.answer_with(status, &[], &body);
    }

    fn answer_with(&mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        assert!(matches!(self.step(), Step::Send(_)), "nothing was sent");
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        self.call.answered(self.now, u64::MAX, head, Bytes::from(body.to_owned()));
    }

    fn lose(&mut self) {
        assert!(matches!(self.step(), Step::Send(_)), "nothing was sent");
        let cause = WireError::Broken { host: "h".into(), cause: "cut".into() };
        self.call.broken(self.now, u64::MAX, cause);
    }

    fn refuse_connection(&mut self) {
        assert!(matches!(self.step(), Step::Send(_)), "nothing was sent");
        let cause = WireError::Connect { host: "h".into(), cause: "refused".into() };
        self.call.broken(self.now, u64::MAX, cause);
    }

    fn error(&mut self) -> Error {
        match self.step() {
            Step::Done(Err(error)) => error,
            other => panic!("not over with an error: {other:?}"),
        }
    }

    fn key_sent(&self) -> String {
        let text = self.sent.last().unwrap().headers()["authorization"].to_str().unwrap();
        text.split_once("Credential=").unwrap().1.split('/').next().unwrap().to_owned()
    }
}

#[test]
fn three_tries_then_the_last_reason() {
    let mut bench = signed(Method::GET);
    bench.answer(503, "SlowDown");
    bench.lose();
    bench.answer(500, "InternalError");
    let error = bench.error();
    assert_eq!((error.code(), error.kind(), bench.sent.len()), (Some("InternalError"), Kind::Unreachable, 3));
    // Jitter at its worst: 200 ms and 400 ms.
    let waited = (bench.now.boot - Duration::from_secs(100)).as_millis();
    assert!((599..=600).contains(&waited), "{waited}");
}

#[test]
fn a_plain_no_is_not_asked_twice() {
    let mut bench = signed(Method::GET);
    bench.answer(403, "AccessDenied");
    let error = bench.error();
    assert!(error.is_access_denied() && !error.is_missing() && !error.is_credential_failure());
    assert_eq!((bench.sent.len(), error.kind()), (1, Kind::Refused));
}

#[test]
fn the_pause_that_a_service_asks_for_is_kept() {
    let mut bench = signed(Method::GET);
    bench.answer_with(429, &[("retry-after", "3")], "");
    assert!(matches!(bench.step(), Step::Send(_)));
    assert_eq!(bench.now.boot, Duration::from_secs(103));
}

#[test]
fn no_pause_goes_past_the_deadline() {
    let mut bench = signed(Method::GET);
    bench.now = bench.now.after(Duration::from_millis(44_900));
    bench.answer(503, "SlowDown");
    assert_eq!(bench.error().code(), Some("SlowDown"));
}

#[test]
fn every_refusal_of_keys_asks_for_others_once() {
    for (status, code) in [
        (400, "ExpiredToken"),
        (400, "TokenRefreshRequired"),
        (403, "ExpiredTokenException"),
        (403, "InvalidAccessKeyId"),
        (403, "InvalidClientTokenId"),
        (400, "RequestExpired"),
        (401, "AuthFailure"),
    ] {
        let mut bench = signed(Method::GET);
        bench.answer(status, code);
        let Step::Renew(rejected) = bench.step() else { panic!("{code} does not renew") };
        assert_eq!(rejected.as_str(), "ASIAOLD");
        bench.call.renewed(Ok(Arc::new(keys("ASIANEW"))));
        bench.answer(status, code);
        assert_eq!((bench.key_sent().as_str(), bench.error().code()), ("ASIANEW", Some(code)));
    }
}

#[test]
fn keys_that_do_not_change_are_not_tried_again() {
    let mut bench = signed(Method::GET);
    bench.answer(400, "ExpiredToken");
    assert!(matches!(bench.step(), Step::Renew(_)));
    bench.call.renewed(Ok(Arc::new(keys("ASIAOLD"))));
    let error = bench.error();
    assert!(error.is_credential_failure() && bench.sent.len() == 1);
}

#[test]
fn a_failed_renewal_says_what_to_type() {
    let mut bench = signed(Method::GET);
    bench.answer(400, "ExpiredToken");
    assert!(matches!(bench.step(), Step::Renew(_)));
    let why = Fault::new(Kind::LoginRequired, "sso", "session `corp` has ended").hint("run `bowline login corp`");
    bench.call.renewed(Err(why.into()));
    let error = bench.error();
    assert!(error.is_credential_failure());
    let fault = Fault::from(error);
    assert_eq!((fault.kind, fault.message.as_str()), (Kind::LoginRequired, "session `corp` has ended"));
    assert_eq!((fault.hint.as_deref(), fault.origin.as_str()), (Some("run `bowline login corp`"), "sso"));
}

#[test]
fn keys_too_new_to_be_known_everywhere_are_given_a_moment() {
    let mut bench = signed(Method::GET);
    let young = Credentials { obtained_at: bench.now.wall, ..keys("ASIAYOUNG") };
    bench.call.credentials = Some(Arc::new(young));
    bench.answer(403, "InvalidAccessKeyId");
    bench.answer(403, "InvalidAccessKeyId");
    bench.answer(200, "");
    assert!(matches!(bench.step(), Step::Done(Ok(_))));
    assert_eq!(bench.sent.len(), 3);
}

#[test]
fn a_clock_ten_minutes_off_is_corrected_once_and_remembered() {
    let mut bench = signed(Method::GET);
    let date = [("date", "Sun, 22 Nov 2026 02:10:00 GMT")];
    bench.answer_with(403, &date, "<Error><Code>RequestTimeTooSkewed</Code></Error>");
    bench.answer(200, "");
    assert!(matches!(bench.step(), Step::Done(Ok(_))));
    assert_eq!(bench.sent[1].headers()["x-amz-date"], "20261122T021000Z");
    assert_eq!(bench.call.learnt(), Some(600));
}

#[test]
fn a_clock_that_stays_refused_is_told_with_its_size() {
    let mut bench = signed(Method::GET);
    let refusal = "<Error><Code>RequestTimeTooSkewed</Code><Message>too large.</Message></Error>";
    bench.answer_with(403, &[("date", "Sun, 22 Nov 2026 02:10:00 GMT")], refusal);
    bench.answer_with(403, &[("date", "Sun, 22 Nov 2026 02:10:00 GMT")], refusal);
    let fault = Fault::from(bench.error());
    assert_eq!(
        fault.message,
        "`Operation` refused by s3: too large; this machine's clock is 10m behind AWS's (RequestTimeTooSkewed, status 403)"
    );
    assert!(fault.hint.is_some());
}

#[test]
fn a_wrong_secret_is_not_taken_for_a_wrong_clock() {
    let mut bench = signed(Method::GET);
    let date = [("date", "Sun, 22 Nov 2026 02:00:03 GMT")];
    bench.answer_with(403, &date, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
    assert!(bench.error().is_credential_failure());
    assert_eq!((bench.sent.len(), bench.call.learnt()), (1, None));
}

#[test]
fn a_refused_head_is_asked_for_its_reason() {
    let mut bench = signed(Method::HEAD);
    bench.answer(404, "");
    bench.answer(404, "NoSuchKey");
    assert!(bench.error().is_missing());
    assert_eq!(
        (bench.sent[1].method().as_str(), &bench.sent[1].headers()["range"]),
        ("GET", &"bytes=0-0".parse().unwrap())
    );
}

#[test]
fn a_head_with_expired_keys_is_repeated_as_head_with_new_ones() {
    let mut bench = signed(Method::HEAD);
    bench.answer(400, "");
    bench.answer(400, "ExpiredToken");
    assert!(matches!(bench.step(), Step::Renew(_)));
    bench.call.renewed(Ok(Arc::new(keys("ASIANEW"))));
    bench.answer(200, "");
    assert!(matches!(bench.step(), Step::Done(Ok(_))));
    assert_eq!((bench.sent[2].method().as_str(), bench.key_sent().as_str()), ("HEAD", "ASIANEW"));
}

#[test]
fn a_missing_bucket_is_no_missing_key() {
    let mut bench = signed(Method::HEAD);
    bench.answer(404, "");
    bench.answer(404, "NoSuchBucket");
    assert!(!bench.error().is_missing());
}

#[test]
fn not_modified_needs_no_reason() {
    let mut bench = signed(Method::HEAD);
    bench.answer(304, "");
    assert!(bench.error().is_not_modified());
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn html_is_never_a_missing_key() {
    for status in [302_u16, 403, 404] {
        let mut bench = signed(Method::GET);
        bench.answer_with(status, &[("content-type", "text/html")], "<!DOCTYPE html><p>Sign in to the hotel");
        let error = bench.error();
        assert!(!error.is_missing() && !error.is_access_denied(), "{status}");
        assert_eq!(error.kind(), Kind::Unreachable, "{status}");
    }
}

#[test]
fn another_region_is_named() {
    let mut bench = signed(Method::GET);
    bench.answer_with(301, &[("x-amz-bucket-region", "eu-west-1")], "<Error><Code>PermanentRedirect</Code></Error>");
    let error = bench.error();
    assert_eq!((error.right_region(), error.kind()), (Some("eu-west-1"), Kind::Config));
    assert_eq!(Fault::from(error).hint.as_deref(), Some("set the region to `eu-west-1`"));
}

fn once() -> Bench {
    bench(request(Service::SsoOidc, Method::POST).repeat(Repeat::Once), None)
}

#[test]
fn a_spent_token_is_sent_again_at_most_once_and_the_loss_is_told() {
    let mut bench = once();
    bench.lose();
    bench.lose();
    assert!(bench.error().is_ambiguous());
    assert_eq!(bench.sent.len(), 2);
}

#[test]
fn a_refusal_after_a_lost_answer_is_still_ambiguous() {
    let mut bench = once();
    bench.lose();
    bench.answer_with(400, &[], r#"{"error":"invalid_grant"}"#);
    let error = bench.error();
    assert!(error.is_ambiguous() && error.code() == Some("invalid_grant"));
}

#[test]
fn what_never_left_is_not_ambiguous() {
    let mut bench = once();
    bench.refuse_connection();
    bench.refuse_connection();
    assert!(!bench.error().is_ambiguous());
}

#[test]
fn a_clear_no_to_a_token_is_not_ambiguous_and_final() {
    let mut bench = once();
    bench.answer_with(400, &[("x-amzn-errortype", "InvalidGrantException:http://x")], r#"{"error":"invalid_grant"}"#);
    let error = bench.error();
    assert!(!error.is_ambiguous() && bench.sent.len() == 1);
    assert_eq!(error.code(), Some("InvalidGrantException"));
}

#[test]
fn an_outage_behind_a_token_call_is_ambiguous() {
    for body in ["", "<html>bad gateway", r#"{"__type":"InternalServerException"}"#] {
        let mut bench = once();
        bench.answer_with(500, &[], body);
        bench.answer_with(502, &[], body);
        assert!(bench.error().is_ambiguous(), "{body}");
    }
}

#[test]
fn slow_down_of_the_token_service_is_part_of_the_conversation() {
    let mut bench = once();
    bench.answer_with(400, &[("x-amzn-errortype", "SlowDownException")], r#"{"error":"slow_down"}"#);
    let error = bench.error();
    assert_eq!((crate::sso_oidc::Refusal::of(&error), bench.sent.len()), (Some(crate::sso_oidc::Refusal::SlowDown), 1));
}

#[test]
fn time_over_while_a_token_is_under_way_is_ambiguous() {
    let mut bench = once();
    assert!(matches!(bench.step(), Step::Send(_)));
    assert!(bench.call.out_of_time().is_ambiguous());
}

#[test]
fn bodies_stream_only_when_the_answer_is_good() {
    let request = request(Service::S3, Method::GET).streamed();
    let bench = bench(request, None);
    let reading = |status: u16| bench.call.head(&Response::builder().status(status).body(()).unwrap().into_parts().0);
    assert_eq!(reading(206), Reading::Stream);
    assert!(matches!(reading(404), Reading::Buffer(_)));
}

#[test]
fn who_wakes_after_the_time_is_over_sends_nothing() {
    for failures in 0..2 {
        let mut bench = once();
        if failures > 0 {
            assert!(matches!(bench.step(), Step::Send(_)));
            bench.call.broken(bench.now, 0, WireError::Connect { host: "x".to_owned(), cause: "away".into() });
        }
        bench.now = bench.now.after(Duration::from_secs(45));
        assert!(!bench.error().is_ambiguous());
        assert_eq!(bench.sent.len(), failures);
    }
}
