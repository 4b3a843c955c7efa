//! What is counted: by repository and outcome, never by path.

use std::time::Duration;

use bowline_host::metrics::{Counter, Family, Histogram, Metrics};

type Labels<const N: usize> = [(&'static str, String); N];

/// Every counter of this crate. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    requests: Family<Labels<2>, Counter<u64>>,
    sent: Family<Labels<1>, Counter<u64>>,
    fills: Family<Labels<2>, Counter<u64>>,
    calls: Family<Labels<2>, Counter<u64>>,
    joins: Family<Labels<1>, Counter<u64>>,
    latency: Latency,
}

/// Seconds to the head of the upstream's answer, tries included.
#[derive(Clone, Debug)]
struct Latency(Family<Labels<2>, Histogram, fn() -> Histogram>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0]);
        Self(Family::new_with_constructor(histogram))
    }
}

impl Counts {
    /// Makes them visible.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register("artifact_requests", "Requests by repository and outcome", self.requests.clone());
        metrics.register("artifact_sent_bytes", "Bytes of bodies sent, by repository", self.sent.clone());
        metrics.register("artifact_fills", "Fills of the cache by repository and outcome", self.fills.clone());
        metrics.register(
            "artifact_upstream_calls",
            "Questions to upstreams by repository and outcome",
            self.calls.clone(),
        );
        let help = "Seconds to the head of an upstream's answer, by repository and outcome";
        metrics.register("artifact_upstream_seconds", help, self.latency.0.clone());
        metrics.register("artifact_joins", "Requests that joined a fill under way, by repository", self.joins.clone());
    }

    /// The counters of `repository`.
    pub(crate) fn mount(&self, repository: &str) -> MountCounts {
        let counter = |outcome| (outcome, self.requests.get_or_create_owned(&labels(repository, outcome)));
        let sent = self.sent.get_or_create_owned(&[("repository", repository.to_owned())]);
        MountCounts { requests: OUTCOMES.map(counter), sent }
    }

    pub(crate) fn fill(&self, repository: &str, outcome: &'static str) {
        self.fills.get_or_create(&labels(repository, outcome)).inc();
    }

    /// An upstream answered, or did not, after `time`.
    pub(crate) fn upstream(&self, repository: &str, outcome: &'static str, time: Duration) {
        let labels = labels(repository, outcome);
        self.latency.0.get_or_create(&labels).observe(time.as_secs_f64());
        self.calls.get_or_create(&labels).inc();
    }

    pub(crate) fn join(&self, repository: &str) {
        self.joins.get_or_create(&[("repository", repository.to_owned())]).inc();
    }
}

fn labels(repository: &str, outcome: &str) -> Labels<2> {
    [("repository", repository.to_owned()), ("outcome", outcome.to_owned())]
}

/// What became of a request.
pub(crate) const OUTCOMES: [&str; 10] =
    ["hit", "negative", "miss", "joined", "missing", "revalidated", "stale", "pass", "listing", "failed"];

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
