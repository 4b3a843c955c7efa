//! Signing out: the portal ends the session, and everything that came of it is forgotten on this machine.

use bowline_aws::sso;
use bowline_base::Fault;

use super::session_of;
use crate::{
    source::{Sources, region},
    sso_token::session_name,
};

/// What was forgotten.
#[derive(Debug)]
pub struct SignedOut {
    /// The session's name, or the start URL of an old profile without one.
    pub session: String,
    /// Whether there was a token.
    pub had_token: bool,
    /// Leases that were removed.
    pub leases: usize,
    /// Why the portal could not be told; then the session goes on there until it ends by itself.
    pub portal: Option<Fault>,
}

/// Signs out of the session behind `name`: a profile, or an `[sso-session]`.
///
/// # Errors
/// `Config` when `name` leads to no session, or when a file cannot be removed.
pub async fn logout(sources: &Sources, name: &str) -> Result<SignedOut, Fault> {
    let (config, login, aws) = session_of(sources, name)?;
    let token = sources.tokens().stored(&login).await;
    let portal = match &token {
        Some(token) => sso::logout(&aws, &region(Some(&login.region))?, &token.access_token).await.err(),
        None => None,
    };
    // Leases first: a daemon that sees the token go looks for credentials at once, and must find none.
    let mut leases = 0;
    for profile in config.profiles() {
        let Ok(resolved) = sources.resolve_in(&config, profile.name()) else { continue };
        if resolved.login().is_some_and(|other| other.key == login.key) {
            leases += sources.forget(&resolved)?;
        }
    }
    sources.tokens().forget(&login).await?;
    Ok(SignedOut {
        session: session_name(&login).to_owned(),
        had_token: token.is_some(),
        leases,
        // A session that had ended already needs no more ending.
        portal: portal.filter(|error| !error.is_unauthorized()).map(Fault::from),
    })
}
