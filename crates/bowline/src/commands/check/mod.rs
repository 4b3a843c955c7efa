//! `bowline check`: everything that is wrong with the configuration, at the line that asks for it, and nothing bound.

mod certificates;
mod files;

use std::path::{Path, PathBuf};

use bowline_awsfiles::ConfigError;
use bowline_base::{Fault, Kind};
use bowline_credentials::{ENVIRONMENT, asks_outside};
use serde_json::json;

use self::files::Look;
use super::service_user::{self, ServiceUser};
use crate::{
    cli::Form,
    config::{self, Config, Mistake, all_mistakes, places},
    config_place,
    environment::{Environment, SERVICE_HOME},
    output,
    world::World,
};

/// Something that the configuration asks for and that is not so.
#[derive(Debug)]
struct Finding {
    /// The key that asks for it: `gateway`, `webhook`.
    path: Vec<String>,
    /// What it says there, of several things perhaps.
    value: Option<String>,
    fault: Fault,
}

impl Finding {
    /// Of the key at `path`.
    fn at(path: &[&str], fault: Fault) -> Self {
        Self { path: path.iter().map(|key| (*key).to_owned()).collect(), value: None, fault }
    }

    /// Of the key at `path`, below which `value` is said.
    fn about(path: &[&str], value: &str, fault: Fault) -> Self {
        Self { value: Some(value.to_owned()), ..Self::at(path, fault) }
    }

    /// Wherever `text` asks for it.
    fn mistakes(&self, text: &str) -> Vec<Mistake> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let places = places(text, &path, self.value.as_deref());
        places.into_iter().map(|at| Mistake::at(text, &(at..at), self.fault.chain())).collect()
    }
}

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, form: Form) -> Result<(), Fault> {
    let path = config_place::require(file, &environment)?;
    let user = service_user::of(&path);
    // Root looks for the service, which has other files of AWS.
    let (environment, wanted) = match rustix::process::geteuid().is_root() && user.is_some() {
        true => (as_the_service(environment), Look::WithoutVault),
        false => (environment, Look::Whole),
    };
    let world = World::new(environment)?;
    let outcome = config::load(&path).and_then(|config| look(&world, &path, &config, user.as_ref(), wanted));
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

fn as_the_service(environment: Environment) -> Environment {
    output::say(&format!(
        "note: profiles are those of user `{}` of the machine's service, in {SERVICE_HOME}; what its vault holds is not looked at",
        service_user::NAME
    ));
    environment.of_the_service()
}

/// Everything that `run` would end with, for `run` and a reload to say it at once, before anything is started.
pub(crate) fn at_start(world: &World, file: &Path, config: &Config) -> Result<(), Fault> {
    let mut findings = unresolved(world, config)?.wrong;
    findings.extend(files::missing(world, config, Look::Start));
    findings.extend(files::channels_at_start(world, config));
    told(file, findings)
}

/// Every profile that the configuration names must resolve.
pub(super) fn profiles(world: &World, file: &Path, config: &Config) -> Result<(), Fault> {
    told(file, unresolved(world, config)?.wrong)
}

/// Who is told what needs a person; or all that is wrong.
fn look(
    world: &World,
    file: &Path,
    config: &Config,
    user: Option<&ServiceUser>,
    wanted: Look,
) -> Result<Vec<String>, Fault> {
    for warning in world.aws_config()?.warnings() {
        output::say(&format!("warning: {}: {}", warning.origin, warning.message));
    }
    let Unresolved { wrong: mut findings, elsewhere } = unresolved(world, config)?;
    let (wrong, warnings) = certificates::look(world, config);
    let warnings: Vec<Finding> = elsewhere.into_iter().chain(warnings).collect();
    for warning in mistakes(file, &warnings) {
        output::say(&format!("warning: {}", warning.line_of(file)));
    }
    findings.extend(wrong);
    findings.extend(user.iter().flat_map(|user| files::kept_from(user, file, config)));
    findings.extend(files::missing(world, config, wanted));
    let channels =
        files::channels(world, config, wanted).map_err(|fault| findings.push(files::of_notify(&config.notify, fault)));
    findings.extend(files::channels_at_start(world, config));
    told(file, findings)?;
    Ok(channels.unwrap_or_default())
}

fn told(file: &Path, findings: Vec<Finding>) -> Result<(), Fault> {
    let mistakes = mistakes(file, &findings);
    if mistakes.is_empty() {
        return Ok(());
    }
    // A line each, so that one can be pasted.
    let mut hints: Vec<String> = Vec::new();
    for hint in findings.into_iter().filter_map(|finding| finding.fault.hint) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    let fault = all_mistakes(file, &mistakes);
    Err(if hints.is_empty() { fault } else { fault.hint(hints.join("\n")) })
}

fn mistakes(file: &Path, findings: &[Finding]) -> Vec<Mistake> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}');
    let mut mistakes: Vec<Mistake> = findings.iter().flat_map(|finding| finding.mistakes(text)).collect();
    mistakes.sort();
    mistakes.dedup();
    mistakes
}

/// Profiles that are named and cannot be used.
struct Unresolved {
    wrong: Vec<Finding>,
    /// What works where a container or an instance gives credentials, which the daemon asks for.
    elsewhere: Vec<Finding>,
}

fn unresolved(world: &World, config: &Config) -> Result<Unresolved, Fault> {
    let files = world.aws_config()?.with_identities(config.identities.iter().cloned());
    type Key = &'static [&'static str];
    let named = |key: Key, profile: Option<&String>| profile.cloned().map(|profile| (key, profile));
    let jobs = [
        named(&["artifacts", "identity"], config.artifacts.as_ref().and_then(|artifacts| artifacts.identity.as_ref())),
        named(
            &["audit", "cloudwatch", "identity"],
            config.audit.cloudwatch.as_ref().and_then(|cloudwatch| cloudwatch.identity.as_ref()),
        ),
        named(&["gateway", "identity"], config.gateway.as_ref().and_then(|gateway| gateway.identity.as_ref())),
        named(&["vpn", "identity"], config.vpn.as_ref().and_then(|vpn| vpn.identity.as_ref())),
    ];
    let endpoint = config.endpoint.iter().flat_map(|endpoint| &endpoint.serve);
    let grants = config.grants.iter().flat_map(|grant| &grant.profiles);
    let lists = (config.daemon.keep_fresh.iter().map(|profile| (&["daemon", "keep-fresh"] as Key, profile)))
        .chain(endpoint.map(|profile| (&["endpoint", "serve"] as Key, profile)))
        .chain(grants.map(|profile| (&["grant", "profiles"] as Key, profile)));
    let all = jobs.into_iter().flatten().chain(lists.map(|(key, profile)| (key, profile.clone())));
    let meant =
        all.filter(|(_, name)| !is_chain(name) || files.profile(name).is_ok() || files.identity(name).is_some());
    let hint = format!("mend `{}`, or the name", world.setup.locations.config.display());
    let mut found = Unresolved { wrong: Vec::new(), elsewhere: Vec::new() };
    for (key, profile) in meant {
        let Err(error) = files.resolve(&profile) else { continue };
        let bare = matches!(error, ConfigError::NoCredentials { .. }) && asks_outside(&world.setup);
        let (list, said) = match bare {
            true => (&mut found.elsewhere, format!("{error} of its own; a container or an instance has to give them")),
            false => (&mut found.wrong, error.to_string()),
        };
        let fault = Fault::new(Kind::Config, "profiles", said).hint(&hint);
        list.push(Finding::about(key, &profile, fault));
    }
    Ok(found)
}

/// Where no profile has this name, it is the chain of the environment.
fn is_chain(name: &str) -> bool {
    name == ENVIRONMENT || name == "default"
}

#[cfg(test)]
mod tests;
