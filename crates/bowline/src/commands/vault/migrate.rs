//! `bowline vault migrate`: keys out of `~/.aws/credentials` into the store, and back.
//!
//! At every moment the profile works: the store gives the keys back before the config file asks for them there, and that
//! before they leave the credentials file. A crash leaves them in both places; the next run goes on.

use bowline_awsfiles::{Config, EditError, Rule, SectionName, rewrite};
use bowline_base::{Fault, Kind, Secret, utc};
use bowline_vault::{Keys, ProfileName, store::Entry};

use super::{add::command, create};
use crate::{
    cli::VaultMigrate,
    keyring::{Form, Keyring, LongLived},
    output, terminal,
    world::World,
};

const KEYS: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// A profile that moves.
struct Move {
    profile: ProfileName,
    form: Form,
}

pub(super) fn run(world: &World, arguments: &VaultMigrate) -> Result<(), Fault> {
    let keyring = Keyring::open(world);
    if arguments.undo {
        return undo(world, &keyring, arguments);
    }
    let moves = moves(world, &keyring, arguments)?;
    if moves.is_empty() {
        output::say("No profile has long-lived keys outside of the vault.");
        return Ok(());
    }
    output::data(&moves.iter().map(|one| plan(world, one)).collect::<String>())?;
    if arguments.dry_run || !agreed(arguments)? {
        return Ok(());
    }
    create::if_missing(world, &arguments.creation)?;
    moves.iter().try_for_each(|one| carry_out(world, &keyring, one))
}

/// Those that were named, or every profile whose keys could move.
fn moves(world: &World, keyring: &Keyring<'_>, arguments: &VaultMigrate) -> Result<Vec<Move>, Fault> {
    let config = world.aws_config()?;
    if arguments.profiles.is_empty() {
        let named = config.profiles().filter_map(|profile| ProfileName::new(profile.name()).ok());
        return Ok(named.filter_map(|profile| to_move(world, &config, keyring, profile).ok().flatten()).collect());
    }
    let mut moves = Vec::new();
    for name in &arguments.profiles {
        match to_move(world, &config, keyring, ProfileName::new(name)?)? {
            Some(one) => moves.push(one),
            None => output::say(&format!("`{name}` is in the vault already")),
        }
    }
    Ok(moves)
}

/// `None` for one that is in the store.
fn to_move(world: &World, config: &Config, keyring: &Keyring<'_>, profile: ProfileName) -> Result<Option<Move>, Fault> {
    let form = keyring.form(profile.as_str())?;
    let other = ["aws_session_token", "aws_security_token", "role_arn", "credential_process"];
    let section = config.profile(profile.as_str())?;
    if form == Form::Store {
        return Ok(None);
    }
    match other.iter().find(|key| section.setting(key).is_some()) {
        // What an interrupted run left: it is ours.
        Some(&"credential_process") if section.text("credential_process") == Some(&*command(world, &profile)) => {}
        None => {}
        Some(key) => {
            return Err(Fault::new(Kind::Config, "vault", format!("profile `{profile}` also has `{key}`"))
                .hint(format!("give the keys a profile of their own, without `{key}`, and migrate that one")));
        }
    }
    Ok(Some(Move { profile, form }))
}

fn plan(world: &World, one: &Move) -> String {
    let (locations, profile) = (&world.setup.locations, &one.profile);
    let from = match one.form {
        Form::Envelope => "the iam-sorry envelope",
        Form::Plain | Form::Store => "the plaintext keys",
    };
    format!(
        "{profile}:\n  seal {from} into `{}`\n  set in `{}`: credential_process = {}\n  remove {} from its section of `{}`\n  way back: bowline vault migrate {profile} --undo\n",
        world.setup.vault.directory.display(),
        locations.config.display(),
        command(world, profile),
        KEYS.join(" and "),
        locations.credentials.display(),
    )
}

fn agreed(arguments: &VaultMigrate) -> Result<bool, Fault> {
    if arguments.yes {
        return Ok(true);
    }
    let answer = terminal::ask_line("Do it? [y/N] ")?.ok_or_else(|| {
        Fault::new(Kind::Config, "vault", "there is no terminal to ask on; nothing was changed").hint("add --yes")
    })?;
    Ok(matches!(answer.expose().trim(), "y" | "Y" | "yes"))
}

fn carry_out(world: &World, keyring: &Keyring<'_>, one: &Move) -> Result<(), Fault> {
    let (profile, keys) = (&one.profile, keyring.load(one.profile.as_str())?);
    put(world, keyring, profile, &keys)?;
    let kept = keyring.load_from_store(profile.as_str())?;
    if kept != keys {
        return Err(Fault::new(Kind::Bug, "vault", format!("the vault does not give back the keys of `{profile}`"))
            .hint("they are where they were; nothing was removed"));
    }
    let (locations, command) = (&world.setup.locations, command(world, profile));
    let section = SectionName::Profile(profile.to_string());
    rewrite(&locations.config, Rule::Config, |document| -> Result<(), EditError> {
        document.set(&section, "credential_process", &command)?;
        KEYS.iter().try_for_each(|key| document.remove(&section, key).map(drop))
    })?;
    let section = SectionName::Credentials(profile.to_string());
    rewrite(&locations.credentials, Rule::Credentials, |document| -> Result<(), EditError> {
        KEYS.iter().try_for_each(|key| document.remove(&section, key).map(drop))?;
        let left = Config::read(None, Some(document))?;
        let empty = left
            .profile(profile.as_str())
            .is_ok_and(|left| left.in_credentials().is_some_and(|s| s.settings.is_empty()));
        if empty { document.remove_section(&section).map(drop) } else { Ok(()) }
    })?;
    output::say(&format!("`{profile}` is in the vault."));
    Ok(())
}

/// Other keys that the store has for the profile are somebody's: they stay.
fn put(world: &World, keyring: &Keyring<'_>, profile: &ProfileName, keys: &LongLived) -> Result<(), Fault> {
    let added = utc(world.wire.now().wall);
    keyring.change(|contents| {
        let (key_id, secret_key) = (Secret::new(keys.key_id.as_str()), keys.secret.clone());
        let keys = Keys { key_id, secret_key, session_token: None };
        match contents.profiles.get(profile) {
            Some(entry) if entry.keys == keys => Ok(()),
            Some(_) => {
                let message = format!("the vault has other keys of `{profile}`; nothing was changed");
                Err(Fault::new(Kind::Config, "vault", message).hint(format!("bowline vault show {profile} --reveal")))
            }
            None => {
                contents.profiles.insert(profile.clone(), Entry { keys, added: added.clone() });
                Ok(())
            }
        }
    })
}

/// The keys back into the credentials file. They stay in the store.
fn undo(world: &World, keyring: &Keyring<'_>, arguments: &VaultMigrate) -> Result<(), Fault> {
    let locations = &world.setup.locations;
    for name in &arguments.profiles {
        let profile = ProfileName::new(name)?;
        if keyring.form(name)? != Form::Store {
            return Err(Fault::new(Kind::Config, "vault", format!("profile `{profile}` does not use the vault")));
        }
        output::data(&format!(
            "{profile}:\n  put its keys in plaintext into `{}`\n  remove credential_process from `{}`\n",
            locations.credentials.display(),
            locations.config.display()
        ))?;
        if arguments.dry_run {
            continue;
        }
        let keys = keyring.load(name)?;
        let section = SectionName::Credentials(name.clone());
        rewrite(&locations.credentials, Rule::Credentials, |document| -> Result<(), EditError> {
            document.set(&section, KEYS[0], keys.key_id.as_str())?;
            document.set(&section, KEYS[1], keys.secret.expose())
        })?;
        let section = SectionName::Profile(name.clone());
        rewrite(&locations.config, Rule::Config, |document| -> Result<(), EditError> {
            document.remove(&section, "credential_process").map(drop)
        })?;
        output::say(&format!("`{profile}` has its keys in plaintext again; a copy stays sealed in the vault."));
    }
    Ok(())
}
