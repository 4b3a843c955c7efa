//! `bowline creds PROFILE`: one JSON object on stdout for `credential_process`, and nothing else.
//!
//! On a warm daemon this is the whole way: no runtime, no TLS, no argument parser.

use std::path::PathBuf;

use bowline_base::Fault;
use bowline_credentials::delivery;

use super::obtain;
use crate::{
    cli::MfaCode,
    config_place,
    environment::Environment,
    output,
    world::{World, context, setup, with_file},
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, profile: &str, mfa: &MfaCode) -> Result<(), Fault> {
    let configured = config_place::load_if_any(file, &environment);
    let (mut setup, config) = (setup(&environment)?, configured.as_ref().ok().and_then(Option::as_ref));
    if let Some(config) = config {
        setup = with_file(setup, &environment, config);
    }
    let context = context(&setup.context(), config.is_some());
    if let Some(answer) = obtain::from_daemon(&environment, &setup, &context, profile, mfa) {
        return output::secret(&answer?);
    }
    let world = World::given(environment, configured)?;
    let credentials = obtain::alone(&world, profile, mfa)?;
    output::secret(&delivery::process_json(&credentials, world.wire.now().wall)?)
}
