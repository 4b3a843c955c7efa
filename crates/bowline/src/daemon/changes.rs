//! A configuration that is read again: takes the steps that `reload` decides.

use std::net::SocketAddr;

use bowline_base::{Fault, Kind};
use tracing::{error, info, warn};

use super::{
    Daemon, Start, confinement, endpoint, notify, reload,
    reload::Step,
    supervision::{Loss, Part},
};
use crate::{commands::check, config::Config};

impl Daemon {
    pub(super) async fn reload(&mut self) {
        let Start::Daemon { file: Some(file) } = &self.start else {
            warn!("nothing is read again: there is no configuration file, or this is `artifacts serve`");
            return;
        };
        let read = confinement::reload(&self.world, file);
        // What `bowline check` refuses and `bowline run` would end with.
        let new = match read.and_then(|new| check::at_start(&self.world, file, &new).map(|()| new)) {
            Ok(new) => new,
            Err(fault) => {
                error!(reason = %fault.message, fix = fault.hint, "the configuration cannot be used; nothing is changed");
                return;
            }
        };
        let steps = reload::steps(&self.config, &new);
        info!(changes = steps.len(), "the configuration was read again");
        for step in steps {
            let ran = matches!(&step, Step::Start(part) if self.running.contains_key(part));
            if let Err(fault) = self.take(&step, &new).await {
                self.not_taken(&step, &new, ran, &fault);
            }
        }
        self.listeners.retain(&self.addresses());
    }

    async fn take(&mut self, step: &Step, new: &Config) -> Result<(), Fault> {
        match step {
            Step::MoveStatusPage => self.move_status_page(new.daemon.listen).await,
            Step::KeepFresh => {
                self.config.daemon.keep_fresh.clone_from(&new.daemon.keep_fresh);
                self.broker.keep_fresh(&self.config.daemon.keep_fresh);
                Ok(())
            }
            Step::NeedsRestart(section) => {
                warn!(section, "this section is read at the start only; restart to use the new values");
                Ok(())
            }
            Step::Audit => self.replace_audit(&new.audit).await,
            Step::Stop(Part::Vpn) | Step::Start(Part::Vpn) => self.replace_vpn(new.vpn.as_ref()).await,
            Step::Start(part) => self.start_with(new, *part).await,
            Step::Stop(part) => {
                self.switch_off(*part);
                Ok(())
            }
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
        }
    }

    /// What cannot start yet is tried again, as at the start. What the configuration itself forbids never would.
    fn not_taken(&mut self, step: &Step, new: &Config, ran: bool, fault: &Fault) {
        let reason = fault.chain();
        let Step::Start(part) = *step else {
            error!(?step, reason, "this part of the new configuration cannot be used; the old one goes on");
            return;
        };
        // The VPN looks after its old one itself, also where that does not come back at once.
        let old_vpn = part == Part::Vpn && self.config.vpn.is_some();
        let what_goes_on = match (ran, self.running.contains_key(&part)) {
            (_, true) => "the old one goes on",
            _ if old_vpn => "the old one is tried again",
            (false, false) if fault.kind == Kind::Config => "nothing is started",
            _ => {
                // Of the old one nothing is left: neither does it answer questions about itself.
                self.board.remove(part.name());
                self.adopt(part, new);
                return self.wait(part, Loss::not_started(fault));
            }
        };
        error!(?step, reason, "this part of the new configuration cannot be used; {what_goes_on}");
    }

    /// The section of `part` as it is now is what is in force.
    fn adopt(&mut self, part: Part, new: &Config) {
        match part {
            Part::Artifacts => self.config.artifacts.clone_from(&new.artifacts),
            Part::Endpoint => self.config.endpoint.clone_from(&new.endpoint),
            Part::Vpn => self.config.vpn.clone_from(&new.vpn),
            Part::Gateway => self.config.gateway.clone_from(&new.gateway),
            Part::StatusPage | Part::Credentials | Part::Audit => {}
        }
    }

    /// Ends `part`, whose section is gone.
    fn switch_off(&mut self, part: Part) {
        match part {
            Part::Artifacts => self.config.artifacts = None,
            Part::Endpoint => self.config.endpoint = None,
            Part::Gateway => self.config.gateway = None,
            Part::Vpn => self.config.vpn = None,
            Part::StatusPage | Part::Credentials | Part::Audit => {}
        }
        self.retire(part);
    }

    async fn move_status_page(&mut self, to: SocketAddr) -> Result<(), Fault> {
        let old = std::mem::replace(&mut self.config.daemon.listen, to);
        let moved = self.serve_status_page().await;
        if moved.is_err() {
            self.config.daemon.listen = old;
        }
        moved
    }
}
