//! What the running jobs say of themselves, gathered for readiness, status and metrics.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bowline_base::{Now, Timestamp, utc};
use bowline_credentials::{Overview, client::STATUS_VERSION};
use bowline_host::{Check, Job, Verdict, clock, metrics::Metrics};
use serde_json::{Value, json};

use super::process_metrics;
use crate::troubles::Troubles;

/// The jobs of this process; clones share the list.
#[derive(Clone, Default)]
pub(crate) struct Board {
    jobs: Arc<Mutex<Vec<Posted>>>,
    troubles: Troubles,
    started: Option<Timestamp>,
    /// The part that the process waits for before it is ready for the first time.
    starting: Arc<Mutex<Option<&'static str>>>,
    /// Where the status page is.
    page: Arc<Mutex<Option<SocketAddr>>>,
}

/// A job and what it counts: each has a registry of its own, so that a restarted job starts at zero and not twice.
#[derive(Clone)]
struct Posted {
    job: Arc<dyn Job>,
    metrics: Metrics,
}

impl Board {
    /// An empty one of a process that was started at `now` and remembers its `troubles`.
    pub(crate) fn new(now: Now, troubles: Troubles) -> Self {
        Self { troubles, started: Some(now.wall), ..Self::default() }
    }

    /// Adds `job`, in place of one with the same name.
    pub(crate) fn add(&self, job: Arc<dyn Job>, metrics: Metrics) {
        self.remove(job.name());
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(Posted { job, metrics });
    }

    /// Forgets the job called `name`.
    pub(crate) fn remove(&self, name: &str) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.job.name() != name);
    }

    /// The process has not begun yet: it starts `part`; `None` when everything is up.
    pub(crate) fn starts(&self, part: Option<&'static str>) {
        *self.starting.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }

    /// The status page is served on `address` from now on.
    pub(crate) fn serves_page(&self, address: Option<SocketAddr>) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Every check of every job, in the order of the jobs.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let starting = *self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = starting.map(|part| {
            let why = format!("the daemon is starting: it waits for `{part}`");
            Check { id: "daemon.starting".to_owned(), verdict: Verdict::Failed, why, fix: None }
        });
        self.all().iter().flat_map(|posted| posted.job.checks()).chain(waiting).collect()
    }

    /// The status document: docs/reference/status.md.
    pub(crate) fn status(&self, now: Now) -> Value {
        let jobs: serde_json::Map<String, Value> =
            self.all().iter().map(|posted| (posted.job.name().to_owned(), posted.job.status())).collect();
        let checks = self.checks();
        json!({
            "version": STATUS_VERSION,
            "program": env!("CARGO_PKG_VERSION"),
            "at": utc(now.wall),
            "since": self.started.map(utc),
            "state": overall(&checks),
            "page": self.page.lock().unwrap_or_else(PoisonError::into_inner).map(url),
            "credentials": jobs.get("credentials").cloned().unwrap_or_else(|| json!([])),
            "jobs": jobs,
            "checks": checks,
            "last_trouble": self.troubles.last(),
        })
    }

    /// The last warnings of the log, oldest first.
    pub(crate) fn troubles(&self) -> Value {
        Value::Array(self.troubles.all())
    }

    /// The same document for the broker's socket. It holds no job: the broker is one of them.
    pub(crate) fn overview(&self) -> Overview {
        let (jobs, troubles, started) = (Arc::downgrade(&self.jobs), self.troubles.clone(), self.started);
        let (starting, page) = (Arc::clone(&self.starting), Arc::clone(&self.page));
        Overview::new(move || {
            let (jobs, starting, page) = (jobs.upgrade().unwrap_or_default(), Arc::clone(&starting), Arc::clone(&page));
            Self { jobs, troubles: troubles.clone(), started, starting, page }.status(clock::now())
        })
    }

    /// The metrics of this process and of every job as one OpenMetrics text.
    pub(crate) fn metrics(&self) -> String {
        let own = process_metrics::of(self.checks());
        let texts = [own].into_iter().chain(self.all().into_iter().map(|posted| posted.metrics)).map(|one| one.text());
        texts.map(|text| text.trim_end_matches("# EOF\n").to_owned()).collect::<String>() + "# EOF\n"
    }

    fn all(&self) -> Vec<Posted> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The worst verdict; nothing to check is fine.
pub(crate) fn overall(checks: &[Check]) -> Verdict {
    let worst = |wanted| checks.iter().any(|check| check.verdict == wanted);
    if worst(Verdict::Failed) {
        Verdict::Failed
    } else if worst(Verdict::Degraded) {
        Verdict::Degraded
    } else {
        Verdict::Ok
    }
}

/// Where a browser on this machine finds what listens on `page`.
fn url(page: SocketAddr) -> String {
    let own: IpAddr = if page.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let host = if page.ip().is_unspecified() { own } else { page.ip() };
    format!("http://{}/", SocketAddr::new(host, page.port()))
}
