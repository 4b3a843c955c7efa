//! What the edge read once: where the AWS files are, where services are redirected to, what children may inherit.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bowline_aws::{Endpoints, Service};
use bowline_awsfiles::{Config, Locations, Password, RolesAnywhere};
use bowline_base::Fault;
use serde_json::json;

use crate::{lease_store::fingerprint, source::roles_anywhere_from_environment, vault::VaultSetup};

/// Everything that this crate is told about the world, besides the wire.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `HOME`.
    pub home: PathBuf,
    /// The AWS files.
    pub locations: Locations,
    /// Identities that stand in no AWS file, usable wherever a profile is.
    pub identities: Vec<RolesAnywhere>,
    /// What the environment redirects; the files' own redirections are read with the profile.
    pub endpoints: Endpoints,
    /// `$XDG_RUNTIME_DIR/bowline/leases`, `/run/bowline/leases`.
    pub lease_directory: PathBuf,
    /// Where sealed keys lie, and what opens them.
    pub vault: VaultSetup,
    /// With how much left an SSO token is renewed, at most half of its life: [`crate::renewal::TOKEN_WINDOW`], or what the
    /// user wants (`RENEWAL_THRESHOLD`).
    pub token_window: Duration,
    /// The environment, for `credential_process` (which gets it without the secrets) and `credential_source = Environment`.
    pub environment: BTreeMap<String, String>,
}

impl Setup {
    /// What daemon and client have to agree on before one answers for the other: `HOME`, paths of the AWS files,
    /// redirected endpoints, the key in the environment (`credential_source = Environment`). 32 hexadecimal digits.
    #[must_use]
    pub fn context(&self) -> String {
        let description = json!({
            "home": self.home,
            "config": self.locations.config,
            "credentials": self.locations.credentials,
            "sso_cache": self.locations.sso_cache,
            "endpoints": redirections(&self.endpoints),
            "key": self.environment.get("AWS_ACCESS_KEY_ID").filter(|key| !key.is_empty()),
        });
        // The daemon answers for its own file; only what the environment calls `default` has to be the same.
        let given = roles_anywhere_from_environment(|name| self.environment.get(name).cloned()).ok().flatten();
        let description =
            given.map_or_else(|| description.to_string(), |identity| format!("{description}{identity:?}"));
        fingerprint(&description)
    }

    /// The AWS files as they are now, with the identities beside the profiles.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, Fault> {
        Ok(Config::load(&self.locations)?.with_identities(self.identities.iter().cloned()))
    }

    /// The directories in which a change may end a failure.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.locations.sso_cache.clone()];
        let of_identities = self.identities.iter().flat_map(files_of);
        for file in [&self.locations.config, &self.locations.credentials].into_iter().chain(of_identities) {
            let resolved = bowline_base::atomic::resolve(file).unwrap_or_else(|_| file.clone());
            directories.extend([file.parent(), resolved.parent()].into_iter().flatten().map(PathBuf::from));
        }
        directories.sort();
        directories.dedup();
        directories
    }
}

fn files_of(identity: &RolesAnywhere) -> impl Iterator<Item = &PathBuf> {
    let password = match &identity.password {
        Some(Password::File(path)) => Some(path),
        Some(Password::Variable(_) | Password::Given(_)) | None => None,
    };
    [Some(&identity.certificate), identity.intermediates.as_ref(), identity.private_key.as_ref(), password]
        .into_iter()
        .flatten()
}

/// What is redirected, by the key of the service.
pub(crate) fn redirections(endpoints: &Endpoints) -> BTreeMap<&'static str, String> {
    Service::ALL.into_iter().filter_map(|service| Some((service.key(), endpoints.redirected(service)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::renewal::TOKEN_WINDOW;

    pub(crate) fn setup() -> Setup {
        let home = PathBuf::from("/home/me");
        let locations = Locations {
            config: home.join(".aws/config"),
            credentials: home.join(".aws/credentials"),
            sso_cache: home.join(".aws/sso/cache"),
        };
        let environment = BTreeMap::new();
        Setup {
            home,
            locations,
            identities: Vec::new(),
            endpoints: Endpoints::default(),
            lease_directory: "/run/x".into(),
            token_window: TOKEN_WINDOW,
            vault: VaultSetup::in_home(Path::new("/home/me")),
            environment,
        }
    }

    #[test]
    fn another_file_or_endpoint_is_another_context() {
        let base = setup();
        let mut other_file = setup();
        other_file.locations.config = "/etc/aws".into();
        let endpoints = Endpoints::everything_at("http://127.0.0.1:1").unwrap();
        let redirected = Setup { endpoints, ..setup() };
        let key = BTreeMap::from([("AWS_ACCESS_KEY_ID".to_owned(), "AKIA1".to_owned())]);
        let with_a_key = Setup { environment: key, ..setup() };
        assert_ne!(base.context(), with_a_key.context());
        assert_eq!(base.context(), setup().context());
        assert_ne!(base.context(), other_file.context());
        assert_ne!(base.context(), redirected.context());
    }

    #[test]
    fn each_directory_is_watched_once() {
        let directories = setup().directories();
        assert_eq!(directories, [PathBuf::from("/home/me/.aws"), PathBuf::from("/home/me/.aws/sso/cache")]);
    }
}
