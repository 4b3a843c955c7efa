//! Acts for the machine: starts fetches, keeps the secrets that they bring, wakes who waits, watches files and time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_audit::{Event, Record};
use bowline_awsfiles::Config;
use bowline_base::{Fault, KeyId, Kind, Now, Retry};
use bowline_host::{
    Ctx, Tasks, clock,
    metrics::{Counter, Family, Gauge},
    notice::LoginNotice,
    watch,
};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::{
    alarm::Alarm,
    bring::Brought,
    machine::{Health, Input, Machine, Name, Output},
    slot::{Slot, Snapshot},
    status::{self, Standing, Status},
};
use crate::{
    lease_file::kind_name,
    source::{Sources, ended_on_arrival},
    stamps::Stamps,
    witness::Witness,
};

/// The machine and everything that it must not know.
pub(super) struct Keeper {
    sources: Sources,
    tasks: Tasks,
    alarm: Alarm,
    witness: Option<Witness>,
    machine: Mutex<Machine>,
    /// The AWS files as they stood when they were last looked at.
    seen: Mutex<Stamps>,
    slots: Mutex<BTreeMap<Name, Arc<Slot>>>,
    changed: Notify,
    fetches: Family<Vec<(&'static str, String)>, Counter>,
    ends: Family<Vec<(&'static str, String)>, Gauge>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(super) fn new(ctx: &Ctx, sources: Sources, notice: Option<LoginNotice>, witness: Option<Witness>) -> Arc<Self> {
        let machine = Mutex::new(Machine::new(sources.setup().token_window));
        let seen = Mutex::new(Stamps::take(sources.setup()));
        let keeper = Self {
            machine,
            seen,
            sources,
            tasks: ctx.tasks.clone(),
            alarm: Alarm::new(notice, ctx.notifier.clone()),
            witness,
            slots: Mutex::default(),
            changed: Notify::new(),
            fetches: Family::default(),
            ends: Family::default(),
        };
        ctx.metrics.register("credential_fetches", "Fetches by kind and outcome", keeper.fetches.clone());
        let help = "Unix time at which the held set ends, by profile";
        ctx.metrics.register("credential_ends_timestamp_seconds", help, keeper.ends.clone());
        Arc::new(keeper)
    }

    pub(super) fn witness(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(super) fn now(&self) -> Now {
        self.sources.wire().now()
    }

    pub(super) fn knows(&self, name: &Name) -> bool {
        self.slots().contains_key(name)
    }

    /// Where what is held of it came from; empty where nothing is.
    pub(super) fn source_of(&self, name: &Name) -> String {
        self.slots().get(name).map(|slot| slot.snapshot().source).unwrap_or_default()
    }

    pub(super) fn slot(&self, name: &Name) -> Arc<Slot> {
        Arc::clone(self.slots().entry(name.clone()).or_insert_with(|| Arc::new(Slot::new())))
    }

    /// Renews ahead and looks at changed files until shutdown.
    pub(super) fn run(self: Arc<Self>, tasks: &Tasks) {
        let mut changes = watch::directories(tasks, self.sources.setup().directories());
        let (timer, watcher) = (Arc::clone(&self), self);
        tasks.spawn_until_shutdown("broker-timer", async move { timer.keep_time().await });
        tasks.spawn_until_shutdown("broker-files", async move {
            watcher.look_at_changes(&BTreeSet::new());
            watcher.look_at_certificates();
            watcher.look_at_files();
            while changes.recv().await.is_some() {
                watcher.look_at_files();
            }
        });
    }

    /// Hands an event to the machine and does what it says.
    pub(super) fn tell(self: &Arc<Self>, input: Input) {
        let outputs = {
            let mut machine = self.machine();
            machine.handle(self.now(), input);
            self.drain(&mut machine)
        };
        self.act(outputs);
        self.changed.notify_one();
    }

    /// As [`Keeper::tell`]; if a fetch is then on its way, waits for its end. Gives where its outcome lies.
    pub(super) async fn tell_and_wait(self: &Arc<Self>, name: &Name, input: Input) -> Arc<Slot> {
        let refused = matches!(input, Input::Rejected(..));
        let (outputs, slot, seen) = {
            let mut machine = self.machine();
            let now = self.now();
            machine.handle(now, input);
            // While the machine cannot forget it.
            let slot = self.slot(name);
            // Who has a good set in memory never waits for a renewal.
            let wait = machine.is_fetching(name) && (refused || machine.serving(name, now.wall).is_none());
            let seen = wait.then(|| slot.0.borrow().settled);
            (self.drain(&mut machine), slot, seen)
        };
        let mut settled = slot.0.subscribe();
        self.act(outputs);
        self.changed.notify_one();
        if let Some(seen) = seen {
            settled.wait_for(|snapshot| snapshot.settled != seen).await.ok();
        }
        slot
    }

    pub(super) fn status(&self) -> Vec<Status> {
        let now = self.now();
        let slots: Vec<(Name, Arc<Slot>)> =
            self.slots().iter().map(|(name, slot)| (name.clone(), Arc::clone(slot))).collect();
        let machine = self.machine();
        let wakes: BTreeMap<&Name, Option<Duration>> = machine.names().map(|(name, _, wake)| (name, wake)).collect();
        let status = |(name, slot): &(Name, Arc<Slot>)| {
            let (health, wake) = (machine.health(name), wakes.get(name).copied().flatten());
            let (standing, fetching) = (machine.is_standing(name), machine.is_fetching(name));
            status::of(name, &slot.snapshot(), Standing { health, standing, fetching, wake }, now)
        };
        slots.iter().map(status).collect()
    }

    fn act(self: &Arc<Self>, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Fetch { name, not } => self.fetch(name, not),
                Output::Became { name, health: Health::Failing(kind) } => {
                    let fault = self.slot(&name).snapshot().fault;
                    let hint = fault.as_ref().and_then(|fault| fault.hint.clone()).unwrap_or_default();
                    let reason = fault.map_or_else(String::new, |fault| fault.chain());
                    warn!(%name, kind = kind_name(kind), reason, hint, "cannot be renewed");
                }
                Output::Became { name, health: _ } => info!(%name, "is fresh"),
                Output::Forgotten { name } => self.alarm.forget(&name),
            }
        }
    }

    /// What a fetch came to is written down.
    fn note(&self, name: &Name, brought: &Result<Brought, (Fault, Option<String>)>) {
        let Some(witness) = &self.witness else { return };
        let (Name::Profile(about) | Name::Session(about)) = name;
        // Of an outage of the log the witness tells itself.
        let noted = witness.note(
            self.now(),
            match brought {
                Ok(brought) => Record {
                    key_id: brought.credentials.as_ref().map(|credentials| credentials.key_id.clone()),
                    source: Some(brought.source.clone()),
                    expires: brought.lease.expires_at,
                    ..Record::about(Event::Refreshed, about)
                },
                Err((fault, _)) => Record { reason: Some(fault.chain()), ..Record::about(Event::RefreshFailed, about) },
            },
        );
        noted.ok();
    }

    fn fetch(self: &Arc<Self>, name: Name, not: Option<KeyId>) {
        let mut pending = Pending { keeper: Arc::clone(self), name: Some(name.clone()) };
        self.tasks.spawn_request("fetch", async move {
            let brought = pending.keeper.bring_alive(&name, not.as_ref()).await;
            pending.name = None;
            pending.keeper.settle(&name, brought);
        });
    }

    fn settle(self: &Arc<Self>, name: &Name, brought: Result<Brought, (Fault, Option<String>)>) {
        let slot = self.slot(name);
        let brought = match brought {
            Ok(brought) if !brought.lease.usable_at(self.now().wall) => {
                Err((ended_on_arrival(&format!("credentials of {name}")), None))
            }
            other => other,
        };
        self.note(name, &brought);
        let outcome = brought.as_ref().map_or_else(|(fault, _)| kind_name(fault.kind), |_| "ok");
        self.count(name, outcome);
        if let Err((fault, session)) = &brought {
            let config = self.sources.setup().config().ok();
            self.alarm.failed(name, session.as_deref(), fault, config.as_ref());
        }
        let outputs = {
            let mut machine = self.machine();
            let input = match brought {
                Ok(brought) => self.store(name, &slot, brought),
                Err((fault, _)) => self.store_fault(name, &slot, fault),
            };
            machine.handle(self.now(), input);
            self.drain(&mut machine)
        };
        self.act(outputs);
        self.look_at_trouble();
        self.changed.notify_one();
    }

    fn store(&self, name: &Name, slot: &Slot, brought: Brought) -> Input {
        let lease = brought.lease.clone();
        if let Some(end) = lease.expires_at {
            self.ends.get_or_create(&vec![("name", label(name))]).set(end.as_second());
        }
        slot.0.send_modify(|snapshot| {
            *snapshot = Snapshot {
                credentials: brought.credentials,
                lease: Some(brought.lease),
                fault: None,
                failing_since: None,
                source: brought.source,
                sealed: brought.sealed,
                id: brought.id,
                settled: snapshot.settled + 1,
            };
        });
        Input::Obtained(name.clone(), lease)
    }

    fn store_fault(&self, name: &Name, slot: &Slot, fault: Fault) -> Input {
        debug!(%name, reason = %fault.chain(), "a fetch failed");
        let (kind, retry) = (fault.kind, fault.retry);
        let now = self.now();
        slot.0.send_modify(|snapshot| {
            snapshot.fault = Some(Arc::new(fault));
            snapshot.failing_since.get_or_insert(now);
            snapshot.settled += 1;
        });
        Input::Failed(name.clone(), kind, retry)
    }

    /// A profile that still gets credentials does not mean that its session can be renewed.
    pub(super) fn announce_good(&self, name: &Name, session: &str) {
        let own = Name::Session(session.to_owned());
        let ending = *name != own && self.machine().health(&own) == Health::Failing(Kind::LoginRequired);
        if !ending {
            self.alarm.signed_in(session);
        }
    }

    /// Tells people what fails for too long, of what is kept fresh.
    fn look_at_trouble(&self) {
        let now = self.now();
        let slots: Vec<(Name, Arc<Slot>)> =
            self.slots().iter().map(|(name, slot)| (name.clone(), Arc::clone(slot))).collect();
        for (name, slot) in slots {
            let standing = self.machine().is_standing(&name);
            self.alarm.look(&name, &slot.snapshot(), standing, now);
        }
        self.alarm.certificates(&self.sources.certificates());
    }

    /// Reads certificates as they are now, used or not: one that ends is told before it is missed.
    fn look_at_certificates(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        self.tasks.spawn_request("broker-certificates", async move {
            keeper.sources.look_at_certificates().await;
            keeper.alarm.certificates(&keeper.sources.certificates());
        });
    }

    /// What jobs hold of the vault is wiped; it comes again when the vault is open.
    pub(super) fn forget_sealed(self: &Arc<Self>) {
        let slots: Vec<(Name, Arc<Slot>)> =
            self.slots().iter().map(|(name, slot)| (name.clone(), Arc::clone(slot))).collect();
        for (name, slot) in slots.into_iter().filter(|(_, slot)| slot.0.borrow().sealed) {
            slot.empty();
            self.tell(Input::Replaced(name));
        }
    }

    async fn keep_time(self: Arc<Self>) {
        loop {
            let now = self.now().boot;
            let longest = now + clock::LONGEST_SLEEP;
            let deadline = self.machine().next_wake().map_or(longest, |(deadline, _)| deadline.min(longest));
            let deadline = self.sources.vault().next_wake().map_or(deadline, |wake| wake.min(deadline));
            tokio::select! {
                () = self.sources.wire().sleep(deadline.saturating_sub(now)) => {
                    let outputs = {
                        let mut machine = self.machine();
                        machine.handle(self.now(), Input::Tick);
                        self.drain(&mut machine)
                    };
                    self.act(outputs);
                    self.look_at_trouble();
                    if self.sources.vault().tick(self.now()) {
                        info!("the vault is locked: nobody has asked for a while");
                        self.forget_sealed();
                    }
                }
                () = self.changed.notified() => {}
            }
        }
    }

    /// After an event, which may be of any file, or of one that we have written ourselves.
    pub(super) fn look_at_files(self: &Arc<Self>) {
        // One look at a time: an older one must not end after a newer one.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = Stamps::take(self.sources.setup());
        // After the stamps: it waits for a write of ours that they may show already.
        let own = self.sources.tokens().own_writes();
        let before = std::mem::replace(&mut *seen, stamps.clone());
        drop(seen);
        if stamps != before {
            self.look_at_changes(&stamps.gone_since(&before));
            self.look_at_certificates();
        }
        if stamps.were_changed_since(&before, &own) {
            self.tell(Input::FilesChanged);
        }
    }

    /// Sessions that have come or gone, profiles that were rewritten or signed out of.
    fn look_at_changes(self: &Arc<Self>, gone: &BTreeSet<PathBuf>) {
        match self.sources.setup().config() {
            Ok(config) => {
                self.look_at_sessions(&config);
                self.look_at_profiles(&config, gone);
            }
            Err(fault) => warn!(reason = %fault.chain(), "the AWS files cannot be read; what is held is kept"),
        }
    }

    fn look_at_sessions(self: &Arc<Self>, config: &Config) {
        let now = self.now().wall;
        for session in config.sso_sessions() {
            let Ok(login) = session.login() else { continue };
            let name = Name::Session(session.name().to_owned());
            let Ok(token) = self.sources.tokens().cache().token(&login.key) else { continue };
            let known = self.knows(&name);
            match token {
                // One that ran out is left alone until somebody asks: it may be of a job long gone.
                Some(token) if known || (token.usable_at(now) && token.renewable_at(now)) => {
                    self.slot(&name);
                    if !self.machine().is_standing(&name) {
                        self.tell(Input::Want(name));
                    }
                }
                None if known => {
                    self.slots().remove(&name);
                    self.alarm.forget(&name);
                    self.tell(Input::Forget(name));
                }
                _ => {}
            }
        }
    }

    fn look_at_profiles(self: &Arc<Self>, config: &Config, gone: &BTreeSet<PathBuf>) {
        let slots: Vec<(Name, Arc<Slot>)> =
            self.slots().iter().map(|(name, slot)| (name.clone(), Arc::clone(slot))).collect();
        for (name, slot) in slots {
            let Name::Profile(profile) = &name else { continue };
            let Ok(resolved) = self.sources.resolve_in(config, profile) else { continue };
            let held = slot.snapshot().id;
            let token = resolved.login().map(|login| self.sources.tokens().cache().token_path(&login.key));
            if token.is_some_and(|path| gone.contains(&path)) {
                info!(%name, "was signed out of; its credentials are forgotten");
                slot.empty();
                // Only a job needs to be told that a login is missing.
                let job = self.machine().is_standing(&name);
                self.tell(if job { Input::Replaced(name) } else { Input::Forget(name) });
            } else if held.is_some_and(|held| held != self.sources.lease_id(&resolved)) {
                info!(%name, "was rewritten; its credentials are fetched anew");
                slot.empty();
                self.tell(Input::Replaced(name));
            }
        }
    }

    fn count(&self, name: &Name, outcome: &str) {
        let kind = match name {
            Name::Profile(_) => "profile",
            Name::Session(_) => "session",
        };
        self.fetches.get_or_create(&vec![("kind", kind.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    /// What the machine says. What it has forgotten goes before anybody else gets at it.
    fn drain(&self, machine: &mut Machine) -> Vec<Output> {
        let outputs: Vec<Output> = std::iter::from_fn(|| machine.poll()).collect();
        for output in &outputs {
            if let Output::Forgotten { name } = output {
                self.slots().remove(name);
                self.ends.remove(&vec![("name", label(name))]);
            }
        }
        outputs
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label(name: &Name) -> String {
    match name {
        Name::Profile(text) | Name::Session(text) => text.clone(),
    }
}

/// A fetch that has not come back. Dropped with its name by a panic, it counts as failed, so that nothing waits for ever;
/// dropped because the process ends, it failed in nothing.
struct Pending {
    keeper: Arc<Keeper>,
    name: Option<Name>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let broke = std::thread::panicking() && tokio::runtime::Handle::try_current().is_ok();
        if let Some(name) = self.name.take().filter(|_| broke) {
            let fault = Fault::new(Kind::Bug, "broker", format!("fetching {name} broke off"));
            self.keeper.settle(&name, Err((fault.retry(Retry::After(Duration::from_secs(60))), None)));
        }
    }
}
