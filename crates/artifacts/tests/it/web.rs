//! In front of a web server: HTTP's rules for keys, redirects, trouble and validators.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bowline_artifacts::upstream::{Http, Upstream};
use bowline_host::{HttpWire, Tasks, client::Outside};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{script::lock, world::World};

const JAR: &str = "g/a/1.0/a-1.0.jar";

/// A web server that answers what the test says: the raw answer by path, taken in turn, the last one for ever.
#[derive(Clone)]
struct Web {
    address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    /// Request heads, in lower case.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self { address: listener.local_addr().unwrap(), answers: Arc::default(), asked: Arc::default() };
        let (this, tasks) = (web.clone(), Tasks::new());
        let inner = tasks.clone();
        tasks.spawn("web", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let this = this.clone();
                inner.spawn("web", async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                            return;
                        }
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    lock(&this.asked).push(head.to_ascii_lowercase());
                    let answer = this.next(&path);
                    stream.write_all(answer.as_bytes()).await.ok();
                });
            }
        });
        web
    }

    fn next(&self, path: &str) -> String {
        let mut answers = lock(&self.answers);
        match answers.get_mut(path) {
            Some(all) if all.len() > 1 => all.remove(0),
            Some(all) => all[0].clone(),
            None => status("404 Not Found", ""),
        }
    }

    /// `path` as it stands in the request line.
    fn say(&self, path: &str, answers: &[String]) {
        lock(&self.answers).insert(path.to_owned(), answers.to_vec());
    }

    fn asked(&self, part: &str) -> usize {
        lock(&self.asked).iter().filter(|head| head.contains(part)).count()
    }

    async fn world(&self) -> World {
        let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
        let base = format!("http://{}/maven2/", self.address);
        let upstream: Arc<dyn Upstream> = Arc::new(Http::new(wire, &base, Duration::from_secs(5)));
        World::over(vec![("/".to_owned(), vec![upstream])]).await
    }
}

fn status(line: &str, headers: &str) -> String {
    format!("HTTP/1.1 {line}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
}

fn file(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_file_comes_once_without_compression_and_with_its_validators() {
    let web = Web::start().await;
    web.say(
        "/maven2/g/a/1.0/a%20b-1.0+x.jar",
        &[file("etag: \"e\"\r\nlast-modified: Sun, 22 Nov 2026 01:00:00 GMT\r\n", "jar")],
    );
    let world = web.world().await;
    for cache in ["miss", "hit"] {
        world.settled().await;
        let reply = world.get("/g/a/1.0/a%20b-1.0+x.jar").await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"jar".as_slice()), "{cache}");
        assert_eq!(reply.header("etag"), "\"e\"");
        assert_eq!(reply.header("last-modified"), "Sun, 22 Nov 2026 01:00:00 GMT");
    }
    assert_eq!(web.asked("get /maven2/g/a/1.0/a%20b-1.0+x.jar http/1.1"), 1);
    assert_eq!(web.asked("accept-encoding: identity"), web.asked("http/1.1"));
}

#[tokio::test]
async fn only_404_and_410_are_missing_keys() {
    let web = Web::start().await;
    let world = web.world().await;
    for (line, expected, reason) in [
        ("404 Not Found", 404, "missing"),
        ("410 Gone", 404, "missing"),
        ("401 Unauthorized", 502, "access-denied"),
        ("403 Forbidden", 502, "access-denied"),
        ("500 Oops", 502, "upstream-error"),
        ("418 Teapot", 502, "upstream-refused"),
    ] {
        let key = format!("/x/{}", &line[..3]);
        web.say(&format!("/maven2{key}"), &[status(line, "")]);
        let reply = world.get(&key).await;
        assert_eq!((reply.status, reply.header("x-bowline-reason")), (expected, reason), "{line}");
    }
    assert_eq!(web.asked("/x/500"), 3, "trouble is tried again, a bounded number of times");
    assert_eq!(web.asked("/x/418"), 1);
    world.get("/x/404").await;
    assert_eq!(web.asked("/x/404"), 1, "a missing key is remembered");
}

#[tokio::test]
async fn trouble_that_passes_is_not_seen_by_the_client() {
    let web = Web::start().await;
    web.say(&format!("/maven2/{JAR}"), &[status("503 Busy", ""), status("502 Bad", ""), file("", "jar")]);
    let world = web.world().await;
    assert_eq!(world.get(&format!("/{JAR}")).await.body, b"jar");
}

#[tokio::test]
async fn a_server_that_names_a_time_is_left_alone_until_then() {
    let web = Web::start().await;
    web.say(&format!("/maven2/{JAR}"), &[status("429 Slow", "retry-after: 70\r\n")]);
    let world = web.world().await;
    let reply = world.get(&format!("/{JAR}")).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "70"));
    assert_eq!(world.get("/other.jar").await.status, 503);
    assert_eq!(web.asked("http/1.1"), 1, "neither that key nor another was asked for");
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_never_off_this_machine_in_plain_http() {
    let web = Web::start().await;
    let moved = |to: &str| status("302 Found", &format!("location: {to}\r\n"));
    web.say(&format!("/maven2/{JAR}"), &[moved("/elsewhere")]);
    web.say("/elsewhere", &[file("", "jar")]);
    web.say("/maven2/loop", &[moved("/maven2/loop")]);
    web.say("/maven2/away", &[moved("http://192.0.2.1/x")]);
    let world = web.world().await;
    assert_eq!(world.get(&format!("/{JAR}")).await.body, b"jar");
    assert_eq!(world.get("/loop").await.status, 502);
    assert_eq!(web.asked("/maven2/loop"), 6);
    assert_eq!(world.get("/away").await.header("x-bowline-reason"), "upstream-refused");
}

#[tokio::test]
async fn a_date_is_a_validator_too() {
    let web = Web::start().await;
    let dated = "last-modified: Sun, 22 Nov 2026 01:00:00 GMT\r\n";
    web.say("/maven2/g/a/maven-metadata.xml", &[file(dated, "<metadata/>"), status("304 Not Modified", "")]);
    let world = web.world().await;
    assert_eq!(world.get("/g/a/maven-metadata.xml").await.body, b"<metadata/>");
    world.settled().await;
    world.pass(Duration::from_secs(301));
    let again = world.get("/g/a/maven-metadata.xml").await;
    assert_eq!((again.cache(), again.body.as_slice()), ("revalidated", b"<metadata/>".as_slice()));
    assert_eq!(web.asked("if-modified-since: sun, 22 nov 2026 01:00:00 gmt"), 1);
}

#[tokio::test]
async fn what_the_server_or_a_file_beside_promises_is_compared() {
    let web = Web::start().await;
    let wrong = "0".repeat(40);
    web.say("/maven2/g/a/1.0/a-1.0.jar", &[file(&format!("x-checksum-sha1: {wrong}\r\n"), "jar")]);
    web.say("/maven2/g/b/1.0/b-1.0.jar", &[file("", "jar")]);
    web.say("/maven2/g/b/1.0/b-1.0.jar.sha1", &[file("", &wrong)]);
    web.say("/maven2/g/c/1.0/c-1.0.jar", &[file("", "hello")]);
    web.say("/maven2/g/c/1.0/c-1.0.jar.sha1", &[file("", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")]);
    let world = web.world().await;
    for wrong in ["/g/a/1.0/a-1.0.jar", "/g/b/1.0/b-1.0.jar"] {
        let reply = world.ask("GET", wrong, &[]).await;
        assert!(crate::world::is_cut_off(&reply), "{wrong}: {reply:?}");
    }
    world.settled().await;
    assert_eq!(world.files(), 0, "nothing wrong is kept");
    assert_eq!(world.get("/g/c/1.0/c-1.0.jar").await.body, b"hello");
}

#[tokio::test]
async fn a_body_without_a_length_and_a_login_page() {
    let web = Web::start().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\njar\r\n0\r\n\r\n";
    web.say("/maven2/chunked.jar", &[chunked.to_owned()]);
    web.say("/maven2/portal.jar", &[file("content-type: text/html\r\n", "<form>")]);
    let world = web.world().await;
    let reply = world.get("/chunked.jar").await;
    assert_eq!((reply.body.as_slice(), reply.header("content-length")), (b"jar".as_slice(), "3"));
    assert_eq!(world.get("/portal.jar").await.status, 502);
}
