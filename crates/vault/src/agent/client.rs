//! The agent's socket: connect, ask, read one bounded answer, each step with a time limit.

use std::{
    io::{self, Read, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Signer, error::AgentError, wire};
use crate::ssh::PublicKey;

/// An answer that comes in more pieces than this is not waited for: it bounds the whole wait, without a clock.
const MOST_READS: usize = 16;

/// An ssh-agent behind a Unix socket.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
    patience: Duration,
}

impl Agent {
    /// The agent at `socket` (`SSH_AUTH_SOCK`). `patience` is how long one answer may take: a person may have to
    /// confirm it.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>, patience: Duration) -> Self {
        Self { socket: socket.into(), patience }
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn ask(&self, question: &[u8]) -> Result<Vec<u8>, AgentError> {
        self.exchange(question).map_err(|error| match error {
            Broken::Io(error) if is_timeout(&error) => AgentError::Silent(self.socket.clone()),
            Broken::Io(error) => AgentError::Unreachable { socket: self.socket.clone(), error },
            Broken::Protocol(error) => error,
        })
    }

    fn exchange(&self, question: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut stream = UnixStream::connect(&self.socket)?;
        // A timeout of zero is an error to the system, and means "no patience" to a person.
        let patience = self.patience.max(Duration::from_millis(1));
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(question)?;
        let mut head = [0; 4];
        read_exactly(&mut stream, &mut head)?;
        let mut message = vec![0; wire::length(head)?];
        read_exactly(&mut stream, &mut message)?;
        Ok(message)
    }
}

impl Signer for Agent {
    fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
        wire::keys(&self.ask(&wire::ask_keys())?)
    }

    fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        wire::signature(&self.ask(&wire::ask_signature(key, data))?, key)
    }
}

enum Broken {
    Io(io::Error),
    Protocol(AgentError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<AgentError> for Broken {
    fn from(error: AgentError) -> Self {
        Self::Protocol(error)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn read_exactly(stream: &mut UnixStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    for _ in 0..MOST_READS {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => filled += more,
        }
        if filled == buffer.len() {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
