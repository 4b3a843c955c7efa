//! Checksums of releases that are in the cache, computed here where the publisher's own are not: most repositories miss
//! one kind or the other, and a build must not fail for a checksum while the upstream is away.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Mutex, PoisonError},
};

use bowline_base::Timestamp;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::{
    answer::{FileAnswer, Outcome},
    body::Payload,
    checksum::hex,
    freshness::{self, Class},
    proxy::{Mount, Proxy},
    record::Id,
    upstream::Head,
};

/// Sums that are remembered: some 20 MB at most.
const MOST: usize = 100_000;

/// What was computed, with the time at which the file's bytes came.
#[derive(Debug, Default)]
pub(crate) struct Sums(Mutex<HashMap<Id, (Timestamp, String)>>);

impl Sums {
    fn known(&self, id: Id, came: Timestamp) -> Option<String> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.get(&id).filter(|(of, _)| *of == came).map(|(_, sum)| sum.clone())
    }

    fn note(&self, id: Id, came: Timestamp, sum: String) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.len() >= MOST {
            sums.clear();
        }
        sums.insert(id, (came, sum));
    }
}

impl Proxy {
    /// The checksum `key` of a release that is in the cache, unless the publisher's own is there too.
    pub(crate) async fn own_sum<B>(&self, mount: &Mount, key: &str, request: &Request<B>) -> Option<Response<Payload>> {
        let parent = freshness::checksum_of(key).filter(|_| freshness::class(key) == Class::Immutable)?;
        for source in &mount.sources {
            let id = Id::of(source.name(), key);
            if self.look(id).await.ok()?.is_some() {
                return None;
            }
            let Some(copy) = self.look(Id::of(source.name(), parent)).await.ok()? else { continue };
            let (record, came) = (&copy.record, copy.record.stored_at);
            let kind = key.rsplit_once('.')?.1;
            if let Some(sum) = record.fingerprint.as_ref().and_then(|known| known.of_kind(kind)) {
                return Some(respond(key, &record.head, sum.to_owned(), request));
            }
            let sum = match self.sums.known(id, came) {
                Some(sum) => sum,
                None => digest(kind, Payload::copy(&copy, 0..record.head.length)).await?,
            };
            self.sums.note(id, came, sum.clone());
            return Some(respond(key, &record.head, sum, request));
        }
        None
    }
}

/// `of`: the head of the file.
fn respond<B>(key: &str, of: &Head, sum: String, request: &Request<B>) -> Response<Payload> {
    let etag = Some(format!("\"{sum}\""));
    let bytes = Bytes::from(sum);
    let length = bytes.len() as u64;
    let head = Head { length, etag, last_modified: of.last_modified.clone(), ..Head::default() };
    let file = FileAnswer { key, head: &head, outcome: Outcome::Hit, age: None, sums: None, ready: None };
    let part = |range: std::ops::Range<u64>| Payload::memory(bytes.slice(range.start as usize..range.end as usize));
    file.respond(request.method(), request.headers(), part)
}

/// Of all bytes. `None`: they cannot be read.
async fn digest(kind: &str, body: Payload) -> Option<String> {
    match kind {
        "md5" => sum::<Md5>(body).await,
        "sha1" => sum::<Sha1>(body).await,
        "sha256" => sum::<Sha256>(body).await,
        "sha512" => sum::<Sha512>(body).await,
        _ => None,
    }
}

async fn sum<D: Digest>(body: Payload) -> Option<String> {
    let (mut body, mut sum) = (pin!(body), D::new());
    while let Some(frame) = body.frame().await {
        sum.update(frame.ok()?.into_data().ok()?);
    }
    Some(hex(&sum.finalize()))
}
