//! The key of one profile, as rotation and bootstrap see it: through the keyring, in whatever form it lies; what is new
//! is sealed with the SSH key, in the profile of the AWS files.

use bowline_awsfiles::{EditError, Rule, SectionName, rewrite};
use bowline_base::{Credentials, Fault, KeyId, Secret, Timestamp};
use bowline_credentials::vault::key_file;
use bowline_delegation::keyring;
use bowline_host::client::random_bytes;
use bowline_vault::{ProfileName, envelope::SealingKey};

use super::profile_files;
use crate::{
    commands::write::into_section,
    keyring::{Form, Keyring, LongLived},
    output,
    world::World,
};

/// The key of `profile`.
pub(crate) struct StoredKey<'w> {
    world: &'w World,
    keyring: Keyring<'w>,
    profile: String,
}

impl<'w> StoredKey<'w> {
    pub(crate) fn new(world: &'w World, profile: &str) -> Self {
        Self { world, keyring: Keyring::open(world), profile: profile.to_owned() }
    }

    /// The key, opened.
    pub(crate) fn credentials(&self) -> Result<Credentials, Fault> {
        let LongLived { key_id, secret } = self.keyring.load(&self.profile)?;
        Ok(Credentials {
            key_id,
            secret_key: secret,
            session_token: None,
            expires_at: None,
            obtained_at: Timestamp::UNIX_EPOCH,
            account_id: None,
        })
    }

    fn is_there(&self) -> Result<bool, Fault> {
        let config = self.world.aws_config()?;
        Ok(config.profile(&self.profile).is_ok_and(|profile| {
            profile.setting("aws_access_key_id").is_some() || profile.setting("credential_process").is_some()
        }))
    }

    fn sealing_key(&self) -> Result<SealingKey, Fault> {
        let (key, doubt) = SealingKey::new(&key_file(&self.world.setup.vault.ssh_key)?)?;
        if let Some(doubt) = doubt {
            output::say(&format!("note: {doubt}"));
        }
        Ok(key)
    }
}

impl keyring::Keyring for StoredKey<'_> {
    fn check(&self) -> Result<(), Fault> {
        ProfileName::new(&self.profile)?;
        if !self.is_there()? {
            return self.sealing_key().map(drop);
        }
        match self.keyring.form(&self.profile)? {
            Form::Envelope => self.sealing_key().map(drop),
            Form::Store => self.keyring.unlocked().map(drop),
            Form::Plain => Ok(()),
        }
    }

    fn load(&self) -> Result<Option<Credentials>, Fault> {
        if self.is_there()? { self.credentials().map(Some) } else { Ok(None) }
    }

    fn replace(&self, former: Option<&KeyId>, new: &Credentials) -> Result<(), Fault> {
        if let Some(former) = former {
            let new = LongLived { key_id: new.key_id.clone(), secret: new.secret_key.clone() };
            return self.keyring.replace(&self.profile, former, &new);
        }
        let key = self.sealing_key()?;
        let sealed = |value: &Secret| Ok::<_, Fault>(Secret::new(key.seal(value, random_bytes()?)));
        let settings = [
            ("aws_access_key_id", sealed(&Secret::new(new.key_id.as_str()))?),
            ("aws_secret_access_key", sealed(&new.secret_key)?),
        ];
        let locations = &self.world.setup.locations;
        into_section(&locations.credentials, &self.profile, &settings)?;
        let region = self.world.region(None, &self.profile)?;
        profile_files::add_section(&locations.config, &self.profile, region.as_str()).map(drop)
    }
}

/// Notes in the AWS files whose key the profile has: names outside of the namespace are refused without a call then.
pub(crate) fn note_owner(world: &World, profile: &str, user: &str) -> Result<(), Fault> {
    let section = SectionName::Credentials(profile.to_owned());
    rewrite(&world.setup.locations.credentials, Rule::Credentials, |document| {
        document.set(&section, "credentials_owner", user)?;
        Ok::<_, EditError>(())
    })?;
    Ok(())
}
