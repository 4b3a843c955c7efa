//! Clients that are not Python: the AWS SDK for JavaScript, Debian's AWS CLI 2, Terraform. Each `None` where it is missing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::World;

/// `tests/node/NAME` in the environment of `world`, with the packages that `cargo xtask test` installed.
pub(crate) fn node(world: &World, name: &str) -> Option<Command> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("node");
    let program = on_path("node").filter(|_| folder.join("installed").exists())?;
    let mut command = world.foreign(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node").join(name));
    command.env("NODE_PATH", folder.join("node_modules"));
    Some(command)
}

/// The AWS CLI 2 of Debian; what else may be called `aws` on PATH is version 1.
pub(crate) fn aws_cli_2(world: &World) -> Option<Command> {
    let program = "/usr/bin/aws";
    let told = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&told.stdout).starts_with("aws-cli/2.").then(|| world.foreign(program))
}

/// Terraform, whichever is on PATH. It asks nobody for a newer one.
pub(crate) fn terraform(world: &World) -> Option<Command> {
    let mut command = world.foreign(on_path("terraform")?);
    command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1");
    Some(command)
}

/// Where `name` is on PATH.
#[expect(clippy::disallowed_methods, reason = "which tools this machine has is a question to its environment")]
fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|program| program.is_file())
}
