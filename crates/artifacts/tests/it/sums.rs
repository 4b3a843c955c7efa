//! Checksums of cached releases are answered here: by the publisher's file where it is cached, else by our own sum.

use bowline_artifacts::upstream::Trouble;

use crate::world::{Reply, World, noise};

const KEY: &str = "g/a/1.0/a-1.0.jar";
const JAR: &str = "/g/a/1.0/a-1.0.jar";

/// Of `jar`, by `sha1sum` and its sisters.
const SUMS: [(&str, &str); 4] = [
    ("md5", "68995fcbf432492d15484d04a9d2ac40"),
    ("sha1", "f92e777f4341930bad9b2422283c4680d00dbc06"),
    ("sha256", "0163f1eea7894350060624d315234d40c508ab251ba121714e234503045faadd"),
    (
        "sha512",
        "483365784455682e7e83c6e150e56dbe3f387a06c9d407b8253e4bdf8e0bd1fac8234e3973d4e59ff8c01cb969f25c0d08c5dc5bb967744b1a5813afe3c58fcc",
    ),
];

#[tokio::test]
async fn the_sums_of_a_cached_release_need_no_upstream() {
    let world = World::new().await;
    world.upstream.put(KEY, "jar", "one");
    world.get(JAR).await;
    world.settled().await;
    world.upstream.fail(Some(Trouble::Server(500)));
    for (kind, sum) in SUMS {
        let path = format!("{JAR}.{kind}");
        for _ in ["computed", "remembered"] {
            let reply = world.get(&path).await;
            assert_eq!((reply.status, String::from_utf8(reply.body).unwrap().as_str()), (200, sum), "{kind}");
        }
        let head = world.ask("HEAD", &path, &[]).await.unwrap();
        assert_eq!((head.status, head.header("content-length")), (200, sum.len().to_string().as_str()));
        assert_eq!(head.header("content-type"), "text/plain");
    }
    assert_eq!(world.upstream.gets(), 1);
    assert_eq!(world.get("/g/a/1.0/a-1.0.pom.sha1").await.status, 502, "that file is not known");
}

#[tokio::test]
async fn a_publisher_s_own_checksum_is_the_one_that_is_served_when_it_came_first() {
    let world = World::new().await;
    world.upstream.put(KEY, noise(300_000), "one");
    world.upstream.put(&format!("{KEY}.sha1"), "published  a-1.0.jar", "sum");
    world.get(&format!("{JAR}.sha1")).await;
    world.get(JAR).await;
    world.settled().await;
    assert_eq!(world.get(&format!("{JAR}.sha1")).await.body, b"published  a-1.0.jar");
    // A file too big for memory is summed as well.
    let sum = world.get(&format!("{JAR}.md5")).await;
    assert_eq!((sum.status, sum.body.len(), sum.cache()), (200, 32, "hit"));
}

#[tokio::test]
async fn cached_files_carry_their_sums_and_files_on_their_way_do_not() {
    for length in [3, 700_000] {
        let world = World::new().await;
        let bytes = if length == 3 { "jar".into() } else { noise(length) };
        world.upstream.put(KEY, bytes, "one");
        let sums = |reply: &Reply| {
            ["md5", "sha1", "sha256"].map(|kind| reply.header(&format!("x-checksum-{kind}")).to_owned())
        };
        assert_eq!(sums(&world.get(JAR).await).concat(), "");
        world.settled().await;
        let hit = world.get(JAR).await;
        let found = sums(&hit);
        assert_eq!((hit.cache(), found.each_ref().map(String::len)), ("hit", [32, 40, 64]));
        if length == 3 {
            assert_eq!(found.each_ref().map(String::as_str), [SUMS[0].1, SUMS[1].1, SUMS[2].1]);
        }
        let head = world.ask("HEAD", JAR, &[]).await.unwrap();
        let part = world.ask("GET", JAR, &[("range", "bytes=1-1")]).await.unwrap();
        let same = world.ask("GET", JAR, &[("if-none-match", "\"one\"")]).await.unwrap();
        assert_eq!((sums(&head), sums(&part), part.status), (found.clone(), found.clone(), 206));
        assert_eq!((same.status, sums(&same).concat().as_str()), (304, ""));
        for (kind, sum) in ["md5", "sha1", "sha256"].iter().zip(&found) {
            assert_eq!(world.get(&format!("{JAR}.{kind}")).await.body, sum.as_bytes(), "{kind}");
        }
        let next = world.restarted().await;
        assert_eq!(sums(&next.get(JAR).await), found, "from the disk");
    }
}

#[tokio::test]
async fn checksums_of_what_changes_stay_the_publisher_s() {
    let world = World::new().await;
    world.upstream.put("g/a/maven-metadata.xml", "meta", "one");
    world.get("/g/a/maven-metadata.xml").await;
    world.settled().await;
    assert_eq!(world.get("/g/a/maven-metadata.xml.sha1").await.status, 404);
}
