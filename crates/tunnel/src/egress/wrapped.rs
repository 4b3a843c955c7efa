//! IPv4 addresses inside IPv6 ones: some gateway on the way may unwrap them, so each is judged too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Prefix;

/// Every IPv4 address that `ip` may stand for (two where a form leaves it open). IPv4-mapped ones are canonical already.
pub(super) fn inside(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let pair = match ip {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(ip) => unwrap(ip),
    };
    pair.into_iter().flatten().map(IpAddr::V4)
}

/// The range in IPv4 where it is written as IPv4-mapped.
pub(super) fn canonical(net: Prefix) -> Prefix {
    let mapped = net.bits().checked_sub(96).zip(Some(net.address().to_canonical()).filter(IpAddr::is_ipv4));
    mapped.and_then(|(bits, address)| Prefix::new(address, bits)).unwrap_or(net)
}

fn unwrap(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let groups = ip.segments();
    let tail = join(groups[6], groups[7]);
    match groups {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // IPv4-compatible, and NAT64 by its well-known prefix.
        [0, 0, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => [Some(tail), None],
        // Local NAT64 of RFC 8215: by RFC 6052 after 48 bits, where bits 64 to 71 are skipped, or after 96.
        [0x64, 0xff9b, 1, high, low, last, _, _] => {
            [join(high, low << 8 | last >> 8), tail].map(|ip| Some(ip).filter(|ip| !ip.is_unspecified()))
        }
        [0x2002, high, low, _, _, _, _, _] => [Some(join(high, low)), None],
        // Teredo: its server, and the client with every bit turned.
        [0x2001, 0, high, low, _, _, _, _] => [Some(join(high, low)), Some(join(!groups[6], !groups[7]))],
        _ => [None, None],
    }
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_range_is_the_one_that_it_maps() {
        let canonical = |net: &str| canonical(net.parse().unwrap()).to_string();
        assert_eq!(canonical("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        for net in ["::/0", "::ffff:0:0/95", "10.0.0.0/8", "0.0.0.0/0", "fd00::/8"] {
            assert_eq!(canonical(net), net.parse::<Prefix>().unwrap().to_string());
        }
    }

    #[test]
    fn every_form_gives_up_what_it_holds() {
        let found = |ip: &str| inside(ip.parse().unwrap()).map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(found("64:ff9b::192.0.2.33"), ["192.0.2.33"]);
        assert_eq!(found("64:ff9b:1:c000:2:2100::"), ["192.0.2.33"]);
        assert_eq!(found("2002:c000:221::9"), ["192.0.2.33"]);
        assert_eq!(found("2001:0:4136:e378:8000:63bf:3fff:fdd2"), ["65.54.227.120", "192.0.2.45"]);
        assert_eq!(found("::192.0.2.33"), ["192.0.2.33"]);
        for plain in ["::", "::1", "2606:4700::1111", "192.0.2.33", "fd00:ec2::254"] {
            assert_eq!(found(plain), Vec::<String>::new(), "{plain}");
        }
    }
}
