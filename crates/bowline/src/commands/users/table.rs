//! `bowline users list`: the users of the namespace, as IAM has them and as the AWS files here do.

use bowline_awsfiles::Config;
use bowline_base::{Fault, units, utc};
use bowline_delegation::users::{self, Entry, EntryKey};
use serde_json::{Value, json};

use super::Desk;
use crate::{
    cli::{Form, UsersList},
    output,
    world::small_runtime,
};

pub(super) fn run(desk: &Desk, arguments: &UsersList) -> Result<(), Fault> {
    let keys = desk.keys()?;
    let entries = small_runtime()?.block_on(async { users::list(&desk.manager(keys).await?).await })?;
    let config = desk.world.aws_config()?;
    match arguments.output.output {
        Form::Json => {
            let users: Vec<Value> = entries.iter().map(|entry| value(entry, &config)).collect();
            output::data(&format!("{:#}\n", json!({ "users": users })))
        }
        Form::Text => output::data(&text(&entries, &config)),
    }
}

fn value(entry: &Entry, config: &Config) -> Value {
    let key = |key: &EntryKey| json!({ "id": key.id.as_str(), "active": key.active, "age_seconds": key.age.as_secs() });
    json!({
        "name": entry.name,
        "owner": entry.owner,
        "created": utc(entry.created_at),
        "keys": entry.keys.as_ref().map(|keys| keys.iter().map(key).collect::<Vec<_>>()),
        "expires": expiry(&entry.name, config),
    })
}

fn text(entries: &[Entry], config: &Config) -> String {
    let mut rows = vec![["NAME", "OWNER", "KEYS", "CREDENTIALS HERE UNTIL"].map(ToOwned::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        let owner = entry.owner.clone().unwrap_or_else(|| "nobody".to_owned());
        [entry.name.clone(), owner, keys(entry), expiry(&entry.name, config).unwrap_or("none").to_owned()]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let line = |[name, owner, keys, until]: &[String; 4]| {
        format!("{name:0$}  {owner:1$}  {keys:2$}  {until}\n", widths[0], widths[1], widths[2])
    };
    rows.iter().map(line).collect()
}

fn keys(entry: &Entry) -> String {
    let key = |key: &EntryKey| {
        let sleeps = if key.active { "" } else { " (inactive)" };
        format!("{} old{sleeps}", units::duration(key.age))
    };
    match &entry.keys {
        None => "not shown".to_owned(),
        Some(keys) if keys.is_empty() => "none".to_owned(),
        Some(keys) => keys.iter().map(key).collect::<Vec<_>>().join(", "),
    }
}

/// When the credentials end that the AWS files have of the user.
fn expiry<'a>(name: &str, config: &'a Config) -> Option<&'a str> {
    config.profile(name).ok()?.text("expiration")
}
