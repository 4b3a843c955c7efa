//! `bowline vault seal PROFILE`: into the store, or in place as iam-sorry does, every other byte of the file as before.

use bowline_awsfiles::{EditError, Rule, SectionName, Source, rewrite};
use bowline_base::{Fault, Kind, Secret};
use bowline_credentials::vault::key_file;
use bowline_host::client::random_bytes;
use bowline_vault::{ProfileName, envelope::SealingKey, ssh::Doubt};

use super::migrate;
use crate::{
    cli::{VaultMigrate, VaultSeal},
    output,
    world::World,
};

pub(super) fn run(world: &World, arguments: &VaultSeal) -> Result<(), Fault> {
    let profile = ProfileName::new(&arguments.profile)?;
    if arguments.format.is_some() {
        return in_place(world, &profile);
    }
    let (profiles, creation) = (vec![profile.to_string()], arguments.creation.clone());
    migrate::run(world, &VaultMigrate { profiles, dry_run: false, yes: true, undo: false, creation })
}

/// Both values of the profile, as iam-sorry 0.2 writes them.
pub(super) fn in_place(world: &World, profile: &ProfileName) -> Result<(), Fault> {
    let path = &world.setup.vault.ssh_key;
    let (key, doubt) = SealingKey::new(&key_file(path)?)?;
    if let Some(Doubt::ShortRsa(kind)) = doubt {
        output::say(&format!("note: `{}` is {kind}; ed25519 or 4096 bits are better", path.display()));
    }
    let config = world.aws_config()?;
    let refuse = |why: &str| Err(Fault::new(Kind::Config, "vault", format!("profile `{profile}` {why}")));
    let has_keys = config
        .profile(profile.as_str())?
        .in_credentials()
        .is_some_and(|section| section.settings.contains_key("aws_access_key_id"));
    let keys = match config.resolve(profile.as_str())? {
        Source::Static(keys) if has_keys => keys,
        Source::Sealed(_) => return refuse("is sealed already"),
        _ => return refuse("has no keys in ~/.aws/credentials"),
    };
    if keys.session_token.is_some() {
        return refuse("has keys of a session, which end by themselves");
    }
    let values = [
        ("aws_access_key_id", key.seal(&Secret::new(keys.key_id.as_str()), random_bytes()?)),
        ("aws_secret_access_key", key.seal(&keys.secret_key, random_bytes()?)),
    ];
    let section = SectionName::Credentials(profile.to_string());
    rewrite(&world.setup.locations.credentials, Rule::Credentials, |document| -> Result<(), EditError> {
        values.iter().try_for_each(|(name, value)| document.set(&section, name, value))
    })?;
    output::say(&format!(
        "Profile `{profile}` is sealed with the bytes of `{}`. `ssh-keygen -p` on that file would lose the keys: the store \
         does better (bowline vault migrate {profile}).",
        path.display()
    ));
    Ok(())
}
