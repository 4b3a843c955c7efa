//! The tunnel beside `wireguard-go` with a TUN: the same client, the same targets, one round after the other.
//!
//! The client is the bound of every throughput here, so the server's CPU seconds per GB are the honest figure. Ratios are
//! taken inside a round; what stands in the table is the median of the rounds.

mod load;
mod servers;

use std::{thread, time::Duration};

use bowline_rig::{Direction, Link, Path, Relay, Rig, cpu_seconds, memory_kib, missing};
use rustix::process::{Resource, getrlimit, setrlimit};

use self::{
    load::{Transfer, connections_a_second, idle_flows, ping, transfer},
    servers::{Contestant, Server},
};
use crate::{Outcome, Tools, report::Report};

const ROUNDS: usize = 2;
const IDLE_FLOWS: usize = 10_000;
/// What is measured of every server: its name, streams, and whether it is a download.
const TRANSFERS: [(&str, u32, bool); 4] = [
    ("up, 1 stream", 1, false),
    ("down, 1 stream", 1, true),
    ("up, 4 streams", 4, false),
    ("down, 4 streams", 4, true),
];

pub(crate) fn run(tools: &Tools, report: &mut Report) -> Outcome<()> {
    if let Some(why) = missing() {
        report.skip("everything", &why);
        return Ok(());
    }
    raise_file_limit();
    let contestants = Contestant::all(tools);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(contestants.iter().map(measure).collect::<Outcome<Vec<_>>>()?);
    }
    for (other, contestant) in contestants.iter().enumerate().skip(1) {
        compare(report, contestant, other, &rounds);
    }
    for (index, contestant) in contestants.iter().enumerate() {
        absolute(report, contestant, index, &rounds);
    }
    memory(&contestants[0], report)?;
    for contestant in &contestants {
        long_path(contestant, report)?;
    }
    Ok(())
}

/// What one server did in one round.
struct Round {
    transfers: Vec<Transfer>,
    connections: f64,
    /// Milliseconds: with nothing else going on, and under a full download.
    ping: [f64; 2],
}

fn measure(contestant: &Contestant) -> Outcome<Round> {
    let (rig, server) = connected(contestant)?;
    let cpu = || cpu_seconds(server.id());
    let transfers = TRANSFERS.iter().map(|(_, streams, down)| transfer(&rig, *streams, *down, &cpu));
    let transfers = transfers.collect::<Outcome<Vec<_>>>()?;
    let connections = connections_a_second(&rig)?;
    let idle = ping(&rig)?;
    let busy = thread::scope(|scope| {
        let download = scope.spawn(|| transfer(&rig, 1, true, &cpu));
        // The download has to be under way.
        thread::sleep(Duration::from_millis(500));
        let busy = ping(&rig);
        download.join().map_err(|_| "the download panicked")??;
        busy
    })?;
    Ok(Round { transfers, connections, ping: [idle, busy] })
}

fn connected(contestant: &Contestant) -> Outcome<(Rig, Server)> {
    let mut rig = contestant.rig()?;
    let server = contestant.start(&rig)?;
    rig.connect(0)?;
    load::settle(&rig)?;
    Ok((rig, server))
}

/// Ours against `contestants[other]`, with the targets of the design.
fn compare(report: &mut Report, contestant: &Contestant, other: usize, rounds: &[Vec<Round>]) {
    let name = &contestant.name;
    let ratio = |number: &dyn Fn(&Round) -> f64| {
        median(rounds.iter().map(|round| number(&round[0]) / number(&round[other])).collect())
    };
    for (index, (what, _, _)) in TRANSFERS.iter().enumerate() {
        report.say(format!("{what}: Mbit/s against {name}"), ratio(&|round| round.transfers[index].megabits), "x");
        report.at_least(1.1);
        report.say("… server CPU per GB", ratio(&|round| round.transfers[index].cpu_per_gb), "x");
        report.at_most(contestant.cpu_target);
    }
    report.say(format!("new connections a second against {name}"), ratio(&|round| round.connections), "x");
    report.at_least(0.8);
}

fn absolute(report: &mut Report, contestant: &Contestant, index: usize, rounds: &[Vec<Round>]) {
    let name = &contestant.name;
    let of = |number: &dyn Fn(&Round) -> f64| median(rounds.iter().map(|round| number(&round[index])).collect());
    for (at, (what, _, _)) in TRANSFERS.iter().enumerate() {
        report.say(format!("{name}: {what}"), of(&|round| round.transfers[at].megabits), "Mbit/s");
        report.say("… server CPU", of(&|round| round.transfers[at].cpu_per_gb), "s/GB");
    }
    report.say(format!("{name}: new connections"), of(&|round| round.connections), "/s");
    report.say(format!("{name}: ping, idle"), of(&|round| round.ping[0]), "ms");
    let more = of(&|round| round.ping[1] - round.ping[0]);
    report.say("… more of it under a full download", more, "ms");
    if index == 0 {
        report.at_most(20.0);
    }
}

fn memory(ours: &Contestant, report: &mut Report) -> Outcome<()> {
    let (rig, server) = connected(ours)?;
    // What is the process's own, and the pages of the program's file that happen to be mapped: those are the system's, which
    // has them once for all processes and takes them back when it needs room.
    let [own, file] = ["RssAnon", "RssFile"].map(|name| memory_kib(server.id(), name));
    let (own, file) = (own?, file?);
    report.say("memory with one client, idle: its own", own as f64 / 1024.0, "MiB").at_most(8.0);
    report.say("… pages of the program's file beside it", file as f64 / 1024.0, "MiB");
    let flows = idle_flows(&rig, IDLE_FLOWS)?;
    let each = memory_kib(server.id(), "RssAnon")?.saturating_sub(own) as f64 / IDLE_FLOWS as f64;
    report.say(format!("memory for each of {IDLE_FLOWS} idle connections"), each, "KiB").at_most(40.0);
    drop(flows);
    Ok(())
}

/// 20 ms each way, and one of 200 datagrams toward the client lost.
fn long_path(contestant: &Contestant, report: &mut Report) -> Outcome<()> {
    for (words, loss) in [("0.5 % loss", 0.005), ("no loss", 0.0)] {
        let mut rig = contestant.rig()?;
        let server = contestant.start(&rig)?;
        let far = Path { delay: Duration::from_millis(20), loss: 0.0 };
        let relay = Relay::start(&rig.clients[0].namespace, rig.endpoint(0), far, far)?;
        rig.connect_by(0, &Link::to(relay.address()))?;
        load::settle(&rig)?;
        relay.change(Direction::Down, Path { loss, ..far });
        let down = transfer(&rig, 1, true, &|| cpu_seconds(server.id()))?;
        report.say(format!("{}: down at 40 ms and {words}", contestant.name), down.megabits, "Mbit/s");
    }
    Ok(())
}

/// One end of every idle connection is ours.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    crate::programs::percentile(&numbers, 0.5)
}
