//! Whatever goes wrong behind the proxy: never a 404 for it, never garbage in the cache, stale rather than nothing.

use std::{sync::atomic::Ordering, time::Duration};

use bowline_artifacts::upstream::Trouble;

use crate::world::World;

const META: &str = "/g/a/maven-metadata.xml";
const KEY: &str = "g/a/maven-metadata.xml";
const JAR: &str = "/g/a/1.0/a-1.0.jar";
const TTL: Duration = Duration::from_secs(300);

fn troubles() -> Vec<(Trouble, u16, &'static str)> {
    let text = || "because".to_owned();
    let login = Some("sign in with `bowline login`".to_owned());
    vec![
        (Trouble::Credentials { why: text(), hint: login }, 503, "no-credentials"),
        (Trouble::Unreachable(text()), 503, "upstream-unreachable"),
        (Trouble::Busy, 503, "upstream-busy"),
        (Trouble::TimedOut(TTL), 504, "upstream-timeout"),
        (Trouble::Server(500), 502, "upstream-error"),
        (Trouble::NotS3(text()), 502, "not-s3"),
        (Trouble::Refused(text()), 502, "upstream-refused"),
        (Trouble::Disk(text()), 503, "upstream-disk"),
    ]
}

#[tokio::test]
async fn trouble_on_a_cold_key_is_told_and_forgotten_when_it_is_over() {
    for (trouble, status, reason) in troubles() {
        let world = World::new().await;
        world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "one");
        world.upstream.fail(Some(trouble));
        for method in ["GET", "HEAD"] {
            let reply = world.ask(method, JAR, &[]).await.unwrap();
            assert_eq!((reply.status, reply.header("x-bowline-reason")), (status, reason));
            assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
        }
        let missing = world.get("/g/a/1.0/a-1.0.module").await;
        assert_eq!(missing.status, status, "a key that does not exist is not known not to");
        world.upstream.fail(None);
        assert_eq!(world.get(JAR).await.body, b"jar");
        assert_eq!(world.get("/g/a/1.0/a-1.0.module").await.status, 404);
    }
}

#[tokio::test]
async fn a_login_that_is_needed_says_how() {
    let world = World::new().await;
    world.upstream.fail(Some(troubles().swap_remove(0).0));
    let reply = world.get(JAR).await;
    assert!(String::from_utf8_lossy(&reply.body).contains("hint: sign in with `bowline login`"));
    let health = world.get("/healthz").await;
    let text = String::from_utf8(health.body).unwrap();
    assert!(health.status == 503 && text.contains("no usable credentials"), "{text}");
}

#[tokio::test]
async fn metadata_is_served_stale_while_the_upstream_fails_and_renewed_afterwards() {
    for (trouble, ..) in troubles() {
        let world = World::new().await;
        world.upstream.put(KEY, "old", "one");
        world.get(META).await;
        world.settled().await;
        world.upstream.fail(Some(trouble));
        world.pass(TTL + Duration::from_secs(86_400));
        let reply = world.get(META).await;
        assert_eq!((reply.status, reply.cache(), reply.body.as_slice()), (200, "stale", b"old".as_slice()));
        assert_eq!((reply.header("age"), reply.header("warning")), ("86700", "110 bowline \"Response is Stale\""));
        let health = world.get("/healthz").await;
        assert!(health.status == 200 && String::from_utf8_lossy(&health.body).contains("degraded"));
        world.upstream.fail(None);
        world.upstream.put(KEY, "new", "two");
        world.pass(Duration::from_secs(10));
        assert_eq!(world.get(META).await.body, b"new");
        assert!(String::from_utf8_lossy(&world.get("/healthz").await.body).contains("\"ok\""));
    }
}

#[tokio::test]
async fn a_failing_upstream_is_not_asked_for_every_stale_answer() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.upstream.fail(Some(Trouble::Server(500)));
    world.pass(TTL);
    for _ in 0..5 {
        assert_eq!(world.get(META).await.cache(), "stale");
    }
    assert_eq!(world.upstream.gets(), 2);
}

#[tokio::test]
async fn a_hanging_upstream_is_a_504_on_a_cold_key_and_stale_on_a_warm_one() {
    let world = World::with(|config| config.upstream_timeout = Duration::from_millis(300)).await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.upstream.hang(true);
    world.pass(TTL);
    let (cold, warm) = tokio::join!(world.get(JAR), world.get(META));
    assert_eq!((cold.status, cold.header("x-bowline-reason")), (504, "upstream-timeout"));
    assert_eq!((warm.status, warm.cache()), (200, "stale"));
}

#[tokio::test]
async fn a_slow_upstream_does_not_keep_a_client_from_its_copy() {
    let world = World::with(|config| config.upstream_timeout = Duration::from_secs(20)).await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.upstream.hang(true);
    world.pass(TTL);
    let reply = tokio::time::timeout(Duration::from_secs(4), world.get(META)).await.expect("long before 20 s");
    assert_eq!((reply.status, reply.cache()), (200, "stale"));
}

#[tokio::test]
async fn stale_ends_where_it_is_configured_to() {
    let world = World::with(|config| config.stale_for = Some(Duration::from_secs(3600))).await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.upstream.fail(Some(Trouble::Busy));
    world.pass(Duration::from_secs(3599));
    assert_eq!(world.get(META).await.cache(), "stale");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.get(META).await.status, 503);
}

#[tokio::test]
async fn a_refused_key_is_missing_where_listing_is_not_allowed_and_one_probe_tells() {
    let world = World::new().await;
    world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "one");
    world.upstream.forbid_listing();
    assert_eq!(world.get(JAR).await.status, 200);
    for number in 0..5 {
        assert_eq!(world.get(&format!("/g/a/1.0/a-1.0-{number}.jar")).await.status, 404);
    }
    assert_eq!(world.upstream.probes.load(Ordering::Relaxed), 1);
    assert!(String::from_utf8_lossy(&world.get("/healthz").await.body).contains("\"ok\""));
    let listing = world.get("/g/").await;
    assert_eq!((listing.status, listing.header("x-bowline-reason")), (403, "listing-denied"));
}

#[tokio::test]
async fn lost_access_is_not_taken_for_missing_keys() {
    let world = World::new().await;
    world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "one");
    world.upstream.forbid_listing();
    world.get(JAR).await;
    world.settled().await;
    world.upstream.forbid_reading(true);
    let reply = world.get("/g/a/1.0/a-1.0.pom").await;
    assert_eq!((reply.status, reply.header("x-bowline-reason")), (502, "access-denied"));
    assert_eq!(world.get(JAR).await.cache(), "hit");
    world.upstream.forbid_reading(false);
    world.pass(Duration::from_secs(15));
    assert_eq!(world.get("/g/a/1.0/a-1.0.pom").await.status, 404);
}

#[tokio::test]
async fn lost_access_after_a_restart_is_no_404_and_deletes_nothing() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.upstream.forbid_listing();
    world.get(META).await;
    world.settled().await;
    world.upstream.forbid_reading(true);
    let world = world.restarted().await;
    world.pass(TTL);
    let reply = world.get(JAR).await;
    assert_eq!((reply.status, reply.header("x-bowline-reason")), (502, "access-denied"));
    for _ in 0..2 {
        let reply = world.get(META).await;
        assert_eq!((reply.status, reply.cache(), reply.body.as_slice()), (200, "stale", b"old".as_slice()));
        world.settled().await;
    }
    world.until(|world| world.files() == 1).await;
}

#[tokio::test]
async fn a_copy_of_a_key_that_alone_is_refused_stays_and_others_are_missing_as_before() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "one");
    world.upstream.forbid_listing();
    world.get(META).await;
    world.get(JAR).await;
    world.settled().await;
    world.upstream.forbid_key(KEY);
    world.pass(TTL);
    assert_eq!(world.get(META).await.cache(), "stale");
    assert_eq!(world.get("/g/a/1.0/a-1.0.pom").await.status, 404);
    assert_eq!(world.get(META).await.cache(), "stale");
}

#[tokio::test]
async fn a_deleted_canary_is_no_outage() {
    let world = World::new().await;
    for number in 0..3 {
        world.upstream.put(&format!("file-{number}"), "x", "one");
        world.get(&format!("/file-{number}")).await;
        world.settled().await;
    }
    world.upstream.forbid_listing();
    world.upstream.remove("file-2");
    assert_eq!(world.get(JAR).await.status, 404);
    let heads = world.upstream.heads.load(Ordering::Relaxed);
    world.pass(Duration::from_secs(15));
    world.upstream.put("file-9", "x", "one");
    assert_eq!(world.get("/g/a/1.0/a-1.0.pom").await.status, 404);
    assert_eq!((heads, world.upstream.heads.load(Ordering::Relaxed)), (2, 3), "the dead one is asked for once");
}

#[tokio::test]
async fn a_cold_bucket_that_refuses_everything_is_404_and_told() {
    let world = World::new().await;
    world.upstream.forbid_listing();
    assert_eq!(world.get(JAR).await.status, 404);
    let health = String::from_utf8(world.get("/healthz").await.body).unwrap();
    assert!(health.contains("degraded") && health.contains("taken for missing"), "{health}");
}

#[tokio::test]
async fn a_key_that_is_refused_where_listing_is_allowed_exists_and_the_bucket_is_not_away() {
    let world = World::new().await;
    world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "one");
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.upstream.forbid_key("g/a/1.0/a-1.0.jar");
    let reply = world.get(JAR).await;
    assert_eq!((reply.status, reply.header("x-bowline-reason")), (502, "access-denied"));
    assert!(String::from_utf8_lossy(&world.get("/healthz").await.body).contains("\"ok\""));
    world.pass(TTL);
    assert_eq!(world.get(META).await.cache(), "revalidated");
    assert_eq!(world.get(JAR).await.status, 502);
}

#[tokio::test]
async fn a_bucket_that_may_be_listed_and_not_read_is_told() {
    let world = World::new().await;
    world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "one");
    world.upstream.forbid_reading(true);
    assert_eq!(world.get(JAR).await.status, 502);
    let health = String::from_utf8(world.get("/healthz").await.body).unwrap();
    assert!(health.contains("degraded") && health.contains("none was read yet"), "{health}");
}

#[tokio::test]
async fn the_counts_name_repositories_and_outcomes_and_no_path() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.get(META).await;
    world.get("/nothing").await;
    let text = world.metrics.text();
    for line in [
        "bowline_artifact_requests_total{repository=\"/\",outcome=\"hit\"} 1",
        "bowline_artifact_requests_total{repository=\"/\",outcome=\"miss\"} 1",
        "bowline_artifact_requests_total{repository=\"/\",outcome=\"missing\"} 1",
        "bowline_artifact_sent_bytes_total{repository=\"/\"} 6",
        "bowline_artifact_fills_total{repository=\"/\",outcome=\"kept\"} 1",
        "bowline_artifact_upstream_calls_total{repository=\"/\",outcome=\"ok\"} 1",
        "bowline_artifact_upstream_seconds_count{repository=\"/\",outcome=\"ok\"} 1",
        "bowline_artifact_upstream_seconds_count{repository=\"/\",outcome=\"missing\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("maven-metadata"));
}
