//! `vpn users …`, by the server's API.

use bowline_base::{Fault, Kind, Secret, Timestamp, units::size, utc};
use http::Method;
use serde_json::{Map, Value, json};

use super::account;
use crate::{
    cli::{Bound, Form, VpnBounds, VpnUsers, VpnUsersAdd, VpnUsersInvite, VpnUsersSet},
    environment::Environment,
    output, terminal,
    world::small_runtime,
};

pub(super) fn run(environment: &Environment, command: &VpnUsers) -> Result<(), Fault> {
    match command {
        VpnUsers::Add(arguments) => add(environment, arguments),
        VpnUsers::Set(arguments) => set(environment, arguments),
        VpnUsers::Rotate(user) => rotate(environment, &user.name),
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
            if !arguments.svg {
                fits(&text, terminal::columns(), &arguments.name)?;
            }
            output::secret(&text)
        }
        VpnUsers::Invite(arguments) => invite(environment, arguments),
    }
}

/// Lines that the window breaks are no code any more. `columns`: none where it is no window.
fn fits(code: &Secret, columns: Option<usize>, name: &str) -> Result<(), Fault> {
    let width = code.expose().lines().map(|line| line.chars().count()).max().unwrap_or(0);
    match columns.filter(|columns| *columns < width) {
        Some(columns) => Err(Fault::new(
            Kind::Refused,
            "vpn",
            format!(
                "the code is {width} columns wide, and this window {columns}: smaller letters or a wider window show it"
            ),
        )
        .hint(format!("umask 077; bowline vpn users qr {name} --svg > {name}.svg"))),
        None => Ok(()),
    }
}

pub(super) fn add(environment: &Environment, arguments: &VpnUsersAdd) -> Result<(), Fault> {
    let mut wanted = bounds(&arguments.bounds);
    wanted.insert("client_id".to_owned(), arguments.name.as_str().into());
    if let Some(key) = &arguments.public_key {
        wanted.insert("public_key".to_owned(), key.as_str().into());
    }
    show_key(&ask(environment, Method::POST, "/users", Some(wanted.into()))?, &arguments.name)
}

fn rotate(environment: &Environment, name: &str) -> Result<(), Fault> {
    show_key(&ask(environment, Method::POST, &format!("{}/rotate", path(name)?), None)?, name)
}

fn show_key(made: &Value, name: &str) -> Result<(), Fault> {
    output::data(&format!("{made:#}\n"))?;
    output::say(&format!("the API key is not shown again; the link: bowline vpn connect {name}"));
    Ok(())
}

fn set(environment: &Environment, arguments: &VpnUsersSet) -> Result<(), Fault> {
    let (path, wanted) = (path(&arguments.name)?, change(arguments, bowline_host::clock::now().wall));
    if wanted.is_empty() && !arguments.disable && !arguments.enable {
        return Err(Fault::new(Kind::Config, "vpn", "nothing is to change").hint("bowline vpn users set --help"));
    }
    let mut shown = Value::Null;
    if !wanted.is_empty() {
        shown = ask(environment, Method::PATCH, &path, Some(wanted.into()))?;
    }
    for (word, _) in [("disable", arguments.disable), ("enable", arguments.enable)].iter().filter(|(_, asked)| *asked) {
        shown = ask(environment, Method::POST, &format!("{path}/{word}"), None)?;
    }
    output::data(&format!("{shown:#}\n"))
}

/// The fields that change; `null` takes a limit away.
fn change(arguments: &VpnUsersSet, now: Timestamp) -> Map<String, Value> {
    let number = |bound: Option<Bound<u64>>| {
        bound.map(|bound| match bound {
            Bound::At(bytes) => json!(bytes),
            Bound::Free => Value::Null,
        })
    };
    let end = arguments.expires_in.map(|end| match end {
        Bound::At(time) => json!(utc(now + time)),
        Bound::Free => Value::Null,
    });
    let fields = [
        ("expires_at", end),
        ("quota_bytes", number(arguments.quota)),
        ("download_bytes_per_second", number(arguments.download_limit)),
        ("upload_bytes_per_second", number(arguments.upload_limit)),
        ("reset_usage", arguments.reset_usage.then(|| json!(true))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn list(environment: &Environment, form: Form) -> Result<(), Fault> {
    let users = ask(environment, Method::GET, "/users?detail", None)?;
    match form {
        Form::Json => output::data(&format!("{users:#}\n")),
        Form::Text => {
            let head = ["user", "status", "last handshake", "used", "address"].map(str::to_owned);
            let rows: Vec<[String; 5]> = users.as_array().into_iter().flatten().map(row).collect();
            output::data(&table(&head, &rows))
        }
    }
}

fn row(user: &Value) -> [String; 5] {
    let word = |name: &str| user[name].as_str().unwrap_or("-").to_owned();
    let bytes = |name: &str| user[name].as_u64().unwrap_or(0);
    let used = size(bytes("received_bytes").saturating_add(bytes("sent_bytes")));
    let used = user["quota_bytes"].as_u64().map_or_else(|| used.clone(), |quota| format!("{used} of {}", size(quota)));
    [word("client_id"), standing(user), word("last_handshake"), used, word("address")]
}

/// `active`, or why not.
pub(super) fn standing(user: &Value) -> String {
    match user["reason"].as_str() {
        Some(reason) => format!("inactive: {reason}"),
        None => user["status"].as_str().unwrap_or("-").to_owned(),
    }
}

/// Columns as wide as what stands in them.
fn table(head: &[String; 5], rows: &[[String; 5]]) -> String {
    let all = || std::iter::once(head).chain(rows);
    let widths: [usize; 5] =
        std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().map(line).collect()
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
    let numbers = [
        ("quota_bytes", bounds.quota),
        ("download_bytes_per_second", bounds.download_limit),
        ("upload_bytes_per_second", bounds.upload_limit),
    ];
    wanted.extend(numbers.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), json!(bytes?)))));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_what_stands_in_it_and_says_why_somebody_is_out() {
        let users = json!([
            { "client_id": "alice", "status": "active", "reason": null, "last_handshake": "2026-11-28T21:34:49Z",
              "received_bytes": 1024, "sent_bytes": 512, "quota_bytes": null, "address": "10.77.0.2" },
            { "client_id": "a-rather-long-name-of-a-user", "status": "inactive", "reason": "quota used",
              "last_handshake": null, "received_bytes": 1 << 20, "sent_bytes": 0, "quota_bytes": 1 << 20, "address": "10.77.0.3" },
        ]);
        let rows: Vec<[String; 5]> = users.as_array().unwrap().iter().map(row).collect();
        let head = ["user", "status", "last handshake", "used", "address"].map(str::to_owned);
        assert_eq!(
            table(&head, &rows),
            "user                          status                last handshake        used                address\n\
             alice                         active                2026-11-28T21:34:49Z  1.5 KiB             10.77.0.2\n\
             a-rather-long-name-of-a-user  inactive: quota used  -                     1.0 MiB of 1.0 MiB  10.77.0.3\n"
        );
    }

    #[test]
    fn a_code_that_the_window_would_break_is_not_shown() {
        let code = Secret::new("██\n▀▀▀\n");
        assert!(fits(&code, None, "alice").is_ok() && fits(&code, Some(3), "alice").is_ok());
        let fault = fits(&code, Some(2), "alice").unwrap_err();
        assert!(fault.message.contains("3 columns wide, and this window 2"), "{}", fault.message);
        assert_eq!(fault.hint.as_deref(), Some("umask 077; bowline vpn users qr alice --svg > alice.svg"));
    }
}
