//! `bowline write PROFILE`: credentials in a file, for tools that read nothing else; once, or kept fresh with `--watch`.
//!
//! `~/.aws/credentials` is edited without loss, and only a section that is ours or new; a file of its own is replaced by
//! rename, as `own_file` has it. Both are 0600.

use std::{path::Path, sync::Arc, time::Duration};

use bowline_awsfiles::{EditError, Rule, SectionName, Source, StaticKeys, rewrite};
use bowline_base::{Credentials, Fault, Kind, Secret, utc};
use bowline_credentials::{Sources, once, renewal};
use bowline_host::{Tasks, clock};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    obtain,
    own_file::{self, Foreign},
    recording,
};
use crate::{
    cli::Write,
    output,
    world::{World, small_runtime},
};

/// Marks a section as ours and says where it comes from.
pub(super) const MARK: &str = "bowline_profile";
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) fn run(world: &World, arguments: &Write) -> Result<(), Fault> {
    refuse_sealed(world, &arguments.profile)?;
    refuse_foreign(world, arguments)?;
    if !arguments.watch {
        return put(world, arguments, &obtain::credentials(world, &arguments.profile, &arguments.mfa)?);
    }
    keep(world, &arguments.profile, |fresh| put(world, arguments, fresh))
}

/// Hands the credentials of `profile` to `put`, at once and whenever there are others, until SIGTERM or SIGINT. Only the
/// first time a failure ends it.
pub(crate) fn keep(
    world: &World,
    profile: &str,
    put: impl FnMut(&Credentials) -> Result<(), Fault>,
) -> Result<(), Fault> {
    small_runtime()?.block_on(async {
        let no_signals = |cause| Fault::new(Kind::Bug, "signals", "cannot listen for signals").cause(cause);
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let ended = tokio::select! {
            ended = put_each(world, &sources, profile, put) => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        tasks.shut_down(DRAIN).await;
        ended
    })
}

async fn put_each(
    world: &World,
    sources: &Sources,
    profile: &str,
    mut put: impl FnMut(&Credentials) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (mut written, mut told): (Option<Credentials>, _) = (None, String::new());
    loop {
        let fresh = fetch(sources, profile, written.is_none()).await;
        let outcome = match fresh.inspect_err(|fault| recording::refused(world, profile, fault)) {
            Ok((fresh, _)) if written.as_ref().is_some_and(|old| old.key_id == fresh.key_id) => Ok(()),
            Ok((fresh, source)) => recording::issued(world, profile, &fresh, &source)
                .and_then(|()| put(&fresh))
                .map(|()| written = Some(fresh)),
            Err(fault) => Err(fault),
        };
        let failed = match outcome {
            Err(fault) if written.is_none() => return Err(fault),
            Err(fault) => format!("note: {}; trying again", fault.chain()),
            Ok(()) => String::new(),
        };
        if !failed.is_empty() && failed != told {
            output::say(&failed);
        }
        told = failed;
        let due = written.as_ref().and_then(|set| renewal::Lease::of(set).due_at(renewal::Rule::Credentials));
        let wait = due.map_or(clock::LONGEST_SLEEP, |due| {
            due.duration_since(world.wire.now().wall).try_into().unwrap_or(Duration::ZERO)
        });
        world.wire.sleep(wait.clamp(Duration::from_millis(500), clock::LONGEST_SLEEP)).await;
    }
}

/// The credentials of this moment, and where they came from.
async fn fetch(sources: &Sources, profile: &str, first: bool) -> Result<(Credentials, String), Fault> {
    let resolved = sources.resolve(profile)?;
    let fresh = match first {
        true => once::credentials(sources, &resolved).await?,
        false => sources.credentials(&resolved, None).await?,
    };
    Ok((fresh, resolved.describe()))
}

fn put(world: &World, arguments: &Write, credentials: &Credentials) -> Result<(), Fault> {
    let (locations, settings) = (&world.setup.locations, settings(credentials, &arguments.profile));
    match &arguments.file {
        Some(file) => {
            let name = arguments.name.as_deref().unwrap_or("default");
            own_file::put(file, (locations, foreign(arguments)), name, &settings)
        }
        None => into_section(&locations.credentials, arguments.name.as_ref().unwrap_or(&arguments.profile), &settings),
    }
}

fn foreign(arguments: &Write) -> Foreign {
    if arguments.force { Foreign::Keep } else { Foreign::Refuse }
}

/// Puts `settings` into the section `name` of the credentials file, and leaves every other byte as it is.
pub(crate) fn into_section(file: &Path, name: &str, settings: &[(&'static str, Secret)]) -> Result<(), Fault> {
    let section = SectionName::Credentials(name.to_owned());
    let outcome = rewrite(file, Rule::Credentials, |document| {
        if !settings.iter().any(|(key, _)| *key == "aws_session_token") {
            document.remove(&section, "aws_session_token")?;
        }
        settings.iter().try_for_each(|(key, value)| document.set(&section, key, value.expose()))?;
        Ok::<_, EditError>(())
    })?;
    if outcome.tightened {
        output::say(&format!("note: others could read `{}`; now only you can", file.display()));
    }
    Ok(())
}

/// What every AWS tool reads.
pub(crate) fn keys(credentials: &Credentials) -> Vec<(&'static str, Secret)> {
    let mut settings = vec![
        ("aws_access_key_id", Secret::new(credentials.key_id.as_str())),
        ("aws_secret_access_key", credentials.secret_key.clone()),
    ];
    settings.extend(credentials.session_token.clone().map(|token| ("aws_session_token", token)));
    settings
}

fn settings(credentials: &Credentials, profile: &str) -> Vec<(&'static str, Secret)> {
    let mut settings = keys(credentials);
    settings.extend(credentials.expires_at.map(|end| ("expiration", Secret::new(utc(end)))));
    settings.push((MARK, Secret::new(profile)));
    settings
}

/// Keys that lie sealed are not put into a file in plaintext, where they would never end.
fn refuse_sealed(world: &World, profile: &str) -> Result<(), Fault> {
    if !matches!(world.aws_config()?.resolve(profile), Ok(Source::Sealed(_))) {
        return Ok(());
    }
    let message = format!("the keys of `{profile}` lie sealed and never end: they are not written in plaintext");
    Err(Fault::new(Kind::Refused, "write", message).hint(format!(
        "let the tool use `credential_process = bowline creds {profile}`, or a role with source_profile = {profile}"
    )))
}

/// A key that never ends in a section of ours is none that we wrote, unless the profile itself gives it.
fn pasted(keys: &StaticKeys, from: Option<&Source>) -> bool {
    let given = matches!(from, Some(Source::Static(own)) if own.key_id == keys.key_id);
    keys.session_token.is_none() && !given
}

/// Keys that somebody else put there are not overwritten, and a profile is not made its own source.
fn refuse_foreign(world: &World, arguments: &Write) -> Result<(), Fault> {
    if let Some(file) = &arguments.file {
        return own_file::may_replace(file, &world.setup.locations, foreign(arguments));
    }
    let name = arguments.name.as_ref().unwrap_or(&arguments.profile);
    let config = world.aws_config()?;
    let Ok(profile) = config.profile(name) else { return Ok(()) };
    let ours = profile.text(MARK).is_some();
    let source = config.resolve(name).ok();
    let taken = match source {
        Some(Source::Static(keys)) => !ours || pasted(&keys, config.resolve(&arguments.profile).ok().as_ref()),
        Some(Source::Process(_) | Source::Sealed(_)) => true,
        _ => false,
    };
    if taken {
        let message = format!("`{name}` has credentials of its own, which would be lost or hidden");
        return Err(Fault::new(Kind::Config, "write", message)
            .hint(format!("bowline write {} --as ANOTHER-NAME", arguments.profile)));
    }
    Ok(())
}
