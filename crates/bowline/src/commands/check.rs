//! `bowline check`: everything that is wrong with the configuration, and nothing bound.

use std::path::{Path, PathBuf};

use bowline_base::{Fault, Kind};
use bowline_credentials::{
    ENVIRONMENT,
    certificate::{Life, Standing},
};
use bowline_host::{notify::Webhook, tls_server::ServerTls};
use serde_json::json;

use crate::{
    cli::Form,
    config::{self, Config},
    config_place,
    daemon::notify::{channels, describe},
    output, secrets,
    world::World,
};

pub(crate) fn run(world: &World, file: Option<PathBuf>, form: Form) -> Result<(), Fault> {
    let path = config_place::require(file, &world.environment)?;
    let outcome = config::load(&path).and_then(|config| {
        let files = world.aws_config()?;
        for warning in files.warnings() {
            output::say(&format!("warning: {}: {}", warning.origin, warning.message));
        }
        let profiles = profiles(world, &path, &config);
        match certificates(world, &path, &config) {
            None => profiles,
            Some(certificates) => Err(both(profiles.err(), certificates)),
        }?;
        vpn(world, &config)?;
        notifications(world, &config)
    });
    let (fault, told) = (outcome.as_ref().err(), outcome.as_ref().ok());
    match form {
        Form::Json => output::data(&format!(
            "{:#}\n",
            json!({ "file": path, "good": fault.is_none(), "notify": told, "error": fault.map(Fault::chain), "hint": fault.and_then(|f| f.hint.clone()) })
        ))?,
        Form::Text => {
            if let Some(told) = told {
                let told = if told.is_empty() { "nobody".to_owned() } else { told.join(", ") };
                output::data(&format!("{}: good\nnotifications: {told}\n", path.display()))?;
            }
        }
    }
    outcome.map(drop)
}

/// Who is told what needs a person; the webhook's secret must be there.
fn notifications(world: &World, config: &Config) -> Result<Vec<String>, Fault> {
    let channels = channels(world, &config.notify)?;
    channels.webhook.as_ref().map(Webhook::check).transpose()?;
    Ok(describe(&channels))
}

/// The VPN's files must be there and good: its master key, its certificate. Two of its doors are not one.
fn vpn(world: &World, config: &Config) -> Result<(), Fault> {
    let Some(section) = &config.vpn else { return Ok(()) };
    section.master_key.as_ref().map(|place| secrets::read(world, place)).transpose()?;
    if let Some(tls) = &section.tls {
        ServerTls::load(&tls.certificate, &tls.private_key)?;
    }
    if section.proxy == Some(section.api) {
        return Err(Fault::new(Kind::Config, "vpn", format!("`api` and `proxy` are both {}", section.api))
            .hint("give [vpn] `proxy` another port"));
    }
    Ok(())
}

/// Every profile that the configuration names must resolve.
pub(super) fn profiles(world: &World, file: &Path, config: &Config) -> Result<(), Fault> {
    let files = world.aws_config()?.with_identities(config.identities.iter().cloned());
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let of_artifacts = config.artifacts.as_ref().and_then(|artifacts| artifacts.identity.as_ref());
    let of_audit = config.audit.cloudwatch.as_ref().and_then(|cloudwatch| cloudwatch.identity.as_ref());
    let of_gateway = config.gateway.as_ref().and_then(|gateway| gateway.identity.as_ref());
    let of_vpn = config.vpn.as_ref().and_then(|vpn| vpn.identity.as_ref());
    let mut wrong: Vec<String> = config
        .daemon
        .keep_fresh
        .iter()
        .chain(of_artifacts)
        .chain(of_audit)
        .chain(of_gateway)
        .chain(of_vpn)
        .chain(config.endpoint.iter().flat_map(|endpoint| &endpoint.serve))
        .chain(config.grants.iter().flat_map(|grant| &grant.profiles))
        .filter(|profile| !is_chain(profile) || files.profile(profile).is_ok() || files.identity(profile).is_some())
        .filter_map(|profile| Some((profile, files.resolve(profile).err()?)))
        .map(|(profile, error)| format!("{}: {error}", place(file, &text, &format!("\"{profile}\""))))
        .collect();
    wrong.dedup();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Fault::new(Kind::Config, "profiles", wrong.join("\n")).hint(format!(
        "mend `{}`, or the names in `{}`",
        world.setup.locations.config.display(),
        file.display()
    )))
}

/// Where no profile has this name, it is the chain of the environment.
fn is_chain(name: &str) -> bool {
    name == ENVIRONMENT || name == "default"
}

/// Every certificate and key that the configuration names must be there, belong together and be good.
fn certificates(world: &World, file: &Path, config: &Config) -> Option<Fault> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let (mut wrong, mut hints) = (Vec::new(), Vec::new());
    for identity in &config.identities {
        let at = place(file, &text, &format!("[identity.{}]", identity.name));
        let fault = match Standing::look(identity, &world.setup.environment, world.wire.now().wall) {
            Err(fault) => fault,
            Ok(Standing { flaw: Some(fault), .. }) => fault,
            Ok(standing) => {
                let advice = standing.life.advice(&identity.certificate);
                let end = bowline_base::utc(standing.ends);
                let said =
                    format!("the certificate of `{}` is {} (its end: {end})", identity.name, standing.life.word());
                match (standing.life, advice) {
                    (Life::Ended | Life::NotYet, Some(advice)) => Fault::new(Kind::Config, "x509", said).hint(advice),
                    (_, Some(advice)) => {
                        output::say(&format!("warning: {at}: {said}; {advice}"));
                        continue;
                    }
                    (_, None) => continue,
                }
            }
        };
        wrong.push(format!("{at}: {}", fault.chain()));
        hints.extend(fault.hint);
    }
    (!wrong.is_empty()).then(|| Fault::new(Kind::Config, "x509", wrong.join("\n")).hint(hints.join("; ")))
}

fn both(profiles: Option<Fault>, certificates: Fault) -> Fault {
    let Some(profiles) = profiles else { return certificates };
    let hints: Vec<String> = [profiles.hint, certificates.hint].into_iter().flatten().collect();
    Fault::new(Kind::Config, "bowline.toml", format!("{}\n{}", profiles.message, certificates.message))
        .hint(hints.join("; "))
}

/// `file:line` of the first line that says `word` outside a comment; the file alone where it is written otherwise.
fn place(file: &Path, text: &str, word: &str) -> String {
    let said = |line: &str| line.split('#').next().is_some_and(|code| code.contains(word));
    let line = text.lines().position(said).map(|index| format!(":{}", index + 1));
    format!("{}{}", file.display(), line.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_on_its_line_and_not_in_a_comment() {
        let text = "# \"site\"\n[daemon]\nkeep-fresh = [\"build\", \"site\"]\n";
        assert_eq!(place(Path::new("b.toml"), text, "\"site\""), "b.toml:3");
        assert_eq!(place(Path::new("b.toml"), text, "'site'"), "b.toml");
    }
}
