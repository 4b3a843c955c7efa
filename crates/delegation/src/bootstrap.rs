//! The first time: a manager's keys stand in the environment, and nothing is stored yet.
//!
//! The order is what matters. Whether something can be stored is asked first; then the key is stored, read back and used;
//! only then is it replaced, by the rotation that also every later one is. Cut off anywhere, the key in the environment
//! works until another one is stored and works.

use std::time::Duration;

use aws::sts;
use base::{Credentials, Fault, FixedIdentity, Kind};
use bowline_aws as aws;
use bowline_base as base;

use crate::{
    caller::Caller,
    refusal::{refused, told},
    rotation::{self, End, Place},
};

/// Stores `given`, verifies it, and replaces it; goes on where an earlier one was cut off.
///
/// # Errors
/// Nothing can be stored; the keys are not a user's long-lived ones; something else is stored already; AWS says no.
pub async fn bootstrap(
    place: &Place<'_>,
    given: &Credentials,
    grace: Option<Duration>,
    stay: Duration,
) -> Result<End, Fault> {
    place.keyring.check()?;
    if given.session_token.is_some() {
        return Err(Fault::new(Kind::Config, "environment", "the keys in the environment are those of a session")
            .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a long-lived key, and unset AWS_SESSION_TOKEN"));
    }
    let begun = place.journal.read()?.is_some();
    match place.keyring.load()? {
        None if begun => return Err(place.journal.unreadable()),
        None => {
            identify(place, given).await?;
            place.keyring.replace(None, given)?;
            (place.tell)(&format!("stored access key {}", given.key_id));
        }
        Some(stored) if stored.key_id == given.key_id || begun => {}
        Some(stored) => {
            return Err(refused(format!("`{}` is stored already", stored.key_id))
                .hint("`bowline vault rotate` replaces it; unset AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
    }
    let stored = place.keyring.load()?.ok_or_else(|| refused("what was stored cannot be read back"))?;
    identify(place, &stored).await?;
    rotation::rotate(place, grace, stay).await
}

async fn identify(place: &Place<'_>, key: &Credentials) -> Result<Caller, Fault> {
    let who = sts::caller_identity(place.aws, place.region, &FixedIdentity::new(key.clone())).await.map_err(told)?;
    Ok(Caller::of(&who.arn)?)
}
