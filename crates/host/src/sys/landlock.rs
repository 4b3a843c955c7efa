//! Landlock's three system calls, and nothing of what they are used for: see `landlock(7)` and `crate::confine`.

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    ptr,
};

use nix::libc::{self, c_long};

/// `LANDLOCK_ACCESS_FS_*` as far as we handle them. To execute is left alone: what can be read can be run, as confined.
pub(crate) mod access {
    pub(crate) const WRITE_FILE: u64 = 1 << 1;
    pub(crate) const READ_FILE: u64 = 1 << 2;
    pub(crate) const READ_DIR: u64 = 1 << 3;
    /// Remove and make anything, from `REMOVE_DIR` to `MAKE_SYM`.
    pub(crate) const CHANGE_DIR: u64 = 0b1_1111_1111 << 4;
    /// Rename and link between directories: since version 2, and forbidden altogether before.
    pub(crate) const REFER: u64 = 1 << 13;
    /// Since version 3.
    pub(crate) const TRUNCATE: u64 = 1 << 14;
}

/// `LANDLOCK_CREATE_RULESET_VERSION`
const ASK_VERSION: u32 = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`
const PATH_BENEATH: u32 = 1;

/// `struct landlock_ruleset_attr`, of which older kernels know the beginning only.
#[repr(C)]
struct Attributes {
    handled: u64,
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: RawFd,
}

/// What the kernel speaks.
///
/// # Errors
/// It has no Landlock, or it is switched off.
pub(crate) fn version() -> io::Result<c_long> {
    // SAFETY: with this flag the kernel takes no pointer and answers with a number.
    #[expect(unsafe_code, reason = "no crate that we have makes this call")]
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<Attributes>(), 0_usize, ASK_VERSION) };
    said(answer)
}

/// A set of rules that forbids `handled` wherever no rule allows it.
pub(crate) fn rules(handled: u64) -> io::Result<OwnedFd> {
    let attributes = Attributes { handled };
    // SAFETY: the pointer is to a value that lives through the call, of the size that is told.
    #[expect(unsafe_code, reason = "no crate that we have makes this call")]
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size_of::<Attributes>(), 0_u32)
    };
    let number = RawFd::try_from(said(answer)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
    #[expect(unsafe_code, reason = "a number from the kernel has to become an owned descriptor somewhere")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Allows `allowed` at `parent` and below.
pub(crate) fn allow(rules: BorrowedFd<'_>, parent: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
    let beneath = Beneath { allowed, parent: parent.as_raw_fd() };
    // SAFETY: the pointer is to a value of the kernel's own layout that lives through the call.
    #[expect(unsafe_code, reason = "no crate that we have makes this call")]
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, &raw const beneath, 0_u32)
    };
    said(answer).map(drop)
}

/// Binds this thread, and whatever it starts from now on, to `rules`.
pub(crate) fn restrict(rules: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: two numbers; the call changes what this thread may open and no memory.
    #[expect(unsafe_code, reason = "no crate that we have makes this call")]
    let answer = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) };
    said(answer).map(drop)
}

fn said(answer: c_long) -> io::Result<c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
