//! Starts each part from its section, in place of the one before it.

use std::sync::Arc;

use bowline_audit::AuditLog;
use bowline_base::{Fault, Kind, units};
use bowline_host::{Address, Job, Tasks};
use tracing::info;

use super::{
    DRAIN, Daemon, LONGEST_START, Start, artifacts, audit, ctx, endpoint, gateway, status_page,
    supervision::{Loss, Part},
    vpn,
};
use crate::config::{ArtifactsSection, AuditSection, Config, EndpointSection, GatewaySection, VpnSection};

impl Daemon {
    /// Whether the configuration, and the way we were started, switch `part` on.
    pub(super) fn wants(&self, part: Part) -> bool {
        match part {
            Part::Credentials => true,
            Part::Audit => self.broker.witness().is_some(),
            Part::Artifacts => self.config.artifacts.is_some(),
            Part::Endpoint => self.config.endpoint.is_some(),
            Part::Vpn => self.config.vpn.is_some(),
            Part::Gateway => self.config.gateway.is_some(),
            Part::StatusPage => self.start.has_status_page(),
        }
    }

    /// Starts `part` with the section that is in force; nothing happens where there is none.
    pub(super) async fn start_as_configured(&mut self, part: Part) -> Result<(), Fault> {
        let config = self.config.clone();
        self.start_with(&config, part).await
    }

    /// Starts `part` with its section of `config`; nothing happens where there is none.
    pub(super) async fn start_with(&mut self, config: &Config, part: Part) -> Result<(), Fault> {
        match part {
            Part::Credentials => self.start_credentials().await,
            Part::StatusPage => self.serve_status_page().await,
            Part::Audit => {
                let Some(witness) = self.broker.witness().cloned() else { return Ok(()) };
                self.start_audit(witness.log(), &config.audit).await
            }
            Part::Artifacts => {
                let Some(section) = &config.artifacts else { return Ok(()) };
                self.start_artifacts(section).await
            }
            Part::Endpoint => {
                let Some(section) = &config.endpoint else { return Ok(()) };
                self.start_endpoint(section).await
            }
            Part::Vpn => {
                let Some(section) = &config.vpn else { return Ok(()) };
                self.start_vpn(section).await
            }
            Part::Gateway => {
                let Some(section) = &config.gateway else { return Ok(()) };
                self.start_gateway(section).await
            }
        }
    }

    /// The broker is the same for as long as the process lives; what renews ahead and answers commands is started anew.
    async fn start_credentials(&mut self) -> Result<(), Fault> {
        let tasks = Tasks::new();
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        Job::start(&self.broker, &ctx).await?;
        self.runs(Part::Credentials, tasks);
        Ok(())
    }

    pub(super) async fn serve_status_page(&mut self) -> Result<(), Fault> {
        let listener = self.listeners.listen(&Address::Tcp(self.config.daemon.listen)).await?;
        info!(address = %self.config.daemon.listen, "the status page is served");
        let tasks = Tasks::new();
        self.board.serves_page(listener.local_addr());
        status_page::serve(&tasks, listener, self.board.clone());
        self.runs(Part::StatusPage, tasks);
        Ok(())
    }

    async fn start_audit(&mut self, log: AuditLog, section: &AuditSection) -> Result<(), Fault> {
        let job = Arc::new(audit::job(&self.world, &self.broker, log, section)?);
        self.start_job(Part::Audit, job, Tasks::new()).await?;
        self.config.audit = section.clone();
        Ok(())
    }

    /// The old log is signed and sent to its end in the background; no record is lost on the way.
    pub(super) async fn replace_audit(&mut self, section: &AuditSection) -> Result<(), Fault> {
        let Some(witness) = self.broker.witness().cloned() else { return Ok(()) };
        let log = audit::log(&self.world, section, &self.start);
        // What it cannot be started with is found before anything is replaced.
        audit::job(&self.world, &self.broker, log.clone(), section)?;
        audit::hand_over(&witness, self.world.wire.now(), log.clone(), section)?;
        self.start_audit(log, section).await
    }

    async fn start_artifacts(&mut self, section: &ArtifactsSection) -> Result<(), Fault> {
        let job = Arc::new(artifacts::job(&self.world, &self.broker, section)?);
        self.start_job(Part::Artifacts, job, Tasks::new()).await?;
        // The one door that an operator may open to the VPN's users.
        self.listeners.offer(section.listen.iter().copied().map(Address::Tcp));
        self.config.artifacts = Some(section.clone());
        Ok(())
    }

    async fn start_endpoint(&mut self, section: &EndpointSection) -> Result<(), Fault> {
        let job = Arc::new(endpoint::job(&self.world, &self.broker, section, &self.grants)?);
        let again = self.supervision.ledger().was_lost(Part::Endpoint);
        self.start_job(Part::Endpoint, Arc::clone(&job) as Arc<dyn Job>, Tasks::new()).await?;
        if matches!(self.start, Start::EndpointAlone) && !again {
            endpoint::announce(&job, section)?;
        }
        self.config.endpoint = Some(section.clone());
        Ok(())
    }

    async fn start_vpn(&mut self, section: &VpnSection) -> Result<(), Fault> {
        let job = self.vpn_of(section)?;
        self.start_vpn_job(job, section).await
    }

    fn vpn_of(&self, section: &VpnSection) -> Result<Arc<vpn::VpnJob>, Fault> {
        vpn::job(&self.world, &self.broker, section, self.broker.witness().cloned()).map(Arc::new)
    }

    async fn start_vpn_job(&mut self, job: Arc<vpn::VpnJob>, section: &VpnSection) -> Result<(), Fault> {
        let tasks = Tasks::new();
        self.start_job(Part::Vpn, Arc::clone(&job) as Arc<dyn Job>, tasks.clone()).await?;
        if let (Some(time), Some(server)) = (section.stop_when_idle, job.server()) {
            let over = Arc::clone(&self.over);
            tasks.spawn_until_shutdown("vpn-idle", async move {
                server.idle_for(time).await;
                info!(idle = %units::duration(time), "nobody used the VPN for so long: it ends itself");
                over.notify_one();
            });
        }
        self.config.vpn = Some(section.clone());
        Ok(())
    }

    /// The old one gives its UDP port back first. What the new one cannot be started with is looked for before that, and
    /// if it does not start all the same, the old one is started again.
    pub(super) async fn replace_vpn(&mut self, section: Option<&VpnSection>) -> Result<(), Fault> {
        let Some(section) = section else {
            self.config.vpn = None;
            self.end_vpn().await;
            self.supervision.stopped(Part::Vpn);
            return Ok(());
        };
        let job = self.vpn_of(section)?;
        let old = self.config.vpn.take();
        self.end_vpn().await;
        let started = self.start_vpn_job(job, section).await;
        if let (Err(_), Some(old)) = (&started, old) {
            // Lost if it does not come back: then it is tried again, as it was.
            self.config.vpn = Some(old.clone());
            if let Err(fault) = self.start_vpn(&old).await {
                self.wait(Part::Vpn, Loss::not_started(&fault));
            }
        }
        started
    }

    /// Waits for its end: nothing of it is left then, its tunnel included.
    async fn end_vpn(&mut self) {
        self.board.remove(Part::Vpn.name());
        if let Some(old) = self.running.remove(&Part::Vpn) {
            // Where it is time to end meanwhile, its end is waited for there.
            self.end_later(old.clone());
            old.shut_down(DRAIN).await;
        }
    }

    async fn start_gateway(&mut self, section: &GatewaySection) -> Result<(), Fault> {
        let tasks = Tasks::new();
        let job = Arc::new(gateway::job(&self.world, &self.broker, section, &tasks, &self.changed)?);
        // Not two at a time: what the old one has begun is seen by the new one, a little later.
        if let Some(old) = self.running.remove(&Part::Gateway) {
            self.end_later(old);
        }
        self.start_job(Part::Gateway, job, tasks).await?;
        self.config.gateway = Some(section.clone());
        Ok(())
    }

    async fn start_job(&mut self, part: Part, job: Arc<dyn Job>, tasks: Tasks) -> Result<(), Fault> {
        let ctx = ctx(&self.world, &tasks, &self.listeners, &self.notifier);
        // One whose start broke off is still there.
        if let Some(former) = self.starting.replace(tasks.clone()) {
            self.end_later(former);
        }
        let started = tokio::time::timeout(LONGEST_START, job.start(&ctx)).await;
        self.starting = None;
        if let Err(fault) = started.unwrap_or_else(|_| Err(too_slow(part))) {
            // What it had begun goes with it.
            self.end_later(tasks);
            return Err(fault);
        }
        self.runs(part, tasks);
        self.board.add(job, ctx.metrics);
        Ok(())
    }

    /// `tasks` are the part's from now on, and are watched; what was before them finishes its answers in the background.
    fn runs(&mut self, part: Part, tasks: Tasks) {
        let (broken, ending, losses) = (tasks.broken(), tasks.shutting_down(), self.losses.clone());
        self.tasks.spawn_until_shutdown("watch", async move {
            tokio::select! {
                why = broken => drop(losses.send((part, why))),
                () = ending => {}
            }
        });
        self.supervision.started(part, self.world.wire.now());
        if let Some(old) = self.running.insert(part, tasks) {
            self.end_later(old);
        }
    }

    /// Ends `part`, which has no successor.
    pub(super) fn retire(&mut self, part: Part) {
        if let Some(old) = self.running.remove(&part) {
            self.end_later(old);
        }
        if part == Part::Artifacts {
            self.listeners.offer([]);
        }
        self.supervision.stopped(part);
        self.board.remove(part.name());
    }

    pub(super) fn end_later(&mut self, old: Tasks) {
        old.begin_shutdown();
        self.leaving.retain(|group| !group.is_empty());
        self.leaving.push(old);
    }
}

fn too_slow(part: Part) -> Fault {
    let limit = units::duration(LONGEST_START);
    Fault::new(Kind::Unreachable, part.name(), format!("it had not started after {limit}"))
        .hint("see what it waits for: bowline doctor")
}
