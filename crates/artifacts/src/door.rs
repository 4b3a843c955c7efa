//! Who may come in: a web page that has its own name resolve to this machine may not read what only this machine may.
//!
//! A browser sends the name that it went by as `Host`. On a loopback address that can only be one of the machine's
//! own; on any other address the names are the operator's, and nothing is refused.

use std::net::{IpAddr, SocketAddr};

use http::{Request, header};

/// The listener that a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Bound to a loopback address.
    Loopback,
    /// Bound to another address, or no TCP at all.
    Open,
}

impl Door {
    /// `bound`: the listener's address, if it is TCP.
    pub(crate) fn at(bound: Option<SocketAddr>) -> Self {
        if bound.is_some_and(|bound| is_own(bound.ip())) { Self::Loopback } else { Self::Open }
    }

    /// Goes by the authority of the request line where there is one (RFC 9112, 3.2.2), else by `Host`.
    pub(crate) fn admits<B>(self, request: &Request<B>) -> bool {
        if self == Self::Open {
            return true;
        }
        match request.uri().authority() {
            Some(authority) => is_local(authority.as_str()),
            None => request.headers().get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_local)),
        }
    }
}

/// `localhost`, `127.0.0.1:9000`, `[::1]:9000`; or nothing, which no browser sends.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_own)
}

fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, host: Option<&str>) -> Request<()> {
        let request = Request::builder().uri(uri);
        host.into_iter().fold(request, |request, host| request.header(header::HOST, host)).body(()).unwrap()
    }

    #[test]
    fn on_loopback_only_the_machine_s_own_names_come_in() {
        for host in ["localhost", "LocalHost:9000", "127.0.0.1", "127.8.9.1:80", "[::1]:9000", "[::1]", ""] {
            assert!(Door::Loopback.admits(&asked("/x", Some(host))), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9000",
            "localhost.evil.example",
            "10.0.0.1",
            "127.0.0.1.evil.com",
            "[fe80::1]",
        ] {
            assert!(!Door::Loopback.admits(&asked("/x", Some(host))), "{host}");
            assert!(Door::Open.admits(&asked("/x", Some(host))), "{host}");
        }
        assert!(Door::Loopback.admits(&asked("/x", None)));
    }

    #[test]
    fn the_request_line_outranks_the_host() {
        assert!(Door::Loopback.admits(&asked("http://localhost:9000/x", Some("evil.example"))));
        assert!(!Door::Loopback.admits(&asked("http://evil.example/x", Some("localhost"))));
        assert!(!Door::Loopback.admits(&asked("http://localhost@evil.example/x", None)));
    }

    #[test]
    fn a_door_is_what_it_is_bound_to() {
        let at = |text: &str| Door::at(Some(text.parse().unwrap()));
        assert_eq!([at("127.0.0.1:1"), at("[::1]:1"), at("[::ffff:127.0.0.1]:1")], [Door::Loopback; 3]);
        assert_eq!([at("0.0.0.0:1"), at("[::]:1"), Door::at(None)], [Door::Open; 3]);
    }
}
