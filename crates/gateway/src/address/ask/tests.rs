//! Providers of every kind on a wire without sockets: honest ones, pages, floods, silence.

use bowline_base::Now;
use http::Response;
use http_body_util::Full;
use tokio::net::UdpSocket;

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

/// The machine that the test runs on: nothing is on the web, and five seconds last five seconds.
struct Here;

impl Wire for Here {
    fn now(&self) -> Now {
        bowline_host::clock::now()
    }

    fn entropy(&self) -> u64 {
        bowline_host::client::random_u64()
    }

    fn send(&self, _: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        Box::pin(async move { Err(WireError::TimedOut { host: String::new(), limit: limits.head }) })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
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

/// One answer of a resolver on loopback, to whatever `question` asks; a forged one with another id comes before it.
async fn resolver(question: &str, record: &[u8]) -> (Provider, impl Future<Output = ()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let provider = Provider::parse(&format!("dns://{}/{question}", socket.local_addr().unwrap())).unwrap();
    let record = record.to_vec();
    let serve = async move {
        let mut bytes = [0; 512];
        let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
        let mut answer = bytes[..length].to_vec();
        answer[2] |= 0x80;
        answer[7] = 1;
        let mut forged = answer.clone();
        forged[0] ^= 1;
        forged.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 6, 6, 6, 6]);
        answer.extend(&record);
        for message in [forged, answer] {
            socket.send_to(&message, from).await.unwrap();
        }
    };
    (provider, serve)
}

/// The system's clock and no page.
async fn asked_here(provider: Provider) -> Reading {
    let mut readings = ask(&Here, &[provider], false).await;
    readings.remove(0)
}

#[tokio::test]
async fn a_resolver_answers_and_what_others_send_is_passed_over() {
    let a = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 9, 9, 9, 9];
    let txt = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x08\x079.9.9.9";
    let private = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 9, 9, 9];
    for (question, record, expected) in [
        ("me.example", &a[..], "says 9.9.9.9"),
        ("me.example?type=TXT;class=CH", txt, "says 9.9.9.9"),
        ("me.example", &private, "private"),
    ] {
        let (provider, serve) = resolver(question, record).await;
        let (reading, ()) = tokio::join!(asked_here(provider), serve);
        assert!(reading.to_string().contains(expected), "{reading}");
    }
}

#[tokio::test]
async fn a_resolver_that_is_silent_or_not_there_is_no_answer() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent = Provider::parse(&format!("dns://{}/me", silent.local_addr().unwrap())).unwrap();
    let readings = ask(&Internet, &[silent], false).await;
    assert!(readings[0].to_string().contains("no answer within 5s"), "{}", readings[0]);
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let reading = asked_here(Provider::parse(&format!("dns://{gone}/me")).unwrap()).await;
    assert!(reading.to_string().contains("refused"), "{reading}");
}

#[tokio::test]
async fn files_and_commands_are_read_as_strictly_as_pages() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode| {
        let path = home.path().join(name);
        bowline_base::atomic::write(&path, text.as_bytes(), mode).unwrap();
        path.display().to_string()
    };
    let script = |name, text: &str| write(name, &format!("#!/bin/sh\n{text}\n"), 0o755);
    let cases = [
        (format!("file:{}", write("good", "9.9.9.9\n", 0o644)), "says 9.9.9.9"),
        (format!("file:{}", write("json", r#"{"ip":"9.9.9.9"}"#, 0o644)), "says 9.9.9.9"),
        (format!("file:{}", write("cgnat", "100.64.0.1", 0o644)), "CGNAT"),
        (format!("file:{}", write("page", "<html>", 0o644)), "is no address"),
        (format!("file:{}", write("long", &"1".repeat(2000), 0o644)), "longer than 1024"),
        (format!("file:{}/gone", home.path().display()), "No such file"),
        (format!("file:{}", home.path().display()), "no regular file"),
        (format!("command:{} 9.9.9.9", script("echo", "echo $1")), "says 9.9.9.9"),
        (format!("command:{}", script("bare", "test -z \"$HOME\" && echo 9.9.9.9")), "says 9.9.9.9"),
        (format!("command:{}", script("fails", "echo no modem >&2; echo 9.9.9.9; exit 3")), "failed: no modem"),
        (format!("command:{}", script("talks", "yes")), "more than 1024 bytes"),
        (format!("command:{}/gone", home.path().display()), "cannot run"),
        ("interface:lo".to_owned(), "loopback"),
        ("interface:no-such".to_owned(), "No such device"),
    ];
    for (text, expected) in cases {
        let reading = asked_here(Provider::parse(&text).unwrap()).await;
        assert!(reading.to_string().contains(expected), "{reading}");
    }
    let hanging = Provider::parse(&format!("command:{}", script("hangs", "exec sleep 600"))).unwrap();
    let readings = ask(&Internet, &[hanging], false).await;
    assert!(readings[0].to_string().contains("no answer within 5s"), "{}", readings[0]);
}

#[test]
fn of_an_interface_the_only_public_address_counts() {
    let answer = |text: &str| {
        let addresses = text.split_whitespace().map(|address| address.parse().unwrap()).collect();
        only(addresses, false).map_err(|why| why.to_string())
    };
    assert_eq!(answer("192.168.0.1 fe80::1 9.9.9.9 2a00::1"), Ok(Ipv4Addr::new(9, 9, 9, 9)));
    for (text, expected) in [
        ("10.0.0.1 100.64.0.1", "private"),
        ("100.64.0.1", "CGNAT"),
        ("fe80::1", "no IPv4 address"),
        ("", "no IPv4 address"),
        ("9.9.9.9 8.8.8.8", "several public addresses: 9.9.9.9, 8.8.8.8"),
    ] {
        let why = answer(text).unwrap_err();
        assert!(why.contains(expected), "{text}: {why}");
    }
}
