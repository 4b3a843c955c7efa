//! From `[artifacts]` to the job: regions, directories and identity filled in from the world.

use std::sync::Arc;

use bowline_artifacts::{Access, Artifacts, Cache, Config, Key, Repository, Tls};
use bowline_base::{BoxFuture, Credentials, Fault, Identity, KeyId, Kind, Unavailable};
use bowline_credentials::Broker;
use bowline_host::Address;

use crate::{
    config::{AccessSection, ArtifactsSection, KeySection, Origin, SecretPlace},
    secrets,
    world::World,
};

/// The job that `section` asks for; its credentials come from `broker`.
pub(super) fn job(world: &World, broker: &Broker, section: &ArtifactsSection) -> Result<Artifacts, Fault> {
    let config = Config {
        listen: section.listen.iter().copied().map(Address::Tcp).collect(),
        access: access(world, &section.access)?,
        tls: section
            .tls
            .as_ref()
            .map(|tls| Tls { certificate: tls.certificate.clone(), private_key: tls.private_key.clone() }),
        repositories: repositories(world, section)?,
        cache: Cache {
            path: section.cache.path.clone().unwrap_or_else(|| world.environment.cache_directory().join("artifacts")),
            max_size: section.cache.max_size,
            memory: section.cache.memory,
        },
        metadata_ttl: section.metadata_ttl,
        negative_ttl: section.negative_ttl,
        upstream_timeout: section.upstream_timeout,
        stale_for: section.stale_for,
    };
    let identity = match profile(world, section) {
        Some(profile) => broker.identity(&profile),
        None => Arc::new(Nobody) as Arc<dyn Identity>,
    };
    Ok(Artifacts::new(config, &world.aws, &identity))
}

/// The profile that reads the buckets; `None` when there are only directories.
pub(super) fn profile(world: &World, section: &ArtifactsSection) -> Option<String> {
    let mut origins = section.repositories.iter().flat_map(|repository| &repository.from);
    let reads_s3 = origins.any(|origin| matches!(origin, Origin::S3 { .. }));
    reads_s3.then(|| section.identity.clone().unwrap_or_else(|| world.unnamed_identity()))
}

fn repositories(world: &World, section: &ArtifactsSection) -> Result<Vec<Repository>, Fault> {
    let profile = profile(world, section).unwrap_or_default();
    let region = world.region(section.region.as_deref(), &profile)?;
    let origin = |origin: &Origin| match origin {
        Origin::S3 { bucket, prefix } => {
            bowline_artifacts::Origin::S3 { bucket: bucket.clone(), prefix: prefix.clone(), region: region.clone() }
        }
        Origin::Http(url) => bowline_artifacts::Origin::Http(url.clone()),
        Origin::Directory(path) => bowline_artifacts::Origin::Directory(path.clone()),
    };
    let repository = |repository: &crate::config::RepositorySection| Repository {
        path: repository.path.clone(),
        from: repository.from.iter().map(origin).collect(),
    };
    Ok(section.repositories.iter().map(repository).collect())
}

fn access(world: &World, section: &AccessSection) -> Result<Access, Fault> {
    let key = |key: &KeySection| {
        let secret = secrets::read(world, &key.secret)?;
        let file = if let SecretPlace::File(path) = &key.secret { Some(path.clone()) } else { None };
        Ok(Key { name: key.name.clone(), scheme: key.scheme, secret, file })
    };
    match section {
        AccessSection::Local => Ok(Access::Local),
        AccessSection::Open => Ok(Access::Open),
        AccessSection::Keys(keys) => keys.iter().map(key).collect::<Result<_, Fault>>().map(Access::Keys),
    }
}

/// Who reads directories.
struct Nobody;

impl Identity for Nobody {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Err(Fault::new(Kind::Bug, "artifacts", "a directory was read with credentials").into())
    }

    fn renew<'a>(&'a self, _rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async { self.current() })
    }
}
