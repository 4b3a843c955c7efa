//! `bowline users refresh NAME`: decided first, then made: temporary credentials of that user, and of nobody else.

use std::time::Duration;

use bowline_base::{Credentials, Fault, Kind, utc};
use bowline_delegation::{
    manager::{Manager, session_length},
    refused_as_missing,
    temporary_key::{self, Site, Wish},
    users::{self, Made, Standing},
};
use serde_json::json;

use super::{Desk, profile_files, source_of};
use crate::{
    cli::{Form, UsersRefresh},
    commands::recording,
    output,
    world::small_runtime,
};

const LONGEST: Duration = Duration::from_secs(36 * 3600);
const OF_ROLES: Duration = Duration::from_secs(3600);

pub(crate) fn run(desk: &Desk, arguments: &UsersRefresh) -> Result<(), Fault> {
    let (world, name) = (&desk.world, arguments.name.as_str());
    let session = session(desk, arguments).inspect_err(|fault| recording::refused(world, name, fault))?;
    recording::issued(world, name, &session, &source_of(name, &desk.profile))?;
    let region = desk.region()?;
    if profile_files::write(world, name, &session, &region)? {
        output::say(&format!(
            "added to `{}`:
[profile {name}]
region = {}",
            world.setup.locations.config.display(),
            region.as_str()
        ));
    }
    tell(arguments, &session)
}

/// What needs no call is decided first.
fn session(desk: &Desk, arguments: &UsersRefresh) -> Result<Credentials, Fault> {
    let name = &arguments.name;
    if *name == desk.profile {
        return Err(Fault::new(
            Kind::Refused,
            "users",
            format!("`{name}` is the management profile, which keeps its long-lived key"),
        )
        .hint(format!("renew that with `bowline vault rotate {name}`")));
    }
    if !arguments.delegated {
        desk.admit(name)?;
    }
    let with_role = arguments.role.is_some();
    let standard = if with_role { OF_ROLES } else { desk.settings.duration.unwrap_or(LONGEST) };
    let length = session_length(arguments.duration.unwrap_or(standard), with_role)?;
    profile_files::may_write(&desk.world, name)?;
    let keys = desk.keys()?;
    small_runtime()?.block_on(obtain(desk, keys, arguments, length))
}

async fn obtain(
    desk: &Desk,
    keys: Credentials,
    arguments: &UsersRefresh,
    length: Duration,
) -> Result<Credentials, Fault> {
    let manager = desk.manager(keys).await?;
    let (name, journals) = (arguments.name.as_str(), desk.journals());
    let wish = decide(desk, &manager, arguments).await?;
    if let Some(role) = &arguments.role {
        return manager.role_session(role, name, length).await;
    }
    let site = Site { manager: &manager, journals: &journals, tell: &output::say };
    for user in temporary_key::sweep(&site).await? {
        output::say(&format!("note: a run for `{user}` was cut off; the key that it left is deleted"));
    }
    temporary_key::session_of(&site, name, length, wish).await
}

/// Whether this manager may, before any credential exists. Who is not there is made, inside of the namespace.
async fn decide(desk: &Desk, manager: &Manager, arguments: &UsersRefresh) -> Result<Wish, Fault> {
    let name = arguments.name.as_str();
    match users::may_hand_out(manager, name, arguments.delegated).await? {
        Standing::Owned => return Ok(Wish::Session),
        Standing::Unowned => {
            let me = manager.namespace().manager();
            output::say(&format!("note: `{name}` has no owner yet: bowline users chown {name} {me}"));
            return Ok(Wish::Session);
        }
        Standing::Absent => {}
    }
    if arguments.delegated || arguments.role.is_some() {
        return Err(refused_as_missing(name));
    }
    match users::create(manager, name, &desk.birth(None)).await? {
        Made::Now => {
            output::say(&format!("made user `{name}`"));
            Ok(Wish::SessionOfNewUser)
        }
        Made::Before => Ok(Wish::Session),
    }
}

fn tell(arguments: &UsersRefresh, session: &Credentials) -> Result<(), Fault> {
    let name = &arguments.name;
    let until = session.expires_at.map_or_else(|| "for ever".to_owned(), utc);
    match arguments.output.output {
        Form::Text => output::data(&format!("{name}\n  key {}, until {until}\n", session.key_id)),
        Form::Json => output::data(&format!(
            "{:#}\n",
            json!({ "profile": name, "key": session.key_id.as_str(), "account": session.account_id, "expires": session.expires_at.map(utc) })
        )),
    }
}
