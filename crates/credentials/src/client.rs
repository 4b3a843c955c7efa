//! The other end of the daemon's socket, for `bowline creds` and its like: blocking, no runtime, one request.
//!
//! Whatever does not look like a daemon of ours with the same context means: go alone.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    time::Duration,
};

use bowline_base::{Fault, Secret};
use serde_json::Value;

use crate::{lease_file::kind_called, socket::CONTEXT_HEADER};

const CONNECTED: Duration = Duration::from_secs(1);
/// A first fetch may have to wait for AWS.
const ANSWERED: Duration = Duration::from_secs(60);
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// Why the daemon's answer cannot be used, and the command does the work itself.
#[derive(Debug, thiserror::Error)]
pub enum GoAlone {
    /// Nobody listens.
    #[error("no daemon answers on `{0}`")]
    NoDaemon(String),
    /// Somebody else's socket.
    #[error("`{0}` belongs to another user")]
    Foreign(String),
    /// The daemon runs with other files or endpoints.
    #[error("the daemon runs with other AWS files or endpoints than this command")]
    OtherContext,
    /// It is too old or too new to know the question, or not ours.
    #[error("what listens on `{0}` does not answer as a daemon of this version")]
    Strange(String),
    /// It did not answer in time, or the connection broke.
    #[error("the daemon did not answer")]
    Silent(#[source] io::Error),
}

/// What the daemon said.
#[derive(Debug)]
pub enum Answer {
    /// The body of a good answer.
    Good(Secret),
    /// The reason why not.
    Fault(Fault),
}

/// The `credential_process` document of `profile` from the daemon at `socket`. `context` is [`crate::Setup::context`].
///
/// # Errors
/// [`GoAlone`].
pub fn credentials(socket: &Path, context: &str, profile: &str) -> Result<Answer, GoAlone> {
    ask(socket, context, &format!("/v1/credentials/{}", encode(profile)))
}

/// What the daemon keeps fresh, as JSON.
///
/// # Errors
/// [`GoAlone`].
pub fn status(socket: &Path, context: &str) -> Result<Answer, GoAlone> {
    ask(socket, context, "/v1/status")
}

fn ask(socket: &Path, context: &str, path: &str) -> Result<Answer, GoAlone> {
    let name = || socket.display().to_string();
    let owner = std::fs::metadata(socket).map_err(|_| GoAlone::NoDaemon(name()))?.uid();
    // Root could read ours anyway; its daemon answers us where a grant says so.
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(GoAlone::Foreign(name()));
    }
    let stream = UnixStream::connect(socket).map_err(|_| GoAlone::NoDaemon(name()))?;
    let text = exchange(stream, context, path).map_err(GoAlone::Silent)?;
    read(&text, &name())
}

fn exchange(mut stream: UnixStream, context: &str, path: &str) -> io::Result<Secret> {
    stream.set_write_timeout(Some(CONNECTED))?;
    stream.set_read_timeout(Some(ANSWERED))?;
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: bowline\r\n{CONTEXT_HEADER}: {context}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut text)?;
    Ok(Secret::new(text))
}

fn read(text: &Secret, socket: &str) -> Result<Answer, GoAlone> {
    let strange = || GoAlone::Strange(socket.to_owned());
    let (head, body) = text.expose().split_once("\r\n\r\n").ok_or_else(strange)?;
    let status: u16 = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(strange)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length != Some(body.len()) {
        return Err(strange());
    }
    match status {
        200 => Ok(Answer::Good(Secret::new(body))),
        409 => Err(GoAlone::OtherContext),
        _ => fault(body).map(Answer::Fault).ok_or_else(strange),
    }
}

fn fault(body: &str) -> Option<Fault> {
    let value: Value = serde_json::from_str(body).ok()?;
    let error = &value["error"];
    let text = |name: &str| error[name].as_str();
    let fault = Fault::new(kind_called(text("kind")?), text("origin").unwrap_or("daemon"), text("message")?);
    Some(match text("hint") {
        Some(hint) => fault.hint(hint),
        None => fault,
    })
}

/// A path segment: everything but letters, digits and a few signs as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let escape = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use bowline_base::Kind;

    use super::*;

    fn answer(text: &str) -> Result<Answer, GoAlone> {
        read(&Secret::new(text), "/run/x/sock")
    }

    #[test]
    fn a_good_answer_is_its_body() {
        let Ok(Answer::Good(body)) = answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") else { panic!() };
        assert_eq!(body.expose(), "{}");
    }

    #[test]
    fn a_cut_off_or_strange_answer_means_go_alone() {
        for text in [
            "",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\n\r\n{}",
        ] {
            assert!(matches!(answer(text), Err(GoAlone::Strange(_))), "{text}");
        }
        let not_found = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(answer(not_found), Err(GoAlone::Strange(_))));
        let mismatch = "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(answer(mismatch), Err(GoAlone::OtherContext)));
    }

    #[test]
    fn a_fault_comes_over_with_kind_and_hint_and_unknown_fields_are_ignored() {
        let body = r#"{"error":{"kind":"login-required","message":"m","hint":"h","new":1}}"#;
        let text = format!("HTTP/1.1 503 X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let Ok(Answer::Fault(fault)) = answer(&text) else { panic!() };
        assert_eq!((fault.kind, fault.hint.as_deref()), (Kind::LoginRequired, Some("h")));
    }

    #[test]
    fn names_with_spaces_and_slashes_stay_one_segment() {
        assert_eq!(encode("a b/ü"), "a%20b%2F%C3%BC");
    }
}
