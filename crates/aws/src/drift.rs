//! How far AWS's clock is from ours, learnt by host from answers that refuse a signature for its time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// One host's clock against ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Host, with the port where it is not the usual one.
    pub host: String,
    /// Seconds that the host is ahead of us; negative when we are ahead.
    pub seconds: i64,
}

/// What was learnt so far, shared by every clone of an `Aws`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drifts(Arc<Mutex<BTreeMap<String, i64>>>);

impl Drifts {
    pub(crate) fn of(&self, host: &str) -> i64 {
        self.locked().get(host).copied().unwrap_or(0)
    }

    pub(crate) fn learn(&self, host: &str, seconds: i64) {
        self.locked().insert(host.to_owned(), seconds);
    }

    pub(crate) fn all(&self) -> Vec<Drift> {
        self.locked().iter().map(|(host, seconds)| Drift { host: host.clone(), seconds: *seconds }).collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
