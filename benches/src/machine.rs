//! On what machine, and what else it was doing.

use std::{fs, thread};

/// Processor, cores, kernel, load.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("?", |(_, name)| name.trim());
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}\n{}", kernel.trim(), load())
}

/// The load of the last minutes: much above 0 at the start, and somebody else was measured too.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let minutes: Vec<&str> = load.split_whitespace().take(3).collect();
    format!("load average: {}", minutes.join(" "))
}

/// That of the last minute alone, for a cell of a table.
pub(crate) fn load_of_a_minute() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_owned()
}
