//! `bowline vault recipients`: who can open the store. A change seals it anew, so it has to be opened.

use std::path::Path;

use bowline_base::{Fault, Kind};
use bowline_vault::store::{Insist, Place, Recipient, Recipients};

use super::create::ssh_recipient;
use crate::{cli::RecipientsChange, keyring::Keyring, output, world::World};

pub(super) fn list(world: &World) -> Result<(), Fault> {
    let (_, recipients) = Place::new(&world.setup.vault.directory).recipients()?;
    output::data(&recipients.iter().map(|recipient| format!("{recipient}\n")).collect::<String>())
}

pub(super) fn add(world: &World, arguments: &RecipientsChange) -> Result<(), Fault> {
    let new = read(&arguments.key)?;
    let name = new.to_string();
    change(world, arguments, |mut list| {
        list.push(new.clone());
        Ok(list)
    })?;
    output::say(&format!("From now on it is sealed to {name} too."));
    Ok(())
}

pub(super) fn remove(world: &World, arguments: &RecipientsChange) -> Result<(), Fault> {
    let wanted = read(&arguments.key).map_or_else(|_| arguments.key.clone(), |recipient| recipient.to_string());
    change(world, arguments, |list| {
        let (gone, left): (Vec<_>, Vec<_>) = list.into_iter().partition(|one| is_meant(one, &wanted));
        match gone.len() {
            1 => Ok(left),
            _ => Err(Fault::new(Kind::Config, "vault", format!("`{wanted}` is not one of the recipients"))
                .hint("bowline vault recipients list")),
        }
    })?;
    output::say(
        "The next versions are sealed without it. It may have been copied: rotate the keys that it could read.",
    );
    Ok(())
}

/// By the whole name, or by the word of it that tells it apart.
fn is_meant(recipient: &Recipient, wanted: &str) -> bool {
    let name = recipient.to_string();
    name == wanted
        || name.split(' ').any(|word| word == wanted && (word.contains(':') || word.starts_with("age1")))
        || (name == "passphrase" && wanted == "passphrase")
}

fn read(key: &str) -> Result<Recipient, Fault> {
    if key.starts_with("age1") {
        return Ok(Recipient::from_line(key)?.0);
    }
    ssh_recipient(Path::new(key))
}

fn change(
    world: &World,
    arguments: &RecipientsChange,
    change: impl Fn(Vec<Recipient>) -> Result<Vec<Recipient>, Fault>,
) -> Result<(), Fault> {
    let insist = if arguments.insist { Insist::OnOne } else { Insist::No };
    Keyring::open(world).change(|contents| {
        let list = change(contents.recipients.iter().cloned().collect())?;
        contents.recipients = Recipients::new(list, insist)?;
        Ok(())
    })
}
