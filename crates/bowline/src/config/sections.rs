//! The sections of `bowline.toml`, one function each: which keys there are and what they mean.

use std::ops::Range;

use toml::de::DeTable;

use super::{
    ArtifactsSection, AuditSection, AuditSink, CacheSection, CloudWatchSection, Config, DaemonSection, Mistake, Origin,
    RepositorySection, VaultSection, access, delegation, endpoint, gateway, identities, notify,
    table::{Table, address, some_time},
    vpn,
};

/// Reads every section; what is wrong is added to `mistakes`.
pub(crate) fn read(text: &str, root: &DeTable<'_>, mistakes: &mut Vec<Mistake>) -> Config {
    let mut file = Table::new(text, "", root);
    let mut config = Config::default();
    if let Some((section, _)) = file.table("daemon", mistakes) {
        config.daemon = daemon(section, mistakes);
    }
    jobs(text, &mut file, &mut config, mistakes);
    if let Some((section, span)) = file.table("artifacts-client", mistakes) {
        config.artifacts_client = access::client(text, section, &span, mistakes);
    }
    if let Some((section, _)) = file.table("audit", mistakes) {
        config.audit = audit(text, section, mistakes);
    }
    if let Some((section, _)) = file.table("notify", mistakes) {
        config.notify = notify::section(text, section, mistakes);
    }
    config.grants = endpoint::grants(text, &mut file, mistakes);
    if let Some((section, _)) = file.table("identity", mistakes) {
        config.identities = identities::read(text, &section, mistakes);
    }
    if let Some((section, _)) = file.table("delegation", mistakes) {
        config.delegation = delegation::read(section, mistakes);
    }
    if let Some((section, _)) = file.table("vault", mistakes) {
        config.vault = vault(section, mistakes);
    }
    file.finish(mistakes);
    config
}

/// The sections whose presence switches a job on.
fn jobs(text: &str, file: &mut Table<'_>, config: &mut Config, mistakes: &mut Vec<Mistake>) {
    if let Some((section, span)) = file.table("artifacts", mistakes) {
        let artifacts = artifacts(text, section, &span, mistakes);
        for address in artifacts.listen.iter().filter(|address| **address == config.daemon.listen) {
            mistakes.push(Mistake::at(
                text,
                &span,
                format!("`artifacts` and the status page of `daemon` both want {address}"),
            ));
        }
        config.artifacts = Some(artifacts);
    }
    if let Some((section, span)) = file.table("endpoint", mistakes) {
        config.endpoint = Some(endpoint::section(text, section, &span, mistakes));
    }
    if let Some((section, span)) = file.table("gateway", mistakes) {
        config.gateway = Some(gateway::section(text, section, &span, mistakes));
    }
    if let Some((section, _)) = file.table("vpn", mistakes) {
        config.vpn = Some(vpn::read(text, section, mistakes));
    }
}

fn daemon(mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> DaemonSection {
    let mut daemon = DaemonSection::default();
    if let Some(listen) = section.value("listen", mistakes, address) {
        daemon.listen = listen;
    }
    daemon.keep_fresh = section.list("keep-fresh", mistakes, name);
    daemon.landlock = section.flag("landlock", mistakes);
    section.finish(mistakes);
    daemon
}

fn vault(mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> VaultSection {
    let vault = VaultSection {
        path: section.path("path", mistakes),
        ssh_key: section.path("ssh-key", mistakes),
        idle: section.value("idle", mistakes, some_time),
        agent: section.flag("agent", mistakes).unwrap_or_default(),
    };
    section.finish(mistakes);
    vault
}

fn audit(text: &str, mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> AuditSection {
    let standard = AuditSection::default();
    let audit = AuditSection {
        path: section.path("path", mistakes),
        max_file_size: section.size("max-file-size", mistakes).unwrap_or(standard.max_file_size),
        sinks: section.values("sinks", mistakes, sink).unwrap_or(standard.sinks),
        deny: section.value("on-failure", mistakes, on_failure).unwrap_or(standard.deny),
        cloudwatch: section
            .table("cloudwatch", mistakes)
            .and_then(|(table, span)| cloudwatch(text, table, &span, mistakes)),
    };
    section.finish(mistakes);
    audit
}

fn cloudwatch(
    text: &str,
    mut table: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> Option<CloudWatchSection> {
    let (group, stream) = (table.value("group", mistakes, name), table.value("stream", mistakes, name));
    let (region, identity) = (table.value("region", mistakes, name), table.value("identity", mistakes, name));
    table.finish(mistakes);
    let (Some(group), Some(stream)) = (group, stream) else {
        let message = "`audit.cloudwatch` needs `group` and `stream`, which names this machine";
        mistakes.push(Mistake::at(text, span, message));
        return None;
    };
    Some(CloudWatchSection { group, stream, region, identity })
}

fn sink(text: &str) -> Result<AuditSink, String> {
    match text {
        "file" => Ok(AuditSink::File),
        "stdout" => Ok(AuditSink::Stdout),
        _ => Err(format!("`{text}` is neither `file` nor `stdout`; CloudWatch Logs is `cloudwatch = {{ … }}`")),
    }
}

/// Whether nothing is given out while no sink works.
fn on_failure(text: &str) -> Result<bool, String> {
    match text {
        "warn" => Ok(false),
        "deny" => Ok(true),
        _ => Err(format!("`{text}` is neither `warn` nor `deny`")),
    }
}

fn artifacts(text: &str, mut section: Table<'_>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> ArtifactsSection {
    let standard = ArtifactsSection::default();
    let artifacts = ArtifactsSection {
        identity: section.value("identity", mistakes, name),
        listen: section.values("listen", mistakes, address).unwrap_or(standard.listen),
        cache: section.table("cache", mistakes).map(|(section, _)| cache(section, mistakes)).unwrap_or_default(),
        metadata_ttl: section.duration("metadata-ttl", mistakes).unwrap_or(standard.metadata_ttl),
        negative_ttl: section.duration("negative-ttl", mistakes).unwrap_or(standard.negative_ttl),
        upstream_timeout: section.value("upstream-timeout", mistakes, some_time).unwrap_or(standard.upstream_timeout),
        stale_for: section.duration("stale-for", mistakes),
        region: section.value("region", mistakes, region),
        access: access::access(text, &mut section, mistakes),
        tls: access::tls(text, &mut section, mistakes),
        repositories: repositories(text, &mut section, span, mistakes),
    };
    section.finish(mistakes);
    access::reachable(text, span, &artifacts, mistakes);
    artifacts
}

fn cache(mut section: Table<'_>, mistakes: &mut Vec<Mistake>) -> CacheSection {
    let cache = CacheSection {
        path: section.path("path", mistakes),
        max_size: section.size("max-size", mistakes).unwrap_or(CacheSection::default().max_size),
        memory: section.size_or_none("memory", mistakes).unwrap_or(CacheSection::default().memory),
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
    let mut repositories: Vec<RepositorySection> = Vec::new();
    for (table, span) in tables {
        let read = repository(text, table, &span, mistakes);
        if repositories.iter().any(|known| known.path == read.path) {
            let message = format!("two repositories are at `{}`: give `from` several places instead", read.path);
            mistakes.push(Mistake::at(text, &span, message));
        }
        repositories.push(read);
    }
    repositories
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

pub(super) fn region(text: &str) -> Result<String, String> {
    bowline_aws::Region::parse(text).map(|region| region.as_str().to_owned()).map_err(|fault| fault.message)
}

pub(super) fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() { Err("a name must not be blank".to_owned()) } else { Ok(name.to_owned()) }
}

/// `/`, `/releases`, `releases/` -> `/`, `/releases/`.
fn mount(text: &str) -> Result<String, String> {
    let bare = text.trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~/+@".contains(c);
    let whole = bare.is_empty() || !bare.split('/').any(|part| matches!(part, "" | "." | ".."));
    if !whole || !bare.chars().all(plain) || bare == "healthz" {
        return Err(format!("`{text}` is not a path to serve under"));
    }
    Ok(if bare.is_empty() { "/".to_owned() } else { format!("/{bare}/") })
}
