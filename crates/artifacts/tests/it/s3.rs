//! In front of S3: the fake one, through the aws crate, over real connections.

use std::{
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use bowline_artifacts::{Artifacts, Cache, Config, Origin, Repository};
use bowline_aws::{Aws, Endpoints, Region};
use bowline_base::{
    BoxFuture, Credentials, FixedIdentity, Identity, KeyId, Unavailable,
    wire::{Limits, Wire, WireError},
};
use bowline_fakeaws::{Bucket, Effect, FakeAws, Fault, Scenario, Settings};
use bowline_host::{Address, Ctx, HttpWire, Job as _, Listeners, Tasks, client::Outside, clock, metrics::Metrics};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::{script::lock, world::noise};

const JAR: &str = "/g/a/1.0/a-1.0.jar";

/// A proxy in front of `s3://maven/releases` of a fake AWS.
struct Stack {
    fake: FakeAws,
    artifacts: Artifacts,
    wire: Arc<HttpWire>,
    tasks: Tasks,
    _home: tempfile::TempDir,
}

impl Stack {
    async fn new() -> Self {
        let fake = FakeAws::start(Settings::default()).await.unwrap();
        let user = Scenario::furnish(fake.cloud(), &Settings::default()).user;
        Self::with(fake, Arc::new(FixedIdentity::new(user)), Duration::from_secs(10)).await
    }

    /// Gives up on S3 soon.
    async fn impatient() -> Self {
        let fake = FakeAws::start(Settings::default()).await.unwrap();
        let user = Scenario::furnish(fake.cloud(), &Settings::default()).user;
        Self::with(fake, Arc::new(FixedIdentity::new(user)), Duration::from_millis(500)).await
    }

    async fn with(fake: FakeAws, identity: Arc<dyn Identity>, timeout: Duration) -> Self {
        let home = tempfile::tempdir().unwrap();
        let region = Region::parse("us-east-1").unwrap();
        let origin = Origin::S3 { bucket: "maven".to_owned(), prefix: "/releases/".to_owned(), region };
        let repository = Repository { path: "/".to_owned(), from: vec![origin] };
        let cache = Cache { path: home.path().join("cache"), max_size: 64 << 20, memory: 8 << 20 };
        let config = Config {
            listen: vec![Address::Tcp(([127, 0, 0, 1], 0).into())],
            upstream_timeout: timeout,
            metadata_ttl: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            ..Config::new(vec![repository], cache)
        };
        let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
        let aws = Aws::new(Arc::clone(&wire) as Arc<dyn Wire>, Endpoints::everything_at(&fake.endpoint()).unwrap());
        let artifacts = Artifacts::new(config, &aws, &identity);
        let tasks = Tasks::new();
        let ctx = Ctx {
            wire: Arc::clone(&wire) as Arc<dyn Wire>,
            tasks: tasks.clone(),
            listeners: Listeners::default(),
            metrics: Metrics::default(),
            notifier: Default::default(),
        };
        artifacts.start(&ctx).await.unwrap();
        Self { fake, artifacts, wire, tasks, _home: home }
    }

    fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.fake.cloud().put_object(clock::now(), "maven", &format!("releases/{key}"), bytes);
    }

    fn fault(&self, at: &str, effect: Effect) {
        self.fake.cloud().fault(Fault::new(at, effect));
    }

    /// Status, `x-bowline-reason` or `x-bowline-cache`, body.
    async fn ask(&self, method: &str, path: &str) -> Result<(u16, String, Vec<u8>), WireError> {
        let url = format!("http://{}{path}", self.artifacts.addresses()[0]);
        let request = http::Request::builder().method(method).uri(url).body(Bytes::new()).unwrap();
        let (parts, body) = self.wire.send(request, Limits::default()).await?.into_parts();
        let word = parts.headers.get("x-bowline-reason").or_else(|| parts.headers.get("x-bowline-cache"));
        let word = word.map_or("", |value| value.to_str().unwrap()).to_owned();
        Ok((parts.status.as_u16(), word, body.collect().await?.to_bytes().to_vec()))
    }

    async fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.ask("GET", path).await.unwrap()
    }

    async fn settled(&self) {
        while self.artifacts.status()["cache"]["fills"] != 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.tasks.begin_shutdown();
    }
}

#[tokio::test]
async fn an_object_encrypted_with_kms_is_read_once_and_kept() {
    let stack = Stack::new().await;
    let mut bucket = Bucket::memory("us-east-1");
    bucket.kms = true;
    stack.fake.cloud().add_bucket("maven", bucket);
    let gets = || stack.fake.cloud().counts().sum("s3.GetObject");
    // Nothing vouches for it, and its ETag does not seem to: a second reading would be in vain.
    stack.put("g/a/maven-metadata.xml", "<metadata/>");
    assert_eq!(stack.get("/g/a/maven-metadata.xml").await, (200, "miss".to_owned(), b"<metadata/>".to_vec()));
    stack.settled().await;
    assert_eq!(gets(), 1);
    // A release is held against the file beside it.
    stack.put("g/a/1.0/a-1.0.jar", "jar");
    stack.put("g/a/1.0/a-1.0.jar.sha1", "f92e777f4341930bad9b2422283c4680d00dbc06");
    assert_eq!(stack.get(JAR).await, (200, "miss".to_owned(), b"jar".to_vec()));
    stack.settled().await;
    assert_eq!((stack.get(JAR).await, gets()), ((200, "hit".to_owned(), b"jar".to_vec()), 3));
    stack.put("g/b/1.0/b-1.0.jar", "jar");
    stack.put("g/b/1.0/b-1.0.jar.sha1", "0".repeat(40));
    let read = stack.ask("GET", "/g/b/1.0/b-1.0.jar").await;
    assert!(read.as_ref().map_or(true, |(status, ..)| *status == 502), "{read:?}");
}

#[tokio::test]
async fn a_jar_comes_once_from_s3_and_then_from_the_cache() {
    let stack = Stack::new().await;
    stack.put("g/a/1.0/a-1.0.jar", noise(500_000));
    stack.put("g/x+y z[1]/ü.txt", "odd");
    assert!(stack.get(JAR).await == (200, "miss".to_owned(), noise(500_000).to_vec()));
    stack.settled().await;
    assert!(stack.get(JAR).await == (200, "hit".to_owned(), noise(500_000).to_vec()));
    assert_eq!(stack.get("/g/x+y%20z%5B1%5D/%C3%BC.txt").await.2, b"odd");
    assert_eq!(stack.fake.cloud().counts().sum("s3.GetObject"), 2);
    let (status, _, html) = stack.get("/g/").await;
    let html = String::from_utf8(html).unwrap();
    assert!(status == 200 && html.contains("<a href=\"a/\">a/</a>") && html.contains("x%2By%20z%5B1%5D/"), "{html}");
}

#[tokio::test]
async fn metadata_is_revalidated_by_its_etag_and_missing_keys_are_404() {
    let stack = Stack::new().await;
    stack.put("g/a/maven-metadata.xml", "one");
    assert_eq!(stack.get("/g/a/maven-metadata.xml").await.2, b"one");
    stack.settled().await;
    assert_eq!(stack.get("/g/a/maven-metadata.xml").await.1, "revalidated");
    stack.settled().await;
    stack.put("g/a/maven-metadata.xml", "two");
    assert_eq!(stack.get("/g/a/maven-metadata.xml").await.2, b"two");
    assert_eq!(stack.get("/g/a/1.0/a-1.0.module").await.0, 404);
    assert_eq!(stack.ask("HEAD", "/g/a/1.0/a-1.0.module").await.unwrap().0, 404);
    assert_eq!(stack.get("/g/a/2.0/").await.0, 404);
}

#[tokio::test]
async fn every_fault_of_s3_is_told_as_such_and_leaves_nothing_in_the_cache() {
    let error = |status, code: &str| Effect::Error { status, code: code.to_owned() };
    let cases = [
        (error(500, "InternalError"), &[502, 504][..], "upstream-error upstream-timeout"),
        (Effect::Throttle, &[503, 504], "upstream-busy upstream-timeout"),
        (Effect::Html(200), &[502], "not-s3"),
        (Effect::Html(403), &[502], "upstream-refused not-s3 access-denied"),
        (Effect::Html(404), &[502], "upstream-refused not-s3"),
        (Effect::Html(302), &[502], "upstream-refused not-s3"),
        (Effect::Hang, &[504], "upstream-timeout"),
        (Effect::Reset, &[503, 504], "upstream-unreachable upstream-timeout"),
        (error(400, "ExpiredToken"), &[503], "no-credentials"),
        (error(403, "InvalidAccessKeyId"), &[503], "no-credentials"),
        (error(403, "SignatureDoesNotMatch"), &[503], "no-credentials"),
        (error(403, "RequestTimeTooSkewed"), &[503], "no-credentials"),
        (error(403, "AccessDenied"), &[502], "access-denied"),
        (error(404, "NoSuchBucket"), &[502], "upstream-refused"),
        (error(301, "PermanentRedirect"), &[502], "upstream-refused"),
    ];
    let mut checks = JoinSet::new();
    for (effect, statuses, reasons) in cases {
        checks.spawn(fault_is_told(effect, statuses, reasons));
    }
    checks.join_all().await;
}

async fn fault_is_told(effect: Effect, statuses: &[u16], reasons: &str) {
    let stack = Stack::impatient().await;
    stack.put("g/a/1.0/a-1.0.jar", noise(1000));
    stack.fault("s3.GetObject", effect.clone());
    let ((status, reason, _), (missing, ..)) = tokio::join!(stack.get(JAR), stack.get("/g/a/none/a-none.jar"));
    let told = statuses.contains(&status) && reasons.split(' ').any(|expected| expected == reason);
    assert!(told && missing != 404, "{effect:?}: {status} {reason}, {missing} for a missing key");
    stack.fake.cloud().clear_faults();
    let (status, _, body) = stack.get(JAR).await;
    assert!(status == 200 && body == noise(1000), "{effect:?}: {status}");
}

#[tokio::test]
async fn a_body_cut_short_is_resumed_or_the_client_is_cut_off() {
    let stack = Stack::new().await;
    stack.put("g/a/1.0/a-1.0.jar", noise(200_000));
    stack.fake.cloud().fault(Fault::new("s3.GetObject", Effect::Truncate(50_000)).times(2));
    assert_eq!(stack.get(JAR).await.2, noise(200_000));
    stack.put("g/b/1.0/b-1.0.jar", noise(200_000));
    stack.fault("s3.GetObject", Effect::Truncate(1000));
    assert!(stack.ask("GET", "/g/b/1.0/b-1.0.jar").await.is_err());
    stack.fake.cloud().clear_faults();
    stack.settled().await;
    assert!(stack.get("/g/b/1.0/b-1.0.jar").await == (200, "miss".to_owned(), noise(200_000).to_vec()));
}

#[tokio::test]
async fn a_body_that_stalls_is_resumed() {
    let stack = Stack::impatient().await;
    stack.put("g/a/1.0/a-1.0.jar", noise(200_000));
    stack.fake.cloud().fault(Fault::new("s3.GetObject", Effect::Stall(70_000)).times(1));
    assert_eq!(stack.get(JAR).await.2, noise(200_000));
}

/// Hands out keys that have just expired, and good ones to whoever asks to renew.
struct Rotating {
    current: Mutex<Arc<Credentials>>,
    next: Arc<Credentials>,
    renewals: AtomicUsize,
}

impl Identity for Rotating {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&lock(&self.current)))
    }

    fn renew<'a>(&'a self, rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async move {
            let mut current = lock(&self.current);
            if current.key_id == *rejected {
                self.renewals.fetch_add(1, Ordering::Relaxed);
                *current = Arc::clone(&self.next);
            }
            Ok(Arc::clone(&current))
        })
    }
}

#[tokio::test]
async fn an_expired_session_is_renewed_under_a_request_and_nobody_notices() {
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let role = Scenario::furnish(fake.cloud(), &Settings::default()).role;
    let session = |lifetime| Arc::new(fake.cloud().add_session(clock::now(), &role, lifetime));
    let old = session(Duration::from_secs(3600));
    fake.cloud().expire_keys(clock::now());
    let next = session(Duration::from_secs(3600));
    let identity = Arc::new(Rotating { current: Mutex::new(old), next, renewals: AtomicUsize::new(0) });
    let stack = Stack::with(fake, Arc::clone(&identity) as Arc<dyn Identity>, Duration::from_secs(10)).await;
    stack.put("g/a/1.0/a-1.0.jar", "jar");
    assert_eq!(stack.get(JAR).await, (200, "miss".to_owned(), b"jar".to_vec()));
    assert_eq!(stack.get("/g/a/1.0/a-1.0.module").await.0, 404);
    assert_eq!(identity.renewals.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn s3_that_is_gone_leaves_the_cache_and_no_404() {
    let mut stack = Stack::impatient().await;
    stack.put("g/a/1.0/a-1.0.jar", "jar");
    stack.put("g/a/maven-metadata.xml", "meta");
    stack.get(JAR).await;
    stack.get("/g/a/maven-metadata.xml").await;
    stack.settled().await;
    let other = FakeAws::start(Settings::default()).await.unwrap();
    drop(std::mem::replace(&mut stack.fake, other));
    assert_eq!(stack.get(JAR).await, (200, "hit".to_owned(), b"jar".to_vec()));
    assert_eq!(stack.get("/g/a/maven-metadata.xml").await, (200, "stale".to_owned(), b"meta".to_vec()));
    let (status, reason, _) = stack.get("/g/a/2.0/a-2.0.jar").await;
    assert!([503, 504].contains(&status) && reason.starts_with("upstream-"), "{status} {reason}");
    assert_eq!(stack.get("/g/").await.0, status);
}
