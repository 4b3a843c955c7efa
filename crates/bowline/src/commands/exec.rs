//! `bowline exec PROFILE -- COMMAND`: the child gets exactly one source of credentials.
//!
//! By default that is an endpoint which ends with the child: this process stays as its server, passes signals on, and
//! ends with the child's exit code. With `--env` the child takes this process's place and gets plain variables, which
//! do not renew themselves.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use bowline_base::{Fault, Kind};
use bowline_credentials::delivery::{child_environment, env::endpoint_environment};

use super::{container, env::profile_region, obtain, scope};
use crate::{cli::Exec, output, world::World};

pub(crate) fn run(world: &World, arguments: &Exec) -> Result<ExitCode, Fault> {
    bowline_host::process::let_children_dump();
    if arguments.env {
        return in_its_place(world, arguments);
    }
    let region = profile_region(world, &arguments.profile);
    let scope = scope::Scope::open(world, &arguments.profile, &arguments.mfa)?;
    if let Some(image) = &arguments.container {
        return container::run(world, scope, image, region.as_deref(), &arguments.command);
    }
    let mut exports = scope.exports();
    exports.extend(scope.shields(world, region.as_deref())?);
    let environment = endpoint_environment(parent(world), &exports, region.as_deref());
    scope.run(&arguments.command, &environment)
}

/// What a shell ends with where a program cannot be run: 127 where there is none, else 126.
pub(super) fn not_run(program: &str, cause: std::io::Error) -> ExitCode {
    let code = if cause.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    let hint = format!("see where it is: `command -v {program}`, or write its whole path");
    output::fault(&Fault::new(Kind::Refused, "exec", format!("cannot run `{program}`")).hint(hint).cause(cause));
    ExitCode::from(code)
}

/// This process's own environment.
pub(super) fn parent(world: &World) -> BTreeMap<OsString, OsString> {
    world.environment.for_child().collect()
}

fn in_its_place(world: &World, arguments: &Exec) -> Result<ExitCode, Fault> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Fault::new(Kind::Config, "exec", "no command to run").hint("bowline exec PROFILE --env -- COMMAND"));
    };
    let credentials = obtain::credentials(world, &arguments.profile, &arguments.mfa)?;
    let region = profile_region(world, &arguments.profile);
    let environment = child_environment(parent(world), &credentials, region.as_deref(), world.wire.now().wall)?;
    let cause = Command::new(program).args(rest).env_clear().envs(environment).exec();
    Ok(not_run(program, cause))
}
