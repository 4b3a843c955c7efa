//! Credentials for one command: from the daemon if it answers for this context, else through the leases on disk.

use std::{sync::Arc, time::Duration};

use bowline_base::{Credentials, Fault, Kind, Secret};
use bowline_credentials::{
    RECURSION_MARK, Sources,
    client::{self, Answer, GoAlone},
    delivery, once,
};
use bowline_host::Tasks;

use crate::{
    output,
    world::{World, small_runtime},
};

/// The longest that a refresh, once sent, may keep a command that has its answer.
const DRAIN: Duration = Duration::from_secs(10);

/// The `credential_process` document of `profile`.
pub(crate) fn document(world: &World, profile: &str) -> Result<Secret, Fault> {
    match from_daemon(world, profile) {
        Some(answer) => answer,
        None => delivery::process_json(&alone(world, profile)?, world.wire.now().wall),
    }
}

/// The credentials of `profile`, for the other ways out.
pub(crate) fn credentials(world: &World, profile: &str) -> Result<Credentials, Fault> {
    let Some(answer) = from_daemon(world, profile) else { return alone(world, profile) };
    let document = answer?;
    delivery::read_process_json(document.expose().as_bytes(), world.wire.now().wall)
        .map_err(|why| Fault::new(Kind::Bug, "daemon", format!("the daemon's answer {why}")))
}

/// `None`: go alone. So does a `credential_process` that the daemon itself may have started: it would wait for itself.
fn from_daemon(world: &World, profile: &str) -> Option<Result<Secret, Fault>> {
    if world.environment.var(RECURSION_MARK).is_some() {
        return None;
    }
    match client::credentials(&world.environment.socket(), &world.setup.context(), profile) {
        Ok(Answer::Good(document)) => Some(Ok(document)),
        Ok(Answer::Fault(fault)) => Some(Err(fault)),
        Err(GoAlone::NoDaemon(_)) => None,
        Err(reason) => {
            output::say(&format!("note: {reason}; going on without it"));
            None
        }
    }
}

fn alone(world: &World, profile: &str) -> Result<Credentials, Fault> {
    small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let answer = match sources.resolve(profile) {
            Ok(resolved) => once::credentials(&sources, &resolved).await,
            Err(fault) => Err(fault),
        };
        tasks.shut_down(DRAIN).await;
        answer
    })
}
