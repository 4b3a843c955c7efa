//! `bowline vault add PROFILE`: keys into the store's inbox, which takes no private key; the profile then asks for them.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _},
};

use bowline_awsfiles::{ConfigError, EditError, Rule, SectionName, Source, rewrite};
use bowline_base::{Fault, KeyId, Kind, Secret, utc};
use bowline_host::client::random_bytes;
use bowline_vault::{
    Keys, ProfileName,
    store::{Addition, Entry, StoreId},
};

use super::{create, given};
use crate::{
    cli::VaultAdd,
    keyring::{Keyring, LongLived},
    output, terminal,
    world::World,
};

/// No form of keys is longer.
const LONGEST: u64 = 64 * 1024;

pub(crate) fn run(world: &World, arguments: &VaultAdd) -> Result<(), Fault> {
    let profile = ProfileName::new(&arguments.profile)?;
    if arguments.text {
        return keep_text(world, &profile, arguments);
    }
    let keys = keys(world, arguments)?;
    if arguments.replace {
        let keyring = Keyring::open(world);
        let old = keyring.load(profile.as_str())?;
        let new = LongLived { key_id: KeyId::new(keys.key_id.expose()), secret: keys.secret_key };
        keyring.replace(profile.as_str(), &old.key_id, &new)?;
        output::say(&format!("Profile `{profile}` has the new keys, where the old ones were."));
        return Ok(());
    }
    put_in(world, &profile, keys, arguments)?;
    output::say(&format!("The keys of `{profile}` are sealed. The store takes them in when it is next opened."));
    name_us(world, &profile)
}

/// One line that is no key of AWS; no profile is to ask for it.
fn keep_text(world: &World, name: &ProfileName, arguments: &VaultAdd) -> Result<(), Fault> {
    let text = line(arguments)?;
    if arguments.replace {
        let entry = Entry { keys: Keys::of_text(text), added: utc(world.wire.now().wall) };
        Keyring::open(world).change(|contents| match contents.profiles.get_mut(name) {
            Some(held) if held.keys.text().is_some() => {
                *held = entry.clone();
                Ok(())
            }
            _ => Err(Fault::new(Kind::Config, "vault", format!("the vault has no text `{name}`"))
                .hint(format!("put it in: bowline vault add {name} --text"))),
        })?;
        output::say(&format!("`{name}` is the new text; jobs that read it at their start take it at the next one."));
        return Ok(());
    }
    put_in(world, name, Keys::of_text(text), arguments)?;
    output::say(&format!("The text is sealed. In bowline.toml it is {{ vault = \"{name}\" }}."));
    Ok(())
}

/// Into the inbox of the store, which is made if there is none.
fn put_in(world: &World, profile: &ProfileName, keys: Keys, arguments: &VaultAdd) -> Result<(), Fault> {
    let place = create::if_missing(world, &arguments.creation)?;
    let (store, _) = place.recipients()?;
    let id = StoreId::new(random_bytes()?).as_str().to_owned();
    let entry = Entry { keys, added: utc(world.wire.now().wall) };
    Ok(place.add(&Addition { id, store, profile: profile.clone(), entry })?)
}

/// The text that is given, without blanks around it.
fn line(arguments: &VaultAdd) -> Result<Secret, Fault> {
    let wrong = |why: &str| Fault::new(Kind::Config, "vault", format!("the text cannot be kept: {why}"));
    let given = match &arguments.file {
        Some(path) => text(File::open(path).map_err(|cause| wrong("its file cannot be read").cause(cause))?)?,
        None if io::stdin().is_terminal() => {
            terminal::ask_hidden("The text: ")?.ok_or_else(|| wrong("this program stands in the background"))?
        }
        None => text(io::stdin().lock())?,
    };
    let line = Secret::new(given.expose().trim());
    if line.is_blank() || line.expose().contains('\n') {
        return Err(wrong("it is not one line"));
    }
    Ok(line)
}

/// Has the profile's `credential_process` ask for the profile itself, unless it gets its credentials in another way.
pub(super) fn name_us(world: &World, profile: &ProfileName) -> Result<(), Fault> {
    let path = &world.setup.locations.config;
    match world.aws_config()?.resolve(profile.as_str()) {
        Ok(Source::Sealed(_)) => Ok(()),
        Err(ConfigError::NoProfile { .. } | ConfigError::NoCredentials { .. }) => {
            let command = command(world, profile);
            let section = SectionName::Profile(profile.to_string());
            rewrite(path, Rule::Config, |document| -> Result<(), EditError> {
                document.set(&section, "credential_process", &command)
            })?;
            output::say(&format!("`{}` says now: [profile {profile}] credential_process = {command}", path.display()));
            Ok(())
        }
        Ok(_) | Err(_) => {
            output::say(&format!(
                "note: profile `{profile}` of the AWS files gets its credentials in another way, which goes on; see `bowline \
                 status {profile} --explain`, or move its keys: bowline vault migrate {profile}"
            ));
            Ok(())
        }
    }
}

/// `bowline creds X` as it stands in the config file: by its name where the path leads to it, else by its place.
pub(super) fn command(world: &World, profile: &ProfileName) -> String {
    let name = profile.as_str();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+/".contains(&byte));
    let quoted =
        if plain { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) };
    format!("{} creds {quoted}", world.environment.this_program())
}

fn keys(world: &World, arguments: &VaultAdd) -> Result<Keys, Fault> {
    let wrong = |place: &str, why| Fault::new(Kind::Config, "keys", format!("{place}: {why}"));
    if arguments.from_env {
        let variable = |name: &str| world.environment.var(name).map(Secret::new);
        let (id, key) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
        let (id, key) = id
            .zip(key)
            .ok_or_else(|| wrong("environment", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set"))?;
        let token = variable("AWS_SESSION_TOKEN");
        return given::pair(&id, &key, token.as_ref()).map_err(|why| wrong("environment", why));
    }
    if let Some(path) = &arguments.file {
        let place = path.display().to_string();
        let file = File::open(path)
            .map_err(|cause| Fault::new(Kind::Config, "keys", format!("cannot read `{place}`")).cause(cause))?;
        return given::read(&text(file)?).map_err(|why| wrong(&place, why));
    }
    if io::stdin().is_terminal() {
        let ask = |question: &str| {
            terminal::ask_hidden(question)?.ok_or_else(|| wrong("terminal", "this program stands in the background"))
        };
        let (id, key) = (ask("Access key id: ")?, ask("Secret access key: ")?);
        return given::pair(&id, &key, None).map_err(|why| wrong("terminal", why));
    }
    given::read(&text(io::stdin().lock())?).map_err(|why| wrong("stdin", why))
}

fn text(from: impl io::Read) -> Result<Secret, Fault> {
    // It never moves, so no copy of it stays behind.
    let mut text = String::with_capacity(usize::try_from(LONGEST).unwrap_or(1 << 16) + 1);
    let read = from.take(LONGEST).read_to_string(&mut text);
    let text = Secret::new(text);
    read.map(|_| text).map_err(|cause| Fault::new(Kind::Config, "keys", "the keys cannot be read").cause(cause))
}
