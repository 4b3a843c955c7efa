//! The act of changing an AWS file: locked, read again under the lock, replaced whole, or left as it was.
//!
//! Other tools neither see our lock nor replace whole files, so the file is compared once more just before the rename:
//! what somebody else wrote meanwhile is never lost silently.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use base::{Fault, Kind, Retry, atomic};
use bowline_base as base;

use crate::{Document, EditError, FileLock, Mistake};

/// Which permissions the file gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `~/.aws/config`: keeps its mode.
    Config,
    /// `~/.aws/credentials`: nobody but the owner.
    Credentials,
}

impl Rule {
    fn mode(self, existing: Option<u32>) -> u32 {
        match (self, existing) {
            (_, None) => atomic::PRIVATE,
            (Self::Config, Some(mode)) => mode,
            (Self::Credentials, Some(mode)) => mode & 0o700,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The file is another one than before.
    pub changed: bool,
    /// Others could read the file before, and no longer can: worth a warning.
    pub tightened: bool,
    /// The file is a mount point and had to be written in place.
    pub in_place: bool,
}

/// Why a file was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The change cannot be made, or the file has a mistake.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody else wrote the file while we worked on it.
    #[error("`{}` was changed by another program meanwhile", .0.display())]
    Raced(PathBuf),
    /// The disk says no.
    #[error("cannot {verb} `{}`", .path.display())]
    Io {
        /// What was tried: `lock`, `read`, `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl From<Mistake> for RewriteError {
    fn from(mistake: Mistake) -> Self {
        Self::Edit(mistake.into())
    }
}

impl From<RewriteError> for Fault {
    fn from(error: RewriteError) -> Self {
        let message = error.to_string();
        match error {
            RewriteError::Edit(edit) => edit.into(),
            RewriteError::Raced(path) => Self::new(Kind::Config, path.display().to_string(), message)
                .retry(Retry::After(std::time::Duration::from_secs(1)))
                .hint("run the command again"),
            RewriteError::Io { path, cause, .. } => {
                let directory = path.parent().unwrap_or(&path).display().to_string();
                let hint = format!("look at `ls -ld {directory}` and `df {directory}`; nothing was changed");
                Self::new(Kind::Config, path.display().to_string(), message).hint(hint).cause(cause)
            }
        }
    }
}

/// Applies `edit` to the file at `path` (made if missing, symlinks followed) so that a reader sees the old file or the
/// new one. Waits for other writers of ours. Blocks the thread.
///
/// # Errors
/// [`RewriteError`]; then the file is as it was.
pub fn rewrite<E: Into<RewriteError>>(
    path: &Path,
    rule: Rule,
    edit: impl FnOnce(&mut Document) -> Result<(), E>,
) -> Result<Outcome, RewriteError> {
    rewrite_with(path, rule, edit, atomic::write)
}

/// How a file is replaced whole: target, contents, mode.
type Replace = fn(&Path, &[u8], u32) -> io::Result<()>;

fn rewrite_with<E: Into<RewriteError>>(
    path: &Path,
    rule: Rule,
    edit: impl FnOnce(&mut Document) -> Result<(), E>,
    replace: Replace,
) -> Result<Outcome, RewriteError> {
    let target = atomic::resolve(path).map_err(|cause| io_error("read", path, cause))?;
    let _lock = lock(&target).map_err(|cause| io_error("lock", &target, cause))?;
    let before = Snapshot::take(&target)?;
    let mut document = Document::parse(path, before.bytes())?;
    edit(&mut document).map_err(Into::into)?;
    let new = document.to_bytes();
    let mode = rule.mode(before.mode());
    if new == before.bytes() && before.mode().is_none_or(|existing| existing == mode) {
        return Ok(Outcome::default());
    }
    if Snapshot::take(&target)?.contents != before.contents {
        return Err(RewriteError::Raced(target));
    }
    let in_place = commit(&target, &before, &new, mode, replace).map_err(|cause| io_error("write", &target, cause))?;
    let tightened = before.mode().is_some_and(|existing| existing & 0o077 != 0 && mode & 0o077 == 0);
    Ok(Outcome { changed: true, tightened, in_place })
}

/// What the file was when we looked.
struct Snapshot {
    contents: Option<Vec<u8>>,
    metadata: Option<fs::Metadata>,
}

impl Snapshot {
    fn take(target: &Path) -> Result<Self, RewriteError> {
        match fs::read(target).and_then(|bytes| Ok((bytes, fs::metadata(target)?))) {
            Ok((bytes, metadata)) => Ok(Self { contents: Some(bytes), metadata: Some(metadata) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { contents: None, metadata: None }),
            Err(cause) => Err(io_error("read", target, cause)),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.contents.as_deref().unwrap_or_default()
    }

    fn mode(&self) -> Option<u32> {
        self.metadata.as_ref().map(|metadata| metadata.permissions().mode() & 0o7777)
    }
}

fn lock(target: &Path) -> io::Result<FileLock> {
    if let Some(directory) = target.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        atomic::private_directory(directory)?;
    }
    FileLock::acquire(&sibling(target, "lock"))
}

/// `.config.bowline-lock` beside `config`.
fn sibling(target: &Path, purpose: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.bowline-{purpose}"))
}

/// Replaces the file; whether that had to be done in place.
fn commit(target: &Path, before: &Snapshot, new: &[u8], mode: u32, replace: Replace) -> io::Result<bool> {
    match replace(target, new, mode) {
        Ok(()) => {
            keep_owner(target, before);
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            write_in_place(target, before.bytes(), new, mode)?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// A file of somebody else stays theirs where we may say so (as root); where not, the write was allowed all the same.
fn keep_owner(target: &Path, before: &Snapshot) {
    if let (Some(old), Ok(new)) = (&before.metadata, fs::metadata(target))
        && (old.uid(), old.gid()) != (new.uid(), new.gid())
    {
        chown(target, Some(old.uid()), Some(old.gid())).ok();
    }
}

/// A bind-mounted file cannot be renamed over. Its old contents lie beside it until the new ones are on the disk.
fn write_in_place(target: &Path, old: &[u8], new: &[u8], mode: u32) -> io::Result<()> {
    let backup = sibling(target, "backup");
    atomic::write_private(&backup, old)?;
    if let Err(error) = overwrite(target, new, mode) {
        overwrite(target, old, mode)?;
        return Err(error);
    }
    fs::remove_file(&backup)
}

fn overwrite(target: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(target)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.set_len(contents.len() as u64)?;
    file.sync_all()
}

fn io_error(verb: &'static str, path: &Path, cause: io::Error) -> RewriteError {
    RewriteError::Io { verb, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SectionName;

    fn busy(_: &Path, _: &[u8], _: u32) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }

    fn full(_: &Path, _: &[u8], _: u32) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn set_region(document: &mut Document) -> Result<(), EditError> {
        document.set(&SectionName::Profile("a".into()), "region", "eu-west-1")
    }

    #[test]
    fn a_mount_point_is_written_in_place_and_the_backup_goes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config");
        atomic::write(
            &path,
            b"# a long comment that makes the file shrink\n[profile a]\nregion = eu-central-1\n",
            0o644,
        )
        .unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let outcome = rewrite_with(&path, Rule::Config, set_region, busy).unwrap();
        assert_eq!(outcome, Outcome { changed: true, tightened: false, in_place: true });
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("[profile a]\nregion = eu-west-1\n"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(!sibling(&path, "backup").exists());
    }

    #[test]
    fn a_full_disk_changes_nothing_and_says_so() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config");
        atomic::write(&path, b"[profile a]\nregion = x\n", 0o644).unwrap();
        let fault = Fault::from(rewrite_with(&path, Rule::Config, set_region, full).unwrap_err());
        assert_eq!(fs::read(&path).unwrap(), b"[profile a]\nregion = x\n");
        assert!(fault.message.starts_with("cannot write"), "{}", fault.message);
        assert!(fault.hint.unwrap().contains("df "));
    }

    #[test]
    fn a_credentials_file_is_never_left_open_to_others() {
        assert_eq!(
            [None, Some(0o644), Some(0o600), Some(0o400)].map(|mode| Rule::Credentials.mode(mode)),
            [0o600, 0o600, 0o600, 0o400]
        );
        assert_eq!([None, Some(0o644)].map(|mode| Rule::Config.mode(mode)), [0o600, 0o644]);
    }
}
