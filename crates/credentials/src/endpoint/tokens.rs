//! The token that an ECS-style client shows: 256 bits in a file of its own, 0600 in a 0700 directory, no newline.
//!
//! Clients re-read the file at every fetch, so a rotation is a rename and an overlap in which the old one is taken too.
//! Whoever replaces the file by hand rotates as well.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bowline_base::{Fault, Kind, Now, Secret, atomic};
use bowline_host::client::random_bytes;
use subtle::ConstantTimeEq as _;

/// How long the former token is taken beside the new one.
pub const OVERLAP: Duration = Duration::from_secs(10 * 60);

/// The shortest text that is taken as a token: 128 bits in base64.
const SHORTEST: usize = 22;

/// A token file and what it holds.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    current: Secret,
    former: Option<(Secret, Duration)>,
}

impl TokenFile {
    /// The token in the file at `path`, if only we can read it and it is one; else a new one, written there.
    ///
    /// # Errors
    /// `Config` when the file cannot be written.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let current = match read(path) {
            Some(token) => token,
            None => write_new(path)?,
        };
        Ok(Self { path: path.to_path_buf(), held: Mutex::new(Held { current, former: None }) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `given` is the token of this moment, or the one before it within [`OVERLAP`]. In constant time for each.
    #[must_use]
    pub fn accepts(&self, given: &[u8], now: Now) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.takes(given, now) {
            return true;
        }
        let Some(token) = read(&self.path).filter(|token| *token != held.current) else { return false };
        held.replace(token, now);
        held.takes(given, now)
    }

    /// Writes another token; the old one is taken for [`OVERLAP`].
    ///
    /// # Errors
    /// `Config` when the file cannot be written; then the old token stays.
    pub fn rotate(&self, now: Now) -> Result<(), Fault> {
        let token = write_new(&self.path)?;
        self.held.lock().unwrap_or_else(PoisonError::into_inner).replace(token, now);
        Ok(())
    }
}

impl Held {
    fn takes(&self, given: &[u8], now: Now) -> bool {
        let same = |token: &Secret| bool::from(token.expose().as_bytes().ct_eq(given));
        let former = self.former.as_ref().is_some_and(|(token, until)| now.boot < *until && same(token));
        same(&self.current) || former
    }

    fn replace(&mut self, token: Secret, now: Now) {
        let former = std::mem::replace(&mut self.current, token);
        self.former = Some((former, now.boot + OVERLAP));
    }
}

/// `None` for what others may read or might have written, and for what is no token.
fn read(path: &Path) -> Option<Secret> {
    let facts = fs::symlink_metadata(path).ok()?;
    let ours = facts.uid() == rustix::process::geteuid().as_raw();
    if !facts.is_file() || !ours || facts.mode() & 0o077 != 0 || facts.len() > 4096 {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let good = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_graphic());
    Some(Secret::new(text)).filter(|_| good)
}

fn write_new(path: &Path) -> Result<Secret, Fault> {
    let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()?));
    let written = path
        .parent()
        .map_or(Ok(()), atomic::private_directory)
        .and_then(|()| atomic::write_private(path, token.expose().as_bytes()));
    written.map(|()| token).map_err(|cause| {
        Fault::new(
            Kind::Config,
            path.display().to_string(),
            format!("cannot write the token file `{}`", path.display()),
        )
        .hint("name a file in a directory of your own")
        .cause(cause)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn at(seconds: u64) -> Now {
        Now { boot: Duration::from_secs(seconds), wall: bowline_base::Timestamp::UNIX_EPOCH }
    }

    fn shown(file: &TokenFile) -> Vec<u8> {
        fs::read(file.path()).unwrap()
    }

    #[test]
    fn a_new_token_is_long_private_and_without_a_newline() {
        let home = tempfile::tempdir().unwrap();
        let file = TokenFile::open(&home.path().join("endpoint/token")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(file.path().parent().unwrap())), (0o600, 0o700));
        assert_eq!(shown(&file).len(), 43);
        assert!(file.accepts(&shown(&file), at(0)) && !file.accepts(b"", at(0)) && !file.accepts(b"guess", at(0)));
    }

    #[test]
    fn after_a_rotation_both_are_taken_until_the_overlap_is_over() {
        let home = tempfile::tempdir().unwrap();
        let file = TokenFile::open(&home.path().join("token")).unwrap();
        let old = shown(&file);
        file.rotate(at(100)).unwrap();
        let new = shown(&file);
        assert!(new != old && file.accepts(&new, at(100)) && file.accepts(&old, at(699)));
        assert!(!file.accepts(&old, at(700)) && file.accepts(&new, at(700)));
    }

    #[test]
    fn a_file_replaced_by_hand_is_followed_and_one_that_others_may_read_is_not_taken() {
        let home = tempfile::tempdir().unwrap();
        let file = TokenFile::open(&home.path().join("token")).unwrap();
        atomic::write_private(file.path(), b"another-token-of-good-length").unwrap();
        assert!(file.accepts(b"another-token-of-good-length", at(0)));
        atomic::write(file.path(), b"a-third-token-of-good-length", 0o644).unwrap();
        assert!(!file.accepts(b"a-third-token-of-good-length", at(0)));
        let again = TokenFile::open(file.path()).unwrap();
        assert_ne!(shown(&again), b"a-third-token-of-good-length");
    }

    #[test]
    fn a_restart_keeps_the_token() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let first = shown(&TokenFile::open(&path).unwrap());
        assert!(TokenFile::open(&path).unwrap().accepts(&first, at(0)));
    }
}
