//! The directory `~/.aws/sso/cache`, shared with the AWS CLI and every SDK: tokens and client registrations by hash.
//!
//! Others truncate these files in place and hold no lock; so a reader is told why a file is unreadable and decides
//! itself when to look again. We write whole files of mode 0600, under a lock of our own that the others do not see.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base::{Fault, Kind, Secret, Timestamp, atomic};
use bowline_base as base;
use sha1::{Digest as _, Sha1};

use crate::{FileLock, Registration, SsoLogin, SsoToken, sso_token::Unfit};

/// Which token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SsoKey {
    /// Of the `[sso-session]` of this name.
    Session(String),
    /// Of a profile without one: the start URL, exactly as written. Such a token cannot be renewed.
    Legacy(String),
}

impl SsoKey {
    /// The name of the token's file without `.json`: SHA-1, in lower-case hex.
    #[must_use]
    pub fn hash(&self) -> String {
        match self {
            Self::Session(text) | Self::Legacy(text) => sha1_hex(text),
        }
    }
}

/// Which client registration: the AWS CLI keeps one for each combination of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationKey {
    /// `sso_start_url`.
    pub start_url: String,
    /// `sso_region`.
    pub region: String,
    /// `sso_registration_scopes`.
    pub scopes: Vec<String>,
    /// Name of the `[sso-session]`, if there is one.
    pub session: Option<String>,
}

impl RegistrationKey {
    /// The name of the registration's file without `.json`: SHA-1 of the JSON that Python's `json.dumps` makes of it.
    #[must_use]
    pub fn hash(&self) -> String {
        let scopes: Vec<String> = self.scopes.iter().map(|scope| python_json(scope)).collect();
        let scopes = if scopes.is_empty() { "null".to_owned() } else { format!("[{}]", scopes.join(", ")) };
        let session = self.session.as_deref().map_or_else(|| "null".to_owned(), python_json);
        let (region, start_url) = (python_json(&self.region), python_json(&self.start_url));
        sha1_hex(&format!(
            "{{\"region\": {region}, \"scopes\": {scopes}, \"session_name\": {session}, \
             \"startUrl\": {start_url}, \"tool\": \"botocore\"}}"
        ))
    }
}

impl From<&SsoLogin> for RegistrationKey {
    fn from(login: &SsoLogin) -> Self {
        let session = match &login.key {
            SsoKey::Session(name) => Some(name.clone()),
            SsoKey::Legacy(_) => None,
        };
        let SsoLogin { start_url, region, scopes, .. } = login.clone();
        Self { start_url, region, scopes, session }
    }
}

/// Why a file of the cache has nothing for us. It may be half-written by another tool: look again before giving up.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is no SSO token: {reason}", path = .path.display())]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: UnreadableReason,
}

/// The kinds of [`Unreadable`].
#[derive(Debug, thiserror::Error)]
pub enum UnreadableReason {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(io::Error),
    /// Nothing stands in it.
    #[error("{0}")]
    Empty(String),
    /// It is no JSON: half-written, or two writers' mix.
    #[error("{0}")]
    Broken(String),
    /// It is JSON, but lacks what a token has; another tool's, perhaps.
    #[error("{0}")]
    Foreign(String),
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        let origin = unreadable.path.display().to_string();
        let hint = format!("sign in again; a broken file is replaced, or remove it: `rm {origin}`");
        Self::new(Kind::LoginRequired, origin, unreadable.to_string()).hint(hint)
    }
}

/// The cache directory.
#[derive(Clone, Debug)]
pub struct SsoCache {
    directory: PathBuf,
}

impl SsoCache {
    /// The cache in `directory`, which need not exist yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory, to be watched.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a token.
    #[must_use]
    pub fn token_path(&self, key: &SsoKey) -> PathBuf {
        self.directory.join(format!("{}.json", key.hash()))
    }

    /// Reads a token; `None` if nobody has signed in.
    ///
    /// # Errors
    /// [`Unreadable`] when there is a file but no token in it.
    pub fn token(&self, key: &SsoKey) -> Result<Option<SsoToken>, Unreadable> {
        read(&self.token_path(key), SsoToken::from_json)
    }

    /// Replaces a token whole, mode 0600. Make it durable here before it is used anywhere.
    ///
    /// # Errors
    /// A [`Fault`] with the reason; then the old file is untouched.
    pub fn store_token(&self, key: &SsoKey, token: &SsoToken) -> Result<(), Fault> {
        self.store(&self.token_path(key), &token.to_json())
    }

    /// Forgets a token; one that is not there is no error.
    ///
    /// # Errors
    /// A [`Fault`] with the reason.
    pub fn remove_token(&self, key: &SsoKey) -> Result<(), Fault> {
        let path = self.token_path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", &path, error)),
            _ => Ok(()),
        }
    }

    /// Where [`SsoCache::keep_bad_copy`] puts its copy.
    #[must_use]
    pub fn bad_copy_path(&self, key: &SsoKey) -> PathBuf {
        self.token_path(key).with_extension("json.bad")
    }

    /// Keeps a copy of an unreadable token as `….json.bad`, mode 0600, for a person to look at. One that is there
    /// already is left alone.
    ///
    /// # Errors
    /// A [`Fault`] with the reason.
    pub fn keep_bad_copy(&self, key: &SsoKey) -> Result<PathBuf, Fault> {
        let path = self.token_path(key);
        let copy = self.bad_copy_path(key);
        let bytes = fs::read(&path).map_err(|error| cannot("read", &path, error))?;
        if fs::read(&copy).is_ok_and(|kept| kept == bytes) {
            return Ok(copy);
        }
        atomic::write_private(&copy, &bytes).map_err(|error| cannot("write", &copy, error))?;
        Ok(copy)
    }

    /// Takes the lock of this token if nobody has it.
    ///
    /// # Errors
    /// A [`Fault`] with the reason, such as a directory that cannot be written to.
    pub fn try_lock(&self, key: &SsoKey) -> Result<Option<FileLock>, Fault> {
        let path = self.lock_path(key)?;
        FileLock::try_acquire(&path).map_err(|error| cannot("lock", &path, error))
    }

    /// The client registrations that a sign-in at `now` may use, the best first: the one kept for it, then the one
    /// inside its token, even an expired one. What cannot be read counts as absent.
    #[must_use]
    pub fn registrations(&self, login: &SsoLogin, now: Timestamp) -> Vec<Registration> {
        let kept = read(&self.registration_path(&login.into()), Registration::from_json).ok().flatten();
        let inside = self.token(&login.key).ok().flatten().and_then(|token| token.registration);
        kept.into_iter().chain(inside).filter(|registration| registration.usable_at(now)).collect()
    }

    /// Keeps a client registration where the AWS CLI looks for it too, mode 0600.
    ///
    /// # Errors
    /// A [`Fault`] with the reason; then the old file is untouched.
    pub fn store_registration(&self, login: &SsoLogin, registration: &Registration) -> Result<(), Fault> {
        self.store(&self.registration_path(&login.into()), &registration.to_json())
    }

    fn registration_path(&self, key: &RegistrationKey) -> PathBuf {
        self.directory.join(format!("{}.json", key.hash()))
    }

    /// Not `.json`: the AWS CLI looks into every such file at logout.
    fn lock_path(&self, key: &SsoKey) -> Result<PathBuf, Fault> {
        self.make_directory()?;
        Ok(self.directory.join(format!("{}.lock", key.hash())))
    }

    fn store(&self, path: &Path, json: &Secret) -> Result<(), Fault> {
        self.make_directory()?;
        atomic::write_private(path, json.expose().as_bytes()).map_err(|error| cannot("write", path, error))
    }

    fn make_directory(&self) -> Result<(), Fault> {
        atomic::private_directory(&self.directory).map_err(|error| cannot("make", &self.directory, error))
    }
}

fn read<T>(path: &Path, parse: fn(&str) -> Result<T, Unfit>) -> Result<Option<T>, Unreadable> {
    let unreadable = |reason| Unreadable { path: path.to_owned(), reason };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(UnreadableReason::Io(error))),
    };
    let Ok(text) = String::from_utf8(bytes).map(Secret::new) else {
        return Err(unreadable(UnreadableReason::Broken("it is not UTF-8 text".to_owned())));
    };
    parse(text.expose()).map(Some).map_err(|unfit| {
        let text = unfit.to_string();
        unreadable(match unfit {
            Unfit::Empty => UnreadableReason::Empty(text),
            Unfit::NotJson { .. } => UnreadableReason::Broken(text),
            Unfit::Lacks(_) | Unfit::BadTime(_) => UnreadableReason::Foreign(text),
        })
    })
}

fn cannot(verb: &str, path: &Path, error: io::Error) -> Fault {
    let directory = path.parent().unwrap_or(path).display().to_string();
    let message = format!("cannot {verb} `{}`", path.display());
    let hint = format!("look at `ls -ld {directory}` and `df {directory}`");
    Fault::new(Kind::Config, path.display().to_string(), message).hint(hint).cause(error)
}

fn sha1_hex(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A JSON string as Python writes it: everything outside ASCII as `\uXXXX`.
fn python_json(text: &str) -> String {
    let plain = serde_json::Value::from(text).to_string();
    let escape = |letter: char| {
        if letter.is_ascii() {
            return letter.to_string();
        }
        letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    plain.chars().map(escape).collect()
}
