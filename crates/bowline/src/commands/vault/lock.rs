//! `bowline vault lock`: the daemon wipes the opened store.

use bowline_base::Fault;
use bowline_credentials::client::{self, Answer, GoAlone};

use crate::{output, unlock, world::World};

pub(super) fn run(world: &World) -> Result<(), Fault> {
    match client::vault_lock(&world.environment.socket(), &world.context()) {
        Ok(Answer::Good(_)) => output::say("The vault is locked."),
        Ok(Answer::Fault(fault)) => return Err(fault),
        Err(GoAlone::NoDaemon(_)) => output::say("No daemon runs, so nothing holds the vault open."),
        Err(other) => return Err(unlock::lost(&other)),
    }
    Ok(())
}
