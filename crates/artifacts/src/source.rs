//! One upstream as the rest of this crate asks it: with a deadline, counted, its health noted, and 403 explained.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bowline_base::wire::Wire;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::{
    body::off_thread,
    health::{CANARIES, Meaning, Standing, Turn, meaning},
    metrics::Counts,
    store::Store,
    upstream::{Answer, Head, Page, Trouble, Upstream, Want},
};

pub(crate) struct Source {
    /// The path of the repository that it is part of: a label.
    repository: String,
    upstream: Arc<dyn Upstream>,
    store: Arc<Store>,
    clock: Arc<dyn Wire>,
    timeout: Duration,
    counts: Counts,
    standing: Mutex<Standing>,
    /// One probe at a time; who waited for it reads what it found.
    probing: Semaphore,
    /// The cache was looked through for canaries.
    recalled: AtomicBool,
    etags_are_md5: AtomicBool,
}

impl Source {
    /// One of the places of `repository`. `store` is looked into for keys that could be read once.
    pub(crate) fn new(
        repository: &str,
        upstream: Arc<dyn Upstream>,
        store: Arc<Store>,
        clock: Arc<dyn Wire>,
        timeout: Duration,
        counts: Counts,
    ) -> Self {
        Self {
            repository: repository.to_owned(),
            upstream,
            store,
            clock,
            timeout,
            counts,
            standing: Mutex::default(),
            probing: Semaphore::new(1),
            recalled: AtomicBool::new(false),
            etags_are_md5: AtomicBool::new(true),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.upstream.name()
    }

    /// The path of its repository.
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// [`Upstream::is_local`]
    pub(crate) fn is_local(&self) -> bool {
        self.upstream.is_local()
    }

    /// [`Upstream::has_sidecars`]
    pub(crate) fn has_sidecars(&self) -> bool {
        self.upstream.has_sidecars()
    }

    /// The longest wait for the next piece of a body.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A snapshot of how it stands.
    pub(crate) fn standing(&self) -> Standing {
        self.locked().clone()
    }

    /// Whether an ETag that looks like an MD5 is one here. It is not in buckets encrypted with KMS.
    pub(crate) fn etags_are_md5(&self) -> bool {
        self.etags_are_md5.load(Ordering::Relaxed)
    }

    /// Two readings agreed with each other and not with the ETag.
    pub(crate) fn distrust_etags(&self) {
        if self.etags_are_md5.swap(false, Ordering::Relaxed) {
            info!(upstream = self.name(), "ETags are no MD5 here (KMS?); bodies are checked by length alone");
        }
    }

    /// [`Upstream::get`]; never [`Trouble::Denied`], which is explained.
    pub(crate) async fn ask(&self, want: &Want) -> Result<Answer, Trouble> {
        let answer = self.timed(self.upstream.get(want)).await;
        self.concluded(&want.key, answer).await
    }

    /// [`Upstream::head`]; never [`Trouble::Denied`], which is explained.
    pub(crate) async fn head(&self, key: &str) -> Result<Head, Trouble> {
        let answer = self.timed(self.upstream.head(key)).await;
        self.concluded(key, answer).await
    }

    /// [`Upstream::list`]
    pub(crate) async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Trouble> {
        let answer = self.timed(self.upstream.list(prefix, after)).await;
        self.note(None, &answer);
        answer
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let begun = self.clock.now().boot;
        let answer = tokio::time::timeout(self.timeout, call).await.unwrap_or(Err(Trouble::TimedOut(self.timeout)));
        let time = self.clock.now().boot.saturating_sub(begun);
        self.counts.upstream(&self.repository, outcome(&answer), time);
        answer
    }

    async fn concluded<T>(&self, key: &str, answer: Result<T, Trouble>) -> Result<T, Trouble> {
        let answer = match answer {
            Err(Trouble::Denied) => Err(self.explain(key).await),
            other => other,
        };
        self.note(Some(key), &answer);
        answer
    }

    fn note<T>(&self, key: Option<&str>, answer: &Result<T, Trouble>) {
        let turn = self.locked().note(key, answer.as_ref().map(drop), self.clock.now());
        match turn {
            Turn::None => {}
            Turn::Fell(trouble) => {
                warn!(upstream = self.name(), %trouble, "the upstream fails; serving what is cached");
            }
            Turn::Recovered => info!(upstream = self.name(), "the upstream answers again"),
        }
    }

    /// What `AccessDenied` for `key` means.
    async fn explain(&self, key: &str) -> Trouble {
        let Ok(_turn) = self.probing.acquire().await else { return Trouble::AccessLost(key.to_owned()) };
        let known = self.locked().meaning(self.clock.now());
        let meaning = match known {
            Some(meaning) => Ok(meaning),
            None => self.probe().await,
        };
        match meaning {
            Ok(Meaning::NoSuchKey | Meaning::NoSuchKeyPerhaps) => Trouble::Hidden,
            Ok(Meaning::KeyDenied) => Trouble::KeyDenied(key.to_owned()),
            Ok(Meaning::AccessLost) => Trouble::AccessLost(key.to_owned()),
            Err(trouble) => trouble,
        }
    }

    async fn probe(&self) -> Result<Meaning, Trouble> {
        let probe = self.timed(self.upstream.probe()).await;
        let canary = match probe {
            Ok(()) | Err(Trouble::ListingDenied | Trouble::Denied) => self.canary().await,
            Err(_) => None,
        };
        let meaning = meaning(probe, canary)?;
        if meaning == Meaning::NoSuchKeyPerhaps {
            warn!(
                upstream = self.name(),
                "refused keys are taken for missing: listing is denied, nothing was read yet"
            );
        }
        self.locked().probed(meaning, self.clock.now());
        Ok(meaning)
    }

    /// Whether any of the keys that could be read still can be. Those that cannot are dropped only when another can:
    /// while all are refused, they are what tells lost access from missing keys.
    async fn canary(&self) -> Option<Result<(), Trouble>> {
        self.recall().await;
        let canaries = self.locked().canaries().to_vec();
        let (mut gone, mut refused) = (Vec::new(), None);
        for key in canaries {
            match self.timed(self.upstream.head(&key)).await {
                Err(Trouble::Missing) => self.locked().drop_canaries(&[key]),
                Err(Trouble::Denied) => {
                    gone.push(key);
                    refused = Some(Err(Trouble::Denied));
                }
                Ok(_) => {
                    self.locked().drop_canaries(&gone);
                    return Some(Ok(()));
                }
                Err(trouble) => return Some(Err(trouble)),
            }
        }
        refused
    }

    /// What the cache holds of this upstream could be read once: a restart does not forget that.
    async fn recall(&self) {
        if self.locked().canaries().len() >= CANARIES || self.recalled.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, name) = (Arc::clone(&self.store), self.name().to_owned());
        let keys = off_thread(move || store.samples(&name, CANARIES)).await.unwrap_or_default();
        self.locked().recall(keys);
    }

    fn locked(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A label: few values, never a key.
fn outcome<T>(answer: &Result<T, Trouble>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(Trouble::Missing | Trouble::Hidden) => "missing",
        Err(Trouble::Changed) => "changed",
        Err(Trouble::Denied | Trouble::ListingDenied | Trouble::KeyDenied(_) | Trouble::AccessLost(_)) => "denied",
        Err(Trouble::Credentials { .. }) => "credentials",
        Err(Trouble::TimedOut(_)) => "timeout",
        Err(Trouble::Unreachable(_) | Trouble::Disk(_) | Trouble::Cache(_)) => "unreachable",
        Err(Trouble::Busy | Trouble::BusyFor(_)) => "busy",
        Err(Trouble::Server(_)) => "server-error",
        Err(Trouble::NotS3(_) | Trouble::Broken(_)) => "garbage",
        Err(Trouble::Refused(_)) => "refused",
    }
}
