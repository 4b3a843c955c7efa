//! `bowline env PROFILE`: credentials as variables, in the words of the user's shell.

use bowline_base::Fault;
use bowline_credentials::delivery::{Shell, Variables};

use super::obtain;
use crate::{
    cli::{Env, ShellName},
    output,
    world::World,
};

pub(crate) fn run(world: &World, arguments: &Env) -> Result<(), Fault> {
    let shell = shell(world, arguments.shell);
    let Some(profile) = arguments.profile.as_deref().filter(|_| !arguments.unset) else {
        return output::secret(&Variables::removal().text(shell));
    };
    let credentials = obtain::credentials(world, profile, &arguments.mfa)?;
    let region = profile_region(world, profile);
    output::secret(&Variables::of(&credentials, region.as_deref(), world.wire.now().wall)?.text(shell))
}

/// The `region` of the profile itself.
pub(crate) fn profile_region(world: &World, profile: &str) -> Option<String> {
    world.aws_config().ok()?.profile(profile).ok()?.region().map(ToOwned::to_owned)
}

fn shell(world: &World, wanted: Option<ShellName>) -> Shell {
    match wanted {
        Some(ShellName::Bash | ShellName::Zsh | ShellName::Sh) => Shell::Posix,
        Some(ShellName::Fish) => Shell::Fish,
        Some(ShellName::Powershell) => Shell::PowerShell,
        Some(ShellName::Cmd) => Shell::Cmd,
        Some(ShellName::Dotenv) => Shell::Dotenv,
        Some(ShellName::Json) => Shell::Json,
        None => world.environment.var("SHELL").and_then(Shell::named).unwrap_or(Shell::Posix),
    }
}
