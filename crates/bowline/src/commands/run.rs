//! `bowline run`: the daemon, from the configuration file.

use std::path::PathBuf;

use bowline_base::Fault;

use super::check;
use crate::{
    config, config_place,
    daemon::{self, Start, confinement},
    environment::Environment,
    left_behind, logging,
    world::World,
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>) -> Result<(), Fault> {
    let path = config_place::find(file, &environment);
    // Parsed whole before anything is bound, started or logged.
    let config = path.as_deref().map_or_else(|| Ok(config::Config::default()), config::load)?;
    left_behind::refuse(&environment)?;
    let troubles = logging::start(environment.var("LOG_LEVEL"))?;
    let mut world = World::new(environment)?.with_config(&config).remembering(troubles);
    if let Some(file) = &path {
        check::at_start(&world, file, &config)?;
    }
    // The kernel binds what is started from here on: before the first thread.
    world.bounds = confinement::enter(&world, &config, path.as_deref())?;
    daemon::run(world, config, Start::Daemon { file: path })
}
