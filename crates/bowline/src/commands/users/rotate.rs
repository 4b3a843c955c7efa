//! `bowline vault rotate PROFILE`: a profile's long-lived key, replaced by a new one; see `bowline_delegation::rotation`.

use std::time::Duration;

use bowline_base::{Fault, utc};
use bowline_delegation::{
    journal::{Journal, Shelf},
    rotation::{self, End, Place},
};

use super::{Desk, stored_key::StoredKey};
use crate::{output, world::small_runtime};

/// The longest that a command waits for the end of a grace.
pub(super) const STAY: Duration = Duration::from_secs(300);
/// The kind of the journal.
const KIND: &str = "rotation";

/// Replaces the key of the desk's profile, or finishes what was begun.
pub(crate) fn run(desk: &Desk, grace: Option<Duration>) -> Result<(), Fault> {
    let runtime = small_runtime()?;
    let journal = runtime.block_on(journal(desk))?;
    let (keyring, region) = (StoredKey::new(&desk.world, &desk.profile), desk.region()?);
    let place =
        Place { aws: &desk.world.aws, region: &region, keyring: &keyring, journal: &journal, tell: &output::say };
    let end = runtime.block_on(rotation::rotate(&place, grace, STAY))?;
    tell(&desk.profile, &end)
}

/// The journal of the desk's profile, once nobody else has it.
pub(super) async fn journal(desk: &Desk) -> Result<Journal, Fault> {
    let shelf = Shelf { directory: &desk.journals(), wire: &*desk.world.wire, tell: &output::say };
    Journal::open(shelf, KIND, &desk.profile).await
}

pub(super) fn tell(profile: &str, end: &End) -> Result<(), Fault> {
    match end {
        End::Rotated { new, .. } => output::data(&format!("{profile}\n  key {new}\n")),
        End::Waiting { old, new, until } => {
            output::data(&format!("{profile}\n  key {new}\n"))?;
            output::say(&format!(
                "note: {old} is inactive until {}; after that `bowline vault rotate {profile}` deletes it, with `--grace 0s` at once",
                utc(*until)
            ));
            Ok(())
        }
        End::Stopped(_) => Ok(()),
    }
}
