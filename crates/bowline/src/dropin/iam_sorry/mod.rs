//! `iam-sorry`, also called `aws-creds`: that program's flags and exit codes, and its files, which it may go on using.
//!
//! Underneath are Bowline's vault, its AWS files, which lose no byte, and its machines for users and keys. Where the peer
//! is unsafe this is not: docs/from/iam-sorry.md has the list.

mod bootstrap;
mod cli;
mod create_manager;
mod eval;
mod hand_out;
mod key_file;
mod manager;
mod policies;
mod profiles;
mod seal;
mod section;
mod show;
mod task;

use std::process::ExitCode;

use bowline_base::{Fault, Kind};
use clap::Parser as _;

use self::{
    cli::Cli,
    key_file::SshKey,
    manager::Manager,
    section::Held,
    task::{Needs, Task, Work},
};
use crate::{cli::Manages, commands::users::Desk, environment::Environment, logging, output};

/// Takes the command line of this process.
pub(super) fn run(environment: Environment) -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => Task::of(cli, environment.var("AWS_PROFILE")).and_then(|task| carry_out(&task, environment)),
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

fn carry_out(task: &Task, environment: Environment) -> Result<(), Fault> {
    logging::start(environment.var("LOG_LEVEL").or(Some("warn")))?;
    let manages = Manages { profile: Some(task.manager.clone()), ssh_key: task.ssh_key.clone() };
    let desk = Desk::new(environment, None, &manages)?;
    let world = &desk.world;
    let ssh_key = SshKey::at(world.setup.vault.ssh_key.clone());
    let manager = Manager { desk: &desk, world, profile: &task.manager, ssh_key: &ssh_key };
    if task.work.needs() == Needs::Sealed {
        manager.require_sealed()?;
    }
    let file = &world.setup.locations.credentials;
    let held = |name: &str| Held::read(file, name)?.ok_or_else(|| seal::missing(name));
    match &task.work {
        Work::Encrypt => seal::run(file, manager.profile, &ssh_key),
        Work::Eval(profile) => eval::run(&manager, profile),
        Work::ShowEncrypted(profile) => show::encrypted(&held(profile)?),
        Work::ShowDecrypted(profile) => show::decrypted(world, profile, &held(profile)?, &ssh_key),
        Work::Print(print) => policies::run(&manager, print),
        Work::CreateManager(user) => create_manager::run(&manager, user),
        Work::FixProfiles => profiles::fix(world, manager.profile),
        Work::Profiles => profiles::list(world),
        Work::Reset => profiles::reset(world),
        Work::Bootstrap => bootstrap::run(&manager),
        Work::HandOut(asked) => hand_out::run(&manager, asked),
    }
}

/// Help and version are data and good; every other word about the command line ends with 2, as Python's argparse does.
fn told(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() {
        output::say(text.trim_end());
        return ExitCode::from(2);
    }
    output::data(&text).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
