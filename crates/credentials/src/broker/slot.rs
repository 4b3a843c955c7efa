//! What is in memory for one profile or session: a snapshot that is replaced whole and read without waiting.

use std::sync::Arc;

use bowline_base::{Credentials, Fault, KeyId, Kind, Now, Unavailable};
use tokio::sync::watch as snapshot;

use crate::{lease_store::LeaseId, renewal::Lease};

/// What is in memory for one name. Readers take the whole snapshot, so nobody sees half of two sets.
pub(super) struct Slot(pub(super) snapshot::Sender<Snapshot>);

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) lease: Option<Lease>,
    pub(super) fault: Option<Arc<Fault>>,
    /// When the failures began of which `fault` is the last.
    pub(super) failing_since: Option<Now>,
    pub(super) source: String,
    /// They are long-lived keys that lie sealed: they go when the vault is locked.
    pub(super) sealed: bool,
    /// The entry of the lease store: another one means that the profile was rewritten.
    pub(super) id: Option<LeaseId>,
    /// Fetches that have ended, well or not.
    pub(super) settled: u64,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self(snapshot::Sender::new(Snapshot::default()))
    }

    /// Forgets everything but who waits.
    pub(super) fn empty(&self) {
        self.0.send_modify(|snapshot| *snapshot = Snapshot { settled: snapshot.settled, ..Snapshot::default() });
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.0.borrow().clone()
    }

    /// The set in memory, if AWS would take it.
    pub(super) fn current(&self, now: Now) -> Result<Arc<Credentials>, Unavailable> {
        let held = self.0.borrow();
        if let Some(credentials) = held.credentials.as_ref().filter(|credentials| credentials.usable_at(now.wall)) {
            return Ok(Arc::clone(credentials));
        }
        Err(held.fault.as_ref().map_or_else(pending, |fault| Unavailable(Arc::clone(fault))))
    }

    /// As [`Slot::current`]; where the refused key could not be replaced, the reason.
    pub(super) fn current_but(&self, rejected: &KeyId, now: Now) -> Result<Arc<Credentials>, Unavailable> {
        let current = self.current(now)?;
        let fault = self.0.borrow().fault.clone();
        match fault {
            Some(fault) if current.key_id == *rejected => Err(Unavailable(fault)),
            _ => Ok(current),
        }
    }
}

fn pending() -> Unavailable {
    Fault::new(Kind::Unreachable, "broker", "the credentials are still being fetched").into()
}
