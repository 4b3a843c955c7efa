//! `bowline check`: everything that is wrong with the configuration, and nothing bound.

use std::path::PathBuf;

use bowline_base::{Fault, Kind};
use bowline_credentials::ENVIRONMENT;
use serde_json::json;

use crate::{
    cli::Form,
    config::{self, Config},
    config_place, output,
    world::World,
};

pub(crate) fn run(world: &World, file: Option<PathBuf>, form: Form) -> Result<(), Fault> {
    let path = config_place::require(file, &world.environment)?;
    let outcome = config::load(&path).and_then(|config| profiles(world, &config));
    let fault = outcome.as_ref().err();
    match form {
        Form::Json => output::data(&format!(
            "{:#}\n",
            json!({ "file": path, "good": fault.is_none(), "error": fault.map(Fault::chain), "hint": fault.and_then(|f| f.hint.clone()) })
        ))?,
        Form::Text if fault.is_none() => output::data(&format!("{}: good\n", path.display()))?,
        Form::Text => {}
    }
    outcome
}

/// Every profile that the configuration names must resolve.
fn profiles(world: &World, config: &Config) -> Result<(), Fault> {
    let files = world.aws_config()?.with_identities(config.identities.iter().cloned());
    for warning in files.warnings() {
        output::say(&format!("warning: {}: {}", warning.origin, warning.message));
    }
    let of_artifacts = config.artifacts.as_ref().and_then(|artifacts| artifacts.identity.as_ref());
    let wrong: Vec<String> = config
        .daemon
        .keep_fresh
        .iter()
        .chain(of_artifacts)
        .chain(config.endpoint.iter().flat_map(|endpoint| &endpoint.serve))
        .chain(config.grants.iter().flat_map(|grant| &grant.profiles))
        .filter(|profile| *profile != ENVIRONMENT || files.profile(profile).is_ok())
        .filter_map(|profile| files.resolve(profile).err())
        .map(|error| error.to_string())
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Fault::new(Kind::Config, "profiles", wrong.join("\n"))
        .hint(format!("mend `{}`", world.setup.locations.config.display())))
}
