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

    pub(crate) fn request(&self, repository: &str, outcome: &'static str) {
        let labels = [("repository", repository.to_owned()), ("outcome", outcome.to_owned())];
        self.requests.get_or_create(&labels).inc();
    }

    /// What counts the bytes sent from `repository`.
    pub(crate) fn sent(&self, repository: &str) -> Counter<u64> {
        self.sent.get_or_create(&[("repository", repository.to_owned())]).clone()
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

    /// Requests so far that ended with `outcome`.
    pub(crate) fn requests(&self, repository: &str, outcome: &'static str) -> u64 {
        let labels = [("repository", repository.to_owned()), ("outcome", outcome.to_owned())];
        self.requests.get_or_create(&labels).get()
    }
}
