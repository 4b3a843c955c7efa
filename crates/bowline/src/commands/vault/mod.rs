//! `bowline vault …`: long-lived keys, sealed.

mod add;
mod create;
mod discard;
mod given;
mod list;
mod lock;
mod migrate;
mod recipients;
mod recover;
mod seal;
mod show;

use std::path::PathBuf;

use bowline_base::Fault;

use crate::{
    cli::{Manages, OpenWith, Vault, VaultRecipients},
    commands::users::{self, Desk},
    environment::Environment,
    world::World,
};

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, command: &Vault) -> Result<(), Fault> {
    let mut world = World::of_file(environment, file.clone())?;
    match command {
        Vault::Rotate(arguments) => {
            let manages = Manages { profile: Some(arguments.profile.clone()), ssh_key: None };
            users::rotate::run(&Desk::new(world.environment, file, &manages)?, arguments.grace.grace)
        }
        Vault::Add(arguments) => add::run(&world, arguments),
        Vault::Seal(arguments) => seal::run(&world, arguments),
        Vault::Show(arguments) => show::run(&opening(&mut world, &arguments.open), arguments),
        Vault::List(arguments) => list::run(&opening(&mut world, &arguments.open), arguments),
        Vault::Recover(arguments) => recover::run(&opening(&mut world, &arguments.open), arguments),
        Vault::Migrate(arguments) => migrate::run(&world, arguments),
        Vault::Discard(arguments) => discard::run(opening(&mut world, &arguments.open).world, &arguments.profile),
        Vault::Lock => lock::run(&world),
        Vault::Recipients(VaultRecipients::List) => recipients::list(&world),
        Vault::Recipients(VaultRecipients::Add(arguments)) => {
            recipients::add(opening(&mut world, &arguments.change.open).world, arguments)
        }
        Vault::Recipients(VaultRecipients::Rm(arguments)) => {
            recipients::remove(opening(&mut world, &arguments.change.open).world, arguments)
        }
    }
}

/// The world, and whether the command line named a key: then the daemon, which has its own, is not asked.
struct Opening<'w> {
    world: &'w World,
    by_named_key: bool,
}

fn opening<'w>(world: &'w mut World, open: &OpenWith) -> Opening<'w> {
    let vault = &mut world.setup.vault;
    if let Some(file) = &open.recovery_key_file {
        vault.recovery_key_file = Some(file.clone());
    }
    if let Some(key) = &open.ssh_key {
        vault.ssh_key.clone_from(key);
        (vault.recovery_key_file, vault.passphrase_file) = (None, None);
    }
    Opening { world, by_named_key: open.recovery_key_file.is_some() || open.ssh_key.is_some() }
}
