//! Providers of every kind on a wire without sockets: honest ones, pages, floods, silence.

use bowline_base::Now;
use http::Response;
use http_body_util::Full;

use super::*;
use crate::address::agree;

/// Answers by host; `hang.example` never does, and a sleep ends when the rest has answered.
struct Internet;

impl Wire for Internet {
    fn now(&self) -> Now {
        Now { boot: Duration::ZERO, wall: bowline_base::Timestamp::UNIX_EPOCH }
    }

    fn entropy(&self) -> u64 {
        0
    }

    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        Box::pin(async move {
            let (status, text) = match host.as_str() {
                "plain.example" => (200, "1.1.1.1\n".to_owned()),
                "json.example" => (200, r#"{"ip":"1.1.1.1"}"#.to_owned()),
                "trace.example" => (200, "fl=9\nip=1.1.1.1\n".to_owned()),
                "liar.example" => (200, "9.9.9.9".to_owned()),
                "cgnat.example" => (200, "100.64.3.4".to_owned()),
                "six.example" => (200, "2a00::1".to_owned()),
                "portal.example" => (302, String::new()),
                "error.example" => (502, "1.1.1.1".to_owned()),
                "page.example" => (200, "<html>1.1.1.1</html>".to_owned()),
                "flood.example" => (200, "1".repeat(3 << 20)),
                "hang.example" => std::future::pending().await,
                _ => return Err(WireError::Connect { host, cause: "refused".into() }),
            };
            let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
            Ok(Response::builder().status(status).body(body).unwrap())
        })
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

async fn asked(hosts: &[&str]) -> Vec<Reading> {
    let parse = |host: &&str| Provider::parse(&format!("https://{host}/")).unwrap();
    ask(&Internet, &hosts.iter().map(parse).collect::<Vec<_>>(), false).await
}

#[tokio::test]
async fn three_forms_are_one_answer_and_a_liar_is_outvoted() {
    let readings = asked(&["plain.example", "json.example", "trace.example", "liar.example"]).await;
    assert_eq!(agree(&readings).unwrap().to_string(), "1.1.1.1");
    let readings = asked(&["plain.example", "liar.example", "gone.example"]).await;
    assert!(agree(&readings).is_err());
}

#[tokio::test]
async fn whatever_is_no_address_is_said_to_be_none() {
    let cases = [
        ("cgnat.example", "carrier-grade NAT (CGNAT)"),
        ("six.example", "IPv6"),
        ("portal.example", "status 302"),
        ("error.example", "status 502"),
        ("page.example", "`<html>1.1.1.1</html>` is no address"),
        ("flood.example", "longer than 1024 bytes"),
        ("hang.example", "no answer within 5s"),
        ("gone.example", "cannot connect"),
    ];
    let readings = asked(&cases.map(|(host, _)| host)).await;
    assert_eq!(readings.len(), cases.len());
    for (reading, (host, expected)) in readings.iter().zip(cases) {
        assert!(reading.answer.is_err() && reading.provider == host);
        assert!(reading.to_string().contains(expected), "{reading}");
    }
}

#[test]
fn providers_are_asked_over_tls_or_on_this_machine() {
    assert_eq!(Provider::usual().len(), 3);
    for good in ["https://ip.example", "http://127.0.0.1:8080/ip", "http://[::1]:1", "http://localhost:1"] {
        assert!(Provider::parse(good).is_ok(), "{good}");
    }
    for bad in ["http://ip.example", "ip.example", "/ip", "ftp://ip.example", "http://127.0.0.1.example", ""] {
        assert_eq!(Provider::parse(bad).unwrap_err().kind, Kind::Config, "{bad}");
    }
}
