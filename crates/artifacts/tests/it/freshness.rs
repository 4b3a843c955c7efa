//! Hits, revalidations, generations and the memory of missing keys, as the clock goes on.

use std::time::Duration;

use crate::world::World;

const META: &str = "/g/a/maven-metadata.xml";
const KEY: &str = "g/a/maven-metadata.xml";
const SUM: &str = "/g/a/maven-metadata.xml.sha1";
const SUM_KEY: &str = "g/a/maven-metadata.xml.sha1";
const TTL: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_release_is_asked_for_once_whatever_the_client_says() {
    let world = World::new().await;
    world.upstream.put("g/a/1.0/a-1.0.pom", "pom", "one");
    world.get("/g/a/1.0/a-1.0.pom").await;
    world.settled().await;
    world.pass(Duration::from_secs(10_000_000));
    let maven = [("cache-control", "no-cache"), ("pragma", "no-cache")];
    let reply = world.ask("GET", "/g/a/1.0/a-1.0.pom", &maven).await.unwrap();
    assert_eq!((reply.cache(), reply.header("content-type"), world.upstream.gets()), ("hit", "text/xml", 1));
}

#[tokio::test]
async fn metadata_is_revalidated_when_its_time_is_over_and_replaced_when_it_changed() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.pass(TTL - Duration::from_secs(1));
    assert_eq!(world.get(META).await.cache(), "hit");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.get(META).await.cache(), "revalidated");
    world.settled().await;
    assert_eq!(world.get(META).await.cache(), "hit");
    world.upstream.put(KEY, "new!", "two");
    world.pass(TTL);
    let reply = world.get(META).await;
    assert_eq!((reply.cache(), reply.body.as_slice(), reply.header("etag")), ("miss", b"new!".as_slice(), "\"two\""));
    assert_eq!(world.upstream.gets(), 3);
}

#[tokio::test]
async fn freshness_survives_a_restart() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.pass(TTL / 2);
    let world = world.restarted().await;
    assert_eq!(world.get(META).await.cache(), "hit");
    world.pass(TTL / 2);
    assert_eq!(world.get(META).await.cache(), "revalidated");
}

#[tokio::test]
async fn a_checksum_is_of_the_generation_of_its_metadata() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "m1");
    world.upstream.put(SUM_KEY, "sum of old", "s1");
    world.get(SUM).await;
    world.settled().await;
    world.pass(Duration::from_secs(200));
    world.get(META).await;
    world.settled().await;
    world.upstream.put(KEY, "new", "m2");
    world.upstream.put(SUM_KEY, "sum of new", "s2");
    // The checksum came before its parent: it is asked about, and from now on lives as long as the parent.
    world.upstream.put(SUM_KEY, "sum of old", "s1");
    assert_eq!(world.get(SUM).await.body, b"sum of old");
    world.upstream.put(SUM_KEY, "sum of new", "s2");
    world.settled().await;
    world.pass(Duration::from_secs(150));
    assert_eq!(
        (world.get(META).await.body.as_slice(), world.get(SUM).await.body.as_slice()),
        (b"old".as_slice(), b"sum of old".as_slice())
    );
    // The parent's time is over: asking for the checksum alone brings both up to date.
    world.pass(Duration::from_secs(150));
    assert_eq!(world.get(SUM).await.body, b"sum of new");
    world.settled().await;
    let gets = world.upstream.gets();
    assert_eq!((world.get(META).await.body.as_slice(), world.upstream.gets()), (b"new".as_slice(), gets));
}

#[tokio::test]
async fn a_checksum_that_does_not_fit_its_metadata_is_asked_for_again_at_once() {
    let world = World::new().await;
    // The publisher has replaced the metadata and not yet its checksum.
    world.upstream.put(KEY, "hello", "m2");
    world.upstream.put(SUM_KEY, "0000000000000000000000000000000000000000", "s1");
    world.get(META).await;
    world.settled().await;
    world.get(SUM).await;
    world.settled().await;
    let right = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    world.upstream.put(SUM_KEY, right, "s2");
    assert_eq!(world.get(SUM).await.body, right.as_bytes());
    world.settled().await;
    assert_eq!(world.get(SUM).await.cache(), "hit");
}

#[tokio::test]
async fn a_missing_key_is_remembered_for_its_time_and_no_longer() {
    let world = World::new().await;
    let cold = world.get("/g/a/1.0/a-1.0.module").await;
    assert_eq!((cold.status, cold.cache(), cold.header("x-bowline-reason")), (404, "miss", "missing"));
    let known = world.get("/g/a/1.0/a-1.0.module").await;
    assert_eq!((known.status, known.cache(), world.upstream.gets()), (404, "negative", 1));
    world.upstream.put("g/a/1.0/a-1.0.module", "{}", "one");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.get("/g/a/1.0/a-1.0.module").await.body, b"{}");
}

#[tokio::test]
async fn metadata_that_is_deleted_upstream_is_deleted_here() {
    let world = World::new().await;
    world.upstream.put(KEY, "old", "one");
    world.get(META).await;
    world.settled().await;
    world.upstream.remove(KEY);
    world.pass(TTL);
    assert_eq!(world.get(META).await.status, 404);
    world.upstream.fail(Some(bowline_artifacts::upstream::Trouble::Busy));
    world.pass(TTL);
    assert_eq!(world.get(META).await.status, 503);
}
