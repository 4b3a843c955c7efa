//! `artifacts …`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::{duration, size};

/// `artifacts …`
#[derive(Debug, Subcommand)]
pub(crate) enum Artifacts {
    /// Serve repositories, without a configuration file if need be
    #[command(
        after_help = "Environment: AWS_PROFILE, AWS_REGION, S3_BUCKET_NAME (bucket or bucket/prefix), PROXY_PORT (9000), BOWLINE_LISTEN (127.0.0.1).\n\nExamples:\n  bowline artifacts serve --from s3://corp-maven/releases --profile build\n  S3_BUCKET_NAME=corp-maven AWS_PROFILE=build bowline artifacts serve"
    )]
    Serve(ArtifactsServe),
    /// Show what is in the cache
    #[command(
        after_help = "PREFIX ends in `/`; anything else is one key.\n\nExamples:\n  bowline artifacts ls\n  bowline artifacts ls com/example/ --output json"
    )]
    Ls(ArtifactsLs),
    /// Remove files from the cache; they are fetched again when somebody asks
    #[command(
        after_help = "Works with and without a running proxy; what is being read goes on being read.\n\nExamples:\n  bowline artifacts purge com/example/lib/1.0/lib-1.0.jar\n  bowline artifacts purge com/example/\n  bowline artifacts purge /"
    )]
    Purge(ArtifactsPurge),
    /// Fetch what a build will need through the running proxy
    #[command(
        after_help = "FILE is a maven_install.json of rules_jvm_external, a POM, or a list of paths or group:artifact:version, one a line; `-` is stdin.\nExit code 1 when a file is missing or is not what the lock file says, 4 when the proxy or its upstream fails.\n\nExamples:\n  bowline artifacts prefetch maven_install.json\n  bowline artifacts prefetch pom.xml --url http://localhost:9000/\n  echo com.example:lib:1.0 | bowline artifacts prefetch -"
    )]
    Prefetch(ArtifactsPrefetch),
    /// Certificates of your own for serving TLS
    #[command(subcommand)]
    Tls(ArtifactsTls),
    /// Print what a build tool needs to use the proxy
    #[command(
        after_help = "Examples:\n  bowline artifacts setup bazel > .bazel_downloader.cfg\n  bowline artifacts setup maven --url https://repo.corp:9000/ > ~/.m2/settings.xml"
    )]
    Setup(ArtifactsSetup),
}

/// `artifacts ls`
#[derive(Debug, Args)]
pub(crate) struct ArtifactsLs {
    /// One key, or everything below a prefix that ends in `/` [default: everything]
    #[arg(value_name = "KEY|PREFIX/")]
    pub(crate) selection: Option<String>,
    #[command(flatten)]
    pub(crate) cache: CacheDirectory,
    #[command(flatten)]
    pub(crate) form: super::Output,
}

/// `artifacts purge`
#[derive(Debug, Args)]
pub(crate) struct ArtifactsPurge {
    /// One key, or everything below a prefix that ends in `/`; `/` is the whole cache
    #[arg(value_name = "KEY|PREFIX/")]
    pub(crate) selection: String,
    #[command(flatten)]
    pub(crate) cache: CacheDirectory,
}

/// Which cache.
#[derive(Debug, Args)]
pub(crate) struct CacheDirectory {
    /// Cache directory [default: that of the configuration, then $XDG_CACHE_HOME/bowline/artifacts]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cache: Option<PathBuf>,
}

/// `artifacts prefetch`
#[derive(Debug, Args)]
pub(crate) struct ArtifactsPrefetch {
    /// maven_install.json, POM, list, or `-`
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) proxy: ProxyPlace,
    /// Files at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    #[command(flatten)]
    pub(crate) form: super::Output,
}

/// Where the proxy is, and the key to it.
#[derive(Debug, Args)]
pub(crate) struct ProxyPlace {
    /// The repository [default: [artifacts-client], then the first one of [artifacts]]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File that holds the token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate of the authority to trust (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// `artifacts tls …`
#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsTls {
    /// Make an authority and a server certificate, and print what clients need
    #[command(
        after_help = "Run it again to renew the server's certificate; the authority stays, and a running proxy takes the new one.\n\nExamples:\n  bowline artifacts tls init\n  bowline artifacts tls init --name repo.corp --name 10.0.0.5"
    )]
    Init(ArtifactsTlsInit),
}

/// `artifacts tls init`
#[derive(Debug, Args)]
pub(crate) struct ArtifactsTlsInit {
    /// Host name or IP address that clients use; localhost is always in it
    #[arg(long, value_name = "HOST")]
    pub(crate) name: Vec<String>,
    /// Where to write [default: $XDG_STATE_HOME/bowline/tls]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
}

/// `artifacts setup`
#[derive(Debug, Args)]
pub(crate) struct ArtifactsSetup {
    /// Which tool
    pub(crate) tool: BuildTool,
    /// The repository [default: [artifacts-client], then the first one of [artifacts]]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// For Bazel: repositories to reach through the proxy
    #[arg(long, value_name = "URL", default_values_t = ["https://repo1.maven.org/maven2".to_owned(), "https://repo.maven.apache.org/maven2".to_owned()])]
    pub(crate) instead_of: Vec<String>,
}

/// What fetches artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuildTool {
    /// A file for --downloader_config: no change to any WORKSPACE
    Bazel,
    /// A settings.xml
    Maven,
}

/// `bazel-credential-helper …`
#[derive(Debug, Subcommand)]
pub(crate) enum BazelCredentialHelper {
    /// Read a request of Bazel from stdin and print the headers for it
    Get,
}

/// `artifacts serve`
#[derive(Debug, Default, Args)]
pub(crate) struct ArtifactsServe {
    /// Profile that may read the bucket
    #[arg(long, visible_alias = "identity", value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Address to listen on [default: 127.0.0.1:9000; another address by $BOWLINE_LISTEN]
    #[arg(long, value_name = "ADDRESS", value_parser = crate::config::address)]
    pub(crate) listen: Vec<SocketAddr>,
    /// s3://bucket/prefix, https://host/path or a directory; repeat to ask several in turn
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Vec<String>,
    /// Region of the bucket [default: $AWS_REGION, then the profile's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Cache directory [default: $XDG_CACHE_HOME/bowline/artifacts]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cache: Option<PathBuf>,
    /// Size limit of the cache [default: 20 GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Memory for small files; 0 B: none [default: 64 MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// How long maven-metadata.xml and SNAPSHOTs are believed [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) metadata_ttl: Option<Duration>,
    /// How long a missing key is remembered [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) negative_ttl: Option<Duration>,
    /// How long S3 may take to answer [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) upstream_timeout: Option<Duration>,
    /// File that holds a token; whoever reads needs it, on whatever address
    #[arg(long, value_name = "FILE", conflicts_with = "open")]
    pub(crate) token_file: Option<PathBuf>,
    /// Let everybody read who reaches the address; without this or a token, loopback only
    #[arg(long)]
    pub(crate) open: bool,
    /// Serve TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_private_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_private_key: Option<PathBuf>,
    /// Read variables from a file first; what is set already wins
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}
