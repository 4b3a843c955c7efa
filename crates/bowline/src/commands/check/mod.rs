//! `bowline check`: everything that is wrong with the configuration, at the line that asks for it, and nothing bound.

mod certificates;
mod files;

use std::path::{Path, PathBuf};

use bowline_base::{Fault, Kind};
use bowline_credentials::ENVIRONMENT;
use serde_json::json;

use self::files::Look;
use crate::{
    cli::Form,
    config::{self, Config, Mistake, all_mistakes},
    config_place, output,
    world::World,
};

/// Something that the configuration asks for and that is not so.
#[derive(Debug)]
struct Finding {
    /// What the file says where it asks for it, best first.
    words: Vec<String>,
    fault: Fault,
}

impl Finding {
    /// In `[section]`, which says `value` there.
    fn about(section: &str, value: &str, fault: Fault) -> Self {
        Self { words: vec![format!("\"{value}\""), format!("'{value}'"), format!("[{section}")], fault }
    }
}

pub(crate) fn run(world: &World, file: Option<PathBuf>, form: Form) -> Result<(), Fault> {
    let path = config_place::require(file, &world.environment)?;
    let outcome = config::load(&path).and_then(|config| look(world, &path, &config));
    let (fault, told) = (outcome.as_ref().err(), outcome.as_ref().ok());
    match form {
        Form::Json => output::data(&format!(
            "{:#}\n",
            json!({ "file": path, "good": fault.is_none(), "notify": told, "error": fault.map(Fault::chain), "hint": fault.and_then(|f| f.hint.clone()) })
        ))?,
        Form::Text => {
            if let Some(told) = told {
                let told = if told.is_empty() { "nobody".to_owned() } else { told.join(", ") };
                output::data(&format!("{}: good\nnotifications: {told}\n", path.display()))?;
            }
        }
    }
    outcome.map(drop)
}

/// Everything that `run` would end with, for `run` to say it at once, before anything is started.
pub(crate) fn at_start(world: &World, file: &Path, config: &Config) -> Result<(), Fault> {
    let mut findings = files::missing(world, config, Look::Start);
    findings.extend(files::channels_at_start(world, config));
    told(file, findings)
}

/// Every profile that the configuration names must resolve.
pub(super) fn profiles(world: &World, file: &Path, config: &Config) -> Result<(), Fault> {
    told(file, unresolved(world, config)?)
}

/// Who is told what needs a person; or all that is wrong.
fn look(world: &World, file: &Path, config: &Config) -> Result<Vec<String>, Fault> {
    for warning in world.aws_config()?.warnings() {
        output::say(&format!("warning: {}: {}", warning.origin, warning.message));
    }
    let mut findings = unresolved(world, config)?;
    let (wrong, warnings) = certificates::look(world, config);
    for warning in mistakes(file, &warnings) {
        output::say(&format!("warning: {}", warning.line_of(file)));
    }
    findings.extend(wrong);
    findings.extend(files::kept_from_the_service(file, config));
    findings.extend(files::missing(world, config, Look::Whole));
    let channels =
        files::channels(world, config).map_err(|fault| findings.push(files::of_notify(&config.notify, fault)));
    findings.extend(files::channels_at_start(world, config));
    told(file, findings)?;
    Ok(channels.unwrap_or_default())
}

fn told(file: &Path, findings: Vec<Finding>) -> Result<(), Fault> {
    let mistakes = mistakes(file, &findings);
    if mistakes.is_empty() {
        return Ok(());
    }
    let mut hints: Vec<String> = findings.into_iter().filter_map(|finding| finding.fault.hint).collect();
    hints.dedup();
    let fault = all_mistakes(file, &mistakes);
    Err(if hints.is_empty() { fault } else { fault.hint(hints.join("; ")) })
}

fn mistakes(file: &Path, findings: &[Finding]) -> Vec<Mistake> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mistake = |finding: &Finding| Mistake::about(&text, &finding.words, finding.fault.chain());
    let mut mistakes: Vec<Mistake> = findings.iter().map(mistake).collect();
    mistakes.sort();
    mistakes.dedup();
    mistakes
}

fn unresolved(world: &World, config: &Config) -> Result<Vec<Finding>, Fault> {
    let files = world.aws_config()?.with_identities(config.identities.iter().cloned());
    let named = |section: &'static str, profile: Option<&String>| profile.cloned().map(|profile| (section, profile));
    let jobs = [
        named("artifacts", config.artifacts.as_ref().and_then(|artifacts| artifacts.identity.as_ref())),
        named("audit", config.audit.cloudwatch.as_ref().and_then(|cloudwatch| cloudwatch.identity.as_ref())),
        named("gateway", config.gateway.as_ref().and_then(|gateway| gateway.identity.as_ref())),
        named("vpn", config.vpn.as_ref().and_then(|vpn| vpn.identity.as_ref())),
    ];
    let endpoint = config.endpoint.iter().flat_map(|endpoint| &endpoint.serve);
    let grants = config.grants.iter().flat_map(|grant| &grant.profiles);
    let lists = (config.daemon.keep_fresh.iter().map(|profile| ("daemon", profile)))
        .chain(endpoint.map(|profile| ("endpoint", profile)))
        .chain(grants.map(|profile| ("[grant", profile)));
    let all = jobs.into_iter().flatten().chain(lists.map(|(section, profile)| (section, profile.clone())));
    let meant =
        all.filter(|(_, name)| !is_chain(name) || files.profile(name).is_ok() || files.identity(name).is_some());
    let hint = format!("mend `{}`, or the name", world.setup.locations.config.display());
    let found = meant.filter_map(|(section, profile)| {
        let error = files.resolve(&profile).err()?;
        let fault = Fault::new(Kind::Config, "profiles", error.to_string()).hint(&hint);
        Some(Finding::about(section, &profile, fault))
    });
    Ok(found.collect())
}

/// Where no profile has this name, it is the chain of the environment.
fn is_chain(name: &str) -> bool {
    name == ENVIRONMENT || name == "default"
}

#[cfg(test)]
mod tests;
