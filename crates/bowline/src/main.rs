//! The program: command line, configuration, supervision, status page. It wires everything and decides nothing.

mod cli;
mod commands;
mod completion;
mod config;
mod config_place;
mod crc32;
mod daemon;
mod demo;
mod dropin;
mod environment;
mod health;
mod keyring;
mod left_behind;
mod logging;
mod loopback;
mod output;
mod report;
mod secrets;
mod terminal;
mod troubles;
mod unlock;
mod world;

use std::{ffi::OsString, process::ExitCode};

use bowline_base::Fault;
use clap::Parser as _;

use crate::{
    cli::{Cli, Command, Profiles, Service},
    dropin::DropIn,
    environment::Environment,
    world::World,
};

fn main() -> ExitCode {
    bowline_host::process::protect_memory();
    let environment = Environment::of_this_process();
    if let Some(dropin) = std::env::args_os().next().as_deref().and_then(DropIn::called) {
        return dropin.run(environment);
    }
    if let Some(words) = words_to_complete() {
        return completion::answer(&environment, &words);
    }
    let outcome = match creds_profile() {
        Some(profile) => left_behind::refuse(&environment)
            .and_then(|()| commands::creds::run(environment, None, &profile, &cli::MfaCode::default()))
            .map(|()| ExitCode::SUCCESS),
        None => dispatch(Cli::parse(), environment),
    };
    outcome.unwrap_or_else(|fault| {
        output::fault(&fault);
        ExitCode::from(fault.kind.exit_code())
    })
}

/// `bowline creds PROFILE`, before the argument parser: SDKs run it for every call.
fn creds_profile() -> Option<String> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).take(3).collect();
    let [command, profile] = arguments.as_slice() else { return None };
    let asked = |profile: &&str| command == "creds" && !profile.starts_with('-');
    profile.to_str().filter(asked).map(ToOwned::to_owned)
}

/// What a shell asks while somebody types, past the argument parser: the line is not whole yet.
fn words_to_complete() -> Option<Vec<String>> {
    let mut arguments = std::env::args_os().skip(1);
    let asked = arguments.next().is_some_and(|first| first == completion::ASKED);
    asked.then(|| arguments.map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Whether it may write into the home: keys, users, the audit log. `run` looks for itself, once its file is read.
fn keeps_something(command: &Command) -> bool {
    !matches!(
        command,
        Command::Run
            | Command::Check(_)
            | Command::Status(_)
            | Command::Doctor(_)
            | Command::Explain(_)
            | Command::Healthcheck(_)
            | Command::Service(_)
            | Command::Demo(_)
            | Command::Completions(_)
            | Command::Man(_)
    )
}

fn dispatch(cli: Cli, environment: Environment) -> Result<ExitCode, Fault> {
    let file = cli.config;
    if keeps_something(&cli.command) {
        left_behind::refuse(&environment)?;
    }
    match cli.command {
        Command::Init(arguments) => commands::init::run(&World::new(environment)?, file, &arguments)?,
        Command::Run => commands::run::run(environment, file)?,
        Command::Artifacts(command) => return commands::artifacts::run(environment, file, &command),
        Command::Gateway(command) => return commands::gateway::run(environment, file, &command),
        Command::BazelCredentialHelper(_) => commands::bazel_credential_helper::run(&environment, file)?,
        Command::Demo(arguments) => return demo::run(&environment, &arguments),
        Command::Audit(command) => return commands::audit::run(&World::new(environment)?, file, &command),
        Command::Notify(command) => return commands::notify::run(&World::new(environment)?, file, &command),
        Command::Explain(arguments) => commands::explain_key::run(&arguments)?,
        Command::Healthcheck(arguments) => commands::healthcheck::run(&environment, file, &arguments)?,
        Command::Service(Service::Install(arguments)) => commands::service::install(&environment, file, &arguments)?,
        Command::Check(form) => commands::check::run(environment, file, form.output)?,
        Command::Status(arguments) => return commands::status::run(&World::of_file(environment, file)?, &arguments),
        Command::Doctor(arguments) => return commands::doctor::run(environment, file, &arguments),
        Command::Login(arguments) => commands::login::run(&World::of_file(environment, file)?, &arguments)?,
        Command::Logout(arguments) => {
            commands::login::out(&World::of_file(environment, file)?, arguments.profile.as_deref())?;
        }
        Command::Creds(arguments) => commands::creds::run(environment, file, &arguments.profile, &arguments.mfa)?,
        Command::Profiles(Profiles::Sync(arguments)) => {
            commands::profiles::sync(&World::new(environment)?, &arguments)?;
        }
        Command::Env(arguments) => commands::env::run(&World::of_file(environment, file)?, &arguments)?,
        Command::Exec(arguments) => return commands::exec::run(&World::of_file(environment, file)?, &arguments),
        Command::Serve(arguments) => commands::serve::run(environment, file, &arguments)?,
        Command::Write(arguments) => commands::write::run(&World::of_file(environment, file)?, &arguments)?,
        Command::Verify(arguments) => commands::verify::run(&World::of_file(environment, file)?, &arguments)?,
        Command::Console(arguments) => commands::console::run(&World::of_file(environment, file)?, &arguments)?,
        Command::Policy(part) => commands::policy::run(environment, file, &part)?,
        Command::Users(command) => commands::users::run(environment, file, &command)?,
        Command::Vault(command) => commands::vault::run(environment, file, &command)?,
        Command::Vpn(command) => commands::vpn::run(environment, file, &command)?,
        Command::Completions(arguments) => output::data(completion::script(arguments.shell))?,
        Command::Man(arguments) => commands::man::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
