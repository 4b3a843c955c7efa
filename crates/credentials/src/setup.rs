//! What the edge read once: where the AWS files are, where services are redirected to, what children may inherit.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bowline_aws::{Endpoints, Service};
use bowline_awsfiles::Locations;
use serde_json::json;

use crate::lease_store::fingerprint;

/// Everything that this crate is told about the world, besides the wire.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `HOME`.
    pub home: PathBuf,
    /// The AWS files.
    pub locations: Locations,
    /// What the environment redirects; the files' own redirections are read with the profile.
    pub endpoints: Endpoints,
    /// `$XDG_RUNTIME_DIR/bowline/leases`, `/run/bowline/leases`.
    pub lease_directory: PathBuf,
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
        fingerprint(&description.to_string())
    }

    /// The directories in which a change may end a failure.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.locations.sso_cache.clone()];
        for file in [&self.locations.config, &self.locations.credentials] {
            let resolved = bowline_base::atomic::resolve(file).unwrap_or_else(|_| file.clone());
            directories.extend([file.parent(), resolved.parent()].into_iter().flatten().map(PathBuf::from));
        }
        directories.sort();
        directories.dedup();
        directories
    }
}

/// What is redirected, by the key of the service.
pub(crate) fn redirections(endpoints: &Endpoints) -> BTreeMap<&'static str, String> {
    Service::ALL.into_iter().filter_map(|service| Some((service.key(), endpoints.redirected(service)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
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
            endpoints: Endpoints::default(),
            lease_directory: "/run/x".into(),
            token_window: TOKEN_WINDOW,
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
