//! Programs by the stopwatch: how long from their start to their end, what they cost, how much memory they need.

use std::{
    fs, io,
    io::Read as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::Outcome;

/// Ticks of the times in `/proc`, on every Linux that there is.
const TICKS_A_SECOND: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(20);

/// Some runs of one program.
pub(crate) struct Runs {
    /// From start to end, sorted, in milliseconds.
    wall: Vec<f64>,
    /// User and system time of one run, in milliseconds.
    pub(crate) cpu: f64,
}

impl Runs {
    pub(crate) fn median(&self) -> f64 {
        percentile(&self.wall, 0.5)
    }

    pub(crate) fn p99(&self) -> f64 {
        percentile(&self.wall, 0.99)
    }
}

/// The value below which `share` of the sorted `values` lie.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a list")]
    let index = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// Runs `command` `count` times, one after the other, after two that do not count. Each must succeed.
pub(crate) fn runs(count: u32, mut command: impl FnMut() -> Command) -> Outcome<Runs> {
    let mut once = || -> Outcome<f64> {
        let mut command = command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed().as_secs_f64() * 1000.0;
        if status.success() { Ok(time) } else { Err(format!("{command:?}: {status}").into()) }
    };
    once()?;
    once()?;
    let before = children()?;
    let mut wall = (0..count).map(|_| once()).collect::<Outcome<Vec<f64>>>()?;
    let cpu = (children()? - before) * 1000.0 / f64::from(count);
    wall.sort_by(f64::total_cmp);
    Ok(Runs { wall, cpu })
}

/// The most memory that `command` had when it printed, in MiB: it is held up at that moment by a pipe that is full.
pub(crate) fn peak_memory(mut command: Command) -> Outcome<f64> {
    let (mut reader, mut writer) = io::pipe()?;
    fill(&mut writer)?;
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).spawn()?;
    // The command holds a copy of the pipe.
    drop(command);
    let (start, mut last, mut steady) = (Instant::now(), 0.0, 0);
    while steady < 15 && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
        let peak = memory(child.id(), "VmHWM")?;
        steady = if peak > 0.0 && (peak - last).abs() < f64::EPSILON { steady + 1 } else { 0 };
        last = peak;
    }
    let mut all = Vec::new();
    reader.read_to_end(&mut all)?;
    let status = child.wait()?;
    if status.success() && steady >= 15 { Ok(last) } else { Err(format!("it did not hold still: {status}").into()) }
}

/// A line of `/proc/PID/status` in MiB: `VmRSS` now, `VmHWM` at most so far.
pub(crate) fn memory(pid: u32, name: &str) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
    Ok(kib / 1024.0)
}

/// Nothing more goes in until somebody reads.
fn fill(writer: &mut io::PipeWriter) -> io::Result<()> {
    use io::Write as _;
    let flags = fcntl_getfl(&*writer)?;
    fcntl_setfl(&*writer, flags | OFlags::NONBLOCK)?;
    for size in [4096, 1] {
        while writer.write(&vec![b' '; size]).is_ok() {}
    }
    fcntl_setfl(&*writer, flags)?;
    Ok(())
}

/// User and system time of all children that have ended, in seconds.
fn children() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |number: usize| fields.get(number).and_then(|text| text.parse::<f64>().ok());
    // The 16th and the 17th field; the first two stand before the parenthesis.
    let both = ticks(13).zip(ticks(14)).ok_or("`/proc/self/stat` cannot be read")?;
    Ok((both.0 + both.1) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_timed_and_weighed() {
        let runs = runs(3, || Command::new("true")).unwrap();
        assert!(runs.median() > 0.0 && runs.p99() >= runs.median() && runs.cpu >= 0.0);
        let mut echo = Command::new("sh");
        echo.args(["-c", "echo here"]);
        assert!((0.1..50.0).contains(&peak_memory(echo).unwrap()));
        assert!(super::runs(1, || Command::new("false")).is_err());
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!(
            (percentile(&values, 0.99) - 99.0).abs() < f64::EPSILON
                && (percentile(&values, 1.0) - 100.0).abs() < f64::EPSILON
        );
        assert!(percentile(&[], 0.5).is_nan());
    }
}
