//! `bowline gateway adopt`: the one call that takes over what was made by hand, printed or made.

use std::{path::PathBuf, process::ExitCode};

use bowline_aws::{Region, ec2::create_tags};
use bowline_base::{Fault, FixedIdentity};
use bowline_gateway::{Adoption, not_ours};

use super::{gather, patrol};
use crate::{
    cli::{GatewayAdopt, MfaCode},
    commands::obtain::{self, until_interrupted},
    config::GatewaySection,
    daemon::gateway as wiring,
    environment::Environment,
    output,
    world::{World, small_runtime},
};

pub(super) fn run(
    environment: Environment,
    file: Option<PathBuf>,
    arguments: &GatewayAdopt,
) -> Result<ExitCode, Fault> {
    let (world, _, section) = gather(environment, file, &arguments.settings)?;
    let patrol = patrol(&world, &section)?;
    let look = small_runtime()?.block_on(until_interrupted(async { Ok(patrol.look().await?) }))?;
    if let Some(missing) = &look.selection.missing {
        return Err(not_ours(missing));
    }
    let adoption = Adoption::of(&look).unwrap_or_default();
    for left in &adoption.left {
        output::say(&format!("note: {left}; it is left as it is"));
    }
    if adoption.resources.is_empty() {
        output::say(&format!("nothing to adopt: everything belongs to `{}` already", adoption.owner));
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.run {
        make(&world, &section, &adoption)?;
        output::data(&format!("adopted by `{}`: {}\n", adoption.owner, adoption.resources.join(" ")))?;
    } else {
        output::data(&command(&patrol.config().region, &adoption))?;
        output::say("note: run this once as an administrator; the gateway may be deleted then when nothing uses it");
    }
    Ok(ExitCode::SUCCESS)
}

fn command(region: &Region, adoption: &Adoption) -> String {
    let (key, value) = adoption.tag();
    let resources = adoption.resources.join(" ");
    format!("aws ec2 create-tags --region {region} --resources {resources} --tags 'Key={key},Value={value}'\n")
}

fn make(world: &World, section: &GatewaySection, adoption: &Adoption) -> Result<(), Fault> {
    let profile = wiring::profile(world, section);
    let identity = FixedIdentity::new(obtain::credentials(world, &profile, &MfaCode::default())?);
    let region = wiring::config(world, section)?.region;
    let tags = [adoption.tag()];
    let call = create_tags(&world.aws, &region, &identity, &adoption.resources, &tags);
    small_runtime()?.block_on(until_interrupted(async { Ok(call.await?) }))
}
