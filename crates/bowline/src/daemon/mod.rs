//! The daemon: starts what the configuration switches on, starts again what was lost, reloads, ends.
//!
//! What a changed file means is decided in `reload`, when a lost part comes back in `supervision`; this module acts. The
//! broker lives as long as the process, so a reload never loses credentials; sockets whose address stays are never closed.

mod artifacts;
mod audit;
pub(crate) mod board;
mod changes;
pub(crate) mod confinement;
pub(crate) mod endpoint;
pub(crate) mod gateway;
pub(crate) mod health;
pub(crate) mod notify;
mod parts;
mod process_metrics;
mod reload;
mod signals;
pub(crate) mod status_page;
mod supervision;
#[cfg(test)]
mod tests;
pub(crate) mod vpn;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bowline_audit::{Event, Record};
use bowline_base::{Fault, Kind};
use bowline_credentials::{Broker, Settings, Witness, grant::Grants};
use bowline_host::{
    Address, Ctx, Job as _, Listeners, Notifier, Tasks, clock, metrics::Metrics, notice::LoginNotice,
    supervisor::Supervisor, tasks::unless_it_panics,
};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};

pub(crate) use self::signals::{Signalled, Signals};
use self::{
    board::Board,
    supervision::{Loss, Part, Supervision},
};
use crate::{
    config::{Config, EndpointSection, clashes},
    world::{World, daemon_runtime},
};

/// SIGTERM promises an end within 5 s.
const DRAIN: Duration = Duration::from_millis(4500);
/// How long what was lost may take to let go of its sockets before it is started again.
const LETTING_GO: Duration = Duration::from_secs(2);
/// A job that has not started by then has failed to. Its own limits are shorter, but they add up.
const LONGEST_START: Duration = Duration::from_secs(60);

/// What is started.
pub(crate) enum Start {
    /// Everything; `file` is read again on SIGHUP.
    Daemon {
        /// Where the configuration came from.
        file: Option<PathBuf>,
    },
    /// The repository in the foreground: no socket, no status page.
    ArtifactsAlone,
    /// The gateway in the foreground: no socket, no status page.
    GatewayAlone,
    /// The endpoint in the foreground, which prints on stdout what its clients set.
    EndpointAlone,
    /// The VPN in the foreground.
    VpnAlone {
        /// Whether the status page is served as well.
        status: bool,
    },
}

impl Start {
    fn has_status_page(&self) -> bool {
        matches!(self, Self::Daemon { .. } | Self::VpnAlone { status: true })
    }
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(world: World, config: Config, start: Start) -> Result<(), Fault> {
    bowline_host::process::raise_file_limit();
    let runtime = daemon_runtime()?;
    let outcome = runtime.block_on(async {
        // Before anything is started: a SIGTERM that comes early ends it in the same orderly way.
        let mut signals = Signals::listen()?;
        let supervisor = world.environment.supervisor();
        let mut daemon = Daemon::new(world, config, start)?;
        let changed = Arc::clone(&daemon.changed);
        // The watchdog runs from the moment at which we are ready.
        if let Some(begun) = signals.meanwhile(&Supervisor::default(), &changed, daemon.begin()).await {
            begun?;
            supervisor.ready();
            bowline_host::memory::forget_the_start();
            daemon.attend(&mut signals, &supervisor).await;
        }
        supervisor.stopping();
        daemon.stop().await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// The running process.
pub(crate) struct Daemon {
    world: World,
    config: Config,
    start: Start,
    tasks: Tasks,
    listeners: Listeners,
    board: Board,
    broker: Broker,
    /// The tasks of every part that runs.
    running: BTreeMap<Part, Tasks>,
    supervision: Supervision,
    /// Whoever watches a part says here that it is lost.
    losses: mpsc::UnboundedSender<(Part, String)>,
    lost: mpsc::UnboundedReceiver<(Part, String)>,
    /// Told when a part has done what it was started for.
    over: Arc<Notify>,
    /// Notified when the site's address may have changed.
    changed: Arc<Notify>,
    grants: Grants,
    notifier: Notifier,
    /// The tasks of a part whose start is under way.
    starting: Option<Tasks>,
    /// What a reload has replaced and what still finishes its answers.
    leaving: Vec<Tasks>,
}

/// What the daemon waits for.
enum Heard {
    Signal(Signalled),
    Lost(Part, String),
    Over,
    Nothing,
}

impl Daemon {
    /// One that runs: [`Daemon::new`] and [`Daemon::begin`] in one.
    pub(crate) async fn start(world: World, config: Config, start: Start) -> Result<Self, Fault> {
        let mut daemon = Self::new(world, config, start)?;
        match daemon.begin().await {
            Ok(()) => Ok(daemon),
            Err(fault) => {
                // What has begun holds sockets and their locks.
                daemon.stop().await;
                Err(fault)
            }
        }
    }

    /// With a broker that answers, and nothing started yet.
    fn new(world: World, config: Config, start: Start) -> Result<Self, Fault> {
        if let Some((_, clash)) = clashes(&config, start.has_status_page()).into_iter().next() {
            return Err(Fault::new(Kind::Config, "daemon", clash).hint("give one of them another port"));
        }
        let listeners = Listeners::inherited(world.environment.inherited_sockets())?;
        let (tasks, board) = (Tasks::new(), Board::new(clock::now(), world.troubles.clone()));
        let notifier = notifier(&world, &config, &start, &tasks)?;
        let ctx = ctx(&world, &tasks, &listeners, &notifier);
        let witness = audit::witness(&world, &config.audit, &start);
        let grants = Grants::new(endpoint::grants(&config.grants, config.audit.duty())?);
        let broker = Broker::new(&ctx, settings(&world, &config, &start, &grants, witness));
        broker.tell_also(board.overview());
        board.add(Arc::new(broker.clone()), ctx.metrics);
        let supervision = Supervision::new(Arc::clone(&world.wire));
        let (losses, lost) = mpsc::unbounded_channel();
        Ok(Self {
            world,
            config,
            start,
            tasks,
            listeners,
            board,
            broker,
            running: BTreeMap::new(),
            supervision,
            losses,
            lost,
            over: Arc::default(),
            changed: Arc::default(),
            grants,
            notifier,
            starting: None,
            leaving: Vec::new(),
        })
    }

    /// Starts everything that the configuration switches on. A part that cannot start for reasons of its own
    /// configuration ends it, and then nothing stays; one that fails otherwise is started again later.
    async fn begin(&mut self) -> Result<(), Fault> {
        let ctx = ctx(&self.world, &self.tasks, &self.listeners, &self.notifier);
        self.supervision.start(&ctx).await?;
        self.board.add(Arc::new(self.supervision.clone()), ctx.metrics);
        self.note(Event::DaemonStarted);
        for part in Part::ALL.into_iter().filter(|part| self.wants(*part)).collect::<Vec<_>>() {
            self.board.starts(Some(part.name()));
            match self.start_part(part).await {
                Err(fault) if fault.kind == Kind::Config || !matches!(self.start, Start::Daemon { .. }) => {
                    return Err(fault);
                }
                Err(fault) => self.wait(part, Loss::not_started(&fault)),
                Ok(()) => {}
            }
        }
        self.listeners.retain(&self.addresses());
        self.open_health_door().await;
        self.board.starts(None);
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(())
    }

    /// Waits for signals and acts on them; returns when it is time to end. Meanwhile what is lost is started again, and
    /// the supervisor hears that we live.
    async fn attend(&mut self, signals: &mut Signals, supervisor: &Supervisor) {
        let heartbeat = supervisor.heartbeat().unwrap_or(clock::LONGEST_SLEEP);
        let (over, changed) = (Arc::clone(&self.over), Arc::clone(&self.changed));
        loop {
            let next = self.supervision.ledger().next_wake();
            let wait = next.map_or(heartbeat, |at| at.saturating_sub(clock::now().boot).min(heartbeat));
            let heard = tokio::select! {
                signalled = signals.next() => Heard::Signal(signalled),
                Some((part, why)) = self.lost.recv() => Heard::Lost(part, why),
                () = over.notified() => Heard::Over,
                () = tokio::time::sleep(wait) => Heard::Nothing,
            };
            match heard {
                Heard::Over | Heard::Signal(Signalled::End) => return,
                Heard::Signal(Signalled::LookAgain) => changed.notify_one(),
                Heard::Signal(Signalled::Reload) => {
                    supervisor.reloading();
                    if signals.meanwhile(supervisor, &changed, self.reload()).await.is_none() {
                        return;
                    }
                    supervisor.ready();
                }
                Heard::Lost(part, why) => self.lose(part, why),
                Heard::Nothing => supervisor.alive(),
            }
            if signals.meanwhile(supervisor, &changed, self.start_what_is_due()).await.is_none() {
                return;
            }
        }
    }

    /// Takes down what is left of a part that broke.
    fn lose(&mut self, part: Part, why: String) {
        // What was replaced in the meantime is nobody's loss.
        if !self.running.get(&part).is_some_and(Tasks::is_broken) {
            return;
        }
        if let Some(group) = self.running.remove(&part) {
            self.end_later(group);
        }
        match part {
            // The broker goes on answering from memory.
            Part::Credentials => {}
            Part::StatusPage => self.board.serves_page(None),
            _ => self.board.remove(part.name()),
        }
        self.wait(part, Loss::broke(why));
    }

    /// Tries `part` again, after a while.
    fn wait(&self, part: Part, loss: Loss) {
        let (why, wire) = (loss.why.clone(), &self.world.wire);
        let wait = self.supervision.lost(part, wire.now(), loss, wire.entropy());
        error!(job = part.name(), why, again_in = %bowline_base::units::duration(wait), "a job is lost; the others go on");
    }

    async fn start_what_is_due(&mut self) {
        let due = self.supervision.ledger().due(self.world.wire.now());
        for part in due {
            for group in self.leaving.iter().filter(|group| group.is_broken()) {
                group.shut_down(LETTING_GO).await;
            }
            match self.start_part(part).await {
                Ok(()) => info!(job = part.name(), "the job runs again"),
                Err(fault) => self.wait(part, Loss::not_started(&fault)),
            }
        }
    }

    /// Starts `part` as the configuration has it now. A panic on the way is its failure, not ours.
    async fn start_part(&mut self, part: Part) -> Result<(), Fault> {
        match unless_it_panics(self.start_as_configured(part)).await {
            Ok(outcome) => outcome,
            Err(why) => Err(Fault::new(Kind::Bug, part.name(), format!("starting it panicked: {why}"))),
        }
    }

    /// Ends every job; answers under way may finish for as long as SIGTERM's promise allows.
    pub(crate) async fn stop(mut self) {
        info!("ending");
        self.note(Event::DaemonStopped);
        // The log last of the parts: what the others have to say at their end is written down.
        let log = self.running.remove(&Part::Audit);
        let parts = self.running.into_values().chain(log).chain([self.tasks]);
        let groups: Vec<Tasks> = parts.chain(self.leaving).chain(self.starting).collect();
        groups.iter().for_each(Tasks::begin_shutdown);
        let ends = async {
            for group in &groups {
                group.shut_down(DRAIN).await;
            }
        };
        tokio::time::timeout(DRAIN, ends).await.ok();
        info!("ended");
    }

    /// Writes down what became of the daemon; `bowline serve` is none.
    fn note(&self, event: Event) {
        if let (Some(witness), Start::Daemon { .. }) = (self.broker.witness(), &self.start) {
            // Of an outage of the log the witness tells itself.
            witness.note(self.world.wire.now(), Record::new(event)).ok();
        }
    }

    /// Every address that the configuration wants now.
    fn addresses(&self) -> Vec<Address> {
        let artifacts =
            self.config.artifacts.iter().flat_map(|section| section.listen.iter().copied().map(Address::Tcp));
        let socket = self.world.environment.socket();
        let endpoint = self.config.endpoint.iter().flat_map(EndpointSection::addresses);
        let vpn = self.config.vpn.iter().flat_map(|section| [Some(section.api), section.proxy]).flatten();
        artifacts
            .chain(endpoint)
            .chain(vpn.map(Address::Tcp))
            .chain([Address::Tcp(self.config.daemon.listen), Address::Unix(socket), self.health_door()])
            .collect()
    }
}

/// Only the daemon speaks to people: what runs in the foreground has one before it.
fn notifier(world: &World, config: &Config, start: &Start, tasks: &Tasks) -> Result<Notifier, Fault> {
    if !matches!(start, Start::Daemon { .. }) {
        return Ok(Notifier::default());
    }
    let channels = notify::channels(world, &config.notify)?;
    if let Some(Err(fault)) = channels.webhook.as_ref().map(bowline_host::notify::Webhook::check) {
        warn!(reason = %fault.chain(), "messages to the webhook wait until there is a secret to sign them with");
    }
    let place = world.environment.state_directory().join("notify.json");
    Ok(Notifier::start(Arc::clone(&world.wire), tasks, place, channels))
}

fn ctx(world: &World, tasks: &Tasks, listeners: &Listeners, notifier: &Notifier) -> Ctx {
    Ctx {
        wire: Arc::clone(&world.wire),
        tasks: tasks.clone(),
        listeners: listeners.clone(),
        metrics: Metrics::default(),
        notifier: notifier.clone(),
    }
}

fn settings(world: &World, config: &Config, start: &Start, grants: &Grants, witness: Option<Witness>) -> Settings {
    let socket = match start {
        Start::Daemon { .. } => Some(world.environment.socket()),
        Start::ArtifactsAlone | Start::EndpointAlone | Start::GatewayAlone | Start::VpnAlone { .. } => None,
    };
    let notice = LoginNotice::new(world.environment.login_notice());
    let notice = if socket.is_some() { notice.afresh() } else { notice };
    let (setup, profiles) = (world.setup.clone(), config.daemon.keep_fresh.clone());
    Settings { setup, profiles, notice: Some(notice), socket, grants: grants.clone(), witness }
}
