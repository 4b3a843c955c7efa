//! The CONNECT proxy beside tinyproxy and squid, and beside no proxy at all: the same source, the same sink, over loopback,
//! one round after the other.
//!
//! Source and sink are threads of this program and take most of two cores, so the proxy's CPU seconds per GB are the honest
//! figure. Ratios are taken inside a round; what stands in the table is the median of the rounds.

mod load;
mod servers;

use bowline_rig::memory_kib;

use self::{
    load::{Source, tunnels_a_second},
    servers::Contestant,
};
use crate::{Outcome, Tools, programs::percentile, report::Report};

const ROUNDS: usize = 3;
/// What is moved through every proxy: its name, streams, and whether it is a download.
const TRANSFERS: [(&str, usize, bool); 3] =
    [("down, 1 stream", 1, true), ("down, 4 streams", 4, true), ("up, 1 stream", 1, false)];

/// What one proxy did in one round.
struct Round {
    /// Megabytes a second and CPU seconds per GB, by [`TRANSFERS`].
    transfers: Vec<(f64, f64)>,
    tunnels: f64,
}

pub(crate) fn run(tools: &Tools, report: &mut Report) -> Outcome<()> {
    let source = Source::start()?;
    let home = tempfile::Builder::new().prefix("bowline-bench-").tempdir()?;
    let (contestants, missing) = servers::all(tools, home.path(), source.address())?;
    for name in missing {
        report.skip(name, &format!("apt-get install {name}"));
    }
    let mut rounds: Vec<Vec<Round>> = Vec::new();
    for number in 0..ROUNDS {
        // Who is first in a round has no advantage over all of them.
        let mut round: Vec<(usize, Round)> = Vec::new();
        for turn in 0..contestants.len() {
            let index = (number + turn) % contestants.len();
            let seen = measure(&contestants[index], &source);
            round.push((index, seen.map_err(|error| format!("{}: {error}", contestants[index].name))?));
        }
        round.sort_by_key(|(index, _)| *index);
        rounds.push(round.into_iter().map(|(_, seen)| seen).collect());
    }
    for (index, contestant) in contestants.iter().enumerate() {
        tell(report, contestant, index, &rounds)?;
    }
    Ok(())
}

fn measure(contestant: &Contestant, source: &Source) -> Outcome<Round> {
    let transfers = TRANSFERS.iter().map(|(_, streams, down)| {
        let before = contestant.cpu()?;
        let moved = source.transfer(contestant, *streams, *down)?;
        let gigabytes = moved.bytes as f64 / 1e9;
        Ok((gigabytes * 1000.0 / moved.seconds, (contestant.cpu()? - before) / gigabytes))
    });
    Ok(Round {
        transfers: transfers.collect::<Outcome<_>>()?,
        tunnels: tunnels_a_second(contestant, source.address())?,
    })
}

/// Absolute figures, those against no proxy, and for ours the targets.
fn tell(report: &mut Report, contestant: &Contestant, index: usize, rounds: &[Vec<Round>]) -> Outcome<()> {
    let median = |number: &dyn Fn(&[Round]) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(|round| number(round)).collect();
        all.sort_by(f64::total_cmp);
        percentile(&all, 0.5)
    };
    let name = contestant.name;
    for (at, (what, ..)) in TRANSFERS.iter().enumerate() {
        report.say(format!("{name}: {what}"), median(&|round| round[index].transfers[at].0), "MB/s");
        if index == 0 {
            continue;
        }
        report.say("… against no proxy", median(&|round| round[index].transfers[at].0 / round[0].transfers[at].0), "x");
        if contestant.has_targets {
            report.at_least(0.6);
        }
        report.say("… CPU of the proxy", median(&|round| round[index].transfers[at].1), "s/GB");
        if contestant.has_targets {
            report.at_most(0.6);
        }
    }
    report.say(format!("{name}: new connections"), median(&|round| round[index].tunnels), "/s");
    if let Some(id) = contestant.id() {
        report.say(format!("{name}: memory after that"), memory_kib(id, "VmRSS")? as f64 / 1024.0, "MiB");
    }
    Ok(())
}
