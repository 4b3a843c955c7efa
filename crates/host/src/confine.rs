//! Takes from this process every file that it does not need, by Landlock, where the kernel has it.
//!
//! To be called before any other thread is started: the kernel binds the thread that asks, and what that one starts from
//! then on, child processes included. There is no way back. What is open stays open.

use std::{io, path::PathBuf};

/// What may be done at a place and below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Files are read, directories listed.
    Read,
    /// Files are also written, made, renamed and removed.
    Write,
}

/// A file or a directory that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Where; a symlink counts as what it leads to.
    pub path: PathBuf,
    /// What for.
    pub access: Access,
}

/// What has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// Nothing but the places can be opened any more.
    Complete,
    /// Nothing has changed, and why.
    Unavailable(String),
}

/// From now on this thread and what it starts open `places` only; those that do not exist are left out.
///
/// # Errors
/// The kernel has Landlock and refused: nothing is promised then.
pub fn to(places: &[Place]) -> io::Result<Confinement> {
    imp::to(places)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::{
        ffi::c_long,
        fs::File,
        io,
        os::{
            fd::{AsFd as _, BorrowedFd},
            unix::fs::OpenOptionsExt as _,
        },
    };

    use super::{Access, Confinement, Place};
    use crate::sys::landlock::{self, access};

    /// Before it, no file could be renamed from one directory to another.
    const LEAST_VERSION: c_long = 2;
    const TRUNCATE_SINCE: c_long = 3;

    pub(super) fn to(places: &[Place]) -> io::Result<Confinement> {
        let version = match landlock::version() {
            Ok(version) if version >= LEAST_VERSION => version,
            Ok(version) => {
                return Ok(Confinement::Unavailable(format!("the kernel's Landlock is of version {version}")));
            }
            Err(error) => return Ok(Confinement::Unavailable(format!("the kernel has no Landlock ({error})"))),
        };
        let truncate = if version >= TRUNCATE_SINCE { access::TRUNCATE } else { 0 };
        let whole_file = access::READ_FILE | access::WRITE_FILE | truncate;
        let handled = whole_file | access::READ_DIR | access::CHANGE_DIR | access::REFER;
        let rules = landlock::rules(handled)?;
        for place in places {
            allow(rules.as_fd(), place, handled, whole_file)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        landlock::restrict(rules.as_fd())?;
        Ok(Confinement::Complete)
    }

    /// What cannot be found now is nobody's to open later.
    fn allow(rules: BorrowedFd<'_>, place: &Place, handled: u64, whole_file: u64) -> io::Result<()> {
        let path_only = i32::try_from(rustix::fs::OFlags::PATH.bits()).unwrap_or_default();
        let Ok(found) = File::options().read(true).custom_flags(path_only).open(&place.path) else { return Ok(()) };
        let is_directory = found.metadata()?.is_dir();
        let wanted = match (place.access, is_directory) {
            (Access::Read, true) => access::READ_FILE | access::READ_DIR,
            (Access::Read, false) => access::READ_FILE,
            (Access::Write, true) => handled,
            (Access::Write, false) => whole_file,
        };
        landlock::allow(rules, found.as_fd(), wanted)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;

    use super::{Confinement, Place};

    pub(super) fn to(_: &[Place]) -> io::Result<Confinement> {
        Ok(Confinement::Unavailable("this system has no Landlock".to_owned()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, thread};

    use bowline_base::atomic;

    use super::*;

    /// The kernel binds the thread that asks: one of its own, so that the other tests go on.
    #[test]
    fn what_is_not_named_cannot_be_opened_any_more() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        for name in ["inside", "shown", "outside"] {
            fs::create_dir(path(name)).unwrap();
            atomic::write_private(&path(name).join("a"), b"old").unwrap();
        }
        let places = [
            Place { path: path("inside"), access: Access::Write },
            Place { path: path("shown"), access: Access::Read },
            Place { path: path("never-there"), access: Access::Write },
        ];
        let tried = thread::spawn({
            let folder = home.path().to_path_buf();
            move || {
                let outcome = to(&places).unwrap();
                let read = |name: &str| fs::read(folder.join(name).join("a")).is_ok();
                let write = |name: &str| atomic::write_private(&folder.join(name).join("a"), b"new").is_ok();
                let names = ["inside", "shown", "outside"];
                (outcome, names.map(read), names.map(write), thread::spawn(move || fs::read_dir(folder).is_ok()).join())
            }
        });
        let (outcome, read, write, listed_by_a_child) = tried.join().unwrap();
        if let Confinement::Unavailable(why) = outcome {
            return println!("skipped: {why}");
        }
        assert_eq!((read, write), ([true, true, false], [true, false, false]));
        assert!(!listed_by_a_child.unwrap(), "a thread that was started later is bound as well");
    }
}
