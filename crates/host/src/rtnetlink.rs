//! What the kernel tells of addresses and routes: `NETLINK_ROUTE`. Nobody needs a right for it.
//!
//! Encoding and decoding are plain functions over bytes; [`addresses`] and [`Events`] alone talk to the kernel.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice,
    netlink::SocketAddrNetlink,
    sockopt::{Timeout, set_socket_timeout},
};

use crate::interfaces::{At, News};

const NEW_ADDRESS: u16 = 20;
const GONE_ADDRESS: u16 = 21;
const LIST_ADDRESSES: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GONE_ROUTE: u16 = 25;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const WHOLE_LIST: u16 = 0x301;
/// Addresses and routes of IPv4 and of IPv6.
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;
const HEADER: usize = 16;
const ADDRESS: usize = 8;
/// `IFA_ADDRESS`: the address, or the other end of a line between two.
const ITS_ADDRESS: u16 = 1;
/// `IFA_LOCAL`: ours, where the other one may be the peer's.
const OUR_ADDRESS: u16 = 2;
/// The kernel answers within the call; this is for a kernel that does not.
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel fills at most this much at once.
const LONGEST: usize = 32 * 1024;
const MOST_PARTS: usize = 1000;

/// Every address of this machine.
///
/// # Errors
/// This kernel does not say.
pub(crate) fn addresses() -> io::Result<Vec<At>> {
    let socket = socket(SocketFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::send(&socket, &question(), SendFlags::empty())?;
    let mut found = Vec::new();
    for _ in 0..MOST_PARTS {
        for part in parts(&received(&socket)?) {
            match part? {
                Part::Told(News::Address { at, is_there: true }) => found.push(at),
                Part::Done => return Ok(found),
                Part::Told(_) | Part::Other => {}
            }
        }
    }
    Err(broken())
}

/// The number of the interface called `name`.
///
/// # Errors
/// There is none.
pub(crate) fn index(name: &str) -> io::Result<u32> {
    Ok(netdevice::name_to_index(socket(SocketFlags::CLOEXEC)?, name)?)
}

/// What happens to addresses and routes from now on. Never waits: readable when there is something to read.
#[derive(Debug)]
pub(crate) struct Events(OwnedFd);

impl Events {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self(socket))
    }

    /// What came.
    ///
    /// # Errors
    /// `WouldBlock`: nothing. Anything else: something was lost.
    pub(crate) fn read(&self) -> io::Result<Vec<News>> {
        let told = |part| if let Ok(Part::Told(news)) = part { Some(news) } else { None };
        Ok(parts(&received(&self.0)?).filter_map(told).collect())
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Events {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

/// `NETLINK_ROUTE` is the protocol with the number 0, which is none said.
fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?)
}

fn received(socket: impl AsFd) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LONGEST];
    let (length, _) = rustix::net::recv(socket, &mut bytes[..], RecvFlags::empty())?;
    bytes.truncate(length);
    Ok(bytes)
}

/// `struct nlmsghdr` and `struct ifaddrmsg` of no family: all of them.
fn question() -> Vec<u8> {
    let mut message = ((HEADER + ADDRESS) as u32).to_ne_bytes().to_vec();
    message.extend(LIST_ADDRESSES.to_ne_bytes());
    message.extend(WHOLE_LIST.to_ne_bytes());
    message.extend([0; 8 + ADDRESS]);
    message
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Told(News),
    /// The end of a list.
    Done,
    /// Nothing that matters here.
    Other,
}

/// The messages in a datagram. What cannot be read ends it.
fn parts(bytes: &[u8]) -> impl Iterator<Item = io::Result<Part>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = word(rest, 0).and_then(|length| usize::try_from(length).ok());
        let whole = length.filter(|length| *length >= HEADER).and_then(|length| rest.split_at_checked(length));
        let Some((message, behind)) = whole else {
            rest = &[];
            return Some(Err(broken()));
        };
        rest = behind.get(padding(message.len())..).unwrap_or_default();
        Some(part(message))
    })
}

fn part(message: &[u8]) -> io::Result<Part> {
    let (kind, body) = (half(message, 4).ok_or_else(broken)?, &message[HEADER..]);
    match kind {
        NEW_ADDRESS | GONE_ADDRESS => {
            let at = address(body).ok_or_else(broken)?;
            Ok(Part::Told(News::Address { at, is_there: kind == NEW_ADDRESS }))
        }
        // The second byte is how long the prefix is: none at all for the way to everywhere.
        NEW_ROUTE | GONE_ROUTE if body.get(1) == Some(&0) => Ok(Part::Told(News::DefaultRoute)),
        DONE => Ok(Part::Done),
        ERROR => match word(body, 0).ok_or_else(broken)?.cast_signed() {
            0 => Ok(Part::Other),
            number => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
        },
        _ => Ok(Part::Other),
    }
}

/// Reads `struct ifaddrmsg` and its attributes.
fn address(body: &[u8]) -> Option<At> {
    let interface = word(body, 4)?;
    let (mut rest, mut found) = (body.get(ADDRESS..)?, None);
    while !rest.is_empty() {
        let length = usize::from(half(rest, 0)?);
        let (attribute, behind) = rest.split_at_checked(length).filter(|_| length >= 4)?;
        let kind = half(attribute, 2)?;
        if kind == OUR_ADDRESS || (kind == ITS_ADDRESS && found.is_none()) {
            found = Some(ip(&attribute[4..])?);
        }
        rest = behind.get(padding(length)..).unwrap_or_default();
    }
    Some(At { interface, address: found? })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Everything begins at a multiple of four.
fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what the kernel says of addresses cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    /// An address of interface 7 with these attributes.
    fn body(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![2, 24, 0, 0];
        bytes.extend(7_u32.to_ne_bytes());
        for (kind, data) in attributes {
            bytes.extend(u16::try_from(4 + data.len()).unwrap().to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Part> {
        parts(bytes).collect::<io::Result<_>>().unwrap()
    }

    fn told(address: &str, is_there: bool) -> Part {
        Part::Told(News::Address { at: At { interface: 7, address: address.parse().unwrap() }, is_there })
    }

    #[test]
    fn several_messages_are_read_one_after_the_other() {
        // A line between two: the peer's address first, then a label, then ours.
        let line = body(&[(1, &[192, 0, 2, 1]), (3, b"ppp0\0"), (2, &[198, 51, 100, 7])]);
        let six = body(&[(1, &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9])]);
        let routes = [message(24, &[2, 0, 0, 0]), message(25, &[2, 24, 0, 0])];
        let all = [message(20, &line), message(21, &six), routes.concat(), message(16, &[]), message(3, &[0; 4])];
        let expected = [
            told("198.51.100.7", true),
            told("fe80::9", false),
            Part::Told(News::DefaultRoute),
            Part::Other,
            Part::Other,
            Part::Done,
        ];
        assert_eq!(read(&all.concat()), expected);
    }

    #[test]
    fn what_is_cut_or_refused_is_an_error_and_never_a_panic() {
        let whole = message(20, &body(&[(2, &[198, 51, 100, 7])]));
        for cut in 1..whole.len() {
            assert!(parts(&whole[..cut]).any(|part| part.is_err()), "{cut}");
        }
        for wrong in [message(20, &[0; 8]), message(20, &body(&[(2, &[1, 2, 3])])), vec![0; 16], message(2, &[])] {
            assert!(parts(&wrong).any(|part| part.is_err()), "{wrong:?}");
        }
        let refused = parts(&message(2, &(-1_i32).to_ne_bytes())).next().unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 0_u16..30, bytes: Vec<u8>) {
            let _ = (parts(&bytes).count(), parts(&message(kind, &bytes)).count());
        }
    }
}
