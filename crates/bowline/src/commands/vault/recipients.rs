//! `bowline vault recipients`: who can open the store. A change seals it anew, so it has to be opened.

use std::{path::Path, time::Duration};

use bowline_base::{Fault, Kind};
use bowline_host::client::random_bytes;
use bowline_vault::{
    agent::{Agent, Enrolment, looks_forwarded},
    store::{Contents, Insist, Place, Recipient, Recipients},
};

use super::create::{self, ssh_recipient};
use crate::{
    cli::{RecipientsAdd, RecipientsChange, RecipientsRm},
    keyring::Keyring,
    output,
    world::World,
};

/// A person may have to confirm each signature.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn list(world: &World) -> Result<(), Fault> {
    let (_, recipients) = Place::new(&world.setup.vault.directory).recipients()?;
    output::data(&recipients.iter().map(|recipient| format!("{recipient}\n")).collect::<String>())
}

pub(super) fn add(world: &World, arguments: &RecipientsAdd) -> Result<(), Fault> {
    let Some(key) = &arguments.key else { return add_passphrase(world, &arguments.change) };
    let named = read(key)?;
    let new = if arguments.ssh_agent { enrolled(world, &named)? } else { named };
    let name = new.to_string();
    change(world, |contents| {
        let list = contents.recipients.iter().cloned().chain([new.clone()]).collect();
        Ok(Recipients::new(list, insist(&arguments.change))?)
    })?;
    output::say(&format!("From now on it is sealed to {name} too."));
    Ok(())
}

/// Its file is there before the store is sealed to it.
fn add_passphrase(world: &World, arguments: &RecipientsChange) -> Result<(), Fault> {
    let place = Place::new(&world.setup.vault.directory);
    let is_passphrase = |one: &Recipient| matches!(one, Recipient::Passphrase { .. });
    let there = || {
        Fault::new(Kind::Config, "vault", "a passphrase opens it already")
            .hint("for another one: bowline vault recipients rm passphrase; then add it")
    };
    if place.recipients()?.1.iter().any(is_passphrase) {
        return Err(there());
    }
    let new = create::passphrase(world)?;
    change(world, |contents| {
        if contents.recipients.iter().any(is_passphrase) {
            return Err(there());
        }
        let list = contents.recipients.iter().cloned().chain([new.recipient.clone()]).collect();
        let recipients = Recipients::new(list, insist(arguments))?;
        place.keep_passphrase_file(&new.file)?;
        Ok(recipients)
    })?;
    output::say("From now on the passphrase opens it too.");
    Ok(())
}

pub(super) fn remove(world: &World, arguments: &RecipientsRm) -> Result<(), Fault> {
    let wanted = read(&arguments.key).map_or_else(|_| arguments.key.clone(), |recipient| recipient.to_string());
    change(world, |contents| {
        let list = contents.recipients.iter().cloned();
        let (gone, left): (Vec<_>, Vec<_>) = list.partition(|one| is_meant(one, &wanted));
        match gone.len() {
            1 => Ok(Recipients::new(left, insist(&arguments.change))?),
            _ => Err(Fault::new(Kind::Config, "vault", format!("`{wanted}` is not one of the recipients"))
                .hint("bowline vault recipients list")),
        }
    })?;
    output::say(
        "The next versions are sealed without it. It may have been copied: rotate the keys that it could read.",
    );
    Ok(())
}

/// The key as ssh-agent holds it, after it has shown that it signs the same each time.
fn enrolled(world: &World, key: &Recipient) -> Result<Recipient, Fault> {
    let refuse = |why: &str, hint: &str| Err(Fault::new(Kind::Config, "vault", why).hint(hint));
    let Some(socket) = &world.setup.vault.agent else {
        return refuse(
            "ssh-agent is not allowed to open the vault, or none runs",
            "set `agent = true` in `[vault]` of bowline.toml, and see that SSH_AUTH_SOCK is set",
        );
    };
    let Recipient::Ssh { key, .. } = key else {
        return refuse("ssh-agent holds SSH keys only", "name the key's public half: ~/.ssh/id_ed25519.pub");
    };
    let in_session = world.environment.var("SSH_CONNECTION").is_some();
    if looks_forwarded(in_session, socket, None).is_some() {
        output::say(
            "warning: this ssh-agent looks forwarded: root of every machine that it is forwarded to could open the vault",
        );
    }
    Ok(Recipient::Agent(Enrolment::new(&Agent::new(socket, PATIENCE), key, random_bytes()?)?))
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

fn insist(arguments: &RecipientsChange) -> Insist {
    if arguments.insist { Insist::OnOne } else { Insist::No }
}

fn change(world: &World, change: impl Fn(&Contents) -> Result<Recipients, Fault>) -> Result<(), Fault> {
    Keyring::open(world).change(|contents| {
        contents.recipients = change(contents)?;
        Ok(())
    })
}
