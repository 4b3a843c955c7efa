//! `bowline demo`: needs nothing but the binary, rotates by itself, and judges itself.

use std::time::Duration;

use crate::harness::{World, run};

/// The number that stands in front of `word` in the summary: `rotations`, `failed`.
fn count(summary: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = summary.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.windows(2).rev().find_map(|pair| if pair[1].starts_with(word) { pair[0].parse().ok() } else { None })
}

#[track_caller]
fn demo(name: &str, length: &str, limit: Duration, rotations: u64) {
    let world = World::new(name, |_| {});
    let mut command = world.bowline(&["demo", "--for", length]);
    command.env_remove("AWS_ENDPOINT_URL");
    let demo = run(&mut command, &world.path("demo"), limit);
    let said = format!("{}\n{}", demo.stdout, demo.stderr);
    assert_eq!(demo.code, Some(0), "{said}");
    assert!(count(&said, "rotation") >= Some(rotations), "{said}");
    assert_eq!(count(&said, "failed"), Some(0), "{said}");
}

#[test]
fn twelve_seconds_of_demo_rotate_twice_and_nothing_fails() {
    demo("demo", "12s", Duration::from_secs(18), 2);
}

#[test]
fn a_minute_of_demo_has_no_failure() {
    demo("demo-minute", "60s", Duration::from_secs(70), 10);
}
