//! `serve`: IMDSv2 on 127.0.0.1 for the role of the flags, kept fresh by the broker until SIGTERM or SIGINT.
//!
//! Processes of other users are answered where a `[[grant]]` of `bowline.toml` names the role.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bowline_base::{Fault, Kind};
use bowline_credentials::{
    Broker, Settings,
    endpoint::{self, Endpoint, Served},
    grant::Grants,
};
use bowline_host::{Address, Ctx, Job as _, Listener, Listeners, Notifier, Tasks, metrics::Metrics};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    cli::Serve,
    session::{open, role_name},
};
use crate::{
    commands::recording,
    config_place, daemon,
    environment::Environment,
    output,
    world::{World, small_runtime},
};

const DRAIN: Duration = Duration::from_secs(4);

pub(super) fn run(environment: Environment, arguments: &Serve) -> Result<(), Fault> {
    let (world, identity) = open(environment, &arguments.session)?;
    let role = role_name(&arguments.session.role_arn)?;
    small_runtime()?.block_on(async {
        let no_signals = |cause| Fault::new(Kind::Bug, "signals", "cannot listen for signals").cause(cause);
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let ctx = Ctx {
            wire: Arc::clone(&world.wire),
            tasks: Tasks::new(),
            listeners: Listeners::default(),
            metrics: Metrics::default(),
            notifier: Notifier::default(),
        };
        let ended = tokio::select! {
            ended = serve(&world, &ctx, &identity, role, arguments) => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        ctx.tasks.shut_down(DRAIN).await;
        ended
    })
}

/// Returns with a failure only. The port is taken before anything is fetched, and answered once there is an answer.
async fn serve(world: &World, ctx: &Ctx, identity: &str, role: &str, arguments: &Serve) -> Result<(), Fault> {
    let address = bind(ctx, arguments).await?;
    let grants = grants(world)?;
    let broker = Broker::start(ctx, broker_settings(world, identity, &grants)).await?;
    broker.sources().never_ask(address);
    match broker.ask(identity).await {
        Ok(_) => {}
        // The network may come up after us.
        Err(why) if why.0.kind == Kind::Unreachable => {
            output::say(&format!("note: {}; clients are told to come back until it works", why.0.chain()));
        }
        Err(why) => return Err(refused(&why.0)),
    }
    let (described, name) = (broker.clone(), identity.to_owned());
    let settings = endpoint::Settings {
        listen: Vec::new(),
        imds: Some(([127, 0, 0, 1], arguments.port).into()),
        serve: vec![Served {
            profile: role.to_owned(),
            region: region(arguments),
            identity: broker.identity(identity),
            source: Box::new(move || described.source_of(&name)),
        }],
        token_file: world.environment.runtime_directory().join("signing-helper/token"),
        grants,
        witness: Some(recording::witness(world)),
    };
    Endpoint::new(settings, Arc::clone(&world.wire))?.start(ctx).await?;
    output::data(&format!("export AWS_EC2_METADATA_SERVICE_ENDPOINT='http://{address}/'\n"))?;
    std::future::pending().await
}

/// Connections take the hop limit from the socket that accepts them.
async fn bind(ctx: &Ctx, arguments: &Serve) -> Result<SocketAddr, Fault> {
    let asked = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    let listener = ctx.listeners.listen(&Address::Tcp(asked)).await?;
    if let Listener::Tcp(socket) = &*listener {
        socket.set_ttl(arguments.hop_limit.into()).map_err(|cause| {
            Fault::new(Kind::Config, "serve", format!("cannot set the hop limit to {}", arguments.hop_limit))
                .cause(cause)
        })?;
    }
    Ok(listener.local_addr().unwrap_or(asked))
}

/// Of a configuration with mistakes, nothing is used.
fn grants(world: &World) -> Result<Grants, Fault> {
    let config = config_place::load(None, &world.environment).unwrap_or_else(|fault| {
        output::say(&format!("note: {}; its grants are not used", fault.message));
        crate::config::Config::default()
    });
    Ok(Grants::new(daemon::endpoint::grants(&config.grants, config.audit.duty())?))
}

fn broker_settings(world: &World, identity: &str, grants: &Grants) -> Settings {
    Settings {
        setup: world.setup.clone(),
        profiles: vec![identity.to_owned()],
        notice: None,
        socket: None,
        grants: grants.clone(),
        witness: Some(recording::witness(world)),
    }
}

fn region(arguments: &Serve) -> Option<String> {
    let session = &arguments.session;
    let of_anchor = || session.trust_anchor_arn.split(':').nth(3).map(ToOwned::to_owned);
    session.region.clone().filter(|region| !region.is_empty()).or_else(of_anchor)
}

/// A fault of our own with what a shared one says.
fn refused(why: &Fault) -> Fault {
    Fault { hint: why.hint.clone(), ..Fault::new(why.kind, why.origin.clone(), why.chain()) }
}
