//! Locks between processes, waited for with an end: one that was stopped while it held a lock must not stop all others.
//!
//! No clock is read: a wait is a number of tries. The thread blocks meanwhile.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Five seconds: changes of files take milliseconds.
const TRIES: u32 = 500;

/// Takes the lock of `file`, which is the file at `path`, for as long as it stays open.
///
/// # Errors
/// Another process has had it for five seconds (`TimedOut`, with words that say so), or the file system has no locks.
pub fn acquire(file: &File, path: &Path) -> io::Result<()> {
    acquire_within(file, path, TRIES)
}

fn acquire_within(file: &File, path: &Path, tries: u32) -> io::Result<()> {
    for _ in 0..tries {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(BETWEEN_TRIES),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    let message = format!("another process has held `{0}` for seconds; `fuser -v {0}` shows which", path.display());
    Err(io::Error::new(io::ErrorKind::TimedOut, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_given_up_with_words_and_a_free_one_is_had() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.lock");
        let held = File::create(&path).unwrap();
        acquire_within(&held, &path, 1).unwrap();
        let other = File::open(&path).unwrap();
        let error = acquire_within(&other, &path, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("x.lock` shows which"), "{error}");
        drop(held);
        acquire_within(&other, &path, 1).unwrap();
    }
}
