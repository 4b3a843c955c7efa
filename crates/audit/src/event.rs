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
    /// An address that opens the console was given to somebody.
    Console,
    /// Long-lived keys were printed.
    Revealed,
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
    /// The configuration of the log was replaced.
    Reloaded,
    /// A user of the VPN was made, changed, invited or removed.
    VpnChanged,
    /// The oldest lines had their time, and are removed.
    Dropped,
    /// Somebody has moved the oldest lines away by hand, and has shown them.
    Archived,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 16] = [
        Self::Issued,
        Self::Refused,
        Self::Refreshed,
        Self::RefreshFailed,
        Self::Console,
        Self::Revealed,
        Self::Login,
        Self::Logout,
        Self::DaemonStarted,
        Self::DaemonStopped,
        Self::TornTail,
        Self::Gap,
        Self::Reloaded,
        Self::VpnChanged,
        Self::Dropped,
        Self::Archived,
    ];

    /// As it stands in a line: `refresh-failed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Refused => "refused",
            Self::Refreshed => "refreshed",
            Self::RefreshFailed => "refresh-failed",
            Self::Console => "console",
            Self::Revealed => "revealed",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::DaemonStarted => "daemon-started",
            Self::DaemonStopped => "daemon-stopped",
            Self::TornTail => "torn-tail",
            Self::Gap => "gap",
            Self::Reloaded => "reloaded",
            Self::VpnChanged => "vpn-changed",
            Self::Dropped => "dropped",
            Self::Archived => "archived",
        }
    }

    /// The event of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// `ok`, or `failed` where somebody did not get what was asked for.
    pub(crate) fn outcome(self) -> &'static str {
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
        /// Its id, where the kernel tells; of its parent where the process is Bowline itself.
        pid: Option<i32>,
        /// The name of the program; of its parent where the process is Bowline itself.
        program: Option<String>,
    },
    /// A socket's other end.
    Socket {
        /// Address and port.
        address: SocketAddr,
        /// The user of the process there, where it is on this machine and the kernel tells.
        uid: Option<u32>,
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
                program.as_ref().map(|program| map.insert("program".into(), json!(cut(program))));
            }
            Self::Socket { address, uid, user_agent } => {
                map.insert("address".into(), json!(address.to_string()));
                uid.map(|uid| map.insert("uid".into(), json!(uid)));
                user_agent.as_ref().map(|agent| map.insert("user_agent".into(), json!(cut(agent))));
            }
        }
        Value::Object(map)
    }

    /// What stays the same when one client asks again: neither the process of one `bowline creds` nor a port does.
    fn identity(&self) -> String {
        match self {
            Self::Process { uid, pid, program: None } => format!("process {uid} {pid:?}"),
            Self::Process { uid, program: Some(program), .. } => format!("process {uid} {program}"),
            Self::Socket { address, uid, user_agent } => format!("socket {} {uid:?} {user_agent:?}", address.ip()),
        }
    }

    /// The same without what a client says of itself: who is refused may say another thing each time.
    fn origin(&self) -> String {
        match self {
            Self::Process { .. } => self.identity(),
            Self::Socket { address, uid, .. } => format!("socket {} {uid:?}", address.ip()),
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
    /// The numbers of the first and the last line that are removed, or were moved away.
    pub lines: Option<(u64, u64)>,
}

impl Record {
    /// A record of `event` with nothing else known.
    #[must_use]
    pub fn new(event: Event) -> Self {
        Self {
            event,
            profile: None,
            key_id: None,
            source: None,
            expires: None,
            client: None,
            reason: None,
            lines: None,
        }
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
            text.map(|text| fields.insert(name.into(), cut(&text).into()));
        }
        self.client.as_ref().map(|client| fields.insert("client".into(), client.value()));
        self.lines.map(|(first, last)| fields.insert("lines".into(), json!({ "first": first, "last": last })));
        fields
    }

    /// What two records have in common of which the second says nothing new: one line per client and lease. Keys without
    /// an end are told of once a day, a refusal once an hour per client and reason, so that what goes on shows.
    pub(crate) fn sameness(&self, now: Timestamp) -> Option<Sameness> {
        let client = self.client.as_ref();
        let (who, what, until) = match self.event {
            Event::Issued => {
                let until = self.expires.unwrap_or_else(|| end_of(now, DAY));
                (client?.identity(), self.key_id.as_ref()?.to_string(), until)
            }
            Event::Refused => {
                // A reason that counts seconds is one reason.
                let reason = self.reason.as_ref()?.chars().filter(|c| !c.is_ascii_digit()).collect();
                (client?.origin(), reason, end_of(now, HOUR))
            }
            // Whoever looks at a lease that another process fetched has nothing to add.
            Event::Refreshed => (String::new(), self.key_id.as_ref()?.to_string(), self.expires?),
            _ => return None,
        };
        let text = format!("{}\n{:?}\n{who}\n{what}", self.event, self.profile);
        (until > now).then_some(Sameness { text, until })
    }
}

/// See [`Record::sameness`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sameness {
    pub(crate) text: String,
    /// From then on the same is told again.
    pub(crate) until: Timestamp,
}

const LONGEST_TEXT: usize = 2000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What nobody reads to its end is cut.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// The end of the hour or the day in which `now` is.
fn end_of(now: Timestamp, length: i64) -> Timestamp {
    let end = (now.as_second().div_euclid(length) + 1).saturating_mul(length);
    Timestamp::from_second(end).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(pid: i32, program: &str, key: &str) -> Record {
        let client = Client::Process { uid: 7, pid: Some(pid), program: Some(program.to_owned()) };
        Record { client: Some(client), key_id: Some(KeyId::new(key)), ..Record::about(Event::Issued, "build") }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn refused(address: &str, agent: &str, reason: &str) -> Record {
        let client =
            Client::Socket { address: address.parse().unwrap(), uid: None, user_agent: Some(agent.to_owned()) };
        Record { client: Some(client), reason: Some(reason.to_owned()), ..Record::new(Event::Refused) }
    }

    #[test]
    fn one_client_and_one_lease_are_one_record() {
        let first = issued(1, "terraform", "ASIA1").sameness(at(0));
        assert!(first.is_some());
        assert_eq!(issued(2, "terraform", "ASIA1").sameness(at(0)), first);
        assert_ne!(issued(1, "mvn", "ASIA1").sameness(at(0)), first);
        assert_ne!(issued(1, "terraform", "ASIA2").sameness(at(0)), first);
        assert_eq!(Record::about(Event::Login, "build").sameness(at(0)), None);
    }

    #[test]
    fn keys_without_an_end_are_told_of_once_a_day_and_a_lease_until_it_ends() {
        let key = issued(1, "mvn", "AKIA1");
        assert_eq!(key.sameness(at(DAY - 1)), key.sameness(at(5)));
        assert_ne!(key.sameness(at(DAY)), key.sameness(at(DAY - 1)));
        let lease = Record { expires: Some(at(100)), ..issued(1, "mvn", "ASIA1") };
        assert_eq!(lease.sameness(at(99)).unwrap().until, at(100));
    }

    #[test]
    fn who_is_refused_cannot_fill_the_log_with_other_names_ports_and_seconds() {
        let first = refused("127.0.0.1:1", "a", "come back in 3 s").sameness(at(0));
        assert_eq!(refused("127.0.0.1:2", "b", "come back in 17 s").sameness(at(HOUR - 1)), first);
        assert_ne!(refused("127.0.0.1:1", "a", "no").sameness(at(0)), first);
        assert_ne!(refused("127.0.0.2:1", "a", "come back in 3 s").sameness(at(0)), first);
        assert_ne!(refused("127.0.0.1:1", "a", "come back in 3 s").sameness(at(HOUR)), first);
    }

    #[test]
    fn every_event_is_found_by_its_name() {
        assert!(Event::ALL.into_iter().all(|event| Event::named(event.name()) == Some(event)));
    }
}
