//! How the log stands, for status and checks: in memory, and never behind a lock that is held while a disk is waited for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bowline_base::{Fault, Timestamp};

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Why a sink does not work, by its name.
    failing: BTreeMap<&'static str, String>,
    /// The number of the last line of this process.
    last: u64,
    /// When this process last signed.
    signed: Option<Timestamp>,
}

impl Standing {
    pub(crate) fn fails(&self, sink: &'static str, why: &Fault) {
        self.state().failing.insert(sink, why.chain());
    }

    pub(crate) fn works(&self, sink: &'static str) {
        self.state().failing.remove(sink);
    }

    pub(crate) fn is_failing(&self, sink: &'static str) -> bool {
        self.state().failing.contains_key(sink)
    }

    pub(crate) fn failing(&self) -> BTreeMap<&'static str, String> {
        self.state().failing.clone()
    }

    /// `line` is this process's last one.
    pub(crate) fn wrote(&self, line: u64) {
        self.state().last = line;
    }

    pub(crate) fn signed(&self, at: Timestamp) {
        self.state().signed = Some(at);
    }

    /// The number of the last line that this process wrote, and when it signed last.
    pub(crate) fn reached(&self) -> (u64, Option<Timestamp>) {
        let state = self.state();
        (state.last, state.signed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
