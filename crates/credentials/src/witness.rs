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
        Peer::Tcp(address) => Client::Socket { address: *address, user_agent: user_agent.map(str::to_owned) },
    }
}
