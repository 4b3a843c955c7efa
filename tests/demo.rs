//! `bowline demo`: needs nothing but the binary, rotates by itself, and judges itself.

use std::{net::SocketAddr, time::Duration};

use crate::harness::{World, fetch, until};

/// The number that stands in front of `word` in the summary: `rotations`, `failed`.
fn count(summary: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = summary.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.windows(2).rev().find_map(|pair| if pair[1].starts_with(word) { pair[0].parse().ok() } else { None })
}

/// `An AWS of its own listens on http://127.0.0.1:43210; …`
fn address_of_its_aws(said: &str) -> Option<SocketAddr> {
    let (_, rest) = said.split_once("listens on http://")?;
    rest.split(';').next()?.trim().parse().ok()
}

#[track_caller]
fn demo(name: &str, length: &str, limit: Duration, rotations: u64) {
    let world = World::new(name, |_| {});
    let mut command = world.bowline(&["demo", "--for", length]);
    command.env_remove("AWS_ENDPOINT_URL");
    let demo = world.start("demo", &mut command);
    let mut inside = None;
    until(Duration::from_secs(10), "the demo says where its AWS listens", || {
        inside = address_of_its_aws(&demo.stderr());
        inside.is_some()
    });
    until(Duration::from_secs(20), "the demo is under way", || demo.stderr().contains("rotation"));
    let secrets = fetch(inside.expect("it was found just now"), "/_fake/secrets").unwrap();
    world.note_secrets(&serde_json::from_slice::<Vec<String>>(&secrets.body).unwrap());
    let demo = demo.finish(limit);
    let said = format!("{}\n{}", demo.stdout, demo.stderr);
    assert_eq!(demo.code, Some(0), "{said}");
    // The summary is the data; what stands in the talk was true some seconds earlier.
    assert!(count(&demo.stdout, "rotation") >= Some(rotations), "{said}");
    assert_eq!(count(&demo.stdout, "failed"), Some(0), "{said}");
}

#[test]
fn twelve_seconds_of_demo_rotate_twice_and_nothing_fails() {
    demo("demo", "12s", Duration::from_secs(18), 2);
}

#[test]
fn a_minute_of_demo_has_no_failure() {
    demo("demo-minute", "60s", Duration::from_secs(70), 10);
}
