//! `bowline.toml`, parsed whole into values before anything is bound or called.
//!
//! Every mistake is reported at once, with line, column and a did-you-mean. The values here know no TOML; each
//! section is compared with its former self on a reload, so everything derives `PartialEq`.

mod identities;
mod mistakes;
mod sections;
mod table;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Kind};

pub(crate) use mistakes::Mistake;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    pub(crate) daemon: DaemonSection,
    pub(crate) artifacts: Option<ArtifactsSection>,
    /// `[identity.NAME]`, by name.
    pub(crate) identities: Vec<RolesAnywhere>,
}

/// `[daemon]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DaemonSection {
    /// Status page, `/livez`, `/readyz`, `/metrics`.
    pub(crate) listen: SocketAddr,
    /// The Unix socket, where it is not the default one.
    pub(crate) socket: Option<PathBuf>,
    /// Profiles that are kept fresh from the start, asked for or not.
    pub(crate) keep_fresh: Vec<String>,
}

impl Default for DaemonSection {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 9910).into(), socket: None, keep_fresh: Vec::new() }
    }
}

/// `[artifacts]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ArtifactsSection {
    pub(crate) identity: Option<String>,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) cache: CacheSection,
    pub(crate) metadata_ttl: Duration,
    pub(crate) negative_ttl: Duration,
    pub(crate) upstream_timeout: Duration,
    pub(crate) stale_for: Option<Duration>,
    pub(crate) region: Option<String>,
    pub(crate) repositories: Vec<RepositorySection>,
}

impl Default for ArtifactsSection {
    fn default() -> Self {
        Self {
            identity: None,
            listen: vec![([127, 0, 0, 1], 9000).into()],
            cache: CacheSection::default(),
            metadata_ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(60),
            upstream_timeout: Duration::from_secs(20),
            stale_for: None,
            region: None,
            repositories: Vec::new(),
        }
    }
}

/// `cache = { path = …, max-size = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CacheSection {
    /// Where it is not the default directory.
    pub(crate) path: Option<PathBuf>,
    /// Bytes.
    pub(crate) max_size: u64,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self { path: None, max_size: 20 << 30 }
    }
}

/// `[[artifacts.repository]]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RepositorySection {
    /// Where it appears, `/` or `/releases/`.
    pub(crate) path: String,
    /// Where it comes from, in the order they are asked.
    pub(crate) from: Vec<Origin>,
}

/// One place that a repository comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// `s3://bucket/prefix`
    S3 {
        bucket: String,
        prefix: String,
    },
    Directory(PathBuf),
}

impl Origin {
    /// Reads `s3://bucket/prefix` or a directory's path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("s3://") {
            Some(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/').to_owned();
                if is_bucket_name(bucket) {
                    Ok(Self::S3 { bucket: bucket.to_owned(), prefix })
                } else {
                    Err(format!("`{bucket}` is not the name of an S3 bucket"))
                }
            }
            None if text.contains("://") => Err(format!("`{text}` is neither s3://bucket/prefix nor a directory")),
            None if Path::new(text).is_absolute() => Ok(Self::Directory(PathBuf::from(text))),
            None => Err(format!("`{text}` is neither s3://bucket/prefix nor an absolute path")),
        }
    }
}

/// Reads the file, or says everything that is wrong with it.
pub(crate) fn load(path: &Path) -> Result<Config, Fault> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Fault::new(Kind::Config, "bowline.toml", format!("cannot read `{}`", path.display()))
            .hint("name the file with --config or BOWLINE_CONFIG")
            .cause(cause)
    })?;
    let mut config = parse(&text).map_err(|mistakes| mistakes::fault(path, &mistakes))?;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    identities::below(&mut config.identities, whole.parent().unwrap_or(&whole));
    Ok(config)
}

/// Parses the text of a file.
pub(crate) fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let (root, errors) = toml::de::DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = errors.iter().map(|error| Mistake::syntax(text, error)).collect();
    let broken: Vec<_> = mistakes.iter().map(Mistake::place).collect();
    let mut wrong = Vec::new();
    let config = sections::read(text, root.get_ref(), &mut wrong);
    mistakes.extend(wrong.into_iter().filter(|mistake| !broken.contains(&mistake.place())));
    mistakes.sort();
    mistakes.dedup();
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

fn is_bucket_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        parse(text)
            .unwrap_err()
            .iter()
            .map(|mistake| format!("{}:{}: {mistake}", mistake.line, mistake.column))
            .collect()
    }

    #[test]
    fn the_example_of_the_design_is_read() {
        let config = parse(
            r#"
            [daemon]
            listen = "127.0.0.1:9910"
            [artifacts]
            identity = "build"
            listen   = "127.0.0.1:9000"
            cache    = { path = "/var/cache/bowline", max-size = "20 GiB" }
            metadata-ttl = "5m"
            negative-ttl = "1m"
            upstream-timeout = "20s"
            [[artifacts.repository]]
            path = "/"
            from = "s3://corp-maven/releases"
            "#,
        )
        .unwrap();
        let artifacts = config.artifacts.unwrap();
        assert_eq!(artifacts.cache, CacheSection { path: Some("/var/cache/bowline".into()), max_size: 20 << 30 });
        let from = Origin::S3 { bucket: "corp-maven".to_owned(), prefix: "releases".to_owned() };
        assert_eq!(artifacts.repositories, [RepositorySection { path: "/".to_owned(), from: vec![from] }]);
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_place() {
        let text = "[daemon]\nlisten = 9910\nlisten-on = \"x\"\n[artefacts]\n[artifacts]\nmetadata-tll = \"5m\"\nnegative-ttl = \"90\"\n[[artifacts.repository]]\nfrom = \"http://x\"\n";
        assert_eq!(
            mistakes(text),
            [
                "2:10: `daemon.listen` must be a text like \"127.0.0.1:9910\", not integer",
                "3:1: unknown key `daemon.listen-on`; did you mean `listen`?",
                "4:2: unknown section `artefacts`; did you mean `artifacts`?",
                "6:1: unknown key `artifacts.metadata-tll`; did you mean `metadata-ttl`?",
                "7:16: `90` is not a duration: write a number and a unit, for example `500ms`, `10m` or `8h`",
                "9:8: `http://x` is neither s3://bucket/prefix nor a directory",
            ]
        );
    }

    #[test]
    fn a_syntax_error_does_not_hide_the_other_mistakes() {
        let found = mistakes("[daemon]\nlisten = \nkeepfresh = []\n");
        assert!(
            found.len() == 2 && found[0].starts_with("2:10: string") && found[1].contains("did you mean `keep-fresh`?"),
            "{found:?}"
        );
    }

    #[test]
    fn an_artifacts_section_without_a_repository_says_so() {
        assert_eq!(mistakes("[artifacts]\n"), ["1:2: `artifacts` has no [[artifacts.repository]]: nothing to serve"]);
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }
}
