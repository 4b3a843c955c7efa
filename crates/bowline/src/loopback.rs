//! Questions to a Bowline on this machine, over plain HTTP and without a runtime.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// The longest that a step of it may take.
const LIMIT: Duration = Duration::from_secs(2);

/// One small question to this machine; the whole answer, head and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    ask(stream, &address.to_string(), path)
}

/// The same by a Unix socket.
pub(crate) fn get_unix(socket: &Path, path: &str) -> io::Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    ask(stream, "localhost", path)
}

fn ask(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<String> {
    // In one piece: who answers the first piece and closes would reset what comes after it.
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(1024 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
