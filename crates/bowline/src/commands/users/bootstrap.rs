//! `bowline users bootstrap`: the manager's keys, from the environment into a sealed profile, and replaced.

use bowline_aws::sts;
use bowline_base::{Credentials, Fault, FixedIdentity, KeyId, Kind, Secret, Timestamp};
use bowline_delegation::{bootstrap, caller::Caller, keyring::Keyring as _, rotation::Place};

use super::{
    Desk,
    rotate::{STAY, journal, tell},
    stored_key::{StoredKey, note_owner},
};
use crate::{cli::UsersBootstrap, output, world::small_runtime};

pub(super) fn run(desk: &Desk, arguments: &UsersBootstrap) -> Result<(), Fault> {
    let given = given(desk)?;
    let runtime = small_runtime()?;
    let journal = runtime.block_on(journal(desk))?;
    let (keyring, region) = (StoredKey::new(&desk.world, &desk.profile), desk.region()?);
    let place =
        Place { aws: &desk.world.aws, region: &region, keyring: &keyring, journal: &journal, tell: &output::say };
    let end = runtime.block_on(bootstrap::bootstrap(&place, &given, arguments.grace.grace, STAY))?;
    tell(&desk.profile, &end)?;
    if let Some(stored) = keyring.load()? {
        let identity = FixedIdentity::new(stored);
        let who = runtime.block_on(sts::caller_identity(&desk.world.aws, &region, &identity))?;
        note_owner(&desk.world, &desk.profile, &Caller::of(&who.arn)?.user)?;
    }
    output::say("the key in the environment is no longer needed: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY");
    Ok(())
}

/// The keys in the environment.
fn given(desk: &Desk) -> Result<Credentials, Fault> {
    let variable = |name: &str| desk.world.environment.var(name);
    let (Some(key_id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) else {
        return Err(Fault::new(Kind::Config, "environment", "there are no keys of a manager in the environment").hint(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to the manager's long-lived key, for this one command",
        ));
    };
    Ok(Credentials {
        key_id: KeyId::new(key_id),
        secret_key: Secret::new(secret),
        session_token: variable("AWS_SESSION_TOKEN").map(Secret::new),
        expires_at: None,
        obtained_at: Timestamp::UNIX_EPOCH,
        account_id: None,
    })
}
