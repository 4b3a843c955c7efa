//! `iam-sorry` alone: with a manager's keys in the environment and no profile yet, they are sealed and replaced.

use std::time::Duration;

use bowline_awsfiles::{Document, EditError, Rule, SectionName, rewrite};
use bowline_base::{Credentials, Fault, KeyId, Kind, Secret};
use bowline_delegation::{
    bootstrap::bootstrap,
    journal::Journal,
    keyring::Keyring,
    manager::Manager as Acting,
    rotation::{End, Place},
};
use bowline_host::client::random_bytes;
use bowline_vault::{Field, ProfileName, envelope::SealingKey};
use clap::CommandFactory as _;

use super::{
    cli::Cli,
    hand_out,
    manager::Manager,
    profiles, seal,
    section::{Standing, standing},
    task::HandOut,
};
use crate::{commands::obtain::until_interrupted, output, world::small_runtime};

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
    let journal = Journal::open(&manager.journals(), JOURNAL, manager.profile)?;
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
    match (stored, manager.from_environment()) {
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
    let keyring = SealedProfile { manager, name: ProfileName::new(manager.profile)? };
    let place = Place { aws: &world.aws, region: &region, keyring: &keyring, journal, tell: &output::say };
    let end = small_runtime()?.block_on(until_interrupted(bootstrap(&place, given, GRACE, Duration::ZERO)))?;
    profiles::ensure_config_in(world, manager.profile, region.as_str())?;
    match end {
        End::Waiting { old, .. } => output::say(&format!(
            "profile `{}` is sealed; the key {old} of the environment sleeps: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY",
            manager.profile
        )),
        End::Rotated { .. } | End::Stopped(_) => output::say(&format!("profile `{}` is sealed", manager.profile)),
    }
    let prefix = small_runtime()?.block_on(prefix(manager))?;
    // Where the manager itself is called so, there is no such user to make.
    if let Some(user) = prefix {
        first_user(manager, &user);
    }
    Ok(())
}

/// What the namespace is called, if the manager may have a user of that name.
async fn prefix(manager: &Manager<'_>) -> Result<Option<String>, Fault> {
    let acting = Acting::meet(manager.world.aws.clone(), manager.region()?, manager.identity()?).await?;
    let prefix = acting.namespace().prefix().as_str();
    Ok(acting.namespace().admit(prefix).is_ok().then(|| prefix.to_owned()))
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

/// The manager's profile as a place for its key.
struct SealedProfile<'a> {
    manager: &'a Manager<'a>,
    name: ProfileName,
}

impl Keyring for SealedProfile<'_> {
    fn check(&self) -> Result<(), Fault> {
        self.manager.ssh_key.for_sealing()?;
        let file = &self.manager.world.setup.locations.credentials;
        // Takes the lock beside the file, and changes nothing.
        rewrite(file, Rule::Credentials, |_| Ok::<_, EditError>(()))?;
        Ok(())
    }

    fn load(&self) -> Result<Option<Credentials>, Fault> {
        let held = self.manager.held()?.filter(|held| held.standing() != Standing::NoKeys);
        let keys = held.map(|held| held.keys(self.manager.ssh_key)).transpose()?;
        Ok(keys.map(|keys| self.manager.of(keys, None)))
    }

    fn replace(&self, former: Option<&KeyId>, new: &Credentials) -> Result<(), Fault> {
        let (key, _) = self.manager.ssh_key.for_sealing()?;
        let file = &self.manager.world.setup.locations.credentials;
        let mut outcome = Ok(());
        rewrite(file, Rule::Credentials, |document| {
            let mut changed = document.clone();
            outcome = self.put(&mut changed, &key, former, new);
            if outcome.is_ok() {
                *document = changed;
            }
            Ok::<_, EditError>(())
        })?;
        outcome
    }
}

impl SealedProfile<'_> {
    fn put(
        &self,
        document: &mut Document,
        key: &SealingKey,
        former: Option<&KeyId>,
        new: &Credentials,
    ) -> Result<(), Fault> {
        let name = self.name.as_str();
        let found = document.sections()?.into_iter().find(|section| section.name == name);
        let found = found.filter(|section| standing(section) != Standing::NoKeys);
        let stored = found.map(|_| self.load()).transpose()?.flatten().map(|stored| stored.key_id);
        if stored.as_ref() != former {
            return Err(Fault::new(Kind::Refused, "iam-sorry", format!("profile `{name}` holds another key by now")));
        }
        let place = SectionName::Credentials(name.to_owned());
        let sealed = |value: &Secret| Ok::<_, Fault>(key.seal(value, random_bytes()?));
        document.set(&place, Field::KeyId.name(), &sealed(&Secret::new(new.key_id.as_str()))?)?;
        document.set(&place, Field::SecretKey.name(), &sealed(&new.secret_key)?)?;
        Ok(())
    }
}
