//! What differs between operating systems, and nothing else does: Linux is tested, macOS is written for.

use rustix::time::ClockId;

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
