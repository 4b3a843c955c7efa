//! The pure broker: decides what is fetched when, and what is left alone. It holds no secret and calls nobody.
//!
//! Three verbs: [`Machine::handle`] takes what happened, [`Machine::poll`] gives what to do, [`Machine::next_wake`]
//! says when to look again and why. Intervals are measured with the boot clock, which counts suspend; ends are
//! compared with the wall clock; a lease is due when either clock says so.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use bowline_base::{KeyId, Kind, Now, Retry, Timestamp};

use crate::renewal::{self, Lease, Rule};

/// What is kept fresh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The credentials of a profile.
    Profile(String),
    /// The access token of an SSO session, named as in its cache.
    Session(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(name) => write!(f, "profile `{name}`"),
            Self::Session(name) => write!(f, "sso-session `{name}`"),
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// One more wishes that it is kept fresh from now on, whether or not anybody asks.
    Want(Name),
    /// One of those who wished it has let go.
    Unwant(Name),
    /// It is not wanted any more.
    Forget(Name),
    /// It is made of something else now: what is held is worth nothing.
    Replaced(Name),
    /// Somebody wants it now.
    Ask(Name),
    /// AWS refused this key.
    Rejected(Name, KeyId),
    /// The fetch brought this.
    Obtained(Name, Lease),
    /// The fetch failed.
    Failed(Name, Kind, Retry),
    /// Files that sources read have changed: what was refused may work now.
    FilesChanged,
    /// Time has passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Fetch it; any set but one with the key `not` will do.
    Fetch {
        /// What.
        name: Name,
        /// The key that is due or was refused.
        not: Option<KeyId>,
    },
    /// How it stands has changed; said once per change.
    Became {
        /// What.
        name: Name,
        /// How it stands now.
        health: Health,
    },
    /// Nobody has wished it or asked for it for long: there is no trace of it here any more.
    Forgotten {
        /// What.
        name: Name,
    },
}

/// How the last try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was tried yet.
    New,
    /// It worked.
    Good,
    /// It failed like this.
    Failing(Kind),
}

/// Why the machine wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A lease is due.
    Due(Name),
    /// A failed try is repeated.
    Retry(Name),
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    /// With how much left SSO tokens are renewed at the latest.
    token_window: Duration,
    entries: BTreeMap<Name, Entry>,
    outputs: VecDeque<Output>,
    /// Boot time of the last event: what nobody wanted then is not woken for.
    seen: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new(renewal::TOKEN_WINDOW)
    }
}

impl Machine {
    /// A machine that knows nothing yet and renews SSO tokens with `token_window` (or half of their life) left.
    #[must_use]
    pub fn new(token_window: Duration) -> Self {
        Self { token_window, entries: BTreeMap::new(), outputs: VecDeque::new(), seen: Duration::ZERO }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.seen = self.seen.max(now.boot);
        match input {
            Input::Want(name) => self.entry(name).wishes += 1,
            // May come at the end of the process, where no fetch must begin any more.
            Input::Unwant(name) => return self.let_go(now, &name),
            Input::Forget(name) => drop(self.entries.remove(&name)),
            Input::Replaced(name) => self.entry(name).replace(),
            Input::Ask(name) => self.entry(name).ask(now),
            Input::Rejected(name, key) => self.entry(name).reject(now, key),
            Input::Obtained(name, lease) => self.obtained(now, name, lease),
            Input::Failed(name, kind, retry) => self.failed(now, name, kind, retry),
            Input::FilesChanged => self.entries.values_mut().for_each(Entry::forgive),
            Input::Tick => {}
        }
        self.start_what_is_due(now);
        self.forget_what_nobody_wants(now);
    }

    /// What to do next; empty when nothing is to be done before the next event.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When (boot clock) to send a [`Input::Tick`] at the latest, and why.
    #[must_use]
    pub fn next_wake(&self) -> Option<(Duration, Reason)> {
        self.entries
            .iter()
            .filter_map(|(name, entry)| entry.wake(name, self.seen))
            .min_by_key(|(deadline, _)| *deadline)
    }

    /// How the last try went.
    #[must_use]
    pub fn health(&self, name: &Name) -> Health {
        self.entries.get(name).map_or(Health::New, |entry| entry.health)
    }

    /// Whether it is kept fresh although nobody asks.
    #[must_use]
    pub fn is_standing(&self, name: &Name) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.wishes > 0)
    }

    /// Whether a fetch of it is on its way.
    #[must_use]
    pub fn is_fetching(&self, name: &Name) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.fetching)
    }

    /// What may be served at `now`: never an ended set.
    #[must_use]
    pub fn serving(&self, name: &Name, now: Timestamp) -> Option<&Lease> {
        let held = self.entries.get(name)?.held.as_ref()?;
        held.lease.usable_at(now).then_some(&held.lease)
    }

    /// Everything known, in order, with when it is renewed or tried next (boot clock).
    pub fn names(&self) -> impl Iterator<Item = (&Name, Health, Option<Duration>)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name, entry.health, entry.wake(name, self.seen).map(|(deadline, _)| deadline)))
    }

    fn entry(&mut self, name: Name) -> &mut Entry {
        let rule = match &name {
            Name::Profile(_) => Rule::Credentials,
            Name::Session(_) => Rule::SsoToken(self.token_window),
        };
        self.entries.entry(name).or_insert_with(|| Entry::new(rule))
    }

    fn let_go(&mut self, now: Now, name: &Name) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.wishes = entry.wishes.saturating_sub(1);
        }
        self.forget_what_nobody_wants(now);
    }

    /// What is on its way is waited for.
    fn forget_what_nobody_wants(&mut self, now: Now) {
        let gone = |entry: &Entry| !entry.fetching && !entry.is_wanted_at(now.boot);
        for (name, _) in self.entries.extract_if(.., |_, entry| gone(entry)) {
            self.outputs.push_back(Output::Forgotten { name });
        }
    }

    fn obtained(&mut self, now: Now, name: Name, lease: Lease) {
        if !lease.usable_at(now.wall) {
            return self.failed(now, name, Kind::Config, Retry::After(renewal::SHORTEST_GAP));
        }
        let Some(entry) = self.entries.get_mut(&name) else { return };
        entry.hold(now, lease);
        entry.fetching = false;
        entry.trouble = None;
        self.became(name, Health::Good);
    }

    fn failed(&mut self, now: Now, name: Name, kind: Kind, retry: Retry) {
        let Some(entry) = self.entries.get_mut(&name) else { return };
        entry.fetching = false;
        let attempts = entry.trouble.as_ref().map_or(0, |trouble| trouble.attempts).saturating_add(1);
        entry.trouble = Some(Trouble { attempts, retry, until: now.boot + entry.wait(now, kind, retry, attempts) });
        self.became(name, Health::Failing(kind));
    }

    fn became(&mut self, name: Name, health: Health) {
        let entry = self.entry(name.clone());
        if entry.health != health {
            entry.health = health;
            self.outputs.push_back(Output::Became { name, health });
        }
    }

    fn start_what_is_due(&mut self, now: Now) {
        for (name, entry) in &mut self.entries {
            if entry.is_due(now) {
                entry.fetching = true;
                entry.asked_anew = false;
                entry.last_try = Some(now.boot);
                let not = entry.held.as_ref().map(|held| held.lease.key.clone());
                self.outputs.push_back(Output::Fetch { name: name.clone(), not });
            }
        }
    }
}

/// What was asked for by somebody, and not by a job, is kept fresh for this long or two lives after it was last asked for.
const KEPT_FOR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Entry {
    rule: Rule,
    /// How many wish that it is kept fresh.
    wishes: usize,
    /// When it was last asked for while nobody wished it.
    asked: Option<Duration>,
    /// Somebody asked and has nothing usable; cleared when a try begins.
    asked_anew: bool,
    held: Option<Held>,
    fetching: bool,
    last_try: Option<Duration>,
    trouble: Option<Trouble>,
    health: Health,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    due_boot: Option<Duration>,
    due_wall: Option<Timestamp>,
    /// Between two tries: a tenth of the life, but no more than half of what was left when it came.
    gap: Duration,
    rejected: bool,
}

#[derive(Debug)]
struct Trouble {
    attempts: u32,
    retry: Retry,
    /// Before this nothing is tried, whoever asks.
    until: Duration,
}

impl Entry {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            wishes: 0,
            asked: None,
            asked_anew: false,
            held: None,
            fetching: false,
            last_try: None,
            trouble: None,
            health: Health::New,
        }
    }

    fn ask(&mut self, now: Now) {
        self.note_question(now);
        let usable = self.held.as_ref().is_some_and(|held| held.lease.usable_at(now.wall));
        let too_early = self.trouble.as_ref().is_some_and(|trouble| now.boot < trouble.until);
        self.asked_anew |= !usable && !too_early;
    }

    /// The questions of a job end with its wish.
    fn note_question(&mut self, now: Now) {
        if self.wishes == 0 {
            self.asked = Some(now.boot);
        }
    }

    fn reject(&mut self, now: Now, key: KeyId) {
        self.note_question(now);
        let too_early = self.trouble.as_ref().is_some_and(|trouble| now.boot < trouble.until);
        if let Some(held) = self.held.as_mut().filter(|held| held.lease.key == key) {
            held.rejected = true;
            self.asked_anew |= !too_early;
        }
    }

    fn hold(&mut self, now: Now, lease: Lease) {
        let due_wall = lease.due_at(self.rule);
        let due_boot = due_wall.map(|due| {
            let ahead = due.duration_since(now.wall).try_into().unwrap_or(Duration::ZERO);
            now.boot + ahead
        });
        let mut held = Held { lease, due_boot, due_wall, gap: Duration::ZERO, rejected: false };
        held.gap = held.lease.least_gap().min(held.left(now) / 2).max(renewal::SHORTEST_GAP);
        self.held = Some(held);
        self.asked_anew = false;
    }

    fn replace(&mut self) {
        self.held = None;
        self.trouble = None;
        self.asked_anew = true;
    }

    /// Whatever was refused may be tried again at once: the ground has changed.
    fn forgive(&mut self) {
        if self.trouble.take().is_some() {
            self.asked_anew = true;
        }
    }

    /// How long after a failure nothing is tried.
    fn wait(&self, now: Now, kind: Kind, retry: Retry, attempts: u32) -> Duration {
        let usable = self.held.as_ref().filter(|held| held.lease.usable_at(now.wall) && !held.rejected);
        let asked_for = match retry {
            Retry::After(time) => time,
            Retry::Never => Duration::ZERO,
        };
        let ahead = usable.map_or(Duration::ZERO, |held| held.lease.least_gap().min(held.left(now) / 2));
        renewal::back_off(kind, attempts).max(asked_for).max(ahead)
    }

    fn is_due(&self, now: Now) -> bool {
        if self.fetching || !self.is_wanted_at(now.boot) {
            return false;
        }
        let wall_says_so = self.trouble.is_none()
            && self.held.as_ref().is_some_and(|held| held.due_wall.is_some_and(|due| now.wall >= due))
            && self.gap_is_over(now.boot);
        wall_says_so || self.deadline().is_some_and(|(deadline, _)| now.boot >= deadline)
    }

    fn wake(&self, name: &Name, seen: Duration) -> Option<(Duration, Reason)> {
        let (deadline, retry) = self.deadline().filter(|_| !self.fetching)?;
        let reason = if retry { Reason::Retry(name.clone()) } else { Reason::Due(name.clone()) };
        self.is_wanted_at(deadline.max(seen)).then_some((deadline, reason))
    }

    /// When the next try begins, and whether it follows a failure. `None`: only an event can bring one.
    fn deadline(&self) -> Option<(Duration, bool)> {
        if let Some(trouble) = &self.trouble {
            let by_itself = matches!(trouble.retry, Retry::After(_));
            return (by_itself || self.asked_anew).then_some((trouble.until, true));
        }
        let last = self.last_try.unwrap_or(Duration::ZERO);
        let Some(held) = &self.held else { return Some((Duration::ZERO, false)) };
        if held.rejected {
            return Some((last + held.lease.rejection_gap(), false));
        }
        if self.asked_anew {
            return Some((last + renewal::SHORTEST_GAP, false));
        }
        held.due_boot.map(|due| (due.max(last + held.gap), false))
    }

    fn gap_is_over(&self, boot: Duration) -> bool {
        let Some((held, last)) = self.held.as_ref().zip(self.last_try) else { return true };
        boot >= last + held.gap
    }

    fn is_wanted_at(&self, boot: Duration) -> bool {
        let kept =
            self.held.as_ref().and_then(|held| held.lease.life()).map_or(KEPT_FOR, |life| KEPT_FOR.max(2 * life));
        self.wishes > 0 || self.asked.is_some_and(|asked| boot <= asked + kept)
    }
}

impl Held {
    fn left(&self, now: Now) -> Duration {
        let end = self.lease.expires_at.unwrap_or(Timestamp::MAX);
        end.duration_since(now.wall).try_into().unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests;
