//! The profile that acts: where its keys stand, whether they are sealed, and the identity that they are.

use std::sync::Arc;

use bowline_aws::{
    Region,
    sts::{CallerIdentity, caller_identity},
};
use bowline_base::{Credentials, Fault, FixedIdentity, KeyId, Secret, Timestamp};
use bowline_credentials::ENVIRONMENT;
use bowline_vault::Keys;

use super::{
    key_file::SshKey,
    seal,
    section::{Held, Standing},
    task::{refused, wrong},
};
use crate::{
    cli::MfaCode,
    commands::{obtain, users::Desk},
    keyring::{Form, Keyring},
    output,
    world::World,
};

/// Whose keys act.
#[derive(Clone, Copy)]
pub(super) struct Manager<'a> {
    /// What `bowline users` works with too: its configuration and its journals hold here as well.
    pub(super) desk: &'a Desk,
    pub(super) world: &'a World,
    pub(super) profile: &'a str,
    pub(super) ssh_key: &'a SshKey,
}

impl Manager<'_> {
    /// The profile in the credentials file, if it is there.
    pub(super) fn held(&self) -> Result<Option<Held>, Fault> {
        Held::read(&self.world.setup.locations.credentials, self.profile)
    }

    /// The same for another profile.
    pub(super) fn at<'a>(&'a self, profile: &'a str) -> Manager<'a> {
        Manager { profile, ..*self }
    }

    /// The keys that stand in the environment.
    pub(super) fn environment_keys(&self) -> Option<Credentials> {
        let value = |name: &str| self.world.environment.var(name).map(Secret::new);
        let (key_id, secret_key) = (value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?);
        Some(self.of(Keys { key_id, secret_key, session_token: value("AWS_SESSION_TOKEN") }, None))
    }

    /// Its credentials as they sign calls.
    pub(super) fn identity(&self) -> Result<Arc<FixedIdentity>, Fault> {
        Ok(Arc::new(FixedIdentity::new(self.credentials()?)))
    }

    /// Refuses keys that lie open: whoever reads the file could make users with them.
    pub(super) fn require_sealed(&self) -> Result<(), Fault> {
        let profile = self.profile;
        if self.is_in_store() {
            return Ok(());
        }
        let held = self.held()?.ok_or_else(|| seal::missing(profile))?;
        match held.standing() {
            Standing::Sealed => Ok(()),
            Standing::Open => Err(refused(format!("the manager's keys of profile `{profile}` are not sealed"))
                .hint(format!("seal them: iam-sorry --profile {profile} --encrypt"))),
            Standing::Temporary => {
                Err(refused(format!("profile `{profile}` holds temporary credentials, not a manager's keys"))
                    .hint("name the manager's profile with --profile; AWS_PROFILE counts too"))
            }
            Standing::NoKeys => Err(wrong(format!("profile `{profile}` has no keys in the credentials file"))),
        }
    }

    /// Whether its keys are in Bowline's own store, where `bowline vault migrate` puts them.
    pub(super) fn is_in_store(&self) -> bool {
        Keyring::open(self.world).form(self.profile).is_ok_and(|form| form == Form::Store)
    }

    /// Its credentials: the keys of the file, opened, or whatever else Bowline knows as the source of that profile.
    pub(super) fn credentials(&self) -> Result<Credentials, Fault> {
        match self.held()?.filter(|held| held.standing() != Standing::NoKeys) {
            Some(held) => Ok(self.of(held.keys(self.ssh_key)?, None)),
            None if self.is_in_store() => {
                let keys = Keyring::open(self.world).load(self.profile)?;
                let key_id = Secret::new(keys.key_id.as_str());
                Ok(self.of(Keys { key_id, secret_key: keys.secret, session_token: None }, None))
            }
            None => obtain::alone(self.world, self.profile, &MfaCode::default()),
        }
    }

    /// The same, or those of the environment where there is no such profile.
    pub(super) fn credentials_or_environment(&self) -> Result<Credentials, Fault> {
        let known = self.world.aws_config()?.profile(self.profile).is_ok();
        if known || self.world.environment.var("AWS_ACCESS_KEY_ID").is_none() {
            return self.credentials();
        }
        output::say(&format!("note: there is no profile `{}`; the keys of the environment are used", self.profile));
        obtain::alone(self.world, ENVIRONMENT, &MfaCode::default())
    }

    /// `keys` as credentials that end at `ends`.
    pub(super) fn of(&self, keys: Keys, ends: Option<Timestamp>) -> Credentials {
        Credentials {
            key_id: KeyId::new(keys.key_id.expose()),
            secret_key: keys.secret_key,
            session_token: keys.session_token,
            expires_at: ends,
            obtained_at: self.world.wire.now().wall,
            account_id: None,
        }
    }

    pub(super) fn region(&self) -> Result<Region, Fault> {
        self.world.region(None, self.profile)
    }

    /// Who AWS takes `credentials` for.
    pub(super) async fn caller(&self, credentials: &Credentials) -> Result<CallerIdentity, Fault> {
        let identity = FixedIdentity::new(credentials.clone());
        Ok(caller_identity(&self.world.aws, &self.region()?, &identity).await?)
    }
}
