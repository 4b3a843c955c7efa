//! The one registry behind `/metrics`. Every name begins with `bowline_`; labels hold names from the configuration
//! (profiles, repositories) and outcomes, never a path, an address or a secret.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, text::encode},
    metrics::{MetricType, counter::ConstCounter, exemplar::Exemplar, gauge::ConstGauge},
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

    /// The same for how long things took.
    pub fn ask_times(&self, source: impl Fn() -> Vec<Times> + Send + Sync + 'static) {
        let asked = AskedTimes(Box::new(source));
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
    /// A time that goes up and down: given in microseconds, shown in seconds.
    Time,
}

/// Times of one name: a histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// Without `bowline_`; ends in `_seconds`.
    pub name: &'static str,
    /// What took so long, for a person.
    pub help: &'static str,
    /// The times.
    pub spread: Spread,
}

/// How often things took how long: plain numbers, for a thread that shares nothing and may not wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    counts: [u64; BOUNDS.len() + 1],
    micros: u64,
}

/// Up to how many microseconds each count goes; the last one takes the rest.
const BOUNDS: [u64; 12] =
    [500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000];

impl Spread {
    /// One more.
    pub fn observe(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place] += 1;
        self.micros = self.micros.saturating_add(micros);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|micros| in_seconds(*micros)).chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }
}

/// Where times come from.
struct AskedTimes(Box<dyn Fn() -> Vec<Times> + Send + Sync>);

impl fmt::Debug for AskedTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskedTimes")
    }
}

impl Collector for AskedTimes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Times { name, help, spread } in (self.0)() {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            let (sum, none) = (in_seconds(spread.micros), None::<&HashMap<usize, Exemplar<Labels, f64>>>);
            metric.encode_histogram(sum, spread.count(), &spread.buckets(), none)?;
        }
        Ok(())
    }
}

fn in_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
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
                Kind::Gauge | Kind::Time => MetricType::Gauge,
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
            Self::Time => ConstGauge::new(in_seconds(value)).encode(encoder),
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
    #[test]
    fn times_are_shown_in_seconds() {
        let metrics = Metrics::default();
        let mut spread = Spread::default();
        [300, 500, 501, 7_000_000].into_iter().for_each(|micros| spread.observe(Duration::from_micros(micros)));
        assert_eq!(spread.count(), 4);
        metrics.ask_times(move || vec![Times { name: "waits_seconds", help: "Waits", spread }]);
        let longest = vec![(Vec::new(), 1_500)];
        metrics.ask(move || {
            vec![Reading { name: "longest_seconds", help: "Longest", kind: Kind::Time, values: longest.clone() }]
        });
        let text = metrics.text();
        for line in [
            "bowline_waits_seconds_sum 7.001301",
            "bowline_waits_seconds_count 4",
            "bowline_waits_seconds_bucket{le=\"0.0005\"} 2",
            "bowline_waits_seconds_bucket{le=\"0.001\"} 3",
            "bowline_waits_seconds_bucket{le=\"2.5\"} 3",
            "bowline_waits_seconds_bucket{le=\"+Inf\"} 4",
            "bowline_longest_seconds 0.0015",
        ] {
            assert!(text.lines().any(|told| told == line), "no `{line}` in\n{text}");
        }
    }
}
