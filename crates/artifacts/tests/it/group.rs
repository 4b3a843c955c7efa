//! Several places under one path: metadata united, releases asked for where their folder was found.

use std::sync::Arc;

use bowline_artifacts::upstream::{Trouble, Upstream};
use sha1::{Digest as _, Sha1};

use crate::{
    script::{Script, lock},
    world::World,
};

fn document(version: &str, updated: &str) -> String {
    format!(
        "<metadata><versioning><latest>{version}</latest><versions><version>{version}</version></versions>\
         <lastUpdated>{updated}</lastUpdated></versioning></metadata>"
    )
}

async fn two() -> (Arc<Script>, Arc<Script>, World) {
    let (ours, theirs) = (Arc::new(Script::new("s3://ours/")), Arc::new(Script::new("s3://theirs/")));
    let upstreams: Vec<Arc<dyn Upstream>> = vec![Arc::clone(&ours) as _, Arc::clone(&theirs) as _];
    let world = World::over(vec![("/".to_owned(), upstreams)]).await;
    (ours, theirs, world)
}

#[tokio::test]
async fn metadata_of_all_places_is_one_with_checksums_of_its_own() {
    let (ours, theirs, world) = two().await;
    ours.put("g/a/maven-metadata.xml", document("1.0", "20260101000000"), "1");
    ours.put("g/a/maven-metadata.xml.sha1", "of ours alone", "1");
    theirs.put("g/a/maven-metadata.xml", document("2.0", "20260202000000"), "1");
    let both = world.get("/g/a/maven-metadata.xml").await;
    let text = String::from_utf8(both.body.clone()).unwrap();
    assert!(text.contains("<version>1.0</version>") && text.contains("<version>2.0</version>"), "{text}");
    assert!(text.contains("<latest>2.0</latest>") && text.contains("20260202000000"), "{text}");
    let sum: String = Sha1::digest(&both.body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(world.get("/g/a/maven-metadata.xml.sha1").await.body, sum.as_bytes());
    world.settled().await;
    let again = world.ask("GET", "/g/a/maven-metadata.xml", &[("if-none-match", both.header("etag"))]).await.unwrap();
    assert_eq!((again.status, again.cache()), (304, "hit"));
    let head = world.ask("HEAD", "/g/a/maven-metadata.xml", &[]).await.unwrap();
    assert_eq!(head.header("content-length"), both.body.len().to_string());
}

#[tokio::test]
async fn a_place_alone_is_served_as_it_is_and_one_that_fails_is_not_left_out() {
    let (ours, theirs, world) = two().await;
    theirs.put("g/b/maven-metadata.xml", "<metadata/>", "7");
    let alone = world.get("/g/b/maven-metadata.xml").await;
    assert_eq!((alone.body.as_slice(), alone.header("etag")), (b"<metadata/>".as_slice(), "\"7\""));
    assert_eq!(world.get("/g/none/maven-metadata.xml").await.status, 404);
    ours.fail(Some(Trouble::Server(500)));
    theirs.put("g/c/maven-metadata.xml", "<metadata/>", "1");
    assert_eq!(world.get("/g/c/maven-metadata.xml").await.status, 502);
}

#[tokio::test]
async fn the_second_file_of_a_release_is_asked_for_where_the_first_was_found() {
    let (ours, theirs, world) = two().await;
    for name in ["a-1.0.pom", "a-1.0.jar"] {
        theirs.put(&format!("g/a/1.0/{name}"), name, "1");
    }
    assert_eq!(world.get("/g/a/1.0/a-1.0.pom").await.body, b"a-1.0.pom");
    assert_eq!((ours.gets(), theirs.gets()), (1, 1));
    assert_eq!(world.get("/g/a/1.0/a-1.0.jar").await.body, b"a-1.0.jar");
    assert_eq!((ours.gets(), theirs.gets()), (1, 2));
    ours.put("g/a/1.0/a-1.0-sources.jar", "ours", "1");
    assert_eq!(world.get("/g/a/1.0/a-1.0-sources.jar").await.body, b"ours", "what is not there is looked for in order");
    assert_eq!(lock(&theirs.wants).len(), 3);
}
