//! From `[notify]` to the channels: the desktop, the secret and the environment filled in from the world.

use bowline_base::{Fault, Kind, Secret};
use bowline_credentials::without_secrets;
use bowline_host::notify::{self as host, Channels, Desktop, Hook, Webhook};

use crate::{
    config::{NotifySection, SecretPlace, WebhookSection},
    secrets,
    world::World,
};

/// The channels that `section` asks for.
pub(crate) fn channels(world: &World, section: &NotifySection) -> Result<Channels, Fault> {
    // What a command has no business to know.
    let mut visible = without_secrets(world.environment.all());
    if let Some(WebhookSection { secret: SecretPlace::Env(name), .. }) = &section.webhook {
        visible.remove(name);
    }
    let command = (!section.command.is_empty()).then(|| Hook {
        argv: section.command.clone(),
        environment: visible.clone(),
        limit: Hook::LIMIT,
    });
    Ok(Channels {
        file: section.file.clone(),
        desktop: desktop(section, &visible)?,
        webhook: section.webhook.as_ref().map(|one| webhook(world, &one.url, Some(&one.secret))).transpose()?,
        command,
        only: section.on.clone(),
    })
}

/// The channels in a few words, without a secret.
pub(crate) fn describe(channels: &Channels) -> Vec<String> {
    let file = channels.file.as_ref().map(|path| format!("file `{}`", path.display()));
    let desktop = channels.desktop.as_ref().map(|_| "desktop".to_owned());
    let webhook = channels.webhook.as_ref().map(|webhook| format!("webhook to `{}`", webhook.host()));
    let program = channels.command.as_ref().and_then(|command| command.argv.first());
    let command = program.map(|program| format!("command `{program}`"));
    [file, desktop, webhook, command].into_iter().flatten().collect()
}

type Variables = std::collections::BTreeMap<String, String>;

fn desktop(section: &NotifySection, visible: &Variables) -> Result<Option<Desktop>, Fault> {
    let found = Desktop::of(visible);
    match section.desktop {
        Some(false) => Ok(None),
        Some(true) if found.is_none() => {
            let message = "`notify.desktop` is true, and there is no desktop: no session bus and no display";
            Err(Fault::new(Kind::Config, "notify", message).hint(
                "run the daemon in the user's session, or leave `desktop` out: then it is used where there is one",
            ))
        }
        _ => Ok(found),
    }
}

/// A webhook at `url`; signed where there is a secret.
pub(crate) fn webhook(world: &World, url: &str, secret: Option<&SecretPlace>) -> Result<Webhook, Fault> {
    let secret = match secret {
        None => host::SecretPlace::None,
        Some(SecretPlace::File(path)) => host::SecretPlace::File(path.clone()),
        Some(place @ SecretPlace::Vault(_)) => host::SecretPlace::Given(secrets::read(world, place)?),
        Some(SecretPlace::Env(name)) => match world.environment.var(name) {
            Some(text) => host::SecretPlace::Given(Secret::new(text)),
            None => {
                let message = format!("the variable `{name}` with the webhook's secret is not set");
                return Err(
                    Fault::new(Kind::Config, "notify", message).hint(format!("set `{name}`, for the daemon too"))
                );
            }
        },
    };
    Webhook::new(url, secret, Webhook::PATIENCE).map_err(|why| Fault::new(Kind::Config, "notify", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::parse, environment::Environment};

    fn of(text: &str, variables: &[(&str, &str)]) -> Result<Channels, Fault> {
        let variables = [("HOME", "/home/me")]
            .iter()
            .chain(variables)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        channels(&World::new(Environment::of(variables)).unwrap(), &parse(text).unwrap().notify)
    }

    #[test]
    fn a_command_is_shown_no_secret() {
        let text = "[notify]\ncommand = \"page\"\nwebhook = { url = \"https://h/t\", secret = { env = \"HOOK\" } }\n";
        let channels = of(text, &[("HOOK", "s"), ("AWS_SECRET_ACCESS_KEY", "s"), ("PATH", "/bin")]).unwrap();
        assert_eq!(describe(&channels), ["webhook to `h`", "command `page`"]);
        assert_eq!(channels.command.unwrap().environment.keys().collect::<Vec<_>>(), ["HOME", "PATH"]);
        assert!(of(text, &[]).unwrap_err().message.contains("`HOOK`"));
    }

    #[test]
    fn the_desktop_is_used_where_there_is_one_unless_it_is_said() {
        let bus = [("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x")];
        assert!(of("", &bus).unwrap().desktop.is_some());
        assert!(of("[notify]\ndesktop = false\n", &bus).unwrap().desktop.is_none());
        assert!(!cfg!(target_os = "linux") || of("[notify]\ndesktop = true\n", &[]).is_err());
    }
}
