//! Keys that lie sealed: opened for whoever asks, and never written to a lease.

use bowline_awsfiles::{SealedKeys, SealedPlace};
use bowline_base::{Credentials, Fault, KeyId, Kind, Secret};

use super::Sources;
use crate::vault::{Vault, is_locked};

/// How often a person is asked before we give up.
const TRIES: usize = 3;

pub(super) async fn credentials(sources: &Sources, keys: &SealedKeys) -> Result<Credentials, Fault> {
    let wall = sources.wire().now().wall;
    let (key_id, secret_key, session_token) = match &keys.place {
        SealedPlace::Envelope { key_id, secret_key } => {
            let (profile, key_id, secret_key) = (keys.profile.clone(), key_id.clone(), secret_key.clone());
            let opened = in_thread(sources, move |vault| vault.open_envelope(&profile, &key_id, &secret_key)).await?;
            (opened.key_id, opened.secret_key, None)
        }
        SealedPlace::Store => {
            let found = from_store(sources, &keys.profile).await?;
            (found.key_id, found.secret_key, found.session_token)
        }
    };
    Ok(Credentials {
        key_id: KeyId::new(key_id.expose()),
        secret_key,
        session_token,
        expires_at: None,
        obtained_at: wall,
        account_id: keys.account_id.clone(),
    })
}

/// From the store; whoever can be asked for its passphrase is.
async fn from_store(sources: &Sources, profile: &str) -> Result<bowline_vault::Keys, Fault> {
    let (now, name) = (sources.wire().now(), profile.to_owned());
    match in_thread(sources, move |vault| vault.keys(&name, now)).await {
        Err(fault) if is_locked(&fault) => {
            if !open(sources).await? {
                return Err(fault);
            }
            let name = profile.to_owned();
            in_thread(sources, move |vault| vault.keys(&name, now)).await
        }
        other => other,
    }
}

/// Asks for the passphrase until it is right; `false` where nobody can be asked.
pub(crate) async fn open(sources: &Sources) -> Result<bool, Fault> {
    let Some(prompt) = sources.codes().prompt else { return Ok(false) };
    let Some(question) = sources.vault().question() else { return Ok(false) };
    let now = sources.wire().now();
    let mut wrong = None;
    for _ in 0..TRIES {
        let Some(typed) = prompt.ask_hidden(&question).await? else { return Ok(false) };
        let typed = Secret::new(typed.expose().trim_end_matches(['\n', '\r']));
        match in_thread(sources, move |vault| vault.open_with(&typed, now)).await {
            Ok(()) => return Ok(true),
            Err(fault) if fault.kind == Kind::Refused => {
                prompt.tell(&fault.message);
                wrong = Some(fault);
            }
            Err(fault) => return Err(fault),
        }
    }
    wrong.map_or(Ok(false), Err)
}

/// Opening takes up to a second of computing: not on a thread that others wait for.
async fn in_thread<T: Send + 'static>(
    sources: &Sources,
    work: impl FnOnce(&Vault) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let vault = sources.vault().clone();
    let done = tokio::task::spawn_blocking(move || work(&vault)).await;
    done.unwrap_or_else(|cause| Err(Fault::new(Kind::Bug, "vault", "opening the vault broke off").cause(cause)))
}
