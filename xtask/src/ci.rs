//! What `.ci/run` calls: formatting and lints first, since they fail fastest, then the tests.

use crate::{
    Outcome,
    process::{cargo, step},
    setup::Setup,
    suite::{self, Depth},
};

/// Formatting, lints, tests; what is missing on the machine is set up meanwhile.
pub(crate) fn run() -> Outcome {
    let setup = Setup::start(Depth::Gate);
    step("formatting", &mut cargo(&["fmt", "--all", "--", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    step("lints", &mut cargo(&clippy))?;
    suite::run_with(setup, Depth::Gate)
}
