//! `artifacts …`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{duration, size};

/// `artifacts …`
#[derive(Debug, Subcommand)]
pub(crate) enum Artifacts {
    /// Serve repositories, without a configuration file if need be
    #[command(
        after_help = "Environment: AWS_PROFILE, AWS_REGION, S3_BUCKET_NAME (bucket or bucket/prefix), PROXY_PORT (9000).\n\nExamples:\n  bowline artifacts serve --from s3://corp-maven/releases --profile build\n  S3_BUCKET_NAME=corp-maven AWS_PROFILE=build bowline artifacts serve"
    )]
    Serve(ArtifactsServe),
}

/// `artifacts serve`
#[derive(Debug, Default, Args)]
pub(crate) struct ArtifactsServe {
    /// Profile that may read the bucket
    #[arg(long, visible_alias = "identity", value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Address to listen on [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS", value_parser = crate::config::address)]
    pub(crate) listen: Vec<SocketAddr>,
    /// s3://bucket/prefix, https://host/path or a directory; repeat to ask several in turn
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Vec<String>,
    /// Region of the bucket [default: $AWS_REGION, then the profile's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Cache directory [default: $XDG_CACHE_HOME/bowline]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cache: Option<PathBuf>,
    /// Size limit of the cache [default: 20 GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
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
