//! The two text forms of metrics: OpenMetrics for who asks for it, and the older one that every scraper, `curl` and
//! `promtool` read.
//!
//! They differ in little: the older one calls a counter by the name of its sample, and knows neither units nor an end.

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text form 0.0.4.
    Plain,
}

impl Exposition {
    /// The form for a client that accepts `accept`: OpenMetrics only where it is named.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The same numbers in this form.
    #[must_use]
    pub fn of(self, openmetrics: String) -> String {
        match self {
            Self::OpenMetrics => openmetrics,
            Self::Plain => plain(&openmetrics),
        }
    }
}

/// The help of a counter stands before its type, so it waits until that is known.
fn plain(openmetrics: &str) -> String {
    let (mut text, mut help) = (String::with_capacity(openmetrics.len()), None);
    for line in openmetrics.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            help = told.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|told| told.split_once(' ')) {
            let ending = if kind == "counter" { "_total" } else { "" };
            if let Some((_, words)) = help.take().filter(|(helped, _)| *helped == name) {
                text.extend(["# HELP ", name, ending, " ", words, "\n"]);
            }
            let kind = if kind == "unknown" { "untyped" } else { kind };
            text.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Counter, Gauge, Metrics};

    #[test]
    fn the_older_form_calls_a_counter_by_its_sample() {
        let metrics = Metrics::default();
        metrics.register("hits", "Answers from the cache", Counter::<u64>::default());
        metrics.register("peers", "Known", Gauge::<i64>::default());
        let text = Exposition::Plain.of(metrics.text());
        assert_eq!(
            text,
            "# HELP bowline_hits_total Answers from the cache.\n# TYPE bowline_hits_total counter\nbowline_hits_total 0\n\
             # HELP bowline_peers Known.\n# TYPE bowline_peers gauge\nbowline_peers 0\n"
        );
        assert!(Exposition::OpenMetrics.of(metrics.text()).ends_with("# EOF\n"));
    }

    #[test]
    fn openmetrics_is_for_who_names_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Exposition::accepted(Some(prometheus)), Exposition::OpenMetrics);
        assert_eq!(Exposition::accepted(Some("*/*")), Exposition::Plain);
        assert_eq!(Exposition::accepted(None), Exposition::Plain);
    }
}
