//! Credentials for one command: from the daemon if it answers for this context, else through the leases on disk.

use std::{sync::Arc, time::Duration};

use bowline_base::{Credentials, Fault, Kind, Secret};
use bowline_credentials::{
    ENVIRONMENT, RECURSION_MARK, Sources,
    client::{self, Answer, GoAlone},
    delivery,
    mfa::Codes,
    once,
};
use bowline_host::Tasks;

use crate::{
    cli::MfaCode,
    output,
    terminal::Terminal,
    world::{World, small_runtime},
};

/// The longest that a refresh, once sent, may keep a command that has its answer.
const DRAIN: Duration = Duration::from_secs(10);

/// The `credential_process` document of `profile`.
pub(crate) fn document(world: &World, profile: &str, mfa: &MfaCode) -> Result<Secret, Fault> {
    match from_daemon(world, profile, mfa) {
        Some(answer) => answer,
        None => delivery::process_json(&alone(world, profile, mfa)?, world.wire.now().wall),
    }
}

/// The credentials of `profile`, for the other ways out.
pub(crate) fn credentials(world: &World, profile: &str, mfa: &MfaCode) -> Result<Credentials, Fault> {
    let Some(answer) = from_daemon(world, profile, mfa) else { return alone(world, profile, mfa) };
    let document = answer?;
    delivery::read_process_json(document.expose().as_bytes(), world.wire.now().wall)
        .map_err(|why| Fault::new(Kind::Bug, "daemon", format!("the daemon's answer {why}")))
}

/// `None`: go alone. So does a `credential_process` that the daemon itself may have started, since it would wait for
/// itself; who has an MFA code or can be asked for one; and who means this environment and not the daemon's.
fn from_daemon(world: &World, profile: &str, mfa: &MfaCode) -> Option<Result<Secret, Fault>> {
    if world.environment.var(RECURSION_MARK).is_some() || mfa.mfa_code.is_some() || profile == ENVIRONMENT {
        return None;
    }
    match client::credentials(&world.environment.socket(), &world.setup.context(), profile) {
        Ok(Answer::Good(document)) => Some(Ok(document)),
        Ok(Answer::Fault(fault)) if fault.kind == Kind::LoginRequired && asks_a_person(world, profile) => None,
        Ok(Answer::Fault(fault)) => Some(Err(fault)),
        Err(GoAlone::NoDaemon(_)) => None,
        Err(reason) => {
            output::say(&format!("note: {reason}; going on without it"));
            None
        }
    }
}

fn asks_a_person(world: &World, profile: &str) -> bool {
    world.aws_config().is_ok_and(|config| config.resolve(profile).is_ok_and(|source| source.asks_a_person()))
}

fn alone(world: &World, profile: &str, mfa: &MfaCode) -> Result<Credentials, Fault> {
    small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let codes = Codes { given: mfa.mfa_code.clone(), prompt: Some(Arc::new(Terminal)) };
        let sources = sources.with_codes(codes);
        let answer = match sources.resolve(profile) {
            Ok(resolved) => {
                resolved.notes().iter().for_each(|note| output::say(&format!("note: {note}")));
                once::credentials(&sources, &resolved).await
            }
            Err(fault) => Err(fault),
        };
        tasks.shut_down(DRAIN).await;
        answer
    })
}
