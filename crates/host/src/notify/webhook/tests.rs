//! Against servers on loopback that take it, send it elsewhere, break, hang or are not there.

use std::sync::{Arc, Mutex};

use bowline_base::wire::Wire;
use http::Response;
use http_body_util::{BodyExt as _, Full};

use super::*;
use crate::{Address, HttpWire, Listener, ServerLimits, Tasks, client::Outside, notify::Notifier, server};

/// What a server has seen: the head's pairs and the body.
type Seen = Arc<Mutex<Vec<(http::HeaderMap, String)>>>;

/// A server that answers with `status` and a `location`; status 0 never answers.
async fn server(tasks: &Tasks, status: u16) -> (String, Seen) {
    let listener = Arc::new(Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).await.unwrap());
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    server::serve(tasks, "webhook", listener, ServerLimits::default(), move |_, request| {
        let kept = Arc::clone(&kept);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            kept.lock().unwrap().push((head.headers, String::from_utf8(body.to_vec()).unwrap()));
            if status == 0 {
                std::future::pending::<()>().await;
            }
            let answer = Response::builder().status(status).header("location", "/elsewhere");
            answer.body(Full::new(Bytes::from_static(b"a long answer"))).unwrap()
        }
    });
    (format!("http://{address}/hook"), seen)
}

async fn post(url: &str, patience: Duration) -> Outcome {
    let wire = HttpWire::new(&Outside::default()).unwrap();
    let webhook = Webhook::new(url, SecretPlace::Given(Secret::new("s3cret")), patience).unwrap();
    webhook.post(&wire as &dyn Wire, &Notifier::trial(7), "host-1").await
}

/// From RFC 4231, test case 2, with the parts put together as we do.
#[test]
fn the_signature_is_hmac_sha256_of_time_dot_body() {
    let whole = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"Jefe"), b"what do ya want for nothing?");
    let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(whole.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>(), known);
    // python3 -c 'import hmac; print(hmac.new(b"Jefe", b"17.{}", "sha256").hexdigest())'
    let ours = "sha256=20436aa1b1c2be79262487183b4bde32ab5295b6c1b6708037853fcdd1912c7b";
    assert_eq!(signature(&Secret::new("Jefe"), "17", "{}"), ours);
}

#[tokio::test]
async fn a_good_server_gets_one_signed_document() {
    let tasks = Tasks::new();
    let (url, seen) = server(&tasks, 204).await;
    assert_eq!(post(&url, Webhook::PATIENCE).await, Outcome::Delivered);
    let seen = seen.lock().unwrap();
    let [(headers, body)] = &seen[..] else { panic!("{seen:?}") };
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("x-bowline-signature"), signature(&Secret::new("s3cret"), header("x-bowline-timestamp"), body));
    assert_eq!((header("content-type"), header("x-bowline-delivery")), ("application/json", "7-0"));
    assert!(!format!("{headers:?}{body}").contains("s3cret"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_broken_server_is_tried_later() {
    let tasks = Tasks::new();
    let (moved, seen) = server(&tasks, 302).await;
    assert!(matches!(post(&moved, Webhook::PATIENCE).await, Outcome::Refused(why) if why.contains("not followed")));
    assert_eq!(seen.lock().unwrap().len(), 1);
    let (broken, _) = server(&tasks, 500).await;
    assert!(matches!(post(&broken, Webhook::PATIENCE).await, Outcome::Later(why) if why.contains("500")));
    let (closed, _) = server(&tasks, 403).await;
    assert!(matches!(post(&closed, Webhook::PATIENCE).await, Outcome::Refused(_)));
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_tried_later() {
    let tasks = Tasks::new();
    let (hangs, _) = server(&tasks, 0).await;
    let outcome = post(&hangs, Duration::from_millis(100)).await;
    assert!(matches!(&outcome, Outcome::Later(why) if why.contains("did not answer")), "{outcome:?}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(post(&format!("http://{free}/"), Webhook::PATIENCE).await, Outcome::Later(_)));
}

#[test]
fn only_addresses_where_nobody_listens_in_are_taken_and_a_refused_one_is_not_shown() {
    let parse = |url: &str| Webhook::new(url, SecretPlace::Given(Secret::new("s")), Webhook::PATIENCE);
    for good in
        ["https://hooks.example.net/x?token=t", "http://127.0.0.1:8080/x", "http://localhost/", "http://[::1]:1/"]
    {
        assert!(parse(good).is_ok(), "{good}");
    }
    for bad in ["http://hooks.example.net/t0ken", "ftp://h/t0ken", "hooks/t0ken", "https://user:t0ken@h/", ""] {
        let why = parse(bad).unwrap_err();
        assert!(!why.contains("t0ken"), "{why}");
    }
    let shown = format!("{:?}", parse("https://hooks.example.net/t0ken").unwrap());
    assert!(shown.contains("hooks.example.net") && !shown.contains("t0ken"), "{shown}");
}

#[test]
fn a_secret_in_a_file_ends_before_the_line_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("secret");
    let place = SecretPlace::File(path.clone());
    assert!(place.read().unwrap_err().message.contains("cannot read"));
    bowline_base::atomic::write_private(&path, b"\n").unwrap();
    assert!(place.read().unwrap_err().message.contains("nothing in place"));
    bowline_base::atomic::write_private(&path, b" s p\r\n").unwrap();
    assert_eq!(place.read().unwrap().unwrap().expose(), " s p");
}
