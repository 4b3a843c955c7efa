//! Which requests are looked at at all, whoever sends them: a web page, a rebound name, a proxy are turned away. Pure.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, header};

use super::answer::Refusal;

/// Headers that only a browser or a proxy sends. No SDK does.
const FOREIGN: [&str; 8] =
    ["origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "x-forwarded-for", "forwarded", "via"];

/// Link-local addresses that SDKs know for container credentials and for instance metadata.
const LINK_LOCAL: [&str; 5] = ["169.254.170.2", "169.254.170.23", "169.254.169.254", "fd00:ec2::23", "fd00:ec2::254"];

/// The names under which one listening address is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// The names of `own`: the address itself, and on loopback its other names; with the port, which may be left out
    /// where it is 80.
    pub(super) fn of(own: SocketAddr) -> Self {
        let written = |ip: IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let mut names = vec![written(own.ip())];
        if own.ip().is_loopback() {
            names.extend(["127.0.0.1", "localhost", "[::1]"].map(ToOwned::to_owned));
        }
        let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{}", own.port())).collect();
        if own.port() == 80 {
            hosts.extend(names);
        }
        hosts.sort();
        hosts.dedup();
        Self(hosts)
    }

    fn know(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else { return false };
        host.to_str().is_ok_and(|host| self.0.iter().any(|known| known.eq_ignore_ascii_case(host)))
    }
}

/// Whether `ip` may be listened on without further thought: this machine alone can reach it.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || LINK_LOCAL.iter().any(|known| known.parse() == Ok(ip))
}

/// Why the request is turned away; `None` when it may be looked at. `hosts` is `None` on a Unix socket, which no web
/// page can reach.
pub(super) fn refusal(
    methods: &[Method],
    method: &Method,
    headers: &HeaderMap,
    hosts: Option<&Hosts>,
) -> Option<Refusal> {
    if hosts.is_some_and(|hosts| !hosts.know(headers)) {
        return Some(Refusal::new(403, "InvalidHost", "this address answers to its own name only"));
    }
    if let Some(name) = FOREIGN.iter().find(|name| headers.contains_key(**name)) {
        return Some(Refusal::new(403, "ForwardedRequest", format!("a request with `{name}` is not answered")));
    }
    if !methods.contains(method) {
        return Some(Refusal::new(405, "MethodNotAllowed", format!("{method} is not known here")));
    }
    None
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn status(method: &Method, given: &[(&str, &str)]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let hosts = Hosts::of(([127, 0, 0, 1], 9911).into());
        refusal(&[Method::GET], method, &headers, Some(&hosts)).map(|refusal| refusal.status())
    }

    #[test]
    fn only_its_own_names_are_answered() {
        for good in ["127.0.0.1:9911", "localhost:9911", "LOCALHOST:9911", "[::1]:9911"] {
            assert_eq!(status(&Method::GET, &[("host", good)]), None, "{good}");
        }
        for bad in ["127.0.0.1", "127.0.0.1:80", "evil.example:9911", "localhost.evil.example:9911", "169.254.169.254"]
        {
            assert_eq!(status(&Method::GET, &[("host", bad)]), Some(403), "{bad}");
        }
        assert_eq!(status(&Method::GET, &[]), Some(403));
        assert_eq!(status(&Method::GET, &[("host", "localhost:9911"), ("host", "localhost:9911")]), Some(403));
    }

    #[test]
    fn what_a_browser_or_a_proxy_sends_is_turned_away() {
        for name in FOREIGN {
            assert_eq!(status(&Method::GET, &[("host", "localhost:9911"), (name, "x")]), Some(403), "{name}");
        }
    }

    #[test]
    fn other_methods_are_not_known() {
        for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::HEAD, Method::DELETE] {
            assert_eq!(status(&method, &[("host", "localhost:9911")]), Some(405), "{method}");
        }
    }

    #[test]
    fn a_link_local_address_is_asked_without_its_port() {
        let hosts = Hosts::of(([169, 254, 170, 2], 80).into());
        assert_eq!(hosts, Hosts(vec!["169.254.170.2".to_owned(), "169.254.170.2:80".to_owned()]));
        assert!(is_local([169, 254, 170, 2].into()) && !is_local([172, 17, 0, 1].into()));
    }
}
