//! `bowline gateway once`: brings everything to where it belongs, and ends.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use bowline_base::Fault;
use bowline_gateway::{Arrived, Patrol, Post, once};
use bowline_host::{Notifier, Tasks};
use serde_json::json;

use super::gather;
use crate::{
    cli::{Form, GatewayOnce, MfaCode},
    commands::{obtain::until_interrupted, own_broker},
    config::GatewaySection,
    daemon::gateway as wiring,
    environment::Environment,
    logging, output,
    world::{World, small_runtime},
};

/// How long what is to be told may keep a command that has ended; what is left is brought by the next.
const LAST_WORDS: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(4);

pub(super) fn run(environment: Environment, file: Option<PathBuf>, arguments: &GatewayOnce) -> Result<ExitCode, Fault> {
    logging::start(environment.var("LOG_LEVEL"))?;
    let (world, _, section) = gather(environment, file, &arguments.settings)?;
    let arrived = small_runtime()?.block_on(async {
        let tasks = Tasks::new();
        let outcome = until_interrupted(bring(&world, &section, &tasks, arguments.wait)).await;
        tasks.shut_down(DRAIN).await;
        outcome
    })?;
    show(&arrived, arguments.form.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn bring(world: &World, section: &GatewaySection, tasks: &Tasks, limit: Duration) -> Result<Arrived, Fault> {
    let config = wiring::config(world, section)?;
    let profile = wiring::profile(world, section);
    let broker = own_broker::start(world, tasks, &profile, &MfaCode::default()).await?;
    let followers = wiring::followers(world, section, tasks)?;
    let post = Post { house: Notifier::default(), followers: followers.clone() };
    let street = wiring::street(world)?;
    let mut patrol = Patrol::new(config, world.aws.clone(), broker.identity(&profile), street);
    let outcome = once(&mut patrol, &*Arc::clone(&world.wire), &post, limit).await;
    tokio::time::timeout(LAST_WORDS, followers.settled()).await.ok();
    let arrived = outcome?;
    patrol.configure_device(&arrived.outlook).await.transpose()?;
    Ok(arrived)
}

fn show(arrived: &Arrived, form: Form) -> Result<(), Fault> {
    let stands = &arrived.outlook.stands;
    let text = match form {
        Form::Json => {
            let one = |stand: &bowline_gateway::Stand| json!({ "id": stand.connection.id, "customer_gateway": stand.connection.gateway, "address": stand.address });
            let connections: Vec<_> = stands.iter().map(one).collect();
            format!("{:#}\n", json!({ "address": arrived.address, "connections": connections }))
        }
        Form::Text => {
            let line = |stand: &bowline_gateway::Stand| {
                let verdict = stand.verdict.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{} {verdict} ({})\n", stand.connection.id, stand.connection.gateway)
            };
            format!("address: {}\n{}", arrived.address, stands.iter().map(line).collect::<String>())
        }
    };
    output::data(&text)
}
