//! `bowline artifacts …`; and `serve`: the repository alone, with or without a configuration file, in the foreground.

use std::{path::PathBuf, process::ExitCode};

use bowline_base::{Fault, Kind};

use super::{artifacts_cache, artifacts_prefetch, artifacts_settings::section, artifacts_setup};
use crate::{
    cli::{Artifacts, ArtifactsServe, ArtifactsTls},
    config::{self, Config, DaemonSection},
    config_place,
    daemon::{self, Start, confinement},
    environment::Environment,
    logging,
    world::World,
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, command: &Artifacts) -> Result<ExitCode, Fault> {
    match command {
        Artifacts::Serve(arguments) => serve(environment, file, arguments)?,
        Artifacts::Ls(arguments) => artifacts_cache::ls(&environment, file, arguments)?,
        Artifacts::Purge(arguments) => artifacts_cache::purge(&environment, file, arguments)?,
        Artifacts::Prefetch(arguments) => return artifacts_prefetch::run(environment, file, arguments),
        Artifacts::Tls(ArtifactsTls::Init(arguments)) => artifacts_setup::tls_init(&environment, arguments)?,
        Artifacts::Setup(arguments) => artifacts_setup::print(&environment, file, arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(mut environment: Environment, file: Option<PathBuf>, arguments: &ArtifactsServe) -> Result<(), Fault> {
    if let Some(path) = &arguments.env_file {
        read_variables(&mut environment, path)?;
    }
    logging::start(environment.var("LOG_LEVEL"))?;
    let path = config_place::find(file, &environment);
    let file = path.as_deref().map_or_else(|| Ok(Config::default()), config::load)?;
    let artifacts = section(arguments, &environment, file.artifacts)?;
    let daemon = DaemonSection { landlock: file.daemon.landlock, ..DaemonSection::default() };
    let config = Config { daemon, artifacts: Some(artifacts), identities: file.identities, ..Config::default() };
    let mut world = World::new(environment)?.with_config(&config);
    world.bounds = confinement::enter(&world, &config, path.as_deref())?;
    daemon::run(world, config, Start::ArtifactsAlone)
}

fn read_variables(environment: &mut Environment, path: &std::path::Path) -> Result<(), Fault> {
    let wrong = |why: String| {
        Fault::new(Kind::Config, "env-file", format!("cannot use `{}`: {why}", path.display()))
            .hint("write a line NAME=value for each variable")
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    environment.add_file(&text).map_err(wrong)
}
