//! What differs between operating systems, and nothing else does: Linux is tested, macOS is written for.

#[cfg(target_os = "linux")]
pub(crate) mod landlock;

use std::{
    fs::File,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, FromRawFd as _, OwnedFd, RawFd},
};

use rustix::{io::FdFlags, time::ClockId};
use tokio::io::unix::AsyncFd;

use crate::undelivered::Undelivered;

/// The first descriptor that a supervisor hands over (`sd_listen_fds(3)`).
pub(crate) const FIRST_INHERITED: RawFd = 3;

/// Time since the machine started, suspend included.
#[cfg(target_os = "linux")]
pub(crate) const BOOT_CLOCK: ClockId = ClockId::Boottime;
/// On macOS this clock goes on while the machine sleeps.
#[cfg(not(target_os = "linux"))]
pub(crate) const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// Keeps this process's memory out of core dumps and away from other processes of the same user, where the system can.
pub(crate) fn forbid_dumps() {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
}

/// Whether the kernel tells of every change in `directory`: it does where nobody but it writes there, and not where another
/// machine may (NFS, SMB, FUSE, what a container host shares).
#[cfg(target_os = "linux")]
pub(crate) fn tells_of_every_change(directory: &std::path::Path) -> bool {
    // ext2 to ext4, btrfs, xfs, tmpfs, overlay, zfs, f2fs, ramfs: statfs(2).
    const LOCAL: [u32; 8] =
        [0xEF53, 0x9123_683E, 0x5846_5342, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1, 0xF2F5_2010, 0x8584_58F6];
    let told = rustix::fs::statfs(directory).map(|facts| i128::from(facts.f_type));
    told.is_ok_and(|kind| LOCAL.iter().any(|local| i128::from(*local) == kind))
}
#[cfg(not(target_os = "linux"))]
pub(crate) fn tells_of_every_change(_: &std::path::Path) -> bool {
    false
}

/// Whether something else may be mounted at `path` itself, a file perhaps: so too where the kernel (before 5.8), or what
/// filters its calls, does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn may_be_mounted(path: &std::path::Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()) {
        Ok(facts) => may_be_a_mount(facts.stx_attributes, facts.stx_attributes_mask),
        Err(error) => error != rustix::io::Errno::NOENT,
    }
}
#[cfg(not(target_os = "linux"))]
pub(crate) fn may_be_mounted(_: &std::path::Path) -> bool {
    false
}

/// `told`: what of `attributes` means anything.
#[cfg(target_os = "linux")]
fn may_be_a_mount(attributes: rustix::fs::StatxAttributes, told: rustix::fs::StatxAttributes) -> bool {
    let mount = rustix::fs::StatxAttributes::MOUNT_ROOT;
    attributes.contains(mount) || !told.contains(mount)
}

/// Keeps the pages that `bytes` lie in from being swapped out, as far as this process may lock memory.
pub(crate) fn keep_in_memory(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    // SAFETY: the range is that of a slice that is borrowed for the call; to lock a page changes nothing in it.
    #[expect(unsafe_code, reason = "the system takes an address and a length")]
    let _ = unsafe { rustix::mm::mlock(bytes.as_ptr().cast_mut().cast(), bytes.len()) };
}

/// Hands back the pages of the range, which are as in their file: whoever needs them again has them anew.
#[cfg(target_os = "linux")]
pub(crate) fn hand_back(range: std::ops::Range<usize>) {
    // SAFETY: the range is a private mapping of a file that nobody can or could write to, so that what comes back is what
    // went; the kernel refuses a range that is none.
    #[expect(unsafe_code, reason = "the system takes an address and a length")]
    let _ = unsafe { rustix::mm::madvise(range.start as *mut _, range.len(), rustix::mm::Advice::LinuxDontNeed) };
}

/// Has the allocator take every block from `bytes` on from the system and give it back there, whatever came before.
/// glibc's raises the bound with the first such block that is freed. Other allocators are left as they are.
pub(crate) fn large_blocks_from(bytes: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: sets one number of the allocator, which takes any value and its own lock.
        #[expect(unsafe_code, reason = "the allocator has no safe interface for its bounds")]
        let _ = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, bytes) };
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
}

/// The open descriptor `number`, ours from now on and not our children's.
///
/// # Errors
/// It is not open.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a supervisor that names us in LISTEN_PID hands over the descriptors from 3 on, which nobody else in this
    // process owns; `Listeners::inherited` takes each once. One that is not open is refused by `fcntl` and let go of.
    #[expect(unsafe_code, reason = "a number from the supervisor has to become an owned descriptor somewhere")]
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    if let Err(error) = rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC) {
        std::mem::forget(descriptor);
        return Err(error.into());
    }
    Ok(descriptor)
}

/// Connects to a socket whose name is in no directory; only Linux has them.
pub(crate) fn connect_abstract(socket: &std::os::unix::net::UnixDatagram, name: &str) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr as UnixAddress};
        socket.connect_addr(&UnixAddress::from_abstract_name(name)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, name);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Who holds the socket at `from` that is connected to `to`: `Some(None)` when no process does, `None` when this system
/// does not say.
pub(crate) fn socket_holder(from: SocketAddr, to: SocketAddr) -> Option<Option<u32>> {
    #[cfg(target_os = "linux")]
    return match crate::sock_diag::holder(from, to) {
        Ok(crate::sock_diag::Told::Uid(uid)) => Some(Some(uid)),
        Ok(crate::sock_diag::Told::Nobody) => Some(None),
        Err(_) => None,
    };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        None
    }
}

/// Has the system keep the network's errors about what `socket` sends.
///
/// # Errors
/// The system does not know the option.
#[cfg(target_os = "linux")]
pub(crate) fn keep_errors(socket: impl AsFd, to: IpAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    match to {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_errors(_: impl AsFd, _: IpAddr) -> io::Result<()> {
    Ok(())
}

/// Lets the system cut what is longer than the way allows.
///
/// # Errors
/// The system does not know the option.
#[cfg(target_os = "linux")]
pub(crate) fn may_be_cut(socket: impl AsFd, to: IpAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
    use rustix::net::sockopt;
    match to {
        IpAddr::V4(_) => sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::WANT)?,
        IpAddr::V6(_) => {
            setsockopt(&socket, Ipv6DontFrag, &false)?;
            sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::WANT)?;
        }
    }
    Ok(())
}

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
pub(crate) fn may_be_cut(_: impl AsFd, _: IpAddr) -> io::Result<()> {
    Ok(())
}

/// The next of those errors, with up to `longest` bytes of what was sent.
///
/// # Errors
/// Anything but that there is none.
#[cfg(target_os = "linux")]
pub(crate) fn next_error(socket: impl AsFd, longest: usize) -> io::Result<Option<Undelivered>> {
    use nix::{
        errno::Errno,
        libc::{sock_extended_err, sockaddr_in6},
        sys::socket::{MsgFlags, SockaddrStorage, recvmsg},
    };
    use std::os::fd::AsRawFd as _;
    let mut sent = vec![0; longest];
    // Sockets that ask for more (addresses, times) have that said in front; what does not fit would make all unreadable.
    let mut control = nix::cmsg_space!(sock_extended_err, sockaddr_in6, [u8; 256]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let mut slices = [io::IoSliceMut::new(&mut sent)];
    let number = socket.as_fd().as_raw_fd();
    let message = match recvmsg::<SockaddrStorage>(number, &mut slices, Some(&mut control), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let length = message.bytes;
    let to = message.address.as_ref().and_then(socket_address);
    let told = message.cmsgs()?.find_map(|part| told(&part));
    sent.truncate(length);
    Ok(to.zip(told).map(|(to, told)| Undelivered { to, sent, ..told }))
}

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
pub(crate) fn next_error(_: impl AsFd, _: usize) -> io::Result<Option<Undelivered>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn socket_address(address: &nix::sys::socket::SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// What a control message says; where to and what was sent stand beside it.
#[cfg(target_os = "linux")]
fn told(part: &nix::sys::socket::ControlMessageOwned) -> Option<Undelivered> {
    use nix::{
        libc::{EMSGSIZE, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6},
        sys::socket::{ControlMessageOwned, SockaddrIn, SockaddrIn6},
    };
    let (error, told_by) = match part {
        ControlMessageOwned::Ipv4RecvErr(error, by) => (error, by.map(|by| IpAddr::V4(SockaddrIn::from(by).ip()))),
        ControlMessageOwned::Ipv6RecvErr(error, by) => (error, by.map(|by| IpAddr::V6(SockaddrIn6::from(by).ip()))),
        _ => return None,
    };
    let is_icmp = matches!(error.ee_origin, SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6);
    let errno = i32::try_from(error.ee_errno).unwrap_or_default();
    Some(Undelivered {
        to: SocketAddr::from(([0; 4], 0)),
        told_by: told_by.filter(|by| is_icmp && !by.is_unspecified()),
        errno,
        icmp: is_icmp.then_some((error.ee_type, error.ee_code)),
        mtu: (errno == EMSGSIZE).then_some(error.ee_info),
        sent: Vec::new(),
    })
}

/// One of these says that there is a desktop to show something on; none where there always is one.
#[cfg(target_os = "linux")]
pub(crate) const SESSION_VARIABLES: &[&str] = &["DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY", "DISPLAY"];
#[cfg(not(target_os = "linux"))]
pub(crate) const SESSION_VARIABLES: &[&str] = &[];

/// What shows a message on the desktop. Title and text are arguments and nothing else: they hold no code.
#[cfg(target_os = "linux")]
pub(crate) fn desktop_command(title: &str, text: &str, urgent: bool) -> Vec<String> {
    let urgency = if urgent { "--urgency=critical" } else { "--urgency=normal" };
    ["notify-send", "--app-name=Bowline", urgency, "--", title, text].map(ToOwned::to_owned).to_vec()
}

/// As on Linux; macOS knows no urgency.
#[cfg(not(target_os = "linux"))]
pub(crate) fn desktop_command(title: &str, text: &str, _urgent: bool) -> Vec<String> {
    const SHOW: &str = "display notification (item 2 of argv) with title (item 1 of argv)";
    ["osascript", "-e", "on run argv", "-e", SHOW, "-e", "end run", "--", title, text].map(ToOwned::to_owned).to_vec()
}

/// Whether [`send_file`] can do anything here.
pub(crate) const SENDS_FILES: bool = cfg!(target_os = "linux");

/// Has the kernel send up to `count` bytes of `file` from `offset`: how many it took.
///
/// # Errors
/// `Unsupported`: not from this file, or not on this system.
#[cfg(target_os = "linux")]
pub(crate) fn send_file(socket: impl AsFd, file: &File, offset: u64, count: usize) -> io::Result<usize> {
    use rustix::io::Errno;
    let mut at = offset;
    rustix::fs::sendfile(socket, file, Some(&mut at), count).map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => io::ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_file(_: impl AsFd, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the byte of `file` at `offset` is in memory. `false` also where nobody can tell.
#[cfg(target_os = "linux")]
pub(crate) fn is_resident(file: &File, offset: u64) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut byte = [0];
    preadv2(file, &mut [io::IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) == Ok(1)
}

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_resident(_: &File, _: u64) -> bool {
    false
}

/// Two ends of a pipe of the kernel through which bytes pass untouched.
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Pipe {
    /// With `room` where the system lets it; what it really holds costs nothing but more calls.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn new(room: Option<usize>) -> io::Result<Self> {
        use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        if let Some(room) = room {
            fcntl_setpipe_size(&write, room).ok();
        }
        Ok(Self { read, write })
    }

    /// Takes up to `count` bytes of what `from` has into the empty pipe. 0 is its end.
    ///
    /// # Errors
    /// `WouldBlock`: it has nothing. `Unsupported`: not from this descriptor.
    pub(crate) fn fill(&self, from: impl AsFd, count: usize) -> io::Result<usize> {
        splice(from, &self.write, count)
    }

    /// Gives up to `count` bytes of the pipe to `to`.
    ///
    /// # Errors
    /// `WouldBlock`: it takes nothing now.
    pub(crate) fn drain(&self, to: impl AsFd, count: usize) -> io::Result<usize> {
        splice(&self.read, to, count)
    }
}

#[cfg(target_os = "linux")]
fn splice(from: impl AsFd, to: impl AsFd, count: usize) -> io::Result<usize> {
    use rustix::{
        io::Errno,
        pipe::{SpliceFlags, splice},
    };
    splice(from, None, to, None, count, SpliceFlags::MOVE | SpliceFlags::NONBLOCK).map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS => io::ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
impl Pipe {
    pub(crate) fn new(_: Option<usize>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn fill(&self, _: impl AsFd, _: usize) -> io::Result<usize> {
        let _ = (&self.read, &self.write);
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn drain(&self, _: impl AsFd, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
/// Lets a task wait until there is something to read.
pub(crate) fn when_readable(events: AddressEvents) -> io::Result<AsyncFd<AddressEvents>> {
    // SAFETY: `AddressEvents` owns its descriptor from `listen` to its end, always names the same one, and the descriptor
    // is closed when it is dropped, which the `AsyncFd` that owns it then does after it has let go of it.
    #[expect(unsafe_code, reason = "the reactor has to be told a number")]
    let registered = unsafe { AsyncFd::register(events) };
    registered.map_err(io::Error::from)
}

#[cfg(target_os = "linux")]
pub(crate) use crate::rtnetlink::{
    Events as AddressEvents, addresses as interface_addresses, index as interface_index,
};

/// As on Linux, if it could.
#[cfg(not(target_os = "linux"))]
mod no_rtnetlink {
    use std::{
        io,
        os::fd::{AsRawFd, RawFd},
    };

    use crate::interfaces::{At, News};

    pub(crate) fn interface_addresses() -> io::Result<Vec<At>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn interface_index(_: &str) -> io::Result<u32> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is none of these.
    #[derive(Debug)]
    pub(crate) enum AddressEvents {}

    impl AddressEvents {
        pub(crate) fn listen() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn read(&self) -> io::Result<Vec<News>> {
            match *self {}
        }
    }

    impl AsRawFd for AddressEvents {
        fn as_raw_fd(&self) -> RawFd {
            match *self {}
        }
    }
}
#[cfg(not(target_os = "linux"))]
pub(crate) use no_rtnetlink::{AddressEvents, interface_addresses, interface_index};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::fs::StatxAttributes;

    use super::*;

    #[test]
    fn a_kernel_that_does_not_tell_of_mounts_may_have_one_anywhere() {
        let (nothing, mount) = (StatxAttributes::empty(), StatxAttributes::MOUNT_ROOT);
        assert!(may_be_a_mount(nothing, nothing), "before 5.8");
        assert!(!may_be_a_mount(nothing, mount));
        assert!(may_be_a_mount(mount, mount));
    }
}
