//! What differs between operating systems, and nothing else does: Linux is tested, macOS is written for.

use std::{
    io,
    net::SocketAddr,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
};

use rustix::{io::FdFlags, time::ClockId};

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
