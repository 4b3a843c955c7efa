//! From `[audit]` to the log: its place, its sinks, and who brings it to AWS.

use bowline_audit::{
    AuditJob, AuditLog, Event, Record,
    sink::{Sink, cloudwatch::Destination, stdout::Stdout},
};
use bowline_aws::logs::Stream;
use bowline_base::{Fault, Now};
use bowline_credentials::{Broker, Witness};

use super::Start;
use crate::{
    commands::audit::places,
    config::{AuditSection, AuditSink, CloudWatchSection},
    world::World,
};

/// The log with its sinks. Whoever prints an answer on stdout does not print the log there.
pub(super) fn log(world: &World, section: &AuditSection, start: &Start) -> AuditLog {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if section.sinks.contains(&AuditSink::Stdout) && matches!(start, Start::Daemon { .. }) {
        sinks.push(Box::new(Stdout::new(Box::new(std::io::stdout()))));
    }
    AuditLog::new(places(&world.environment, section), sinks)
}

/// Who writes down what leaves; nothing leaves the repository and the gateway.
pub(super) fn witness(world: &World, section: &AuditSection, start: &Start) -> Option<Witness> {
    let hands_out = !matches!(start, Start::ArtifactsAlone | Start::GatewayAlone);
    hands_out.then(|| Witness::new(log(world, section, start), section.duty()))
}

/// Goes over to the log that `section` wants, which has to work: the one before says where it goes on, and the new one
/// where it came from.
pub(super) fn hand_over(witness: &Witness, now: Now, log: AuditLog, section: &AuditSection) -> Result<(), Fault> {
    let before = witness.log().places().directory.clone();
    let after = log.places().directory.clone();
    let reloaded = |reason| Record { reason, ..Record::new(Event::Reloaded) };
    let moved = before != after;
    log.record(now, &reloaded(moved.then(|| format!("the log before is in `{}`", before.display()))))?;
    if moved {
        // It may be replaced because it does not work.
        witness.note(now, reloaded(Some(format!("the log goes on in `{}`", after.display())))).ok();
    }
    witness.replace(log, section.duty());
    Ok(())
}

/// What signs the log, sends it where `[audit]` says so, and ends what need not be kept.
pub(super) fn job(world: &World, broker: &Broker, log: AuditLog, section: &AuditSection) -> Result<AuditJob, Fault> {
    let to = section.cloudwatch.as_ref().map(|section| destination(world, broker, section)).transpose()?;
    Ok(AuditJob::new(log, to).keeping(section.keep))
}

fn destination(world: &World, broker: &Broker, section: &CloudWatchSection) -> Result<Destination, Fault> {
    let profile = section.identity.clone().unwrap_or_else(|| world.default_profile());
    Ok(Destination {
        aws: world.aws.clone(),
        region: world.region(section.region.as_deref(), &profile)?,
        identity: broker.identity(&profile),
        stream: Stream { group: section.group.clone(), name: section.stream.clone() },
    })
}
