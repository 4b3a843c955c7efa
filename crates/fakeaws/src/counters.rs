//! Counts calls by operation and outcome, and how many of a kind were in flight at once.

use std::collections::BTreeMap;

/// Calls so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls by `service.Operation[.detail].outcome`, for example `sts.AssumeRole.ok` or `s3.GetObject.400.ExpiredToken`.
    pub calls: BTreeMap<String, u64>,
    /// Most calls in flight at one moment, by `service.Operation`, and by `service.Operation bucket/key` for objects.
    pub peaks: BTreeMap<String, u64>,
    /// Calls so far by `service.Operation bucket/key`.
    pub objects: BTreeMap<String, u64>,
}

impl Counts {
    /// The sum of all calls whose name begins with `prefix`.
    #[must_use]
    pub fn sum(&self, prefix: &str) -> u64 {
        self.calls.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
    }
}

/// The counters and what is in flight now.
#[derive(Default)]
pub(crate) struct Counters {
    counts: Counts,
    in_flight: BTreeMap<String, u64>,
}

impl Counters {
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Forgets what was counted; calls in flight stay in flight.
    pub(crate) fn clear(&mut self) {
        self.counts = Counts::default();
    }

    pub(crate) fn count(&mut self, name: String) {
        *self.counts.calls.entry(name).or_default() += 1;
    }

    pub(crate) fn object(&mut self, name: &str) {
        *self.counts.objects.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn begin(&mut self, names: &[String]) {
        for name in names {
            let now = self.in_flight.entry(name.clone()).or_default();
            *now += 1;
            let peak = self.counts.peaks.entry(name.clone()).or_default();
            *peak = (*peak).max(*now);
        }
    }

    pub(crate) fn end(&mut self, names: &[String]) {
        for name in names {
            if let Some(now) = self.in_flight.get_mut(name) {
                *now = now.saturating_sub(1);
            }
            if self.in_flight.get(name) == Some(&0) {
                self.in_flight.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_most_at_one_moment() {
        let mut counters = Counters::default();
        let name = ["s3.GetObject".to_owned()];
        counters.begin(&name);
        counters.begin(&name);
        counters.end(&name);
        counters.begin(&name);
        assert_eq!(counters.counts().peaks["s3.GetObject"], 2);
    }
}
