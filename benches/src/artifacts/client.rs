//! One request at a time on a connection of its own, looked at closely.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use crate::Outcome;

/// An answer.
pub(super) struct Answer {
    /// With the status line.
    pub(super) head: String,
    /// Of the body, in hex.
    pub(super) sha256: String,
    /// Bytes of the body.
    pub(super) length: u64,
    /// From the request to the first byte of the body.
    pub(super) first_byte: Duration,
}

impl Answer {
    /// The value of the header `name`, written in lower case.
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }

    pub(super) fn is_ok(&self) -> bool {
        self.head.starts_with("HTTP/1.1 200 ")
    }
}

/// Whether bodies are summed up. It costs the machine that others are measured on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Closely,
    PastIt,
}

/// Asks `server` for `path` and reads to the end.
pub(super) fn get(server: SocketAddr, path: &str, look: Look) -> Outcome<Answer> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    let start = Instant::now();
    stream.write_all(request.as_bytes())?;
    let (mut buffer, mut head, mut sum) = (vec![0; 256 * 1024], Vec::new(), Sha256::new());
    let (mut length, mut first_byte, mut in_body) = (0, None, false);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let mut body = &buffer[..read];
        if !in_body {
            head.extend_from_slice(body);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            body = &body[read - (head.len() - end - 4)..];
            head.truncate(end);
            in_body = true;
        }
        if body.is_empty() {
            continue;
        }
        first_byte.get_or_insert_with(|| start.elapsed());
        length += body.len() as u64;
        if look == Look::Closely {
            sum.update(body);
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let announced = Answer { head, sha256: hex(&sum.finalize()), length, first_byte: first_byte.unwrap_or_default() };
    if announced.header("content-length").parse::<u64>().is_ok_and(|said| said != length) {
        return Err(format!("{path}: {length} bytes came, not what was announced: {}", announced.head).into());
    }
    Ok(announced)
}

/// The SHA-256 of `bytes` in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
