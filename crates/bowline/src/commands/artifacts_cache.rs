//! `bowline artifacts ls` and `purge`: what lies in the cache directory, and what is to go from it.

use std::path::PathBuf;

use bowline_artifacts::{Cached, Selection, control, inventory};
use bowline_base::{Fault, Kind, units, utc};
use serde_json::json;

use crate::{
    cli::{ArtifactsLs, ArtifactsPurge, CacheDirectory, Form},
    config_place,
    environment::Environment,
    output,
};

pub(crate) fn ls(environment: &Environment, file: Option<PathBuf>, arguments: &ArtifactsLs) -> Result<(), Fault> {
    let directory = directory(environment, file, &arguments.cache)?;
    let selection = Selection::parse(arguments.selection.as_deref().unwrap_or("/"));
    let mut all = inventory(&directory).map_err(|cause| unusable(&directory, cause))?;
    all.retain(|cached| selection.takes(&cached.key));
    match arguments.form.output {
        Form::Json => output::data(&format!("{:#}\n", json!(all.iter().map(object).collect::<Vec<_>>()))),
        Form::Text => {
            let lines: String = all.iter().map(line).collect();
            output::data(&lines)?;
            let bytes = all.iter().map(|cached| cached.length).sum();
            output::say(&format!("{} files, {} in `{}`", all.len(), units::size(bytes), directory.display()));
            Ok(())
        }
    }
}

pub(crate) fn purge(environment: &Environment, file: Option<PathBuf>, arguments: &ArtifactsPurge) -> Result<(), Fault> {
    let directory = directory(environment, file, &arguments.cache)?;
    let selection = Selection::parse(&arguments.selection);
    let purged = control::purge(&directory, &selection).map_err(|cause| unusable(&directory, cause))?;
    if let (0, Selection::Key(key)) = (purged.files, &selection) {
        return Err(Fault::new(Kind::Refused, "artifacts", format!("`{key}` is not in the cache"))
            .hint("`bowline artifacts ls` shows what is; a prefix ends in `/`"));
    }
    output::say(&format!("removed {} files, {}", purged.files, units::size(purged.bytes)));
    Ok(())
}

fn directory(environment: &Environment, file: Option<PathBuf>, named: &CacheDirectory) -> Result<PathBuf, Fault> {
    if let Some(path) = &named.cache {
        return Ok(path.clone());
    }
    let configured = config_place::load(file, environment)?.artifacts.and_then(|section| section.cache.path);
    Ok(configured.unwrap_or_else(|| environment.cache_directory().join("artifacts")))
}

fn object(cached: &Cached) -> serde_json::Value {
    json!({
        "key": cached.key,
        "origin": cached.origin,
        "bytes": cached.length,
        "stored_at": utc(cached.stored_at),
        "validated_at": utc(cached.validated_at),
    })
}

fn line(cached: &Cached) -> String {
    // A key is somebody else's text: what steers a terminal is not shown as it is.
    let key: String = cached.key.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("{:>12}  {}  {key}  {}\n", units::size(cached.length), utc(cached.validated_at), cached.origin)
}

fn unusable(directory: &std::path::Path, cause: std::io::Error) -> Fault {
    Fault::new(Kind::Refused, "artifacts", format!("cannot use the cache `{}`", directory.display()))
        .hint("name it with --cache, and run this as the user that owns it")
        .cause(cause)
}
