//! Whether an address can be a site's public one. EC2 makes gateways for private addresses without a word, so it is said
//! here.

use std::net::{IpAddr, Ipv4Addr};

/// An address that no site has towards the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// 10/8, 172.16/12, 192.168/16.
    #[error("`{0}` is a private address")]
    Private(Ipv4Addr),
    /// 100.64/10: the provider shares one public address among many customers, and no VPN can come in to it.
    #[error("`{0}` is behind carrier-grade NAT (CGNAT): the line has no public address of its own")]
    Cgnat(Ipv4Addr),
    /// 127/8.
    #[error("`{0}` is a loopback address")]
    Loopback(Ipv4Addr),
    /// 169.254/16.
    #[error("`{0}` is a link-local address")]
    LinkLocal(Ipv4Addr),
    /// 224/4.
    #[error("`{0}` is a multicast address")]
    Multicast(Ipv4Addr),
    /// 192.0.2/24, 198.51.100/24, 203.0.113/24.
    #[error("`{0}` is an address for documentation")]
    Documentation(Ipv4Addr),
    /// 0/8, 192.0.0/24, 192.88.99/24, 198.18/15, 240/4.
    #[error("`{0}` is a reserved address")]
    Reserved(Ipv4Addr),
    /// A gateway has IPv4 here.
    #[error("`{0}` is an IPv6 address, and the VPN runs over IPv4")]
    V6(IpAddr),
}

/// The address, if a site can have it; `::ffff:a.b.c.d` is the IPv4 address in it. With `documentation`, addresses for
/// documentation are taken too: for tests.
///
/// # Errors
/// [`Unusable`] by the name of its range.
pub fn usable(address: IpAddr, documentation: bool) -> Result<Ipv4Addr, Unusable> {
    let IpAddr::V4(v4) = address.to_canonical() else { return Err(Unusable::V6(address)) };
    let refused: fn(Ipv4Addr) -> Unusable = match v4.octets() {
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Unusable::Private,
        [100, 64..=127, ..] => Unusable::Cgnat,
        [127, ..] => Unusable::Loopback,
        [169, 254, ..] => Unusable::LinkLocal,
        [224..=239, ..] => Unusable::Multicast,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] if documentation => return Ok(v4),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Unusable::Documentation,
        [0 | 240..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => Unusable::Reserved,
        _ => return Ok(v4),
    };
    Err(refused(v4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> String {
        match usable(text.parse().unwrap(), false) {
            Ok(address) => address.to_string(),
            Err(unusable) => unusable.to_string(),
        }
    }

    #[test]
    fn every_range_is_refused_by_name_at_both_ends() {
        let ranges = [
            (
                "private",
                "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 ::ffff:10.0.0.1",
            ),
            ("CGNAT", "100.64.0.0 100.127.255.255"),
            ("loopback", "127.0.0.0 127.255.255.255"),
            ("link-local", "169.254.0.0 169.254.255.255"),
            ("multicast", "224.0.0.0 239.255.255.255"),
            ("documentation", "192.0.2.0 198.51.100.7 203.0.113.255"),
            ("reserved", "0.0.0.0 0.255.255.255 192.0.0.8 198.18.0.0 198.19.255.255 240.0.0.0 255.255.255.255"),
            ("IPv6", "2001:db8::1 ::1 fe80::1"),
        ];
        for (name, addresses) in ranges {
            for address in addresses.split(' ') {
                assert!(verdict(address).contains(name), "{address}: {}", verdict(address));
            }
        }
    }

    #[test]
    fn neighbours_of_the_ranges_are_public() {
        let public = "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.1.0 \
                      192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255";
        for address in public.split_whitespace() {
            assert_eq!(verdict(address), address);
        }
        assert_eq!(verdict("::ffff:1.1.1.1"), "1.1.1.1");
        assert!(usable("198.51.100.7".parse().unwrap(), true).is_ok());
        assert!(usable("10.0.0.7".parse().unwrap(), true).is_err());
    }
}
