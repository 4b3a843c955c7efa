//! Methods, headers, ranges, listings and paths, over the socket.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bowline_artifacts::upstream::{Directory, Upstream};

use crate::{
    script::Endless,
    world::{World, noise},
};

const JAR: &str = "/g/a/1.0/a-1.0.jar";
const KEY: &str = "g/a/1.0/a-1.0.jar";

#[tokio::test]
async fn head_has_the_headers_of_get_cold_and_warm() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(1000), "one");
    let names = ["etag", "last-modified", "content-length", "content-type", "accept-ranges"];
    let of = |reply: &crate::world::Reply| names.map(|name| reply.header(name).to_owned());
    let cold = world.ask("HEAD", JAR, &[]).await.unwrap();
    assert_eq!((world.upstream.gets(), world.upstream.heads.load(Ordering::Relaxed)), (0, 1));
    let miss = world.get(JAR).await;
    world.settled().await;
    let warm = world.ask("HEAD", JAR, &[]).await.unwrap();
    let hit = world.get(JAR).await;
    assert!(cold.body.is_empty() && warm.body.is_empty());
    assert_eq!((of(&cold), of(&warm), of(&miss)), (of(&hit), of(&hit), of(&hit)));
    let java = "application/java-archive";
    assert_eq!(of(&hit), ["\"one\"", "Sun, 22 Nov 2026 01:00:00 GMT", "1000", java, "bytes"]);
    assert_eq!(world.upstream.heads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn ranges_and_conditions_work_from_memory_and_from_a_big_file() {
    for size in [1000_usize, 700_000] {
        let world = World::new().await;
        world.upstream.put(KEY, noise(size), "one");
        for round in ["cold", "warm"] {
            let part = world.ask("GET", JAR, &[("range", "bytes=10-19")]).await.unwrap();
            assert_eq!((part.status, part.body.as_slice()), (206, &noise(size)[10..20]), "{round}");
            assert_eq!(part.header("content-range"), format!("bytes 10-19/{size}"));
            let tail = world.ask("GET", JAR, &[("range", "bytes=-5"), ("if-range", "\"one\"")]).await.unwrap();
            assert_eq!((tail.status, tail.body.as_slice()), (206, &noise(size)[size - 5..]));
            world.settled().await;
        }
        let several = world.ask("GET", JAR, &[("range", "bytes=0-0,5-6")]).await.unwrap();
        assert!(several.status == 200 && several.body == noise(size));
        let beyond = world.ask("GET", JAR, &[("range", "bytes=9999999-")]).await.unwrap();
        assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{size}").as_str()));
        let same = world.ask("GET", JAR, &[("if-none-match", "\"one\"")]).await.unwrap();
        assert_eq!((same.status, same.header("etag"), same.body.len()), (304, "\"one\"", 0));
        let other = world.ask("GET", JAR, &[("if-match", "\"two\"")]).await.unwrap();
        assert_eq!(other.status, 412);
        assert_eq!(world.upstream.gets(), 1);
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let world = World::new().await;
    for method in ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"] {
        let reply = world.ask(method, JAR, &[]).await.unwrap();
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(world.upstream.gets(), 0);
}

#[tokio::test]
async fn what_could_leave_the_prefix_never_reaches_the_upstream() {
    let world = World::new().await;
    let long = format!("/{}", "a".repeat(1025));
    let paths =
        ["/../x", "/%2e%2e/x", "/a%00", "/a%5c..%5cb", "/..%2f..%2fetc/passwd", "ftp://localhost/x", "/%zz", &long];
    for path in paths {
        let answer = world.raw(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
        let status = if path == long { "HTTP/1.1 414 " } else { "HTTP/1.1 400 " };
        assert!(answer.starts_with(status), "{path}: {answer}");
    }
    assert_eq!(world.upstream.gets(), 0);
}

#[tokio::test]
async fn odd_names_are_files_like_any_other() {
    let world = World::new().await;
    let keys = [
        ("a", "/a"),
        ("a/b", "/a/b"),
        ("g/x+y z[1].jar", "/g/x+y%20z%5B1%5D.jar"),
        ("ü/日本.txt", "/%C3%BC/%E6%97%A5%E6%9C%AC.txt"),
        ("%2e%2e/x", "/%252e%252e/x"),
        ("A", "/A"),
    ];
    for (key, _) in keys {
        world.upstream.put(key, key.to_owned(), "one");
    }
    for _ in 0..2 {
        for (key, path) in keys {
            assert_eq!(world.get(path).await.body, key.as_bytes(), "{path}");
        }
        world.settled().await;
    }
    assert_eq!(world.upstream.gets(), keys.len());
}

#[tokio::test]
async fn http_1_0_and_closed_connections_get_whole_files() {
    let world = World::new().await;
    world.upstream.put("x.txt", "hello", "one");
    let old = world.raw("GET /x.txt HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 ") && old.ends_with("\r\n\r\nhello"), "{old}");
    let closed = world.raw("GET /x.txt HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(closed.starts_with("HTTP/1.1 200 ") && closed.ends_with("\r\n\r\nhello"), "{closed}");
}

#[tokio::test]
async fn listings_have_every_page_and_never_answer_for_a_file() {
    let world = World::new().await;
    for version in ["1.0", "1.1", "2.0"] {
        world.upstream.put(&format!("g/a/{version}/a-{version}.jar"), "x", "one");
    }
    for number in 0..5 {
        world.upstream.put(&format!("g/a/file-{number}"), "x", "one");
    }
    let html = world.get("/g/a/").await;
    let text = String::from_utf8(html.body.clone()).unwrap();
    assert_eq!((html.status, html.header("content-type")), (200, "text/html; charset=utf-8"));
    for name in ["1.0/", "1.1/", "2.0/", "file-0", "file-4"] {
        assert!(text.contains(&format!("<a href=\"{name}\">{name}</a>")), "{name}: {text}");
    }
    let json = world.get("/g/a/?format=json").await;
    let value: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((value["path"].as_str(), value["folders"].as_array().unwrap().len()), (Some("/g/a/"), 3));
    assert_eq!(value["files"].as_array().unwrap().len(), 5);
    assert_eq!(world.get("/g/a").await.status, 404);
    assert_eq!(world.get("/g/b/").await.status, 404);
    let head = world.ask("HEAD", "/g/a/", &[]).await.unwrap();
    assert_eq!(head.header("content-length"), html.body.len().to_string());
}

#[tokio::test]
async fn health_is_json_and_ok_before_anything_was_asked() {
    let world = World::new().await;
    let health = world.get("/healthz").await;
    assert_eq!((health.status, health.header("content-type")), (200, "application/json"));
    assert_eq!(health.body, b"{\"status\":\"ok\",\"reasons\":[],\"codes\":[]}\n");
}

#[tokio::test]
async fn a_directory_is_served_like_a_bucket_links_included() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("repo/g/a/1.0");
    std::fs::create_dir_all(&folder).unwrap();
    bowline_base::atomic::write(&home.path().join("a.jar"), &noise(300_000), 0o644).unwrap();
    std::os::unix::fs::symlink(home.path().join("a.jar"), folder.join("a-1.0.jar")).unwrap();
    let upstream: Arc<dyn Upstream> = Arc::new(Directory::new(home.path().join("repo")));
    let world = World::over(vec![("internal".to_owned(), vec![upstream])]).await;
    let reply = world.get("/internal/g/a/1.0/a-1.0.jar").await;
    assert!((reply.status, reply.cache()) == (200, "pass") && reply.body == noise(300_000), "{}", reply.cache());
    let part = world.ask("GET", "/internal/g/a/1.0/a-1.0.jar", &[("range", "bytes=299990-")]).await.unwrap();
    assert_eq!((part.status, part.body.as_slice()), (206, &noise(300_000)[299_990..]));
    let head = world.ask("HEAD", "/internal/g/a/1.0/a-1.0.jar", &[]).await.unwrap();
    assert_eq!(
        (head.status, head.header("content-length"), head.header("etag")),
        (200, "300000", reply.header("etag"))
    );
    assert!(String::from_utf8(world.get("/internal/g/a/1.0/").await.body).unwrap().contains("a-1.0.jar"));
    assert_eq!(world.get("/internal/g/a/1.0").await.status, 404);
    assert_eq!(world.get("/g/a/1.0/a-1.0.jar").await.status, 404);
}

#[tokio::test]
async fn half_a_file_in_a_directory_is_whole_as_soon_as_it_is_there() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("g/a/1.0");
    std::fs::create_dir_all(&folder).unwrap();
    let upstream: Arc<dyn Upstream> = Arc::new(Directory::new(home.path().to_path_buf()));
    let world = World::over(vec![("/".to_owned(), vec![upstream])]).await;
    for length in [1000, 3000] {
        bowline_base::atomic::write(&folder.join("a-1.0.jar"), &noise(3000)[..length], 0o644).unwrap();
        assert_eq!(world.get(JAR).await.body.len(), length);
        world.settled().await;
    }
    assert_eq!(world.files(), 0);
}

#[tokio::test]
async fn the_encoding_of_a_stored_object_is_told_and_none_is_added() {
    let world = World::new().await;
    world.upstream.put("x.json", "squeezed", "one");
    world.upstream.describe("x.json", |head| head.content_encoding = Some("gzip".to_owned()));
    world.upstream.put(KEY, "jar", "one");
    for _ in 0..2 {
        let squeezed = world.get("/x.json").await;
        assert_eq!((squeezed.header("content-encoding"), squeezed.body.as_slice()), ("gzip", b"squeezed".as_slice()));
        let plain = world.ask("GET", JAR, &[("accept-encoding", "gzip")]).await.unwrap();
        assert!(!plain.headers.contains_key("content-encoding"));
        world.settled().await;
    }
}

#[tokio::test]
async fn a_whole_url_in_the_request_line_is_served_by_its_path() {
    let world = World::new().await;
    world.upstream.put("x.txt", "hello", "one");
    let answer = world.raw("GET http://localhost:9000/x.txt HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn a_page_that_goes_by_another_name_reads_nothing_on_loopback() {
    let world = World::new().await;
    world.upstream.put("x.txt", "hello", "one");
    for path in ["/x.txt", "/healthz", "/"] {
        let rebound = format!("GET {path} HTTP/1.1\r\nhost: evil.example:9000\r\nconnection: close\r\n\r\n");
        assert!(world.raw(&rebound).await.starts_with("HTTP/1.1 403 "), "{path}");
    }
    assert_eq!(world.upstream.gets(), 0);
    assert_eq!(world.get("/x.txt").await.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_listing_that_begins_again_ends() {
    let world = World::new().await;
    for number in 0..5 {
        world.upstream.put(&format!("g/{number}"), "x", "one");
    }
    world.upstream.list_without_end(Endless::InACircle, Duration::ZERO);
    let asked = tokio::time::timeout(Duration::from_secs(3), world.get("/g/")).await;
    let reply = asked.expect("an answer at once");
    assert_eq!((reply.status, reply.header("x-bowline-reason")), (502, "upstream-broken"));
}

#[tokio::test]
async fn a_listing_of_more_pages_than_anybody_reads_ends() {
    let world = World::new().await;
    world.upstream.list_without_end(Endless::Onwards, Duration::ZERO);
    let reply = world.get("/g/").await;
    assert_eq!((reply.status, reply.header("x-bowline-reason")), (502, "upstream-broken"));
    assert!(String::from_utf8(reply.body).unwrap().contains("more than 1000 pages"));
}

#[tokio::test]
async fn a_listing_that_takes_longer_than_a_minute_is_given_up() {
    let world = World::with(|config| config.upstream_timeout = Duration::from_secs(20)).await;
    // Each page comes in time.
    world.upstream.list_without_end(Endless::Onwards, Duration::from_secs(15));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let answer = world.raw("GET /g/ HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 504 ") && answer.contains("retry-after"), "{answer}");
    assert_eq!(begun.elapsed().as_secs(), 60);
}
