//! The profile that acts: where its keys stand, whether they are sealed, and the identity that they are.

use bowline_aws::{
    Region,
    sts::{CallerIdentity, caller_identity},
};
use bowline_base::{Credentials, Fault, FixedIdentity, KeyId};
use bowline_credentials::ENVIRONMENT;
use bowline_vault::Keys;

use super::{
    key_file::SshKey,
    seal,
    section::{Held, Standing},
    task::{refused, wrong},
};
use crate::{cli::MfaCode, commands::obtain, output, world::World};

/// Whose keys act.
pub(super) struct Manager<'a> {
    pub(super) world: &'a World,
    pub(super) profile: &'a str,
    pub(super) ssh_key: &'a SshKey,
}

impl Manager<'_> {
    /// The profile in the credentials file, if it is there.
    pub(super) fn held(&self) -> Result<Option<Held>, Fault> {
        Held::read(&self.world.setup.locations.credentials, self.profile)
    }

    /// Refuses keys that lie open: whoever reads the file could make users with them.
    pub(super) fn require_sealed(&self) -> Result<(), Fault> {
        let profile = self.profile;
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

    /// Its credentials: the keys of the file, opened, or whatever else Bowline knows as the source of that profile.
    pub(super) fn credentials(&self) -> Result<Credentials, Fault> {
        match self.held()?.filter(|held| held.standing() != Standing::NoKeys) {
            Some(held) => Ok(self.of(held.keys(self.ssh_key)?, None)),
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
    pub(super) fn of(&self, keys: Keys, ends: Option<bowline_base::Timestamp>) -> Credentials {
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
