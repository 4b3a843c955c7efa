//! Names that the user gave: profiles, sign-ins, identities of `bowline.toml`.

use std::collections::BTreeSet;

use bowline_awsfiles::{Config, Locations};
use bowline_credentials::ENVIRONMENT;

use crate::{config_place, environment::Environment};

/// Which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// What gives credentials.
    Profiles,
    /// What can be signed in to: an sso-session, or a profile with one.
    SignIns,
}

/// Every known name in order; none of a file that cannot be read.
pub(crate) fn known(environment: &Environment, kind: Names) -> Vec<String> {
    let lookup = |name: &str| environment.var(name).map(ToOwned::to_owned);
    let files = Locations::from_environment(&lookup).ok().and_then(|locations| Config::load(&locations).ok());
    let mut names = BTreeSet::new();
    for config in files.iter() {
        match kind {
            Names::Profiles => names.extend(config.profiles().map(|profile| profile.name().to_owned())),
            Names::SignIns => {
                let with_one = config
                    .profiles()
                    .filter(|profile| ["sso_session", "sso_start_url"].iter().any(|key| profile.text(key).is_some()));
                names.extend(with_one.map(|profile| profile.name().to_owned()));
                names.extend(config.sso_sessions().map(|session| session.name().to_owned()));
            }
        }
    }
    if kind == Names::Profiles {
        let ours = config_place::load(None, environment).map(|config| config.identities).unwrap_or_default();
        names.extend(ours.into_iter().map(|identity| identity.name));
        names.insert(ENVIRONMENT.to_owned());
    }
    names.into_iter().collect()
}
