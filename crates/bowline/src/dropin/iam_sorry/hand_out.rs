//! `NAME`, `--chown` and the renewal of `--eval`: a user of the namespace, made if there is none, and its temporary
//! credentials in the profile of its name.

use std::time::Duration;

use bowline_base::{Credentials, Fault};

use super::{manager::Manager, task::refused};

pub(super) fn into_profile(
    manager: &Manager<'_>,
    user: &str,
    _profile: &str,
    _duration: Duration,
) -> Result<Credentials, Fault> {
    manager.require_sealed()?;
    Err(refused(format!("TEMP {user}")))
}
