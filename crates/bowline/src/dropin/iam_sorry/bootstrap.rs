//! `iam-sorry` alone: with a manager's keys in the environment and no profile yet, they are sealed and replaced.

use std::time::Duration;

use bowline_base::{Credentials, Fault};
use bowline_delegation::{
    bootstrap::bootstrap,
    journal::{Journal, Shelf},
    manager::Manager as Acting,
    rotation::{End, Place},
};
use clap::CommandFactory as _;

use super::{cli::Cli, hand_out, manager::Manager, profiles, seal, section::Standing, task::HandOut};
use crate::{
    commands::{
        obtain::until_interrupted,
        users::stored_key::{StoredKey, note_owner},
    },
    output,
    world::small_runtime,
};

/// How long the key of the environment sleeps before a rotation deletes it.
const GRACE: Duration = Duration::from_secs(24 * 3600);
/// How long the first user's credentials last.
const LONGEST: Duration = Duration::from_secs(36 * 3600);
const JOURNAL: &str = "rotation";

/// Makes the manager's profile, or finishes what was begun; with a profile that is whole already, help.
pub(super) fn run(manager: &Manager<'_>) -> Result<(), Fault> {
    if manager.is_in_store() {
        return show_help(manager);
    }
    let shelf = Shelf { directory: &manager.desk.journals(), wire: &*manager.world.wire, tell: &output::say };
    let journal = small_runtime()?.block_on(until_interrupted(Journal::open(shelf, JOURNAL, manager.profile)))?;
    let begun = journal.read()?.is_some();
    let held = manager.held()?.filter(|held| held.standing() != Standing::NoKeys);
    let stored = match held {
        None => None,
        Some(held) => {
            if !begun {
                manager.require_sealed()?;
            }
            Some(manager.of(held.keys(manager.ssh_key)?, None))
        }
    };
    match (stored, manager.environment_keys()) {
        (None, None) => Err(seal::missing(manager.profile)),
        (None, Some(given)) => begin(manager, &journal, &given),
        (Some(stored), _) if begun => begin(manager, &journal, &stored),
        // Cut off between storing and the first line of the journal.
        (Some(stored), Some(given)) if stored.key_id == given.key_id => begin(manager, &journal, &given),
        (Some(_), _) => show_help(manager),
    }
}

fn show_help(manager: &Manager<'_>) -> Result<(), Fault> {
    output::say(&format!("profile `{}` is there already and sealed", manager.profile));
    output::data(&format!("{}\n", Cli::command().render_help()))
}

fn begin(manager: &Manager<'_>, journal: &Journal, given: &Credentials) -> Result<(), Fault> {
    let (world, region) = (manager.world, manager.region()?);
    let keyring = StoredKey::new(world, manager.profile);
    let place = Place { aws: &world.aws, region: &region, keyring: &keyring, journal, tell: &output::say };
    // What was begun ends as it was begun.
    let grace = journal.read()?.is_none().then_some(GRACE);
    let end = small_runtime()?.block_on(until_interrupted(bootstrap(&place, given, grace, Duration::ZERO)))?;
    profiles::ensure_config_in(world, manager.profile, region.as_str())?;
    match end {
        End::Waiting { old, .. } => output::say(&format!(
            "profile `{}` is sealed; the key {old} of the environment sleeps: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY",
            manager.profile
        )),
        End::Rotated { .. } | End::Stopped(_) => output::say(&format!("profile `{}` is sealed", manager.profile)),
    }
    let meet = Acting::meet(world.aws.clone(), region, manager.identity()?);
    let acting = small_runtime()?.block_on(meet)?;
    note_owner(world, manager.profile, acting.namespace().manager())?;
    // Where the manager itself is called so, there is no such user to make.
    let prefix = acting.namespace().prefix().as_str();
    if acting.namespace().admit(prefix).is_ok() {
        first_user(manager, prefix);
    }
    Ok(())
}

/// As iam-sorry does: the user that is called as the namespace, unless there is such a profile. The manager is whole
/// without it.
fn first_user(manager: &Manager<'_>, user: &str) {
    let is_there = manager.at(user).held().is_ok_and(|held| held.is_some());
    let asked = HandOut { name: user.to_owned(), duration: LONGEST, owner: None };
    match if is_there { Ok(()) } else { hand_out::run(manager, &asked) } {
        Ok(()) => {}
        Err(fault) => output::say(&format!("note: the user `{user}` was not made: {}", fault.chain())),
    }
}
