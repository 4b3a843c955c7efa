//! What the edge read once: where the AWS files are, where services are redirected to, what children may inherit.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bowline_aws::{Endpoints, Service};
use bowline_awsfiles::{Config, Locations, Password, RolesAnywhere};
use bowline_base::Fault;
use bowline_host::watch::Watched;
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
    /// redirected endpoints, the key in the environment (`credential_source = Environment`), and the identities of
    /// `bowline.toml`.
    #[must_use]
    pub fn context(&self) -> Context {
        let description = json!({
            "home": self.home,
            "config": self.locations.config,
            "credentials": self.locations.credentials,
            "sso_cache": self.locations.sso_cache,
            "endpoints": redirections(&self.endpoints),
            "key": self.environment.get("AWS_ACCESS_KEY_ID").filter(|key| !key.is_empty()),
        });
        // What the environment calls `default` has to be the same whatever the files say.
        let given = roles_anywhere_from_environment(|name| self.environment.get(name).cloned()).ok().flatten();
        let description =
            given.map_or_else(|| description.to_string(), |identity| format!("{description}{identity:?}"));
        Context::new(&fingerprint(&description), &fingerprint(&format!("{:?}", self.identities)))
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
        let named = [self.locations.config.clone(), self.locations.credentials.clone()];
        for file in named.into_iter().chain(self.files_of_identities()) {
            let resolved = bowline_base::atomic::resolve(&file).unwrap_or_else(|_| file.clone());
            directories.extend([file.parent(), resolved.parent()].into_iter().flatten().map(PathBuf::from));
        }
        directories.sort();
        directories.dedup();
        directories
    }

    /// Where a change may end a failure: AWS's files and those of the identities, wherever links lead, and all that is in
    /// the SSO cache.
    pub(crate) fn watched(&self) -> Watched {
        let named = [self.locations.config.clone(), self.locations.credentials.clone()];
        let mut files: Vec<PathBuf> = named.into_iter().chain(self.files_of_identities()).collect();
        files.extend(files.clone().iter().filter_map(|file| bowline_base::atomic::resolve(file).ok()));
        files.sort();
        files.dedup();
        Watched { files, directories: vec![self.locations.sso_cache.clone()] }
    }

    /// Certificates, keys and passwords.
    pub(crate) fn files_of_identities(&self) -> impl Iterator<Item = PathBuf> {
        self.identities.iter().flat_map(files_of).cloned()
    }
}

/// See [`Setup::context`]: hashes, of the surroundings and of the identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    surroundings: String,
    identities: String,
}

impl Context {
    pub(crate) fn new(surroundings: &str, identities: &str) -> Self {
        Self { surroundings: surroundings.to_owned(), identities: identities.to_owned() }
    }

    /// What a client tells the daemon that has read a `bowline.toml` of its own.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}.{}", self.surroundings, self.identities)
    }

    /// What one tells that has none, or one that cannot be read: it leaves identities to the daemon.
    #[must_use]
    pub fn without_identities(&self) -> String {
        self.surroundings.clone()
    }

    /// Whether what a client told fits ours.
    #[must_use]
    pub fn agrees(&self, told: &str) -> bool {
        match told.split_once('.') {
            Some((surroundings, identities)) => surroundings == self.surroundings && identities == self.identities,
            None => told == self.surroundings,
        }
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
pub(crate) mod tests {
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
    fn identities_of_another_bowline_toml_are_another_context_for_who_has_one() {
        let names = ["CERTIFICATE_PATH", "PRIVATE_KEY_PATH", "TRUST_ANCHOR_ARN", "PROFILE_ARN", "ROLE_ARN"];
        let identity = |role: &str| {
            let lookup = |name: &str| {
                let known = names.iter().any(|known| name == format!("ROLESANYWHERE_{known}"));
                known.then(|| if name.ends_with("ROLE_ARN") { role.to_owned() } else { "arn:aws:x:y:1:z".to_owned() })
            };
            let identities = roles_anywhere_from_environment(lookup).unwrap().into_iter().collect();
            Setup { identities, ..setup() }.context()
        };
        let daemon = identity("arn:aws:iam::1:role/a");
        assert!(daemon.agrees(&daemon.whole()) && daemon.agrees(&setup().context().without_identities()));
        let (other, none) = (identity("arn:aws:iam::1:role/b"), setup().context());
        assert!(!daemon.agrees(&other.whole()) && !daemon.agrees(&none.whole()));
    }

    #[test]
    fn each_directory_is_watched_once() {
        let directories = setup().directories();
        assert_eq!(directories, [PathBuf::from("/home/me/.aws"), PathBuf::from("/home/me/.aws/sso/cache")]);
    }
}
