//! What this process says of itself on `/metrics`: version, start, memory, descriptors, and every check as a number.

use std::{collections::BTreeMap, fs};

use bowline_host::{
    Check, Verdict, clock,
    metrics::{Kind, Labels, Metrics, Reading},
};

/// All of it, as of now.
pub(super) fn of(checks: Vec<Check>) -> Metrics {
    let metrics = Metrics::default();
    metrics.ask(move || [build(), states(&checks)].into_iter().chain(usage()).collect());
    metrics
}

fn build() -> Reading {
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    gauge("build_info", "1, with the version of this program", vec![(version, 1)])
}

/// One line a check and verdict, 1 for the one that holds: what an alert waits for.
fn states(checks: &[Check]) -> Reading {
    let verdicts = [(Verdict::Ok, "ok"), (Verdict::Degraded, "degraded"), (Verdict::Failed, "failed")];
    let of_check = |check: &Check| {
        let (id, holds) = (check.id.clone(), check.verdict);
        verdicts.map(|(verdict, word)| {
            (vec![("check", id.clone()), ("verdict", word.to_owned())], u64::from(holds == verdict))
        })
    };
    // Two jobs may look at the same thing; a number may have one line only.
    let mut values = BTreeMap::<Labels, u64>::new();
    for (labels, value) in checks.iter().flat_map(of_check) {
        let known = values.entry(labels).or_default();
        *known = value.max(*known);
    }
    gauge("check_state", "1 for the verdict that a check of this process has", values.into_iter().collect())
}

/// What the system says that this process uses; nothing where it does not say.
fn usage() -> Vec<Reading> {
    let plain = |name, help, value: Option<u64>| value.map(|value| gauge(name, help, vec![(Labels::new(), value)]));
    let told = [
        plain("process_resident_memory_bytes", "Memory that this process holds", resident()),
        plain("process_open_descriptors", "Files and sockets that this process holds open", descriptors()),
        plain("process_start_timestamp_seconds", "Unix time at which this process started", started()),
    ];
    told.into_iter().flatten().collect()
}

fn gauge(name: &'static str, help: &'static str, values: Vec<(Labels, u64)>) -> Reading {
    Reading { name, help, kind: Kind::Gauge, values }
}

fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

fn descriptors() -> Option<u64> {
    // Reading the directory is one more.
    u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok()
}

/// The 22nd field counts ticks from the start of the machine.
fn started() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: u64 = text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let (now, since_boot) = (clock::now(), ticks / rustix::param::clock_ticks_per_second());
    let age = now.boot.as_secs().saturating_sub(since_boot);
    u64::try_from(now.wall.as_second()).ok()?.checked_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_one_line_a_verdict_and_the_process_a_size() {
        let check = |verdict| Check { id: "artifacts.cache".to_owned(), verdict, why: String::new(), fix: None };
        let text = of(vec![check(Verdict::Degraded), check(Verdict::Ok)]).text();
        let line = |verdict: &str| format!("bowline_check_state{{check=\"artifacts.cache\",verdict=\"{verdict}\"}} ");
        assert!(text.contains(&(line("degraded") + "1")) && text.contains(&(line("failed") + "0")), "{text}");
        assert_eq!(text.matches(&line("ok")).count(), 1, "{text}");
        let resident = text.lines().find_map(|line| line.strip_prefix("bowline_process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<u64>().unwrap() > 1 << 20, "{text}");
        assert!(text.contains("bowline_process_start_timestamp_seconds 1"), "{text}");
    }
}
