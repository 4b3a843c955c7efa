//! `bowline write PROFILE`: credentials in a file, for tools that read nothing else; once, or kept fresh with `--watch`.
//!
//! `~/.aws/credentials` is edited without loss, and only a section that is ours or new; a file of its own is replaced by
//! rename. Both are 0600.

use std::{path::Path, sync::Arc, time::Duration};

use bowline_awsfiles::{EditError, Rule, SectionName, Source, rewrite};
use bowline_base::{Credentials, Fault, Kind, atomic, utc};
use bowline_credentials::{Sources, once, renewal};
use bowline_host::{Tasks, clock};
use tokio::signal::unix::{SignalKind, signal};

use super::obtain;
use crate::{
    cli::Write,
    output,
    world::{World, small_runtime},
};

/// Marks a section as ours and says where it comes from.
const MARK: &str = "bowline_profile";
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) fn run(world: &World, arguments: &Write) -> Result<(), Fault> {
    refuse_foreign(world, arguments)?;
    if !arguments.watch {
        return put(world, arguments, &obtain::credentials(world, &arguments.profile, &arguments.mfa)?);
    }
    small_runtime()?.block_on(async {
        let no_signals = |cause| Fault::new(Kind::Bug, "signals", "cannot listen for signals").cause(cause);
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let tasks = Tasks::new();
        let ended = tokio::select! {
            ended = keep(world, arguments, &tasks) => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        tasks.shut_down(DRAIN).await;
        ended
    })
}

/// Writes at once and whenever there is another set. Only the first time a failure ends the command.
async fn keep(world: &World, arguments: &Write, tasks: &Tasks) -> Result<(), Fault> {
    let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
    let mut written: Option<Credentials> = None;
    loop {
        let fresh = match sources.resolve(&arguments.profile) {
            Ok(resolved) => once::credentials(&sources, &resolved).await,
            Err(fault) => Err(fault),
        };
        let outcome = match fresh {
            Ok(fresh) if written.as_ref().is_some_and(|old| old.key_id == fresh.key_id) => Ok(()),
            Ok(fresh) => put(world, arguments, &fresh).map(|()| written = Some(fresh)),
            Err(fault) => Err(fault),
        };
        match outcome {
            Err(fault) if written.is_none() => return Err(fault),
            Err(fault) => output::say(&format!("note: {}; trying again", fault.chain())),
            Ok(()) => {}
        }
        let due = written.as_ref().and_then(|set| renewal::Lease::of(set).due_at(renewal::Rule::Credentials));
        let wait = due.map_or(clock::LONGEST_SLEEP, |due| {
            due.duration_since(world.wire.now().wall).try_into().unwrap_or(Duration::ZERO)
        });
        world.wire.sleep(wait.clamp(Duration::from_millis(500), clock::LONGEST_SLEEP)).await;
    }
}

fn put(world: &World, arguments: &Write, credentials: &Credentials) -> Result<(), Fault> {
    let Some(file) = &arguments.file else {
        let name = arguments.name.as_ref().unwrap_or(&arguments.profile);
        return into_section(&world.setup.locations.credentials, name, &arguments.profile, credentials);
    };
    let lines: String =
        settings(credentials, &arguments.profile).iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    let text = format!("[{}]\n{lines}", arguments.name.as_deref().unwrap_or("default"));
    atomic::write_private(file, text.as_bytes())
        .map_err(|cause| Fault::new(Kind::Config, "write", format!("cannot write `{}`", file.display())).cause(cause))
}

fn into_section(file: &Path, name: &str, profile: &str, credentials: &Credentials) -> Result<(), Fault> {
    let section = SectionName::Credentials(name.to_owned());
    let settings = settings(credentials, profile);
    let outcome = rewrite(file, Rule::Credentials, |document| {
        if credentials.session_token.is_none() {
            document.remove(&section, "aws_session_token")?;
        }
        settings.iter().try_for_each(|(key, value)| document.set(&section, key, value))?;
        Ok::<_, EditError>(())
    })?;
    if outcome.tightened {
        output::say(&format!("note: others could read `{}`; now only you can", file.display()));
    }
    Ok(())
}

fn settings(credentials: &Credentials, profile: &str) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("aws_access_key_id", credentials.key_id.to_string()),
        ("aws_secret_access_key", credentials.secret_key.expose().to_owned()),
    ];
    settings.extend(credentials.session_token.as_ref().map(|token| ("aws_session_token", token.expose().to_owned())));
    settings.extend(credentials.expires_at.map(|end| ("expiration", utc(end))));
    settings.push((MARK, profile.to_owned()));
    settings
}

/// Keys that somebody else put there are not overwritten, and a profile is not made its own source.
fn refuse_foreign(world: &World, arguments: &Write) -> Result<(), Fault> {
    if arguments.file.is_some() {
        return Ok(());
    }
    let name = arguments.name.as_ref().unwrap_or(&arguments.profile);
    let config = world.aws_config()?;
    let Ok(profile) = config.profile(name) else { return Ok(()) };
    let ours = profile.text(MARK).is_some();
    let source = config.resolve(name).ok();
    let taken = match source {
        Some(Source::Static(_)) => !ours,
        Some(Source::Process(_)) => true,
        _ => false,
    };
    if taken {
        let message = format!("`{name}` has credentials of its own, which would be lost or hidden");
        return Err(Fault::new(Kind::Config, "write", message)
            .hint(format!("bowline write {} --as ANOTHER-NAME", arguments.profile)));
    }
    Ok(())
}
