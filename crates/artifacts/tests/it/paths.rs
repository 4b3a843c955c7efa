//! Nothing that a client writes into a request line reaches outside the prefix, the directory or the mount; listings end.

use std::{path::Path, sync::Arc, time::Duration};

use bowline_artifacts::upstream::{Directory, Upstream};
use bowline_base::atomic;
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::{script::lock, world::World};

const SECRET: &[u8] = b"not for the world";

/// Pieces that traversals are made of.
const PIECES: &str = "(/|\\.\\./|%2e%2e/|%2E%2e%2f|%252e%252e%252f|\\.%2e/|\\\\|%5c|%5C\\.\\.|%00|%c0%ae|%ef%bc%8f|in/|out/|secret|%2f|;|//){1,8}";

async fn world(home: &Path) -> World {
    for folder in ["in/in", "out"] {
        std::fs::create_dir_all(home.join(folder)).unwrap();
    }
    for file in ["secret", "out/secret"] {
        atomic::write_private(&home.join(file), SECRET).unwrap();
    }
    atomic::write_private(&home.join("in/a.jar"), b"jar").unwrap();
    let upstream: Arc<dyn Upstream> = Arc::new(Directory::new(home.join("in")));
    World::over(vec![("/".to_owned(), vec![upstream])]).await
}

#[tokio::test]
async fn no_request_line_leaves_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let world = world(home.path()).await;
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::string::string_regex(PIECES).unwrap();
    let random = (0..300).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    let known =
        ["../secret", "%2e%2e/secret", "%252e%252e/secret", "..%5csecret", "in/../../secret", "a.jar%00/../../secret"];
    for path in known.into_iter().map(str::to_owned).chain(random) {
        for target in [format!("/{path}"), format!("http://127.0.0.1/{path}")] {
            let answer =
                world.raw(&format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
            assert!(!answer.contains("not for the world"), "{target}");
            let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
            assert!(["200", "400", "404", "502"].contains(&status.as_str()), "{target}: {answer}");
        }
    }
    assert_eq!(world.get("/a.jar").await.body, b"jar");
}

#[tokio::test]
async fn keys_that_are_asked_of_an_upstream_never_climb_nor_name_another_place() {
    let world = World::new().await;
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::string::string_regex(PIECES).unwrap();
    for _ in 0..200 {
        let path = strategy.new_tree(&mut runner).unwrap().current();
        world.raw(&format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
    }
    for other in ["s3://other/x", "http://other.example/x"] {
        world.raw(&format!("GET {other} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
    }
    for want in lock(&world.upstream.wants).iter() {
        assert!(!want.key.split('/').any(|part| part == ".." || part == "."), "{}", want.key);
        assert!(!want.key.contains(['\\', '\0']) && !want.key.contains("://"), "{}", want.key);
    }
}

#[tokio::test]
async fn a_listing_has_every_one_of_thousands_of_names_and_a_silent_upstream_ends_it() {
    let world = World::with(|config| config.upstream_timeout = Duration::from_millis(300)).await;
    // Two names a page: 1,200 keys are 600 pages.
    for number in 0..1200 {
        world.upstream.put(&format!("g/{number:04}.jar"), "x", "1");
    }
    let listed: serde_json::Value = serde_json::from_slice(&world.get("/g/?format=json").await.body).unwrap();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1200);
    for number in 1200..2002 {
        world.upstream.put(&format!("g/{number:04}.jar"), "x", "1");
    }
    assert_eq!(world.get("/g/").await.status, 502, "more than a thousand pages are not told in part");
    world.upstream.hang(true);
    let late = world.get("/g/").await;
    assert_eq!((late.status, late.header("x-bowline-reason")), (504, "upstream-timeout"));
}
