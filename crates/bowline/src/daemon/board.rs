//! What the running jobs say of themselves, gathered for readiness, status and metrics.

use std::sync::{Arc, Mutex, PoisonError};

use bowline_host::{Check, Job, Verdict, metrics::Metrics};
use serde_json::{Value, json};

use super::process_metrics;

/// The jobs of this process; clones share the list.
#[derive(Clone, Default)]
pub(crate) struct Board {
    jobs: Arc<Mutex<Vec<Posted>>>,
}

/// A job and what it counts: each has a registry of its own, so that a restarted job starts at zero and not twice.
#[derive(Clone)]
struct Posted {
    job: Arc<dyn Job>,
    metrics: Metrics,
}

impl Board {
    /// Adds `job`, in place of one with the same name.
    pub(crate) fn add(&self, job: Arc<dyn Job>, metrics: Metrics) {
        self.remove(job.name());
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(Posted { job, metrics });
    }

    /// Forgets the job called `name`.
    pub(crate) fn remove(&self, name: &str) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.job.name() != name);
    }

    /// Every check of every job, in the order of the jobs.
    pub(crate) fn checks(&self) -> Vec<Check> {
        self.all().iter().flat_map(|posted| posted.job.checks()).collect()
    }

    /// The state of every job, by name.
    pub(crate) fn status(&self) -> Value {
        let jobs: serde_json::Map<String, Value> =
            self.all().iter().map(|posted| (posted.job.name().to_owned(), posted.job.status())).collect();
        json!({ "version": env!("CARGO_PKG_VERSION"), "jobs": jobs, "checks": self.checks() })
    }

    /// The metrics of this process and of every job as one OpenMetrics text.
    pub(crate) fn metrics(&self) -> String {
        let own = process_metrics::of(self.checks());
        let texts = [own].into_iter().chain(self.all().into_iter().map(|posted| posted.metrics)).map(|one| one.text());
        texts.map(|text| text.trim_end_matches("# EOF\n").to_owned()).collect::<String>() + "# EOF\n"
    }

    fn all(&self) -> Vec<Posted> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The worst verdict; nothing to check is fine.
pub(crate) fn overall(checks: &[Check]) -> Verdict {
    let worst = |wanted| checks.iter().any(|check| check.verdict == wanted);
    if worst(Verdict::Failed) {
        Verdict::Failed
    } else if worst(Verdict::Degraded) {
        Verdict::Degraded
    } else {
        Verdict::Ok
    }
}
