//! What kept an exchange from taking place, told apart for people: a name, a port, silence, a handshake, a proxy.
//!
//! It looks at an error that is there already; nothing is asked again, and nobody decides by it.

use std::{error::Error, fmt, io};

use bowline_base::wire::WireError;

/// Why a host was not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its name has no address.
    NoAddress(String),
    /// Nobody listens there.
    Refused,
    /// Nothing came back in time.
    Silent,
    /// The TLS handshake failed.
    Tls(String),
    /// The proxy would not go there.
    Proxy(String),
    /// Anything else.
    Other(String),
}

impl Obstacle {
    /// The deepest reason that `error` knows.
    #[must_use]
    pub fn of(error: &WireError) -> Self {
        if matches!(error, WireError::TimedOut { .. }) {
            return Self::Silent;
        }
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        let (mut proxy, mut last) = (None, error.to_string());
        while let Some(cause) = next {
            last = cause.to_string();
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls.to_string());
            }
            // hyper-util's own type is private; this is all that it says.
            if last == "dns error" {
                return Self::NoAddress(cause.source().map_or_else(String::new, ToString::to_string));
            }
            if let Some(words) = last.strip_prefix("tunnel error: ") {
                proxy = Some(words.to_owned());
            }
            let io = cause.downcast_ref::<io::Error>();
            match io.map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => return Self::Refused,
                Some(io::ErrorKind::TimedOut) => return Self::Silent,
                _ => {}
            }
            // An io::Error passes over the error that it was made of when it is asked for its source.
            next = match io.and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => cause.source(),
            };
        }
        proxy.map_or(Self::Other(last), Self::Proxy)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(why) => write!(f, "DNS knows no address for it ({why})"),
            Self::Refused => f.write_str("the connection is refused: nobody listens there"),
            Self::Silent => f.write_str("no answer in time"),
            Self::Tls(why) => write!(f, "the TLS handshake failed: {why}"),
            Self::Proxy(why) => write!(f, "the proxy would not connect: {why}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener, time::Duration};

    use bowline_base::wire::{Limits, Wire as _};
    use bytes::Bytes;

    use super::*;
    use crate::{HttpWire, client::Outside};

    async fn met(url: &str, outside: &Outside) -> Obstacle {
        let limits = Limits { head: Duration::from_secs(1), idle: Duration::from_secs(1) };
        let request = http::Request::get(url).body(Bytes::new()).unwrap();
        Obstacle::of(&HttpWire::new(outside).unwrap().send(request, limits).await.unwrap_err())
    }

    /// Answers every connection with these bytes, or with nothing at all.
    fn stranger(says: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.write_all(says).ok();
                kept.push(stream);
            }
        });
        port
    }

    #[tokio::test]
    async fn each_obstacle_is_told_from_the_others() {
        let direct = Outside::default();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(met(&format!("http://127.0.0.1:{closed}"), &direct).await, Obstacle::Refused);
        assert!(matches!(met("https://nobody.invalid", &direct).await, Obstacle::NoAddress(_)));
        let plain = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        assert!(matches!(met(&format!("https://127.0.0.1:{plain}"), &direct).await, Obstacle::Tls(_)));
        let silent = stranger(b"");
        assert_eq!(met(&format!("http://127.0.0.1:{silent}"), &direct).await, Obstacle::Silent);
        let refusing = stranger(b"HTTP/1.1 403 Forbidden\r\n\r\n");
        let https_proxy = Some(format!("http://127.0.0.1:{refusing}"));
        let through = Outside { https_proxy, ..Outside::default() };
        assert!(matches!(met("https://aws.example", &through).await, Obstacle::Proxy(_)));
    }
}
