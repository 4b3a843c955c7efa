//! What stands behind the cache, as far as the cache cares: three questions and the troubles that can answer them.

mod directory;
pub mod http;
mod s3;

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{BoxFuture, wire::Body};

use crate::content_type;

pub use self::http::Http;
pub use directory::Directory;
pub(crate) use directory::etag as file_etag;
pub use s3::S3;

/// A place that has files. One implementation call is one logical call: retries, renewal of credentials and clock
/// skew are its business; coalescing, caching and resuming are ours.
pub trait Upstream: Send + Sync {
    /// `s3://bucket/prefix`: names the place in the cache, in health and in logs. Never changes.
    fn name(&self) -> &str;

    /// Its files are on this machine already: they are served from where they are, and never copied.
    fn is_local(&self) -> bool {
        false
    }

    /// Files may stand beside a release that hold its checksum (`.sha1`), and nothing else may vouch for its bytes.
    fn has_sidecars(&self) -> bool {
        false
    }

    /// Asks for a file, or for its rest.
    fn get<'a>(&'a self, want: &'a Want) -> BoxFuture<'a, Result<Answer, Trouble>>;

    /// Asks what a file is like.
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Head, Trouble>>;

    /// One page of what stands directly below `prefix` (empty, or ending in `/`), after the `after` of the last page.
    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, Trouble>>;

    /// The cheapest possible listing: whether we may list at all, and so whether a missing key can be told from a
    /// forbidden one.
    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>>;
}

/// What to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The key, without the upstream's own prefix.
    pub key: String,
    /// First byte; 0 asks for the whole file.
    pub from: u64,
    /// Only if the file still has this ETag; else [`Trouble::Changed`].
    pub if_match: Option<String>,
    /// Only if the file no longer has this ETag; else [`Answer::Unchanged`].
    pub if_none_match: Option<String>,
    /// The same by the date that was given with it, for upstreams without ETags.
    pub if_modified_since: Option<String>,
}

impl Want {
    /// The whole of `key`.
    #[must_use]
    pub fn whole(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }
}

/// What a file is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the whole file, also when only its rest was asked for.
    pub length: u64,
    /// With its quotes, as given.
    pub etag: Option<String>,
    /// An HTTP date, as given.
    pub last_modified: Option<String>,
    /// As given; often `binary/octet-stream`.
    pub content_type: Option<String>,
    /// As given: the bytes are stored so, and are passed on so.
    pub content_encoding: Option<String>,
    /// The MD5 of the whole file in lower-case hex, where the upstream vouches for it.
    pub md5: Option<String>,
    /// Checksums of the whole file in lower-case hex, where the upstream names them: `md5`, `sha1`, `sha256`, `crc32`,
    /// `crc32c`, `crc64nvme`.
    pub checksums: BTreeMap<String, String>,
}

/// An answer to [`Upstream::get`].
pub enum Answer {
    /// The file from [`Want::from`] on.
    File(Head, Body),
    /// It still has the ETag of [`Want::if_none_match`].
    Unchanged,
}

/// A part of a listing, names relative to the prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Names of the prefixes below, without slash.
    pub folders: Vec<String>,
    /// Files directly below.
    pub files: Vec<Listed>,
    /// What to hand to the next [`Upstream::list`], if there is more.
    pub next: Option<String>,
}

/// A file in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the prefix.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// As the upstream writes it, for people.
    pub modified: Option<String>,
}

/// Why there is no answer. Only [`Trouble::Missing`] and, with less certainty, [`Trouble::Hidden`] say that the key
/// does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The upstream looked, and there is no such key.
    #[error("there is no such key")]
    Missing,
    /// 403 `AccessDenied`: no right to read, or no such key and no right to know.
    #[error("access denied")]
    Denied,
    /// Refused like every key that does not exist, where we may not list. Enough for a 404, not for deleting a copy.
    #[error("there is no such key, or it may not be read")]
    Hidden,
    /// This key is refused, and it is there, or was. Others may be read.
    #[error("access to `{0}` is denied: it exists or did, and the identity may not read it")]
    KeyDenied(String),
    /// The upstream may not be listed.
    #[error("listing needs the permission s3:ListBucket")]
    ListingDenied,
    /// Keys that could be read are refused now.
    #[error("access to `{0}` is denied: the identity may not read it (any more)")]
    AccessLost(String),
    /// The file changed between two parts of it.
    #[error("the file changed while it was read")]
    Changed,
    /// No credentials, or AWS refuses those there are.
    #[error("no usable credentials: {why}")]
    Credentials {
        /// What the identity, or AWS, says.
        why: String,
        /// The next command.
        hint: Option<String>,
    },
    /// Nothing came in time.
    #[error("no answer within {}", bowline_base::units::duration(*.0))]
    TimedOut(Duration),
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Asked to slow down.
    #[error("the upstream asks to slow down")]
    Busy,
    /// The same, for this long.
    #[error("the upstream asks to come back in {}", bowline_base::units::duration(*.0))]
    BusyFor(Duration),
    /// A 5xx that did not go away.
    #[error("the upstream answered {0}")]
    Server(u16),
    /// The answer does not come from S3: a captive portal, a proxy, a redirect.
    #[error("what answered is not S3: {0}")]
    NotS3(String),
    /// No such bucket, another region, a request that S3 does not understand.
    #[error("refused: {0}")]
    Refused(String),
    /// The body ended early, or is not what its checksum says.
    #[error("broken body: {0}")]
    Broken(String),
    /// This machine's disk.
    #[error("reading the upstream directory failed: {0}")]
    Disk(String),
    /// This machine cannot open the copy that may be there.
    #[error("the cache cannot be read: {0}")]
    Cache(String),
}

/// A page where the name promises a file comes from a captive portal or a login form, whatever other headers it has.
fn is_page(key: &str, content_type: Option<&str>) -> bool {
    let html = |media_type: &str| media_type.to_ascii_lowercase().starts_with("text/html");
    content_type.is_some_and(html) && !html(content_type::of(key, Some("text/html")))
}
