//! Who got what is written down before it leaves.

use bowline_audit::{AuditLog, Client, Event, Record};
use bowline_base::{Credentials, Fault, Kind, Now};
use bowline_host::{Peer, program};

/// What happens when nothing can be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The credentials leave all the same, with a warning.
    #[default]
    Warn,
    /// Nothing leaves.
    Deny,
}

/// Writes down what the ways out do.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Where it is written.
    pub log: AuditLog,
    /// What happens when it cannot be.
    pub on_failure: OnFailure,
}

impl Witness {
    /// `credentials` of `profile`, from `source`, are about to leave for `client`.
    ///
    /// # Errors
    /// They must not: it could not be written down.
    pub fn issued(
        &self,
        now: Now,
        client: Client,
        profile: &str,
        credentials: &Credentials,
        source: &str,
    ) -> Result<(), Fault> {
        let record = Record {
            key_id: Some(credentials.key_id.clone()),
            source: Some(source.to_owned()).filter(|source| !source.is_empty()),
            expires: credentials.expires_at,
            client: Some(client),
            ..Record::about(Event::Issued, profile)
        };
        match (self.log.record(now, &record), self.on_failure) {
            (Ok(_), _) => Ok(()),
            (Err(fault), OnFailure::Warn) => {
                tracing::warn!(profile, reason = %fault.chain(), "credentials leave, and that could not be written down");
                Ok(())
            }
            (Err(fault), OnFailure::Deny) => {
                let message = format!("nothing is given out for `{profile}` while the audit log cannot be written");
                let hint = fault.hint.clone();
                Err(Fault { hint, ..Fault::new(Kind::Unreachable, "audit", message).cause(fault) })
            }
        }
    }

    /// `client` is told no for `profile`.
    pub fn refused(&self, now: Now, client: Client, profile: &str, why: &Fault) {
        let record = Record { client: Some(client), ..Record::about(Event::Refused, profile) };
        self.note(now, Record { reason: Some(why.chain()), ..record });
    }

    /// Something that nobody waits for.
    pub fn note(&self, now: Now, record: Record) {
        if let Err(fault) = self.log.record(now, &record) {
            tracing::warn!(event = %record.event, reason = %fault.chain(), "this could not be written down");
        }
    }
}

/// The peer of a socket as a record names it.
#[must_use]
pub fn client_of(peer: &Peer, user_agent: Option<&str>) -> Client {
    match peer {
        Peer::Unix { uid, pid } => Client::Process { uid: *uid, pid: *pid, program: pid.and_then(program::behind) },
        Peer::Tcp(address) | Peer::Tls(address) => {
            Client::Socket { address: *address, user_agent: user_agent.map(str::to_owned) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bowline_audit::Places;
    use bowline_base::{KeyId, Secret, Timestamp, atomic};

    use super::*;

    fn issue(log: AuditLog, on_failure: OnFailure) -> Result<(), Fault> {
        let credentials = Credentials {
            key_id: KeyId::new("ASIA1"),
            secret_key: Secret::new("s"),
            session_token: None,
            expires_at: None,
            obtained_at: Timestamp::UNIX_EPOCH,
            account_id: None,
        };
        let now = Now { boot: Duration::from_secs(1), wall: Timestamp::UNIX_EPOCH };
        let client = client_of(&Peer::Tcp(([127, 0, 0, 1], 5000).into()), Some("aws-sdk"));
        Witness { log, on_failure }.issued(now, client, "build", &credentials, "keys")
    }

    #[test]
    fn nothing_leaves_unwritten_where_that_is_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let log = || AuditLog::new(Places::below(home.path()), Vec::new());
        let in_the_way = log().places().directory.clone();
        atomic::write_private(&in_the_way, b"a file").unwrap();
        assert!(issue(log(), OnFailure::Warn).is_ok());
        let refused = issue(log(), OnFailure::Deny).unwrap_err();
        assert_eq!((refused.kind, refused.hint.is_some()), (Kind::Unreachable, true));
        std::fs::remove_file(&in_the_way).unwrap();
        assert!(issue(log(), OnFailure::Deny).is_ok());
        let text = std::fs::read_to_string(in_the_way.join("audit-000000000001.jsonl")).unwrap();
        assert!(text.contains(r#""client":{"address":"127.0.0.1:5000","user_agent":"aws-sdk"}"#), "{text}");
    }
}
