//! The daemon: starts what the configuration switches on, reloads it, ends it.
//!
//! What a changed file means is decided in `reload`; this module acts. The broker lives as long as the process, so a
//! reload never loses credentials; sockets whose address stays are never closed.

mod artifacts;
mod audit;
pub(crate) mod board;
pub(crate) mod confinement;
pub(crate) mod endpoint;
pub(crate) mod gateway;
pub(crate) mod notify;
mod process_metrics;
mod reload;
mod signals;
pub(crate) mod status_page;
pub(crate) mod vpn;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bowline_audit::{AuditLog, Event, Record};
use bowline_base::Fault;
use bowline_credentials::{Broker, Settings, Witness, grant::Grants};
use bowline_host::{
    Address, Ctx, Job as _, Listeners, Notifier, Tasks, clock, metrics::Metrics, notice::LoginNotice,
    supervisor::Supervisor,
};
use tokio::sync::Notify;
use tracing::{error, info, warn};

pub(crate) use self::signals::{Signalled, Signals};
use self::{board::Board, reload::Step};
use crate::{
    config::{ArtifactsSection, AuditSection, Config, EndpointSection, GatewaySection, VpnSection},
    world::{World, daemon_runtime},
};

/// SIGTERM promises an end within 5 s.
const DRAIN: Duration = Duration::from_millis(4500);
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

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(world: World, config: Config, start: Start) -> Result<(), Fault> {
    bowline_host::process::raise_file_limit();
    let runtime = daemon_runtime()?;
    let outcome = runtime.block_on(async {
        // Before anything is started: a SIGTERM that comes early ends it in the same orderly way.
        let mut signals = Signals::listen()?;
        let supervisor = world.environment.supervisor();
        let mut daemon = Daemon::start(world, config, start).await?;
        supervisor.ready();
        daemon.attend(&mut signals, &supervisor).await;
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
    audit: Option<Tasks>,
    artifacts: Option<Tasks>,
    endpoint: Option<Tasks>,
    vpn: Option<Tasks>,
    /// Told when a part has done what it was started for.
    over: Arc<Notify>,
    gateway: Option<Tasks>,
    /// Notified when the site's address may have changed.
    changed: Arc<Notify>,
    grants: Grants,
    notifier: Notifier,
    status_page: Option<Tasks>,
    /// What a reload has replaced and what still finishes its answers.
    leaving: Vec<Tasks>,
}

impl Daemon {
    /// Starts everything that `config` switches on; when a part cannot start, nothing stays.
    pub(crate) async fn start(world: World, config: Config, start: Start) -> Result<Self, Fault> {
        let listeners = Listeners::inherited(world.environment.inherited_sockets())?;
        let (tasks, board) = (Tasks::new(), Board::default());
        let notifier = notifier(&world, &config, &start, &tasks)?;
        let ctx = ctx(&world, &tasks, &listeners, &notifier);
        let witness = audit::witness(&world, &config.audit, &start);
        let grants = Grants::new(endpoint::grants(&config.grants, config.audit.duty())?);
        let broker = Broker::start(&ctx, settings(&world, &config, &start, &grants, witness.clone())).await?;
        board.add(Arc::new(broker.clone()), ctx.metrics);
        let mut daemon = Self {
            world,
            config,
            start,
            tasks,
            listeners,
            board,
            broker,
            audit: None,
            artifacts: None,
            endpoint: None,
            vpn: None,
            over: Arc::default(),
            gateway: None,
            changed: Arc::default(),
            grants,
            notifier,
            status_page: None,
            leaving: Vec::new(),
        };
        if let Some(witness) = witness {
            daemon.note(Event::DaemonStarted);
            let section = daemon.config.audit.clone();
            daemon.start_audit(witness.log(), &section).await?;
        }
        if let Some(section) = daemon.config.artifacts.clone() {
            daemon.start_artifacts(&section).await?;
        }
        if let Some(section) = daemon.config.endpoint.clone() {
            daemon.start_endpoint(&section).await?;
        }
        if let Some(section) = daemon.config.vpn.clone() {
            daemon.start_vpn(&section).await?;
        }
        if let Some(section) = daemon.config.gateway.clone() {
            daemon.start_gateway(&section).await?;
        }
        // Last: whoever asks it whether we are ready finds everything listening.
        if matches!(daemon.start, Start::Daemon { .. } | Start::VpnAlone { status: true }) {
            daemon.serve_status_page().await?;
        }
        daemon.listeners.retain(&daemon.addresses());
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(daemon)
    }

    /// Waits for signals and acts on them; returns when it is time to end. Meanwhile the supervisor hears that we live.
    async fn attend(&mut self, signals: &mut Signals, supervisor: &Supervisor) {
        let heartbeat = supervisor.heartbeat().unwrap_or(clock::LONGEST_SLEEP);
        let over = Arc::clone(&self.over);
        loop {
            let signalled = tokio::select! {
                signalled = tokio::time::timeout(heartbeat, signals.next()) => signalled,
                () = over.notified() => Ok(Signalled::End),
            };
            match signalled {
                Err(_) => supervisor.alive(),
                Ok(Signalled::End) => return,
                Ok(Signalled::LookAgain) => self.changed.notify_one(),
                Ok(Signalled::Reload) => {
                    supervisor.reloading();
                    self.reload().await;
                    supervisor.ready();
                }
            }
        }
    }

    /// Ends every job; answers under way may finish for as long as SIGTERM's promise allows.
    pub(crate) async fn stop(self) {
        info!("ending");
        self.note(Event::DaemonStopped);
        // The VPN before the log: what it has to say at its end is written down.
        let parts =
            [self.status_page, self.artifacts, self.endpoint, self.gateway, self.vpn, self.audit, Some(self.tasks)];
        let groups: Vec<Tasks> = parts.into_iter().flatten().chain(self.leaving).collect();
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

    async fn reload(&mut self) {
        let Start::Daemon { file: Some(file) } = &self.start else {
            warn!("nothing is read again: there is no configuration file, or this is `artifacts serve`");
            return;
        };
        let new = match confinement::reload(&self.world, file) {
            Ok(new) => new,
            Err(fault) => {
                error!(reason = %fault.message, fix = fault.hint, "the configuration cannot be used; nothing is changed");
                return;
            }
        };
        let steps = reload::steps(&self.config, &new);
        info!(changes = steps.len(), "the configuration was read again");
        for step in steps {
            if let Err(fault) = self.take(&step, &new).await {
                error!(?step, reason = %fault.chain(), "this part of the new configuration cannot be used; the old one goes on");
            }
        }
        self.listeners.retain(&self.addresses());
    }

    async fn take(&mut self, step: &Step, new: &Config) -> Result<(), Fault> {
        match step {
            Step::MoveStatusPage => self.move_status_page(new.daemon.listen).await,
            Step::KeepFresh => {
                self.config.daemon.keep_fresh.clone_from(&new.daemon.keep_fresh);
                for profile in &self.config.daemon.keep_fresh {
                    drop(self.broker.identity(profile));
                }
                Ok(())
            }
            Step::NeedsRestart(section) => {
                warn!(section, "this section is read at the start only; restart to use the new values");
                Ok(())
            }
            Step::Audit => self.replace_audit(&new.audit).await,
            Step::StopArtifacts => {
                let old = self.artifacts.take();
                self.config.artifacts = None;
                self.retire("artifacts", old);
                Ok(())
            }
            Step::StartArtifacts => match &new.artifacts {
                Some(section) => self.start_artifacts(section).await,
                None => Ok(()),
            },
            Step::Notify => {
                self.notifier.replace(notify::channels(&self.world, &new.notify)?);
                self.config.notify.clone_from(&new.notify);
                Ok(())
            }
            Step::Grants => {
                self.grants.replace(endpoint::grants(&new.grants, self.config.audit.duty())?);
                self.config.grants.clone_from(&new.grants);
                self.broker.open_socket()
            }
            Step::StopGateway => {
                let old = self.gateway.take();
                self.config.gateway = None;
                self.retire("gateway", old);
                Ok(())
            }
            Step::StartGateway => match &new.gateway {
                Some(section) => self.start_gateway(section).await,
                None => Ok(()),
            },
            Step::StopVpn | Step::StartVpn => self.replace_vpn(new.vpn.as_ref()).await,
            Step::StopEndpoint => {
                let old = self.endpoint.take();
                self.config.endpoint = None;
                self.retire("endpoint", old);
                Ok(())
            }
            Step::StartEndpoint => match &new.endpoint {
                Some(section) => self.start_endpoint(section).await,
                None => Ok(()),
            },
        }
    }

    async fn move_status_page(&mut self, to: SocketAddr) -> Result<(), Fault> {
        let old = std::mem::replace(&mut self.config.daemon.listen, to);
        let moved = self.serve_status_page().await;
        if moved.is_err() {
            self.config.daemon.listen = old;
        }
        moved
    }

    async fn serve_status_page(&mut self) -> Result<(), Fault> {
        let listener = self.listeners.listen(&Address::Tcp(self.config.daemon.listen)).await?;
        info!(address = %self.config.daemon.listen, "the status page is served");
        let tasks = Tasks::new();
        status_page::serve(&tasks, listener, self.board.clone());
        if let Some(old) = self.status_page.replace(tasks) {
            self.end_later(old);
        }
        Ok(())
    }

    async fn start_audit(&mut self, log: AuditLog, section: &AuditSection) -> Result<(), Fault> {
        let job = Arc::new(audit::job(&self.world, &self.broker, log, section)?);
        let tasks = Tasks::new();
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        job.start(&ctx).await?;
        let old = self.audit.replace(tasks);
        self.hand_over(old);
        self.board.add(job, ctx.metrics);
        self.config.audit = section.clone();
        Ok(())
    }

    /// The old log is signed and sent to its end in the background; no record is lost on the way.
    async fn replace_audit(&mut self, section: &AuditSection) -> Result<(), Fault> {
        let Some(witness) = self.broker.witness().cloned() else { return Ok(()) };
        let log = audit::log(&self.world, section, &self.start);
        // What it cannot be started with is found before anything is replaced.
        audit::job(&self.world, &self.broker, log.clone(), section)?;
        audit::hand_over(&witness, self.world.wire.now(), log.clone(), section)?;
        self.start_audit(log, section).await
    }

    async fn start_artifacts(&mut self, section: &ArtifactsSection) -> Result<(), Fault> {
        let job = Arc::new(artifacts::job(&self.world, &self.broker, section)?);
        let tasks = Tasks::new();
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        job.start(&ctx).await?;
        let old = self.artifacts.replace(tasks);
        self.hand_over(old);
        self.board.add(job, ctx.metrics);
        self.config.artifacts = Some(section.clone());
        Ok(())
    }

    async fn start_endpoint(&mut self, section: &EndpointSection) -> Result<(), Fault> {
        let job = endpoint::job(&self.world, &self.broker, section, &self.grants)?;
        let tasks = Tasks::new();
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        job.start(&ctx).await?;
        if matches!(self.start, Start::EndpointAlone) {
            endpoint::announce(&job, section)?;
        }
        let old = self.endpoint.replace(tasks);
        self.hand_over(old);
        self.board.add(Arc::new(job), ctx.metrics);
        self.config.endpoint = Some(section.clone());
        Ok(())
    }

    async fn start_vpn(&mut self, section: &VpnSection) -> Result<(), Fault> {
        let job = Arc::new(vpn::job(&self.world, &self.broker, section, self.broker.witness().cloned())?);
        let tasks = Tasks::new();
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        job.start(&ctx).await?;
        if let (Some(time), Some(server)) = (section.stop_when_idle, job.server()) {
            let over = Arc::clone(&self.over);
            tasks.spawn_until_shutdown("vpn-idle", async move {
                server.idle_for(time).await;
                info!(idle = %bowline_base::units::duration(time), "nobody used the VPN for so long: it ends itself");
                over.notify_one();
            });
        }
        self.vpn = Some(tasks);
        self.board.add(job, ctx.metrics);
        self.config.vpn = Some(section.clone());
        Ok(())
    }

    /// The old one gives its UDP port back first. What the new one cannot be started with is looked for before that, and
    /// if it does not start all the same, the old one is started again.
    async fn replace_vpn(&mut self, section: Option<&VpnSection>) -> Result<(), Fault> {
        let Some(section) = section else {
            self.config.vpn = None;
            self.end_vpn().await;
            return Ok(());
        };
        drop(vpn::job(&self.world, &self.broker, section, self.broker.witness().cloned())?);
        let old = self.config.vpn.take();
        self.end_vpn().await;
        let started = self.start_vpn(section).await;
        if let (Err(_), Some(old)) = (&started, old) {
            self.start_vpn(&old).await?;
        }
        started
    }

    /// Waits for its end: nothing of it is left then, its tunnel included.
    async fn end_vpn(&mut self) {
        self.board.remove("vpn");
        if let Some(old) = self.vpn.take() {
            old.begin_shutdown();
            old.shut_down(DRAIN).await;
        }
    }

    async fn start_gateway(&mut self, section: &GatewaySection) -> Result<(), Fault> {
        let tasks = Tasks::new();
        let job = Arc::new(gateway::job(&self.world, &self.broker, section, &tasks, &self.changed)?);
        if let Err(error) = bowline_host::interfaces::watch(&tasks, Arc::clone(&self.changed)) {
            info!(%error, "no address events on this machine; the address is looked at from time to time");
        }
        // Not two at a time: what the old one has begun is seen by the new one, a little later.
        let old = self.gateway.replace(tasks.clone());
        self.hand_over(old);
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        job.start(&ctx).await?;
        self.board.add(job, ctx.metrics);
        self.config.gateway = Some(section.clone());
        Ok(())
    }

    /// Ends the part called `name`, which has no successor.
    fn retire(&mut self, name: &str, old: Option<Tasks>) {
        self.hand_over(old);
        self.board.remove(name);
    }

    /// What `old` was is served by its successor, if any; it finishes its answers in the background.
    fn hand_over(&mut self, old: Option<Tasks>) {
        if let Some(old) = old {
            self.end_later(old);
        }
    }

    fn end_later(&mut self, old: Tasks) {
        old.begin_shutdown();
        self.leaving.retain(|group| !group.is_empty());
        self.leaving.push(old);
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
            .chain([Address::Tcp(self.config.daemon.listen), Address::Unix(socket)])
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
