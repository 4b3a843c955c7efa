//! The repository: its port, and one key of each bucket read with the profile's own credentials.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

use bowline_aws::s3;
use bowline_base::{Fault, FixedIdentity};
use bowline_host::Check;

use super::{failed, from_fault, ok};
use crate::{
    cli::ArtifactsServe,
    cli::MfaCode,
    commands::{artifacts_settings, obtain},
    config::{ArtifactsSection, Origin},
    config_place,
    world::{World, small_runtime},
};

/// Whether there is anything to check; a configuration with mistakes is.
pub(super) fn is_set_up(world: &World, file: Option<PathBuf>) -> bool {
    let configured = config_place::load(file, &world.environment).map_or(true, |config| config.artifacts.is_some());
    configured || world.environment.var("S3_BUCKET_NAME").is_some()
}

pub(super) fn checks(world: &World, file: Option<PathBuf>, profile: Option<&str>) -> Vec<Check> {
    let section = config_place::load(file, &world.environment).and_then(|config| {
        artifacts_settings::section(&ArtifactsServe::default(), &world.environment, config.artifacts)
    });
    let section = match section {
        Ok(section) => section,
        Err(fault) => return vec![from_fault("artifacts.config", &fault)],
    };
    let profile =
        profile.map(ToOwned::to_owned).or_else(|| section.identity.clone()).unwrap_or_else(|| world.default_profile());
    let ports = section.listen.iter().map(|address| port(*address));
    let places = section.repositories.iter().flat_map(|repository| &repository.from);
    ports.chain(places.map(|origin| place(world, &section, origin, &profile))).collect()
}

/// Free for us, or ours already.
fn port(address: SocketAddr) -> Check {
    let id = "artifacts.port";
    if TcpListener::bind(address).is_ok() {
        return ok(id, format!("{address} is free: `bowline artifacts serve` or `bowline run` can take it"));
    }
    if answers_healthz(address).unwrap_or(false) {
        return ok(id, format!("a repository answers on {address}"));
    }
    let fix = format!("ss -ltnp 'sport = :{}'   # who has it; or set another `listen`", address.port());
    failed(id, format!("{address} cannot be bound, and no repository answers on it"), Some(fix))
}

fn answers_healthz(address: SocketAddr) -> std::io::Result<bool> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 ") && answer.contains("\"status\""))
}

fn place(world: &World, section: &ArtifactsSection, origin: &Origin, profile: &str) -> Check {
    let id = "artifacts.upstream";
    match origin {
        Origin::Directory(path) if path.is_dir() => ok(id, format!("`{}` is a directory", path.display())),
        Origin::Directory(path) => failed(id, format!("`{}` is no directory", path.display()), None),
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
