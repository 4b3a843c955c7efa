//! The program: command line, configuration, supervision, status page. It wires everything and decides nothing.

mod cli;
mod commands;
mod config;
mod config_place;
mod daemon;
mod demo;
mod environment;
mod logging;
mod output;
mod report;
mod world;

use std::{ffi::OsString, process::ExitCode};

use bowline_base::Fault;
use bowline_credentials::{
    RECURSION_MARK,
    client::{self, Answer},
};
use clap::Parser as _;

use crate::{
    cli::{Artifacts, Cli, Command},
    environment::Environment,
    world::World,
};

fn main() -> ExitCode {
    bowline_host::process::protect_memory();
    let environment = Environment::of_this_process();
    if let Some(code) = warm_creds(&environment) {
        return code;
    }
    let outcome = dispatch(Cli::parse(), environment);
    outcome.unwrap_or_else(|fault| {
        output::fault(&fault);
        ExitCode::from(fault.kind.exit_code())
    })
}

/// `bowline creds PROFILE` on a warm daemon, before the argument parser and without a runtime: SDKs run it for every call.
fn warm_creds(environment: &Environment) -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).take(3).collect();
    let [command, profile] = arguments.as_slice() else { return None };
    if environment.var(RECURSION_MARK).is_some() {
        return None;
    }
    let profile = profile.to_str().filter(|profile| command == "creds" && !profile.starts_with('-'))?;
    let setup = world::setup(environment).ok()?;
    match client::credentials(&environment.socket(), &setup.context(), profile) {
        Ok(Answer::Good(document)) => output::secret(&document).is_ok().then_some(ExitCode::SUCCESS),
        _ => None,
    }
}

fn dispatch(cli: Cli, environment: Environment) -> Result<ExitCode, Fault> {
    let file = cli.config;
    match cli.command {
        Command::Run => commands::run::run(environment, file)?,
        Command::Artifacts(Artifacts::Serve(arguments)) => commands::artifacts::serve(environment, file, &arguments)?,
        Command::Demo(arguments) => return demo::run(&environment, &arguments),
        Command::Check(form) => commands::check::run(&World::new(environment)?, file, form.output)?,
        Command::Status(arguments) => return commands::status::run(&World::of_file(environment, file)?, &arguments),
        Command::Doctor(arguments) => {
            return commands::doctor::run(&World::of_file(environment, file.clone())?, file, &arguments);
        }
        Command::Login(arguments) => commands::login::run(&World::new(environment)?, &arguments)?,
        Command::Logout(arguments) => commands::login::out(&World::new(environment)?, arguments.profile.as_deref())?,
        Command::Creds(arguments) => commands::creds::run(&World::of_file(environment, file)?, &arguments.profile)?,
        Command::Env(arguments) => commands::env::run(&World::of_file(environment, file)?, &arguments)?,
        Command::Exec(arguments) => match commands::exec::run(&World::of_file(environment, file)?, &arguments)? {},
    }
    Ok(ExitCode::SUCCESS)
}
