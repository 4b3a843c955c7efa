//! Locks between processes, waited for with an end: one that was stopped while it held a lock must not stop all others.
//!
//! No clock is read. [`acquire`] blocks the thread for a number of tries, for changes of files that take milliseconds;
//! [`wait_for`] is for what is held as long as an answer from the network takes.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

use crate::wire::Wire;

/// How long a thread waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Five seconds: fifty processes in a row, each with a slow disk.
    Long,
    /// A tenth of a second: somebody may only be looking.
    Short,
}

impl Patience {
    fn tries(self) -> u32 {
        match self {
            Self::Long => 500,
            Self::Short => 10,
        }
    }
}

const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Takes the lock of `file`, which is the file at `path`, for as long as it stays open. Waits with [`Patience::Long`].
///
/// # Errors
/// Another process has had it for five seconds (`TimedOut`, with words that say so), or the file system has no locks.
pub fn acquire(file: &File, path: &Path) -> io::Result<()> {
    acquire_within(file, path, Patience::Long)
}

/// As [`acquire`], with another patience.
///
/// # Errors
/// As [`acquire`].
pub fn acquire_within(file: &File, path: &Path, patience: Patience) -> io::Result<()> {
    for _ in 0..patience.tries() {
        if try_acquire(file)? {
            return Ok(());
        }
        std::thread::park_timeout(BETWEEN_TRIES);
    }
    let shown = crate::shell::quoted_path(path);
    let message = format!("another process has held `{}` for too long; `fuser -v {shown}` shows which", path.display());
    Err(io::Error::new(io::ErrorKind::TimedOut, message))
}

/// Takes the lock of `file` if nobody has it; whether it did.
///
/// # Errors
/// The file system has no locks.
pub fn try_acquire(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Tries for a lock every few milliseconds until it is had, for `longest` at most: `None` then. It blocks no thread.
///
/// # Errors
/// The first that `try_lock` has.
pub async fn wait_for<L, E>(
    wire: &dyn Wire,
    longest: Duration,
    mut try_lock: impl FnMut() -> Result<Option<L>, E>,
) -> Result<Option<L>, E> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_given_up_with_words_and_a_free_one_is_had() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("my x.lock");
        let held = File::create(&path).unwrap();
        acquire(&held, &path).unwrap();
        let other = File::open(&path).unwrap();
        assert!(!try_acquire(&other).unwrap());
        let error = acquire_within(&other, &path, Patience::Short).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().ends_with("my x.lock'` shows which"), "{error}");
        drop(held);
        acquire(&other, &path).unwrap();
    }
}
