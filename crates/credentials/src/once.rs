//! One set of credentials for one command, without a daemon: the same sources and leases, driven by the command itself.

use bowline_base::{Credentials, Fault};
use tracing::warn;

use crate::source::{Resolved, Sources};

/// Credentials for `resolved`: fresh ones, else the last good set while it lasts, else the reason.
///
/// # Errors
/// What keeps them from coming; its hint is the next command.
pub async fn credentials(sources: &Sources, resolved: &Resolved) -> Result<Credentials, Fault> {
    let fault = match sources.credentials(resolved, None).await {
        Ok(credentials) => return Ok(credentials),
        Err(fault) => fault,
    };
    let entry = sources.store().read(&sources.lease_id(resolved));
    let Some(last_good) = entry.usable(sources.wire().now()) else { return Err(fault) };
    warn!(
        profile = resolved.profile,
        reason = %fault.chain(),
        hint = fault.hint.as_deref().unwrap_or_default(),
        "the last good credentials are used until they end"
    );
    Ok(last_good.clone())
}
