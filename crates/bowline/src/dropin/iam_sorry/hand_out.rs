//! `NAME`, `--chown` and the renewal of `--eval`: a user of the namespace, made if there is none, and temporary
//! credentials of that user in a profile. What cannot be is refused before any credential exists.

use std::{sync::Arc, time::Duration};

use bowline_awsfiles::Config;
use bowline_base::{Credentials, Fault, FixedIdentity, Secret, Timestamp};
use bowline_delegation::{
    manager::Manager as Acting,
    temporary_key::{Site, Wish, session_of, sweep},
    users,
};

use super::{
    manager::Manager,
    profiles,
    section::Standing,
    task::{HandOut, refused},
};
use crate::{
    commands::{obtain::until_interrupted, recording, users::source_of as source_of_session, write},
    output,
    world::small_runtime,
};

/// Keys of a config section that say where credentials come from; keys in the credentials file would hide them.
const SOURCES: [&str; 6] =
    ["role_arn", "source_profile", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file"];

/// Which users may be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those of the namespace.
    Namespace,
    /// Others too, which were given to this manager.
    Given,
}

/// What `NAME` asks for. A no is written down as it is by the other ways out.
pub(super) fn run(manager: &Manager<'_>, asked: &HandOut) -> Result<(), Fault> {
    carry_out(manager, asked).inspect_err(|fault| recording::refused(manager.world, &asked.name, fault))
}

fn carry_out(manager: &Manager<'_>, asked: &HandOut) -> Result<(), Fault> {
    if let Some(owner) = &asked.owner {
        manager.desk.admit(&asked.name)?;
        let identity = manager.identity()?;
        return small_runtime()?.block_on(until_interrupted(give_away(manager, identity, &asked.name, owner)));
    }
    let user = user_of(manager, &asked.name)?;
    into_profile(manager, &user, &asked.name, asked.duration, Reach::Namespace)?;
    let lines = profiles::ensure_config(manager.world, &asked.name, manager.profile)?;
    output::data(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// Temporary credentials of `user`, also written to `profile`.
pub(super) fn into_profile(
    manager: &Manager<'_>,
    user: &str,
    profile: &str,
    duration: Duration,
    reach: Reach,
) -> Result<Credentials, Fault> {
    manager.require_sealed()?;
    if reach == Reach::Namespace {
        manager.desk.admit(user)?;
    }
    let identity = manager.identity()?;
    let session = small_runtime()?.block_on(until_interrupted(session(manager, identity, user, (duration, reach))))?;
    recording::issued(manager.world, profile, &session, &source_of_session(user, manager.profile))?;
    let mut settings = write::keys(&session);
    settings.push(("credentials_owner", Secret::new(user)));
    settings.extend(session.expires_at.map(|end| ("expiration", Secret::new(with_offset(end)))));
    write::into_section(&manager.world.setup.locations.credentials, profile, &settings)?;
    let end = session.expires_at.map_or_else(|| "an unknown time".to_owned(), bowline_base::utc);
    output::say(&format!("profile `{profile}`: IAM user `{user}`, key {}, until {end}", session.key_id));
    Ok(session)
}

async fn session(
    manager: &Manager<'_>,
    identity: Arc<FixedIdentity>,
    user: &str,
    (duration, reach): (Duration, Reach),
) -> Result<Credentials, Fault> {
    let acting = Acting::meet(manager.world.aws.clone(), manager.region()?, identity).await?;
    let given = reach == Reach::Given && acting.namespace().admit(user).is_err();
    let wish = match users::may_hand_out(&acting, user, given).await? {
        users::Standing::Owned => Wish::Session,
        users::Standing::Unowned => {
            let me = acting.namespace().manager();
            output::say(&format!("note: `{user}` has no owner yet: iam-sorry {user} --chown {me}"));
            Wish::Session
        }
        users::Standing::Absent if given => return Err(refused(format!("there is no user `{user}`"))),
        users::Standing::Absent => {
            users::create(&acting, user, &manager.desk.birth(None)).await?;
            output::say(&format!("made: IAM user `{user}`"));
            Wish::SessionOfNewUser
        }
    };
    let journals = manager.desk.journals();
    let site = Site { manager: &acting, journals: &journals, tell: &output::say };
    for left in sweep(&site).await? {
        output::say(&format!("note: a run for `{left}` was cut off; the key that it left is deleted"));
    }
    session_of(&site, user, duration, wish).await
}

/// Makes `owner` the owner of `user`, which is made if there is none. No credentials come of it: they are the owner's
/// to hand out from then on.
async fn give_away(manager: &Manager<'_>, identity: Arc<FixedIdentity>, user: &str, owner: &str) -> Result<(), Fault> {
    let acting = Acting::meet(manager.world.aws.clone(), manager.region()?, identity).await?;
    acting.namespace().admit(user)?;
    users::require_owner(&acting, owner).await?;
    if users::is_there(&acting, user).await? {
        users::chown(&acting, user, owner).await?;
    } else {
        users::create(&acting, user, &manager.desk.birth(Some(owner.to_owned()))).await?;
    }
    let me = acting.namespace().manager();
    output::say(&format!("given: `{user}` belongs to `{owner}`, delegated by `{me}`; only `{owner}` hands it out now"));
    Ok(())
}

/// The IAM user behind profile `name`: `credentials_owner` of one that is there, else that name. Refuses to put
/// temporary credentials where something else would be lost or hidden.
fn user_of(manager: &Manager<'_>, name: &str) -> Result<String, Fault> {
    if let Some(source) = source_of(&manager.world.aws_config()?, name) {
        return Err(refused(format!("profile `{name}` has a source of its own (`{source}`) and is kept as it is"))
            .hint(format!("use it: AWS_PROFILE={name}; renew the profile that it is based on")));
    }
    let Some(held) = manager.at(name).held()? else { return Ok(name.to_owned()) };
    match held.standing() {
        Standing::Open | Standing::Sealed => {
            Err(refused(format!("profile `{name}` holds a long-lived key, which would be lost"))
                .hint("move it into the vault: bowline vault migrate; or remove it from the file"))
        }
        Standing::Temporary | Standing::NoKeys => Ok(held.owner().unwrap_or(name).to_owned()),
    }
}

fn source_of(config: &Config, name: &str) -> Option<&'static str> {
    let section = config.profile(name).ok()?.in_config()?;
    SOURCES.into_iter().find(|key| section.settings.contains_key(*key))
}

/// As iam-sorry writes times, and reads them.
fn with_offset(end: Timestamp) -> String {
    end.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}
