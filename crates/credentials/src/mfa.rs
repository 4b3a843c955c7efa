//! Codes of MFA devices: where they come from, and that none is used twice.
//!
//! A device shows a code for half a minute and AWS takes it once. What was used is remembered beside the leases, so that
//! two commands do not spend the same code: the second waits for the next one.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bowline_awsfiles::{FileLock, Mfa};
use bowline_base::{BoxFuture, Fault, Kind, Secret, Timestamp, atomic, wire::Wire};
use serde_json::{Value, json};
use tracing::warn;

use crate::{
    lease_store::{fingerprint, read_private, wait_for},
    source::{Sources, process::for_child},
};

/// For how long a device shows one code.
const WINDOW: i64 = 30;
/// AWS takes a code a little late too: for that long it is not tried again.
const REMEMBERED: i64 = 3;
const LIMIT: Duration = Duration::from_secs(60);
/// How often a person is asked before we give up.
const TRIES: usize = 3;

/// A person at a terminal.
pub trait Prompt: Send + Sync {
    /// Shows `question` and gives what was typed; `None` where there is no terminal to ask on.
    fn ask<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Fault>>;

    /// The same without showing what is typed.
    fn ask_hidden<'a>(&'a self, question: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Fault>>;

    /// Shows a line.
    fn tell(&self, line: &str);
}

/// Where codes come from, besides a profile's `mfa_process`. By default from nowhere: a daemon asks nobody.
#[derive(Clone, Default)]
pub struct Codes {
    /// The code that the command line gave.
    pub given: Option<Secret>,
    /// Whom to ask.
    pub prompt: Option<Arc<dyn Prompt>>,
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codes").field("given", &self.given).field("prompt", &self.prompt.is_some()).finish()
    }
}

/// A code of `mfa` that was not used yet, and is used from now on.
pub(crate) async fn code(sources: &Sources, mfa: &Mfa, profile: &str) -> Result<Secret, Fault> {
    let book = Book::new(&sources.setup().lease_directory, &mfa.serial);
    let (wire, codes) = (sources.wire(), sources.codes());
    if let Some(given) = &codes.given {
        let given = six_digits(given, "--mfa-code")?;
        return match book.spend(&given, &**wire).await {
            Ok(()) => Ok(given),
            Err(Spent { wait }) => Err(needed(mfa, profile, "this code was used already").hint(format!(
                "wait {} s for the next code, then run the command again with it",
                wait.as_secs().max(1)
            ))),
        };
    }
    for _ in 0..TRIES {
        if let Some(Spent { wait }) = book.spent(None, wire.now().wall) {
            if let Some(prompt) = &codes.prompt {
                prompt.tell(&format!("The present code was used already; the next one comes in {} s.", wait.as_secs()));
            }
            wire.sleep(wait).await;
        }
        let code = match &mfa.process {
            Some(argv) => printed(sources, argv).await?,
            None => typed(&codes, mfa, profile).await?,
        };
        if book.spend(&code, &**wire).await.is_ok() {
            return Ok(code);
        }
    }
    Err(needed(mfa, profile, "only codes came that were used already").hint(by_hand(profile)))
}

/// What AWS says to a wrong code, with what to do about it.
pub(crate) fn explain(fault: Fault, mfa: &Mfa, profile: &str) -> Fault {
    let said = fault.chain();
    if fault.kind != Kind::Refused || !said.contains("MultiFactorAuthentication") {
        return fault;
    }
    // Not remembered as a refusal: the next code may be a good one.
    needed(mfa, profile, "AWS did not take the code")
        .cause(said)
        .hint(format!("wait for the next code; {}", by_hand(profile)))
}

fn needed(mfa: &Mfa, profile: &str, why: &str) -> Fault {
    let message = format!("profile `{profile}` needs a code of MFA device `{}`: {why}", mfa.serial);
    Fault::new(Kind::LoginRequired, format!("profile `{profile}`"), message)
}

fn by_hand(profile: &str) -> String {
    format!("run `bowline creds {profile} --mfa-code CODE > /dev/null`, or set `mfa_process`")
}

async fn typed(codes: &Codes, mfa: &Mfa, profile: &str) -> Result<Secret, Fault> {
    let nobody = || needed(mfa, profile, "there is no terminal to ask on").hint(by_hand(profile));
    let prompt = codes.prompt.as_ref().ok_or_else(nobody)?;
    let question = format!("MFA code for {}: ", mfa.serial);
    let typed = prompt.ask(&question).await?.ok_or_else(nobody)?;
    six_digits(&typed, "what was typed")
}

async fn printed(sources: &Sources, argv: &[String]) -> Result<Secret, Fault> {
    let program = argv.first().map_or("", String::as_str);
    let environment = for_child(&sources.setup().environment, &[]);
    let finished = bowline_host::process::run(argv, &environment, LIMIT, 1024).await?;
    if !finished.success {
        let said: String = finished.stderr.chars().take(200).collect();
        let fault = Fault::new(Kind::Refused, "mfa_process", format!("`{program}` gave no MFA code"));
        return Err(fault.hint(format!("run `{program}` by hand")).cause(said));
    }
    let text = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
    six_digits(&Secret::new(text), &format!("what `{program}` printed"))
}

fn six_digits(text: &Secret, what: &str) -> Result<Secret, Fault> {
    let code: String = text.expose().split_whitespace().collect();
    if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Secret::new(code));
    }
    // A person's move, and nothing to remember: the next try may be right.
    Err(Fault::new(Kind::LoginRequired, "MFA code", format!("{what} is no MFA code"))
        .hint("give the six digits that the device shows"))
}

/// The code, or every code of this half minute, was used; how long until the next one.
#[derive(Debug, PartialEq, Eq)]
struct Spent {
    wait: Duration,
}

/// What is remembered of one device.
struct Book {
    path: PathBuf,
}

impl Book {
    fn new(directory: &Path, serial: &str) -> Self {
        Self { path: directory.join(format!("mfa-{}.json", fingerprint(serial))) }
    }

    /// Uses `code`, once on this machine. Without a place to remember it, AWS alone keeps it from being used twice.
    async fn spend(&self, code: &Secret, wire: &dyn Wire) -> Result<(), Spent> {
        let _lock = self.lock(wire).await;
        let now = wire.now().wall;
        let mark = self.mark(code, now);
        if let Some(spent) = self.spent(Some(code), now) {
            return Err(spent);
        }
        let note = json!({ "kind": "bowline-mfa", "version": 1, "window": window(now), "mark": mark });
        if let Err(error) = atomic::write_private(&self.path, note.to_string().as_bytes()) {
            warn!(%error, path = %self.path.display(), "it cannot be remembered that this MFA code was used");
        }
        Ok(())
    }

    fn spent(&self, code: Option<&Secret>, now: Timestamp) -> Option<Spent> {
        let note: Value = serde_json::from_str(read_private(&self.path)?.expose()).ok()?;
        let (used, mark) = (note["window"].as_i64()?, note["mark"].as_str()?);
        let same = code.is_some_and(|code| self.mark_in(code, used) == mark);
        spent(used, same, now)
    }

    async fn lock(&self, wire: &dyn Wire) -> Option<FileLock> {
        let path = self.path.with_extension("lock");
        atomic::private_directory(path.parent()?).ok()?;
        let failed = |error| Fault::new(Kind::Config, "leases", "cannot lock").cause(error);
        wait_for(wire, "an MFA device", || FileLock::try_acquire(&path).map_err(failed)).await.ok()
    }

    fn mark(&self, code: &Secret, now: Timestamp) -> String {
        self.mark_in(code, window(now))
    }

    fn mark_in(&self, code: &Secret, window: i64) -> String {
        fingerprint(&format!("{} {window} {}", self.path.display(), code.expose()))
    }
}

fn window(now: Timestamp) -> i64 {
    now.as_second().div_euclid(WINDOW)
}

/// Decides: in window `used` a code was used; is another to be waited for, at `now`, where the code at hand is the `same`?
fn spent(used: i64, same: bool, now: Timestamp) -> Option<Spent> {
    let present = window(now);
    let again = same && (used..used + REMEMBERED).contains(&present);
    if present != used && !again {
        return None;
    }
    let left = WINDOW - now.as_second().rem_euclid(WINDOW);
    Some(Spent { wait: Duration::from_secs(u64::try_from(left).unwrap_or_default()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn one_window_is_used_once_and_one_code_not_again_in_the_next_two() {
        let used = window(at(3000));
        assert_eq!(spent(used, false, at(3010)), Some(Spent { wait: Duration::from_secs(20) }));
        assert_eq!(spent(used, false, at(3030)), None, "another window, another code");
        assert!(spent(used, true, at(3031)).is_some(), "the code of before, typed late");
        assert!(spent(used, true, at(3090)).is_none());
        assert!(spent(used, false, at(2900)).is_none(), "a clock that was set back does not lock anybody out");
    }

    #[test]
    fn six_digits_are_a_code_and_nothing_else_is_shown() {
        assert_eq!(six_digits(&Secret::new(" 123 456\n"), "x").unwrap().expose(), "123456");
        for bad in ["", "12345", "abcdef", "1234567"] {
            let fault = six_digits(&Secret::new(bad), "what was typed").unwrap_err();
            assert_eq!(fault.message, "what was typed is no MFA code");
        }
    }
}
