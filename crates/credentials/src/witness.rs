//! Who got what is written down before it leaves, and what happens where it cannot be.
//!
//! Whoever calls waits for the disk, or for another process that has the log; other tasks of its thread do not.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicBool, Ordering},
};

use bowline_audit::{AuditLog, Client, Event, Record};
use bowline_base::{Credentials, Fault, Kind, Now};
use bowline_host::{
    Peer,
    peers::Owner,
    program::{self, Asker},
    tasks::in_place,
};

use crate::grant::AuditDuty;

/// Writes down what the ways out do; clones share the log, and a reload replaces it for all.
#[derive(Clone, Debug)]
pub struct Witness(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Held while a record is written, so that a log is replaced between two records.
    log: RwLock<Kept>,
    /// It was said that nothing can be written down.
    complained: AtomicBool,
}

#[derive(Clone, Debug)]
struct Kept {
    log: AuditLog,
    on_failure: AuditDuty,
}

/// Credentials that are about to leave.
#[derive(Clone, Debug)]
pub struct Handover<'a> {
    /// To whom.
    pub client: Client,
    /// Of which profile.
    pub profile: &'a str,
    /// What leaves.
    pub credentials: &'a Credentials,
    /// Where they came from, in words.
    pub source: &'a str,
    /// What a grant says; `None` where the log's own `on-failure` decides.
    pub duty: Option<AuditDuty>,
}

/// Whether it stands in the log.
#[derive(Debug)]
pub enum Written {
    /// It does.
    Yes,
    /// Nothing works, and the credentials may leave all the same.
    No(Fault),
}

impl Witness {
    /// Writes to `log`; where that fails and no grant says otherwise, `on_failure` decides.
    #[must_use]
    pub fn new(log: AuditLog, on_failure: AuditDuty) -> Self {
        Self(Arc::new(Shared { log: RwLock::new(Kept { log, on_failure }), complained: AtomicBool::new(false) }))
    }

    /// The log of this moment.
    #[must_use]
    pub fn log(&self) -> AuditLog {
        self.kept().log.clone()
    }

    /// From the next record on to `log`, for all.
    pub fn replace(&self, log: AuditLog, on_failure: AuditDuty) {
        in_place(|| *self.0.log.write().unwrap_or_else(PoisonError::into_inner) = Kept { log, on_failure });
    }

    /// Writes down that credentials are about to leave.
    ///
    /// # Errors
    /// They must not: it could not be written down.
    pub fn issued(&self, now: Now, handover: Handover<'_>) -> Result<Written, Fault> {
        self.leaves(now, Event::Issued, handover)
    }

    /// Writes down that an address which opens the console is about to leave, made with the credentials of `handover`.
    ///
    /// # Errors
    /// It must not: it could not be written down.
    pub fn console(&self, now: Now, handover: Handover<'_>) -> Result<Written, Fault> {
        self.leaves(now, Event::Console, handover)
    }

    /// Writes down that a person is about to see the long-lived keys of `handover`, each time.
    ///
    /// # Errors
    /// They must not: it could not be written down.
    pub fn revealed(&self, now: Now, handover: Handover<'_>) -> Result<Written, Fault> {
        self.leaves(now, Event::Revealed, handover)
    }

    fn leaves(&self, now: Now, event: Event, handover: Handover<'_>) -> Result<Written, Fault> {
        let Handover { client, profile, credentials, source, duty } = handover;
        let record = Record {
            key_id: Some(credentials.key_id.clone()),
            source: Some(source.to_owned()).filter(|source| !source.is_empty()),
            expires: credentials.expires_at,
            client: Some(client),
            ..Record::about(event, profile)
        };
        let (written, on_failure) = self.record(now, &record);
        let Err(fault) = written else { return Ok(Written::Yes) };
        match duty.unwrap_or(on_failure) {
            AuditDuty::Warn => Ok(Written::No(fault)),
            AuditDuty::Deny => {
                let message = format!("nothing is given out for `{profile}` while the audit log cannot be written");
                let hint = fault.hint.clone();
                Err(Fault { hint, ..Fault::new(Kind::Unreachable, "audit", message).cause(fault) })
            }
        }
    }

    /// `client` is told no; for `profile`, where it is known that there is one.
    ///
    /// # Errors
    /// It could not be written down.
    pub fn refused(&self, now: Now, client: Client, profile: Option<&str>, why: String) -> Result<(), Fault> {
        let record = Record { client: Some(client), reason: Some(why), ..Record::new(Event::Refused) };
        self.note(now, Record { profile: profile.map(str::to_owned), ..record })
    }

    /// Writes down something that nobody waits for.
    ///
    /// # Errors
    /// It could not be written down.
    pub fn note(&self, now: Now, record: Record) -> Result<(), Fault> {
        self.record(now, &record).0
    }

    /// What became of it, and what the log's own section says where it failed. Complains once, and not for every client,
    /// while nothing can be written.
    fn record(&self, now: Now, record: &Record) -> (Result<(), Fault>, AuditDuty) {
        let (written, on_failure) = in_place(|| {
            let kept = self.kept();
            (kept.log.record(now, record), kept.on_failure)
        });
        let complained = self.0.complained.swap(written.is_err(), Ordering::Relaxed);
        match (&written, complained) {
            (Err(fault), false) => {
                let (reason, hint) = (fault.chain(), fault.hint.as_deref().unwrap_or_default());
                tracing::warn!(event = %record.event, reason, hint, "nothing can be written to the audit log");
            }
            (Ok(_), true) => tracing::info!("the audit log is written again"),
            _ => {}
        }
        (written.map(drop), on_failure)
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.log.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer of a socket as a record names it; `owner` is what the kernel says of a TCP connection.
#[must_use]
pub fn client_of(peer: &Peer, owner: Owner, user_agent: Option<&str>) -> Client {
    match (peer, owner) {
        (Peer::Unix { uid, pid }, _) => process(*uid, pid.and_then(program::behind), *pid),
        (Peer::Tcp(address) | Peer::Tls(address), Owner::Uid(uid)) => socket(*address, Some(uid), user_agent),
        (Peer::Tcp(address) | Peer::Tls(address), Owner::NotHere | Owner::Untold) => socket(*address, None, user_agent),
    }
}

/// Who started this process, as a record names it.
#[must_use]
pub fn client_behind_this_process() -> Client {
    let own = i32::try_from(std::process::id()).ok();
    process(rustix::process::getuid().as_raw(), program::behind_this(), own)
}

fn process(uid: u32, asker: Option<Asker>, pid: Option<i32>) -> Client {
    let pid = asker.as_ref().map(|asker| asker.pid).or(pid);
    Client::Process { uid, pid, program: asker.map(|asker| asker.name) }
}

fn socket(address: std::net::SocketAddr, uid: Option<u32>, user_agent: Option<&str>) -> Client {
    Client::Socket { address, uid, user_agent: user_agent.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bowline_audit::Places;
    use bowline_base::{KeyId, Secret, Timestamp, atomic};
    use bowline_host::Tasks;

    use super::*;

    fn issue(witness: &Witness, duty: Option<AuditDuty>) -> Result<Written, Fault> {
        let credentials = Credentials {
            key_id: KeyId::new("ASIA1"),
            secret_key: Secret::new("s"),
            session_token: None,
            expires_at: None,
            obtained_at: Timestamp::UNIX_EPOCH,
            account_id: None,
        };
        let now = Now { boot: Duration::from_secs(1), wall: Timestamp::UNIX_EPOCH };
        let client = client_of(&Peer::Tcp(([127, 0, 0, 1], 5000).into()), Owner::Uid(7), Some("aws-sdk"));
        let source = "sso 1/build";
        witness.issued(now, Handover { client, profile: "build", credentials: &credentials, source, duty })
    }

    fn log(home: &std::path::Path) -> AuditLog {
        AuditLog::new(Places::below(home), Vec::new())
    }

    #[test]
    fn nothing_leaves_unwritten_where_that_is_asked_for() {
        use AuditDuty::{Deny, Warn};
        let home = tempfile::tempdir().unwrap();
        let in_the_way = log(home.path()).places().directory.clone();
        atomic::write_private(&in_the_way, b"a file").unwrap();
        for (own, of_grant, leaves) in
            [(Warn, None, true), (Deny, None, false), (Warn, Some(Deny), false), (Deny, Some(Warn), true)]
        {
            let outcome = issue(&Witness::new(log(home.path()), own), of_grant);
            assert_eq!(matches!(outcome, Ok(Written::No(_))), leaves, "{own:?} {of_grant:?}: {outcome:?}");
        }
        let witness = Witness::new(log(home.path()), Deny);
        let refused = issue(&witness, None).unwrap_err();
        assert_eq!((refused.kind, refused.hint.is_some()), (Kind::Unreachable, true));
        std::fs::remove_file(&in_the_way).unwrap();
        assert!(matches!(issue(&witness, None), Ok(Written::Yes)));
        let text = std::fs::read_to_string(in_the_way.join("audit-000000000001.jsonl")).unwrap();
        let client = r#""client":{"address":"127.0.0.1:5000","uid":7,"user_agent":"aws-sdk"}"#;
        assert!(text.contains(client) && text.contains(r#""source":"sso 1/build""#), "{text}");
    }

    /// A runtime with one thread for tasks, as a machine with one core has it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_log_that_another_process_holds_keeps_no_other_task_waiting() {
        let home = tempfile::tempdir().unwrap();
        let witness = Witness::new(log(home.path()), AuditDuty::Warn);
        issue(&witness, None).unwrap();
        let held = std::fs::File::open(home.path().join("audit/audit.lock")).unwrap();
        held.lock().unwrap();
        let (tasks, (begins, begun), (ends, mut ended)) =
            (Tasks::new(), tokio::sync::oneshot::channel(), tokio::sync::oneshot::channel());
        tasks.spawn_request("writer", async move {
            begins.send(()).unwrap();
            let now = Now { boot: Duration::from_secs(1), wall: Timestamp::UNIX_EPOCH };
            ends.send(witness.note(now, Record::about(Event::Refreshed, "build"))).unwrap();
        });
        begun.await.unwrap();
        let (other, met) = tokio::sync::oneshot::channel();
        tasks.spawn_request("other", async move { other.send(()).unwrap() });
        let met = tokio::time::timeout(Duration::from_secs(3), met).await;
        assert!(ended.try_recv().is_err(), "it waits for the lock");
        held.unlock().unwrap();
        met.expect("nobody waits for an audit log that is not in it").unwrap();
        ended.await.unwrap().unwrap();
    }

    #[test]
    fn a_replaced_log_is_replaced_for_all() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let witness = Witness::new(log(one.path()), AuditDuty::Warn);
        let clone = witness.clone();
        witness.replace(log(other.path()), AuditDuty::Deny);
        assert!(matches!(issue(&clone, None), Ok(Written::Yes)));
        assert!(other.path().join("audit").is_dir() && !one.path().join("audit").exists());
    }
}
