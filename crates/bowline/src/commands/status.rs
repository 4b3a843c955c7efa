//! `bowline status`: sessions and credentials as they stand, with the command to type where one is needed.
//!
//! With a daemon it is the daemon's own word; without one it is what the files on disk say. Exit code 5 when a login
//! is needed.

use std::{process::ExitCode, sync::Arc, time::Duration};

use bowline_awsfiles::{RolesAnywhere, SsoToken};
use bowline_base::{Fault, Kind, utc};
use bowline_credentials::{
    Sources,
    certificate::{Life, Standing},
    client::{self, Answer},
    session_name,
};
use bowline_host::Tasks;
use serde_json::{Value, json};

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
    let daemon = from_daemon(world);
    let mut lines = daemon.clone().unwrap_or_default();
    for line in from_files(world, arguments.profile.as_deref())? {
        let known = lines.iter().any(|other| other["kind"] == line["kind"] && other["name"] == line["name"]);
        if !known {
            lines.push(line);
        }
    }
    lines.extend(certificates(world));
    if let Some(profile) = &arguments.profile {
        let session = session_of(world, profile)?;
        lines.retain(|line| {
            line["name"] == profile.as_str()
                || (line["kind"] == "session" && line["name"].as_str() == session.as_deref())
        });
    }
    match arguments.output.output {
        Form::Json => output::data(&format!("{:#}\n", json!({ "daemon": daemon.is_some(), "credentials": lines })))?,
        Form::Text => output::data(&table(daemon.is_some(), &lines))?,
    }
    let needed = lines.iter().any(|line| line["state"] == LOGIN_NEEDED);
    Ok(if needed { ExitCode::from(Kind::LoginRequired.exit_code()) } else { ExitCode::SUCCESS })
}

/// `None` when no daemon answers for this context.
fn from_daemon(world: &World) -> Option<Vec<Value>> {
    let Ok(Answer::Good(text)) = client::status(&world.environment.socket(), &world.context()) else {
        return None;
    };
    let status: Value = serde_json::from_str(text.expose()).ok()?;
    status["credentials"].as_array().cloned()
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

fn table(daemon: bool, lines: &[Value]) -> String {
    let mut text = format!("daemon: {}\n", if daemon { "running" } else { "not running (bowline run)" });
    if lines.is_empty() {
        text.push_str("nothing to show: no sso-session is configured and nothing was asked for\n");
        return text;
    }
    let cell = |line: &Value, name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let rows: Vec<[String; 4]> = lines
        .iter()
        .map(|line| {
            [
                format!("{} {}", cell(line, "kind"), cell(line, "name")),
                cell(line, "state"),
                cell(line, "expires"),
                cell(line, "source"),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(6);
    let (name, state, expires) = (width(0), width(1), width(2));
    text.push_str(&format!("{:name$}  {:state$}  {:expires$}  SOURCE\n", "NAME", "STATE", "UNTIL"));
    for (row, line) in rows.iter().zip(lines) {
        text.push_str(format!("{:name$}  {:state$}  {:expires$}  {}", row[0], row[1], row[2], row[3]).trim_end());
        text.push('\n');
        for (label, key) in [("why", "failure"), ("next", "command")] {
            if let Some(said) = line[key].as_str() {
                text.push_str(&format!("    {label}: {said}\n"));
            }
        }
    }
    text
}
