//! The broker: `bowline creds` beside boto3, the AWS CLI and a shell; the endpoint while a refresh hangs; memory and size.

mod endpoint;
mod idle;
mod startup;
mod world;

use std::{fs, process::Command, thread, time::Duration};

use bowline_fakeaws::{Effect, Fault};

use self::world::World;
pub(crate) use self::world::wait_until;
use crate::{
    Outcome, Tools,
    programs::{memory, peak_memory, runs},
    report::Report,
};

const MIB: f64 = 1024.0 * 1024.0;
/// Long for programs, short for the endpoint: half of it is waited for.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_secs(24);
const BOTO3: &str =
    "import boto3\nprint(boto3.Session(profile_name='build').get_credentials().get_frozen_credentials().access_key)";

pub(crate) fn run(tools: &Tools, report: &mut Report) -> Outcome<()> {
    programs(tools, report)?;
    endpoint_while_a_refresh_hangs(tools, report)?;
    let size = fs::metadata(&tools.bowline)?.len() as f64 / MIB;
    report.say("the program, stripped", size, "MiB").at_most(25.0);
    Ok(())
}

fn programs(tools: &Tools, report: &mut Report) -> Outcome<()> {
    let world = World::new(tools, LONG)?;
    let shell = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", "true"]);
        shell
    };
    let shell = runs(200, shell)?;
    report.say("`sh -c true`: median", shell.median(), "ms").say("`sh -c true`: CPU", shell.cpu, "ms");
    // Without a daemon first: it leaves the lease that makes it warm.
    let alone = || world.bowline(&["creds", "build"]);
    let without = runs(200, alone)?;
    report.say("`bowline creds`, warm, from the lease file: median", without.median(), "ms").at_most(5.0);
    report.say("… 99 of 100 below", without.p99(), "ms");
    report.say("… CPU", without.cpu, "ms").say("… memory at most", peak_memory(alone())?, "MiB");
    startup::measure(&world, report)?;
    let daemon = world.daemon()?;
    thread::sleep(Duration::from_secs(2));
    report.say("idle daemon with the endpoint, memory", memory(daemon.id(), "VmRSS")?, "MiB").at_most(15.0);
    let with = runs(200, alone)?;
    report.say("`bowline creds`, warm, from the daemon: median", with.median(), "ms").at_most(5.0);
    report.note(format!("{:.1} times `sh -c true`", with.median() / shell.median()));
    report.say("… 99 of 100 below", with.p99(), "ms");
    report.say("… CPU", with.cpu, "ms").at_most(3.0);
    report.say("… memory at most", peak_memory(alone())?, "MiB").at_most(12.0);
    drop(daemon);
    idle::measure(&world, report)?;
    others(tools, report, &world, with.median(), with.cpu)
}

/// What does the same today: a role, by a program that is started for it.
fn others(tools: &Tools, report: &mut Report, world: &World, wall: f64, cpu: f64) -> Outcome<()> {
    let beside = |report: &mut Report, name: &str, command: &dyn Fn() -> Command| -> Outcome<()> {
        let other = runs(8, command)?;
        report.say(format!("{name}: median"), other.median(), "ms");
        report.note(format!("{:.0} times `bowline creds`", other.median() / wall));
        report.say("… CPU", other.cpu, "ms").note(format!("{:.0} times", other.cpu / cpu));
        report.say("… memory at most", peak_memory(command())?, "MiB");
        Ok(())
    };
    match &tools.python {
        None => report.skip("boto3 and the AWS CLI 1", "no target/py; `cargo xtask test` makes it"),
        Some(python) => {
            beside(report, "boto3, AssumeRole", &|| world.command(&python.join("bin/python"), &["-c", BOTO3]))?;
            let identity = ["-m", "awscli", "sts", "get-caller-identity", "--profile", "build"];
            beside(report, "AWS CLI 1, one call as the role", &|| {
                world.command(&python.join("bin/python"), &identity)
            })?;
        }
    }
    let cli = std::path::Path::new("/usr/bin/aws");
    if cli.exists() {
        // Older than `AWS_ENDPOINT_URL`: measured with keys that it need not fetch.
        beside(report, "AWS CLI 2 of Debian, static keys", &|| {
            world.command(cli, &["configure", "export-credentials", "--profile", "me"])
        })?;
    } else {
        report.skip("AWS CLI 2", "no Debian package awscli");
    }
    Ok(())
}

fn endpoint_while_a_refresh_hangs(tools: &Tools, report: &mut Report) -> Outcome<()> {
    let world = World::new(tools, SHORT)?;
    let daemon = world.daemon()?;
    world.cloud().fault(Fault::new("sts.*", Effect::Hang));
    let hanging = || world.cloud().counts().sum("sts.AssumeRole.fault.hang") > 0;
    wait_until(SHORT, "a refresh hangs", hanging)?;
    for (name, kept) in [("on 8 connections", true), ("each on its own connection", false)] {
        let seen = endpoint::thousand_a_second(&world, Duration::from_secs(4), kept)?;
        let what = format!("endpoint, 1,000 requests a second {name}, a refresh hangs");
        report.say(format!("{what}: median"), seen.percentile(0.5), "ms");
        report.say("… 99 of 100 below", seen.percentile(0.99), "ms").at_most(5.0);
        report.say("… longest", seen.percentile(1.0), "ms").note(format!("{} requests", seen.count()));
        report.say("… not answered with 200", f64::from(seen.failed), "").at_most(0.0);
    }
    report.say("the daemon after that, memory at most", memory(daemon.id(), "VmHWM")?, "MiB");
    Ok(())
}
