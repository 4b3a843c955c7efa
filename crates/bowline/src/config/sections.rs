//! The sections of `bowline.toml`, one function each: which keys there are and what they mean.

use std::ops::Range;

use toml::de::DeTable;

use super::{
    ArtifactsSection, CacheSection, Config, DaemonSection, Mistake, Origin, RepositorySection, identities,
    table::{Table, address},
};

/// Reads every section; what is wrong is added to `mistakes`.
pub(crate) fn read(text: &str, root: &DeTable<'_>, mistakes: &mut Vec<Mistake>) -> Config {
    let mut file = Table::new(text, "", root);
    let mut config = Config::default();
    if let Some((section, _)) = file.table("daemon", mistakes) {
        config.daemon = daemon(section, mistakes);
    }
    if let Some((section, span)) = file.table("artifacts", mistakes) {
        config.artifacts = Some(artifacts(text, section, &span, mistakes));
    }
    if let Some((section, _)) = file.table("identity", mistakes) {
        config.identities = identities::read(text, &section, mistakes);
    }
    file.finish(mistakes);
    config
}

fn daemon(mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> DaemonSection {
    let mut daemon = DaemonSection::default();
    if let Some(listen) = section.value("listen", mistakes, address) {
        daemon.listen = listen;
    }
    daemon.socket = section.path("socket", mistakes);
    daemon.keep_fresh = section.values("keep-fresh", mistakes, name).unwrap_or_default();
    section.finish(mistakes);
    daemon
}

fn artifacts(text: &str, mut section: Table<'_>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> ArtifactsSection {
    let standard = ArtifactsSection::default();
    let artifacts = ArtifactsSection {
        identity: section.value("identity", mistakes, name),
        listen: section.values("listen", mistakes, address).unwrap_or(standard.listen),
        cache: section.table("cache", mistakes).map(|(section, _)| cache(section, mistakes)).unwrap_or_default(),
        metadata_ttl: section.duration("metadata-ttl", mistakes).unwrap_or(standard.metadata_ttl),
        negative_ttl: section.duration("negative-ttl", mistakes).unwrap_or(standard.negative_ttl),
        upstream_timeout: section.duration("upstream-timeout", mistakes).unwrap_or(standard.upstream_timeout),
        stale_for: section.duration("stale-for", mistakes),
        region: section.value("region", mistakes, name),
        repositories: repositories(text, &mut section, span, mistakes),
    };
    section.finish(mistakes);
    artifacts
}

fn cache(mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> CacheSection {
    let cache = CacheSection {
        path: section.path("path", mistakes),
        max_size: section.size("max-size", mistakes).unwrap_or(CacheSection::default().max_size),
    };
    section.finish(mistakes);
    cache
}

fn repositories(
    text: &str,
    section: &mut Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<RepositorySection> {
    let tables = section.tables("repository", mistakes);
    if tables.is_empty() {
        mistakes.push(Mistake::at(text, span, "`artifacts` has no [[artifacts.repository]]: nothing to serve"));
    }
    tables.into_iter().map(|(table, span)| repository(text, table, &span, mistakes)).collect()
}

fn repository(text: &str, mut table: Table<'_>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> RepositorySection {
    let path = table.value("path", mistakes, mount).unwrap_or_else(|| "/".to_owned());
    let from = table.values("from", mistakes, Origin::parse);
    if from.is_none() {
        mistakes.push(Mistake::at(text, span, "a repository needs `from = \"s3://bucket/prefix\"` or a directory"));
    }
    table.finish(mistakes);
    RepositorySection { path, from: from.unwrap_or_default() }
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() { Err("a name must not be blank".to_owned()) } else { Ok(name.to_owned()) }
}

/// `/`, `/releases`, `releases/` -> `/`, `/releases/`.
fn mount(text: &str) -> Result<String, String> {
    let bare = text.trim_matches('/');
    if bare.split('/').any(|part| part == "." || part == "..") {
        return Err(format!("`{text}` is not a path to serve under"));
    }
    Ok(if bare.is_empty() { "/".to_owned() } else { format!("/{bare}/") })
}
