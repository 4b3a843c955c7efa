//! What can be set. Parsed and checked elsewhere; here it is values.

use std::{path::PathBuf, time::Duration};

use bowline_aws::Region;
use bowline_host::Address;

use crate::access::Access;

/// The whole of `[artifacts]`, without the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<Address>,
    /// Who may read.
    pub access: Access,
    /// TLS on every TCP address.
    pub tls: Option<Tls>,
    /// What is served. The longest path that fits a request wins.
    pub repositories: Vec<Repository>,
    /// Where copies are kept.
    pub cache: Cache,
    /// How long `maven-metadata.xml`, SNAPSHOTs and every file that is not a Maven release are served unasked.
    pub metadata_ttl: Duration,
    /// How long a key that does not exist is remembered as such.
    pub negative_ttl: Duration,
    /// From the question to the head of the upstream's answer, retries included; and between two pieces of its body.
    pub upstream_timeout: Duration,
    /// How long after its last validation a copy is still served while the upstream fails; `None`: for ever.
    pub stale_for: Option<Duration>,
}

impl Config {
    /// These repositories and this cache; loopback port 9000, metadata 5 min, missing keys 1 min, upstream 20 s,
    /// stale copies for ever.
    #[must_use]
    pub fn new(repositories: Vec<Repository>, cache: Cache) -> Self {
        Self {
            listen: vec![Address::Tcp(([127, 0, 0, 1], 9000).into())],
            access: Access::Local,
            tls: None,
            repositories,
            cache,
            metadata_ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(60),
            upstream_timeout: Duration::from_secs(20),
            stale_for: None,
        }
    }
}

/// One path of the server and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `/` or `/internal/`; a missing slash at either end is added.
    pub path: String,
    /// Asked in order; the first that has the key answers. One that fails ends the search: what comes after it must
    /// not stand in for what it may have.
    pub from: Vec<Origin>,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `s3://bucket/prefix`
    S3 {
        /// Its name.
        bucket: String,
        /// What stands before every key; with or without slashes at its ends, may be empty.
        prefix: String,
        /// Where the bucket is.
        region: Region,
    },
    /// An HTTP repository: a URL that `upstream::http::repository_url` takes.
    Http(String),
    /// A directory on this machine.
    Directory(PathBuf),
}

/// Where copies are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// A directory of our own; made 0700 when it is not there.
    pub path: PathBuf,
    /// Bytes, record blocks and unfinished fills included.
    pub max_size: u64,
    /// Bytes of small files that are held in memory as well; 0: none, and no big file is kept open either.
    pub memory: u64,
}

/// A server's certificate, watched: a renewed pair is taken when both files fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub private_key: PathBuf,
}
