//! From `[gateway]` to the job: region, identity and the ways out filled in from the world.

use std::{path::Path, sync::Arc, time::Duration};

use bowline_aws::Service;
use bowline_base::{Fault, Kind, units, wire::Wire};
use bowline_credentials::{Broker, without_secrets};
use bowline_gateway::{
    Config, GatewayJob, Post, Surroundings,
    address::Provider,
    device::{DeviceFile, Place},
};
use bowline_host::{
    HttpWire, Notifier, Tasks,
    client::Outside,
    interfaces,
    notify::{Channels, Hook},
};
use tokio::sync::Notify;
use tracing::info;

use super::notify::webhook;
use crate::{
    config::{DeviceSection, GatewaySection},
    world::World,
};

/// EC2 and the public servers that tell the address are not asked more often than this.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Nor EC2 while it is busy with a change.
const LEAST_SETTLE_POLL: Duration = Duration::from_millis(500);

/// The job that `section` asks for, with what it needs in `tasks`. `changed` wakes it when the address may have changed.
pub(super) fn job(
    world: &World,
    broker: &Broker,
    section: &GatewaySection,
    tasks: &Tasks,
    changed: &Arc<Notify>,
) -> Result<GatewayJob, Fault> {
    let config = config(world, section)?;
    if let Err(error) = interfaces::watch(tasks, Arc::clone(changed)) {
        info!(%error, "address events are not heard here; the address is looked at from time to time");
    }
    let surroundings = Surroundings {
        aws: world.aws.clone(),
        identity: broker.identity(&profile(world, section)),
        street: street(world)?,
        post: Post { house: Notifier::default(), followers: followers(world, section, tasks)? },
        changed: Arc::clone(changed),
    };
    Ok(GatewayJob::new(config, surroundings))
}

/// What the job is told.
pub(crate) fn config(world: &World, section: &GatewaySection) -> Result<Config, Fault> {
    if let Some((_, fault)) = haste(world, section).into_iter().next() {
        return Err(fault);
    }
    let region = world.region(section.region.as_deref(), &profile(world, section))?;
    Ok(Config {
        owner: section.owner.clone(),
        name: section.name.clone(),
        managed: section.managed.clone(),
        providers: if section.providers.is_empty() { Provider::usual() } else { section.providers.clone() },
        documentation: section.allow_test_addresses,
        confirm: section.confirm,
        interval: section.interval,
        settle_poll: section.settle_poll,
        min_change_interval: section.min_change_interval,
        window: section.window,
        healthcheck: section.healthcheck.clone(),
        device: section.device_config.as_ref().map(|device| file(world, device)).transpose()?,
        ..Config::new(region)
    })
}

/// Keys whose times are too short for servers of others. Who has redirected EC2 may ask it as often as it likes; in each
/// `interval` the public address is asked for too, and usually others say it.
pub(crate) fn haste(world: &World, section: &GatewaySection) -> Vec<(&'static str, Fault)> {
    let own_ec2 = world.setup.endpoints.redirected(Service::Ec2).is_some();
    let own_address = !section.providers.is_empty() && section.providers.iter().all(Provider::is_of_this_machine);
    let times = [
        ("interval", section.interval, LEAST_INTERVAL, own_ec2 && own_address),
        ("settle-poll", section.settle_poll, LEAST_SETTLE_POLL, own_ec2),
    ];
    let short = times.into_iter().filter(|(_, time, least, free)| !free && time < least);
    let fault = |(key, time, least, _): (&'static str, Duration, Duration, bool)| {
        let (time, least) = (units::duration(time), units::duration(least));
        let message = format!("`{key}` is {time}, and others are asked so often: it must be {least} or more");
        let hint = format!("`{key} = \"{least}\"` in [gateway], or --{key} {least}");
        (key, Fault::new(Kind::Config, "gateway", message).hint(hint))
    };
    short.map(fault).collect()
}

fn file(world: &World, device: &DeviceSection) -> Result<DeviceFile, Fault> {
    Ok(DeviceFile { place: place(world, &device.path, device.hook.clone())?, choices: device.choices.clone() })
}

/// Where a device's configuration goes; its hook sees our environment without secrets.
pub(crate) fn place(world: &World, path: &Path, hook: Vec<String>) -> Result<Place, Fault> {
    Place::new(path.to_owned(), hook, without_secrets(world.environment.all()))
}

/// Whose credentials: as it is said, else a complete set of `ROLESANYWHERE_*`, else what the environment names.
pub(crate) fn profile(world: &World, section: &GatewaySection) -> String {
    let by_certificate = world.environment.var("ROLESANYWHERE_ROLE_ARN").map(|_| "default".to_owned());
    section.identity.clone().or(by_certificate).unwrap_or_else(|| world.unnamed_identity())
}

/// The way to the providers of the address: never through a proxy, whose address it would be.
pub(crate) fn street(world: &World) -> Result<Arc<dyn Wire>, Fault> {
    let outside = Outside { https_proxy: None, no_proxy: None, ..world.environment.outside() };
    Ok(Arc::new(HttpWire::new(&outside)?))
}

/// Who is told every step of a change. What could not be brought waits in a file of its own.
pub(crate) fn followers(world: &World, section: &GatewaySection, tasks: &Tasks) -> Result<Notifier, Fault> {
    let mut visible = without_secrets(world.environment.all());
    if let Some(crate::config::SecretPlace::Env(name)) = section.webhook.as_ref().and_then(|one| one.secret.as_ref()) {
        visible.remove(name);
    }
    let argv = section.on_change.clone();
    let hook = Hook { argv, environment: visible, limit: Hook::LIMIT };
    let command = Some(hook).filter(|hook| !hook.argv.is_empty());
    let webhook = section.webhook.as_ref().map(|one| webhook(world, &one.url, one.secret.as_ref())).transpose()?;
    if command.is_none() && webhook.is_none() {
        return Ok(Notifier::default());
    }
    let channels = Channels { webhook, command, ..Channels::default() };
    let place = world.environment.state_directory().join("gateway-notify.json");
    Ok(Notifier::start(Arc::clone(&world.wire), tasks, place, channels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::parse, environment::Environment};

    #[test]
    fn others_are_not_asked_without_pause_and_ones_own_may_be() {
        let haste = |text: &str, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let world = World::new(Environment::of(variables)).unwrap();
            haste(&world, &parse(text).unwrap().gateway.unwrap()).len()
        };
        let hasty = "[gateway]\ninterval = \"1ms\"\nsettle-poll = \"100ms\"\n";
        assert_eq!(haste(hasty, &[("HOME", "/h")]), 2);
        let own_ec2 = [("HOME", "/h"), ("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1")];
        assert_eq!(haste(hasty, &own_ec2), 1, "the address is asked for at public servers");
        let own_address = format!("{hasty}ip-provider = \"http://127.0.0.1:1/\"\n");
        assert_eq!((haste(&own_address, &own_ec2), haste(&own_address, &[("HOME", "/h")])), (0, 2));
        assert_eq!(haste("[gateway]\ninterval = \"1s\"\nsettle-poll = \"500ms\"\n", &[("HOME", "/h")]), 0);
    }
}
