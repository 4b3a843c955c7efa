//! One lock per file, held by an open descriptor: the kernel lets go of it when the process ends, however it ends.
//!
//! The lock is a file of its own beside the one it guards, because a rename would leave a lock on the old file.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use bowline_base::lock;

/// A held lock; dropping it lets the next one in. The lock file stays, so that all wait at the same one.
#[derive(Debug)]
pub struct FileLock(#[expect(dead_code, reason = "holding it open is what it is for")] File);

impl FileLock {
    /// Waits for the lock at `path`, for five seconds at most, making the file (mode 0600) if there is none. Blocks the
    /// thread.
    ///
    /// # Errors
    /// Somebody else does not let go of it, or any I/O error, such as a directory that cannot be written to.
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        lock::acquire(&file, path)?;
        Ok(Self(file))
    }

    /// Takes the lock at `path` if nobody has it.
    ///
    /// # Errors
    /// As [`FileLock::acquire`].
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        Ok(lock::try_acquire(&file)?.then(|| Self(file)))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_the_next_gets_it_after() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.lock");
        let held = FileLock::acquire(&path).unwrap();
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        drop(held);
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
    }
}
