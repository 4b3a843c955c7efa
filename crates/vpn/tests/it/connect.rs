//! The CONNECT proxy as its clients meet it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bowline_host::{Address, Listener, Tasks, authority, clock, tls, tls_server::ServerTls};
use bowline_tunnel::egress::{Policy, Rules};
use bowline_vpn::connect::{Config, Parts, WIREGUARD, serve};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

use crate::users::{Book, Names, Reader};

const LONG: Duration = Duration::from_secs(15);
const ALICE: &str = "Proxy-Authorization: Basic YWxpY2U6a2V5LW9mLWFsaWNl\r\n";
const BOB: &str = "Proxy-Authorization: Bearer key-of-bob\r\n";

/// A proxy, and behind it a server that sends back what it gets until it has got all.
struct Stage {
    tasks: Tasks,
    book: Arc<Book>,
    proxy: SocketAddr,
    echo: SocketAddr,
    /// Nobody listens there.
    shut: SocketAddr,
}

impl Stage {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::behind(change, None).await
    }

    /// With a certificate, for clients that begin with TLS.
    async fn behind(change: impl FnOnce(&mut Config), tls: Option<Arc<ServerTls>>) -> Self {
        let tasks = Tasks::new();
        let echo = echo(&tasks).await;
        let shut = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        let mut config = Config { ports: [80, 443, echo.port(), shut.port()].into(), ..Config::default() };
        change(&mut config);
        let here: IpAddr = [127, 0, 0, 1].into();
        let metadata: IpAddr = [169, 254, 169, 254].into();
        let names = [("echo.test", vec![here]), ("rebound.test", vec![here, metadata]), ("empty.test", vec![])];
        let rules = Rules { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Rules::default() };
        let book = Arc::new(Book::default());
        let parts = Parts {
            users: Arc::new(Reader(Arc::clone(&book))),
            egress: Arc::new(Policy::new(rules)),
            resolver: Arc::new(Names(names.into())),
        };
        let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let listener = match tls {
            Some(tls) => Listener::Either(Arc::new(listener), tls),
            None => listener,
        };
        serve(&tasks, Arc::new(listener), config, parts);
        Self { tasks, book, proxy, echo, shut }
    }

    /// A connection on which `request` was said.
    async fn say(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.proxy).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Everything that is answered to `request`.
    async fn all(&self, request: &str) -> String {
        let mut stream = self.say(request).await;
        stream.shutdown().await.unwrap();
        rest(&mut stream).await
    }

    /// The status of the answer to a CONNECT to `target` with these header lines.
    async fn status(&self, target: &str, headers: &str) -> String {
        let answer = self.all(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n")).await;
        answer.get(9..12).unwrap_or_default().to_owned()
    }

    /// A tunnel to the echo, its head read.
    async fn tunnel(&self, headers: &str) -> TcpStream {
        let mut stream = self.say(&format!("CONNECT echo.test:{} HTTP/1.1\r\n{headers}\r\n", self.echo.port())).await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        stream
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tasks.begin_shutdown();
    }
}

async fn echo(tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, inner) = (listener.local_addr().unwrap(), tasks.clone());
    tasks.spawn_until_shutdown("echo", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            inner.spawn_until_shutdown("echo", async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    address
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        got.push(timeout(LONG, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(got).unwrap()
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    timeout(LONG, stream.read_to_end(&mut got)).await.unwrap().unwrap();
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn who_has_no_key_gets_nowhere_and_is_told_how() {
    let stage = Stage::new(|_| {}).await;
    let target = format!("echo.test:{}", stage.echo.port());
    for headers in [
        "",
        "Proxy-Authorization: Bearer wrong\r\n",
        "Proxy-Authorization: Basic Ym9iOmtleS1vZi1hbGljZQ==\r\n",
        "Authorization: Bearer key-of-bob\r\n",
    ] {
        assert_eq!(stage.status(&target, headers).await, "407", "{headers}");
    }
    let answer = stage.all(&format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.contains("proxy-authenticate: Basic realm=\"bowline\""), "{answer}");
    assert!(answer.contains("proxy-authenticate: Bearer"), "{answer}");
    assert_eq!(stage.status(&target, ALICE).await, "200");
    assert_eq!(stage.status(&target, BOB).await, "200");
}

#[tokio::test]
async fn it_connects_and_does_nothing_else() {
    let stage = Stage::new(|_| {}).await;
    for request in ["GET http://echo.test/ HTTP/1.1\r\nHost: echo.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let answer = stage.all(request).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: CONNECT"), "{answer}");
    }
    assert_eq!(stage.status("echo.test:22", BOB).await, "403", "a port that is not on the list");
    assert_eq!(stage.status("169.254.169.254:80", BOB).await, "403", "the machine's credentials");
    assert_eq!(stage.status("[::ffff:169.254.169.254]:80", BOB).await, "403");
    assert_eq!(stage.status("rebound.test:443", BOB).await, "403", "one answer leads inside");
    assert_eq!(stage.status("empty.test:443", BOB).await, "502");
    assert_eq!(stage.status("nowhere.test:443", BOB).await, "502");
    assert_eq!(stage.status(&stage.shut.to_string(), BOB).await, "502");
    assert_eq!(stage.status(&format!("{WIREGUARD}:51820"), BOB).await, "403", "no WireGuard is behind it");
    stage.book.gone.lock().unwrap().insert("bob".to_owned());
    assert_eq!(stage.status("echo.test:443", BOB).await, "403", "deleted");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let stage = Stage::new(|_| {}).await;
    let mut stream = stage.say(&format!("CONNECT echo.test:443 HTTP/1.1\r\nX: {}", "a".repeat(9000))).await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn bytes_behind_the_head_go_on_and_each_side_may_end_first() {
    let stage = Stage::new(|_| {}).await;
    let request = format!("CONNECT {} HTTP/1.1\r\n{ALICE}\r\nsaid at once", stage.echo);
    let mut stream = stage.say(&request).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream.write_all(b", and later").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, "said at once, and later");
    let counted = timeout(LONG, async {
        while stage.book.bytes_of("alice") != (23, 23) {
            tokio::task::yield_now().await;
        }
    });
    counted.await.unwrap();
}

#[tokio::test]
async fn a_deleted_users_tunnels_end_within_two_seconds_and_nobody_elses() {
    let stage = Stage::new(|_| {}).await;
    let (mut alice, mut bob) = (stage.tunnel(ALICE).await, stage.tunnel(BOB).await);
    stage.book.gone.lock().unwrap().insert("alice".to_owned());
    let ended = timeout(Duration::from_secs(2), alice.read(&mut [0; 8])).await.expect("within two seconds");
    assert!(!matches!(ended, Ok(length) if length > 0));
    bob.write_all(b"still").await.unwrap();
    let mut answer = [0; 5];
    timeout(LONG, bob.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"still");
}

#[tokio::test]
async fn a_user_has_so_many_tunnels_at_once() {
    let stage = Stage::new(|config| config.tunnels_a_user = 2).await;
    let held = (stage.tunnel(ALICE).await, stage.tunnel(ALICE).await);
    let target = format!("echo.test:{}", stage.echo.port());
    assert_eq!(stage.status(&target, ALICE).await, "429");
    assert_eq!(stage.status(&target, BOB).await, "200");
    drop(held);
    let again = async { while stage.status(&target, ALICE).await != "200" {} };
    timeout(LONG, again).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_that_says_nothing_ends() {
    let stage = Stage::new(|config| config.idle = Duration::from_millis(200)).await;
    let mut quiet = stage.tunnel(ALICE).await;
    assert_eq!(timeout(LONG, quiet.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn by_tls_each_side_may_end_first_and_a_deleted_user_is_cut() {
    let (certificate, key) = authority::self_signed(&["localhost".to_owned()], clock::now().wall).unwrap();
    let tls = ServerTls::from_pem(&certificate, &key).unwrap();
    let pin = tls.fingerprint().parse().unwrap();
    let stage = Stage::behind(|_| {}, Some(tls)).await;
    let open = async |user: &str| {
        let stream = TcpStream::connect(stage.proxy).await.unwrap();
        let mut stream = tls::greet(stream, "localhost", Some(pin)).await.unwrap();
        let request = format!("CONNECT {} HTTP/1.1\r\n{user}\r\n", stage.echo);
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        stream
    };
    let (mut alice, mut bob) = (open(ALICE).await, open(BOB).await);
    bob.write_all(b"question").await.unwrap();
    bob.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, bob.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"question");
    stage.book.gone.lock().unwrap().insert("alice".to_owned());
    let ended = timeout(Duration::from_secs(2), alice.read(&mut [0; 8])).await.expect("within two seconds");
    assert!(!matches!(ended, Ok(length) if length > 0));
}

/// Who reads nothing holds up the far side, and costs no memory here.
#[tokio::test]
async fn a_client_that_does_not_read_holds_up_its_target() {
    let stage = Stage::new(|_| {}).await;
    let mut slow = stage.tunnel(BOB).await;
    let (block, mut sent) = (vec![7; 64 * 1024], 0_usize);
    while let Ok(written) = timeout(Duration::from_millis(500), slow.write(&block)).await {
        sent += written.unwrap();
        assert!(sent < 256 << 20, "it is swallowed by somebody");
    }
    slow.shutdown().await.unwrap();
    let (mut got, mut room) = (0, vec![0; 64 * 1024]);
    while let read @ 1.. = timeout(LONG, slow.read(&mut room)).await.unwrap().unwrap() {
        got += read;
    }
    assert_eq!(got, sent, "and nothing of it is lost");
}

/// A UDP server that answers each datagram with the same bytes stands for WireGuard.
#[tokio::test]
async fn datagrams_pass_in_frames_behind_the_name_of_wireguard() {
    let server = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let address = server.local_addr().unwrap();
    let stage = Stage::new(|config| config.wireguard = Some(address)).await;
    stage.tasks.spawn_until_shutdown("wireguard", async move {
        let mut datagram = vec![0; 65_536];
        while let Ok((length, from)) = server.recv_from(&mut datagram).await {
            server.send_to(&datagram[..length], from).await.unwrap();
        }
    });
    let mut stream = stage.say(&format!("CONNECT {WIREGUARD}:51820 HTTP/1.1\r\n{BOB}\r\n\0\x05first\0\0")).await;
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("bowline-framing: datagrams-1"), "{answer}");
    let big = vec![7; 1500];
    stream.write_all(&[&[0x05, 0xdc][..], &big].concat()).await.unwrap();
    let mut got = vec![0; 2 + 5 + 2 + 1500];
    timeout(LONG, stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, [&b"\0\x05first\x05\xdc"[..], &big].concat());
}
