//! The vault and the manager's key: whether the store is there and something here opens it, and whether the key that
//! makes users is sealed. Nothing is opened, and nobody is asked for a passphrase.

use bowline_host::Check;
use bowline_vault::store::Place;

use super::{Patient, ids, verdict::*};
use crate::keyring::{Form, Keyring};

/// Whether there is a store.
pub(super) fn applies(patient: &Patient) -> bool {
    patient.world.setup.vault.directory.join("recipients.txt").exists()
}

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let vault = &patient.world.setup.vault;
    let shown = vault.directory.display();
    let recipients = match Place::new(&vault.directory).recipients() {
        Ok((_, recipients)) => recipients.iter().count(),
        Err(error) => return vec![from_fault(ids::VAULT_STORE, &error.into())],
    };
    let store = ok(ids::VAULT_STORE, format!("`{shown}` is sealed to {recipients} recipients"));
    let files = [Some(&vault.ssh_key), vault.passphrase_file.as_ref(), vault.recovery_key_file.as_ref()];
    let key = files.into_iter().flatten().find(|path| path.exists());
    let passphrase = vault.directory.join("passphrase.age").exists();
    vec![store, judge_key(key.map(|path| path.display().to_string()).as_deref(), passphrase, vault.agent.is_some())]
}

fn judge_key(file: Option<&str>, passphrase: bool, agent: bool) -> Check {
    let id = ids::VAULT_KEY;
    match (file, passphrase, agent) {
        (Some(file), ..) => ok(id, format!("`{file}` may open it")),
        (None, true, _) => ok(id, "a passphrase opens it"),
        (None, false, true) => ok(id, "ssh-agent may open it"),
        (None, false, false) => {
            failed(id, "no SSH key, passphrase or agent here opens it", Some("bowline vault recover".to_owned()))
        }
    }
}

/// Whether somebody manages users here.
pub(super) fn manages(patient: &Patient) -> bool {
    let profile = patient.settings().delegation.manager_profile;
    patient.world.aws_config().is_ok_and(|config| config.profile(&profile).is_ok())
}

/// The manager's key, as it lies.
pub(super) fn manager(patient: &Patient) -> Vec<Check> {
    let (id, profile) = (ids::DELEGATION_KEY, patient.settings().delegation.manager_profile);
    vec![match Keyring::open(&patient.world).form(&profile) {
        Ok(Form::Store) => ok(id, format!("the key of `{profile}` is in the vault")),
        Ok(Form::Envelope) => ok(id, format!("the key of `{profile}` is sealed in the AWS files")),
        Ok(Form::Plain) => degraded(
            id,
            format!("the long-lived key of `{profile}`, which makes users, lies in plaintext"),
            format!("bowline vault migrate {profile}"),
        ),
        Err(fault) => from_fault(id, &fault),
    }]
}

#[cfg(test)]
mod tests {
    use bowline_host::Verdict;

    use super::*;

    #[test]
    fn a_store_that_nothing_here_opens_is_a_failure() {
        assert_eq!(judge_key(None, false, false).verdict, Verdict::Failed);
        for (file, passphrase, agent) in [(Some("/k"), false, false), (None, true, false), (None, false, true)] {
            assert_eq!(judge_key(file, passphrase, agent).verdict, Verdict::Ok);
        }
    }
}
