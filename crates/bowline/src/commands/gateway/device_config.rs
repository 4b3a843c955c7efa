//! `bowline gateway device-config`: what the site's own device needs, printed or put in its place. No pre-shared key is
//! printed unless that was asked for.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use bowline_base::{Fault, FixedIdentity};
use bowline_gateway::{
    Account,
    device::{Choices, Outcome, Place, Rendered, ours, render},
};

use super::gather;
use crate::{
    cli::{GatewayDevice, MfaCode},
    commands::obtain::{self, until_interrupted},
    config::GatewaySection,
    daemon::gateway as wiring,
    environment::Environment,
    output,
    world::{World, small_runtime},
};

/// `--check`: it would be written.
const CHANGES: u8 = 3;
/// What the keys are included from where nothing is written.
const PRINTED: &str = "bowline.secrets";

pub(super) fn run(
    environment: Environment,
    file: Option<PathBuf>,
    arguments: &GatewayDevice,
) -> Result<ExitCode, Fault> {
    let (world, _, section) = gather(environment, file, &arguments.settings())?;
    let hook = arguments.hook.as_ref().map(|hook| hook.0.clone()).unwrap_or_default();
    let place = arguments.output.as_deref().map(|path| wiring::place(&world, path, hook)).transpose()?;
    let name = place.as_ref().map_or_else(|| PRINTED.to_owned(), Place::keys_name);
    let rendered = rendered(&world, &section, &choices(arguments, &section), &name)?;
    match &place {
        None => print(&rendered, arguments.reveal).map(|()| ExitCode::SUCCESS),
        Some(place) if arguments.check => check(place, &rendered),
        Some(place) => put(place, &rendered, arguments.output.as_deref().unwrap_or(Path::new(""))),
    }
}

/// Flags over file.
fn choices(arguments: &GatewayDevice, section: &GatewaySection) -> Choices {
    let base = section.device_config.as_ref().map(|device| device.choices.clone()).unwrap_or_default();
    let given = !arguments.local.is_empty();
    Choices {
        first_interface: arguments.if_id.unwrap_or(base.first_interface),
        networks: if given { [arguments.local.clone(), arguments.remote.clone()] } else { base.networks },
        keys: base.keys && !arguments.no_keys,
    }
}

fn rendered(world: &World, section: &GatewaySection, choices: &Choices, keys: &str) -> Result<Rendered, Fault> {
    let profile = wiring::profile(world, section);
    let identity = FixedIdentity::new(obtain::credentials(world, &profile, &MfaCode::default())?);
    let region = wiring::config(world, section)?.region;
    let account = Account { aws: &world.aws, region: &region, identity: &identity };
    let links = ours(account, &section.managed, section.owner.as_deref());
    let links = small_runtime()?.block_on(until_interrupted(links))?;
    Ok(render(&links, choices, keys)?)
}

fn print(rendered: &Rendered, reveal: bool) -> Result<(), Fault> {
    output::data(&rendered.connections)?;
    match &rendered.keys {
        Some(keys) if reveal => output::secret(keys),
        Some(_) => {
            output::say(&format!(
                "note: the pre-shared keys are left out: --output PATH writes them beside it, --reveal prints what belongs in `{PRINTED}`"
            ));
            Ok(())
        }
        None => Ok(()),
    }
}

fn check(place: &Place, rendered: &Rendered) -> Result<ExitCode, Fault> {
    if place.is_due(rendered)? {
        output::say("it is not what it would be; without --check it is written");
        return Ok(ExitCode::from(CHANGES));
    }
    output::say("nothing has changed");
    Ok(ExitCode::SUCCESS)
}

fn put(place: &Place, rendered: &Rendered, path: &Path) -> Result<ExitCode, Fault> {
    let outcome = small_runtime()?.block_on(until_interrupted(place.put(rendered)))?;
    output::say(&match outcome {
        Outcome::Same => "nothing has changed".to_owned(),
        Outcome::Written => format!("written: {}", path.display()),
        Outcome::Woken => "nothing has changed; the hook, which had failed before, has run".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}
