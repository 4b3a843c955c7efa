//! Who listens on an address of this machine: the kernel's socket table and `/proc`; of use to people, and no proof.

use std::{fs, net::SocketAddr, path::Path};

use crate::{peers, program};

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The user.
    pub uid: u32,
    /// The process, where we may see it.
    pub pid: Option<i32>,
    /// Its program, where we may see it.
    pub program: Option<String>,
}

/// Who listens on `address`, or on that port of every address. `None` where nobody does, or no table says so.
#[must_use]
pub fn holder(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let (uid, inode) = tables.iter().find_map(|table| listening(table, address))?;
    let pid = process_with(Path::new("/proc"), &inode);
    Some(Holder { uid, pid, program: pid.and_then(program::name) })
}

/// User and inode of the socket that listens there.
fn listening(table: &str, address: SocketAddr) -> Option<(u32, String)> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, uid, _, inode, ..] = fields.as_slice() else { return None };
        let (ip, port) = peers::address(local)?;
        let here = port == address.port() && (ip == address.ip().to_canonical() || ip.is_unspecified());
        here.then(|| Some((uid.parse().ok()?, (*inode).to_owned()))).flatten()
    })
}

/// Only root and the user itself may look; a process that protects its memory shows itself to root alone.
fn process_with(proc: &Path, inode: &str) -> Option<i32> {
    let wanted = format!("socket:[{inode}]");
    fs::read_dir(proc).ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&wanted))).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_of_this_test_is_held_by_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = holder(address);
        assert_eq!(found.is_some(), Path::new("/proc/net/tcp").exists());
        if let Some(found) = found {
            assert_eq!(found.uid, rustix::process::geteuid().as_raw());
            assert_eq!(found.pid, i32::try_from(std::process::id()).ok());
            assert!(found.program.is_some());
        }
        drop(listener);
        assert_eq!(holder(address), None);
    }

    #[test]
    fn who_listens_on_every_address_has_this_one_too_and_a_connection_is_no_listener() {
        let table = "head\n0: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 1000 0 77 1\n\
                     1: 0100007F:1F91 0100007F:C001 01 0:0 0:0 0 1000 0 78 1\n";
        assert_eq!(listening(table, ([127, 0, 0, 1], 0x1f90).into()), Some((1000, "77".to_owned())));
        assert_eq!(listening(table, ([127, 0, 0, 1], 0x1f91).into()), None);
    }
}
