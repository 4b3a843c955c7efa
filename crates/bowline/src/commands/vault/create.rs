//! A new store: to whom it is sealed, the recovery key shown once, and how to open it without us.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use bowline_base::{Fault, Kind, Secret, atomic};
use bowline_credentials::vault::key_file;
use bowline_host::client::random_bytes;
use bowline_vault::{
    ssh::{Doubt, KeyFile},
    store::{
        Contents, Insist, Passphrase, Place, Recipient, Recipients, RecoveryKey, StoreError, StoreId, instructions,
    },
};

use crate::{cli::Creation, output, terminal, world::World};

/// age's own cost: a second or so.
const WORK: u8 = 18;

/// Makes the store if there is none. Whoever else makes it at the same moment has made it.
pub(super) fn if_missing(world: &World, creation: &Creation) -> Result<Place, Fault> {
    let place = Place::new(&world.setup.vault.directory);
    if !matches!(place.recipients(), Err(StoreError::Missing(_))) {
        return Ok(place);
    }
    let mut list = ssh_recipients(world, creation)?;
    let passphrase = if creation.passphrase { Some(passphrase(world)?) } else { None };
    list.extend(passphrase.as_ref().map(|passphrase| passphrase.recipient.clone()));
    let recovery = (!creation.no_recovery_key).then(RecoveryKey::generate);
    list.extend(recovery.as_ref().map(RecoveryKey::recipient));
    let insist = if creation.insist { Insist::OnOne } else { Insist::No };
    let recipients = Recipients::new(list, insist)?;
    if let Some(key) = &recovery {
        hand_over(key, creation.recovery_file.as_deref())?;
    }
    let contents = Contents::new(StoreId::new(random_bytes()?), recipients.clone());
    match place.create(&contents, passphrase.as_ref().map(|passphrase| &*passphrase.file)) {
        Ok(()) => tell(&place, &recipients),
        Err(StoreError::Exists(_) | StoreError::Busy(_)) => {
            output::say("note: somebody else has just made the store; the recovery key above opens nothing");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(place)
}

/// The public half of an SSH key, from either half's file.
pub(super) fn ssh_recipient(path: &Path) -> Result<Recipient, Fault> {
    let bytes = key_file(path)?;
    let line = match KeyFile::parse(&bytes) {
        KeyFile::OpenSsh(header) => {
            if !header.is_protected() {
                let message =
                    format!("note: `{}` has no passphrase: whoever gets the file opens the store", path.display());
                output::say(&format!("{message}; `ssh-keygen -p -f {}` gives it one", path.display()));
            }
            header.public.line()
        }
        KeyFile::Other(_) => std::str::from_utf8(&bytes).unwrap_or_default().trim().to_owned(),
    };
    let (recipient, doubt) = Recipient::from_line(&line).map_err(|error| match error {
        // What was read may be anything, also a secret.
        StoreError::NotARecipient(_) => {
            Fault::new(Kind::Config, "vault", format!("`{}` is no SSH key of OpenSSH", path.display()))
                .hint("name ~/.ssh/id_….pub; an old private key becomes one by: ssh-keygen -p -f KEYFILE")
        }
        other => other.into(),
    })?;
    if let Some(Doubt::ShortRsa(kind)) = doubt {
        output::say(&format!("note: `{}` is {kind}; ed25519 or 4096 bits are better", path.display()));
    }
    Ok(recipient)
}

fn ssh_recipients(world: &World, creation: &Creation) -> Result<Vec<Recipient>, Fault> {
    if !creation.ssh_keys.is_empty() {
        return creation.ssh_keys.iter().map(|path| ssh_recipient(path)).collect();
    }
    let usual = &world.setup.vault.ssh_key;
    if usual.exists() { Ok(vec![ssh_recipient(usual)?]) } else { Ok(Vec::new()) }
}

/// A new passphrase, and the key that it protects.
pub(super) fn passphrase(world: &World) -> Result<Passphrase, Fault> {
    Ok(Passphrase::new(&new_passphrase(world)?, WORK))
}

/// Asked twice, or from the file for places where nobody can be asked.
fn new_passphrase(world: &World) -> Result<Secret, Fault> {
    if let Some(path) = &world.setup.vault.passphrase_file {
        let text = fs::read_to_string(path).map(Secret::new).map_err(|cause| {
            Fault::new(Kind::Config, "vault", format!("cannot read `{}`", path.display())).cause(cause)
        })?;
        return Ok(Secret::new(text.expose().trim_end_matches(['\n', '\r'])));
    }
    let ask = |question: &str| terminal::ask_hidden(question)?.ok_or_else(nobody);
    let first = ask("New passphrase of the vault: ")?;
    if first.is_blank() {
        return Err(Fault::new(Kind::Config, "vault", "an empty passphrase protects nothing"));
    }
    if ask("The same again: ")? == first {
        Ok(first)
    } else {
        Err(Fault::new(Kind::Config, "vault", "the two differ; nothing was made"))
    }
}

fn nobody() -> Fault {
    Fault::new(Kind::LoginRequired, "vault", "a passphrase is needed, and there is no terminal to ask on")
        .hint("run it on a terminal, or set BOWLINE_VAULT_PASSPHRASE_FILE")
}

/// The recovery key leaves before the store is made: a store whose recovery key nobody saw would be worse than a key
/// that opens nothing.
fn hand_over(key: &RecoveryKey, file: Option<&Path>) -> Result<(), Fault> {
    let secret = key.secret();
    match file {
        Some(path) => {
            let text = Secret::new(format!("# recovery key of a bowline vault\n{}\n", secret.expose()));
            let made = OpenOptions::new().write(true).create_new(true).mode(atomic::PRIVATE).open(path);
            let written = made.and_then(|mut file| {
                file.write_all(text.expose().as_bytes())?;
                file.sync_all()
            });
            written.map_err(|cause| {
                Fault::new(Kind::Config, "vault", format!("cannot write the recovery key to `{}`", path.display()))
                    .hint("name a file that does not exist yet, best on another disk")
                    .cause(cause)
            })?;
            output::say(&format!("The recovery key is in `{}`. Keep it away from this machine.", path.display()));
            Ok(())
        }
        None if terminal::show(&format!(
            "Recovery key, shown this once. Write it down:\n\n    {}\n",
            secret.expose()
        ))? =>
        {
            Ok(())
        }
        None => Err(Fault::new(Kind::Config, "vault", "there is no terminal to show the recovery key on")
            .hint("add --recovery-file FILE, best on another disk; or --no-recovery-key")),
    }
}

fn tell(place: &Place, recipients: &Recipients) {
    output::say(&format!("A new vault is in `{}`. Without Bowline it is opened by:", place.directory().display()));
    for way in instructions(place.directory(), recipients) {
        output::say(&format!("  {}   # {}", way.command, way.who));
    }
}
