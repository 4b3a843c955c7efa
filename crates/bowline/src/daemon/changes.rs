//! A configuration that is read again: takes the steps that `reload` decides.

use std::net::SocketAddr;

use bowline_base::{Fault, Kind};
use tracing::{error, info, warn};

use super::{
    Daemon, Start, confinement, endpoint, notify, reload,
    reload::Step,
    supervision::{Loss, Part},
};
use crate::{
    commands::check,
    config::{Config, clashes},
};

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
        // What wants an address that another job is about to leave comes after that.
        let mut later = Vec::new();
        for step in steps {
            match self.clash(&step, &new) {
                None => self.take_or_tell(&step, &new).await,
                Some(_) => later.push(step),
            }
        }
        for step in later {
            self.take_or_tell(&step, &new).await;
        }
        self.listeners.retain(&self.addresses());
    }

    async fn take_or_tell(&mut self, step: &Step, new: &Config) {
        let ran = matches!(step, Step::Start(part) if self.running.contains_key(part));
        let taken = match self.clash(step, new) {
            None => self.take(step, new).await,
            // A job that could not leave, or two that exchange their addresses: neither may answer for the other.
            Some(clash) => Err(Fault::new(Kind::Config, "daemon", clash)),
        };
        if let Err(fault) = taken {
            self.not_taken(step, new, ran, &fault);
        }
    }

    /// Why `step` alone would have two jobs on one address.
    fn clash(&self, step: &Step, new: &Config) -> Option<String> {
        let mut mixed = self.config.clone();
        match step {
            Step::Start(part) => adopt(&mut mixed, *part, new),
            Step::MoveStatusPage => mixed.daemon.listen = new.daemon.listen,
            _ => return None,
        }
        clashes(&mixed, self.start.has_status_page()).into_iter().next().map(|(_, clash)| clash)
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
                adopt(&mut self.config, part, new);
                return self.wait(part, Loss::not_started(fault));
            }
        };
        error!(?step, reason, "this part of the new configuration cannot be used; {what_goes_on}");
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

/// The section of `part` as it is in `new` is what is in force in `config`.
fn adopt(config: &mut Config, part: Part, new: &Config) {
    match part {
        Part::Artifacts => config.artifacts.clone_from(&new.artifacts),
        Part::Endpoint => config.endpoint.clone_from(&new.endpoint),
        Part::Vpn => config.vpn.clone_from(&new.vpn),
        Part::Gateway => config.gateway.clone_from(&new.gateway),
        Part::StatusPage | Part::Credentials | Part::Audit => {}
    }
}
