//! From `[audit]` to the log: its place, its sinks, and who brings it to AWS.

use bowline_audit::{
    AuditJob, AuditLog,
    sink::{Sink, cloudwatch::Destination, stdout::Stdout},
};
use bowline_aws::logs::Stream;
use bowline_base::Fault;
use bowline_credentials::{Broker, OnFailure, Witness};

use crate::{
    commands::audit::places,
    config::{AuditSection, AuditSink, CloudWatchSection},
    world::World,
};

/// Who writes down what leaves.
pub(super) fn witness(world: &World, section: &AuditSection) -> Witness {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if section.sinks.contains(&AuditSink::Stdout) {
        sinks.push(Box::new(Stdout::new(Box::new(std::io::stdout()))));
    }
    let on_failure = if section.deny { OnFailure::Deny } else { OnFailure::Warn };
    Witness { log: AuditLog::new(places(&world.environment, section), sinks), on_failure }
}

/// What signs the log, and sends it where `[audit]` says so.
pub(super) fn job(world: &World, broker: &Broker, log: AuditLog, section: &AuditSection) -> Result<AuditJob, Fault> {
    let to = section.cloudwatch.as_ref().map(|section| destination(world, broker, section)).transpose()?;
    Ok(AuditJob::new(log, to))
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
