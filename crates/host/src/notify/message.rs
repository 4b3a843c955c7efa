//! What is said: a matter as whoever found it describes it, and a message about it as channels send it.

use std::{collections::BTreeMap, fmt};

use bowline_base::{Timestamp, utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Something that a person should know. It must never hold a secret: it is written to disk and sent to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What it is about, in one word that `[notify] on` knows: `login`, `certificate`, `refresh`.
    pub kind: &'static str,
    /// Which one: a session, a profile, an identity. With `kind` it names the matter.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is the matter, in one sentence. As long as this stays the same, it is the same matter: no times that change.
    pub text: String,
    /// The next command, where one helps.
    pub fix: Option<String>,
    /// How often a person is reminded.
    pub pace: Pace,
    /// Its parts by name (lower case, with dashes), for programs; often none.
    pub details: BTreeMap<String, String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Will stop something if nobody acts.
    Warning,
    /// Has stopped something.
    Critical,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// When a person is reminded of what goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// After an hour, after four more, then once a day.
    BackOff,
    /// Once a day.
    Daily,
}

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It has begun.
    Raised,
    /// It goes on, and what is known of it is different.
    Changed,
    /// It goes on.
    Reminder,
    /// It is over.
    Resolved,
    /// It happened, and there is nothing to wait for.
    Told,
    /// Somebody tries the channels.
    Test,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raised => "raised",
            Self::Changed => "changed",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
            Self::Told => "told",
            Self::Test => "test",
        })
    }
}

/// One message, the same on every channel and at every try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Different for every message of this machine; a receiver that has seen it has seen the message.
    pub id: String,
    /// Why it is sent.
    pub event: Event,
    /// As in [`Notification`].
    pub kind: String,
    /// As in [`Notification`].
    pub subject: String,
    /// As in [`Notification`].
    pub severity: Severity,
    /// As in [`Notification`].
    pub text: String,
    /// As in [`Notification`].
    pub fix: Option<String>,
    /// As in [`Notification`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// Unix time in seconds at which the matter began.
    pub since: i64,
    /// Unix time in seconds of this message.
    pub at: i64,
}

impl Message {
    /// The JSON document that channels send; `machine` is where it comes from.
    #[must_use]
    pub fn document(&self, machine: &str) -> Value {
        let mut document = json!({
            "version": 1,
            "id": self.id,
            "event": self.event.to_string(),
            "kind": self.kind,
            "subject": self.subject,
            "severity": self.severity.word(),
            "text": self.text,
            "fix": self.fix,
            "since": time(self.since),
            "at": time(self.at),
            "machine": machine,
        });
        if !self.details.is_empty() {
            document["details"] = json!(self.details);
        }
        document
    }

    /// What a command finds in its environment.
    pub(super) fn variables(&self, machine: &str) -> Vec<(String, String)> {
        let parts = [
            ("BOWLINE_EVENT", self.event.to_string()),
            ("BOWLINE_KIND", self.kind.clone()),
            ("BOWLINE_SUBJECT", self.subject.clone()),
            ("BOWLINE_SEVERITY", self.severity.word().to_owned()),
            ("BOWLINE_TEXT", self.text.clone()),
            ("BOWLINE_FIX", self.fix.clone().unwrap_or_default()),
            ("BOWLINE_MACHINE", machine.to_owned()),
        ];
        let detail = |(name, value): (&String, &String)| {
            (format!("BOWLINE_{}", name.to_uppercase().replace('-', "_")), plain(value))
        };
        let parts = parts.into_iter().map(|(name, value)| (name.to_owned(), value));
        parts.chain(self.details.iter().map(detail)).collect()
    }
}

/// Longer than any sentence.
const LONGEST: usize = 1000;

/// A text that fits into an environment variable and on one line.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

fn time(seconds: i64) -> String {
    utc(Timestamp::from_second(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_a_time_that_people_read_and_names_the_machine() {
        let message = Message {
            id: "1-1".to_owned(),
            event: Event::Raised,
            kind: "login".to_owned(),
            subject: "corp".to_owned(),
            severity: Severity::Critical,
            text: plain("a\nb\0"),
            fix: None,
            details: [("old-address".to_owned(), "192.0.2.1".to_owned())].into(),
            since: 0,
            at: 1_800_000_000,
        };
        let document = message.document("host-1");
        assert_eq!((&document["at"], &document["machine"]), (&json!("2027-01-15T08:00:00Z"), &json!("host-1")));
        assert_eq!((&document["text"], &document["severity"]), (&json!("a b "), &json!("critical")));
        assert_eq!(document["details"]["old-address"], json!("192.0.2.1"));
        let variable = ("BOWLINE_OLD_ADDRESS".to_owned(), "192.0.2.1".to_owned());
        assert!(message.variables("host-1").contains(&variable));
    }
}
