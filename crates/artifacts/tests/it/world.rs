//! A running proxy with a clock that the test turns, and a client.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bowline_artifacts::{Artifacts, Cache, Config, upstream::Upstream};
use bowline_base::{
    BoxFuture, Now,
    wire::{Body, Limits, Wire, WireError},
};
use bowline_host::{Address, Ctx, HttpWire, Job as _, Listeners, Tasks, client::Outside, metrics::Metrics};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::script::{Script, lock};

/// Time stands still until the test moves it.
pub(crate) struct Clock {
    now: Mutex<Now>,
}

static RUNS: AtomicU64 = AtomicU64::new(0);

impl Wire for Clock {
    fn now(&self) -> Now {
        *lock(&self.now)
    }

    fn entropy(&self) -> u64 {
        RUNS.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, _: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        Box::pin(async move { Err(WireError::TimedOut { host: "nowhere".to_owned(), limit: limits.head }) })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

pub(crate) struct World {
    pub(crate) upstream: Arc<Script>,
    pub(crate) artifacts: Artifacts,
    pub(crate) clock: Arc<Clock>,
    pub(crate) metrics: Metrics,
    tasks: Tasks,
    client: HttpWire,
    home: Arc<tempfile::TempDir>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The client knows that it has no whole file: cut off, or told at once when the fill broke before the head was sent.
pub(crate) fn is_cut_off(read: &Result<Reply, WireError>) -> bool {
    read.as_ref().map_or(true, |reply| reply.status == 502)
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn cache(&self) -> &str {
        self.header("x-bowline-cache")
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let upstream = Arc::new(Script::new("s3://bucket/"));
        let home = Arc::new(tempfile::tempdir().unwrap());
        Self::start(upstream, Vec::new(), home, change).await
    }

    /// These upstreams under these paths.
    pub(crate) async fn over(repositories: Vec<(String, Vec<Arc<dyn Upstream>>)>) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        Self::run(Arc::new(Script::new("unused")), repositories, home, |_| {}).await
    }

    /// `upstream` first, then `others`, under `/`.
    pub(crate) async fn start(
        upstream: Arc<Script>,
        others: Vec<Arc<Script>>,
        home: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut upstreams: Vec<Arc<dyn Upstream>> = vec![Arc::clone(&upstream) as Arc<dyn Upstream>];
        upstreams.extend(others.into_iter().map(|other| other as Arc<dyn Upstream>));
        Self::run(upstream, vec![("/".to_owned(), upstreams)], home, change).await
    }

    async fn run(
        upstream: Arc<Script>,
        repositories: Vec<(String, Vec<Arc<dyn Upstream>>)>,
        home: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(home.path());
        change(&mut config);
        let artifacts = Artifacts::over(config, repositories);
        let start = Now { boot: Duration::from_secs(1000), wall: "2026-11-22T02:02:02Z".parse().unwrap() };
        let clock = Arc::new(Clock { now: Mutex::new(start) });
        let (tasks, metrics) = (Tasks::new(), Metrics::default());
        let ctx = Ctx {
            wire: Arc::clone(&clock) as Arc<dyn Wire>,
            tasks: tasks.clone(),
            listeners: Listeners::default(),
            metrics: metrics.clone(),
            notifier: Default::default(),
        };
        artifacts.start(&ctx).await.unwrap();
        Self { upstream, artifacts, clock, metrics, tasks, client: HttpWire::new(&Outside::default()).unwrap(), home }
    }

    /// Ends this one and starts another over the same cache directory and upstream, at the same time of day.
    pub(crate) async fn restarted(self) -> Self {
        let now = self.clock.now();
        self.tasks.begin_shutdown();
        let next = Self::start(Arc::clone(&self.upstream), Vec::new(), Arc::clone(&self.home), |_| {}).await;
        *lock(&next.clock.now) = now;
        next
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut now = lock(&self.clock.now);
        *now = now.after(time);
    }

    pub(crate) fn cache(&self) -> &Path {
        self.home.path()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[]).await.unwrap()
    }

    /// `Err`: the connection broke before the end of the body.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Reply, WireError> {
        let response = self.open(method, path, headers).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// The head; the body streams.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response<Body>, WireError> {
        let address = self.artifacts.addresses()[0];
        let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send(request.body(Bytes::new()).unwrap(), Limits::default()).await
    }

    /// Bytes in, bytes out, until the server closes.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.artifacts.addresses()[0]).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks for `path`, reads the first of it and leaves; back when the server has hung up, too.
    pub(crate) async fn leave(&self, path: &str) -> Vec<u8> {
        let mut stream = tokio::net::TcpStream::connect(self.artifacts.addresses()[0]).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![stream.read_u8().await.unwrap()];
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    /// Waits until what runs in the background has come to `condition`.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(4), waiting).await.expect("the condition comes true");
    }

    /// Copies that the cache knows of.
    pub(crate) fn files(&self) -> u64 {
        self.artifacts.status()["cache"]["files"].as_u64().unwrap()
    }

    /// Waits until no fill is under way.
    pub(crate) async fn settled(&self) {
        self.until(|world| world.artifacts.status()["cache"]["fills"] == 0).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.begin_shutdown();
    }
}

fn config(home: &Path) -> Config {
    let cache = Cache { path: home.join("cache"), max_size: 64 << 20, memory: 8 << 20 };
    let loopback = Address::Tcp(([127, 0, 0, 1], 0).into());
    Config { listen: vec![loopback], upstream_timeout: Duration::from_secs(10), ..Config::new(Vec::new(), cache) }
}

/// `length` bytes that do not repeat soon.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    bytes.collect::<Vec<u8>>().into()
}
