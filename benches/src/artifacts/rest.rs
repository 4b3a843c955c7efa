//! What else was promised: a miss that begins when the upstream does, one fill in constant memory for a crowd, a start
//! that does not wait for the cache.

use std::{
    fs::{self, File},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    client::{Look, get, sha256},
    servers::{MEMORY_MIB, Server, Stage},
};
use crate::{
    Outcome,
    programs::{memory, percentile},
    report::Report,
};

const MISSES: usize = 200;
const CROWD: usize = 50;
const BIG: u64 = 500 << 20;
const CACHED: u32 = 200_000;

pub(super) fn run(stage: &Stage, report: &mut Report) -> Outcome<()> {
    misses(stage, report)?;
    crowd(stage, report)?;
    start(stage, report)
}

/// In pairs, so that both see the same machine.
fn misses(stage: &Stage, report: &mut Report) -> Outcome<()> {
    let server = stage.bowline("bowline, misses", "cache-misses", "64 MiB")?;
    let key = |number: usize| format!("g/miss/{number}/miss-{number}.jar");
    for number in 0..MISSES {
        stage.put(&key(number), &[7; 32 << 10], 32 << 10)?;
    }
    let mut late = Vec::new();
    for number in 0..MISSES {
        let upstream = get(stage.origin.address, &stage.origin.path(&key(number)), Look::PastIt)?;
        let ours = get(server.address, &server.path(&key(number)), Look::PastIt)?;
        if ours.header("x-bowline-cache") != "miss" || ours.length != upstream.length {
            return Err(format!("no miss: {}", ours.head).into());
        }
        late.push((ours.first_byte.as_secs_f64() - upstream.first_byte.as_secs_f64()) * 1000.0);
    }
    late.sort_by(f64::total_cmp);
    report.say("miss: first byte after the upstream's, median", percentile(&late, 0.5), "ms").at_most(2.0);
    report.say("… 9 of 10 below", percentile(&late, 0.9), "ms").note(format!("{MISSES} keys, 32 KiB"));
    Ok(())
}

/// The file is a hole at the origin, so that only we are measured.
fn crowd(stage: &Stage, report: &mut Report) -> Outcome<()> {
    let key = "g/crowd/1/crowd-1.jar";
    stage.put(key, b"begins", BIG)?;
    let server = stage.bowline("bowline, crowd", "cache-crowd", "64 MiB")?;
    let before = server.memory()?;
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let (peak, read) = thread::scope(|scope| -> Outcome<(f64, u64)> {
        let watch = scope.spawn(|| peak(&server, &done));
        let ask = || get(server.address, &server.path(key), Look::PastIt).map(|answer| answer.length);
        let crowd: Vec<_> = (0..CROWD).map(|_| scope.spawn(move || ask().map_err(|error| error.to_string()))).collect();
        let read = crowd.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("panicked".to_owned())));
        let read: Result<u64, String> = read.sum();
        done.store(true, Ordering::Relaxed);
        Ok((watch.join().unwrap_or(f64::NAN), read?))
    })?;
    if read != BIG * CROWD as u64 {
        return Err(format!("the crowd read {read} bytes").into());
    }
    report.say("500 MiB miss, 50 clients at once: memory at most", peak, "MiB").at_most(64.0 + MEMORY_MIB);
    report.note(format!("{before:.1} MiB before; all served after {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

fn peak(server: &Server, done: &AtomicBool) -> f64 {
    let mut most = 0.0_f64;
    while !done.load(Ordering::Relaxed) {
        most = most.max(server.memory().unwrap_or(0.0));
        thread::sleep(Duration::from_millis(20));
    }
    most
}

/// Holes again: only names, sizes and times are read at the start.
fn start(stage: &Stage, report: &mut Report) -> Outcome<()> {
    for shard in 0..=255_u8 {
        fs::create_dir_all(stage.path(&format!("cache-full/v1/{shard:02x}")))?;
    }
    for number in 0..CACHED {
        let name = sha256(&number.to_le_bytes());
        File::create(stage.path(&format!("cache-full/v1/{}/{name}", &name[..2])))?.set_len(4096)?;
    }
    let begun = Instant::now();
    let server = stage.starting("bowline, full cache", "cache-full", "64 MiB")?;
    let first = loop {
        if get(server.address, "/healthz", Look::PastIt).is_ok_and(|answer| answer.is_ok()) {
            break begun.elapsed();
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("it does not start".into());
        }
        thread::sleep(Duration::from_millis(1));
    };
    report.say("start with 200,000 cached files: first answer", first.as_secs_f64() * 1000.0, "ms").at_most(100.0);
    thread::sleep(Duration::from_secs(3));
    report.say("… memory after the sweep", memory(server.id(), "VmRSS")?, "MiB").at_most(64.0 + MEMORY_MIB);
    Ok(())
}
