//! The job: rounds, one after the other, in the daemon or by `bowline gateway run`; what they come to is logged, counted,
//! shown and told.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_aws::Aws;
use bowline_base::{BoxFuture, Fault, Identity, wire::Wire};
use bowline_host::{Check, Ctx, Job};
use serde_json::Value;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::{
    address::Heed,
    changes::{News, Phase},
    config::Config,
    device,
    metrics::Counts,
    patrol::{Patrol, Round},
    post::Post,
    standing::Standing,
};

/// What the job is handed by whoever wires it.
#[derive(Clone)]
pub struct Surroundings {
    /// The way to EC2.
    pub aws: Aws,
    /// Who signs.
    pub identity: Arc<dyn Identity>,
    /// The way to the providers of the address, without a proxy.
    pub street: Arc<dyn Wire>,
    /// Those who follow every step of a change.
    pub post: Post,
    /// Notified when the address may have changed: the next round does not wait for its time.
    pub changed: Arc<Notify>,
}

/// The gateway job.
pub struct Gateway {
    config: Config,
    surroundings: Surroundings,
    standing: Arc<Mutex<Standing>>,
}

/// Address events come in bursts, and before the network is whole.
const DEBOUNCE: Duration = Duration::from_secs(3);

impl Gateway {
    /// Looks after what `config` says.
    #[must_use]
    pub fn new(config: Config, surroundings: Surroundings) -> Self {
        Self { config, surroundings, standing: Arc::default() }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rounds(&self, ctx: &Ctx) -> Rounds {
        let Surroundings { aws, identity, street, post, changed } = self.surroundings.clone();
        let counts = Counts::default();
        counts.register(&ctx.metrics);
        Rounds {
            patrol: Patrol::new(self.config.clone(), aws, identity, street),
            wire: Arc::clone(&ctx.wire),
            post: Post { house: ctx.notifier.clone(), ..post },
            changed,
            counts,
            standing: Arc::clone(&self.standing),
            told: Told::default(),
        }
    }
}

impl Job for Gateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        let mut rounds = self.rounds(ctx);
        info!(region = %self.config.region, interval = %bowline_base::units::duration(self.config.interval), "the gateway is looked after");
        ctx.tasks.spawn_until_shutdown("gateway", async move {
            loop {
                rounds.next().await;
            }
        });
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> Value {
        self.standing().status()
    }

    fn checks(&self) -> Vec<Check> {
        self.standing().checks(self.surroundings.aws.now())
    }
}

/// What goes on in the background.
struct Rounds {
    patrol: Patrol,
    wire: Arc<dyn Wire>,
    post: Post,
    changed: Arc<Notify>,
    counts: Counts,
    standing: Arc<Mutex<Standing>>,
    told: Told,
}

impl Rounds {
    /// One round, and the wait for the next.
    async fn next(&mut self) {
        let round = self.patrol.round().await;
        self.told.round(&round);
        self.counts.round(&round);
        let owner = self.note(&round);
        for news in &round.news {
            self.post.tell(&owner, news);
        }
        self.configure_device(&round).await;
        let matters = self.standing().matters(round.at);
        for (subject, trouble) in matters {
            self.post.matter(subject, trouble);
        }
        self.say_that_all_is_well(&round).await;
        let wait = self.patrol.wait(&round);
        debug!(wait = %bowline_base::units::duration(wait), "the next round");
        tokio::select! {
            () = self.wire.sleep(wait) => {}
            () = self.changed.notified() => {
                info!("the address may have changed; looking soon");
                self.wire.sleep(DEBOUNCE.min(wait)).await;
                self.patrol.read_again();
            }
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the round into the status and the metrics; gives the owner.
    fn note(&self, round: &Round) -> String {
        let mut standing = self.standing();
        standing.take(round, &self.patrol);
        if let Some((address, since)) = standing.address() {
            self.counts.address(address, since.wall.as_second());
        }
        let done = round.news.iter().filter(|news| news.phase == Phase::Done);
        done.for_each(|news| self.counts.change(round.at.wall.as_second(), news.change.modified.values().copied()));
        standing.owner().unwrap_or_default().to_owned()
    }

    async fn configure_device(&mut self, round: &Round) {
        let Some(outlook) = &round.outlook else { return };
        if let Some(outcome) = self.patrol.configure_device(outlook).await {
            self.told.device(&outcome);
            self.counts.device(&outcome);
            self.standing().device(&outcome, round.at);
        }
    }

    async fn say_that_all_is_well(&self, round: &Round) {
        let Some(check) = self.patrol.config().healthcheck.as_ref().filter(|_| round.is_settled()) else { return };
        if let Err(why) = check.ping(&*self.wire).await {
            warn!(why, "the healthcheck was not told");
        }
    }
}

/// What stands in the log already: one line for one thing, however often it is met.
#[derive(Debug, Default)]
pub(crate) struct Told {
    blind: Option<String>,
    silence: Option<String>,
    missing: Option<String>,
    verdicts: Vec<String>,
    held: Vec<String>,
    device: Option<String>,
}

impl Told {
    /// Logs what is new in a round.
    pub(crate) fn round(&mut self, round: &Round) {
        self.address(round);
        let blind = round.look.as_ref().err().map(ToString::to_string);
        if let Some(why) = new(&mut self.blind, blind) {
            warn!(why, "EC2 cannot be looked at; nothing is done");
        }
        let missing =
            round.look.as_ref().ok().and_then(|look| look.selection.missing.as_ref()).map(ToString::to_string);
        if let Some(why) = new(&mut self.missing, missing) {
            warn!("{why}");
        }
        self.connections(round);
        for did in &round.done {
            match &did.answer {
                Ok(()) => info!("{}", did.action),
                Err(error) => warn!(%error, "cannot {}", did.action),
            }
        }
        for news in &round.news {
            step(news);
        }
    }

    /// Logs what became of the device's configuration.
    pub(crate) fn device(&mut self, outcome: &Result<device::Outcome, Fault>) {
        match outcome {
            Ok(device::Outcome::Written) => info!("the device's configuration is written"),
            Ok(device::Outcome::Woken) => info!("the device is told of its configuration"),
            Ok(device::Outcome::Same) | Err(_) => {}
        }
        let failure = outcome.as_ref().err().map(Fault::chain);
        if let Some(why) = new(&mut self.device, failure) {
            warn!("{why}");
        }
    }

    fn address(&mut self, round: &Round) {
        let Some(asked) = &round.asked else { return };
        let silence = asked.agreed.as_ref().err().map(ToString::to_string);
        if let Some(why) = new(&mut self.silence, silence) {
            warn!("{why}; nothing is done");
        }
        match asked.heed {
            Heed::Changed { from: None, to } => info!(address = %to, "the site's address"),
            Heed::Changed { from: Some(from), to } => {
                info!(address = %to, before = %from, "the site's address has changed");
            }
            Heed::Confirming(address) => info!(%address, "an address that is not believed yet; asking again"),
            Heed::Same | Heed::Held(..) | Heed::NoAnswer => {}
        }
    }

    fn connections(&mut self, round: &Round) {
        let Some(outlook) = &round.outlook else { return };
        let verdicts = outlook
            .stands
            .iter()
            .filter_map(|stand| Some(format!("{} {}", stand.connection.id, stand.verdict.as_ref()?)));
        let verdicts: Vec<String> = verdicts.collect();
        for verdict in verdicts.iter().filter(|verdict| !self.verdicts.contains(verdict)) {
            info!("{verdict}");
        }
        self.verdicts = verdicts;
        let held: Vec<String> = round.held.iter().map(ToString::to_string).collect();
        for action in held.iter().filter(|action| !self.held.contains(action)) {
            info!("{action}: waits for the window");
        }
        self.held = held;
    }
}

fn step(news: &News) {
    if news.phase == Phase::Done {
        let took = news.change.took.map(bowline_base::units::duration);
        info!(address = %news.change.to, took, "the change is done");
        for gateway in &news.change.kept {
            info!(
                "{gateway} was not made by bowline and is kept; `bowline gateway adopt` takes over what was made by hand"
            );
        }
    }
}

/// `now` where it is something and is not what stood there before.
fn new(known: &mut Option<String>, now: Option<String>) -> Option<String> {
    if *known == now {
        return None;
    }
    known.clone_from(&now);
    now
}
