//! ICMP errors: what the world, or our policy, has to say about a packet, in the words of its own family.

use std::net::{IpAddr, SocketAddr};

use bowline_host::undelivered::Undelivered;

use super::{IPV4_HEADER, Malformed, Packet, build, protocol};

/// The longest error in IPv4 (RFC 1812, 4.3.2.3) and IPv6 (RFC 4443, 2.4).
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = 1280;
/// Bytes of an ICMP header.
const HEAD: usize = 8;

/// What went wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No way to the network.
    Network,
    /// The host does not answer.
    Host,
    /// Nobody listens.
    Port,
    /// We do not speak the protocol.
    Protocol,
    /// The policy is against it.
    Prohibited,
    /// It is longer than what fits.
    TooBig {
        /// What fits.
        mtu: u16,
    },
    /// It has made too many hops.
    HopLimit,
    /// The rest of its fragments did not come.
    Reassembly,
}

impl Trouble {
    /// What the kernel's error number for a failed dial or send means to the user who caused it.
    #[must_use]
    pub fn of_errno(errno: i32) -> Option<Self> {
        use rustix::io::Errno;
        match Errno::from_raw_os_error(errno) {
            Errno::CONNREFUSED => Some(Self::Port),
            Errno::NETUNREACH | Errno::NETDOWN | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Some(Self::Network),
            Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::TIMEDOUT => Some(Self::Host),
            Errno::ACCESS | Errno::PERM => Some(Self::Prohibited),
            Errno::PROTO | Errno::NOPROTOOPT => Some(Self::Protocol),
            _ => None,
        }
    }

    /// What the network says about a packet of ours, as the user who caused it should hear it. `mtu` is the tunnel's.
    #[must_use]
    pub fn of_undelivered(undelivered: &Undelivered, mtu: u16) -> Option<Self> {
        if let Some(fits) = undelivered.mtu {
            return Some(Self::TooBig { mtu: u16::try_from(fits).unwrap_or(mtu).min(mtu) });
        }
        match (undelivered.to.is_ipv4(), undelivered.icmp) {
            (true, Some((11, 0))) | (false, Some((3, 0))) => Some(Self::HopLimit),
            (true, Some((11, _))) | (false, Some((3, _))) => Some(Self::Reassembly),
            (true, Some((3, 9 | 10 | 13))) | (false, Some((1, 1 | 5 | 6))) => Some(Self::Prohibited),
            _ => Self::of_errno(undelivered.errno),
        }
    }

    /// Type, code, and the last four bytes of the header.
    fn v4(self) -> (u8, u8, u32) {
        match self {
            Self::Network => (3, 0, 0),
            Self::Host => (3, 1, 0),
            Self::Protocol => (3, 2, 0),
            Self::Port => (3, 3, 0),
            Self::TooBig { mtu } => (3, 4, mtu.into()),
            Self::Prohibited => (3, 13, 0),
            Self::HopLimit => (11, 0, 0),
            Self::Reassembly => (11, 1, 0),
        }
    }

    fn v6(self) -> (u8, u8, u32) {
        match self {
            Self::Network => (1, 0, 0),
            Self::Prohibited => (1, 1, 0),
            Self::Host => (1, 3, 0),
            Self::Port => (1, 4, 0),
            Self::TooBig { mtu } => (2, 0, mtu.into()),
            Self::HopLimit => (3, 0, 0),
            Self::Reassembly => (3, 1, 0),
            // Of the next header, which stands at byte 6.
            Self::Protocol => (4, 1, 6),
        }
    }
}

/// The error about `packet` that `from` would send. None where none may be sent (RFC 1122, 3.2.2; RFC 4443, 2.4): about
/// errors, later fragments, and what went to many or came from nobody.
#[must_use]
pub fn error(packet: &Packet<'_>, trouble: Trouble, from: IpAddr) -> Option<Vec<u8>> {
    let later = packet.fragment.is_some_and(|fragment| fragment.offset > 0);
    let broadcast = packet.destination == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    let nobody = packet.source.is_unspecified() || packet.source.is_multicast();
    if later || nobody || broadcast || packet.destination.is_multicast() || is_error(packet) {
        return None;
    }
    quote(packet.bytes(), packet.source, trouble, from)
}

/// The error about a datagram that was sent on long ago, so that its headers are all that is known.
#[must_use]
pub fn udp_error(user: SocketAddr, to: SocketAddr, trouble: Trouble, from: IpAddr) -> Option<Vec<u8>> {
    quote(&build::udp(user, to, b"")?, user.ip(), trouble, from)
}

/// What a user's system tells us with an error about a packet that we sent it: the packet, as far as it is quoted.
///
/// # Errors
/// [`Malformed`]: too little of it.
pub fn quoted(message: &[u8]) -> Result<&[u8], Malformed> {
    message.get(HEAD..).filter(|quoted| quoted.len() >= IPV4_HEADER).ok_or(Malformed::Truncated)
}

fn is_error(packet: &Packet<'_>) -> bool {
    let kind = packet.payload().first().copied();
    match packet.protocol {
        // Everything but questions and echoes; a message without a type too.
        protocol::ICMP => !matches!(kind, Some(0 | 8 | 13 | 14)),
        protocol::ICMPV6 => kind.is_none_or(|kind| kind < 128),
        _ => false,
    }
}

fn quote(original: &[u8], to: IpAddr, trouble: Trouble, from: IpAddr) -> Option<Vec<u8>> {
    let (number, (kind, code, rest), longest) = if to.is_ipv4() {
        (protocol::ICMP, trouble.v4(), LONGEST_V4 - IPV4_HEADER)
    } else {
        (protocol::ICMPV6, trouble.v6(), LONGEST_V6 - super::IPV6_HEADER)
    };
    let mut head = [0; HEAD];
    head[..2].copy_from_slice(&[kind, code]);
    head[4..].copy_from_slice(&rest.to_be_bytes());
    let part = &original[..original.len().min(longest - HEAD)];
    build::message(from, to, number, &[&head, part])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(from: &str, to: &str, length: usize) -> Vec<u8> {
        build::udp(from.parse().unwrap(), to.parse().unwrap(), &vec![7; length]).unwrap()
    }

    #[test]
    fn an_error_quotes_what_it_is_about_and_no_more_than_it_may() {
        for (from, to, own, longest) in
            [("10.77.0.2:9", "1.1.1.1:7", "10.77.0.1", 576), ("[fd77::2]:9", "[2606::1]:7", "fd77::1", 1280)]
        {
            for length in [0, 5, 2000] {
                let bytes = datagram(from, to, length);
                let error = error(&Packet::parse(&bytes).unwrap(), Trouble::Port, own.parse().unwrap()).unwrap();
                let packet = Packet::parse(&error).unwrap();
                packet.verify().unwrap();
                assert!(error.len() <= longest && (length < 2000 || error.len() == longest));
                assert!(bytes.starts_with(quoted(packet.payload()).unwrap()));
                assert_eq!(packet.source, own.parse::<IpAddr>().unwrap());
            }
        }
    }

    #[test]
    fn each_trouble_has_its_number_in_each_family() {
        let v4 = datagram("10.77.0.2:9", "1.1.1.1:7", 5);
        let v6 = datagram("[fd77::2]:9", "[2606::1]:7", 5);
        for (trouble, in_v4, in_v6) in [
            (Trouble::Network, [3, 0], [1, 0]),
            (Trouble::Host, [3, 1], [1, 3]),
            (Trouble::Port, [3, 3], [1, 4]),
            (Trouble::Protocol, [3, 2], [4, 1]),
            (Trouble::Prohibited, [3, 13], [1, 1]),
            (Trouble::TooBig { mtu: 1280 }, [3, 4], [2, 0]),
            (Trouble::HopLimit, [11, 0], [3, 0]),
            (Trouble::Reassembly, [11, 1], [3, 1]),
        ] {
            for (bytes, own, numbers) in [(&v4, "10.77.0.1", in_v4), (&v6, "fd77::1", in_v6)] {
                let error = error(&Packet::parse(bytes).unwrap(), trouble, own.parse().unwrap()).unwrap();
                let payload = Packet::parse(&error).unwrap().payload();
                assert_eq!(payload[..2], numbers);
                if let Trouble::TooBig { mtu } = trouble {
                    assert_eq!(payload[6..8], mtu.to_be_bytes());
                }
            }
        }
    }

    #[test]
    fn no_error_is_sent_about_an_error_or_to_many_or_about_a_later_part() {
        let own = "10.77.0.1".parse().unwrap();
        let bytes = datagram("10.77.0.2:9", "1.1.1.1:7", 5);
        let packet = Packet::parse(&bytes).unwrap();
        let first = error(&packet, Trouble::Port, own).unwrap();
        assert_eq!(error(&Packet::parse(&first).unwrap(), Trouble::Host, own), None);
        for to in ["224.0.0.1:5", "255.255.255.255:5"] {
            assert_eq!(error(&Packet::parse(&datagram("10.77.0.2:9", to, 1)).unwrap(), Trouble::Port, own), None);
        }
        let later = Packet { fragment: Some(super::super::Fragment { id: 1, offset: 8, more: false }), ..packet };
        assert_eq!(error(&later, Trouble::Port, own), None);
    }

    #[test]
    fn what_the_kernel_says_is_translated() {
        use rustix::io::Errno;
        for (errno, trouble) in [
            (Errno::CONNREFUSED, Some(Trouble::Port)),
            (Errno::NETUNREACH, Some(Trouble::Network)),
            (Errno::TIMEDOUT, Some(Trouble::Host)),
            (Errno::AGAIN, None),
        ] {
            assert_eq!(Trouble::of_errno(errno.raw_os_error()), trouble);
        }
    }

    #[test]
    fn what_the_network_says_is_translated() {
        use rustix::io::Errno;
        let told = |to: &str, errno: Errno, icmp, mtu| {
            let (to, errno) = (to.parse().unwrap(), errno.raw_os_error());
            Trouble::of_undelivered(&Undelivered { to, told_by: None, errno, icmp, mtu, sent: Vec::new() }, 1420)
        };
        let (v4, v6) = ("1.1.1.1:7", "[2606::1]:7");
        assert_eq!(told(v4, Errno::CONNREFUSED, Some((3, 3)), None), Some(Trouble::Port));
        assert_eq!(told(v6, Errno::CONNREFUSED, Some((1, 4)), None), Some(Trouble::Port));
        assert_eq!(told(v4, Errno::HOSTUNREACH, Some((11, 0)), None), Some(Trouble::HopLimit));
        assert_eq!(told(v6, Errno::HOSTUNREACH, Some((3, 0)), None), Some(Trouble::HopLimit));
        assert_eq!(told(v4, Errno::HOSTUNREACH, Some((3, 13)), None), Some(Trouble::Prohibited));
        assert_eq!(told(v4, Errno::HOSTUNREACH, None, None), Some(Trouble::Host));
        assert_eq!(told(v4, Errno::MSGSIZE, Some((3, 4)), Some(1300)), Some(Trouble::TooBig { mtu: 1300 }));
        assert_eq!(told(v4, Errno::MSGSIZE, None, Some(65535)), Some(Trouble::TooBig { mtu: 1420 }));
    }

    #[test]
    fn an_error_about_an_old_datagram_names_both_ends() {
        let error = udp_error(
            "10.77.0.2:9".parse().unwrap(),
            "1.1.1.1:7".parse().unwrap(),
            Trouble::Port,
            "1.1.1.1".parse().unwrap(),
        );
        let error = error.unwrap();
        let about = Packet::parse(quoted(Packet::parse(&error).unwrap().payload()).unwrap()).unwrap();
        assert_eq!((about.source.to_string(), about.destination.to_string()), ("10.77.0.2".into(), "1.1.1.1".into()));
        assert_eq!(about.payload()[..4], [0, 9, 0, 7]);
    }
}
