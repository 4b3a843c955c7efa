//! `bowline status`: sessions, credentials and jobs as they stand, with the command to type where one is needed.
//!
//! With a daemon it is the daemon's own word; without one it is what the files on disk say. One that runs and cannot be
//! used is told apart from none. Exit code 5 when a login is needed.

mod screen;
mod snapshot;
mod watch;
mod words;

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::ExitCode, sync::Arc, time::Duration};

use bowline_awsfiles::{RolesAnywhere, SsoToken};
use bowline_base::{Fault, Kind, utc};
use bowline_credentials::{
    Sources,
    certificate::{Life, Standing},
    client::{self, Answer, GoAlone, STATUS_VERSION},
    session_name,
};
use bowline_host::{Tasks, clock};
use serde_json::{Value, json};

use self::snapshot::Snapshot;
use super::unusable::Unusable;
use crate::{
    cli::{self, Form},
    output,
    world::{World, small_runtime},
};

const LOGIN_NEEDED: &str = "login-needed";

pub(crate) fn run(world: &World, arguments: &cli::Status) -> Result<ExitCode, Fault> {
    if arguments.explain {
        super::explain::run(world, arguments.profile.as_deref(), arguments.output.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let profile = arguments.profile.as_deref();
    if arguments.watch {
        return watch::run(world, || document(world, profile));
    }
    let document = document(world, profile)?;
    match arguments.output.output {
        Form::Json => output::data(&format!("{document:#}\n"))?,
        Form::Text => output::data(&words::table(&Snapshot::of(&document)))?,
    }
    let meant = profile.is_none().then(|| meant(world)).flatten();
    let counts = |line: &&Value| meant.as_ref().is_none_or(|names| names.iter().any(|name| line["name"] == **name));
    let needed =
        document["credentials"].as_array().is_some_and(|lines| lines.iter().filter(counts).any(is_login_needed));
    Ok(if needed { ExitCode::from(Kind::LoginRequired.exit_code()) } else { ExitCode::SUCCESS })
}

/// The profile that the environment names and its session, where there is such a profile: the exit code is about them.
fn meant(world: &World) -> Option<Vec<String>> {
    let profile = world.named_profile()?;
    let session = session_of(world, &profile).ok()?;
    Some(session.into_iter().chain([profile]).collect())
}

fn is_login_needed(line: &Value) -> bool {
    line["state"] == LOGIN_NEEDED
}

/// Everything that is known, in the form of docs/reference/status.md.
fn document(world: &World, profile: Option<&str>) -> Result<Value, Fault> {
    let (daemon, unusable) = match from_daemon(world) {
        Ok(said) => (said, None),
        Err(unusable) => (None, Some(unusable)),
    };
    let mut document = json!({
        "version": STATUS_VERSION, "program": env!("CARGO_PKG_VERSION"), "daemon": daemon.is_some(),
        "daemon_reason": unusable.as_ref().map(|unusable| &unusable.why),
        "daemon_fix": unusable.as_ref().map(|unusable| &unusable.fix),
        "at": utc(clock::now().wall), "since": null, "state": null, "page": null,
        "credentials": [], "jobs": {}, "checks": [], "last_trouble": null,
    });
    for (key, value) in daemon.as_ref().and_then(Value::as_object).into_iter().flatten() {
        document[key] = value.clone();
    }
    let held = document["credentials"].as_array().cloned().unwrap_or_default();
    document["credentials"] = Value::Array(credentials(world, profile, held)?);
    Ok(document)
}

/// What the daemon holds, and what the files say besides; narrowed to `profile` and its session.
fn credentials(world: &World, profile: Option<&str>, mut lines: Vec<Value>) -> Result<Vec<Value>, Fault> {
    if is_of_another_user(&world.environment.daemon_socket()) && !lines.is_empty() {
        lines.retain(|line| profile.is_none_or(|profile| line["name"] == profile));
        return Ok(lines);
    }
    for line in from_files(world, profile)? {
        let known = lines.iter().any(|other| other["kind"] == line["kind"] && other["name"] == line["name"]);
        if !known {
            lines.push(line);
        }
    }
    lines.extend(certificates(world));
    if let Some(profile) = profile {
        let session = session_of(world, profile)?;
        lines.retain(|line| {
            line["name"] == profile || (line["kind"] == "session" && line["name"].as_str() == session.as_deref())
        });
    }
    Ok(lines)
}

/// Its files are not ours: they say nothing of what it holds.
fn is_of_another_user(socket: &Path) -> bool {
    fs::metadata(socket).is_ok_and(|facts| facts.uid() != rustix::process::geteuid().as_raw())
}

/// `None` when none runs; one that runs and cannot be used is an error.
fn from_daemon(world: &World) -> Result<Option<Value>, Unusable> {
    let socket = world.environment.daemon_socket();
    match client::status(&socket, &world.context()) {
        Ok(Answer::Good(text)) => match serde_json::from_str(text.expose()) {
            Ok(document) => Ok(Some(document)),
            Err(_) => Unusable::of(&GoAlone::Strange(socket.display().to_string()), &socket).map_or(Ok(None), Err),
        },
        Ok(Answer::Fault(fault)) => Err(Unusable::refusal(&fault)),
        Err(reason) => Unusable::of(&reason, &socket).map_or(Ok(None), Err),
    }
}

/// A line for each session, narrowed to the one behind `profile`.
fn from_files(world: &World, profile: Option<&str>) -> Result<Vec<Value>, Fault> {
    let config = world.aws_config()?;
    let logins = match profile {
        Some(profile) => config.login(profile)?.into_iter().collect(),
        None => {
            let sessions: Result<Vec<_>, _> = config.sso_sessions().map(|session| session.login()).collect();
            sessions?
        }
    };
    small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let mut lines = Vec::new();
        for login in &logins {
            lines.push(line(session_name(login), &login.start_url, sources.tokens().standing(login).await));
        }
        tasks.shut_down(Duration::from_secs(1)).await;
        Ok(lines)
    })
}

/// A line for the certificate of each identity, as its files have it now.
fn certificates(world: &World) -> Vec<Value> {
    let now = world.wire.now().wall;
    let line = |identity: &RolesAnywhere| {
        let standing = Standing::look(identity, &world.setup.environment, now);
        let life = standing.as_ref().map(|standing| standing.life);
        let unusable = standing.as_ref().map_or_else(Some, |standing| standing.flaw.as_ref());
        let advice = life.ok().and_then(|life| life.advice(&identity.certificate));
        json!({
            "kind": "certificate",
            "name": identity.name,
            "state": if unusable.is_some() { "unusable" } else { life.map_or("unusable", Life::word) },
            "source": identity.certificate,
            "expires": standing.as_ref().ok().map(|standing| utc(standing.ends)),
            "failure": unusable.map(Fault::chain),
            "command": unusable.map_or(advice, |fault| fault.hint.clone()),
        })
    };
    world.setup.identities.iter().map(line).collect()
}

/// A line in the form of the daemon's.
fn line(session: &str, source: &str, standing: Result<SsoToken, Fault>) -> Value {
    let (state, expires, fault) = match standing {
        Ok(token) => ("signed-in", Some(utc(token.expires_at)), None),
        Err(fault) => (LOGIN_NEEDED, None, Some(fault)),
    };
    json!({
        "kind": "session",
        "name": session,
        "state": state,
        "source": source,
        "expires": expires,
        "failure": fault.as_ref().map(Fault::chain),
        "command": fault.and_then(|fault| fault.hint),
    })
}

fn session_of(world: &World, profile: &str) -> Result<Option<String>, Fault> {
    let login = world.aws_config()?.login(profile)?;
    Ok(login.map(|login| session_name(&login).to_owned()))
}
