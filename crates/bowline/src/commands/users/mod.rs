//! `bowline users …`: namespaced IAM users and their temporary credentials. The rule comes first, calls after.

mod bootstrap;
pub(crate) mod profile_files;
mod refresh;
pub(crate) mod rotate;
pub(crate) mod stored_key;
mod table;

use std::{path::PathBuf, sync::Arc};

use bowline_aws::Region;
use bowline_base::{Credentials, Fault, FixedIdentity, Kind};
use bowline_delegation::{
    manager::Manager,
    namespace::Namespace,
    ownership::Chown,
    users::{self, Birth, Made},
};

use self::stored_key::StoredKey;
use super::obtain;
use crate::{
    cli::{Manages, MfaCode, Users},
    config::DelegationSection,
    config_place,
    environment::Environment,
    keyring::{Form, Keyring},
    output,
    world::{World, small_runtime},
};

/// Whoever manages users here: the world, what `[delegation]` says, and the profile with the key.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) settings: DelegationSection,
    /// The management profile: it is never refreshed with temporary credentials.
    pub(crate) profile: String,
}

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, command: &Users) -> Result<(), Fault> {
    match command {
        Users::Create(arguments) => {
            let desk = Desk::new(environment, file, &arguments.manages)?;
            desk.admit(&arguments.name)?;
            let keys = desk.keys()?;
            small_runtime()?.block_on(create(&desk, keys, &arguments.name, arguments.owner.clone()))
        }
        Users::Refresh(arguments) => refresh::run(&Desk::new(environment, file, &arguments.manages)?, arguments),
        Users::List(arguments) => table::run(&Desk::new(environment, file, &arguments.manages)?, arguments),
        Users::Chown(arguments) => {
            let desk = Desk::new(environment, file, &arguments.manages)?;
            desk.admit(&arguments.name)?;
            let keys = desk.keys()?;
            small_runtime()?.block_on(chown(&desk, keys, &arguments.name, &arguments.owner))
        }
        Users::FixProfiles(manages) => {
            let desk = Desk::new(environment, file, manages)?;
            profile_files::fix(&desk.world, &desk.region()?)
        }
        Users::Bootstrap(arguments) => bootstrap::run(&Desk::new(environment, file, &arguments.manages)?, arguments),
    }
}

impl Desk {
    /// Reads the configuration; calls nobody.
    pub(crate) fn new(environment: Environment, file: Option<PathBuf>, manages: &Manages) -> Result<Self, Fault> {
        let config = config_place::load(file, &environment)?;
        let mut world = World::new(environment)?.with_config(&config);
        let settings = config.delegation;
        if let Some(key) = manages.ssh_key.as_ref().or(settings.ssh_key.as_ref()) {
            world.setup.vault.ssh_key.clone_from(key);
        }
        let named = manages.profile.clone().or_else(|| world.environment.var("AWS_PROFILE").map(ToOwned::to_owned));
        let profile = named.unwrap_or_else(|| settings.manager_profile.clone());
        if profile.trim().is_empty() {
            return Err(Fault::new(Kind::Config, "users", "the name of the manager's profile is blank"));
        }
        Ok(Self { world, settings, profile })
    }

    /// Refuses `name` where that needs no call: by the prefix of `[delegation]`, and by the manager's name where the
    /// profile says it.
    pub(crate) fn admit(&self, name: &str) -> Result<(), Fault> {
        if let Some(prefix) = &self.settings.prefix {
            prefix.admit(name)?;
        }
        let config = self.world.aws_config()?;
        let manager = config.profile(&self.profile).ok().and_then(|profile| profile.text("credentials_owner"));
        if let Some(manager) = manager {
            Namespace::of(manager)?.admit(name)?;
        }
        Ok(())
    }

    /// The manager, known to AWS.
    pub(crate) async fn manager(&self, keys: Credentials) -> Result<Manager, Fault> {
        let identity = Arc::new(FixedIdentity::new(keys));
        let manager = Manager::meet(self.world.aws.clone(), self.region()?, identity).await?;
        match &self.settings.prefix {
            Some(prefix) if prefix != manager.namespace().prefix() => {
                let message =
                    format!("the manager is `{}`, and [delegation] has `prefix = \"{prefix}\"`", manager.caller().user);
                Err(Fault::new(Kind::Config, "users", message)
                    .hint("name the manager of that prefix with --profile, or mend bowline.toml"))
            }
            _ => Ok(manager),
        }
    }

    /// The keys of the management profile, opened where they are sealed. Asks a person before any runtime runs.
    pub(crate) fn keys(&self) -> Result<Credentials, Fault> {
        match Keyring::open(&self.world).form(&self.profile) {
            Ok(Form::Envelope | Form::Store) => StoredKey::new(&self.world, &self.profile).credentials(),
            Ok(Form::Plain) | Err(_) => {
                obtain::alone(&self.world, &self.profile, &MfaCode::default()).map_err(|fault| {
                    let missing = self.world.aws_config().is_ok_and(|config| config.profile(&self.profile).is_err());
                    if missing { no_manager(&self.profile) } else { fault }
                })
            }
        }
    }

    /// The manager's region: what its profile says, unless the environment says another.
    pub(crate) fn region(&self) -> Result<Region, Fault> {
        self.world.region(None, &self.profile)
    }

    /// Where journals are.
    pub(crate) fn journals(&self) -> PathBuf {
        self.world.environment.state_directory().join("delegation")
    }

    /// What a new user gets.
    pub(crate) fn birth(&self, owner: Option<String>) -> Birth {
        Birth { owner, boundary: self.settings.permissions_boundary.clone() }
    }
}

/// Where a handed-out session comes from, for the audit log.
pub(crate) fn source_of(user: &str, manager_profile: &str) -> String {
    format!("IAM user {user}, by the manager of profile {manager_profile}")
}

fn no_manager(profile: &str) -> Fault {
    Fault::new(Kind::Config, "users", format!("there is no profile `{profile}` with the key of a manager")).hint(
        "name it with --profile; the first time, with its keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: bowline users bootstrap",
    )
}

async fn create(desk: &Desk, keys: Credentials, name: &str, owner: Option<String>) -> Result<(), Fault> {
    let manager = desk.manager(keys).await?;
    match users::create(&manager, name, &desk.birth(owner)).await? {
        Made::Now => {
            output::say(&format!("made user `{name}`; hand out its credentials: bowline users refresh {name}"));
        }
        Made::Before => output::say(&format!("user `{name}` is there already; nothing was changed")),
    }
    Ok(())
}

async fn chown(desk: &Desk, keys: Credentials, name: &str, owner: &str) -> Result<(), Fault> {
    let manager = desk.manager(keys).await?;
    match users::chown(&manager, name, owner).await? {
        Chown::Already => output::say(&format!("`{name}` belongs to `{owner}` already")),
        Chown::Tag(_) => {
            output::say(&format!("`{name}` now belongs to `{owner}`, who alone hands out its credentials"));
        }
    }
    Ok(())
}
