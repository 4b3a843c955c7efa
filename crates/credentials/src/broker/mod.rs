//! The broker: keeps profiles and SSO sessions fresh, hands out identities, and says how everything stands.
//!
//! What to do when is decided by the pure [`machine`]; this module and `keeper` only act for it.

pub mod alarm;
mod bring;
mod keeper;
mod login_needed;
pub mod machine;
mod slot;
mod status;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bowline_base::{BoxFuture, Credentials, Fault, Identity, KeyId, Unavailable};
use bowline_host::{Address, Check, Ctx, Job, notice::LoginNotice};

use self::{
    keeper::Keeper,
    machine::{Input, Name},
    slot::Slot,
};
use crate::{Setup, Sources, Witness, grant::Grants, socket};

pub use status::{State, Status};

/// What the broker is to do.
#[derive(Debug)]
pub struct Settings {
    /// The world.
    pub setup: Setup,
    /// Profiles that are kept fresh whether or not anybody asks.
    pub profiles: Vec<String>,
    /// Where a login that is needed is announced.
    pub notice: Option<LoginNotice>,
    /// Where command lines ask; `None` answers nobody.
    pub socket: Option<PathBuf>,
    /// Who writes down what leaves.
    pub witness: Option<Witness>,
    /// Who else may ask there.
    pub grants: Grants,
}

/// How the whole process stands: what the socket tells of the jobs that the broker does not know.
#[derive(Clone)]
pub struct Overview(Arc<dyn Fn() -> serde_json::Value + Send + Sync>);

impl Overview {
    /// Asked anew whenever somebody wants to know.
    pub fn new(ask: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Overview")
    }
}

/// A handle to the broker; clones share it.
#[derive(Clone, Debug)]
pub struct Broker {
    keeper: Arc<Keeper>,
    profiles: Arc<[String]>,
    socket: Option<PathBuf>,
    grants: Grants,
    overview: Arc<OnceLock<Overview>>,
    /// What is kept fresh whether or not anybody asks; nothing before the first start.
    kept: Arc<Mutex<Option<Vec<BrokerIdentity>>>>,
}

impl Broker {
    /// A broker that fetches in `ctx.tasks`. It answers from now on; it renews ahead and watches files once started.
    #[must_use]
    pub fn new(ctx: &Ctx, settings: Settings) -> Self {
        let Settings { setup, profiles, notice, socket, grants, witness } = settings;
        let sources = Sources::new(Arc::clone(&ctx.wire), ctx.tasks.clone(), setup);
        let keeper = Keeper::new(ctx, sources, notice, witness);
        Self { keeper, profiles: profiles.into(), socket, grants, overview: Arc::default(), kept: Arc::default() }
    }

    /// [`Broker::new`] and its [`Job::start`] in one.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub async fn start(ctx: &Ctx, settings: Settings) -> Result<Self, Fault> {
        let broker = Self::new(ctx, settings);
        Job::start(&broker, ctx).await?;
        Ok(broker)
    }

    /// Who `profile` is, kept fresh for as long as somebody holds it.
    #[must_use]
    pub fn identity(&self, profile: &str) -> Arc<dyn Identity> {
        Arc::new(BrokerIdentity::new(&self.keeper, profile))
    }

    /// Keeps `profiles` fresh from now on, in place of those that were kept so far.
    pub fn keep_fresh(&self, profiles: &[String]) {
        let wanted = profiles.iter().map(|profile| BrokerIdentity::new(&self.keeper, profile)).collect();
        // The old ones let go after that, and outside of the lock: what is in both is not forgotten in between.
        let former = self.kept.lock().unwrap_or_else(PoisonError::into_inner).replace(wanted);
        drop(former);
    }

    /// The credentials of `profile`; waits for a first fetch if there are none. Kept fresh for a while.
    ///
    /// # Errors
    /// Why there are none, and the next command.
    pub async fn ask(&self, profile: &str) -> Result<Arc<Credentials>, Unavailable> {
        let name = Name::Profile(profile.to_owned());
        if !self.keeper.knows(&name) {
            let resolved = self.keeper.sources().resolve(profile)?;
            // Held by the vault alone, which wipes it: no copy waits here for the next who asks.
            if resolved.is_sealed() {
                return Ok(Arc::new(self.keeper.sources().credentials(&resolved, None).await?));
            }
        }
        let slot = self.keeper.tell_and_wait(&name, Input::Ask(name.clone())).await;
        slot.current(self.keeper.now())
    }

    /// Looks at the AWS files now; once started, the broker does so by itself whenever one of them changes.
    pub fn look_at_files(&self) {
        self.keeper.look_at_files();
    }

    /// Somebody has opened the vault: what failed for want of it is tried again.
    pub(crate) fn vault_opened(&self) {
        self.keeper.tell(Input::FilesChanged);
    }

    /// The vault was locked: the keys that jobs hold from it go as well.
    pub(crate) fn vault_locked(&self) {
        self.keeper.forget_sealed();
    }

    /// Lets processes of other users reach the socket, where a grant is for them.
    ///
    /// # Errors
    /// `Config` when the modes of the socket cannot be set.
    pub fn open_socket(&self) -> Result<(), Fault> {
        match self.socket.as_deref().filter(|_| self.grants.admit_other_users()) {
            Some(path) => socket::open_to_others(path),
            None => Ok(()),
        }
    }

    /// How everything stands, profiles first, by name.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        self.keeper.status()
    }

    /// What the socket tells of the whole process from now on; the first one stays.
    pub fn tell_also(&self, overview: Overview) {
        self.overview.set(overview).ok();
    }

    /// The document of `/v1/status`: of the whole process where somebody told how it stands, else of the credentials.
    pub(crate) fn overview(&self) -> serde_json::Value {
        match self.overview.get() {
            Some(overview) => (overview.0)(),
            None => serde_json::json!({
                "version": crate::client::STATUS_VERSION, "program": env!("CARGO_PKG_VERSION"),
                "credentials": self.status(),
            }),
        }
    }

    /// Who writes down what leaves.
    #[must_use]
    pub fn witness(&self) -> Option<&Witness> {
        self.keeper.witness()
    }

    /// Where the credentials of `profile` came from, in a few words; empty while nothing was fetched.
    #[must_use]
    pub fn source_of(&self, profile: &str) -> String {
        self.keeper.source_of(&Name::Profile(profile.to_owned()))
    }

    /// The sources behind the broker, for commands that run inside the daemon.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        self.keeper.sources()
    }
}

impl Job for Broker {
    fn name(&self) -> &'static str {
        "credentials"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            if let Some(path) = &self.socket {
                let listener = ctx.listeners.listen(&Address::Unix(path.clone())).await?;
                self.open_socket()?;
                socket::serve(&ctx.tasks, listener, self.clone(), self.grants.clone());
            }
            // Another start, after a loss, has what a reload may have changed since.
            if self.kept.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
                self.keep_fresh(&self.profiles);
            }
            Arc::clone(&self.keeper).run(&ctx.tasks);
            Ok(())
        })
    }

    fn status(&self) -> serde_json::Value {
        serde_json::to_value(Self::status(self)).unwrap_or_default()
    }

    fn checks(&self) -> Vec<Check> {
        let certificates = self.keeper.sources().certificate_checks();
        Self::status(self).iter().map(Status::check).chain(certificates).collect()
    }
}

/// A profile, as jobs hold it.
struct BrokerIdentity {
    keeper: Arc<Keeper>,
    slot: Arc<Slot>,
    name: Name,
}

impl BrokerIdentity {
    fn new(keeper: &Arc<Keeper>, profile: &str) -> Self {
        let name = Name::Profile(profile.to_owned());
        // First the wish: then the slot stays for as long as it does.
        keeper.tell(Input::Want(name.clone()));
        Self { keeper: Arc::clone(keeper), slot: keeper.slot(&name), name }
    }
}

impl Drop for BrokerIdentity {
    fn drop(&mut self) {
        self.keeper.tell(Input::Unwant(self.name.clone()));
    }
}

impl fmt::Debug for BrokerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerIdentity({})", self.name)
    }
}

impl Identity for BrokerIdentity {
    fn current(&self) -> Result<Arc<Credentials>, Unavailable> {
        let answer = self.slot.current(self.keeper.now());
        if answer.is_err() {
            self.keeper.tell(Input::Ask(self.name.clone()));
        }
        answer
    }

    fn ready(&self) -> BoxFuture<'_, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async move {
            if let Ok(held) = self.slot.current(self.keeper.now()) {
                return Ok(held);
            }
            self.keeper.tell_and_wait(&self.name, Input::Ask(self.name.clone())).await;
            self.slot.current(self.keeper.now())
        })
    }

    fn renew<'a>(&'a self, rejected: &'a KeyId) -> BoxFuture<'a, Result<Arc<Credentials>, Unavailable>> {
        Box::pin(async move {
            if let Ok(held) = self.slot.current(self.keeper.now())
                && held.key_id != *rejected
            {
                return Ok(held);
            }
            let input = Input::Rejected(self.name.clone(), rejected.clone());
            self.keeper.tell_and_wait(&self.name, input).await;
            self.slot.current_but(rejected, self.keeper.now())
        })
    }
}
