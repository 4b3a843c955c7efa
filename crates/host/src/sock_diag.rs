//! Asks the kernel about one TCP socket by its two addresses: `NETLINK_SOCK_DIAG`. However many sockets there are, this
//! costs the same; `/proc/net/tcp` costs a line for each of them, those that have just been closed too.
//!
//! Encoding and decoding are plain functions over bytes; [`holder`] alone talks to the kernel.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
    sockopt::{Timeout, set_socket_timeout},
};

const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const TCP: u8 = 6;
const HEADER: usize = 16;
const NO_SUCH_ENTRY: i32 = -2;
/// The kernel answers within the call; this is for a kernel that does not.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A process of this user holds the socket.
    Uid(u32),
    /// No process does: there is no such socket here, or it was closed.
    Nobody,
}

/// Who holds the socket at `from` that is connected to `to`; both are of one family.
///
/// # Errors
/// This kernel does not answer such questions.
pub(crate) fn holder(from: SocketAddr, to: SocketAddr) -> io::Result<Told> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::send(&socket, &question(from, to), SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    told(answer.get(..length).unwrap_or_default(), (from.port(), to.port()))
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: numbers in the machine's order, ports and addresses in the network's.
fn question(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut body = vec![family.as_raw().to_ne_bytes()[usize::from(cfg!(target_endian = "big"))], TCP, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(from.port().to_be_bytes());
    body.extend(to.port().to_be_bytes());
    body.extend(sixteen(from.ip()));
    body.extend(sixteen(to.ip()));
    // Any interface, any cookie.
    body.extend([0; 4]);
    body.extend([0xff; 8]);
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Reads `struct inet_diag_msg`, or the error that came in its place. Where the kernel has no such connection it may tell
/// of somebody who listens on the port that it came from: other ports, and nobody's.
fn told(answer: &[u8], ports: (u16, u16)) -> io::Result<Told> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer about a socket cannot be read");
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or_else(broken)
    };
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes).ok_or_else(broken)?;
    let port = |at: usize| answer.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
    match kind {
        // A socket without inode has no process behind it any more, and its user reads 0: that is not root.
        BY_FAMILY if word(HEADER + 68)? == 0 => Ok(Told::Nobody),
        BY_FAMILY if (port(HEADER + 4), port(HEADER + 6)) != (Some(ports.0), Some(ports.1)) => Ok(Told::Nobody),
        BY_FAMILY => Ok(Told::Uid(word(HEADER + 64)?)),
        ERROR => match word(HEADER)?.cast_signed() {
            NO_SUCH_ENTRY => Ok(Told::Nobody),
            number => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
        },
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn told(answer: &[u8]) -> io::Result<Told> {
        super::told(answer, (1, 2))
    }

    fn answer(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 4];
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    #[test]
    fn a_question_is_laid_out_as_the_kernel_reads_it() {
        let bytes = question("127.0.0.1:60780".parse().unwrap(), "127.0.0.1:34641".parse().unwrap());
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[..4], 72_u32.to_ne_bytes());
        assert_eq!((bytes[16], bytes[17]), (2, 6));
        assert_eq!(bytes[24..32], [0xed, 0x6c, 0x87, 0x51, 127, 0, 0, 1]);
        assert_eq!(bytes[44..48], [127, 0, 0, 1]);
        let six = question("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap());
        assert_eq!((six[16], six[43], six[59]), (10, 1, 1));
    }

    #[test]
    fn an_answer_names_the_user_and_a_closed_socket_nobody() {
        let mut body = [0; 72];
        body[64..68].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(told(&answer(BY_FAMILY, &body)).unwrap(), Told::Nobody);
        body[68..72].copy_from_slice(&9_u32.to_ne_bytes());
        body[4..8].copy_from_slice(&[0, 1, 0, 2]);
        assert_eq!(told(&answer(BY_FAMILY, &body)).unwrap(), Told::Uid(7));
        assert_eq!(super::told(&answer(BY_FAMILY, &body), (1, 0)).unwrap(), Told::Nobody, "a listener is nobody's end");
        assert_eq!(told(&answer(ERROR, &(-2_i32).to_ne_bytes())).unwrap(), Told::Nobody);
        assert!(told(&answer(ERROR, &(-95_i32).to_ne_bytes())).is_err());
        for cut in 0..answer(BY_FAMILY, &body).len() {
            assert!(told(&answer(BY_FAMILY, &body)[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_kernel_names_our_own_connection_and_nobody_behind_a_closed_one() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let own = listener.local_addr().unwrap();
            let client = TcpStream::connect(own).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let Ok(told) = holder(peer, own) else {
                eprintln!("skipped: NETLINK_SOCK_DIAG: this kernel does not answer");
                return;
            };
            assert_eq!(told, Told::Uid(rustix::process::geteuid().as_raw()), "{address}");
            drop((client, server));
            assert_eq!(holder(peer, own).unwrap(), Told::Nobody, "{address}");
            // Somebody who listens where a connection once came from is not its other end.
            let stranger: SocketAddr = if own.is_ipv4() { "127.0.0.1:9" } else { "[::1]:9" }.parse().unwrap();
            assert_eq!(holder(own, stranger).unwrap(), Told::Nobody, "{address}");
        }
    }
}
