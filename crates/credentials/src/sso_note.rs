//! What we know of an SSO session that does not belong into the token's own file: a refresh under way, one that was
//! refused, a token that the portal does not take, a rotated token that could not be saved in its place.
//!
//! Tokens appear as fingerprints only.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_awsfiles::{SsoKey, SsoLogin, SsoToken};
use bowline_base::{Secret, Timestamp, atomic};
use serde_json::{Value, json};

use crate::lease_store::{fingerprint, read_private, time_left};

const KIND: &str = "bowline-sso-session";
const VERSION: u64 = 1;

/// The note of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// A refresh was sent with this token, and its answer was not saved yet.
    pub(crate) attempt: Option<Attempt>,
    /// The service will never again take this refresh token, and why.
    pub(crate) refused: Option<(String, String)>,
    /// The portal does not take this access token, although it should be good.
    pub(crate) dead: Option<String>,
    /// The boot time until which no refresh is tried for that one.
    pub(crate) dead_until: Duration,
    /// The access token in the cache that our fallback copy replaces.
    pub(crate) rescued: Option<String>,
    /// Failures in a row, and the boot time before which nobody tries again while the old token is good.
    pub(crate) failures: u32,
    pub(crate) quiet_until: Duration,
}

impl Note {
    /// Whether the portal should take `token`, which is not the one called `not`.
    pub(crate) fn serves(&self, login: &SsoLogin, token: &SsoToken, not: Option<&Secret>, now: Timestamp) -> bool {
        token.usable_at(now) && !self.is_dead(login, token) && not != Some(&token.access_token)
    }

    /// Whether the portal did not take `token`.
    pub(crate) fn is_dead(&self, login: &SsoLogin, token: &SsoToken) -> bool {
        self.dead.as_ref() == Some(&mark(&login.region, &token.access_token))
    }

    /// How long nobody is to try again while the old token is good.
    pub(crate) fn quiet_for(&self, boot: Duration) -> Option<Duration> {
        time_left(self.quiet_until, boot)
    }

    /// How long nothing is to be tried for a token that the portal does not take.
    pub(crate) fn dead_for(&self, boot: Duration) -> Option<Duration> {
        time_left(self.dead_until, boot)
    }
}

/// A refresh that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Of the refresh token.
    pub(crate) token: String,
    /// When, for people.
    pub(crate) at: String,
    /// By which process.
    pub(crate) process: u32,
}

/// Names a token without giving it away; another region is another world.
pub(crate) fn mark(region: &str, token: &Secret) -> String {
    fingerprint(&format!("{region}\n{}", token.expose()))
}

/// The directory of notes.
#[derive(Clone, Debug)]
pub(crate) struct Notes(PathBuf);

impl Notes {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_path_buf())
    }

    /// The note; an empty one when there is none that we can read.
    pub(crate) fn read(&self, key: &SsoKey) -> Note {
        read_private(&self.path(key)).and_then(|text| decode(&text)).unwrap_or_default()
    }

    /// Replaces the note whole and durably.
    pub(crate) fn write(&self, key: &SsoKey, note: &Note) -> std::io::Result<()> {
        if *note == Note::default() {
            return self.forget(key);
        }
        atomic::private_directory(&self.0)?;
        atomic::write_private(&self.path(key), encode(note).as_bytes())
    }

    pub(crate) fn forget(&self, key: &SsoKey) -> std::io::Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, key: &SsoKey) -> PathBuf {
        self.0.join(format!("sso-{}.json", key.hash()))
    }
}

fn encode(note: &Note) -> String {
    let attempt = note.attempt.as_ref();
    let refused = note.refused.as_ref();
    json!({
        "kind": KIND,
        "version": VERSION,
        "attempt": attempt.map(|a| json!({ "token": a.token, "at": a.at, "process": a.process })),
        "refused": refused.map(|(token, why)| json!({ "token": token, "why": why })),
        "dead": note.dead,
        "dead_until_boot_ms": milliseconds(note.dead_until),
        "rescued": note.rescued,
        "failures": note.failures,
        "quiet_until_boot_ms": milliseconds(note.quiet_until),
    })
    .to_string()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn decode(text: &Secret) -> Option<Note> {
    let file: Value = serde_json::from_str(text.expose()).ok()?;
    if file["kind"] != KIND || file["version"] != VERSION {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = |value: &Value| Duration::from_millis(value.as_u64().unwrap_or(0));
    let attempt = || {
        let part = &file["attempt"];
        let process = part["process"].as_u64()?.try_into().ok()?;
        Some(Attempt { token: text(&part["token"])?, at: text(&part["at"])?, process })
    };
    Some(Note {
        attempt: attempt(),
        refused: text(&file["refused"]["token"]).zip(text(&file["refused"]["why"])),
        dead: text(&file["dead"]),
        dead_until: time(&file["dead_until_boot_ms"]),
        rescued: text(&file["rescued"]),
        failures: file["failures"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or(0),
        quiet_until: time(&file["quiet_until_boot_ms"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_an_empty_one_leaves_no_file() {
        let home = tempfile::tempdir().unwrap();
        let notes = Notes::new(&home.path().join("leases"));
        let key = SsoKey::Session("corp".to_owned());
        let note = Note {
            attempt: Some(Attempt { token: "t".to_owned(), at: "now".to_owned(), process: 7 }),
            refused: Some(("r".to_owned(), "spent".to_owned())),
            dead: Some("d".to_owned()),
            dead_until: Duration::from_secs(7),
            rescued: Some("a".to_owned()),
            failures: 2,
            quiet_until: Duration::from_secs(9),
        };
        notes.write(&key, &note).unwrap();
        assert_eq!(notes.read(&key), note);
        notes.write(&key, &Note::default()).unwrap();
        assert_eq!(fs::read_dir(home.path().join("leases")).unwrap().count(), 0);
    }

    #[test]
    fn a_boot_time_of_another_boot_silences_nobody() {
        let seconds = Duration::from_secs;
        let note = Note { quiet_until: seconds(900_060), dead_until: seconds(900_300), ..Note::default() };
        assert_eq!(note.quiet_for(seconds(900_000)), Some(seconds(60)));
        assert_eq!(note.dead_for(seconds(900_000)), Some(seconds(300)));
        for boot in [seconds(20), seconds(900_300)] {
            assert_eq!((note.quiet_for(boot), note.dead_for(boot)), (None, None), "{boot:?}");
        }
    }

    #[test]
    fn a_mark_gives_no_token_away() {
        let token = Secret::new("aoaAAAAAGeMLz");
        assert!(!mark("eu-west-1", &token).contains(token.expose()));
        assert_ne!(mark("eu-west-1", &token), mark("us-east-1", &token));
    }
}
