//! What the log counts of itself, for `/metrics`.

use bowline_host::metrics::{Counter, Family, Gauge, Metrics};

use crate::event::Event;

type Labels = Vec<(&'static str, String)>;

/// The numbers of one log; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    records: Family<Labels, Counter>,
    repeats: Counter,
    failures: Family<Labels, Counter>,
    dropped: Family<Labels, Counter>,
    queued: Family<Labels, Gauge>,
    checkpoint_age: Gauge,
}

impl Tally {
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register("audit_records", "Records written down, by event and outcome", self.records.clone());
        metrics.register("audit_repeats", "Records that said nothing new and were left out", self.repeats.clone());
        metrics.register("audit_sink_failures", "Tries of a sink that failed", self.failures.clone());
        metrics.register("audit_dropped_records", "Records that a sink will never have", self.dropped.clone());
        metrics.register("audit_queued_lines", "Lines that wait for a sink", self.queued.clone());
        let age = self.checkpoint_age.clone();
        metrics.register("audit_checkpoint_age_seconds", "Seconds since this process last signed the log", age);
    }

    pub(crate) fn recorded(&self, event: Event) {
        let labels = vec![("event", event.name().to_owned()), ("outcome", event.outcome().to_owned())];
        self.records.get_or_create(&labels).inc();
    }

    pub(crate) fn repeated(&self) {
        self.repeats.inc();
    }

    pub(crate) fn failed(&self, sink: &str) {
        self.failures.get_or_create(&of(sink)).inc();
    }

    pub(crate) fn dropped(&self, sink: &str, records: u64) {
        self.dropped.get_or_create(&of(sink)).inc_by(records);
    }

    pub(crate) fn queued(&self, sink: &str, lines: u64) {
        self.queued.get_or_create(&of(sink)).set(i64::try_from(lines).unwrap_or(i64::MAX));
    }

    pub(crate) fn checkpoint_age(&self, seconds: i64) {
        self.checkpoint_age.set(seconds);
    }
}

fn of(sink: &str) -> Labels {
    vec![("sink", sink.to_owned())]
}
