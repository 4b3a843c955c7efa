//! `bowline serve`, and requests to it as its clients make them: one connection each.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{Running, World, free_address, until};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(18);

/// `bowline serve` and what its clients are told.
pub(crate) struct Serving {
    _process: Running,
    pub(crate) address: SocketAddr,
    pub(crate) imds: SocketAddr,
    pub(crate) token: String,
    pub(crate) exports: Vec<(String, String)>,
}

impl Serving {
    /// Serves `profiles`; returns when the first has credentials in memory.
    #[track_caller]
    pub(crate) fn start(world: &World, profiles: &[&str]) -> Self {
        let (address, imds) = (free_address(), free_address());
        let mut command = world.bowline(&["serve"]);
        command.args(profiles).args(["--listen", &address.to_string(), "--imds", &imds.to_string()]);
        let process = world.start("serve", &mut command);
        until(Duration::from_secs(10), "the exports are printed", || process.stdout().contains("METADATA"));
        let export = |line: &str| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('\'').to_owned()))
        };
        let exports: Vec<(String, String)> = process.stdout().lines().filter_map(export).collect();
        let token = fs::read_to_string(&exports[1].1).unwrap();
        let serving = Self { _process: process, address, imds, token, exports };
        until(Duration::from_secs(10), "credentials are in memory", || serving.role(profiles[0]).0 == 200);
        serving
    }

    /// What a client with the token is answered.
    pub(crate) fn role(&self, profile: &str) -> (u16, String) {
        ask(self.address, "GET", &format!("/v1/role/{profile}"), &[("authorization", &self.token)])
    }
}

/// Status and all of the answer, on a connection of its own.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream, &address.to_string(), method, path, headers)
}

/// The same over a Unix socket.
pub(crate) fn ask_unix(socket: &Path, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream, "localhost", "GET", path, headers)
}

/// The body of an answer as JSON.
pub(crate) fn document(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let named = headers.iter().any(|(name, _)| *name == "host");
    let host = if named { String::new() } else { format!("host: {host}\r\n") };
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}{lines}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer)
}
