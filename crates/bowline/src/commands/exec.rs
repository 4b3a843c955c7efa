//! `bowline exec PROFILE -- COMMAND`: the child gets exactly one source of credentials and takes this process's place,
//! so that signals and the exit code pass through by themselves.

use std::{convert::Infallible, os::unix::process::CommandExt as _, process::Command};

use bowline_base::{Fault, Kind};
use bowline_credentials::delivery::child_environment;

use super::{env::profile_region, obtain};
use crate::{cli::Exec, world::World};

pub(crate) fn run(world: &World, arguments: &Exec) -> Result<Infallible, Fault> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Fault::new(Kind::Config, "exec", "no command to run").hint("bowline exec PROFILE -- COMMAND"));
    };
    let credentials = obtain::credentials(world, &arguments.profile, &arguments.mfa)?;
    let region = profile_region(world, &arguments.profile);
    let environment =
        child_environment(world.environment.for_child(), &credentials, region.as_deref(), world.wire.now().wall)?;
    let cause = Command::new(program).args(rest).env_clear().envs(environment).exec();
    Err(Fault::new(Kind::Refused, "exec", format!("cannot run `{program}`")).cause(cause))
}
