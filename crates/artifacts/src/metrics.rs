//! What is counted: by repository and outcome, never by path.

use std::time::Duration;

use bowline_host::metrics::{Counter, Family, Histogram, Metrics};

type Labels<const N: usize> = [(&'static str, String); N];

/// Every counter of this crate. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    requests: Family<Labels<2>, Counter<u64>>,
    sent: Family<Labels<1>, Counter<u64>>,
    fills: Family<Labels<1>, Counter<u64>>,
    calls: Family<Labels<1>, Counter<u64>>,
    joins: Counter<u64>,
    latency: Latency,
}

/// Seconds to the head of the upstream's answer, tries included.
#[derive(Clone, Debug)]
struct Latency(Histogram);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0]))
    }
}

impl Counts {
    /// Makes them visible.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register("artifact_requests", "Requests by repository and outcome", self.requests.clone());
        metrics.register("artifact_sent_bytes", "Bytes of bodies sent, by repository", self.sent.clone());
        metrics.register("artifact_fills", "Fills of the cache by outcome", self.fills.clone());
        metrics.register("artifact_upstream_calls", "Questions to upstreams by outcome", self.calls.clone());
        let help = "Seconds to the head of an upstream's answer";
        metrics.register("artifact_upstream_seconds", help, self.latency.0.clone());
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

    /// An upstream answered, or did not, after `time`.
    pub(crate) fn upstream(&self, outcome: &'static str, time: Duration) {
        self.latency.0.observe(time.as_secs_f64());
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
