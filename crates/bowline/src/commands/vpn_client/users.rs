//! `vpn users …`, by the server's API.

use bowline_base::{Fault, Kind, utc};
use http::Method;
use serde_json::{Map, Value, json};

use super::account;
use crate::{
    cli::{Form, VpnBounds, VpnUsers, VpnUsersAdd, VpnUsersInvite},
    environment::Environment,
    output,
    world::small_runtime,
};

pub(super) fn run(environment: &Environment, command: &VpnUsers) -> Result<(), Fault> {
    match command {
        VpnUsers::Add(arguments) => add(environment, arguments),
        VpnUsers::Ls(form) => list(environment, form.output),
        VpnUsers::Show(user) => {
            let shown = ask(environment, Method::GET, &path(&user.name)?, None)?;
            output::data(&format!("{shown:#}\n"))
        }
        VpnUsers::Rm(user) => {
            ask(environment, Method::DELETE, &path(&user.name)?, None)?;
            output::say(&format!("removed: {}", user.name));
            Ok(())
        }
        VpnUsers::Qr(arguments) => {
            let file = if arguments.svg { "qr.svg" } else { "qr.txt" };
            let place = format!("{}/{file}", path(&arguments.name)?);
            let text = small_runtime()?.block_on(account::api(environment)?.text(Method::GET, &place, None))?;
            output::secret(&text)
        }
        VpnUsers::Invite(arguments) => invite(environment, arguments),
    }
}

pub(super) fn add(environment: &Environment, arguments: &VpnUsersAdd) -> Result<(), Fault> {
    let mut wanted = bounds(&arguments.bounds);
    wanted.insert("client_id".to_owned(), arguments.name.as_str().into());
    if let Some(key) = &arguments.public_key {
        wanted.insert("public_key".to_owned(), key.as_str().into());
    }
    let made = ask(environment, Method::POST, "/users", Some(wanted.into()))?;
    output::data(&format!("{made:#}\n"))?;
    output::say(&format!("the API key is not shown again; the link: bowline vpn connect {}", arguments.name));
    Ok(())
}

fn list(environment: &Environment, form: Form) -> Result<(), Fault> {
    let users = ask(environment, Method::GET, "/users?detail", None)?;
    match form {
        Form::Json => output::data(&format!("{users:#}\n")),
        Form::Text => {
            let head = row(["user", "status", "last handshake", "address"].map(str::to_owned));
            let lines = users.as_array().into_iter().flatten().map(line);
            output::data(&std::iter::once(head).chain(lines).collect::<String>())
        }
    }
}

fn line(user: &Value) -> String {
    let word = |name: &str| match &user[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    row(["client_id", "status", "last_handshake", "address"].map(word))
}

fn row([user, status, handshake, address]: [String; 4]) -> String {
    format!("{user:<24} {status:<9} {handshake:<22} {address}\n")
}

fn invite(environment: &Environment, arguments: &VpnUsersInvite) -> Result<(), Fault> {
    let mut wanted = bounds(&arguments.bounds);
    wanted.insert("client_id".to_owned(), arguments.name.as_str().into());
    if let Some(valid) = arguments.valid {
        wanted.insert("valid_seconds".to_owned(), valid.as_secs().into());
    }
    let made = ask(environment, Method::POST, "/invitations", Some(wanted.into()))?;
    let link = made["url"]
        .as_str()
        .ok_or_else(|| Fault::new(Kind::Unreachable, "vpn", "the server answers without a link"))?;
    output::data(&format!("{link}\n"))?;
    output::say(&format!("good once, until {}", made["expires_at"].as_str().unwrap_or("it is used")));
    Ok(())
}

fn bounds(bounds: &VpnBounds) -> Map<String, Value> {
    let ends = bounds.expires_in.map(|time| utc(bowline_host::clock::now().wall + time));
    let mut wanted = Map::new();
    wanted.extend(ends.map(|end| ("expires_at".to_owned(), Value::from(end))));
    wanted.extend(bounds.quota.map(|bytes| ("quota_bytes".to_owned(), json!(bytes))));
    wanted
}

fn ask(environment: &Environment, method: Method, path: &str, body: Option<Value>) -> Result<Value, Fault> {
    let api = account::api(environment)?;
    small_runtime()?.block_on(api.json(method, path, body))
}

/// A name goes into a path: only what a name can be.
pub(super) fn path(name: &str) -> Result<String, Fault> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits && name != "." && name != ".." {
        return Ok(format!("/users/{name}"));
    }
    Err(Fault::new(Kind::Config, "vpn", format!("`{}` is no name of a user", name.escape_debug()))
        .hint("letters, digits and . _ -"))
}
