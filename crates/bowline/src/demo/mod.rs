//! `bowline demo`: the whole product on an embedded AWS, with sessions of seconds, judged by the fake's own counts.
//!
//! It signs in, starts the daemon as `bowline run` would with every job on, builds against it, has each job show what it
//! does, checks the audit log at the end, and says what to try in a second terminal. Everything lives in one temporary
//! directory that is removed at the end.

mod delegation;
mod gateway;
mod load;
mod repository;
mod scene;
mod vpn;

use std::{
    pin::pin,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::{Fault, Kind, units};
use bowline_fakeaws::FakeAws;
use bowline_host::Tasks;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    gateway::Site,
    load::{Load, Tally},
    scene::Scene,
};
use crate::{
    cli::Demo,
    commands::audit::{places, verify_own},
    daemon::{Daemon, Start},
    environment::Environment,
    logging, output,
    world::daemon_runtime,
};

/// Shows everything at work; ends by itself after `--for`, else with Ctrl-C.
pub(crate) fn run(environment: &Environment, arguments: &Demo) -> Result<ExitCode, Fault> {
    logging::start(environment.var("LOG_LEVEL").or(Some("error")))?;
    let runtime = daemon_runtime()?;
    let outcome = runtime.block_on(perform(environment, arguments));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn perform(environment: &Environment, arguments: &Demo) -> Result<ExitCode, Fault> {
    let settings = scene::settings(arguments.sessions);
    let fake = FakeAws::start(settings.clone())
        .await
        .map_err(|cause| Fault::new(Kind::Refused, "demo", "cannot start the embedded AWS on loopback").cause(cause))?;
    let builds = Tasks::new();
    let site = Site::open(&builds, fake.cloud()).await?;
    let mut scene = Scene::set(environment, &fake, &settings, &site)?;
    output::say(&format!(
        "An AWS of its own listens on {}; its sessions last {}.",
        fake.endpoint(),
        units::duration(arguments.sessions)
    ));
    scene.sign_in().await?;
    let daemon = match start(&scene).await {
        Err(fault) if scene::is_taken(&fault) => {
            scene.move_elsewhere(&site)?;
            start(&scene).await?
        }
        started => started?,
    };
    output::say(&scene.invitation());
    let tally = Arc::new(Mutex::new(Tally::default()));
    let load = scene.load(&fake, Arc::clone(&tally))?;
    load.stock();
    builds.spawn_until_shutdown("builds", load.run());
    let watch = Watch { fake: &fake, tally: &tally, scene: &scene };
    let (time, acts) = watch.whole(&site, arguments.length).await;
    builds.shut_down(Duration::from_secs(5)).await;
    daemon.stop().await;
    Ok(watch.verdict(time, arguments, acts))
}

async fn start(scene: &Scene) -> Result<Daemon, Fault> {
    Daemon::start(scene.world()?, scene.config.clone(), Start::Daemon { file: None }).await
}

/// A job did not do what it was to show.
fn failed(why: String) -> Fault {
    Fault::new(Kind::Refused, "demo", why)
}

/// Looks at the counts while it runs, and judges at the end.
struct Watch<'a> {
    fake: &'a FakeAws,
    tally: &'a Mutex<Tally>,
    scene: &'a Scene,
}

impl Watch<'_> {
    /// Everything until `length` is over; what the jobs show may take longer on a slow machine and is waited for, within
    /// limits. Says how long it was, and whether every job showed what it was to show, as far as the user let it.
    async fn whole(&self, site: &Site, length: Duration) -> (Duration, bool) {
        let (mut acts, mut end) = (pin!(self.acts(site)), pin!(self.until_the_end(length)));
        let mut shown = None;
        let (time, ended_by_user) = loop {
            tokio::select! {
                all = acts.as_mut(), if shown.is_none() => shown = Some(all),
                over = end.as_mut() => break over,
            }
        };
        match shown {
            Some(all) => (time, all),
            None if ended_by_user => (time, true),
            None => (time, acts.await),
        }
    }

    /// Has every job show what it does, one after the other, and says it; whether all of them could.
    async fn acts(&self, site: &Site) -> bool {
        let (cloud, scene) = (self.fake.cloud(), self.scene);
        let mut all = self.told("gateway", site.act(cloud).await);
        all &= self.told("delegation", delegation::act(scene, cloud).await);
        all &= self.told("vpn", vpn::act(scene, scene.api, &scene.master_key).await);
        all
    }

    fn told(&self, job: &str, outcome: Result<String, Fault>) -> bool {
        if output::is_terminal() {
            output::live("");
        }
        match outcome {
            Ok(text) => {
                output::say(&format!("{job:10}  {text}."));
                true
            }
            Err(fault) => {
                output::say(&format!("{job:10}  FAILED: {}", fault.chain()));
                false
            }
        }
    }

    /// The daemon has ended: its log is whole, signed to its end, and every line follows from the one before.
    fn audit(&self) -> Result<String, Fault> {
        let places = places(&self.scene.environment, &self.scene.config.audit);
        let verdict = verify_own(&places)?;
        if let Some(bad) = &verdict.bad {
            return Err(failed(format!("{}:{} {}", bad.file, bad.line, bad.flaw)));
        }
        match (verdict.lines, verdict.signed_to) {
            (lines, Some(signed)) if lines > 0 => {
                Ok(format!("{lines} records of who got what; the chain holds, and it is signed to line {signed}"))
            }
            (lines, _) => Err(failed(format!("{lines} records, and no signature"))),
        }
    }

    /// Prints how it goes until `length` is over or the user ends it; says how long that was, and whether the user did.
    async fn until_the_end(&self, length: Duration) -> (Duration, bool) {
        let began = bowline_host::clock::now().boot;
        let (terminal, mut shown) = (output::is_terminal(), 0);
        let mut ended = pin!(ended_by_user());
        loop {
            let passed = bowline_host::clock::now().boot.saturating_sub(began);
            if passed >= length {
                break (passed, false);
            }
            if terminal {
                output::live(&self.line(passed));
            } else if passed.as_secs() / 5 > shown {
                shown = passed.as_secs() / 5;
                output::say(&self.line(passed));
            }
            tokio::select! {
                () = ended.as_mut() => break (passed, true),
                () = tokio::time::sleep(Duration::from_millis(250)) => {}
            }
        }
    }

    fn line(&self, passed: Duration) -> String {
        let tally = self.tally();
        format!(
            "{}: {} rotations, {} token refreshes, {} requests: {} hits, {} misses, {} failed",
            units::duration(passed),
            self.rotations(),
            self.fake.cloud().counts().sum("sso-oidc.CreateToken.refresh_token.ok"),
            tally.requests,
            tally.hits,
            tally.misses,
            tally.failures
        )
    }

    /// New role credentials after the first, as the fake counted them.
    fn rotations(&self) -> u64 {
        self.fake.cloud().counts().sum("sso.GetRoleCredentials.ok").saturating_sub(1)
    }

    fn verdict(&self, time: Duration, arguments: &Demo, acts: bool) -> ExitCode {
        let (tally, counts) = (self.tally(), self.fake.cloud().counts());
        let served = counts.sum("s3.GetObject.200");
        let refused = counts.sum("s3.GetObject.4") - counts.sum("s3.GetObject.404");
        if output::is_terminal() {
            output::live("");
        }
        output::say(&format!(
            "\nThe embedded AWS counted {served} objects served and {refused} requests with bad credentials."
        ));
        let audit = self.told("audit", self.audit());
        if let Some(why) = &tally.last_failure {
            output::say(&format!("The last failure: {why}"));
        }
        let rotated = time < arguments.sessions * 3 || self.rotations() >= 2;
        if !rotated {
            output::say("The sessions were not rotated as they should have been.");
        }
        let summary = format!("{}\n", self.line(time));
        let printed = output::data(&summary).is_ok();
        self.scene.clear();
        let good = acts && audit && tally.failures == 0 && tally.requests > 0 && rotated && printed;
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Resolves with Ctrl-C or SIGTERM: either way the temporary files are removed.
async fn ended_by_user() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

impl Scene {
    fn load(&self, fake: &FakeAws, tally: Arc<Mutex<Tally>>) -> Result<Load, Fault> {
        Ok(Load {
            wire: self.world()?.wire,
            cloud: Arc::clone(fake.cloud()),
            scenario: self.scenario.clone(),
            proxy: format!("http://{}", self.proxy),
            tally,
        })
    }
}
