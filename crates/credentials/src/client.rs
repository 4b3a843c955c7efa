//! The other end of the daemon's socket, for `bowline creds` and its like: blocking, no runtime, one request.
//!
//! Whatever does not look like a daemon of ours with the same context means: go alone. A first fetch may take long, but
//! a daemon that is stopped must not: whenever nothing has come for a second, a second connection asks if it is alive.

use std::{
    fs,
    io::{self, Read, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
    path::Path,
    time::Duration,
};

use bowline_base::{Fault, Secret};
use rustix::{
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt},
    process::Uid,
};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{lease_file::kind_called, socket::CONTEXT_HEADER, vault::door};

/// What a daemon that is alive answers at once.
pub(crate) const PING: &str = "/v1/ping";

/// Where the machine's service listens, whoever its user is: nobody but root can make that directory. Who is believed
/// there is that user, no more.
pub const SERVICE_SOCKET: &str = "/run/bowline/sock";

/// After so long a silence a daemon is asked whether it is alive, and has as long to say so.
const SILENCE: Duration = Duration::from_secs(1);
/// A first fetch may have to wait for AWS: so many silences at the most.
const MOST_SILENCES: usize = 60;
const LONGEST_ANSWER: u64 = 1024 * 1024;
/// No answer with a key in it is longer: its buffer never moves, and so leaves no copy behind.
const USUAL_ANSWER: usize = 64 * 1024;

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
    #[error("the daemon runs with other AWS files, endpoints or identities than this command")]
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

/// The `credential_process` document of `profile` from the daemon at `socket`. `context` is of [`crate::Context`].
///
/// # Errors
/// [`GoAlone`].
pub fn credentials(socket: &Path, context: &str, profile: &str) -> Result<Answer, GoAlone> {
    let path = format!("/v1/credentials/{}", encode(profile));
    put(socket, context, &Question::get(&path), Trust::of_credentials(rustix::process::geteuid()))
}

/// The version of the document that [`status`] gives and `bowline status --output json` prints. Keys are added without
/// another number; one that goes or changes its meaning takes one.
pub const STATUS_VERSION: u8 = 1;

/// How the daemon and all of its jobs stand, as JSON.
///
/// # Errors
/// [`GoAlone`].
pub fn status(socket: &Path, context: &str) -> Result<Answer, GoAlone> {
    put(socket, context, &Question::get("/v1/status"), Trust::Service)
}

/// What a person has to be asked so that the daemon can open the vault: `{"question": …}`, null if nothing helps.
///
/// # Errors
/// [`GoAlone`].
pub fn vault_question(socket: &Path, context: &str) -> Result<Answer, GoAlone> {
    ask(socket, context, door::QUESTION)
}

/// What is in the daemon's vault: a [`Listing`](crate::vault::Listing) as JSON.
///
/// # Errors
/// [`GoAlone`].
pub fn vault_listing(socket: &Path, context: &str) -> Result<Answer, GoAlone> {
    ask(socket, context, door::LIST)
}

/// Has the daemon open its vault.
///
/// # Errors
/// [`GoAlone`].
pub fn vault_open(socket: &Path, context: &str, passphrase: &Secret) -> Result<Answer, GoAlone> {
    put(socket, context, &Question { method: "POST", path: door::OPEN, body: Some(passphrase) }, Trust::Own)
}

/// Has the daemon wipe what it holds of its vault.
///
/// # Errors
/// [`GoAlone`].
pub fn vault_lock(socket: &Path, context: &str) -> Result<Answer, GoAlone> {
    put(socket, context, &Question { method: "POST", path: door::LOCK, body: None }, Trust::Own)
}

/// One request.
struct Question<'a> {
    method: &'static str,
    path: &'a str,
    body: Option<&'a Secret>,
}

impl<'a> Question<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: None }
    }
}

fn ask(socket: &Path, context: &str, path: &str) -> Result<Answer, GoAlone> {
    put(socket, context, &Question::get(path), Trust::Own)
}

/// Whose daemon may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// This user's and root's.
    Own,
    /// The machine's service too.
    Service,
}

impl Trust {
    /// Root takes none from a process with fewer rights: whoever has taken that over would choose the account into which
    /// root's backups go.
    fn of_credentials(asker: Uid) -> Self {
        if asker.is_root() { Self::Own } else { Self::Service }
    }

    /// Root could read ours anyway; its daemon answers us where a grant says so.
    fn admits(self, owner: Uid, socket: &Path) -> bool {
        let asker = rustix::process::geteuid();
        match self {
            Self::Service if socket == Path::new(SERVICE_SOCKET) => true,
            // A supervisor that opened the socket for somebody else counts as the one who listens: then the place tells.
            Self::Own if asker.is_root() => owner.is_root() && socket.parent().is_some_and(is_roots),
            _ => owner.is_root() || owner == asker,
        }
    }
}

fn is_roots(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|found| found.uid() == 0)
}

fn put(socket: &Path, context: &str, question: &Question<'_>, trust: Trust) -> Result<Answer, GoAlone> {
    let name = || socket.display().to_string();
    let stream = connect(socket, SILENCE).map_err(|_| GoAlone::NoDaemon(name()))?;
    // Of the process that listens, not of the path, which may have been replaced in the meantime.
    let owner = sockopt::socket_peercred(&stream).map_err(|error| GoAlone::Silent(error.into()))?.uid;
    if !trust.admits(owner, socket) {
        return Err(GoAlone::Foreign(name()));
    }
    let alive = || connect(socket, SILENCE).and_then(|stream| is_alive(stream, context));
    let text = exchange(stream, context, question, alive).map_err(GoAlone::Silent)?;
    read(&text, &name())
}

/// A connection on which nothing lasts longer than `limit`: not even connecting, which waits while the queue of a
/// stopped process is full.
fn connect(socket: &Path, limit: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let descriptor: OwnedFd =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for timeout in [sockopt::Timeout::Send, sockopt::Timeout::Recv] {
        sockopt::set_socket_timeout(&descriptor, timeout, Some(limit))?;
    }
    rustix::net::connect(&descriptor, &address)?;
    Ok(descriptor.into())
}

/// Sends one question and reads its answer to the end; `alive` is asked whenever nothing has come for a while.
fn exchange(
    mut stream: UnixStream,
    context: &str,
    question: &Question<'_>,
    alive: impl Fn() -> io::Result<()>,
) -> io::Result<Secret> {
    send(&mut stream, context, question)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_ANSWER));
    for _ in 0..MOST_SILENCES {
        let left = LONGEST_ANSWER - bytes.len() as u64;
        match Read::by_ref(&mut stream).take(left).read_to_end(&mut bytes) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => alive()?,
            Err(error) => return Err(error),
            Ok(_) => return text(std::mem::take(&mut *bytes)),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// What is no text is wiped too.
fn text(bytes: Vec<u8>) -> io::Result<Secret> {
    String::from_utf8(bytes).map(Secret::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        io::Error::other("the answer is no text")
    })
}

/// Any answer will do: a daemon of another version is alive too.
fn is_alive(mut stream: UnixStream, context: &str) -> io::Result<()> {
    send(&mut stream, context, &Question::get(PING))?;
    stream.read_exact(&mut [0])
}

fn send(stream: &mut UnixStream, context: &str, question: &Question<'_>) -> io::Result<()> {
    let Question { method, path, body } = question;
    let length = body.map_or_else(String::new, |body| format!("content-length: {}\r\n", body.expose().len()));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: bowline\r\n{CONTEXT_HEADER}: {context}\r\n{length}connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    body.map_or(Ok(()), |body| stream.write_all(body.expose().as_bytes()))
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
    let message = text("what").or(text("message"))?;
    let causes = error["causes"].as_array().into_iter().flatten().filter_map(|cause| cause.as_str().map(str::to_owned));
    let fault =
        Fault::new(kind_called(text("kind")?), text("origin").unwrap_or("daemon"), message).because(causes.collect());
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
    use std::os::unix::net::UnixListener;

    use bowline_base::Kind;

    use super::*;

    fn answer(text: &str) -> Result<Answer, GoAlone> {
        read(&Secret::new(text), "/run/x/sock")
    }

    /// A socket that is listened on; `serve` gets each connection with its number.
    fn daemon(serve: impl Fn(usize, UnixStream) + Send + 'static) -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                // Closed with something unread, it would be a reset.
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                serve(n, stream);
            }
        });
        (home, socket)
    }

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

    fn asked(socket: &Path, silence: Duration) -> io::Result<Secret> {
        let alive = || connect(socket, silence).and_then(|stream| is_alive(stream, ""));
        exchange(connect(socket, silence).unwrap(), "", &Question::get("/v1/credentials/p"), alive)
    }

    #[test]
    fn a_stopped_daemon_is_given_up_after_two_silences() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("sock");
        let _listens_and_never_answers = UnixListener::bind(&socket).unwrap();
        let begun = bowline_host::clock::now().boot;
        assert!(matches!(credentials(&socket, "", "p"), Err(GoAlone::Silent(_))));
        assert!(bowline_host::clock::now().boot - begun < Duration::from_secs(3));
    }

    #[test]
    fn a_stopped_daemon_whose_queue_is_full_keeps_nobody() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let silence = Duration::from_millis(20);
        let waiting: Vec<_> = std::iter::from_fn(|| connect(&socket, silence).ok()).take(100).collect();
        assert!(waiting.len() < 100);
    }

    #[test]
    fn a_daemon_that_is_alive_may_take_its_time() {
        let held = std::sync::Mutex::new(None);
        let (_home, socket) = daemon(move |n, mut stream| match n {
            0 => *held.lock().unwrap() = Some(stream),
            1 | 2 => stream.write_all(GOOD).unwrap(),
            _ => {
                stream.write_all(GOOD).unwrap();
                held.lock().unwrap().take().unwrap().write_all(GOOD).unwrap();
            }
        });
        assert!(asked(&socket, Duration::from_millis(100)).unwrap().expose().ends_with("{}"));
    }

    #[test]
    fn who_listens_is_asked_and_not_whose_the_path_is() {
        let (_home, socket) = daemon(|_, mut stream| stream.write_all(GOOD).unwrap());
        if std::os::unix::fs::chown(&socket, Some(65534), None).is_err() {
            eprintln!("the path's owner stays: this user may not change it");
        }
        assert!(matches!(credentials(&socket, "", "p"), Ok(Answer::Good(_))));
    }

    #[test]
    fn another_user_s_daemon_is_believed_only_where_root_alone_can_have_put_it() {
        let other = Uid::from_raw(rustix::process::geteuid().as_raw() + 4321);
        let (service, elsewhere) = (Path::new(SERVICE_SOCKET), Path::new("/tmp/bowline/sock"));
        assert!(Trust::Service.admits(other, service) && !Trust::Service.admits(other, elsewhere));
        assert!(!Trust::Own.admits(other, service), "the vault is nobody else's");
        assert!(Trust::Own.admits(Uid::ROOT, Path::new("/etc/sock")));
    }

    /// A supervisor that opened the socket for it is root to the kernel.
    #[test]
    fn root_believes_nobody_in_a_directory_of_somebody_else() {
        let home = tempfile::tempdir().unwrap();
        if std::os::unix::fs::chown(home.path(), Some(65534), None).is_err() {
            println!("skipped: only root can give a directory away");
            return;
        }
        assert!(!Trust::Own.admits(Uid::ROOT, &home.path().join("sock")));
    }

    #[test]
    fn root_takes_credentials_from_its_own_alone_and_others_where_a_grant_names_them() {
        assert_eq!(Trust::of_credentials(Uid::ROOT), Trust::Own);
        assert_eq!(Trust::of_credentials(Uid::from_raw(1000)), Trust::Service);
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
