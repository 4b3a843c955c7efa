//! The store on disk: one directory, one lock, files that are replaced whole.
//!
//! The lock is held by an open descriptor while the store is read, changed and written, never while somebody is asked
//! for a passphrase. A crash leaves the old store or the new one; `vault.age.bak` is the one before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base::{atomic, lock};
use bowline_base as base;

use super::{
    age_file,
    contents::{self, Contents, StoreId},
    error::StoreError,
    identity::Unlocked,
    inbox::{self, Addition, Merged, Replacing, merge},
    recipients::{Recipient, Recipients},
};
use crate::profile::ProfileName;

/// More additions than this are not looked at in one opening.
const MOST_ADDITIONS: usize = 1000;

/// The directory of a store, outside `~/.aws`.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

/// What an opening found.
#[derive(Debug)]
pub struct Found {
    /// The keys.
    pub contents: Contents,
    /// Keys in the inbox that are not in the store yet.
    pub waiting: Vec<Addition>,
    /// Files of the inbox that did not open, and why. They are left where they are.
    pub unreadable: Vec<(PathBuf, StoreError)>,
    /// The public list of recipients is not the sealed one: whoever wrote it could read later additions.
    pub recipients_changed: bool,
}

impl Place {
    /// The store in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Writes a new store. Needs no private key. The passphrase's file comes first: with it missing the store would
    /// name a recipient that cannot open it.
    ///
    /// # Errors
    /// [`StoreError::Exists`], and whatever the system says.
    pub fn create(&self, contents: &Contents, passphrase: Option<&[u8]>) -> Result<(), StoreError> {
        let store = self.store();
        atomic::private_directory(&self.inbox()).map_err(|error| io_error(&self.inbox(), error))?;
        let _lock = self.lock()?;
        if store.exists() {
            return Err(StoreError::Exists(store));
        }
        if let Some(file) = passphrase {
            write(&self.passphrase(), file)?;
        }
        self.write_sealed(contents)
    }

    /// Which store this is and to whom it is sealed, by the public list: needs no private key.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::NotOurs`], and whatever the system says.
    pub fn recipients(&self) -> Result<(StoreId, Recipients), StoreError> {
        let bytes = read(&self.list(), 1024 * 1024, "`recipients.txt`")?;
        let bytes = bytes.ok_or_else(|| StoreError::Missing(self.0.clone()))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| StoreError::NotOurs { what: "`recipients.txt`", why: "it is no text".to_owned() })?;
        Recipients::from_text(&text)
    }

    /// The contents of `passphrase.age`, if there is one.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn passphrase_file(&self) -> Result<Option<Vec<u8>>, StoreError> {
        read(&self.passphrase(), 64 * 1024, "`passphrase.age`")
    }

    /// Keeps `file` as `passphrase.age`, for a recipient that the store is about to be sealed to. Called within
    /// [`Place::change`]: the store must not name a passphrase that nothing opens.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn keep_passphrase_file(&self, file: &[u8]) -> Result<(), StoreError> {
        write(&self.passphrase(), file)
    }

    /// Throws away the keys in the inbox that wait for `profile`, which has other keys; says how many there were.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn discard(&self, key: &Unlocked, profile: &ProfileName) -> Result<usize, StoreError> {
        let _lock = self.lock()?;
        let (found, inbox) = self.look(key)?;
        let known = found.contents.profiles.get(profile);
        let waits = |addition: &Addition| {
            addition.profile == *profile
                && !found.contents.taken.contains(&addition.id)
                && known.is_some_and(|entry| entry.keys != addition.entry.keys)
        };
        let waiting: Vec<_> = inbox.into_iter().filter(|(_, addition)| waits(addition)).collect();
        for (path, _) in &waiting {
            fs::remove_file(path).map_err(|error| io_error(path, error))?;
        }
        Ok(waiting.len())
    }

    /// Seals keys into the inbox. Needs no private key; they are taken into the store when it is next opened.
    ///
    /// # Errors
    /// [`StoreError::OtherStore`], and whatever the system says.
    pub fn add(&self, addition: &Addition) -> Result<(), StoreError> {
        let (store, recipients) = self.recipients()?;
        if store != addition.store {
            return Err(StoreError::OtherStore);
        }
        atomic::private_directory(&self.inbox()).map_err(|error| io_error(&self.inbox(), error))?;
        let id = StoreId::parse(&addition.id)
            .ok_or_else(|| StoreError::NotOurs { what: inbox::WHAT, why: "its identifier is none".to_owned() })?;
        let sealed = age_file::seal(&addition.encode(), &recipients)?;
        write(&self.inbox().join(format!("{}.age", id.as_str())), &sealed)
    }

    /// Opens the store and looks into the inbox. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open(&self, key: &Unlocked) -> Result<Found, StoreError> {
        let (mut found, inbox) = self.look(key)?;
        let waiting = inbox.into_iter().map(|(_, addition)| addition);
        found.waiting = waiting.filter(|addition| !found.contents.taken.contains(&addition.id)).collect();
        Ok(found)
    }

    /// Opens the store, takes in the inbox, lets `change` change it, and writes it if anything is different. The files
    /// of additions that were taken in go last.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing has changed.
    pub fn change(
        &self,
        key: &Unlocked,
        replacing: Replacing,
        change: impl FnOnce(&mut Contents) -> Result<(), StoreError>,
    ) -> Result<(Contents, Merged), StoreError> {
        let _lock = self.lock()?;
        let (found, inbox) = self.look(key)?;
        let mut contents = found.contents.clone();
        let merged = merge(&mut contents, inbox.iter().map(|(_, addition)| addition.clone()).collect(), replacing);
        change(&mut contents)?;
        if contents != found.contents || found.recipients_changed {
            self.keep_the_one_before()?;
            self.write_sealed(&contents)?;
        }
        if !contents.recipients.iter().any(|one| matches!(one, Recipient::Passphrase { .. })) {
            // A passphrase that opens nothing any more; once the store is written, which no longer names it.
            fs::remove_file(self.passphrase()).ok();
        }
        for (path, _) in inbox.iter().filter(|(_, addition)| merged.done.contains(&addition.id)) {
            // One that stays is known as taken, and goes next time.
            fs::remove_file(path).ok();
        }
        Ok((contents, merged))
    }

    /// The store, and every addition that opens, taken in or not.
    fn look(&self, key: &Unlocked) -> Result<(Found, Vec<(PathBuf, Addition)>), StoreError> {
        let sealed = read(&self.store(), age_file::LONGEST, contents::WHAT)?;
        let sealed = sealed.ok_or_else(|| StoreError::Missing(self.0.clone()))?;
        let contents = Contents::open(&sealed, key)?;
        let (mut inbox, mut unreadable) = (Vec::new(), Vec::new());
        for path in self.additions()? {
            match self.addition(&path, key, &contents) {
                Ok(addition) => inbox.push((path, addition)),
                Err(error) => unreadable.push((path, error)),
            }
        }
        let public = self.recipients().map(|(store, list)| store == contents.store && list == contents.recipients);
        let recipients_changed = !public.unwrap_or(false);
        Ok((Found { contents, waiting: Vec::new(), unreadable, recipients_changed }, inbox))
    }

    /// The store first: a public list that is behind is noticed at the next opening, one ahead of it is not sealed yet.
    fn write_sealed(&self, contents: &Contents) -> Result<(), StoreError> {
        let sealed = age_file::seal(&contents.encode(), &contents.recipients)?;
        write(&self.store(), &sealed)?;
        write(&self.list(), contents.recipients.to_text(&contents.store).as_bytes())
    }

    fn keep_the_one_before(&self) -> Result<(), StoreError> {
        match read(&self.store(), age_file::LONGEST, contents::WHAT)? {
            Some(bytes) => write(&self.0.join("vault.age.bak"), &bytes),
            None => Ok(()),
        }
    }

    fn addition(&self, path: &Path, key: &Unlocked, contents: &Contents) -> Result<Addition, StoreError> {
        let sealed = read(path, 64 * 1024, inbox::WHAT)?.ok_or(StoreError::Cut(inbox::WHAT))?;
        let addition = Addition::decode(&age_file::open(inbox::WHAT, &sealed, key.for_age())?)?;
        if addition.store == contents.store { Ok(addition) } else { Err(StoreError::OtherStore) }
    }

    fn additions(&self) -> Result<Vec<PathBuf>, StoreError> {
        let inbox = self.inbox();
        let entries = match fs::read_dir(&inbox) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error(&inbox, error)),
        };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let sealed = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "age");
        let mut paths: Vec<PathBuf> = paths.filter(sealed).take(MOST_ADDITIONS).collect();
        paths.sort();
        Ok(paths)
    }

    fn lock(&self) -> Result<File, StoreError> {
        let path = self.0.join("vault.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(atomic::PRIVATE).open(&path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(self.0.clone()),
            _ => io_error(&path, error),
        })?;
        lock::acquire(&file, &path).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => StoreError::Busy(self.store()),
            _ => io_error(&path, error),
        })?;
        Ok(file)
    }

    fn store(&self) -> PathBuf {
        self.0.join("vault.age")
    }

    fn list(&self) -> PathBuf {
        self.0.join("recipients.txt")
    }

    fn passphrase(&self) -> PathBuf {
        self.0.join("passphrase.age")
    }

    fn inbox(&self) -> PathBuf {
        self.0.join("inbox")
    }
}

/// A file of at most `most` bytes; `None` if there is none.
fn read(path: &Path, most: usize, what: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| io_error(path, error))?;
    if bytes.len() > most { Err(StoreError::TooLong(what)) } else { Ok(Some(bytes)) }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    atomic::write_private(path, bytes).map_err(|error| io_error(path, error))
}

fn io_error(path: &Path, error: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), error }
}
