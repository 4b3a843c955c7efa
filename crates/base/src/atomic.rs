//! Files that are replaced whole or not at all: temp file beside the target, fsync, rename, fsync of the directory.
//!
//! A reader sees the old file or the new one, never a mix and never an empty one. A symlink is followed, so the link
//! stays a link. The mode is set at creation: a secret is never readable for a moment. Temp files have names that no
//! other process has, on no other machine with the same directory; what a killed one left behind goes after an hour.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    fs::{self, File, OpenOptions, Permissions},
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// The mode of every file that holds a secret.
pub const PRIVATE: u32 = 0o600;

/// A temp file this much older than a new one is nobody's any more.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// Replaces `path` with `contents`, readable by its owner only.
///
/// # Errors
/// Any I/O error; then no temporary file is left, and the old file is untouched unless the last step failed: the new one
/// is in its place then, but may not outlive a loss of power.
pub fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    write(path, contents, PRIVATE)
}

/// Replaces `path` with `contents` and gives it exactly `mode`.
///
/// # Errors
/// Any I/O error; then no temporary file is left, and the old file is untouched unless the last step failed: the new one
/// is in its place then, but may not outlive a loss of power.
pub fn write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let target = resolve(path)?;
    let temporary = sibling(&target);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE & mode).open(&temporary)?;
    let result = fill(&mut file, contents, mode).and_then(|()| fs::rename(&temporary, &target));
    if let Err(error) = result {
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    sweep(directory_of(&target), file.metadata()?.modified()?);
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
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{:016x}.tmp", random()))
}

/// The keys of a hash table come from the system's generator.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether `name` is one that [`sibling`] gives.
fn is_temporary(name: &str) -> bool {
    let unique =
        name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).and_then(|name| name.rsplit_once('.'));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    unique.is_some_and(|(_, unique)| unique.len() == 16 && digits(unique))
}

fn fill(file: &mut File, contents: &[u8], mode: u32) -> io::Result<()> {
    file.write_all(contents)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Removes what killed processes left in `directory`, some of it secret; once for a process and directory. `now` is the
/// time of a file that was just written there: of the same clock, even on a network's disk.
fn sweep(directory: &Path, now: SystemTime) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    if SWEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(directory.to_path_buf()) {
        remove_left_behind(directory, now);
    }
}

fn remove_left_behind(directory: &Path, now: SystemTime) {
    let is_old = |entry: &fs::DirEntry| {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > LEFT_BEHIND))
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(is_temporary) && is_old(entry)) {
        fs::remove_file(entry.path()).ok();
    }
}

fn directory_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(target: &Path) -> io::Result<()> {
    File::open(directory_of(target))?.sync_all()
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
    fn no_two_temp_files_have_one_name_whatever_the_process() {
        let names: BTreeSet<PathBuf> = (0..100).map(|_| sibling(Path::new("d/key"))).collect();
        assert_eq!(names.len(), 100);
        let own = std::process::id().to_string();
        for name in names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()) {
            assert!(is_temporary(name) && !name.contains(&format!(".{own}-")), "{name}");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_swept_after_an_hour_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let [old, young, theirs] = [".key.00112233445566aa.tmp", ".key.00112233445566ab.tmp", ".key.old.tmp"];
        for (name, hours) in [(old, 2), (young, 0), (theirs, 2)] {
            let file = File::create(home.path().join(name)).unwrap();
            let written = file.metadata().unwrap().modified().unwrap();
            file.set_modified(written - Duration::from_secs(hours * 3600)).unwrap();
        }
        write_private(&home.path().join("another"), b"x").unwrap();
        let left = |name: &str| home.path().join(name).exists();
        assert_eq!([old, young, theirs].map(left), [false, true, true]);
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
