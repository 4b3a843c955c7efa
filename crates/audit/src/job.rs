//! The log inside the daemon: a checkpoint within a second of every record, lines on their way to AWS, and the end of old
//! files.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::{BoxFuture, Fault, Now, wire::Wire};
use bowline_host::{Check, Ctx, Job, Tasks, Verdict, clock::LONGEST_SLEEP};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{
    log::AuditLog,
    retention::Steady,
    sink::cloudwatch::{Destination, Shipper, sent},
};

/// Half of what is promised, so that a slow disk does not break the promise.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(500);
const BETWEEN_SHIPMENTS: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What the last shipment may take when the daemon ends; the rest is sent after the next start.
const LAST_SHIPMENT: Duration = Duration::from_secs(2);
/// How often it is looked for files that are too old.
const BETWEEN_ENDS: Duration = Duration::from_secs(3600);

/// Signs, ships and ends what is old until shutdown.
pub struct AuditJob {
    log: AuditLog,
    destination: Option<Destination>,
    /// How long lines are kept at least; without it for ever.
    keep: Option<Duration>,
    /// Why the last shipment failed.
    trouble: Arc<Mutex<Option<Fault>>>,
}

impl AuditJob {
    /// Looks after `log`, and sends it to `destination` where there is one.
    #[must_use]
    pub fn new(log: AuditLog, destination: Option<Destination>) -> Self {
        Self { log, destination, keep: None, trouble: Arc::default() }
    }

    /// The same, and files whose lines are all older than `keep` are ended.
    #[must_use]
    pub fn keeping(self, keep: Option<Duration>) -> Self {
        Self { keep, ..self }
    }
}

impl Job for AuditJob {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.log.tally().register(&ctx.metrics);
            ctx.tasks.spawn("audit checkpoints", sign(self.log.clone(), Arc::clone(&ctx.wire), ctx.tasks.clone()));
            if let Some(destination) = &self.destination {
                let shipper = Shipper::new(self.log.places().clone(), destination.clone());
                let (wire, trouble) = (Arc::clone(&ctx.wire), Arc::clone(&self.trouble));
                ctx.tasks.spawn("audit shipments", ship(self.log.clone(), shipper, wire, trouble, ctx.tasks.clone()));
            }
            if let Some(keep) = self.keep {
                let stream = self.destination.as_ref().map(|to| to.stream.clone());
                let sent = move |log: &AuditLog| stream.as_ref().map(|stream| sent(log.places(), stream));
                let (log, wire) = (self.log.clone(), Arc::clone(&ctx.wire));
                ctx.tasks.spawn("audit retention", end_old_files(log, keep, sent, wire, ctx.tasks.clone()));
            }
            Ok(())
        })
    }

    fn status(&self) -> Value {
        let stream = self.destination.as_ref().map(|to| json!({ "group": to.stream.group, "stream": to.stream.name }));
        json!({ "directory": self.log.places().directory, "failing": self.log.failing(), "cloudwatch": stream })
    }

    fn checks(&self) -> Vec<Check> {
        let check = |id: &str, verdict, why: String, fix| Check { id: id.to_owned(), verdict, why, fix };
        let failing = self.log.failing();
        let mut checks: Vec<Check> = failing
            .iter()
            .map(|(sink, why)| check(&format!("audit.{sink}"), Verdict::Degraded, why.clone(), None))
            .collect();
        if checks.is_empty() {
            let why = format!("written to {}", self.log.places().directory.display());
            checks.push(check("audit.log", Verdict::Ok, why, None));
        }
        if let Some(fault) = &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            checks.push(check("audit.cloudwatch", Verdict::Degraded, fault.chain(), fault.hint.clone()));
        }
        checks
    }
}

async fn sign(log: AuditLog, wire: Arc<dyn Wire>, tasks: Tasks) {
    loop {
        let ending = pause(&*wire, &tasks, BETWEEN_CHECKPOINTS).await;
        sign_once(&log, wire.now()).await;
        if ending {
            return;
        }
    }
}

/// Waiting for the disk is not for the threads that answer clients.
async fn sign_once(log: &AuditLog, now: Now) {
    let signing = log.clone();
    if let Ok(Err(fault)) = tokio::task::spawn_blocking(move || signing.sign(now)).await {
        warn!(reason = %fault.chain(), "the audit log could not be signed");
    }
    if let (_, Some(signed)) = log.reached() {
        log.tally().checkpoint_age((now.wall.as_second() - signed.as_second()).max(0));
    }
}

/// Every hour by the clock that goes on in sleep, while the other one can be believed.
async fn end_old_files(
    log: AuditLog,
    keep: Duration,
    sent: impl Fn(&AuditLog) -> Option<u64>,
    wire: Arc<dyn Wire>,
    tasks: Tasks,
) {
    let (mut clock, mut due) = (Steady::default(), Duration::ZERO);
    loop {
        let now = wire.now();
        if clock.for_an_hour(now) && now.boot >= due {
            due = now.boot + BETWEEN_ENDS;
            let (ending, sent) = (log.clone(), sent(&log));
            match tokio::task::spawn_blocking(move || ending.end_older_than(now, keep, sent)).await {
                Ok(Ok(Some((first, last)))) => info!(first, last, "the oldest lines of the audit log had their time"),
                Ok(Err(fault)) => warn!(reason = %fault.chain(), "old files of the audit log stay"),
                Ok(Ok(None)) | Err(_) => {}
            }
        }
        if pause(&*wire, &tasks, LONGEST_SLEEP).await {
            return;
        }
    }
}

async fn ship(
    log: AuditLog,
    mut shipper: Shipper,
    wire: Arc<dyn Wire>,
    trouble: Arc<Mutex<Option<Fault>>>,
    tasks: Tasks,
) {
    let mut wait = BETWEEN_SHIPMENTS;
    loop {
        let ending = pause(&*wire, &tasks, wait).await;
        if ending {
            sign_once(&log, wire.now()).await;
            tokio::time::timeout(LAST_SHIPMENT, shipper.ship()).await.ok();
            return;
        }
        let failure = shipper.ship().await.err();
        log.tally().queued("cloudwatch", log.reached().0.saturating_sub(shipper.sent()));
        log.tally().dropped("cloudwatch", shipper.refused());
        if failure.is_some() {
            log.tally().failed("cloudwatch");
        }
        wait = if failure.is_some() { (wait * 2).min(LONGEST_PAUSE) } else { BETWEEN_SHIPMENTS };
        let mut known = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &failure) {
            (None, Some(fault)) => {
                warn!(reason = %fault.chain(), hint = fault.hint.as_deref().unwrap_or_default(), "the audit log waits on disk");
            }
            (Some(_), None) => info!("the audit log is sent again"),
            _ => {}
        }
        *known = failure;
    }
}

/// Waits; whether shutdown has begun.
async fn pause(wire: &dyn Wire, tasks: &Tasks, time: Duration) -> bool {
    tokio::select! {
        () = wire.sleep(time) => tasks.is_shutting_down(),
        () = tasks.shutting_down() => true,
    }
}

#[cfg(test)]
mod tests {
    use bowline_base::{
        Timestamp,
        wire::{Body, Limits, WireError},
    };

    use super::*;
    use crate::{
        event::{Event, Record},
        log::Places,
        sink::file::log_files,
    };

    const YEAR: u64 = 365 * 86_400;

    /// Time that passes by waiting alone; the clock on the wall may be set.
    struct Clocks {
        boot: Mutex<Duration>,
        ahead: Mutex<Duration>,
    }

    impl Wire for Clocks {
        fn now(&self) -> Now {
            let boot = *self.boot.lock().unwrap();
            Now { boot, wall: Timestamp::UNIX_EPOCH + boot + *self.ahead.lock().unwrap() }
        }

        fn entropy(&self) -> u64 {
            0
        }

        fn send(
            &self,
            _: http::Request<bytes::Bytes>,
            _: Limits,
        ) -> BoxFuture<'_, Result<http::Response<Body>, WireError>> {
            unreachable!("old files are no business of AWS's")
        }

        fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
            *self.boot.lock().unwrap() += time;
            Box::pin(tokio::task::yield_now())
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_years_ahead_for_a_while_ends_nothing_and_one_that_goes_on_does() {
        let home = tempfile::tempdir().unwrap();
        let log = AuditLog::new(Places { max_size: 2000, ..Places::below(home.path()) }, Vec::new());
        let clocks = Arc::new(Clocks { boot: Mutex::default(), ahead: Mutex::default() });
        for number in 0..20 {
            log.record(clocks.now(), &Record::about(Event::Login, format!("user-{number}"))).unwrap();
        }
        let files = || log_files(&log.places().directory).unwrap().len();
        let (before, tasks) = (files(), Tasks::new());
        *clocks.ahead.lock().unwrap() = Duration::from_secs(10 * YEAR);
        let keep = Duration::from_secs(YEAR);
        let ends = end_old_files(log.clone(), keep, |_| None, Arc::clone(&clocks) as _, tasks.clone());
        tasks.spawn("ends", ends);
        let pass = async |time| {
            let until = clocks.now().boot + time;
            while clocks.now().boot < until {
                tokio::task::yield_now().await;
            }
        };
        pass(BETWEEN_ENDS / 2).await;
        *clocks.ahead.lock().unwrap() = Duration::ZERO;
        pass(BETWEEN_ENDS * 3).await;
        assert_eq!(files(), before, "the clock was set right within the hour");
        *clocks.ahead.lock().unwrap() = Duration::from_secs(2 * YEAR);
        pass(BETWEEN_ENDS * 3).await;
        assert!(files() < before, "the time has come");
        assert!(tasks.shut_down(Duration::from_secs(1)).await);
    }
}
