//! `--eval`: a profile's credentials as text for the shell; what is about to end is renewed first.
//!
//! Nothing is printed but those lines, and nothing at all when anything fails.

use std::time::Duration;

use bowline_base::{Credentials, Fault, Kind, Timestamp};
use bowline_credentials::delivery::{Shell, Variables};

use super::{
    hand_out::{self, Reach},
    manager::Manager,
    seal,
    section::{Held, Standing},
    task::wrong,
};
use crate::{
    cli::MfaCode,
    commands::{env, obtain, recording},
    output,
};

/// With so little left a session is renewed.
const ABOUT_TO_END: Duration = Duration::from_secs(5 * 60);
/// How long what is renewed here lasts.
const LONGEST: Duration = Duration::from_secs(36 * 3600);

pub(super) fn run(manager: &Manager<'_>, profile: &str) -> Result<(), Fault> {
    let world = manager.world;
    let credentials = credentials(manager, profile)?;
    let region = env::profile_region(world, profile);
    output::secret(&Variables::of(&credentials, region.as_deref(), world.wire.now().wall)?.text(Shell::Posix))
}

fn credentials(manager: &Manager<'_>, profile: &str) -> Result<Credentials, Fault> {
    let world = manager.world;
    let file = &world.setup.locations.credentials;
    let Some(held) = Held::read(file, profile)?.filter(|held| held.standing() != Standing::NoKeys) else {
        // A role's profile, or whatever else is a source: known to Bowline, not to iam-sorry.
        world.aws_config()?.profile(profile).map_err(|_| seal::missing(profile))?;
        return obtain::alone(world, profile, &MfaCode::default());
    };
    from_file(manager, profile, &held).inspect_err(|fault| recording::refused(world, profile, fault))
}

/// What the credentials file has, or what replaces it when it is about to end.
fn from_file(manager: &Manager<'_>, profile: &str, held: &Held) -> Result<Credentials, Fault> {
    let (world, now) = (manager.world, manager.world.wire.now().wall);
    if held.standing() == Standing::Open && profile == manager.profile {
        output::say(&format!(
            "note: the manager's keys of `{profile}` are not sealed: iam-sorry --profile {profile} --encrypt"
        ));
    }
    let as_it_stands = || {
        let credentials = manager.of(held.keys(manager.ssh_key)?, held.ends());
        recording::issued(world, profile, &credentials, "the credentials file")?;
        Ok(credentials)
    };
    if !is_about_to_end(held, now) {
        return as_it_stands();
    }
    match renewed(manager, profile, held) {
        Ok(fresh) => Ok(fresh),
        // What is left of the old session is better than nothing while AWS cannot be asked.
        Err(fault) if fault.kind == Kind::Unreachable && held.ends().is_some_and(|end| now < end) => {
            output::say(&format!("note: {}; these credentials end soon", fault.chain()));
            as_it_stands()
        }
        Err(fault) => Err(fault),
    }
}

/// A session with at most five minutes left; one that does not say when it ends is taken as it is.
fn is_about_to_end(held: &Held, now: Timestamp) -> bool {
    let ends_by = |end: Timestamp| end.duration_since(now) <= ABOUT_TO_END.try_into().unwrap_or_default();
    held.standing() == Standing::Temporary && held.ends().is_some_and(ends_by)
}

fn renewed(manager: &Manager<'_>, profile: &str, held: &Held) -> Result<Credentials, Fault> {
    let user = held.owner().ok_or_else(|| {
        wrong(format!("the credentials of `{profile}` end, and no `credentials_owner` says whose they are"))
            .hint(format!("make them anew: iam-sorry {profile}"))
    })?;
    hand_out::into_profile(manager, user, profile, LONGEST, Reach::Given)
}
