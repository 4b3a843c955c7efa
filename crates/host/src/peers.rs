//! Whose process is on the other end of a local TCP connection: the kernel's socket table says so.
//!
//! Knows who, never whether they may: that is for whoever asks.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::sys;

/// What the kernel says about the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process of this user holds it.
    Uid(u32),
    /// No process in this network namespace holds it: another machine, a container behind a bridge, or one that hung up.
    NotHere,
    /// There is no table to look into: not Linux, or `/proc` is not mounted.
    Untold,
}

/// The owner of the socket at `peer` that is connected to our `own` address: by one question to the kernel, and by its
/// table of all sockets where it does not answer that.
#[must_use]
pub fn owner(peer: SocketAddr, own: SocketAddr) -> Owner {
    asked(peer, own).unwrap_or_else(|| looked_up(peer, own))
}

/// `None` when the kernel does not answer. A socket of IPv6 may be connected to an address of IPv4, so that there are two
/// places to look in.
fn asked(peer: SocketAddr, own: SocketAddr) -> Option<Owner> {
    let families = [plain(peer).zip(plain(own)), Some((mapped(peer), mapped(own)))];
    let mut told = families.into_iter().flatten().map(|(from, to)| sys::socket_holder(from, to));
    match told.next()? {
        Some(Some(uid)) => Some(Owner::Uid(uid)),
        None => None,
        Some(None) => match told.next() {
            Some(Some(Some(uid))) => Some(Owner::Uid(uid)),
            Some(None) => None,
            Some(Some(None)) | None => Some(Owner::NotHere),
        },
    }
}

/// As a socket of IPv4 has it; `None` for a real address of IPv6.
fn plain(address: SocketAddr) -> Option<SocketAddr> {
    let ip = address.ip().to_canonical();
    ip.is_ipv4().then(|| SocketAddr::new(ip, address.port()))
}

/// As a socket of IPv6 has it.
fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::new(ip.into(), address.port())
}

fn looked_up(peer: SocketAddr, own: SocketAddr) -> Owner {
    let tables: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    if tables.is_empty() {
        return Owner::Untold;
    }
    tables.iter().find_map(|table| holder(table, peer, own)).map_or(Owner::NotHere, Owner::Uid)
}

/// The control group of process `pid` (cgroup v2), `/system.slice/ci.service`.
#[must_use]
pub fn cgroup(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::").map(ToOwned::to_owned))
}

/// The user in the line of `table` that goes from `peer` to `own`. A line without inode has no process behind it any
/// more, and its user reads 0: that is not root.
fn holder(table: &str, peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, _, _, _, _, uid, _, inode, ..] = fields.as_slice() else { return None };
        let here = address(local)? == canonical(peer) && address(remote)? == canonical(own);
        (here && *inode != "0").then(|| uid.parse().ok()).flatten()
    })
}

fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// `0100007F:2382`: words in the byte order of the machine, then the port.
pub(crate) fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..ip.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(ip.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some((ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
        1: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 222 1\n\
        2: 0100007F:C002 0100007F:1F90 06 00000000:00000000 03:00000000 00000000     0        0 0 3\n\
        3: 0000000000000000FFFF00000100007F:C003 0000000000000000FFFF00000100007F:1F90 01 0:0 0:0 0  1001        0 333 1\n";

    fn of(port: u16) -> Option<u32> {
        holder(TABLE, ([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], 0x1f90).into())
    }

    #[test]
    fn the_table_names_the_user_of_the_client_s_end() {
        assert_eq!((of(0xc001), of(0xc003), of(0xc004)), (Some(1000), Some(1001), None));
    }

    #[test]
    fn a_connection_without_a_process_is_not_root_s() {
        assert_eq!(of(0xc002), None);
    }

    #[test]
    fn a_connection_of_our_own_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, peer) = listener.accept().unwrap();
        let ours = Owner::Uid(rustix::process::geteuid().as_raw());
        let found = owner(peer, listener.local_addr().unwrap());
        assert!(found == ours || found == Owner::Untold, "{found:?}");
        drop(client);
    }
}
