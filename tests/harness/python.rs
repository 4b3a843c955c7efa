//! The virtual environment that `cargo xtask test` sets up: boto3, the AWS CLI, moto, a reader of Terraform.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::World;

/// The environment's folder.
pub(crate) struct Python(PathBuf);

/// The environment; `None` where it was not set up.
pub(crate) fn python() -> Option<Python> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("py");
    // The stamp is written last: a half-made environment counts as none.
    folder.join("requirements.txt").exists().then_some(Python(folder))
}

impl Python {
    /// The interpreter with the environment of `world`.
    pub(crate) fn program(&self, world: &World) -> Command {
        world.foreign(self.0.join("bin/python"))
    }

    /// `tests/python/NAME` with the environment of `world`.
    pub(crate) fn script(&self, world: &World, name: &str) -> Command {
        let mut command = self.program(world);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").join(name));
        command
    }

    /// `python -m NAME` with the environment of `world`.
    pub(crate) fn module(&self, world: &World, name: &str) -> Command {
        let mut command = self.program(world);
        command.args(["-m", name]);
        command
    }
}
