//! Hits: CPU of the server for one answer, and answers a second, in rounds that alternate between the servers.

use std::{fs, path::Path, process::Command};

use super::{
    client::sha256,
    servers::{MEMORY_MIB, Server, Stage},
};
use crate::{Outcome, programs::percentile, report::Report};

const WRK: &str = "/usr/bin/wrk";
/// Their median counts: on a machine that does other things too, single rounds differ by half.
const ROUNDS: usize = 7;
/// What counts exactly what wrk prints rounded.
const COUNT: &str = "done = function(s) local e = s.errors; \
    io.write(string.format('counted %d %d %d %d\\n', s.requests, s.bytes, s.duration, e.connect + e.read + e.write + e.status + e.timeout)) end\n";

struct Size {
    name: &'static str,
    key: &'static str,
    bytes: usize,
    /// Seconds of one round.
    seconds: u32,
    /// CPU of Bowline against that of nginx.
    target: f64,
}

const SIZES: [Size; 3] = [
    Size { name: "1 KiB", key: "g/small/1/small-1.jar", bytes: 1 << 10, seconds: 3, target: 0.7 },
    Size { name: "64 KiB", key: "g/middle/1/middle-1.jar", bytes: 64 << 10, seconds: 3, target: 1.0 },
    Size { name: "10 MiB", key: "g/big/1/big-1.jar", bytes: 10 << 20, seconds: 4, target: 1.1 },
];

/// One server's rounds at one size.
#[derive(Default)]
struct Seen {
    /// Microseconds of CPU for an answer.
    cpu: Vec<f64>,
    /// Answers a second.
    rate: Vec<f64>,
}

pub(super) fn run(stage: &Stage, report: &mut Report) -> Outcome<()> {
    if !Path::new(WRK).exists() {
        report.skip("hits", "no wrk; apt-get install wrk");
        return Ok(());
    }
    fs::write(stage.path("count.lua"), COUNT)?;
    let servers = [
        stage.proxy_cache()?,
        stage.bowline("bowline", "cache", "64 MiB")?,
        stage.bowline("bowline, memory off", "cache-off", "0 B")?,
        stage.statics()?,
    ];
    for size in &SIZES {
        let bytes = noise(size.bytes);
        stage.put(size.key, &bytes, bytes.len() as u64)?;
        measure(stage, size, &sha256(&bytes), &servers, report)?;
    }
    let memory = servers[1].memory()?;
    report.say("bowline after that: resident memory", memory, "MiB").at_most(64.0 + MEMORY_MIB);
    report.say("nginx proxy_cache after that: resident memory", servers[0].memory()?, "MiB");
    Ok(())
}

fn measure(stage: &Stage, size: &Size, sum: &str, servers: &[Server; 4], report: &mut Report) -> Outcome<()> {
    let mut seen: [Seen; 4] = Default::default();
    for server in servers {
        server.prove(size.key, sum)?;
    }
    for round in 0..ROUNDS {
        for turn in 0..servers.len() {
            let index = (round + turn) % servers.len();
            load(stage, &servers[index], size, &mut seen[index])?;
        }
    }
    for server in servers {
        server.prove(size.key, sum)?;
    }
    let [nginx, ..] = &seen;
    let (nginx_cpu, nginx_rate) = (median(&nginx.cpu), median(&nginx.rate));
    for (server, seen) in servers.iter().zip(&seen) {
        let (cpu, rate) = (median(&seen.cpu), median(&seen.rate));
        report.say(format!("{}, {}: CPU of an answer", size.name, server.name), cpu, "µs");
        let spread =
            format!("{:.1} to {:.1}", percentile(&sorted(&seen.cpu), 0.0), percentile(&sorted(&seen.cpu), 1.0));
        report
            .note(format!("{spread}; {rate:.0} answers a second, {:.2} times nginx proxy_cache's", rate / nginx_rate));
    }
    for (server, seen) in servers.iter().zip(&seen).skip(1) {
        report.say(format!("{}, {} / nginx proxy_cache", size.name, server.name), median(&seen.cpu) / nginx_cpu, "x");
        if server.name == "bowline" {
            report.at_most(size.target);
        }
    }
    Ok(())
}

fn load(stage: &Stage, server: &Server, size: &Size, seen: &mut Seen) -> Outcome<()> {
    let url = format!("http://{}{}", server.address, server.path(size.key));
    let mut wrk = Command::new(WRK);
    wrk.args(["-t1", "-c64", "--timeout", "30s", "-d"]).arg(format!("{}s", size.seconds));
    wrk.arg("-s").arg(stage.path("count.lua")).arg(url);
    let before = server.cpu()?;
    let output = wrk.output()?;
    let cpu = server.cpu()? - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counted = text.lines().find_map(|line| line.strip_prefix("counted ")).unwrap_or_default();
    let numbers: Vec<f64> = counted.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [requests, bytes, micros, errors] = numbers[..] else { return Err(format!("wrk: {text}").into()) };
    if errors > 0.0 || requests < 1.0 {
        return Err(format!("{}: wrk saw errors: {text}", server.name).into());
    }
    // Of big files many are half sent at the end: their bytes count.
    let answers = if size.bytes > 1 << 20 { bytes / size.bytes as f64 } else { requests };
    seen.cpu.push(cpu * 1e6 / answers);
    seen.rate.push(answers * 1e6 / micros);
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    percentile(&sorted(values), 0.5)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Bytes that do not repeat soon.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}
