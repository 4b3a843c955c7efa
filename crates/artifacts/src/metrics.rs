//! What is counted: by repository and outcome, never by path.

use bowline_host::metrics::{Counter, Family, Metrics};

type Labels<const N: usize> = [(&'static str, String); N];

/// Every counter of this crate. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    requests: Family<Labels<2>, Counter<u64>>,
    sent: Family<Labels<1>, Counter<u64>>,
    fills: Family<Labels<1>, Counter<u64>>,
    calls: Family<Labels<1>, Counter<u64>>,
    joins: Counter<u64>,
}

impl Counts {
    /// Makes them visible.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register("artifact_requests", "Requests by repository and outcome", self.requests.clone());
        metrics.register("artifact_sent_bytes", "Bytes of bodies sent, by repository", self.sent.clone());
        metrics.register("artifact_fills", "Fills of the cache by outcome", self.fills.clone());
        metrics.register("artifact_upstream_calls", "Questions to upstreams by outcome", self.calls.clone());
        metrics.register("artifact_joins", "Requests that joined a fill under way", self.joins.clone());
    }

    /// The counters of `repository`.
    pub(crate) fn mount(&self, repository: &str) -> MountCounts {
        let labels = |outcome: &str| [("repository", repository.to_owned()), ("outcome", outcome.to_owned())];
        let counter = |outcome| (outcome, self.requests.get_or_create_owned(&labels(outcome)));
        let sent = self.sent.get_or_create_owned(&[("repository", repository.to_owned())]);
        MountCounts { requests: OUTCOMES.map(counter), sent }
    }

    pub(crate) fn fill(&self, outcome: &'static str) {
        self.fills.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    pub(crate) fn upstream(&self, outcome: &'static str) {
        self.calls.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    pub(crate) fn join(&self) {
        self.joins.inc();
    }
}

/// What became of a request.
pub(crate) const OUTCOMES: [&str; 9] =
    ["hit", "negative", "miss", "missing", "revalidated", "stale", "pass", "listing", "failed"];

/// The counters of one repository, found once: a request looks up no label.
#[derive(Clone, Debug)]
pub(crate) struct MountCounts {
    requests: [(&'static str, Counter<u64>); OUTCOMES.len()],
    sent: Counter<u64>,
}

impl MountCounts {
    /// One more request ended with `outcome`.
    pub(crate) fn request(&self, outcome: &'static str) {
        let counter = self.requests.iter().find(|(name, _)| *name == outcome);
        counter.map(|(_, counter)| counter.inc());
    }

    /// What counts the bytes sent.
    pub(crate) fn sent(&self) -> Counter<u64> {
        self.sent.clone()
    }

    /// Requests so far, by outcome.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.requests.iter().map(|(name, counter)| (*name, counter.get()))
    }
}
