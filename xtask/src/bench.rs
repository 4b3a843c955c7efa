//! `cargo xtask bench [PART]`: builds the release and the programs that measure it, and runs them.

use crate::{
    Outcome, place,
    process::{cargo, command, step},
};

/// Measures `parts`, or all of them.
pub(crate) fn run(parts: &[&str]) -> Outcome {
    step("release build", &mut cargo(&["build", "--release", "-p", "bowline", "-p", "bowline-benches"]))?;
    step("bench", &mut command(place::target().join("release/bowline-benches"), parts))
}
