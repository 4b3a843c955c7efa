//! Which jobs run, which one was lost and when it is started again: a ledger that takes `now`, and what is shown of it.
//!
//! A job that is lost waits a second, then two, four, … at most a minute, each time a little less by chance, so that the
//! daemons of a fleet do not all come back at once. Ten good minutes and the next loss counts as the first.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_base::{BoxFuture, Fault, Now, backoff::unit, utc, wire::Wire};
use bowline_host::{
    Check, Ctx, Job, Verdict,
    metrics::{Counter, Family, Gauge, Metrics},
};
use serde_json::{Value, json};

/// What can be lost alone and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// First: whoever asks it finds it alive from the beginning, and ready when everything listens.
    StatusPage,
    Credentials,
    Audit,
    Artifacts,
    Endpoint,
    Vpn,
    Gateway,
}

impl Part {
    /// In the order in which they are started.
    pub(crate) const ALL: [Self; 7] =
        [Self::StatusPage, Self::Credentials, Self::Audit, Self::Artifacts, Self::Endpoint, Self::Vpn, Self::Gateway];

    /// The name of its job.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Audit => "audit",
            Self::Artifacts => "artifacts",
            Self::Endpoint => "endpoint",
            Self::Vpn => "vpn",
            Self::Gateway => "gateway",
            Self::StatusPage => "status-page",
        }
    }
}

/// The first wait, the longest one, and how long a job has to run well for its losses to be forgotten.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const WELL: Duration = Duration::from_secs(600);

/// Why a part was lost, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) why: String,
    pub(crate) fix: Option<String>,
}

impl Loss {
    /// A part that broke while it ran.
    pub(crate) fn broke(why: String) -> Self {
        Self { why, fix: Some("look at the log, and report it: bowline doctor --bundle FILE.tar.gz".to_owned()) }
    }

    /// A part that could not be started.
    pub(crate) fn not_started(fault: &Fault) -> Self {
        Self { why: fault.chain(), fix: fault.hint.clone() }
    }
}

/// One part.
#[derive(Clone, Debug)]
struct Line {
    state: State,
    /// Losses in a row.
    row: u32,
    /// Starts after a loss, since the daemon began.
    restarts: u64,
    last: Option<(Now, Loss)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running {
        since: Now,
    },
    /// Boot time of the next try, and the same for people.
    Waiting {
        until: Duration,
        at: Now,
    },
}

/// Every part that is switched on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(BTreeMap<Part, Line>);

impl Ledger {
    /// `part` is up. Says whether it had been lost.
    pub(crate) fn started(&mut self, part: Part, now: Now) -> bool {
        let line = self.line(part, now);
        let again = matches!(line.state, State::Waiting { .. });
        line.restarts += u64::from(again);
        line.state = State::Running { since: now };
        again
    }

    /// `part` is lost, or did not come up. Says how long it waits before the next try.
    pub(crate) fn lost(&mut self, part: Part, now: Now, loss: Loss, entropy: u64) -> Duration {
        let line = self.line(part, now);
        let ran = match line.state {
            State::Running { since } => now.boot.saturating_sub(since.boot),
            State::Waiting { .. } => Duration::ZERO,
        };
        line.row = if ran >= WELL { 1 } else { line.row + 1 };
        let whole = FIRST.saturating_mul(2_u32.saturating_pow(line.row - 1)).min(LONGEST);
        let wait = whole.mul_f64(1.0 - unit(entropy) / 4.0);
        line.state = State::Waiting { until: now.boot + wait, at: now.after(wait) };
        line.last = Some((now, loss));
        wait
    }

    /// `part` was switched off.
    pub(crate) fn stopped(&mut self, part: Part) {
        self.0.remove(&part);
    }

    /// The parts whose time has come.
    pub(crate) fn due(&self, now: Now) -> Vec<Part> {
        let due = |line: &Line| matches!(line.state, State::Waiting { until, .. } if until <= now.boot);
        self.0.iter().filter(|(_, line)| due(line)).map(|(part, _)| *part).collect()
    }

    /// Boot time of the next try.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let wake = |line: &Line| match line.state {
            State::Waiting { until, .. } => Some(until),
            State::Running { .. } => None,
        };
        self.0.values().filter_map(wake).min()
    }

    /// Whether it was ever lost.
    pub(crate) fn was_lost(&self, part: Part) -> bool {
        self.0.get(&part).is_some_and(|line| line.last.is_some())
    }

    fn line(&mut self, part: Part, now: Now) -> &mut Line {
        let new = Line { state: State::Running { since: now }, row: 0, restarts: 0, last: None };
        self.0.entry(part).or_insert(new)
    }

    fn checks(&self, now: Now) -> Vec<Check> {
        let check = |(part, line): (&Part, &Line)| {
            let (at, loss) = line.last.as_ref()?;
            let id = format!("{}.running", part.name());
            match line.state {
                State::Waiting { at, .. } => {
                    let why = format!("it does not run: {}; it is started again at {}", loss.why, utc(at.wall));
                    Some(Check { id, verdict: Verdict::Failed, why, fix: loss.fix.clone() })
                }
                State::Running { since } if now.boot.saturating_sub(since.boot) < WELL => {
                    let why = format!("it was lost at {} and runs again: {}", utc(at.wall), loss.why);
                    Some(Check { id, verdict: Verdict::Degraded, why, fix: loss.fix.clone() })
                }
                State::Running { .. } => None,
            }
        };
        self.0.iter().filter_map(check).collect()
    }

    fn status(&self) -> Value {
        let line = |(part, line): (&Part, &Line)| {
            let (state, since, next) = match line.state {
                State::Running { since } => ("running", Some(utc(since.wall)), None),
                State::Waiting { at, .. } => ("waiting", None, Some(utc(at.wall))),
            };
            let last = line.last.as_ref().map(|(at, loss)| json!({ "at": utc(at.wall), "why": loss.why }));
            let body = json!({
                "state": state, "since": since, "next_start": next, "restarts": line.restarts, "last_failure": last,
            });
            (part.name().to_owned(), body)
        };
        Value::Object(self.0.iter().map(line).collect())
    }
}

/// The ledger where everybody sees it: status, readiness, metrics. Clones share it.
#[derive(Clone)]
pub(crate) struct Supervision {
    clock: Arc<dyn Wire>,
    ledger: Arc<Mutex<Ledger>>,
    restarts: Family<Vec<(&'static str, String)>, Counter>,
    up: Family<Vec<(&'static str, String)>, Gauge>,
}

impl Supervision {
    /// Of nothing yet; `clock` says for how long a loss has been over.
    pub(crate) fn new(clock: Arc<dyn Wire>) -> Self {
        Self { clock, ledger: Arc::default(), restarts: Family::default(), up: Family::default() }
    }

    /// Makes its numbers visible.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register("job_restarts", "Starts of a job after it was lost", self.restarts.clone());
        metrics.register("job_up", "Whether the job runs", self.up.clone());
    }

    /// See [`Ledger::started`].
    pub(crate) fn started(&self, part: Part, now: Now) {
        let (again, label) = (self.ledger().started(part, now), label(part));
        self.restarts.get_or_create(&label).inc_by(u64::from(again));
        self.up.get_or_create(&label).set(1);
    }

    /// See [`Ledger::lost`].
    pub(crate) fn lost(&self, part: Part, now: Now, loss: Loss, entropy: u64) -> Duration {
        self.up.get_or_create(&label(part)).set(0);
        self.ledger().lost(part, now, loss, entropy)
    }

    /// See [`Ledger::stopped`].
    pub(crate) fn stopped(&self, part: Part) {
        self.up.remove(&label(part));
        self.ledger().stopped(part);
    }

    /// The ledger, for questions.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for Supervision {
    fn name(&self) -> &'static str {
        "supervision"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        self.register(&ctx.metrics);
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> Value {
        self.ledger().status()
    }

    fn checks(&self) -> Vec<Check> {
        self.ledger().checks(self.clock.now())
    }
}

fn label(part: Part) -> Vec<(&'static str, String)> {
    vec![("job", part.name().to_owned())]
}

#[cfg(test)]
mod tests {
    use bowline_base::Timestamp;

    use super::*;

    fn at(seconds: u64) -> Now {
        let wall = Timestamp::from_second(1_800_000_000).unwrap();
        Now { boot: Duration::ZERO, wall }.after(Duration::from_secs(seconds))
    }

    fn loss() -> Loss {
        Loss::broke("`loop` panicked: on purpose".to_owned())
    }

    #[test]
    fn waits_double_to_a_minute_and_a_good_run_forgets() {
        let mut ledger = Ledger::default();
        ledger.started(Part::Vpn, at(0));
        let mut now = at(10);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = ledger.lost(Part::Vpn, now, loss(), 0);
            waits.push(wait.as_secs());
            now = now.after(wait);
            assert_eq!(ledger.due(now), [Part::Vpn]);
            ledger.started(Part::Vpn, now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(ledger.lost(Part::Vpn, now.after(WELL), loss(), 0), FIRST);
    }

    #[test]
    fn chance_only_shortens_a_wait_and_by_a_quarter_at_most() {
        let wait = |entropy| Ledger::default().lost(Part::Audit, at(0), loss(), entropy);
        assert_eq!(wait(0), FIRST);
        assert!(wait(u64::MAX) >= FIRST.mul_f64(0.75) && wait(u64::MAX) < FIRST);
    }

    #[test]
    fn a_lost_job_is_failed_then_degraded_for_a_while_then_forgotten() {
        let mut ledger = Ledger::default();
        ledger.started(Part::Artifacts, at(0));
        ledger.started(Part::Gateway, at(0));
        assert!(ledger.checks(at(1)).is_empty() && ledger.next_wake().is_none());
        ledger.lost(Part::Artifacts, at(5), loss(), 0);
        let checks = ledger.checks(at(5));
        assert_eq!((checks.len(), checks[0].id.as_str(), checks[0].verdict), (1, "artifacts.running", Verdict::Failed));
        assert!(ledger.due(at(5)).is_empty() && ledger.next_wake() == Some(at(6).boot));
        ledger.started(Part::Artifacts, at(6));
        assert_eq!(ledger.checks(at(7))[0].verdict, Verdict::Degraded);
        assert!(ledger.checks(at(6).after(WELL)).is_empty());
        let status = ledger.status();
        assert_eq!((&status["artifacts"]["restarts"], &status["gateway"]["restarts"]), (&1.into(), &0.into()));
        assert_eq!(status["artifacts"]["last_failure"]["why"], "`loop` panicked: on purpose");
    }

    #[test]
    fn what_is_switched_off_is_not_started_again() {
        let mut ledger = Ledger::default();
        ledger.lost(Part::Gateway, at(0), loss(), 0);
        ledger.stopped(Part::Gateway);
        assert!(ledger.due(at(100)).is_empty() && ledger.checks(at(100)).is_empty());
    }
}
