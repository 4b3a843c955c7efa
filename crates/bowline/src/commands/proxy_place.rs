//! Where the proxy is that a command speaks with: a flag, the environment, `[artifacts-client]`, or our own `[artifacts]`.

use std::path::{Path, PathBuf};

use bowline_artifacts::upstream::http::repository_url;
use bowline_base::{Fault, Kind, Secret};

use crate::{
    config::{ArtifactsSection, Config, SecretPlace},
    config_place,
    environment::Environment,
    secrets,
    world::World,
};

/// A repository and the token for it.
pub(crate) struct Place {
    /// Without slash at its end.
    pub(crate) url: String,
    pub(crate) token: Option<Secret>,
}

/// The place to speak with. `url` and `token_file` are flags.
pub(crate) fn find(
    environment: &Environment,
    file: Option<PathBuf>,
    url: Option<&str>,
    token_file: Option<&Path>,
) -> Result<Place, Fault> {
    let config = config_place::load(file, environment)?;
    let world = || World::given(environment.clone(), Ok(Some(config.clone())));
    let Config { artifacts, artifacts_client, .. } = config.clone();
    let named = url.or_else(|| environment.var("BOWLINE_ARTIFACTS_URL")).map(str::to_owned);
    let of_client = artifacts_client.as_ref().map(|client| client.url.clone());
    let known = of_client.or_else(|| artifacts.as_ref().and_then(own));
    let url = named.or_else(|| known.clone()).unwrap_or_else(|| "http://127.0.0.1:9000".to_owned());
    let url = repository_url(&url).map_err(|why| {
        Fault::new(Kind::Config, "artifacts", why).hint("name it with --url, like https://repo.corp:9000/")
    })?;
    let configured = artifacts_client.and_then(|client| client.token);
    // A token goes to the place that it was configured with, and to no other.
    let configured = configured.filter(|_| known.as_deref() == Some(&url));
    let token = match token_file {
        Some(path) => Some(secrets::read(&world()?, &SecretPlace::File(path.to_path_buf()))?),
        None if environment.var("BOWLINE_ARTIFACTS_TOKEN").is_some() => {
            Some(secrets::read(&world()?, &SecretPlace::Env("BOWLINE_ARTIFACTS_TOKEN".to_owned()))?)
        }
        None => configured.map(|place| secrets::read(&world()?, &place)).transpose()?,
    };
    Ok(Place { url, token })
}

/// The first repository of our own, from this machine.
fn own(section: &ArtifactsSection) -> Option<String> {
    let mut address = *section.listen.first()?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let scheme = if section.tls.is_some() { "https" } else { "http" };
    let path = section.repositories.first().map_or("", |repository| repository.path.trim_end_matches('/'));
    Some(format!("{scheme}://{address}{path}"))
}
