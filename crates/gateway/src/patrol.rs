//! Round after round: the address is read, EC2 looked at, and what the plan says is done. Waits for nobody and tells
//! nobody; what a round came to is in its [`Round`].

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bowline_aws::{Aws, Error};
use bowline_base::{Fault, Identity, Now, wire::Wire};
use bowline_host::clock;

use crate::{
    account::{Account, Did, Look},
    address::{Disagreement, Heed, Reading, Watch, agree, ask},
    changes::{Change, Changes, News},
    config::Config,
    device,
    memory::Memory,
    observed::Gateway,
    outlook::{Outlook, Stand},
    plan::{Action, Site, Verdict, plan},
    rhythm::Pulse,
    window,
};

/// Goes its rounds. What it remembers may be lost at any moment.
pub struct Patrol {
    config: Config,
    aws: Aws,
    identity: Arc<dyn Identity>,
    street: Arc<dyn Wire>,
    watch: Watch,
    memory: Memory,
    changes: Changes,
    /// When the address was read last.
    read_at: Option<Duration>,
    /// In how many rounds in a row something failed.
    failures: u32,
}

/// What the providers said.
#[derive(Debug)]
pub struct Asked {
    /// One of each provider.
    pub readings: Vec<Reading>,
    /// What they come to.
    pub agreed: Result<Ipv4Addr, Disagreement>,
    /// What that came to.
    pub heed: Heed,
}

/// What would be done.
#[derive(Debug)]
pub struct Foreseen {
    /// What the providers said.
    pub asked: Asked,
    /// What EC2 shows.
    pub look: Look,
    /// How that stands, to the end.
    pub outlook: Outlook,
}

/// What a round came to.
#[derive(Debug)]
pub struct Round {
    /// When it began.
    pub at: Now,
    /// The providers' answers, where they were asked.
    pub asked: Option<Asked>,
    /// What was seen, or why nothing was.
    pub look: Result<Look, Error>,
    /// How things stood before anything was done; `None` where no connection is ours or nothing was seen.
    pub outlook: Option<Outlook>,
    /// What was done.
    pub done: Vec<Did>,
    /// What waits for the window.
    pub held: Vec<Action>,
    /// What is worth telling.
    pub news: Vec<News>,
    /// Whether there is an address to act on.
    pub address: Option<Ipv4Addr>,
    pub(crate) pulse: Pulse,
}

impl Asked {
    /// Two of them named different addresses.
    #[must_use]
    pub fn disagree(&self) -> bool {
        let mut said = self.readings.iter().filter_map(|reading| reading.answer.as_ref().ok());
        let first = said.next();
        said.any(|address| Some(address) != first)
    }
}

impl Round {
    /// Everything was seen, nothing is to be done, and nothing failed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.pulse, Pulse::Idle) && self.outlook.as_ref().is_some_and(Outlook::is_settled)
    }
}

impl Patrol {
    /// Looks after what `config` says, as `identity`. The address is asked for over `street`, which should use no proxy:
    /// it is the proxy's address that would be seen.
    #[must_use]
    pub fn new(config: Config, aws: Aws, identity: Arc<dyn Identity>, street: Arc<dyn Wire>) -> Self {
        Self {
            config,
            aws,
            identity,
            street,
            watch: Watch::default(),
            memory: Memory::default(),
            changes: Changes::default(),
            read_at: None,
            failures: 0,
        }
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is believed of the address.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The change that is under way.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        self.changes.open()
    }

    /// The last change that was brought to its end.
    #[must_use]
    pub fn last_change(&self) -> Option<&Change> {
        self.changes.last()
    }

    /// The next round reads the address, however young the last reading is.
    pub fn read_again(&mut self) {
        self.read_at = None;
    }

    /// How long to wait before the next round.
    #[must_use]
    pub fn wait(&self, round: &Round) -> Duration {
        self.config.rhythm().wait(round.pulse, self.street.entropy())
    }

    /// One round.
    pub async fn round(&mut self) -> Round {
        let at = self.aws.now();
        let asked = if self.is_reading_due(at.boot) { Some(self.read().await) } else { None };
        let look = self.look().await;
        let address = self.watch.address();
        let (outlook, done, held, news, pulse) = (None, Vec::new(), Vec::new(), Vec::new(), Pulse::Idle);
        let mut round = Round { at, asked, look, outlook, done, held, news, address, pulse };
        self.work(&mut round).await;
        round.pulse = self.pulse(&round);
        round
    }

    /// Reads once, looks, and does nothing: what would be done if that reading were believed.
    ///
    /// # Errors
    /// [`Error`] of the look.
    pub async fn foresee(&mut self) -> Result<Foreseen, Error> {
        let asked = self.read().await;
        let look = self.look().await?;
        let now = self.aws.now().boot;
        let site = look.selection.owner.clone().map(|owner| self.site(owner));
        let outlook = site.map(|site| {
            let address = asked.agreed.as_ref().ok().copied();
            Outlook::of(&look.observed, address, &Memory::default(), &site, now)
        });
        Ok(Foreseen { asked, look, outlook: outlook.unwrap_or_default() })
    }

    /// Looks, and does nothing.
    ///
    /// # Errors
    /// [`Error`] of one of the two calls.
    pub async fn look(&self) -> Result<Look, Error> {
        self.account().look(&self.config.managed, self.config.owner.as_deref()).await
    }

    /// Asks the providers, and takes note.
    async fn read(&mut self) -> Asked {
        let readings = ask(&*self.street, &self.config.providers, self.config.documentation).await;
        let agreed = agree(&readings);
        let now = self.aws.now().boot;
        let heed = self.watch.read(agreed.as_ref().ok().copied(), self.config.rules(), now);
        self.read_at = Some(now);
        Asked { readings, agreed, heed }
    }

    fn is_reading_due(&self, now: Duration) -> bool {
        let is_old = |at: Duration| now.saturating_sub(at) >= self.config.rhythm().freshness();
        self.watch.address().is_none() || self.read_at.is_none_or(is_old)
    }

    /// Plans and acts on what was seen.
    async fn work(&mut self, round: &mut Round) {
        let Ok(Look { observed, selection }) = &round.look else { return };
        let Some(owner) = selection.owner.clone() else { return };
        let site = self.site(owner);
        let now = self.aws.now();
        self.memory.looked(observed, &site, now.boot);
        let outlook = Outlook::of(observed, round.address, &self.memory, &site, now.boot);
        let actions = plan(observed, round.address, &self.memory, &site, now.boot);
        let is_closed = |window: window::Window| !window.is_open(clock::minute_of_day(now.wall));
        let (actions, held) = match self.config.window {
            Some(window) if is_closed(window) => window::split(actions, observed),
            _ => (actions, Vec::new()),
        };
        let unused: Vec<&Gateway> =
            observed.gateways.iter().filter(|gateway| outlook.orphans.contains(&gateway.id)).collect();
        self.changes.resume(round.address, &outlook, &unused, now);
        let account = Account { aws: &self.aws, region: &self.config.region, identity: &*self.identity };
        round.done = account.act_all(actions, &site, &mut self.memory).await;
        round.held = held;
        round.news = self.changes.observe(round.address, &outlook, &round.done, self.aws.now());
        round.outlook = Some(outlook);
    }

    fn site(&self, owner: String) -> Site {
        Site { owner, name: self.config.name.clone(), pace: self.config.pace() }
    }

    /// Brings the configuration of the site's device to what EC2 says of our connections, where there is one and all of
    /// them are where they belong. `None` where there is nothing to do.
    pub async fn configure_device(&self, outlook: &Outlook) -> Option<Result<device::Outcome, Fault>> {
        let file = self.config.device.as_ref()?;
        let is_settled = |stand: &Stand| stand.verdict.as_ref().is_some_and(Verdict::is_settled);
        if outlook.stands.is_empty() || !outlook.stands.iter().all(is_settled) {
            return None;
        }
        let ids: Vec<String> = outlook.stands.iter().map(|stand| stand.connection.id.clone()).collect();
        Some(file.bring(self.account(), &ids).await)
    }

    fn account(&self) -> Account<'_> {
        Account { aws: &self.aws, region: &self.config.region, identity: &*self.identity }
    }

    /// What a round means for the time of the next.
    fn pulse(&mut self, round: &Round) -> Pulse {
        let silent = round.asked.as_ref().is_some_and(|asked| asked.agreed.is_err());
        let refused = round.done.iter().any(|did| did.answer.is_err());
        if silent || round.look.is_err() || refused {
            self.failures = self.failures.saturating_add(1);
            return Pulse::Failed(self.failures);
        }
        self.failures = 0;
        if !round.done.is_empty() {
            return Pulse::Acted;
        }
        if round.asked.as_ref().is_some_and(|asked| matches!(asked.heed, Heed::Confirming(_))) {
            return Pulse::Confirming;
        }
        match &round.outlook {
            Some(outlook) => self.outlook_pulse(outlook, round),
            None => Pulse::Idle,
        }
    }

    fn outlook_pulse(&self, outlook: &Outlook, round: &Round) -> Pulse {
        let now = self.aws.now().boot;
        let later = outlook.stands.iter().filter_map(|stand| match stand.verdict {
            Some(Verdict::NotBefore(until)) => Some(until.saturating_sub(now)),
            _ => None,
        });
        let unsettled = |verdict: &Verdict| !verdict.is_settled() && !matches!(verdict, Verdict::NotBefore(_));
        let open = outlook.stands.iter().filter_map(|stand| stand.verdict.as_ref()).any(unsettled);
        match later.min() {
            _ if !round.held.is_empty() => Pulse::Idle,
            // The orphans of now are deleted when they were seen twice.
            _ if open || self.changes.is_open() || (round.address.is_some() && !outlook.orphans.is_empty()) => {
                Pulse::Unsettled
            }
            Some(time) => Pulse::Waiting(time),
            None => Pulse::Idle,
        }
    }
}
