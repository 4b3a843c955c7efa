//! `bowline vault recipients`: who can open the store. A change seals it anew, so it has to be opened.

use std::{path::Path, time::Duration};

use bowline_base::{Fault, Kind};
use bowline_host::client::random_bytes;
use bowline_vault::{
    agent::{Agent, Enrolment, looks_forwarded},
    store::{Insist, Place, Recipient, Recipients},
};

use super::create::ssh_recipient;
use crate::{
    cli::{RecipientsAdd, RecipientsChange},
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
    let named = read(&arguments.change.key)?;
    let new = if arguments.ssh_agent { enrolled(world, &named)? } else { named };
    let name = new.to_string();
    change(world, &arguments.change, |mut list| {
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
