//! `aws_signing_helper`: the commands of AWS's tool for IAM Roles Anywhere, with its flags, its output and its exit code 1.
//!
//! Underneath are Bowline's sources, leases and endpoint. What is refused here is what they do not have: keys outside of
//! files.

mod cli;
mod diagnosis;
mod serve;
mod session;
mod update;

use std::process::ExitCode;

use bowline_base::{Fault, Kind};
use bowline_credentials::delivery;
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use self::{
    cli::{Cli, Command},
    session::open,
};
use crate::{cli::MfaCode, commands::obtain, environment::Environment, logging, output};

/// Takes the command line of this process.
pub(super) fn run(environment: Environment) -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => dispatch(cli, environment),
        Err(error) => return told(&error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            output::fault(&fault);
            if fault.kind == Kind::Interrupted { ExitCode::from(fault.kind.exit_code()) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(cli: Cli, environment: Environment) -> Result<(), Fault> {
    let Some(command) = cli.command else {
        return output::data(&format!("{}\n", Cli::command().render_help()));
    };
    logging::start(environment.var("LOG_LEVEL").or(Some(if command.is_debug() { "debug" } else { "warn" })))?;
    match command {
        Command::CredentialProcess(session) => {
            let (world, identity) = open(environment, &session)?;
            let credentials = obtain::alone(&world, &identity, &MfaCode::default())?;
            output::secret(&delivery::process_json(&credentials, world.wire.now().wall)?)
        }
        Command::Update(arguments) => update::run(environment, &arguments),
        Command::Serve(arguments) => serve::run(environment, &arguments),
        Command::ReadCertificateData(arguments) => diagnosis::read_certificate_data(&arguments),
        Command::SignString(arguments) => diagnosis::sign_string(&arguments),
        Command::Version => output::data(&format!("{}\n", cli::VERSION)),
    }
}

/// Help and version are data; every other word about the command line is an error, which is 1 here.
fn told(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return output::data(&text).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    output::say(text.trim_end());
    ExitCode::FAILURE
}
