//! Hits that cost little: from memory, or sent by the kernel from a file that nobody reads. What arrives is the same.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    script::Script,
    world::{World, noise},
};

const JAR: &str = "/g/a/1.0/a-1.0.jar";
const KEY: &str = "g/a/1.0/a-1.0.jar";
const BIG: usize = 4_500_000;

/// With a big file in its cache.
async fn warm(memory: u64) -> World {
    let world = World::with(|config| config.cache.memory = memory).await;
    world.upstream.put(KEY, noise(BIG), "one");
    assert_eq!(world.get(JAR).await.status, 200);
    world.settled().await;
    world
}

#[tokio::test]
async fn every_part_of_a_big_file_is_what_it_is() {
    let big = noise(BIG);
    for memory in [8 << 20, 0] {
        let world = warm(memory).await;
        let parts = [(0, BIG), (0, 1), (BIG - 1, BIG), (1, 4096), (4095, 4097), (262_143, 1_310_720), (3_000_000, BIG)];
        for (start, end) in parts {
            let range = format!("bytes={start}-{}", end - 1);
            let reply = world.ask("GET", JAR, &[("range", &range)]).await.unwrap();
            assert_eq!((reply.status, reply.cache()), (206, "hit"), "{range}");
            assert!(reply.body == big[start..end], "{range}");
        }
        let tail = world.ask("GET", JAR, &[("range", "bytes=-300000")]).await.unwrap();
        assert!(tail.status == 206 && tail.body == big[BIG - 300_000..]);
        let whole = world.get(JAR).await;
        assert!((whole.status, whole.cache()) == (200, "hit") && whole.body == big);
        assert_eq!(world.upstream.gets(), 1);
    }
}

#[tokio::test]
async fn requests_that_follow_each_other_unasked_are_answered_in_their_order() {
    let world = warm(8 << 20).await;
    world.upstream.put("x.txt", "small", "one");
    world.get("/x.txt").await;
    world.settled().await;
    let request = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    let asked = [
        request(JAR, ""),
        request("/x.txt", ""),
        request(JAR, "range: bytes=100-4499999\r\n"),
        request(JAR, "connection: close\r\n"),
    ];
    let mut stream = TcpStream::connect(world.artifacts.addresses()[0]).await.unwrap();
    stream.write_all(asked.concat().as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let big = noise(BIG);
    let mut rest = &answer[..];
    for body in [&big[..], b"small", &big[100..], &big[..]] {
        let head = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert!(rest.starts_with(b"HTTP/1.1 20") && rest[head..].starts_with(body));
        rest = &rest[head + body.len()..];
    }
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_unix_socket_gets_the_same_bytes_by_reading() {
    let run = tempfile::tempdir().unwrap();
    let socket = run.path().join("run/sock");
    let world = World::with(|config| config.listen.push(bowline_host::Address::Unix(socket.clone()))).await;
    world.upstream.put(KEY, noise(BIG), "one");
    world.get(JAR).await;
    world.settled().await;
    for _ in 0..2 {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream.write_all(format!("GET {JAR} HTTP/1.0\r\nrange: bytes=5-\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.0 206 ") && answer.ends_with(&noise(BIG)[5..]));
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_file_that_it_began_even_if_it_is_gone() {
    let world = warm(8 << 20).await;
    let mut stream = TcpStream::connect(world.artifacts.addresses()[0]).await.unwrap();
    stream
        .write_all(format!("GET {JAR} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 1000];
    stream.read_exact(&mut answer).await.unwrap();
    // Evicted, as another process would.
    std::fs::remove_dir_all(world.cache().join("cache/v1")).unwrap();
    let mut piece = vec![0; 100_000];
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
        tokio::task::yield_now().await;
    }
    assert!(answer.ends_with(&noise(BIG)));
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_take_nothing_with_them() {
    let world = warm(8 << 20).await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(world.artifacts.addresses()[0]).await.unwrap();
        stream.write_all(format!("GET {JAR} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        stream.read_exact(&mut [0; 100]).await.unwrap();
    }
    assert_eq!(world.get(JAR).await.body, noise(BIG));
}

#[tokio::test]
async fn hits_have_the_headers_that_misses_had() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(1000), "one");
    world.upstream.put("odd", "x", "one");
    world.upstream.describe("odd", |head| head.content_type = Some("text/x-odd".to_owned()));
    for path in [JAR, "/odd"] {
        let headers = |reply: &crate::world::Reply| {
            let mut headers = reply.headers.clone();
            headers.remove("date");
            headers.remove("x-bowline-cache");
            headers
        };
        let miss = world.get(path).await;
        world.settled().await;
        let (loaded, recalled) = (world.get(path).await, world.get(path).await);
        assert_eq!((loaded.cache(), recalled.cache()), ("hit", "hit"));
        assert_eq!(headers(&loaded), headers(&recalled));
        let head = world.ask("HEAD", path, &[]).await.unwrap();
        assert_eq!(headers(&head), headers(&loaded));
        let (mut before, mut now) = (headers(&miss), headers(&loaded));
        // Known when the file was whole.
        for kind in ["md5", "sha1", "sha256"] {
            assert!(now.remove(format!("x-checksum-{kind}")).is_some(), "{kind}");
        }
        // The miss was answered while the file came.
        assert_eq!(before.remove("x-checksum-sha1"), None);
        assert_eq!(now, before);
    }
}

/// Two processes over one cache directory and one upstream.
async fn pair() -> (World, World) {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let upstream = Arc::new(Script::new("s3://bucket/"));
    let one = World::start(Arc::clone(&upstream), Vec::new(), Arc::clone(&home), |_| {}).await;
    let other = World::start(upstream, Vec::new(), home, |_| {}).await;
    (one, other)
}

#[tokio::test]
async fn what_another_process_brings_is_served_within_two_seconds() {
    let (one, other) = pair().await;
    one.upstream.put(KEY, "first", "one");
    one.get(JAR).await;
    one.settled().await;
    for world in [&one, &other] {
        assert_eq!((world.get(JAR).await.cache(), world.get(JAR).await.body.as_slice()), ("hit", b"first".as_slice()));
    }
    // The other one forgets it and brings it anew.
    std::fs::remove_dir_all(one.cache().join("cache/v1")).unwrap();
    one.upstream.put(KEY, "second", "two");
    other.pass(Duration::from_secs(2));
    assert_eq!(other.get(JAR).await.cache(), "miss");
    other.settled().await;
    one.pass(Duration::from_secs(2));
    let seen = one.get(JAR).await;
    assert_eq!((seen.cache(), seen.body.as_slice()), ("hit", b"second".as_slice()));
}

#[tokio::test]
async fn a_copy_that_another_process_removes_is_missed_within_two_seconds() {
    let (one, other) = pair().await;
    one.upstream.put(KEY, "jar", "one");
    one.get(JAR).await;
    one.settled().await;
    assert_eq!((one.get(JAR).await.cache(), other.get(JAR).await.cache()), ("hit", "hit"));
    std::fs::remove_dir_all(one.cache().join("cache/v1")).unwrap();
    one.pass(Duration::from_secs(2));
    assert_eq!(one.get(JAR).await.cache(), "miss");
}

#[tokio::test]
async fn a_copy_that_comes_while_it_is_known_to_be_absent_is_found_when_asked_for() {
    let (one, other) = pair().await;
    one.upstream.put(KEY, "jar", "one");
    // Describing brings no copy; that there is none is remembered.
    assert_eq!(one.ask("HEAD", JAR, &[]).await.unwrap().cache(), "miss");
    other.get(JAR).await;
    other.settled().await;
    let found = one.get(JAR).await;
    assert_eq!((found.status, found.cache(), found.body.as_slice()), (200, "hit", b"jar".as_slice()));
    assert_eq!(one.upstream.gets(), 1);
}
