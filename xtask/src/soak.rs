//! `cargo xtask soak [--for 30m]`: the story of everything at once (`tests/soak.rs`), for longer than the gate has time.

use crate::{
    Outcome,
    process::{cargo, step},
};

const USUAL: &str = "30m";

/// Runs it for as long as `words` say.
pub(crate) fn run(words: &[&str]) -> Outcome {
    let length = match words {
        [] => USUAL,
        ["--for", length] => length,
        _ => return Err("cargo xtask soak [--for 30m]".to_owned()),
    };
    let seconds = seconds(length).ok_or_else(|| format!("`{length}` is no time: 90s, 30m, 8h"))?;
    let mut nextest =
        cargo(&["nextest", "run", "-p", "bowline", "--test", "it", "--config-file", "xtask/nextest.toml"]);
    nextest.args(["--profile", "soak", "--success-output", "immediate", "-E", "test(/^soak::/)"]);
    step("soak", nextest.env("BOWLINE_SOAK_SECONDS", seconds.to_string()))
}

fn seconds(length: &str) -> Option<u64> {
    let unit = match length.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    length[..length.len() - 1].parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
}

#[test]
fn lengths_have_a_unit() {
    assert_eq!(["90s", "30m", "8h"].map(seconds), [Some(90), Some(1800), Some(28800)]);
    assert_eq!(["", "30", "m", "0s", "-1s", "1d", "5ü"].map(seconds), [None; 7]);
}
