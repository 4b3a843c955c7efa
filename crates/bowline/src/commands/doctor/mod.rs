//! `bowline doctor`: one line a check, with its verdict, why, and the exact fix.
//!
//! A file a part: each gathers facts in a thin shell and judges them in a pure function. Nothing is changed, but for
//! what `--fix` names and a probe file in the cache of sign-ins.

mod archive;
mod artifacts;
mod audit;
mod bundle;
mod certificates;
mod clock;
mod daemon;
mod files;
mod gateway;
mod ids;
mod keys;
mod modes;
mod network;
mod notify;
mod ports;
mod proxy;
mod redaction;
mod remedy;
mod sso;
mod vault;
mod verdict;
mod vpn;

use std::{path::PathBuf, process::ExitCode};

use bowline_base::{Fault, Timestamp};
use bowline_host::{Check, Verdict, client::Outside};
use serde_json::json;

use self::verdict::from_fault;
use crate::{
    cli::{Doctor, Form, Part},
    config::Config,
    config_place,
    environment::Environment,
    output,
    world::World,
};

/// What every part may look at.
struct Patient {
    world: World,
    /// `bowline.toml`, if there is one.
    file: Option<PathBuf>,
    /// What it says, or all that is wrong with it.
    config: Result<Config, Fault>,
    /// The one profile that is asked about.
    profile: Option<String>,
}

impl Patient {
    /// The configuration, with mistakes or none: all defaults.
    fn settings(&self) -> Config {
        self.config.as_ref().cloned().unwrap_or_default()
    }

    fn now(&self) -> Timestamp {
        self.world.wire.now().wall
    }
}

/// Exit code 1 when a check failed.
pub(crate) fn run(environment: Environment, file: Option<PathBuf>, arguments: &Doctor) -> Result<ExitCode, Fault> {
    if arguments.list {
        return list(arguments.output.output);
    }
    if let Some(path) = &arguments.bundle {
        let patient = patient(environment, file, arguments.profile.clone())?;
        bundle::write(&patient, &examine(&patient, arguments.part), path)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (checks, fixed) = match patient(environment, file, arguments.profile.clone()) {
        Ok(patient) => {
            let fixed = if arguments.fix { fix(&patient, arguments.part) } else { Vec::new() };
            (examine(&patient, arguments.part), fixed)
        }
        // Nothing else can be looked at without a world.
        Err(fault) => (vec![from_fault(ids::FILES_ENVIRONMENT, &fault)], Vec::new()),
    };
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", json!({ "checks": checks, "fixed": fixed })))?,
        Form::Text => output::data(&checks.iter().map(verdict::text).collect::<String>())?,
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A CA bundle or proxy that cannot be used is for `proxy` to tell; the other parts go on without.
fn patient(environment: Environment, file: Option<PathBuf>, profile: Option<String>) -> Result<Patient, Fault> {
    let file = config_place::find(file, &environment);
    let config = config_place::load(file.clone(), &environment);
    let world = World::new(environment.clone()).or_else(|_| World::by_way_of(environment, &Outside::default()))?;
    let world = match &config {
        Ok(config) => world.with_config(config),
        Err(_) => world,
    };
    Ok(Patient { world, file, config, profile })
}

/// One part, or all that apply.
fn examine(patient: &Patient, part: Option<Part>) -> Vec<Check> {
    if let Some(part) = part {
        return checks(patient, part);
    }
    let mut all: Vec<Check> = Vec::new();
    for part in Part::ALL.into_iter().filter(|part| applies(patient, *part)) {
        // Two parts may look at the same thing, such as the repository's port.
        let fresh = |check: &Check| !all.iter().any(|known| known.id == check.id && known.why == check.why);
        let found: Vec<Check> = checks(patient, part).into_iter().filter(fresh).collect();
        all.extend(found);
    }
    all
}

fn checks(patient: &Patient, part: Part) -> Vec<Check> {
    match part {
        Part::Files => files::checks(patient).into_iter().chain(modes::checks(patient)).collect(),
        Part::Keys => keys::checks(patient),
        Part::Certificates => certificates::checks(patient),
        Part::Proxy => proxy::checks(patient),
        Part::Network => network::checks(patient),
        Part::Clock => clock::checks(patient),
        Part::Daemon => daemon::checks(patient),
        Part::Ports => ports::checks(patient),
        Part::Sso => sso::checks(&patient.world, patient.profile.as_deref()),
        Part::Artifacts => artifacts::checks(patient),
        Part::Gateway => gateway::checks(patient),
        Part::Vpn => vpn::checks(patient),
        Part::Audit => audit::checks(patient),
        Part::Vault => vault::checks(patient),
        Part::Delegation => vault::manager(patient),
        Part::Notify => notify::checks(patient),
    }
}

fn applies(patient: &Patient, part: Part) -> bool {
    match part {
        Part::Certificates => !patient.world.setup.identities.is_empty(),
        Part::Sso => sso::applies(&patient.world, patient.profile.as_deref()),
        Part::Artifacts => artifacts::applies(patient),
        Part::Gateway => gateway::applies(patient),
        Part::Vpn => vpn::applies(patient),
        Part::Vault => vault::applies(patient),
        Part::Delegation => vault::manages(patient),
        _ => true,
    }
}

/// Does what is safe, says so, and gives the commands that would have done the same.
fn fix(patient: &Patient, part: Option<Part>) -> Vec<String> {
    let remedies = match part {
        None => modes::remedies(patient).into_iter().chain(daemon::remedies(patient)).collect(),
        Some(Part::Files) => modes::remedies(patient),
        Some(Part::Daemon) => daemon::remedies(patient),
        Some(_) => {
            output::say("note: `--fix` belongs to `bowline doctor`, or to its parts `files` and `daemon`");
            Vec::new()
        }
    };
    let mut fixed = Vec::new();
    for remedy in remedies {
        match remedy.take() {
            Ok(()) => {
                output::say(&format!("fixed: {}", remedy.command()));
                fixed.push(remedy.command());
            }
            Err(error) => output::say(&format!("not fixed: {}: {error}", remedy.command())),
        }
    }
    fixed
}

fn list(form: Form) -> Result<ExitCode, Fault> {
    let known = || ids::ALL.iter().map(|(id, means)| (id.as_str(), *means));
    match form {
        Form::Json => {
            let all: Vec<_> = known().map(|(id, means)| json!({ "id": id, "means": means })).collect();
            output::data(&format!("{:#}\n", json!({ "checks": all })))?;
        }
        Form::Text => output::data(&known().map(|(id, means)| format!("{id:21}  {means}\n")).collect::<String>())?,
    }
    Ok(ExitCode::SUCCESS)
}
