//! The addresses of this machine, as the kernel lists them: what must not be reached through us.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv6Addr},
};

/// Every address of every interface. Empty on a system without `/proc/net`.
#[must_use]
pub fn own() -> BTreeSet<IpAddr> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (routes, interfaces) = (read("/proc/net/fib_trie"), read("/proc/net/if_inet6"));
    local_routes(&routes).chain(interfaces.lines().filter_map(of_interface)).collect()
}

/// In the kernel's table of routes an address stands on a line, and what it is to this machine on a later one.
fn local_routes(text: &str) -> impl Iterator<Item = IpAddr> {
    let mut leaf = None;
    text.lines().filter_map(move |line| {
        if let Some((_, address)) = line.split_once("|-- ") {
            leaf = address.trim().parse().ok();
        }
        leaf.filter(|_| line.trim() == "/32 host LOCAL")
    })
}

/// 32 hexadecimal digits, then what is of no interest here.
fn of_interface(line: &str) -> Option<IpAddr> {
    let digits = line.split_whitespace().next().filter(|digits| digits.len() == 32)?;
    u128::from_str_radix(digits, 16).ok().map(|bits| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_local_is_an_own_address() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.99.1.1\n        /32 host LOCAL\n     |-- 10.99.1.255\n        /32 link BROADCAST\n";
        assert_eq!(local_routes(table).collect::<Vec<_>>(), [IpAddr::from([10, 99, 1, 1])]);
        let line = "20010db8005100000000000000000010 01 80 00 80       lo";
        assert_eq!(of_interface(line), "2001:db8:51::10".parse().ok());
        assert_eq!(of_interface("nonsense 01"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn loopback_is_one_of_ours() {
        assert!(own().contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
