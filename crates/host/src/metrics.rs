//! The one registry behind `/metrics`. Every name begins with `bowline_`; labels hold names from the configuration
//! (profiles, repositories) and outcomes, never a path, an address or a secret.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
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

    /// Shows what `source` answers whenever somebody looks: for a job that counts in its own way.
    pub fn ask(&self, source: impl Fn() -> Vec<Reading> + Send + Sync + 'static) {
        let asked = Asked(Box::new(source));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(asked));
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).map(|()| text).unwrap_or_default()
    }
}

/// Numbers of one name at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Without `bowline_` and `_total`.
    pub name: &'static str,
    /// What it counts, for a person.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// Each with its labels.
    pub values: Vec<(Labels, u64)>,
}

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It grows from the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Where readings come from.
struct Asked(Box<dyn Fn() -> Vec<Reading> + Send + Sync>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl Collector for Asked {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for reading in (self.0)() {
            let kind = match reading.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(reading.name, reading.help, None, kind)?;
            if let [(labels, value)] = reading.values.as_slice()
                && labels.is_empty()
            {
                reading.kind.encode(*value, metric)?;
                continue;
            }
            for (labels, value) in &reading.values {
                reading.kind.encode(*value, metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

impl Kind {
    fn encode(self, value: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter => ConstCounter::new(value).encode(encoder),
            Self::Gauge => ConstGauge::new(value).encode(encoder),
        }
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

    #[test]
    fn readings_are_taken_when_somebody_looks() {
        let metrics = Metrics::default();
        let count = Arc::new(Mutex::new(0));
        let source = Arc::clone(&count);
        metrics.ask(move || {
            let value = *source.lock().unwrap();
            let drops = vec![(vec![("reason", "replay".to_owned())], value), (vec![("reason", "mac".to_owned())], 1)];
            let peers = vec![(Vec::new(), 7)];
            vec![
                Reading { name: "drops", help: "Dropped", kind: Kind::Counter, values: drops },
                Reading { name: "peers", help: "Known", kind: Kind::Gauge, values: peers },
            ]
        });
        *count.lock().unwrap() = 5;
        let text = metrics.text();
        for line in
            ["bowline_drops_total{reason=\"replay\"} 5", "bowline_drops_total{reason=\"mac\"} 1", "bowline_peers 7"]
        {
            assert!(text.lines().any(|told| told == line), "no `{line}` in\n{text}");
        }
    }
}
