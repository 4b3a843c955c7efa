//! A user's profile in both AWS files: the session in the one, the region in the other. Everything else stays.

use std::path::Path;

use bowline_aws::Region;
use bowline_awsfiles::{Document, EditError, Rule, SectionName, Source, rewrite};
use bowline_base::{Credentials, Fault, Kind, Secret, utc};

use crate::{
    commands::write::{into_section, keys},
    output,
    world::World,
};

/// Whose credentials a section holds.
pub(crate) const OWNER: &str = "credentials_owner";

/// Refuses a profile that has keys or a source of its own, which would be lost or hidden. Asked before any credential
/// exists.
pub(crate) fn may_write(world: &World, name: &str) -> Result<(), Fault> {
    let config = world.aws_config()?;
    let Ok(profile) = config.profile(name) else { return Ok(()) };
    let ours = profile.text(OWNER).is_some();
    let why = match config.resolve(name) {
        Ok(Source::Static(keys)) if keys.session_token.is_some() || ours => return Ok(()),
        Ok(Source::Static(_) | Source::Sealed(_)) => "a long-lived key",
        Ok(_) => "credentials of another source",
        Err(_) => return Ok(()),
    };
    Err(Fault::new(Kind::Config, "users", format!("profile `{name}` has {why}, which would be lost or hidden")).hint(
        format!("give that profile another name in the AWS files, or remove it; see `bowline status {name} --explain`"),
    ))
}

/// Writes the session of `user` into its profile; says whether the config file got a section.
pub(crate) fn write(world: &World, user: &str, session: &Credentials, region: &Region) -> Result<bool, Fault> {
    let locations = &world.setup.locations;
    let mut settings = keys(session);
    settings.push((OWNER, Secret::new(user)));
    settings.extend(session.expires_at.map(|end| ("expiration", Secret::new(utc(end)))));
    into_section(&locations.credentials, user, &settings)?;
    add_section(&locations.config, user, region.as_str())
}

/// Adds the section of `profile` with its region to the config file, if there is none.
pub(crate) fn add_section(config: &Path, profile: &str, region: &str) -> Result<bool, Fault> {
    let section = SectionName::Profile(profile.to_owned());
    let outcome = rewrite(config, Rule::Config, |document| {
        if has_section(document, profile)? { Ok(()) } else { document.set(&section, "region", region) }
    })?;
    Ok(outcome.changed)
}

/// Adds a section to the config file for every profile that stands in the credentials file alone.
pub(crate) fn fix(world: &World, region: &Region) -> Result<(), Fault> {
    let config = world.aws_config()?;
    let lacking =
        config.profiles().filter(|profile| profile.in_config().is_none() && profile.in_credentials().is_some());
    let mut added = 0;
    for profile in lacking {
        let name = profile.name();
        if add_section(&world.setup.locations.config, name, region.as_str())? {
            output::data(&format!("{name}\n"))?;
            added += 1;
        }
    }
    match added {
        0 => output::say("every profile has its section"),
        _ => output::say(&format!(
            "added {added} to `{}`, region {}",
            world.setup.locations.config.display(),
            region.as_str()
        )),
    }
    Ok(())
}

fn has_section(document: &Document, profile: &str) -> Result<bool, EditError> {
    let config = bowline_awsfiles::Config::read(Some(document), None)?;
    Ok(config.profile(profile).is_ok())
}
