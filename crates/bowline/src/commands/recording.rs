//! Writes down what one command does where no daemon does it: who got what, before it leaves, and who was told no.
//!
//! To the file alone: the stdout of a command is its answer. Signed at once, because nobody stays to do it later; the same
//! client with the same lease is in the log once, so this is once per lease.

use bowline_audit::{AuditLog, Record};
use bowline_base::{Credentials, Fault, KeyId, Kind, Secret, Timestamp};
use bowline_credentials::{Handover, Witness, Written, client_behind_this_process};

use super::audit::places;
use crate::{output, world::World};

/// Who writes it down.
pub(crate) fn witness(world: &World) -> Witness {
    Witness::new(AuditLog::new(places(&world.environment, &world.audit), Vec::new()), world.audit.duty())
}

/// `credentials` of `profile`, from `source`, are about to leave for whoever started this command.
///
/// # Errors
/// They must not: it could not be written down.
pub(crate) fn issued(world: &World, profile: &str, credentials: &Credentials, source: &str) -> Result<(), Fault> {
    let witness = witness(world);
    let handover = Handover { client: client_behind_this_process(), profile, credentials, source, duty: None };
    written(world, &witness, witness.issued(world.wire.now(), handover)?);
    Ok(())
}

/// An address that opens the console, made with `credentials` of `profile`, is about to leave.
///
/// # Errors
/// It must not: it could not be written down.
pub(super) fn console(world: &World, profile: &str, credentials: &Credentials, source: &str) -> Result<(), Fault> {
    let witness = witness(world);
    let handover = Handover { client: client_behind_this_process(), profile, credentials, source, duty: None };
    written(world, &witness, witness.console(world.wire.now(), handover)?);
    Ok(())
}

/// The long-lived key `key_id` of `profile` is about to be printed, from `source`.
///
/// # Errors
/// It must not: it could not be written down.
pub(crate) fn revealed(world: &World, profile: &str, key_id: &KeyId, source: &str) -> Result<(), Fault> {
    let credentials = Credentials {
        key_id: key_id.clone(),
        secret_key: Secret::new(""),
        session_token: None,
        expires_at: None,
        obtained_at: Timestamp::UNIX_EPOCH,
        account_id: None,
    };
    let witness = witness(world);
    let handover =
        Handover { client: client_behind_this_process(), profile, credentials: &credentials, source, duty: None };
    written(world, &witness, witness.revealed(world.wire.now(), handover)?);
    Ok(())
}

/// Whoever started this command is told no. An interrupted command was not.
pub(crate) fn refused(world: &World, profile: &str, why: &Fault) {
    if why.kind == Kind::Interrupted {
        return;
    }
    let witness = witness(world);
    match witness.refused(world.wire.now(), client_behind_this_process(), Some(profile), why.chain()) {
        Err(fault) => unwritten(&fault),
        Ok(()) => sign(world, &witness),
    }
}

/// A person did something at this terminal. A log that cannot be written does not stop them.
pub(super) fn note(world: &World, record: Record) {
    let witness = witness(world);
    let record = Record { client: Some(client_behind_this_process()), ..record };
    match witness.note(world.wire.now(), record) {
        Err(fault) => unwritten(&fault),
        Ok(()) => sign(world, &witness),
    }
}

fn written(world: &World, witness: &Witness, outcome: Written) {
    match outcome {
        Written::No(fault) => unwritten(&fault),
        Written::Yes => sign(world, witness),
    }
}

fn sign(world: &World, witness: &Witness) {
    if let Err(fault) = witness.log().sign(world.wire.now()) {
        output::say(&format!("note: the audit log is not signed: {}", fault.chain()));
    }
}

fn unwritten(fault: &Fault) {
    output::say(&format!("note: this is not in the audit log: {}", fault.chain()));
}
