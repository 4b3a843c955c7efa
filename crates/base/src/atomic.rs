//! Files that are replaced whole or not at all: temp file beside the target, fsync, rename, fsync of the directory.
//!
//! A reader sees the old file or the new one, never a mix and never an empty one. A symlink is followed, so the link
//! stays a link. The mode is set at creation: a secret is never readable for a moment.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The mode of every file that holds a secret.
pub const PRIVATE: u32 = 0o600;

/// Replaces `path` with `contents`, readable by its owner only.
///
/// # Errors
/// Any I/O error; then the old file is untouched and no temporary file is left.
pub fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    write(path, contents, PRIVATE)
}

/// Replaces `path` with `contents` and gives it exactly `mode`.
///
/// # Errors
/// Any I/O error; then the old file is untouched and no temporary file is left.
pub fn write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let target = resolve(path)?;
    let temporary = sibling(&target);
    let result = fill(&temporary, contents, mode).and_then(|()| fs::rename(&temporary, &target));
    if let Err(error) = result {
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    sync_directory(&target)
}

/// Makes `directory` and its parents, each readable by the owner only where it did not exist before.
///
/// # Errors
/// Any I/O error, and a path that exists and is no directory.
pub fn private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Where a write to `path` really goes: symlinks followed to the end, the last one even when it dangles.
///
/// # Errors
/// A loop of links, or a directory that cannot be read.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut current = path.to_path_buf();
    for _ in 0..40 {
        match fs::read_link(&current) {
            Ok(next) => current = current.parent().unwrap_or(Path::new("/")).join(next),
            Err(_) => return Ok(current),
        }
    }
    Err(io::Error::other(format!("too many links from `{}`", path.display())))
}

fn sibling(target: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".{name}.{}-{unique}.tmp", std::process::id()))
}

fn fill(temporary: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    fs::remove_file(temporary).ok();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE & mode).open(temporary)?;
    file.write_all(contents)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn sync_directory(target: &Path) -> io::Result<()> {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_through_a_symlink_and_keeps_the_link() {
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real"), home.path().join("link"));
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_private(&link, b"one").unwrap();
        write(&link, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("is-a-directory");
        fs::create_dir(&target).unwrap();
        assert!(write_private(&target, b"x").is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
