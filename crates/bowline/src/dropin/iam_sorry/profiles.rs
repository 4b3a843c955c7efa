//! `--profiles`, `--fix-profiles` and `--reset`: sections of both AWS files, each edit leaving every other byte alone.

use std::path::{Path, PathBuf};

use bowline_awsfiles::{Rule, SectionName, rewrite};
use bowline_base::{Fault, Secret, atomic};

use super::{cli::MANAGER, seal, section::Held, task::wrong};
use crate::{output, world::World};

/// What a profile gets where the manager's has no region: iam-sorry's own.
const REGION: &str = "us-east-1";

/// The profiles of the config file, one a line.
pub(super) fn list(world: &World) -> Result<(), Fault> {
    let config = world.aws_config()?;
    let mut named: Vec<_> =
        config.profiles().filter_map(|profile| Some((profile.in_config()?.origin.line, profile.name()))).collect();
    named.sort_unstable();
    if named.is_empty() {
        output::say(&format!("no profile in `{}`", world.setup.locations.config.display()));
    }
    output::data(&named.iter().map(|(_, name)| format!("{name}\n")).collect::<String>())
}

/// Gives every profile of the credentials file a section with a region in the config file.
pub(super) fn fix(world: &World, manager: &str) -> Result<(), Fault> {
    let config = world.aws_config()?;
    let region = region(world, manager)?;
    let lacks_region = |name: &&str| {
        let profile = config.profile(name).ok().and_then(|profile| profile.in_config());
        profile.is_none_or(|section| !section.settings.contains_key("region"))
    };
    let in_credentials = config.profiles().filter(|profile| profile.in_credentials().is_some());
    let poor: Vec<&str> = in_credentials.map(bowline_awsfiles::Profile::name).filter(lacks_region).collect();
    let file = &world.setup.locations.config;
    rewrite(file, Rule::Config, |document| {
        poor.iter().try_for_each(|name| document.set(&SectionName::Profile((*name).to_owned()), "region", &region))
    })?;
    let fixed = poor.iter().map(|name| format!("{name}: region = {region}\n"));
    output::data(&fixed.collect::<String>())?;
    let only_config = config.profiles().filter(|profile| profile.in_credentials().is_none());
    for profile in only_config {
        output::say(&format!("note: `{}` has no keys in the credentials file", profile.name()));
    }
    Ok(())
}

/// Removes the profile `iam-sorry` from both files. What its section held stays in a file beside, for the owner only.
pub(super) fn reset(world: &World) -> Result<(), Fault> {
    let locations = &world.setup.locations;
    let held = Held::read(&locations.credentials, MANAGER)?.ok_or_else(|| seal::missing(MANAGER))?;
    let copy = keep(world, &held)?;
    for (file, rule, section) in [
        (&locations.credentials, Rule::Credentials, SectionName::Credentials(MANAGER.to_owned())),
        (&locations.config, Rule::Config, SectionName::Profile(MANAGER.to_owned())),
    ] {
        if file.exists() {
            rewrite(file, rule, |document| document.remove_section(&section).map(drop::<bool>))?;
        }
    }
    output::say(&format!(
        "removed: profile `{MANAGER}`; its section is kept in `{}`\nnote: its key still works at AWS until it is deleted there",
        copy.display()
    ));
    Ok(())
}

/// The config section of profile `name`: made with the manager's region where there is none.
pub(super) fn ensure_config(world: &World, name: &str, manager: &str) -> Result<Vec<String>, Fault> {
    let config = world.aws_config()?;
    let found = config.profile(name).ok().and_then(|profile| profile.in_config());
    if let Some(section) = found {
        let lines = section.settings.iter().filter_map(|(key, setting)| Some(format!("{key} = {}", setting.text()?)));
        return Ok(std::iter::once(format!("[{}]", section.name)).chain(lines).collect());
    }
    ensure_config_in(world, name, &region(world, manager)?)
}

/// The same with that region, where there is no such section.
pub(super) fn ensure_config_in(world: &World, name: &str, region: &str) -> Result<Vec<String>, Fault> {
    let section = SectionName::Profile(name.to_owned());
    let known = world.aws_config()?.profile(name).is_ok_and(|profile| profile.in_config().is_some());
    if known {
        return Ok(Vec::new());
    }
    rewrite(&world.setup.locations.config, Rule::Config, |document| document.set(&section, "region", region))?;
    let header = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    Ok(vec![format!("[{header}]"), format!("region = {region}")])
}

/// The region of the manager's profile.
fn region(world: &World, manager: &str) -> Result<String, Fault> {
    let config = world.aws_config()?;
    let of = |name: &str| {
        let profile = config.profile(name).ok()?;
        let written = profile.in_config().and_then(|section| section.settings.get("region")?.text());
        written.or_else(|| profile.region()).map(str::to_owned)
    };
    Ok(of(manager).or_else(|| of(MANAGER)).unwrap_or_else(|| REGION.to_owned()))
}

fn keep(world: &World, held: &Held) -> Result<PathBuf, Fault> {
    let now = world.wire.now().wall.strftime("%Y%m%dT%H%M%SZ").to_string();
    let text: String = held.lines().iter().map(|line| format!("{}\n", line.expose())).collect();
    let copy = beside(&world.setup.locations.credentials, &format!("{MANAGER}-{now}"));
    atomic::write_private(&copy, Secret::new(text).expose().as_bytes()).map_err(|cause| {
        wrong(format!("cannot keep a copy in `{}`; nothing is removed", copy.display())).cause(cause)
    })?;
    Ok(copy)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{name}.{ending}"))
}
