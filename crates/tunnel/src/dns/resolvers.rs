//! The resolvers of this machine, from the text of `/etc/resolv.conf`.

use std::net::{IpAddr, SocketAddr};

/// Every `nameserver`, but for link-local ones with a zone and those in `own`: asking ourselves would never end.
#[must_use]
pub fn resolvers(resolv_conf: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in resolv_conf.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        let resolver = SocketAddr::new(address, 53);
        if !own.contains(&address) && !address.is_unspecified() && !found.contains(&resolver) {
            found.push(resolver);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_found_among_everything_else() {
        let text = "# made by a cloud\nsearch ec2.internal\nnameserver 10.0.0.2 # first\n nameserver\t2001:db8::53\n\
                    nameserver fe80::1%eth0\nnameserver 10.77.0.1\nnameserver 10.0.0.2\nnameserver\noptions edns0\n;nameserver 9.9.9.9\n";
        let found = resolvers(text, &["10.77.0.1".parse().unwrap()]);
        assert_eq!(found, ["10.0.0.2:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()]);
    }
}
