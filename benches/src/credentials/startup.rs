//! How long the program takes to say anything at all, and to be ready.

use std::{
    os::unix::net::UnixDatagram,
    process::Stdio,
    time::{Duration, Instant},
};

use super::world::World;
use crate::{
    Outcome,
    programs::{percentile, runs},
    report::Report,
};

const PATIENCE: Duration = Duration::from_secs(10);
const STARTS: usize = 20;

pub(super) fn measure(world: &World, report: &mut Report) -> Outcome<()> {
    let help = runs(200, || world.bowline(&["--help"]))?;
    report.say("`bowline --help`: median", help.median(), "ms").at_most(5.0);
    report.say("… 99 of 100 below", help.p99(), "ms").say("… CPU", help.cpu, "ms");
    let mut times = (0..STARTS).map(|_| until_ready(world)).collect::<Outcome<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    report.say("`bowline run`, from its start to READY=1: median", percentile(&times, 0.5), "ms").at_most(100.0);
    report.say("… longest", percentile(&times, 1.0), "ms").note(format!("of {STARTS} starts, a lease on disk"));
    Ok(())
}

/// In milliseconds, as a supervisor hears of it.
fn until_ready(world: &World) -> Outcome<f64> {
    let place = world.path("notify");
    std::fs::remove_file(&place).ok();
    let supervisor = UnixDatagram::bind(&place)?;
    supervisor.set_read_timeout(Some(PATIENCE))?;
    let config = world.path("bowline.toml").display().to_string();
    let mut command = world.bowline(&["run", "--config", &config]);
    command.env("NOTIFY_SOCKET", &place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut daemon = command.spawn()?;
    let mut message = [0; 100];
    let heard = supervisor.recv(&mut message);
    let time = start.elapsed().as_secs_f64() * 1000.0;
    daemon.kill().ok();
    daemon.wait()?;
    if message[..heard?].starts_with(b"READY=1") { Ok(time) } else { Err("it said something else first".into()) }
}
