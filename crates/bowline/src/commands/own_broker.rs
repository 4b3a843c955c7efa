//! A broker for one command that runs for longer than a session: it renews, listens nowhere and ends with the command.

use std::sync::Arc;

use bowline_base::Fault;
use bowline_credentials::{Broker, Settings, Witness, grant::Grants};
use bowline_host::{Ctx, Listeners, Notifier, Tasks, metrics::Metrics};

use super::obtain::codes;
use crate::{cli::MfaCode, world::World};

/// A world's surroundings inside `tasks`, without daemon.
pub(super) fn ctx(world: &World, tasks: &Tasks) -> Ctx {
    Ctx {
        wire: Arc::clone(&world.wire),
        tasks: tasks.clone(),
        listeners: Listeners::default(),
        metrics: Metrics::default(),
        notifier: Notifier::default(),
    }
}

/// A broker that keeps `profile` fresh; what it does is written down by `witness`, if any.
pub(super) async fn with_witness(
    world: &World,
    tasks: &Tasks,
    profile: &str,
    mfa: &MfaCode,
    witness: Option<Witness>,
) -> Result<Broker, Fault> {
    let settings = Settings {
        setup: world.setup.clone(),
        profiles: vec![profile.to_owned()],
        notice: None,
        socket: None,
        grants: Grants::default(),
        witness,
    };
    let broker = Broker::start(&ctx(world, tasks), settings).await?;
    // Every clone of the broker's sources shares them.
    drop(broker.sources().clone().with_codes(codes(mfa)));
    Ok(broker)
}

/// The same with the first set in memory. It leaves this process for AWS alone, so nobody writes it down.
pub(super) async fn start(world: &World, tasks: &Tasks, profile: &str, mfa: &MfaCode) -> Result<Broker, Fault> {
    let broker = with_witness(world, tasks, profile, mfa, None).await?;
    match broker.ask(profile).await {
        Ok(_) => Ok(broker),
        Err(why) => {
            let fault = Fault::new(why.0.kind, why.0.origin.clone(), why.0.chain());
            Err(Fault { hint: why.0.hint.clone(), ..fault })
        }
    }
}
