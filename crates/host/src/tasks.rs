//! Supervised tasks: named, awaited at shutdown. A panic costs one task instead of the process; whether the group can go
//! on without it is said where it is spawned, and what comes of that is decided by whoever watches the group.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

/// Of the words of a panic.
const LONGEST_REASON: usize = 300;

/// A group of tasks with one shutdown signal. Clones share both.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    /// Why the group cannot do its work any more.
    broken: Arc<watch::Sender<Option<String>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        let broken = Arc::new(watch::Sender::new(None));
        Self { tracker: TaskTracker::new(), shutdown: CancellationToken::new(), broken }
    }
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A group that begins its shutdown with this one, or alone, and breaks with it. Its tasks are awaited by whoever ends
    /// it, not by this group's [`Tasks::shut_down`].
    #[must_use]
    pub fn child(&self) -> Self {
        let (shutdown, broken) = (self.shutdown.child_token(), Arc::clone(&self.broken));
        Self { tracker: TaskTracker::new(), shutdown, broken }
    }

    /// Runs `work` in the background. It goes on through shutdown until it ends or the drain time is over. The group
    /// cannot do without it: a panic breaks the group.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let group = self.clone();
        self.run(name, work, move |why| group.give_up(&format!("`{name}` panicked: {why}")));
    }

    /// As [`Tasks::spawn`] for what serves one request or one client: a panic costs them alone.
    pub fn spawn_request(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.run(name, work, |_| ());
    }

    /// One task: a second one that waits for the first would cost each request a wake-up of another thread.
    fn run(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
        panicked: impl FnOnce(&str) + Send + 'static,
    ) {
        // Boxed once: whatever it is handed through would hold it a second time.
        let work = Box::pin(work);
        self.tracker.spawn(async move {
            if let Err(why) = unless_it_panics(work).await {
                error!(task = name, why, "a task panicked; this is a bug, please report it");
                panicked(&why);
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

    /// Says that the group cannot do its work any more; the first reason stays.
    pub fn give_up(&self, why: &str) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            broken.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// Whether the group has said so.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// Resolves with the reason once the group cannot do its work any more.
    pub fn broken(&self) -> impl Future<Output = String> + Send + 'static {
        // It lives as long as somebody waits.
        let broken = Arc::clone(&self.broken);
        async move {
            let mut seen = broken.subscribe();
            let why = seen.wait_for(Option::is_some).await.map(|why| why.clone().unwrap_or_default());
            match why {
                Ok(why) => why,
                Err(_) => std::future::pending().await,
            }
        }
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

/// Runs `work`, which may wait for a disk or for another process, right here. On a runtime of several threads the other
/// tasks of this one are taken over meanwhile; one of a single thread has nobody who could.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// What comes of `work`, or the words of its panic, which ends here.
///
/// # Errors
/// The words of the panic.
pub async fn unless_it_panics<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        // Whoever lost its work to a panic begins anew: nothing half done is looked at again.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(panic) => Poll::Ready(Err(words(&*panic))),
        }
    })
    .await
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned());
    text.chars().take(LONGEST_REASON).collect()
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

    #[tokio::test]
    async fn a_task_that_panics_breaks_its_group_and_a_request_does_not() {
        let tasks = Tasks::new();
        let child = tasks.child();
        tasks.spawn_request("request", async { panic!("of one client") });
        tasks.spawn("fine", async {});
        assert!(tasks.shut_down(Duration::from_secs(5)).await && !tasks.is_broken());
        child.spawn_until_shutdown("ended", async { panic!("too late") });
        child.spawn("loop", async { panic!("on {}", "purpose") });
        let why = tasks.broken().await;
        assert!(why.ends_with("on purpose") || why.ends_with("too late"), "{why}");
        assert!(tasks.is_broken() && child.is_broken());
    }

    #[tokio::test]
    async fn the_first_reason_stays() {
        let tasks = Tasks::new();
        tasks.give_up("the thread has ended");
        tasks.give_up("something else");
        assert_eq!(tasks.broken().await, "the thread has ended");
    }

    #[tokio::test]
    async fn a_panic_ends_in_its_words() {
        let quiet = || std::future::ready(());
        assert_eq!(unless_it_panics(async { quiet().await }).await, Ok(()));
        let lost = async {
            tokio::task::yield_now().await;
            assert_eq!(1, 2, "numbers");
        };
        assert!(unless_it_panics(lost).await.is_err_and(|why| why.contains("numbers")));
    }
}
