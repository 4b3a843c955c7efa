//! A path with several places behind it: whose metadata is one document, and which place a release came from.
//!
//! Metadata is asked of every place, because each has a part of the truth. One that cannot be asked ends the search, as it
//! does for every other key: a document without its versions would be a lie. The checksums are those of what is served.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use tracing::warn;

use crate::{
    answer::{self, FileAnswer, Outcome},
    body::Payload,
    checksum::hex,
    freshness, metadata,
    proxy::{Mount, Proxy},
    record::Id,
    table::Errand,
    upstream::{Head, Trouble},
};

/// Bytes of one place's document. Central's largest is 3 MB.
const LARGEST: usize = 8 << 20;
/// Folders of which is remembered where they are.
const MOST: usize = 100_000;

/// Which place has the folder of a release. All files of a version come from one place, and so the second file is
/// asked for there first.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts(Mutex<HashMap<Id, usize>>);

impl Whereabouts {
    /// The place of the folder of `key` below `mount`, if one of its files was found.
    pub(crate) fn of(&self, mount: &str, key: &str) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&folder(mount, key)).copied()
    }

    pub(crate) fn note(&self, mount: &str, key: &str, place: usize) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(folder(mount, key), place);
    }
}

fn folder(mount: &str, key: &str) -> Id {
    Id::of(mount, key.rsplit_once('/').map_or("", |(folder, _)| folder))
}

/// The parts of one answer.
struct United {
    head: Head,
    bytes: Bytes,
    outcome: Outcome,
}

impl Proxy {
    /// The document of all places, or a checksum of it, when `key` is that; `None`: it is an ordinary file.
    pub(crate) async fn united<B>(
        &self,
        mount: &Mount,
        key: &str,
        request: &Request<B>,
    ) -> Option<(&'static str, Response<Payload>)> {
        let document = freshness::checksum_of(key).unwrap_or(key);
        if mount.sources.len() < 2 || !metadata::is_metadata(document) {
            return None;
        }
        Some(match self.unite(mount, document).await {
            Ok(Some(united)) => (united.outcome.as_str(), respond(key, document, united, request)),
            Ok(None) => ("missing", answer::trouble(&Trouble::Missing, Outcome::Miss)),
            Err(trouble) => ("failed", answer::trouble(&trouble, Outcome::Miss)),
        })
    }

    async fn unite(&self, mount: &Mount, key: &str) -> Result<Option<United>, Trouble> {
        let mut parts = Vec::new();
        for source in &mount.sources {
            let Some((head, body, outcome)) = self.found(source, key, Errand::Fill).await? else { continue };
            let read = Limited::new(body, LARGEST).collect().await;
            let bytes = read.map_err(|error| Trouble::Broken(format!("`{}`: {error}", source.name())))?.to_bytes();
            parts.push(United { head, bytes, outcome });
        }
        if parts.len() < 2 {
            return Ok(parts.pop());
        }
        let documents: Vec<&[u8]> = parts.iter().map(|part| part.bytes.as_ref()).collect();
        let Some(text) = metadata::unite(&documents) else {
            warn!(repository = mount.label, "metadata of several places cannot be united; the first place's is served");
            return Ok(Some(parts.swap_remove(0)));
        };
        let newest =
            |part: &United| part.head.last_modified.as_deref().and_then(|text| httpdate::parse_http_date(text).ok());
        let last_modified =
            parts.iter().max_by_key(|part| newest(part)).and_then(|part| part.head.last_modified.clone());
        let outcomes = [Outcome::Stale, Outcome::Miss, Outcome::Joined, Outcome::Pass, Outcome::Revalidated];
        let outcome = outcomes.into_iter().find(|one| parts.iter().any(|part| part.outcome == *one));
        let head = Head {
            length: text.len() as u64,
            etag: Some(format!("\"{}\"", hex(&Sha1::digest(&text)))),
            last_modified,
            ..Head::default()
        };
        Ok(Some(United { head, bytes: Bytes::from(text), outcome: outcome.unwrap_or(Outcome::Hit) }))
    }
}

fn respond<B>(key: &str, document: &str, united: United, request: &Request<B>) -> Response<Payload> {
    let United { head, bytes, outcome } = united;
    let (head, bytes) = match key.strip_prefix(document).filter(|kind| !kind.is_empty()) {
        None => (head, bytes),
        Some(kind) => {
            let sum = sum(kind, &bytes);
            let etag = Some(format!("\"{sum}\""));
            (Head { length: sum.len() as u64, etag, content_type: None, ..head }, Bytes::from(sum))
        }
    };
    let file = FileAnswer { key, head: &head, outcome, age: None, sums: None, ready: None };
    let (method, headers): (&Method, _) = (request.method(), request.headers());
    file.respond(method, headers, |range| Payload::memory(bytes.slice(range.start as usize..range.end as usize)))
}

fn sum(kind: &str, bytes: &[u8]) -> String {
    match kind {
        ".md5" => hex(&Md5::digest(bytes)),
        ".sha1" => hex(&Sha1::digest(bytes)),
        ".sha256" => hex(&Sha256::digest(bytes)),
        _ => hex(&Sha512::digest(bytes)),
    }
}
