//! The one contract between the daemon and what it runs.

use std::sync::Arc;

use bowline_base::{BoxFuture, Fault, wire::Wire};
use serde::Serialize;

use crate::{Listeners, Notifier, Tasks, metrics::Metrics};

/// What a job is handed when it starts.
#[derive(Clone)]
pub struct Ctx {
    /// The network, the clocks and random numbers.
    pub wire: Arc<dyn Wire>,
    /// The job's own group: ended when the job is.
    pub tasks: Tasks,
    /// The process's sockets.
    pub listeners: Listeners,
    /// The process's metrics.
    pub metrics: Metrics,
    /// Tells people what needs them.
    pub notifier: Notifier,
}

/// A verdict of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Works.
    Ok,
    /// Works, but not as it should: served from what is left.
    Degraded,
    /// Does not work.
    Failed,
}

/// One line of `/readyz`, `status` and `doctor`.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// A stable name, `artifacts.upstream`.
    pub id: String,
    /// How it stands.
    pub verdict: Verdict,
    /// Why, for a person.
    pub why: String,
    /// The next command, where one helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// A part of the daemon that runs until it is told to stop.
pub trait Job: Send + Sync {
    /// `artifacts`, `credentials`: the section of the configuration.
    fn name(&self) -> &'static str;

    /// Starts the job inside `ctx.tasks`; resolves when it is up (sockets bound), not when it ends.
    ///
    /// # Errors
    /// What keeps it from coming up.
    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>>;

    /// What `status --output json` shows.
    fn status(&self) -> serde_json::Value;

    /// How it stands, for readiness and for people.
    fn checks(&self) -> Vec<Check>;
}
