//! What is written down: one record, with everything an auditor asks for and never a secret.

use std::{fmt, net::SocketAddr};

use bowline_base::{KeyId, Timestamp, utc};
use serde_json::{Map, Value, json};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Credentials left for a client.
    Issued,
    /// A client was told no.
    Refused,
    /// A source brought other credentials.
    Refreshed,
    /// A source brought none.
    RefreshFailed,
    /// Somebody signed in.
    Login,
    /// Somebody signed out.
    Logout,
    /// The daemon began.
    DaemonStarted,
    /// The daemon ended in order.
    DaemonStopped,
    /// The end of the log was not whole, and was moved aside.
    TornTail,
    /// Records that could not be kept in the file, and went to another sink only.
    Gap,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 10] = [
        Self::Issued,
        Self::Refused,
        Self::Refreshed,
        Self::RefreshFailed,
        Self::Login,
        Self::Logout,
        Self::DaemonStarted,
        Self::DaemonStopped,
        Self::TornTail,
        Self::Gap,
    ];

    /// As it stands in a line: `refresh-failed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Refused => "refused",
            Self::Refreshed => "refreshed",
            Self::RefreshFailed => "refresh-failed",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::DaemonStarted => "daemon-started",
            Self::DaemonStopped => "daemon-stopped",
            Self::TornTail => "torn-tail",
            Self::Gap => "gap",
        }
    }

    /// The event of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// `ok`, or `failed` where somebody did not get what was asked for.
    fn outcome(self) -> &'static str {
        match self {
            Self::Refused | Self::RefreshFailed | Self::Gap => "failed",
            _ => "ok",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// A process of this machine, as the kernel names it.
    Process {
        /// Its user.
        uid: u32,
        /// Its id, where the kernel tells.
        pid: Option<i32>,
        /// The name of the program; of its parent where the peer is Bowline itself.
        program: Option<String>,
    },
    /// A socket's other end.
    Socket {
        /// Address and port.
        address: SocketAddr,
        /// What it says it is.
        user_agent: Option<String>,
    },
}

impl Client {
    fn value(&self) -> Value {
        let mut map = Map::new();
        match self {
            Self::Process { uid, pid, program } => {
                map.insert("uid".into(), json!(uid));
                pid.map(|pid| map.insert("pid".into(), json!(pid)));
                program.as_ref().map(|program| map.insert("program".into(), json!(program)));
            }
            Self::Socket { address, user_agent } => {
                map.insert("address".into(), json!(address.to_string()));
                user_agent.as_ref().map(|agent| map.insert("user_agent".into(), json!(agent)));
            }
        }
        Value::Object(map)
    }

    /// What stays the same when one client asks again: neither the process of one `bowline creds` nor a port does.
    fn identity(&self) -> String {
        match self {
            Self::Process { uid, pid, program: None } => format!("process {uid} {pid:?}"),
            Self::Process { uid, program: Some(program), .. } => format!("process {uid} {program}"),
            Self::Socket { address, user_agent } => format!("socket {} {user_agent:?}", address.ip()),
        }
    }
}

/// One record, before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// The profile or session that it is about.
    pub profile: Option<String>,
    /// Names the key pair.
    pub key_id: Option<KeyId>,
    /// Where the credentials come from, in words.
    pub source: Option<String>,
    /// The end of the credentials.
    pub expires: Option<Timestamp>,
    /// Who asked.
    pub client: Option<Client>,
    /// Why, where somebody did not get what was asked for.
    pub reason: Option<String>,
}

impl Record {
    /// A record of `event` with nothing else known.
    #[must_use]
    pub fn new(event: Event) -> Self {
        Self { event, profile: None, key_id: None, source: None, expires: None, client: None, reason: None }
    }

    /// A record of `event` about `profile`.
    #[must_use]
    pub fn about(event: Event, profile: impl Into<String>) -> Self {
        Self { profile: Some(profile.into()), ..Self::new(event) }
    }

    /// The fields of the line; texts are cut where they are longer than anybody reads.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let texts = [
            ("profile", self.profile.clone()),
            ("key_id", self.key_id.as_ref().map(ToString::to_string)),
            ("source", self.source.clone()),
            ("expires", self.expires.map(utc)),
            ("reason", self.reason.clone()),
        ];
        let mut fields = Map::new();
        fields.insert("event".into(), self.event.name().into());
        fields.insert("outcome".into(), self.event.outcome().into());
        for (name, text) in texts {
            text.map(|text| fields.insert(name.into(), text.chars().take(LONGEST_TEXT).collect::<String>().into()));
        }
        self.client.as_ref().map(|client| fields.insert("client".into(), client.value()));
        fields
    }

    /// What two records have in common of which the second says nothing new: one line per client and lease. A refusal
    /// counts once per client and reason.
    pub(crate) fn sameness(&self) -> Option<String> {
        let client = self.client.as_ref()?.identity();
        let what = match self.event {
            Event::Issued => self.key_id.as_ref()?.to_string(),
            Event::Refused => self.reason.clone()?,
            _ => return None,
        };
        Some(format!("{}\n{:?}\n{client}\n{what}", self.event, self.profile))
    }
}

const LONGEST_TEXT: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(pid: i32, program: &str, key: &str) -> Record {
        let client = Client::Process { uid: 7, pid: Some(pid), program: Some(program.to_owned()) };
        Record { client: Some(client), key_id: Some(KeyId::new(key)), ..Record::about(Event::Issued, "build") }
    }

    #[test]
    fn one_client_and_one_lease_are_one_record() {
        let first = issued(1, "terraform", "ASIA1").sameness();
        assert!(first.is_some());
        assert_eq!(issued(2, "terraform", "ASIA1").sameness(), first);
        assert_ne!(issued(1, "mvn", "ASIA1").sameness(), first);
        assert_ne!(issued(1, "terraform", "ASIA2").sameness(), first);
        assert_eq!(Record::about(Event::Login, "build").sameness(), None);
    }

    #[test]
    fn every_event_is_found_by_its_name() {
        assert!(Event::ALL.into_iter().all(|event| Event::named(event.name()) == Some(event)));
    }
}
