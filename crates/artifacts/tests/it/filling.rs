//! One fill for many, streamed while it grows, resumed when it breaks, never passed off as whole.

use std::{fs, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    script::{Play, Script, lock},
    world::{World, is_cut_off, noise},
};

const JAR: &str = "/g/a/1.0/a-1.0.jar";
const KEY: &str = "g/a/1.0/a-1.0.jar";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_on_one_cold_key_make_one_upstream_call_and_get_equal_bytes() {
    let world = Arc::new(World::new().await);
    let bytes = noise(1_000_000);
    let (feed, fed) = mpsc::unbounded_channel();
    world.upstream.put(KEY, bytes.clone(), "one");
    world.upstream.play(Play::Fed(fed));
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        clients.spawn(async move { world.get(JAR).await });
    }
    let joined = |world: &World| world.metrics.text().contains("bowline_artifact_joins_total{repository=\"/\"} 49");
    world.until(joined).await;
    for chunk in bytes.chunks(100_000) {
        feed.send(Bytes::copy_from_slice(chunk)).unwrap();
    }
    let mut outcomes = Vec::new();
    for reply in clients.join_all().await {
        assert_eq!((reply.status, reply.body.len()), (200, bytes.len()));
        assert!(reply.body == bytes);
        outcomes.push(reply.cache().to_owned());
    }
    outcomes.sort_unstable();
    assert_eq!((outcomes[..49].iter().all(|outcome| outcome == "joined"), outcomes[49].as_str()), (true, "miss"));
    let text = world.metrics.text();
    for (outcome, count) in [("joined", 49), ("miss", 1)] {
        let line = text
            .lines()
            .find(|line| line.contains("artifact_requests") && line.contains(&format!("outcome=\"{outcome}\"")))
            .unwrap();
        assert!(line.ends_with(&format!(" {count}")), "{line}");
    }
    assert_eq!(world.upstream.gets(), 1);
    world.settled().await;
    assert_eq!(world.get(JAR).await.cache(), "hit");
    assert_eq!(world.upstream.gets(), 1);
}

#[tokio::test]
async fn the_first_client_leaves_and_the_fill_finishes() {
    let world = World::new().await;
    let (feed, fed) = mpsc::unbounded_channel();
    world.upstream.put(KEY, noise(300_000), "one");
    world.upstream.play(Play::Fed(fed));
    feed.send(noise(300_000).slice(..1000)).unwrap();
    let read = world.leave(JAR).await;
    assert!(read.starts_with(b"HTTP/1.1 200 ") && read.len() < 2000, "{} bytes", read.len());
    feed.send(noise(300_000).slice(1000..)).unwrap();
    world.settled().await;
    let reply = world.get(JAR).await;
    assert!((reply.cache(), world.upstream.gets()) == ("hit", 1) && reply.body == noise(300_000));
}

#[tokio::test]
async fn a_joiner_reads_what_is_there_while_the_upstream_is_slow() {
    let world = World::new().await;
    let (feed, fed) = mpsc::unbounded_channel();
    world.upstream.put(KEY, noise(3000), "one");
    world.upstream.play(Play::Fed(fed));
    feed.send(noise(3000).slice(..2000)).unwrap();
    let first = world.open("GET", JAR, &[]).await.unwrap();
    let mut joiner = world.open("GET", JAR, &[("range", "bytes=500-")]).await.unwrap();
    assert_eq!(joiner.status(), 206);
    let early = joiner.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(early, noise(3000).slice(500..2000));
    feed.send(noise(3000).slice(2000..)).unwrap();
    assert_eq!(joiner.into_body().collect().await.unwrap().to_bytes(), noise(3000).slice(2000..));
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), noise(3000));
}

#[tokio::test]
async fn a_broken_fill_asks_for_the_rest_of_the_same_file() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(200_000), "one");
    world.upstream.play(Play::BreakAfter(70_000));
    world.upstream.play(Play::CutAfter(30_000));
    let reply = world.get(JAR).await;
    assert!(reply.status == 200 && reply.body == noise(200_000));
    let resumes: Vec<_> = lock(&world.upstream.wants).iter().map(|want| (want.from, want.if_match.clone())).collect();
    let same = Some("\"one\"".to_owned());
    assert_eq!(resumes, [(0, None), (70_000, same.clone()), (100_000, same)]);
}

#[tokio::test]
async fn a_fill_broken_for_good_cuts_its_readers_off_and_the_next_request_refetches() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(200_000), "one");
    for _ in 0..4 {
        world.upstream.play(Play::BreakAfter(1000));
    }
    let (first, joiner) = tokio::join!(world.ask("GET", JAR, &[]), world.ask("GET", JAR, &[]));
    assert!(is_cut_off(&first) && is_cut_off(&joiner), "{first:?} {joiner:?}");
    world.settled().await;
    assert_eq!(world.upstream.gets(), 4);
    let again = world.get(JAR).await;
    assert!(again.cache() == "miss" && again.body == noise(200_000));
}

#[tokio::test]
async fn a_file_that_changes_half_way_is_not_stitched_together() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(1000), "one");
    world.upstream.play(Play::CutAfter(500));
    let reading = world.ask("GET", JAR, &[]);
    let changing = async {
        world.until(|world| world.upstream.gets() == 1).await;
        world.upstream.put(KEY, noise(1000), "two");
    };
    let (read, ()) = tokio::join!(reading, changing);
    assert!(is_cut_off(&read), "{read:?}");
}

#[tokio::test]
async fn bytes_that_do_not_match_their_md5_are_never_whole_and_never_cached() {
    let world = World::new().await;
    world.upstream.put_with(KEY, "hello", "one", Some("5d41402abc4b2a76b9719d911017c592"));
    world.upstream.play(Play::Corrupt);
    let read = world.ask("GET", JAR, &[]).await;
    assert!(is_cut_off(&read), "{read:?}");
    world.settled().await;
    let again = world.get(JAR).await;
    assert_eq!((again.cache(), again.body.as_slice()), ("miss", b"hello".as_slice()));
    world.settled().await;
    assert_eq!(world.get(JAR).await.cache(), "hit");
}

#[tokio::test]
async fn an_etag_of_kms_that_is_no_md5_is_found_out_by_a_second_reading() {
    let world = World::new().await;
    let etag = Some("00000000000000000000000000000000");
    world.upstream.put_with(KEY, "hello", "one", etag);
    world.upstream.put_with("g/a/1.0/a-1.0.pom", "world", "two", etag);
    assert_eq!(world.get(JAR).await.body, b"hello");
    assert_eq!(world.get("/g/a/1.0/a-1.0.pom").await.body, b"world");
    assert_eq!(world.upstream.gets(), 3, "only the first file is read twice");
}

#[tokio::test]
async fn the_cache_survives_a_restart_and_litter_does_not() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(400_000), "one");
    world.get(JAR).await;
    world.settled().await;
    let litter = world.cache().join("cache/tmp/0123456789abcdef");
    fs::create_dir(&litter).unwrap();
    fs::File::create(litter.join("7")).unwrap();
    let world = world.restarted().await;
    let reply = world.get(JAR).await;
    assert!(reply.cache() == "hit" && reply.body == noise(400_000));
    assert_eq!(world.upstream.gets(), 1);
    world.until(|_| !litter.exists()).await;
}

#[tokio::test]
async fn a_file_cut_short_on_disk_is_fetched_anew() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(5000), "one");
    world.get(JAR).await;
    world.settled().await;
    let shard = fs::read_dir(world.cache().join("cache/v1")).unwrap().next().unwrap().unwrap().path();
    let file = fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(3000).unwrap();
    let reply = world.get(JAR).await;
    assert!(reply.cache() == "miss" && reply.body == noise(5000));
}

#[tokio::test]
async fn a_file_larger_than_the_cache_is_served_through() {
    let world = World::with(|config| config.cache.max_size = 10_000).await;
    world.upstream.put(KEY, noise(300_000), "one");
    for _ in 0..2 {
        let reply = world.get(JAR).await;
        assert!(reply.cache() == "pass" && reply.body == noise(300_000), "{}", reply.cache());
    }
    let part = world.ask("GET", JAR, &[("range", "bytes=100000-100009")]).await.unwrap();
    assert_eq!((part.status, part.body.as_slice()), (206, &noise(300_000)[100_000..100_010]));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_served_past_and_told() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(3000), "one");
    // As root, permissions stop nobody: a file where the directory should be does.
    fs::remove_dir_all(world.cache().join("cache/tmp")).unwrap();
    fs::File::create(world.cache().join("cache/tmp")).unwrap();
    let reply = world.get(JAR).await;
    assert!((reply.status, reply.cache()) == (200, "pass") && reply.body == noise(3000));
    let health = world.get("/healthz").await;
    let text = String::from_utf8(health.body).unwrap();
    assert!(health.status == 200 && text.contains("degraded") && text.contains("disk full"), "{text}");
}

#[tokio::test]
async fn the_directory_stays_below_the_limit() {
    let world = World::with(|config| config.cache.max_size = 100_000).await;
    for number in 0..30 {
        world.upstream.put(&format!("g/a/{number}/a-{number}.jar"), noise(9000), "one");
        assert_eq!(world.get(&format!("/g/a/{number}/a-{number}.jar")).await.status, 200);
        world.settled().await;
    }
    let shards = fs::read_dir(world.cache().join("cache/v1")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!((50_000..=100_000).contains(&size), "{size}");
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let world = World::new().await;
    world.upstream.put(KEY, "", "one");
    let cold = world.get(JAR).await;
    world.settled().await;
    let warm = world.get(JAR).await;
    assert_eq!((cold.status, cold.cache(), warm.cache(), warm.body.len()), (200, "miss", "hit", 0));
}

#[tokio::test]
async fn origins_are_asked_in_order_and_the_first_that_has_it_answers() {
    let (first, second) = (Arc::new(Script::new("s3://first/")), Arc::new(Script::new("s3://second/")));
    let home = Arc::new(tempfile::tempdir().unwrap());
    let world = World::start(Arc::clone(&first), vec![Arc::clone(&second)], home, |_| {}).await;
    second.put("x.txt", "second", "s");
    assert_eq!(world.get("/x.txt").await.body, b"second");
    first.put("y.txt", "first", "f");
    second.put("y.txt", "second", "s");
    assert_eq!(world.get("/y.txt").await.body, b"first");
    assert_eq!(second.gets(), 1);
    first.fail(Some(bowline_artifacts::upstream::Trouble::Busy));
    second.put("z.txt", "not to stand in", "s");
    assert_eq!(world.get("/z.txt").await.status, 503);
    assert_eq!((world.get("/x.txt").await.body.as_slice(), second.gets()), (b"second".as_slice(), 1));
}

#[tokio::test]
async fn a_part_of_a_wrong_file_is_never_finished() {
    let world = World::new().await;
    world.upstream.put_with(KEY, "hello", "one", Some("5d41402abc4b2a76b9719d911017c592"));
    world.upstream.play(Play::Corrupt);
    let read = world.ask("GET", JAR, &[("range", "bytes=0-2")]).await;
    assert!(is_cut_off(&read), "{read:?}");
}

#[tokio::test]
async fn a_rest_that_is_served_through_is_of_the_same_file() {
    let world = World::with(|config| config.cache.max_size = 10).await;
    world.upstream.put(KEY, noise(3000), "one");
    world.upstream.play(Play::BreakAfter(0));
    world.upstream.play(Play::Other);
    let read = world.ask("GET", JAR, &[]).await;
    assert!(read.is_err(), "{read:?}");
    world.upstream.describe(KEY, |head| head.etag = None);
    let read = world.ask("GET", JAR, &[("range", "bytes=5-9")]).await;
    assert!(read.is_err(), "{read:?}");
    assert!(world.get(JAR).await.body == noise(3000));
}
