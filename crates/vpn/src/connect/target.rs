//! What a client wants to be connected to.

use http::Uri;

/// The name that stands for the VPN's own WireGuard: no name of the public DNS, and never resolved.
pub const WIREGUARD: &str = "wireguard.bowline.internal";

/// The target of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// [`WIREGUARD`]
    WireGuard,
    /// A name or an address, without brackets, and a port.
    Host(String, u16),
}

impl Target {
    /// `host:port`, and nothing besides. `None` for anything else.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let authority = uri.authority()?;
        let bare = uri.scheme().is_none() && uri.path_and_query().is_none() && !authority.as_str().contains('@');
        let port = authority.port_u16().filter(|port| bare && *port > 0)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        if host.eq_ignore_ascii_case(WIREGUARD) {
            return Some(Self::WireGuard);
        }
        (1..=253).contains(&host.len()).then(|| Self::Host(host.to_ascii_lowercase(), port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Target> {
        Target::of(&text.parse().ok()?)
    }

    #[test]
    fn a_target_is_a_host_and_a_port() {
        let host = |host: &str, port| Some(Target::Host(host.to_owned(), port));
        assert_eq!(of("example.com:443"), host("example.com", 443));
        assert_eq!(of("Example.COM.:443"), host("example.com", 443));
        assert_eq!(of("[2001:db8::1]:443"), host("2001:db8::1", 443));
        assert_eq!(of("192.0.2.1:80"), host("192.0.2.1", 80));
        assert_eq!(of("Wireguard.Bowline.Internal:51820"), Some(Target::WireGuard));
        for wrong in ["example.com", "http://example.com:80/", "me@example.com:443", "/path", "example.com:0", ":443"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
