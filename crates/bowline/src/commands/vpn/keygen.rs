//! `bowline vpn keygen`: the one-shot task that makes the server's key.

use std::{fs, path::PathBuf};

use bowline_base::{Fault, Kind};
use bowline_credentials::{Broker, Settings, grant::Grants};
use bowline_host::{Ctx, Listeners, Notifier, Tasks, metrics::Metrics};
use bowline_vpn::server::keygen::{self, KeyConfig};
use serde_json::json;

use super::server::store;
use crate::{
    cli::{Form, VpnKeygen},
    config::{StorePlace, VpnSection},
    config_place,
    daemon::vpn::{open_store, store_place},
    environment::Environment,
    output,
    world::{World, small_runtime},
};

/// `--config` names the task's own file, as the predecessor's did: its keys are not those of `bowline.toml`. Which of the
/// two a file is, its beginning says.
pub(super) fn run(environment: Environment, file: Option<PathBuf>, arguments: &VpnKeygen) -> Result<(), Fault> {
    let (task, toml) = match file {
        Some(path) if is_json(&path) => (Some(read(&path)?), None),
        other => (from_variable(&environment)?, other),
    };
    let configured = config_place::load_if_any(toml, &environment)?.unwrap_or_default();
    let section = configured.vpn.clone().unwrap_or_default();
    let named = task.as_ref().and_then(|task| task.ssm_prefix.clone()).map(StorePlace::Ssm);
    let section = VpnSection {
        store: arguments.store.clone().or(named).or_else(|| store(None, &environment, section.store.clone())),
        region: arguments.region.clone().or(section.region.clone()),
        identity: arguments.profile.clone().or(section.identity.clone()),
        ..section
    };
    let world = World::new(environment)?.with_config(&configured);
    let forget = arguments.forget_previous;
    let (outcome, key) = small_runtime()?.block_on(make(&world, &section, task.as_ref(), forget))?;
    match arguments.output.output {
        Form::Text => output::data(&format!("{outcome}{}\n", key.map(|key| format!(" {key}")).unwrap_or_default())),
        Form::Json => {
            let key = key.map(|key| key.to_string());
            output::data(&format!("{}\n", json!({ "outcome": outcome, "public_key": key })))
        }
    }
}

/// What was done, in a word, and the public key where it was about one.
async fn make(
    world: &World,
    section: &VpnSection,
    task: Option<&KeyConfig>,
    forget: bool,
) -> Result<(&'static str, Option<bowline_tunnel::PublicKey>), Fault> {
    let tasks = Tasks::new();
    let ctx = Ctx {
        wire: std::sync::Arc::clone(&world.wire),
        tasks: tasks.clone(),
        listeners: Listeners::default(),
        metrics: Metrics::default(),
        notifier: Notifier::default(),
    };
    let settings = Settings {
        setup: world.setup.clone(),
        profiles: Vec::new(),
        notice: None,
        socket: None,
        grants: Grants::default(),
        witness: None,
    };
    let broker = Broker::start(&ctx, settings).await?;
    let store = open_store(world, section, store_place(world, section), &|profile| Ok(broker.identity(profile)))?;
    let made = if forget {
        keygen::forget_previous(&*store).await.map(|there| (if there { "forgotten" } else { "nothing" }, None))
    } else {
        let made = keygen::run(&*store, task, world.wire.now().wall).await;
        made.map(|(outcome, key)| (outcome.word(), Some(key)))
    };
    tasks.begin_shutdown();
    made
}

/// A container has no file to name: its task definition holds the text.
fn from_variable(environment: &Environment) -> Result<Option<KeyConfig>, Fault> {
    environment.var("KEYGEN_CONFIG").map(KeyConfig::parse).transpose()
}

/// By its name, or because it begins as no TOML does.
fn is_json(path: &std::path::Path) -> bool {
    let named = path.extension().is_some_and(|extension| extension == "json");
    named || fs::read_to_string(path).is_ok_and(|text| text.trim_start().starts_with('{'))
}

fn read(path: &std::path::Path) -> Result<KeyConfig, Fault> {
    let text = fs::read_to_string(path).map_err(|cause| {
        Fault::new(Kind::Config, "keygen", format!("cannot read `{}`", path.display())).cause(cause)
    })?;
    KeyConfig::parse(&text)
}
