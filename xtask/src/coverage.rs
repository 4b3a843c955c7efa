//! Says how much of the code the tests reach. Informational: it gates nothing.

use crate::{
    Outcome, place,
    process::{command, step},
    setup::Setup,
    suite::Depth,
};

/// Runs the tests instrumented and prints the table of lines covered.
pub(crate) fn run() -> Outcome {
    Setup::start(Depth::Gate).finish();
    let tool = place::python().join("bin/cargo-llvm-cov");
    if !tool.exists() {
        return Err("`cargo-llvm-cov` could not be had (it comes with `tests/requirements.txt`)".to_owned());
    }
    let leave_out = crate::slow::gate_filter();
    let run = ["llvm-cov", "nextest", "--workspace", "--summary-only", "-E", &leave_out];
    step("coverage", command(tool, &run).args(["--ignore-filename-regex", "xtask/|tests/"]))
}
