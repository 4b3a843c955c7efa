//! `bowline creds PROFILE`: one JSON object on stdout for `credential_process`, and nothing else.
//!
//! On a warm daemon this is the whole way: no runtime, no TLS, no argument parser.

use std::path::PathBuf;

use bowline_base::Fault;
use bowline_credentials::delivery;

use super::obtain;
use crate::{
    cli::MfaCode,
    environment::Environment,
    output,
    world::{World, setup},
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, profile: &str, mfa: &MfaCode) -> Result<(), Fault> {
    if let Some(answer) = obtain::from_daemon(&environment, &setup(&environment)?, profile, mfa) {
        return output::secret(&answer?);
    }
    let world = World::of_file(environment, file)?;
    let credentials = obtain::alone(&world, profile, mfa)?;
    output::secret(&delivery::process_json(&credentials, world.wire.now().wall)?)
}
