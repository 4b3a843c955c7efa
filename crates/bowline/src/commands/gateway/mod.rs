//! `bowline gateway …`: the VPN that follows the site's address.

mod adopt;
mod device_config;
mod once;
mod plan;
mod settings;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use bowline_base::{Fault, FixedIdentity};
use bowline_gateway::Patrol;

use super::obtain;
use crate::{
    cli::{Gateway, GatewaySettings, MfaCode},
    config::{Config, DaemonSection, GatewaySection},
    config_place,
    daemon::{self, Start, confinement, gateway as wiring},
    environment::Environment,
    logging,
    world::World,
};

pub(crate) use settings::section;

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, command: &Gateway) -> Result<ExitCode, Fault> {
    match command {
        Gateway::Run(settings) => follow(environment, file, settings).map(|()| ExitCode::SUCCESS),
        Gateway::Once(arguments) => once::run(environment, file, arguments),
        Gateway::Plan(arguments) => plan::run(environment, file, arguments),
        Gateway::Adopt(arguments) => adopt::run(environment, file, arguments),
        Gateway::DeviceConfig(arguments) => device_config::run(environment, file, arguments),
    }
}

/// In the foreground, until SIGTERM.
fn follow(environment: Environment, file: Option<PathBuf>, settings: &GatewaySettings) -> Result<(), Fault> {
    logging::start(environment.var("LOG_LEVEL"))?;
    let path = config_place::find(file, &environment);
    let (mut world, file, section) = gather(environment, path.clone(), settings)?;
    let daemon = DaemonSection { landlock: file.daemon.landlock, ..DaemonSection::default() };
    let (gateway, identities, audit) = (Some(section), file.identities, file.audit);
    let config = Config { daemon, gateway, identities, audit, ..Config::default() };
    world.bounds = confinement::enter(&world, &config, path.as_deref())?;
    daemon::run(world, config, Start::GatewayAlone)
}

/// The world, what the file says, and the section that comes of the command line and it.
fn gather(
    environment: Environment,
    file: Option<PathBuf>,
    settings: &GatewaySettings,
) -> Result<(World, Config, GatewaySection), Fault> {
    let config = config_place::load(file, &environment)?;
    let section = section(settings, &environment, config.gateway.clone())?;
    let world = World::new(environment)?.with_config(&config);
    Ok((world, config, section))
}

/// A patrol for one look, with credentials of this moment.
fn patrol(world: &World, section: &GatewaySection) -> Result<Patrol, Fault> {
    let profile = wiring::profile(world, section);
    let identity = FixedIdentity::new(obtain::credentials(world, &profile, &MfaCode::default())?);
    let config = wiring::config(world, section)?;
    Ok(Patrol::new(config, world.aws.clone(), Arc::new(identity), wiring::street(world)?))
}
