//! `bowline.toml`, parsed whole into values before anything is bound or called.
//!
//! Every mistake is reported at once, with line, column and a did-you-mean. The values here know no TOML; each
//! section is compared with its former self on a reload, so everything derives `PartialEq`.

mod access;
mod delegation;
mod doors;
mod endpoint;
mod files;
pub(crate) mod gateway;
mod gateway_device;
mod identities;
pub(crate) mod keys;
mod mistakes;
mod notify;
mod places;
mod secret;
mod sections;
mod table;
mod vpn;

use std::{
    fs::File,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Kind};
use bowline_credentials::grant::AuditDuty;

pub(crate) use access::{AccessSection, ClientSection, KeySection, TlsSection};
pub(crate) use delegation::DelegationSection;
pub(crate) use doors::{are_one, clashes};
pub(crate) use endpoint::{EndpointSection, GrantSection, chosen, local};
pub(crate) use files::{Content, NamedFile, of_identity};
pub(crate) use gateway::{FollowerSection, GatewaySection};
pub(crate) use gateway_device::DeviceSection;
pub(crate) use mistakes::{Mistake, fault as all_mistakes};
pub(crate) use notify::{NotifySection, WebhookSection};
pub(crate) use places::places;
pub(crate) use secret::SecretPlace;
pub(crate) use table::address;
pub(crate) use vpn::{EgressSection, StorePlace, VpnSection, endpoint as vpn_endpoint, resolver, subnet};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    pub(crate) daemon: DaemonSection,
    pub(crate) artifacts: Option<ArtifactsSection>,
    /// `[artifacts-client]`
    pub(crate) artifacts_client: Option<ClientSection>,
    pub(crate) audit: AuditSection,
    pub(crate) endpoint: Option<EndpointSection>,
    pub(crate) gateway: Option<GatewaySection>,
    pub(crate) grants: Vec<GrantSection>,
    pub(crate) notify: NotifySection,
    pub(crate) delegation: DelegationSection,
    pub(crate) vault: VaultSection,
    pub(crate) vpn: Option<VpnSection>,
    /// `[identity.NAME]`, by name.
    pub(crate) identities: Vec<RolesAnywhere>,
}

/// `[daemon]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DaemonSection {
    /// Status page, `/livez`, `/readyz`, `/metrics`.
    pub(crate) listen: SocketAddr,
    /// Profiles that are kept fresh from the start, asked for or not.
    pub(crate) keep_fresh: Vec<String>,
    /// Whether the process takes from itself what it does not need; where it is not said, under a supervisor.
    pub(crate) landlock: Option<bool>,
}

impl Default for DaemonSection {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 9910).into(), keep_fresh: Vec::new(), landlock: None }
    }
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AuditSection {
    /// The directory, where it is not the default one.
    pub(crate) path: Option<PathBuf>,
    /// Bytes after which the next file begins.
    pub(crate) max_file_size: u64,
    /// How long lines are kept at least; without it for ever.
    pub(crate) keep: Option<Duration>,
    /// Where records go; always to the file.
    pub(crate) sinks: Vec<AuditSink>,
    /// Nothing is given out while no sink works.
    pub(crate) deny: bool,
    pub(crate) cloudwatch: Option<CloudWatchSection>,
}

impl AuditSection {
    /// What happens where no sink works.
    pub(crate) fn duty(&self) -> AuditDuty {
        if self.deny { AuditDuty::Deny } else { AuditDuty::Warn }
    }
}

impl Default for AuditSection {
    fn default() -> Self {
        Self {
            path: None,
            max_file_size: 16 << 20,
            keep: None,
            sinks: vec![AuditSink::File],
            deny: false,
            cloudwatch: None,
        }
    }
}

/// `[vault]`: where sealed keys lie, and what opens them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VaultSection {
    /// The store's directory, where it is not the default one.
    pub(crate) path: Option<PathBuf>,
    /// The private key that opens it, where it is not `~/.ssh/id_ed25519`.
    pub(crate) ssh_key: Option<PathBuf>,
    /// For how long it stays open while nobody asks.
    pub(crate) idle: Option<Duration>,
    /// Whether ssh-agent may open it. Experimental.
    pub(crate) agent: bool,
}

/// Where records go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditSink {
    File,
    Stdout,
}

/// `cloudwatch = { group = …, stream = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CloudWatchSection {
    pub(crate) group: String,
    pub(crate) stream: String,
    pub(crate) region: Option<String>,
    pub(crate) identity: Option<String>,
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
    pub(crate) access: AccessSection,
    pub(crate) tls: Option<TlsSection>,
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
            access: AccessSection::Local,
            tls: None,
            repositories: Vec::new(),
        }
    }
}

/// `cache = { path = …, max-size = …, memory = … }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CacheSection {
    /// Where it is not the default directory.
    pub(crate) path: Option<PathBuf>,
    /// Bytes.
    pub(crate) max_size: u64,
    /// Bytes of it that are held in memory as well.
    pub(crate) memory: u64,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self { path: None, max_size: 20 << 30, memory: 64 << 20 }
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
    /// `https://repo1.maven.org/maven2`
    Http(String),
    Directory(PathBuf),
}

impl Origin {
    /// Reads `s3://bucket/prefix`, a URL or a directory's path.
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
            None if text.starts_with("https://") || text.starts_with("http://") => {
                bowline_artifacts::upstream::http::repository_url(text).map(Self::Http)
            }
            None if text.contains("://") => {
                Err(format!("`{text}` is neither s3://bucket/prefix nor https://host/path nor a directory"))
            }
            None if Path::new(text).is_absolute() => Ok(Self::Directory(PathBuf::from(text))),
            None => Err(format!("`{text}` is neither s3://bucket/prefix nor an absolute path")),
        }
    }
}

/// Larger than any configuration; a mistake in the name of the file, most likely.
const LARGEST: u64 = 1 << 20;

/// Reads the file, or says everything that is wrong with it.
pub(crate) fn load(path: &Path) -> Result<Config, Fault> {
    let mut config = parse(&read(path)?).map_err(|mistakes| mistakes::fault(path, &mistakes))?;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    identities::below(&mut config.identities, whole.parent().unwrap_or(&whole));
    Ok(config)
}

fn read(path: &Path) -> Result<String, Fault> {
    let wrong = |why: &str, hint: &str| {
        Fault::new(Kind::Config, "bowline.toml", format!("cannot read `{}`: {why}", path.display())).hint(hint)
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(|error| {
        wrong(&error.to_string(), "name a file that this user can read with --config or BOWLINE_CONFIG")
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("it is larger than 1 MiB", "is this the right file?"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text", "save it as UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), ToOwned::to_owned))
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
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
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
            cache    = { path = "/var/cache/bowline", max-size = "20 GiB", memory = "0 B" }
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
        assert_eq!(
            artifacts.cache,
            CacheSection { path: Some("/var/cache/bowline".into()), max_size: 20 << 30, memory: 0 }
        );
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
                "9:8: `http://x` is not https; plain http is for this machine's own addresses",
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
    fn a_vault_section_is_read_and_its_mistakes_are_told_at_once() {
        let config = parse("[vault]\npath = \"/v\"\nssh-key = \"/k\"\nidle = \"1h\"\nagent = true\n").unwrap();
        let (path, ssh_key) = (Some(PathBuf::from("/v")), Some(PathBuf::from("/k")));
        let idle = Some(Duration::from_secs(3600));
        assert_eq!(config.vault, VaultSection { path, ssh_key, idle, agent: true });
        assert_eq!(parse("").unwrap().vault, VaultSection::default());
        let mistakes = parse("[vault]\npath = \"v\"\nidle = \"0s\"\nagent = \"yes\"\nidel = \"1m\"\n").unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    }

    #[test]
    fn an_audit_section_is_read_and_its_mistakes_are_told_at_once() {
        let text = "[audit]\npath = \"/var/log/bowline\"\nmax-file-size = \"1 MiB\"\nkeep = \"400d\"\nsinks = [\"file\", \"stdout\"]\non-failure = \"deny\"\ncloudwatch = { group = \"g\", stream = \"host-1\", identity = \"log\" }\n";
        let audit = parse(text).unwrap().audit;
        assert_eq!((audit.path, audit.max_file_size), (Some("/var/log/bowline".into()), 1 << 20));
        assert_eq!(audit.keep, Some(Duration::from_secs(400 * 86400)));
        let short = mistakes("[audit]\nkeep = \"1h\"\n");
        assert!(short.len() == 1 && short[0].contains("at least a day"), "{short:?}");
        assert_eq!((audit.sinks, audit.deny), (vec![AuditSink::File, AuditSink::Stdout], true));
        assert_eq!(audit.cloudwatch.unwrap().stream, "host-1");
        let wrong = "[audit]\npath = \"log\"\nsinks = [\"syslog\"]\non-failure = \"stop\"\nsink = 1\ncloudwatch = { region = \"x\" }\n";
        assert_eq!(
            mistakes(wrong),
            [
                "2:8: `log` is not an absolute path",
                "3:10: `syslog` is neither `file` nor `stdout`; CloudWatch Logs is `cloudwatch = { … }`",
                "4:14: `stop` is neither `warn` nor `deny`",
                "5:1: unknown key `audit.sink`; did you mean `sinks`?",
                "6:1: `audit.cloudwatch` needs `group` and `stream`, which names this machine",
            ]
        );
    }

    #[test]
    fn an_empty_list_is_taken_where_it_is_what_holds_without_it_and_told_once_elsewhere() {
        let empty = "[daemon]\nkeep-fresh = []\n[notify]\ncommand = []\n[vpn]\negress-allow = []\n";
        assert_eq!(parse(empty).unwrap().vpn, parse("[vpn]\n").unwrap().vpn);
        assert_eq!(mistakes("[endpoint]\nserve = []\n").len(), 1);
        assert_eq!(mistakes("[vpn]\ndns = []\n"), ["2:7: `vpn.dns` is empty"]);
    }

    #[test]
    fn an_artifacts_section_without_a_repository_says_so() {
        assert_eq!(mistakes("[artifacts]\n"), ["1:2: `artifacts` has no [[artifacts.repository]]: nothing to serve"]);
    }

    #[test]
    fn what_would_serve_nothing_or_the_wrong_thing_is_refused() {
        let repository = "[[artifacts.repository]]\nfrom = \"s3://abc\"\n";
        for (text, word) in [
            ("[artifacts]\nrepository = [{ from = [] }]\n".to_owned(), "`artifacts.repository.from` is empty"),
            (format!("[artifacts]\nlisten = []\n{repository}"), "`artifacts.listen` is empty"),
            (format!("[artifacts]\nlisten = \"127.0.0.1:9910\"\n{repository}"), "both want 127.0.0.1:9910"),
            (
                "[endpoint]\nlisten = \"127.0.0.1:9000\"\n[vpn]\napi = \"0.0.0.0:9000\"\n".to_owned(),
                "4:1: `endpoint.listen` wants 127.0.0.1:9000",
            ),
            (
                "[vpn]\nproxy = \"127.0.0.1:8000\"\n".to_owned(),
                "2:1: `vpn.api` and `vpn.proxy` both want 127.0.0.1:8000",
            ),
            (format!("[artifacts]\n{repository}{repository}"), "two repositories are at `/`"),
            (format!("[artifacts]\nregion = \"Not A Region!\"\n{repository}"), "Not A Region!"),
            (format!("[artifacts]\nupstream-timeout = \"0s\"\n{repository}"), "no time at all"),
            (format!("[artifacts]\ncache = {{ max-size = \"0 B\" }}\n{repository}"), "no room at all"),
            (
                "[artifacts]\nrepository = [3, { from = \"s3://---\" }]\n".to_owned(),
                "written as [[artifacts.repository]]",
            ),
            (format!("[artifacts]\n{repository}path = \"/healthz\"\n"), "`/healthz` is not a path"),
        ] {
            let found = mistakes(&text).join("; ");
            assert!(found.contains(word), "{text}: {found}");
        }
    }

    #[test]
    fn a_file_of_nonsense_is_told_apart_quickly() {
        let text: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
        assert_eq!(parse(&text).unwrap_err().len(), mistakes::MOST);
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }
}
