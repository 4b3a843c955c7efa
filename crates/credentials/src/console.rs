//! What can open AWS's console, and why something else cannot. Pure: whoever calls asks AWS and opens the browser.

use std::time::Duration;

use bowline_aws::{Error, signin};
use bowline_awsfiles::Source;
use bowline_base::{Credentials, Fault, Kind, units};

use crate::Resolved;

/// Whether AWS would take `credentials` of `resolved` for a console session of `length`; told before it is asked.
///
/// # Errors
/// A `Config` fault that says what to change.
pub fn check(resolved: &Resolved, credentials: &Credentials, length: Option<Duration>) -> Result<(), Fault> {
    let profile = &resolved.profile;
    let wrong = |message: String| Fault::new(Kind::Config, "console", message);
    if credentials.session_token.is_none() || matches!(resolved.source, Source::SessionToken(_)) {
        let message = format!("profile `{profile}` is an IAM user's, and the console opens for the session of a role");
        return Err(wrong(message).hint(format!(
            "write a profile with `role_arn` and `source_profile = {profile}`, or sign in with the user's own password; \
             GetFederationToken is not used, because it gives more than a role"
        )));
    }
    let Some(length) = length else { return Ok(()) };
    let [shortest, longest] = signin::SESSION_LENGTHS;
    if !(shortest..=longest).contains(&length) {
        let message = format!("a console session of {} is not to be had", units::duration(length));
        return Err(wrong(message).hint("ask for 15m to 12h"));
    }
    if resolved.is_chained() {
        let message =
            format!("profile `{profile}` is a role that is assumed by a role, whose console session ends with it");
        return Err(wrong(message).hint("leave out --duration: such a session lasts what is left of its hour"));
    }
    Ok(())
}

/// AWS refuses with a page that gives no reason: the reasons there can be.
#[must_use]
pub fn explain(error: Error, length: Option<Duration>) -> Fault {
    if error.kind() != Kind::Refused {
        return error.into();
    }
    let hint = match length {
        Some(_) => "try it without --duration: AWS refuses one for the session of a role that was assumed by a role",
        None => "see with `bowline verify PROFILE` whether the session is good, and that it is the session of a role",
    };
    Fault::new(Kind::Refused, "console", "AWS does not open the console for this session").hint(hint).cause(error)
}
