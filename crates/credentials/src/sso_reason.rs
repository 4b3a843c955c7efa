//! Why an SSO session cannot be used or renewed just now, in words, with the next command.

use std::time::Duration;

use bowline_aws::{Error, sso_oidc::Refusal};
use bowline_awsfiles::{SsoKey, SsoLogin, SsoToken};
use bowline_base::{Fault, Kind, Now, Retry, utc};

use crate::{
    sso_note::{Attempt, Note, mark},
    sso_token::session_name,
};

/// There is no token at all.
pub(crate) const NOBODY: &str = "nobody has signed in yet";
/// There is one that should be good.
pub(crate) const DEAD: &str = "the portal no longer takes its token; somebody may have ended the session";

/// Why asking the service cannot help.
pub(crate) fn hopeless(login: &SsoLogin, token: &SsoToken, note: &Note, now: Now) -> Option<String> {
    if note.is_dead(login, token) && note.dead_for(now.boot).is_some() {
        return Some(DEAD.to_owned());
    }
    let ended = || format!("its token ended at {}", utc(token.expires_at));
    let Some(refresh_token) = &token.refresh_token else {
        let legacy = matches!(login.key, SsoKey::Legacy(_));
        let why = if legacy {
            "a profile without `sso_session` has none that can be renewed"
        } else {
            "it has no refresh token"
        };
        return Some(format!("{}, and {why}", ended()));
    };
    if !token.renewable_at(now.wall) {
        return Some(format!("{}, and the client registration that could renew it has ended too", ended()));
    }
    let spent = mark(&login.region, refresh_token);
    note.refused.as_ref().filter(|(token, _)| *token == spent).map(|(_, why)| why.clone())
}

/// Why the service refused for good.
pub(crate) fn reason(refusal: Option<Refusal>, before: Option<&Attempt>, lost: bool) -> String {
    match (refusal, before) {
        (Some(Refusal::InvalidGrant), _) if lost => {
            "the answer to its refresh was lost on the way, and the old refresh token is spent".to_owned()
        }
        (Some(Refusal::InvalidGrant), Some(attempt)) => format!(
            "a refresh of {} by process {} was cut off before its answer was saved, and the old refresh token is spent",
            attempt.at, attempt.process
        ),
        (Some(Refusal::InvalidGrant), None) => {
            "the session has ended, or another tool has spent the refresh token".to_owned()
        }
        (Some(Refusal::InvalidClient), _) => "the client registration has ended".to_owned(),
        _ => "the service refused to renew its token".to_owned(),
    }
}

/// A refresh that came to nothing and may come to something later.
pub(crate) fn passing(login: &SsoLogin, refusal: Option<Refusal>, error: Error, pause: Duration) -> Fault {
    let fault = Fault::from(error).retry(Retry::After(pause));
    match refusal {
        Some(Refusal::InvalidRequest) => fault.hint(format!("see that `sso_region` ({}) is right", login.region)),
        _ if fault.hint.is_none() => fault.hint("try again later; look for a proxy between here and AWS if it lasts"),
        _ => fault,
    }
}

/// A person has to sign in, and this is what they type.
pub(crate) fn login_required(login: &SsoLogin, why: &str) -> Fault {
    let name = session_name(login);
    let command = match &login.key {
        SsoKey::Session(name) => format!("run `bowline login {name}`"),
        SsoKey::Legacy(_) => "run `bowline login` with a profile of this start URL".to_owned(),
    };
    Fault::new(Kind::LoginRequired, format!("sso-session `{name}`"), format!("`{name}` needs a login: {why}"))
        .hint(command)
}
