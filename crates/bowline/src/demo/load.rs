//! The demo's own builds: every other request is for a key that nobody has asked for, so that each rotation is felt.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::wire::{Limits, Wire};
use bowline_fakeaws::{Cloud, Scenario};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;

use super::repository::Artifact;

/// Between two pairs of requests.
const PACE: Duration = Duration::from_millis(100);
/// An artifact that is asked for again and again.
pub(super) const WARM: (&str, &str) = ("warm", "1.0");

/// What came back so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    /// Answered from the cache.
    pub(super) hits: u64,
    /// Fetched from S3.
    pub(super) misses: u64,
    /// Anything but 200 with the right bytes.
    pub(super) failures: u64,
    /// The latest failure.
    pub(super) last_failure: Option<String>,
}

/// Who asks, for what, where.
pub(super) struct Load {
    pub(super) wire: Arc<dyn Wire>,
    pub(super) cloud: Arc<Cloud>,
    pub(super) scenario: Scenario,
    /// `http://127.0.0.1:9000`
    pub(super) proxy: String,
    pub(super) tally: Arc<Mutex<Tally>>,
}

impl Load {
    /// Puts the artifacts that are there from the start into the bucket.
    pub(super) fn stock(&self) {
        self.publish(WARM.0, WARM.1);
        for (key, content) in super::repository::metadata(WARM.0, &[WARM.1]) {
            self.cloud.put_object(self.wire.now(), &self.scenario.bucket, &key, content);
        }
    }

    /// Asks for ever.
    pub(super) async fn run(self) {
        for number in 1_u64.. {
            let name = format!("lib-{number}");
            let cold = self.publish(&name, "1.0");
            self.ask(&Artifact::jar_key(&name, "1.0"), Some(&cold)).await;
            self.ask(&Artifact::jar_key(WARM.0, WARM.1), None).await;
            self.wire.sleep(PACE).await;
        }
    }

    /// Puts a new artifact into the bucket; returns its jar.
    fn publish(&self, name: &str, version: &str) -> Vec<u8> {
        let artifact = Artifact::new(name, version);
        let jar = Artifact::jar_key(name, version);
        let mut content = Vec::new();
        for (key, bytes) in artifact.files {
            if key == jar {
                content.clone_from(&bytes);
            }
            self.cloud.put_object(self.wire.now(), &self.scenario.bucket, &key, bytes);
        }
        content
    }

    async fn ask(&self, key: &str, wanted: Option<&[u8]>) {
        let outcome = self.get(key).await;
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.requests += 1;
        match outcome {
            Ok((hit, bytes)) if wanted.is_none_or(|wanted| wanted == bytes) => {
                if hit {
                    tally.hits += 1;
                } else {
                    tally.misses += 1;
                }
            }
            Ok((_, bytes)) => tally.fail(format!("{key}: {} bytes that are not what is in the bucket", bytes.len())),
            Err(why) => tally.fail(format!("{key}: {why}")),
        }
    }

    /// Whether it came from the cache, and the bytes.
    async fn get(&self, key: &str) -> Result<(bool, Bytes), String> {
        let request =
            Request::get(format!("{}/{key}", self.proxy)).body(Bytes::new()).map_err(|error| error.to_string())?;
        let response = self.wire.send(request, Limits::default()).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("{} {}", head.status, text(&head.headers, "x-bowline-reason")));
        }
        let hit = text(&head.headers, "x-bowline-cache") == "hit";
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok((hit, body.to_bytes()))
    }
}

impl Tally {
    fn fail(&mut self, why: String) {
        self.failures += 1;
        self.last_failure = Some(why);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
