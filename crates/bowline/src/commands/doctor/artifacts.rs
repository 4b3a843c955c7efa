//! The repository: its port, and one key of each bucket read with the profile's own credentials.

use bowline_aws::s3;
use bowline_base::{Fault, FixedIdentity};
use bowline_host::Check;

use super::{Patient, ids, ports, verdict::*};
use crate::{
    cli::{ArtifactsServe, MfaCode},
    commands::{artifacts_settings, obtain},
    config::{self, ArtifactsSection, Config, Origin},
    world::{World, small_runtime},
};

/// Whether there is anything to check; a configuration with mistakes is told by `files`.
pub(super) fn applies(patient: &Patient) -> bool {
    let configured = patient.config.as_ref().is_ok_and(|config| config.artifacts.is_some());
    configured || patient.world.environment.var("S3_BUCKET_NAME").is_some()
}

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let section = match section(patient) {
        Ok(section) => section,
        Err(fault) => return vec![from_fault(ids::ARTIFACTS_CONFIG, &fault)],
    };
    let world = &patient.world;
    let profile =
        patient.profile.clone().or_else(|| section.identity.clone()).unwrap_or_else(|| world.unnamed_identity());
    let ports = ports::of_artifacts(&section.listen);
    let places = section.repositories.iter().flat_map(|repository| &repository.from);
    let good = ok(ids::ARTIFACTS_CONFIG, format!("{} repositories are configured", section.repositories.len()));
    let places = places.map(|origin| place(world, &section, origin, &profile));
    std::iter::once(good).chain(ports).chain(places).collect()
}

fn section(patient: &Patient) -> Result<ArtifactsSection, Fault> {
    let config = match &patient.file {
        Some(file) => config::load(file)?,
        None => Config::default(),
    };
    artifacts_settings::section(&ArtifactsServe::default(), &patient.world.environment, config.artifacts)
}

fn place(world: &World, section: &ArtifactsSection, origin: &Origin, profile: &str) -> Check {
    let id = ids::ARTIFACTS_UPSTREAM;
    match origin {
        Origin::Directory(path) if path.is_dir() => ok(id, format!("`{}` is a directory", path.display())),
        Origin::Directory(path) => failed(id, format!("`{}` is no directory", path.display()), None),
        Origin::Http(url) => ok(id, format!("`{url}` is a web repository; it is asked when a build asks")),
        Origin::S3 { bucket, prefix } => match first_key(world, section, bucket, prefix, profile) {
            Ok(Some(key)) => {
                ok(id, format!("s3://{bucket}/{prefix} can be listed as `{profile}`; its first key is `{key}`"))
            }
            Ok(None) => failed(id, format!("s3://{bucket}/{prefix} can be listed as `{profile}`, and is empty"), None),
            Err(fault) => from_fault(id, &fault),
        },
    }
}

fn first_key(
    world: &World,
    section: &ArtifactsSection,
    bucket: &str,
    prefix: &str,
    profile: &str,
) -> Result<Option<String>, Fault> {
    let identity = FixedIdentity::new(obtain::credentials(world, profile, &MfaCode::default())?);
    let region = world.region(section.region.as_deref(), profile)?;
    let request = s3::ListObjects {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        max_keys: Some(1),
        ..s3::ListObjects::default()
    };
    let page = small_runtime()?.block_on(s3::list_objects(&world.aws, &region, &identity, &request))?;
    Ok(page.objects.into_iter().next().map(|object| object.key))
}
