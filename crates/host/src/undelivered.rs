//! What datagram sockets do beyond the standard library: they say which datagrams did not arrive and why (ICMP errors in
//! the error queue of `ip(7)`, `IP_RECVERR`), and they cut datagrams that are too long for the way.
//!
//! Where a system has no such queue, nothing is ever said.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};

/// As much of a datagram as the network quotes at most.
const LONGEST: usize = 1280;

/// One datagram that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Where it was sent to; the port is 0 for an echo.
    pub to: SocketAddr,
    /// Who says so; nobody if it was this machine.
    pub told_by: Option<IpAddr>,
    /// What the system makes of it.
    pub errno: i32,
    /// The ICMP message's type and code, if it was one.
    pub icmp: Option<(u8, u8)>,
    /// The longest packet that would pass, where that was the reason.
    pub mtu: Option<u32>,
    /// The beginning of what was sent.
    pub sent: Vec<u8>,
}

/// Has the system keep such errors for `socket`, which sends to the family of `to`. They also make its next call fail once.
///
/// # Errors
/// The system does not know the option.
pub fn keep_errors(socket: impl AsFd, to: IpAddr) -> io::Result<()> {
    crate::sys::keep_errors(socket, to)
}

/// The next error of a socket; none if there is none.
///
/// # Errors
/// The socket is none.
pub fn next_error(socket: impl AsFd) -> io::Result<Option<Undelivered>> {
    crate::sys::next_error(socket, LONGEST)
}

/// Lets the system cut what is longer than the way to it allows, instead of refusing it.
///
/// # Errors
/// The system does not know the option.
pub fn may_be_cut(socket: impl AsFd, to: IpAddr) -> io::Result<()> {
    crate::sys::may_be_cut(socket, to)
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    use super::*;

    #[test]
    fn a_closed_port_is_named_with_what_was_sent_to_it() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(local) else { continue };
            let closed = UdpSocket::bind(local).and_then(|socket| socket.local_addr()).unwrap();
            keep_errors(&socket, closed.ip()).unwrap();
            assert_eq!(next_error(&socket).unwrap(), None);
            socket.send_to(b"hello", closed).unwrap();
            // The error comes back through loopback before the call returns, or makes this one return.
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let _ = socket.recv(&mut [0; 8]);
            let told = next_error(&socket).unwrap().unwrap();
            assert_eq!((told.to, told.told_by, &told.sent[..]), (closed, Some(closed.ip()), &b"hello"[..]));
            assert_eq!(told.errno, rustix::io::Errno::CONNREFUSED.raw_os_error());
            assert!(matches!(told.icmp, Some((3, 3) | (1, 4))), "{told:?}");
        }
    }
}
