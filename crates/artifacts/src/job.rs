//! The job: repositories, a cache and listeners, started by the daemon or by `bowline artifacts serve`.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bowline_aws::Aws;
use bowline_base::{BoxFuture, Fault, Identity, Kind};
use bowline_host::{Check, Ctx, Job, Listener, Peer, Verdict, server};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{
    access::Guard,
    answer,
    body::{Payload, off_thread},
    config::{Config, Origin, Repository},
    control,
    door::Door,
    entrance,
    group::Whereabouts,
    keys,
    metrics::Counts,
    path,
    proxy::{Mount, Proxy, Rules},
    source::Source,
    store::Store,
    sums::Sums,
    table::Table,
    upstream::{Directory, Http, S3, Upstream},
    verdict,
};

/// The artifacts job.
pub struct Artifacts {
    config: Config,
    repositories: Vec<(String, Vec<Arc<dyn Upstream>>)>,
    running: Mutex<Option<Running>>,
}

struct Running {
    proxy: Arc<Proxy>,
    addresses: Vec<SocketAddr>,
}

impl Artifacts {
    /// Serves what `config` says, reading S3 through `aws` as `identity`.
    #[must_use]
    pub fn new(config: Config, aws: &Aws, identity: &Arc<dyn Identity>) -> Self {
        let upstreams = |repository: &Repository| -> Vec<Arc<dyn Upstream>> {
            repository.from.iter().map(|origin| upstream(origin, &config, aws, identity)).collect()
        };
        let repositories = config.repositories.iter().map(|one| (one.path.clone(), upstreams(one))).collect();
        Self::over(config, repositories)
    }

    /// The same over upstreams of the caller's making, by mount path; what `config` says of repositories is not read.
    #[must_use]
    pub fn over(config: Config, repositories: Vec<(String, Vec<Arc<dyn Upstream>>)>) -> Self {
        Self { config, repositories, running: Mutex::new(None) }
    }

    /// The TCP addresses that are listened on, once started.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.running().as_ref().map(|running| running.addresses.clone()).unwrap_or_default()
    }

    async fn begin(&self, ctx: &Ctx) -> Result<(), Fault> {
        self.config.listen.iter().try_for_each(|address| entrance::may_serve(address, &self.config.access))?;
        let tls = entrance::tls(ctx, self.config.tls.as_ref())?;
        let store = self.open_store(ctx).await?;
        let mut listeners = Vec::new();
        for address in &self.config.listen {
            listeners.push(entrance::behind(ctx.listeners.listen(address).await?, tls.as_ref()));
        }
        let guard = Arc::new(Guard::new(self.config.access.clone()));
        keys::watch(&ctx.tasks, &guard);
        let proxy = Arc::new(self.proxy(ctx, Arc::clone(&store)));
        let addresses: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr()).collect();
        for listener in listeners {
            serve(ctx, listener, &proxy, &guard);
        }
        control::serve(ctx, &self.config.cache.path, &proxy).await;
        info!(addresses = ?addresses, cache = %self.config.cache.path.display(), "artifacts are served");
        // After the sockets: whatever the cache holds, the first answer does not wait for it.
        ctx.tasks.spawn("artifact-sweep", async move {
            if let Err(error) = off_thread(move || store.sweep()).await.and_then(|swept| swept) {
                warn!(%error, "the cache could not be read through; its size is not known");
            }
        });
        *self.running() = Some(Running { proxy, addresses });
        Ok(())
    }

    async fn open_store(&self, ctx: &Ctx) -> Result<Arc<Store>, Fault> {
        let (cache, run) = (self.config.cache.clone(), ctx.wire.entropy());
        let opened = off_thread(move || Store::open(&cache.path, cache.max_size, cache.memory, run))
            .await
            .and_then(|opened| opened);
        opened.map(Arc::new).map_err(|cause| {
            let path = self.config.cache.path.display();
            Fault::new(Kind::Config, "artifacts", format!("cannot use `{path}` as a cache"))
                .hint("set `cache = { path = … }` in [artifacts] to a directory that this user may write")
                .cause(cause)
        })
    }

    fn proxy(&self, ctx: &Ctx, store: Arc<Store>) -> Proxy {
        let counts = Counts::default();
        counts.register(&ctx.metrics);
        let source = |path: &str, upstream: &Arc<dyn Upstream>| {
            let clock = Arc::clone(&ctx.wire);
            let (upstream, store) = (Arc::clone(upstream), Arc::clone(&store));
            Arc::new(Source::new(path, upstream, store, clock, self.config.upstream_timeout, counts.clone()))
        };
        let mount = |(path, upstreams): &(String, Vec<Arc<dyn Upstream>>)| Mount {
            label: path.clone(),
            sources: upstreams.iter().map(|upstream| source(path, upstream)).collect(),
            counts: counts.mount(path),
        };
        Proxy {
            mounts: self.repositories.iter().map(mount).collect(),
            prefixes: self.repositories.iter().map(|(path, _)| path::mount(path)).collect(),
            store: Arc::clone(&store),
            marks: Arc::default(),
            sums: Sums::default(),
            table: Table::default(),
            clock: Arc::clone(&ctx.wire),
            tasks: ctx.tasks.clone(),
            counts: counts.clone(),
            whereabouts: Whereabouts::default(),
            rules: Rules {
                metadata_ttl: self.config.metadata_ttl,
                negative_ttl: self.config.negative_ttl,
                stale_for: self.config.stale_for,
            },
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for Artifacts {
    fn name(&self) -> &'static str {
        "artifacts"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.begin(ctx))
    }

    fn status(&self) -> Value {
        match self.running().as_ref() {
            Some(running) => running.proxy.status(&running.addresses),
            None => json!({ "state": "stopped" }),
        }
    }

    fn checks(&self) -> Vec<Check> {
        self.running().as_ref().map(|running| running.proxy.checks()).unwrap_or_default()
    }
}

impl Proxy {
    /// `/healthz`: 200 while anything can be served.
    pub(crate) fn health_answer(&self) -> Response<Payload> {
        let checks = self.checks();
        let word = match checks.iter().map(|check| check.verdict).max_by_key(|verdict| rank(*verdict)) {
            Some(Verdict::Failed) => "failed",
            Some(Verdict::Degraded) => "degraded",
            Some(Verdict::Ok) | None => "ok",
        };
        let reasons: Vec<_> =
            checks.iter().filter(|check| check.verdict != Verdict::Ok).map(|check| &check.why).collect();
        let status = if word == "failed" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let health = json!({ "status": word, "reasons": reasons, "codes": self.codes() });
        answer::made(status, "application/json", format!("{health}\n"))
    }

    /// What is wrong, in few words for scripts: those of `x-bowline-reason`, and `disk-full`.
    fn codes(&self) -> Vec<&'static str> {
        let standings = self.sources().map(|source| source.standing());
        let troubles =
            standings.filter_map(|standing| standing.trouble().map(|(trouble, _)| verdict::of(trouble).reason));
        let full = self.store.is_full().then_some("disk-full");
        let codes: std::collections::BTreeSet<_> = troubles.chain(full).collect();
        codes.into_iter().collect()
    }

    /// One line for every upstream, and one for the disk.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let standings: Vec<_> = self.sources().map(|source| (source.name().to_owned(), source.standing())).collect();
        let nothing_left = self.store.is_empty() && standings.iter().all(|(_, standing)| standing.trouble().is_some());
        let upstream = |(name, standing): &(String, crate::health::Standing)| {
            let (verdict, why) = match standing.trouble() {
                Some((trouble, since)) => {
                    let verdict = if nothing_left { Verdict::Failed } else { Verdict::Degraded };
                    (verdict, format!("`{name}` fails since {}: {trouble}", bowline_base::utc(since.wall)))
                }
                None => match standing.doubt() {
                    Some(doubt) => (Verdict::Degraded, format!("`{name}`: {doubt}")),
                    None if standing.has_answered() => (Verdict::Ok, format!("`{name}` answers")),
                    None => (Verdict::Ok, format!("`{name}` was not asked yet")),
                },
            };
            let fix = standing.trouble().and_then(|(trouble, _)| fix(trouble));
            Check { id: "artifacts.upstream".to_owned(), verdict, why, fix }
        };
        let mut checks: Vec<_> = standings.iter().map(upstream).collect();
        let (verdict, why) = if self.store.is_full() {
            (Verdict::Degraded, "the cache takes no more files (disk full?); serving through")
        } else {
            (Verdict::Ok, "the cache takes files")
        };
        checks.push(Check { id: "artifacts.cache".to_owned(), verdict, why: why.to_owned(), fix: None });
        checks
    }

    fn status(&self, addresses: &[SocketAddr]) -> Value {
        let (bytes, files) = self.store.size();
        let requests = |mount: &Mount| -> Value {
            mount.counts.requests().map(|(outcome, count)| (outcome.to_owned(), Value::from(count))).collect()
        };
        let mount = |mount: &Mount| {
            let from: Vec<_> = mount.sources.iter().map(|source| source.name()).collect();
            json!({ "path": mount.label, "from": from, "requests": requests(mount) })
        };
        json!({
            "state": "serving",
            "listen": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "cache": { "bytes": bytes, "files": files, "fills": self.table.len() },
            "repositories": self.mounts.iter().map(mount).collect::<Vec<_>>(),
        })
    }

    fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.mounts.iter().flat_map(|mount| &mount.sources)
    }
}

fn upstream(origin: &Origin, config: &Config, aws: &Aws, identity: &Arc<dyn Identity>) -> Arc<dyn Upstream> {
    match origin {
        Origin::S3 { bucket, prefix, region } => {
            let identity = Arc::clone(identity);
            Arc::new(S3::new(aws, identity, region.clone(), bucket, prefix, config.upstream_timeout))
        }
        Origin::Http(url) => Arc::new(Http::new(Arc::clone(aws.wire()), url, config.upstream_timeout)),
        Origin::Directory(path) => Arc::new(Directory::new(path.clone())),
    }
}

fn serve(ctx: &Ctx, listener: Arc<Listener>, proxy: &Arc<Proxy>, guard: &Arc<Guard>) {
    let door = if guard.asks() { Door::Open } else { Door::at(listener.local_addr()) };
    let (proxy, guard) = (Arc::clone(proxy), Arc::clone(guard));
    server::serve_files(
        &ctx.tasks,
        "artifacts",
        listener,
        entrance::limits(),
        proxy.store.maps(),
        move |peer, request: http::Request<Incoming>| {
            let (proxy, guard) = (Arc::clone(&proxy), Arc::clone(&guard));
            // In a box: hyper moves what it waits for, and this is as big as the longest way through the proxy.
            Box::pin(async move {
                let answer = match entrance::refusal(&guard, &peer, &request, &proxy) {
                    Some(refusal) => refusal,
                    None => proxy.answer(&request, door).await,
                };
                if matches!(peer, Peer::Tcp(_)) { answer } else { answer.map(Payload::read_here) }
            })
        },
    );
}

fn fix(trouble: &crate::upstream::Trouble) -> Option<String> {
    match trouble {
        crate::upstream::Trouble::Credentials { hint, .. } => hint.clone(),
        _ => None,
    }
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Degraded => 1,
        Verdict::Failed => 2,
    }
}
