//! Supervised tasks: named, awaited at shutdown, and a panic costs one of them instead of the process.

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

/// A group of tasks with one shutdown signal. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A group that begins its shutdown with this one, or alone. Its tasks are awaited by whoever ends it, not by this
    /// group's [`Tasks::shut_down`].
    #[must_use]
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), shutdown: self.shutdown.child_token() }
    }

    /// Runs `work` in the background. It goes on through shutdown until it ends or the drain time is over.
    #[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let inner = tokio::spawn(work);
        self.tracker.spawn(async move {
            if let Err(failure) = inner.await
                && failure.is_panic()
            {
                error!(task = name, "a task panicked; this is a bug, please report it");
            }
        });
    }

    /// Runs `work` until it ends or shutdown begins, whichever comes first.
    pub fn spawn_until_shutdown(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = work => {}
                () = shutdown.cancelled() => {}
            }
        });
    }

    /// Whether every task has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Resolves when shutdown begins.
    pub fn shutting_down(&self) -> impl Future<Output = ()> + Send + 'static {
        self.shutdown.clone().cancelled_owned()
    }

    /// Whether shutdown has begun.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Begins shutdown without waiting.
    pub fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Begins shutdown and waits for every task, at most `drain`. Returns whether all of them ended.
    pub async fn shut_down(&self, drain: Duration) -> bool {
        self.begin_shutdown();
        self.tracker.close();
        let ended = tokio::time::timeout(drain, self.tracker.wait()).await.is_ok();
        if !ended {
            warn!(left = self.tracker.len(), "tasks did not end in time and are dropped");
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_task_and_shutdown_waits_for_the_rest() {
        let tasks = Tasks::new();
        let (done, wait) = tokio::sync::oneshot::channel();
        tasks.spawn("bad", async { panic!("on purpose") });
        let stopping = tasks.shutting_down();
        tasks.spawn("good", async move {
            stopping.await;
            done.send(()).unwrap();
        });
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
        wait.await.unwrap();
    }
}
