//! Sign-in: an `[sso-session]` instead of the old fields, the scope that gives a refresh token, a cache that can be
//! written to, and a session that is good.

use std::{sync::Arc, time::Duration};

use bowline_awsfiles::{SsoKey, SsoLogin};
use bowline_base::{Fault, atomic, utc};
use bowline_credentials::{Sources, session_name};
use bowline_host::{Check, Tasks};

use super::{ids, verdict::*};
use crate::world::{World, small_runtime};

pub(super) const SCOPE: &str = "sso:account:access";

/// Whether anybody signs in here: the profile that is meant, or some session.
pub(super) fn applies(world: &World, profile: Option<&str>) -> bool {
    profile.is_some()
        || world.aws_config().is_ok_and(|config| config.sso_sessions().next().is_some())
        || login(world, None).is_ok()
}

pub(super) fn checks(world: &World, profile: Option<&str>) -> Vec<Check> {
    let login = match login(world, profile) {
        Ok(login) => login,
        Err(fault) => return vec![from_fault(ids::SSO_PROFILE, &fault)],
    };
    let scope = matches!(login.key, SsoKey::Session(_)).then(|| scope(&login));
    [Some(session(&login)), scope, Some(cache(world)), Some(token(world, &login))].into_iter().flatten().collect()
}

fn login(world: &World, profile: Option<&str>) -> Result<SsoLogin, Fault> {
    let config = world.aws_config()?;
    let name = crate::commands::login::which(world, &config, profile)?;
    config.login(&name)?.ok_or_else(|| crate::commands::login::no_session(world, &name))
}

fn session(login: &SsoLogin) -> Check {
    match &login.key {
        SsoKey::Session(name) => ok(ids::SSO_SESSION, format!("`[sso-session {name}]` at {}", login.start_url)),
        SsoKey::Legacy(_) => failed(
            ids::SSO_SESSION,
            "the profile has the old `sso_start_url` and no `sso_session`: its sign-in cannot be renewed and ends after 8 hours",
            Some(corrected(login)),
        ),
    }
}

fn scope(login: &SsoLogin) -> Check {
    match lacks_scope(login) {
        None => ok(ids::SSO_SCOPE, format!("`{SCOPE}` is asked for")),
        Some((why, fix, true)) => degraded(ids::SSO_SCOPE, why, fix),
        Some((why, fix, false)) => failed(ids::SSO_SCOPE, why, Some(fix)),
    }
}

/// What should stand in `~/.aws/config` for a profile with the old fields.
pub(super) fn corrected(login: &SsoLogin) -> String {
    let section = section(login, "main");
    format!("{section}\n\nand in the profile, instead of `sso_start_url` and `sso_region`:\nsso_session = main")
}

/// Why there may be no refresh token, the corrected section, and whether there is no scope at all.
pub(super) fn lacks_scope(login: &SsoLogin) -> Option<(String, String, bool)> {
    if login.scopes.iter().any(|scope| scope == SCOPE) {
        return None;
    }
    let none = login.scopes.is_empty();
    let why = if none {
        format!("no `sso_registration_scopes`: Bowline asks for `{SCOPE}`, other tools may not")
    } else {
        format!("`{SCOPE}` is not among the scopes: there will be no refresh token")
    };
    Some((why, section(login, session_name(login)), none))
}

fn cache(world: &World) -> Check {
    let directory = &world.setup.locations.sso_cache;
    let probe = directory.join(".bowline-doctor");
    let written = atomic::private_directory(directory).and_then(|()| atomic::write_private(&probe, b"probe"));
    let tried = written.and_then(|()| std::fs::remove_file(&probe));
    match tried {
        Ok(()) => ok(ids::SSO_CACHE, format!("`{}` can be written to", directory.display())),
        Err(error) => failed(
            ids::SSO_CACHE,
            format!("`{}` cannot be written to: {error}", directory.display()),
            Some(format!("sudo chown -R \"$(id -u)\" '{0}' && chmod 700 '{0}'", directory.display())),
        ),
    }
}

fn token(world: &World, login: &SsoLogin) -> Check {
    let standing = small_runtime().and_then(|runtime| {
        runtime.block_on(async {
            let tasks = Tasks::new();
            let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
            let standing = sources.tokens().standing(login).await;
            tasks.shut_down(Duration::from_secs(1)).await;
            standing
        })
    });
    match standing {
        Ok(token) if token.renewable_at(world.wire.now().wall) => {
            ok(ids::SSO_TOKEN, format!("signed in; the token of {} is renewed by itself", utc(token.expires_at)))
        }
        Ok(token) => degraded(
            ids::SSO_TOKEN,
            format!("signed in until {}, and the token cannot be renewed", utc(token.expires_at)),
            format!("bowline login {}", session_name(login)),
        ),
        Err(fault) => from_fault(ids::SSO_TOKEN, &fault),
    }
}

/// The section as it should stand in `~/.aws/config`.
fn section(login: &SsoLogin, name: &str) -> String {
    format!(
        "[sso-session {name}]\nsso_start_url = {}\nsso_region = {}\nsso_registration_scopes = {SCOPE}",
        login.start_url, login.region
    )
}
