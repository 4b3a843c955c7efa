//! Every TCP address that a job listens on, and which of them would be one.

use std::net::SocketAddr;

use super::Config;

/// An address and the key that says it.
type Door = ([&'static str; 2], SocketAddr);

/// Two doors that would be one: the later of the two, and what is wrong. Requests would reach either job by chance.
pub(crate) fn clashes(config: &Config, status_page: bool) -> Vec<([&'static str; 2], String)> {
    let doors = doors(config, status_page);
    let earlier = |at: usize, door: &Door| {
        let other = doors[..at].iter().find(|other| other.0 != door.0 && are_one(other.1, door.1))?;
        let [one, two] = [other.0, door.0].map(|path| path.join("."));
        Some(if other.1 == door.1 {
            format!("`{one}` and `{two}` both want {}", door.1)
        } else {
            format!("`{one}` wants {}, and `{two}` {} within it", other.1, door.1)
        })
    };
    doors.iter().enumerate().filter_map(|(at, door)| Some((door.0, earlier(at, door)?))).collect()
}

fn doors(config: &Config, status_page: bool) -> Vec<Door> {
    let all = |key: [&'static str; 2], addresses: &[SocketAddr]| -> Vec<Door> {
        addresses.iter().map(|address| (key, *address)).collect()
    };
    let mut doors = Vec::new();
    if status_page {
        doors.push((["daemon", "listen"], config.daemon.listen));
    }
    if let Some(artifacts) = &config.artifacts {
        doors.extend(all(["artifacts", "listen"], &artifacts.listen));
    }
    if let Some(endpoint) = &config.endpoint {
        doors.extend(all(["endpoint", "listen"], &endpoint.listen));
        doors.extend(endpoint.imds.map(|address| (["endpoint", "imds"], address)));
    }
    if let Some(vpn) = &config.vpn {
        doors.push((["vpn", "api"], vpn.api));
        doors.extend(vpn.proxy.map(|address| (["vpn", "proxy"], address)));
    }
    doors
}

/// The system chooses another port for each 0. What listens on every address of IPv6 listens on those of IPv4 too.
pub(crate) fn are_one(one: SocketAddr, other: SocketAddr) -> bool {
    let covers =
        |wide: SocketAddr, narrow: SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_one_where_a_connection_could_reach_either() {
        for (one, other, same) in [
            ("127.0.0.1:9000", "127.0.0.1:9000", true),
            ("127.0.0.1:9000", "127.0.0.1:9001", false),
            ("127.0.0.1:9000", "127.0.0.2:9000", false),
            ("0.0.0.0:9000", "127.0.0.1:9000", true),
            ("0.0.0.0:9000", "[::1]:9000", false),
            ("[::]:9000", "127.0.0.1:9000", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((are_one(one, other), are_one(other, one)), (same, same), "{one} {other}");
        }
    }
}
