//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository").to_path_buf()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// What the programs under test printed, one folder a test, and our own logs.
pub(crate) fn test_output() -> PathBuf {
    target().join("test-output")
}

/// Lists of the secrets that the fake AWS issued in this run, one file a test.
pub(crate) fn test_secrets() -> PathBuf {
    target().join("test-secrets")
}

/// The virtual environment with boto3, the AWS CLI and moto.
pub(crate) fn python() -> PathBuf {
    target().join("py")
}

/// The npm packages: the AWS SDK for JavaScript.
pub(crate) fn node() -> PathBuf {
    target().join("node")
}
