//! What a process has cost so far, as the kernel counts it.

use std::fs;

use crate::Outcome;

/// Ticks of the times in `/proc`, on every Linux that there is.
const TICKS_A_SECOND: f64 = 100.0;

/// User and system time of all its threads.
///
/// # Errors
/// It has ended.
pub fn cpu_seconds(process: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // The 14th and the 15th field; the first two stand before the parenthesis.
    let ticks = |number: usize| fields.get(number).and_then(|text| text.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("`/proc/PID/stat` cannot be read")?;
    Ok((user + system) / TICKS_A_SECOND)
}

/// A line of `/proc/PID/status`: `VmRSS` now, `VmHWM` at most so far.
///
/// # Errors
/// It has ended.
pub fn memory_kib(process: u32, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or("no such line")?)
}

/// How many descriptors it has open.
///
/// # Errors
/// It has ended.
pub fn open_files(process: u32) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}
