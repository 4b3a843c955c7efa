//! Files, variables and times that the configuration asks for: whether they are there and good. Nothing is made.

use std::path::Path;

use bowline_base::Fault;
use bowline_host::{notify::Webhook, tls_server::ServerTls};

use super::{super::service_user::ServiceUser, Finding};
use crate::{
    config::{
        AccessSection, ArtifactsSection, Config, GatewaySection, NotifySection, SecretPlace, TlsSection, VpnSection,
    },
    daemon::{gateway as wiring, notify},
    secrets,
    world::World,
};

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// What the daemon would not start without. Nobody is asked for the vault's passphrase.
    Start,
    /// What it would miss later as well, but for what its vault holds: root, who looks for the machine's service, would
    /// leave files of its own there.
    WithoutVault,
    /// That too; whoever sits at the terminal is asked if need be.
    Whole,
}

impl Look {
    /// Whether the secret at `place` is read.
    fn opens(self, place: &SecretPlace) -> bool {
        self == Self::Whole || !matches!(place, SecretPlace::Vault(_))
    }
}

/// What is missing in the sections of jobs.
pub(super) fn missing(world: &World, config: &Config, look: Look) -> Vec<Finding> {
    let artifacts = config.artifacts.iter().flat_map(|section| artifacts(world, section, look));
    let gateway = config.gateway.iter().flat_map(|section| gateway(world, section, look));
    let vpn = config.vpn.iter().flat_map(|section| vpn(world, section, look));
    artifacts.chain(gateway).chain(vpn).collect()
}

/// What the user of the machine's service needs and cannot read.
pub(super) fn kept_from(user: &ServiceUser, file: &Path, config: &Config) -> Vec<Finding> {
    let kept = user.kept_from(file, config).into_iter();
    kept.map(|(named, fault)| Finding::about(named.key, &path(&named.path), fault)).collect()
}

/// Whom `[notify]` tells, in a few words. The webhook's secret must be there.
pub(super) fn channels(world: &World, config: &Config, look: Look) -> Result<Vec<String>, Fault> {
    let channels = notify::channels(world, &config.notify)?;
    let read = config.notify.webhook.as_ref().is_some_and(|webhook| look.opens(&webhook.secret));
    channels.webhook.as_ref().filter(|_| read).map_or(Ok(()), Webhook::check)?;
    Ok(notify::describe(&channels))
}

/// What is wrong with each channel of `[notify]` from the start; a webhook's file may come later.
pub(super) fn channels_at_start(world: &World, config: &Config) -> Vec<Finding> {
    let section = &config.notify;
    let webhook = section.webhook.clone().filter(|webhook| Look::Start.opens(&webhook.secret));
    let alone = [
        NotifySection { webhook: None, ..section.clone() },
        NotifySection { desktop: Some(false), webhook, ..section.clone() },
    ];
    alone.iter().filter_map(|one| Some(of_notify(one, notify::channels(world, one).err()?))).collect()
}

pub(super) fn of_notify(section: &NotifySection, fault: Fault) -> Finding {
    match &section.webhook {
        Some(webhook) => Finding::about(&["notify", "webhook"], &value(&webhook.secret), fault),
        None => Finding::at(&["notify", "desktop"], fault),
    }
}

fn artifacts(world: &World, section: &ArtifactsSection, look: Look) -> Vec<Finding> {
    let keys = match &section.access {
        AccessSection::Keys(keys) => keys.as_slice(),
        AccessSection::Local | AccessSection::Open => &[],
    };
    let secrets = keys.iter().filter_map(|key| secret(world, &["artifacts", "access"], &key.secret, look));
    section.tls.iter().filter_map(|tls| pair(&["artifacts", "tls"], tls)).chain(secrets).collect()
}

fn gateway(world: &World, section: &GatewaySection, look: Look) -> Vec<Finding> {
    let hasty = wiring::haste(world, section).into_iter().map(|(key, fault)| Finding::at(&["gateway", key], fault));
    let device = section.device_config.as_ref().and_then(|device| {
        let fault = wiring::place(world, &device.path, device.hook.clone()).err()?;
        Some(Finding::about(&["gateway", "device-config"], &path(&device.path), fault))
    });
    let webhook = section.webhook.as_ref().and_then(|webhook| {
        let place = webhook.secret.as_ref().filter(|place| look.opens(place))?;
        let made = notify::webhook(world, &webhook.url, Some(place));
        let fault = if look == Look::Start { made.err() } else { made.and_then(|made| made.check()).err() };
        fault.map(|fault| Finding::about(&["gateway", "webhook"], &value(place), fault))
    });
    hasty.chain(device).chain(webhook).collect()
}

fn vpn(world: &World, section: &VpnSection, look: Look) -> Vec<Finding> {
    let key = section.master_key.as_ref().and_then(|place| secret(world, &["vpn", "master-key"], place, look));
    let tls = section.tls.as_ref().and_then(|tls| pair(&["vpn"], tls));
    key.into_iter().chain(tls).collect()
}

fn secret(world: &World, key: &[&str], place: &SecretPlace, look: Look) -> Option<Finding> {
    if !look.opens(place) {
        return None;
    }
    secrets::read(world, place).err().map(|fault| Finding::about(key, &value(place), fault))
}

fn pair(key: &[&str], tls: &TlsSection) -> Option<Finding> {
    let fault = ServerTls::load(&tls.certificate, &tls.private_key).err()?;
    let named = [&tls.certificate, &tls.private_key].map(|file| path(file));
    let wrong = named.iter().find(|file| fault.chain().contains(file.as_str())).unwrap_or(&named[0]);
    Some(Finding::about(key, wrong, fault))
}

/// As it stands in the file.
fn value(place: &SecretPlace) -> String {
    match place {
        SecretPlace::File(file) => path(file),
        SecretPlace::Env(name) | SecretPlace::Vault(name) => name.clone(),
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
