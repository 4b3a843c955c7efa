//! The one registry behind `/metrics`. Every name begins with `bowline_`; labels hold names from the configuration
//! (profiles, repositories) and outcomes, never a path, an address or a secret.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{
    encoding::text::encode,
    registry::{Metric, Registry},
};

pub use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// Where a job registers what it counts. Clones share the registry.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("bowline"))))
    }
}

impl Metrics {
    /// Registers `metric` as `bowline_<name>`; counters get `_total` when shown, so leave it off here.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).map(|()| text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_shown_with_prefix_and_total() {
        let metrics = Metrics::default();
        let hits = Counter::<u64>::default();
        metrics.register("artifact_hits", "Answers from the cache", hits.clone());
        hits.inc();
        assert!(metrics.text().contains("bowline_artifact_hits_total 1"), "{}", metrics.text());
    }
}
