//! The vault's part of the daemon's socket: what to ask a person, open, lock, list. Only for the daemon's own user.

use std::time::Duration;

use bowline_base::{Fault, Kind, Secret};
use bowline_host::server::Incoming;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

use super::Vault;
use crate::{
    Broker,
    socket::{Reply, refuse, reply},
};

/// Where each is asked for.
pub(crate) const LIST: &str = "/v1/vault";
pub(crate) const QUESTION: &str = "/v1/vault/question";
pub(crate) const OPEN: &str = "/v1/vault/open";
pub(crate) const LOCK: &str = "/v1/vault/lock";

/// No passphrase that a terminal takes is longer.
const LONGEST_PASSPHRASE: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether a request is for this door; others are only ever read from.
pub(crate) fn is_for(method: &Method, path: &str) -> bool {
    match path {
        LIST | QUESTION => method == Method::GET,
        OPEN | LOCK => method == Method::POST,
        _ => false,
    }
}

/// Answers what [`is_for`] this door.
pub(crate) async fn answer(broker: &Broker, path: &str, body: Incoming) -> Reply {
    let vault = broker.sources().vault().clone();
    let now = broker.sources().wire().now();
    let done = match path {
        OPEN => match passphrase(body).await {
            Ok(typed) => in_thread(vault, move |vault| vault.open_with(&typed, now).map(|()| json!({}))).await,
            Err(fault) => Err(fault),
        },
        LOCK => {
            vault.lock();
            Ok(json!({}))
        }
        QUESTION => in_thread(vault, |vault| Ok(json!({ "question": vault.question() }))).await,
        _ => in_thread(vault, move |vault| Ok(json!(vault.listing(now)?))).await,
    };
    match (path, &done) {
        (OPEN, Ok(_)) => broker.vault_opened(),
        (LOCK, _) => broker.vault_locked(),
        _ => {}
    }
    match done {
        Ok(document) => reply(StatusCode::OK, document.to_string()),
        Err(fault) => refuse(&fault),
    }
}

async fn passphrase(body: Incoming) -> Result<Secret, Fault> {
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, LONGEST_PASSPHRASE).collect()).await;
    let bytes = read.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
    let text = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok().map(Secret::new));
    text.ok_or_else(|| Fault::new(Kind::Config, "daemon", "the passphrase did not arrive whole"))
}

async fn in_thread<T: Send + 'static>(
    vault: Vault,
    work: impl FnOnce(&Vault) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(move || work(&vault)).await;
    done.unwrap_or_else(|cause| Err(Fault::new(Kind::Bug, "vault", "opening the vault broke off").cause(cause)))
}
