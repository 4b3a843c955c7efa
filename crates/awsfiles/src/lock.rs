//! One lock per file, held by an open descriptor: the kernel lets go of it when the process ends, however it ends.
//!
//! The lock is a file of its own beside the one it guards, because a rename would leave a lock on the old file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use bowline_base::{lock, wire::Wire};

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
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Tries for a lock every few milliseconds until it is had, for `longest` at most: `None` then. It blocks no thread, so it
/// is the way to a lock that is held for as long as an answer from the network takes.
///
/// # Errors
/// The first that `try_lock` has.
pub async fn wait_for<E>(
    wire: &dyn Wire,
    longest: Duration,
    mut try_lock: impl FnMut() -> Result<Option<FileLock>, E>,
) -> Result<Option<FileLock>, E> {
    let start = wire.now().boot;
    let mut pause = Duration::from_millis(2);
    loop {
        let lock = try_lock()?;
        if lock.is_some() || wire.now().boot.saturating_sub(start) > longest {
            return Ok(lock);
        }
        wire.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const LONGEST_PAUSE: Duration = Duration::from_millis(40);

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
