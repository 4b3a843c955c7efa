//! Credentials for one command: from the daemon if it answers for this context, else through the leases on disk.

use std::{sync::Arc, time::Duration};

use bowline_awsfiles::Config;
use bowline_base::{Credentials, Fault, Kind, Secret};
use bowline_credentials::{
    RECURSION_MARK, Setup, Sources,
    client::{self, Answer, GoAlone},
    delivery, is_of_the_environment,
    mfa::Codes,
    once,
    vault::is_locked,
};
use bowline_host::Tasks;
use tokio::signal::unix::{SignalKind, signal};

use super::recording;
use crate::{
    cli::MfaCode,
    environment::Environment,
    output,
    terminal::Terminal,
    unlock,
    world::{World, small_runtime},
};

/// The longest that a refresh, once sent, may keep a command that has its answer.
const DRAIN: Duration = Duration::from_secs(10);

/// The credentials of `profile`, for the other ways out.
pub(crate) fn credentials(world: &World, profile: &str, mfa: &MfaCode) -> Result<Credentials, Fault> {
    let Some(answer) = from_daemon(&world.environment, &world.setup, &world.context(), profile, mfa) else {
        return alone(world, profile, mfa);
    };
    let document = answer?;
    delivery::read_process_json(document.expose().as_bytes(), world.wire.now().wall)
        .map_err(|why| Fault::new(Kind::Bug, "daemon", format!("the daemon's answer {why}")))
}

/// `None`: go alone. So does a `credential_process` that the daemon itself may have started, since it would wait for
/// itself; who has an MFA code or can be asked for one; and who means this environment and not the daemon's.
pub(super) fn from_daemon(
    environment: &Environment,
    setup: &Setup,
    context: &str,
    profile: &str,
    mfa: &MfaCode,
) -> Option<Result<Secret, Fault>> {
    let started_by_it = environment.var(RECURSION_MARK).is_some();
    if started_by_it || mfa.mfa_code.is_some() || is_of_the_environment(setup, profile) {
        return None;
    }
    match client::credentials(&environment.socket(), context, profile) {
        Ok(Answer::Good(document)) => Some(Ok(document)),
        Ok(Answer::Fault(fault)) if is_locked(&fault) => match unlock::through_daemon(environment, context) {
            Ok(true) => again(environment, context, profile),
            Ok(false) => None,
            Err(fault) => Some(Err(fault)),
        },
        Ok(Answer::Fault(fault)) if fault.kind == Kind::LoginRequired && asks_a_person(setup, profile) => None,
        Ok(Answer::Fault(fault)) => Some(Err(fault)),
        Err(GoAlone::NoDaemon(_)) => None,
        Err(reason) => {
            output::say(&format!("note: {reason}; going on without it"));
            None
        }
    }
}

/// With the vault open now.
fn again(environment: &Environment, context: &str, profile: &str) -> Option<Result<Secret, Fault>> {
    match client::credentials(&environment.socket(), context, profile).ok()? {
        Answer::Good(document) => Some(Ok(document)),
        Answer::Fault(fault) => Some(Err(fault)),
    }
}

fn asks_a_person(setup: &Setup, profile: &str) -> bool {
    Config::load(&setup.locations)
        .is_ok_and(|config| config.resolve(profile).is_ok_and(|source| source.asks_a_person()))
}

/// The same without asking the daemon; then it is written down here.
pub(crate) fn alone(world: &World, profile: &str, mfa: &MfaCode) -> Result<Credentials, Fault> {
    let outcome = with_sources(world, async |sources, _tasks| {
        let sources = sources.clone().with_codes(codes(mfa));
        let resolved = sources.resolve(profile)?;
        resolved.notes().iter().for_each(|note| output::say(&format!("note: {note}")));
        Ok((once::credentials(&sources, &resolved).await?, resolved.describe()))
    });
    let (credentials, source) = outcome.inspect_err(|fault| recording::refused(world, profile, fault))?;
    recording::issued(world, profile, &credentials, &source)?;
    Ok(credentials)
}

/// The code that was given, else whoever sits at the terminal is asked.
pub(super) fn codes(mfa: &MfaCode) -> Codes {
    Codes { given: mfa.mfa_code.clone(), prompt: Some(Arc::new(Terminal)) }
}

/// Runs `work`; whatever ends it, also Ctrl-C and SIGTERM, a refresh that was begun is finished and saved first.
pub(super) fn with_sources<T>(
    world: &World,
    work: impl AsyncFnOnce(&Sources, &Tasks) -> Result<T, Fault>,
) -> Result<T, Fault> {
    small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let outcome = tokio::select! {
            outcome = work(&sources, &tasks) => outcome,
            fault = interrupted() => Err(fault),
        };
        tasks.shut_down(DRAIN).await;
        outcome
    })
}

/// `work` to its end, or to the first signal that asks for the end.
pub(crate) async fn until_interrupted<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        outcome = work => outcome,
        fault = interrupted() => Err(fault),
    }
}

/// Resolves with the fault to end with when a signal asks for the end.
async fn interrupted() -> Fault {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else { return std::future::pending().await };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Fault::new(Kind::Interrupted, "signal", "interrupted")
}
