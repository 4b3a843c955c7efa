//! Asks the store what other servers have changed, every second or two, and longer apart while it does not answer.

use std::{sync::Arc, time::Duration};

use bowline_base::{backoff, wire::Wire};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    clerk::News,
    store::{Mark, Store},
};

/// Between two questions: one `GetParameter`, or a look at a directory.
const USUAL: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30);
/// However nothing seems to change, everything is read again: what was written and never announced is found.
const EVERYTHING: Duration = Duration::from_secs(600);

/// Reads until nobody listens.
pub(crate) async fn read(
    store: Arc<dyn Store>,
    wire: Arc<dyn Wire>,
    generation: watch::Receiver<u64>,
    news: mpsc::Sender<News>,
    mut mark: Mark,
) {
    let (mut failures, mut whole_at) = (0, wire.now().boot);
    loop {
        wire.sleep(pause(failures, wire.entropy())).await;
        let now = wire.now().boot;
        if now.saturating_sub(whole_at) >= EVERYTHING {
            (mark, whole_at) = (Mark::default(), now);
        }
        let before = *generation.borrow();
        let outcome = store.changes(&mark).await;
        failures = if outcome.is_ok() { 0 } else { failures + 1 };
        let (outcome, next) = match outcome {
            Ok(Some((changes, next))) => (Ok(Some(changes)), Some(next)),
            Ok(None) => (Ok(None), None),
            Err(error) => (Err(error), None),
        };
        let (taken, answer) = oneshot::channel();
        if news.send(News { generation: before, outcome, taken }).await.is_err() {
            return;
        }
        if answer.await.unwrap_or(false)
            && let Some(next) = next
        {
            mark = next;
        }
    }
}

fn pause(failures: u32, entropy: u64) -> Duration {
    USUAL + if failures == 0 { Duration::ZERO } else { backoff::full_jitter(failures, USUAL, LONGEST, entropy) }
}
