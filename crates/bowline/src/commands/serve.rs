//! `bowline serve`: the endpoint alone, with or without a configuration file, in the foreground.

use std::{path::PathBuf, sync::Arc};

use bowline_base::{Fault, Kind};
use bowline_credentials::Sources;
use bowline_host::Tasks;

use crate::{
    cli::Serve,
    config::{self, Config, DaemonSection, EndpointSection},
    config_place,
    daemon::{self, Start, confinement},
    environment::Environment,
    logging,
    world::World,
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, arguments: &Serve) -> Result<(), Fault> {
    logging::start(environment.var("LOG_LEVEL"))?;
    let path = config_place::find(file, &environment);
    let configured = path.as_deref().map_or_else(|| Ok(Config::default()), config::load)?;
    let mut world = World::new(environment)?.with_config(&configured);
    let mut endpoint = configured.endpoint.unwrap_or_default();
    let flags = arguments.clone();
    merge(&mut endpoint, flags)?;
    if endpoint.serve.is_empty() {
        endpoint.serve = vec![world.default_profile()];
    }
    let sources = Sources::new(Arc::clone(&world.wire), Tasks::new(), world.setup.clone());
    let files = world.setup.config()?;
    for profile in &endpoint.serve {
        sources.resolve_in(&files, profile)?;
    }
    let config = Config {
        daemon: DaemonSection { landlock: configured.daemon.landlock, ..DaemonSection::default() },
        endpoint: Some(endpoint),
        grants: configured.grants,
        identities: configured.identities,
        audit: configured.audit,
        ..Config::default()
    };
    world.bounds = confinement::enter(&world, &config, path.as_deref())?;
    daemon::run(world, config, Start::EndpointAlone)
}

/// Flags win over the file.
fn merge(endpoint: &mut EndpointSection, flags: Serve) -> Result<(), Fault> {
    if !flags.profiles.is_empty() {
        endpoint.serve = flags.profiles;
    }
    if !flags.listen.is_empty() {
        endpoint.listen = flags.listen;
    }
    endpoint.imds = flags.imds.or(endpoint.imds);
    endpoint.token_file = flags
        .token_file
        .map(std::path::absolute)
        .transpose()
        .map_err(|cause| Fault::new(Kind::Config, "serve", "the token file has no absolute path").cause(cause))?
        .or_else(|| endpoint.token_file.take());
    Ok(())
}
