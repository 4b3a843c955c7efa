//! The ranges that are refused, with the reason and with what opens them. A narrow one stands before a wide one.

use std::{net::IpAddr, sync::LazyLock};

use super::Reason::{
    self, Broadcast, CredentialAddress, LinkLocal, Loopback, Multicast, Private, Reserved, SharedAddress, Unspecified,
    Wrapped,
};
use crate::Prefix;

use self::Opening::{Any, Flag, Inside};

/// What opens a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing but the loud flag.
    Flag,
    /// An allowed range that holds the address.
    Any,
    /// An allowed range that lies within this one: `0.0.0.0/0` is not meant to say "and this machine".
    Inside,
}

/// One line of the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    net: Prefix,
    pub(super) reason: Reason,
    pub(super) opening: Opening,
}

impl Range {
    /// Whether all of `net` lies in it.
    pub(super) fn holds(&self, net: Prefix) -> bool {
        net.bits() >= self.net.bits() && self.net.contains(net.address())
    }
}

/// The narrowest refused range that holds `ip`.
pub(super) fn of(ip: IpAddr) -> Option<Range> {
    RANGES.iter().find(|range| range.net.contains(ip)).copied()
}

static RANGES: LazyLock<Vec<Range>> = LazyLock::new(|| {
    let read = |(net, reason, opening): &(&str, Reason, Opening)| Range {
        net: net.parse().expect("every line of the list is a range"),
        reason: *reason,
        opening: *opening,
    };
    LIST.iter().map(read).collect()
});

/// First Amazon's services on the link: metadata, time and DNS, credentials of ECS tasks and of EKS pods. Then what RFC
/// 6890 and the IANA registries reserve.
const LIST: [(&str, Reason, Opening); 33] = [
    ("169.254.169.254", CredentialAddress, Flag),
    ("169.254.169.123", CredentialAddress, Flag),
    ("169.254.169.253", CredentialAddress, Flag),
    ("169.254.170.2", CredentialAddress, Flag),
    ("169.254.170.23", CredentialAddress, Flag),
    ("fd00:ec2::254", CredentialAddress, Flag),
    ("fd00:ec2::123", CredentialAddress, Flag),
    ("fd00:ec2::253", CredentialAddress, Flag),
    ("fd00:ec2::23", CredentialAddress, Flag),
    ("0.0.0.0/8", Unspecified, Inside),
    ("127.0.0.0/8", Loopback, Inside),
    ("169.254.0.0/16", LinkLocal, Inside),
    ("10.0.0.0/8", Private, Any),
    ("172.16.0.0/12", Private, Any),
    ("192.168.0.0/16", Private, Any),
    ("100.64.0.0/10", SharedAddress, Any),
    ("192.0.0.0/24", Reserved, Any),
    ("198.18.0.0/15", Reserved, Any),
    ("224.0.0.0/4", Multicast, Inside),
    ("255.255.255.255", Broadcast, Inside),
    ("240.0.0.0/4", Reserved, Inside),
    ("::", Unspecified, Inside),
    ("::1", Loopback, Inside),
    ("::/96", Wrapped, Inside),
    ("64:ff9b::/96", Wrapped, Any),
    ("64:ff9b:1::/48", Wrapped, Any),
    ("100::/64", Reserved, Inside),
    ("2001::/32", Wrapped, Any),
    ("2002::/16", Wrapped, Any),
    ("fc00::/7", Private, Any),
    ("fe80::/10", LinkLocal, Inside),
    ("fec0::/10", Private, Any),
    ("ff00::/8", Multicast, Inside),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_range_stands_before_the_wide_one_that_holds_it() {
        for (place, range) in RANGES.iter().enumerate() {
            let hidden = RANGES[..place].iter().find(|earlier| earlier.holds(range.net));
            assert!(hidden.is_none(), "{range:?} is hidden by {hidden:?}");
        }
    }

    #[test]
    fn every_range_is_written_as_its_network() {
        for (range, (text, ..)) in RANGES.iter().zip(LIST) {
            let bare = range.net.to_string();
            assert!(bare == text || (range.net.is_host() && bare.split('/').next() == Some(text)), "{text} is {bare}");
        }
    }
}
