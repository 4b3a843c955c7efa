//! Which private key opens the store: those that need no person first, then what a passphrase opens.

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use bowline_base::{Fault, Kind, Secret};
use bowline_vault::{
    agent::Agent,
    ssh::{Header, KeyFile},
    store::{Place, Recipient, RecoveryKey, StoreError, Unlocked},
};

use super::{VaultSetup, key_file};

/// How long an ssh-agent may take: somebody may have to confirm it.
const AGENT: Duration = Duration::from_secs(30);
/// A passphrase or a recovery key is shorter.
const LONGEST: u64 = 16 * 1024;

/// A key that opens the store and takes nobody to ask; `None` where there is none.
pub(super) fn without_a_person(setup: &VaultSetup, place: &Place) -> Result<Option<Unlocked>, Fault> {
    if let Some(path) = &setup.recovery_key_file {
        return Ok(Some(Unlocked::recovery(&RecoveryKey::parse(&secret_of(path)?)?)));
    }
    if let Some(path) = &setup.passphrase_file {
        let text = secret_of(path)?;
        return with_passphrase(setup, place, &Secret::new(text.expose().trim_end_matches(['\n', '\r']))).map(Some);
    }
    if recipient(setup, place)?.is_some_and(|header| !header.is_protected()) {
        return Ok(Some(Unlocked::ssh_key(&key_file(&setup.ssh_key)?, None)?));
    }
    let enrolled =
        || place.recipients().is_ok_and(|(_, list)| list.iter().any(|one| matches!(one, Recipient::Agent(_))));
    match setup.agent.as_ref().filter(|_| enrolled()) {
        Some(socket) => Ok(Some(Unlocked::agent(Box::new(Agent::new(socket, AGENT))))),
        None => Ok(None),
    }
}

/// The key that `passphrase` opens: the SSH key where it is a recipient, else the store's own.
pub(super) fn with_passphrase(setup: &VaultSetup, place: &Place, passphrase: &Secret) -> Result<Unlocked, Fault> {
    let of_store = place.passphrase_file()?;
    let of_ssh = match recipient(setup, place)? {
        Some(header) if header.is_protected() => Some(Unlocked::ssh_key(&key_file(&setup.ssh_key)?, Some(passphrase))),
        _ => None,
    };
    match (of_ssh, of_store) {
        (Some(Ok(key)), _) => Ok(key),
        (Some(Err(StoreError::WrongPassphrase)) | None, Some(file)) => Ok(Unlocked::passphrase(&file, passphrase)?),
        (Some(Err(error)), _) => Err(error.into()),
        (None, None) => Err(Fault::new(Kind::Config, "vault", "no passphrase opens this vault from this machine")
            .hint("bowline vault recover")),
    }
}

/// What a person is asked for; `None` when no passphrase opens the store.
pub(super) fn question(setup: &VaultSetup, place: &Place) -> Option<String> {
    let of_ssh = recipient(setup, place).ok().flatten().is_some_and(|header| header.is_protected());
    if of_ssh {
        return Some(format!("Passphrase of {}, which opens the vault: ", setup.ssh_key.display()));
    }
    place.passphrase_file().ok().flatten().map(|_| "Passphrase of the vault: ".to_owned())
}

/// The header of the SSH key file if that key is a recipient. A file that is missing or something else is none.
fn recipient(setup: &VaultSetup, place: &Place) -> Result<Option<Header>, Fault> {
    let (_, list) = place.recipients()?;
    let Ok(bytes) = key_file(&setup.ssh_key) else { return Ok(None) };
    let KeyFile::OpenSsh(header) = KeyFile::parse(&bytes) else { return Ok(None) };
    let on_list = list.iter().any(|one| matches!(one, Recipient::Ssh { key, .. } if *key == header.public));
    Ok(on_list.then_some(header))
}

/// A secret in a file of its own.
fn secret_of(path: &Path) -> Result<Secret, Fault> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    let text = Secret::new(text);
    match read {
        Ok(_) => Ok(text),
        Err(cause) => Err(Fault::new(Kind::Config, "vault", format!("cannot read `{}`", path.display())).cause(cause)),
    }
}
