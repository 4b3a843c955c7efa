//! The embedded store: a directory of the owner's alone, one file a value, replaced whole and fsynced.
//!
//! Several servers may share it: a lock is held for each change, and what others have changed shows in the files' inode
//! numbers and times. Files that are none of ours are left alone.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, Secret, atomic, lock};

use super::{Answer, Changes, Mark, MarkOf, Store, StoreError, Value, Values, is_name};

/// A directory that holds values.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
}

/// What a file looked like; another inode or time is another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// The first line says what the directory is.
const FORMAT_FILE: &str = ".format";
const FORMAT: &str = "bowline-vpn-store 1\n";
const LOCK: &str = ".lock";
/// A longer file is none of ours.
const LONGEST: u64 = 64 * 1024;

impl FileStore {
    /// Opens the store in `root`, and makes the directory where it is missing.
    ///
    /// # Errors
    /// A `Config` fault: the directory cannot be made or written, or a later version of Bowline made it.
    pub fn open(root: PathBuf) -> Result<Self, Fault> {
        let store = Self { root };
        atomic::private_directory(&store.root).map_err(|cause| store.cannot("make the store", cause))?;
        let format = store.root.join(FORMAT_FILE);
        match fs::read_to_string(&format) {
            Ok(text) if text == FORMAT => {}
            Ok(text) => return Err(store.foreign(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let written = atomic::write_private(&format, FORMAT.as_bytes());
                written.map_err(|cause| store.cannot("write to the store", cause))?;
            }
            Err(error) => return Err(store.cannot("read the store", error)),
        }
        Ok(store)
    }

    fn foreign(&self, text: &str) -> Fault {
        let first = text.lines().next().unwrap_or_default().escape_debug().to_string();
        let message = format!("the store in `{}` is of another version: `{first}`", self.root.display());
        Fault::new(Kind::Config, self.root.display().to_string(), message)
            .hint("use the version of Bowline that wrote it, or another directory")
    }

    fn cannot(&self, what: &str, cause: io::Error) -> Fault {
        let passes = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::TimedOut);
        let kind = if passes { Kind::Unreachable } else { Kind::Config };
        let message = format!("cannot {what} in `{}`", self.root.display());
        Fault::new(kind, self.root.display().to_string(), message)
            .hint("check owner, mode (0700) and free space of the directory")
            .cause(cause)
    }

    /// Every value's file by name, with what it looks like.
    fn stamps(&self) -> io::Result<BTreeMap<String, Stamp>> {
        let mut found = BTreeMap::new();
        collect(&self.root, "", &mut found)?;
        Ok(found)
    }

    fn read(&self, name: &str) -> io::Result<Option<Value>> {
        match fs::read_to_string(self.root.join(name)) {
            Ok(text) => Ok(Some(Value { text: Secret::new(text), sealed: true })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Not text, so not a value of ours.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn load_now(&self) -> io::Result<(Values, Mark)> {
        let stamps = self.stamps()?;
        let mut values = Values::new();
        for name in stamps.keys() {
            if let Some(value) = self.read(name)? {
                values.insert(name.clone(), value);
            }
        }
        Ok((values, Mark(MarkOf::Stamps(stamps))))
    }

    fn changes_now(&self, mark: &Mark) -> io::Result<Option<(Changes, Mark)>> {
        let MarkOf::Stamps(before) = &mark.0 else {
            return self.load_now().map(|(values, mark)| Some((Changes::All(values), mark)));
        };
        let after = self.stamps()?;
        let new = after.iter().filter(|(name, stamp)| before.get(*name) != Some(stamp)).map(|(name, _)| name);
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        let mut changed = BTreeMap::new();
        for name in new.chain(gone) {
            changed.insert(name.clone(), self.read(name)?);
        }
        Ok((!changed.is_empty()).then_some((Changes::Some(changed), Mark(MarkOf::Stamps(after)))))
    }

    /// One change at a time, whichever process makes it.
    fn locked<T>(&self, change: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let mut options = OpenOptions::new();
        let path = self.root.join(LOCK);
        let held = options.create(true).truncate(false).write(true).mode(atomic::PRIVATE).open(&path)?;
        lock::acquire(&held, &path)?;
        change(&self.root)
    }

    fn write(&self, name: &str, value: &Value, free: bool) -> Result<(), StoreError> {
        let written = self.locked(|root| {
            let path = root.join(name);
            if free && path.try_exists()? {
                return Ok(false);
            }
            if let Some(folder) = path.parent() {
                atomic::private_directory(folder)?;
            }
            atomic::write_private(&path, value.text.expose().as_bytes()).map(|()| true)
        });
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Taken(name.to_owned())),
            Err(cause) => Err(self.cannot(&format!("write `{name}`"), cause).into()),
        }
    }

    fn remove_now(&self, name: &str) -> io::Result<bool> {
        self.locked(|root| {
            let path = root.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                outcome => outcome?,
            }
            let folder = path.parent().unwrap_or(root);
            File::open(folder)?.sync_all()?;
            // Only an empty one goes.
            if folder != root && fs::remove_dir(folder).is_ok() {
                File::open(folder.parent().unwrap_or(root))?.sync_all()?;
            }
            Ok(true)
        })
    }

    /// A disk may be slow: it is asked beside the runtime's threads.
    fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'static, T> {
        let (store, place) = (self.clone(), self.place());
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&store)).await;
            done.unwrap_or_else(|_| Err(Fault::new(Kind::Bug, place, "the store's work ended half-way").into()))
        })
    }

    fn checked(&self, name: &str) -> Result<(), StoreError> {
        if is_name(name) {
            return Ok(());
        }
        Err(Fault::new(Kind::Bug, self.place(), format!("`{}` is no name for a value", name.escape_debug())).into())
    }
}

impl Store for FileStore {
    fn place(&self) -> String {
        format!("file:{}", self.root.display())
    }

    fn load(&self) -> Answer<'_, (Values, Mark)> {
        self.aside(|store| store.load_now().map_err(|cause| store.cannot("read the store", cause).into()))
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Value>> {
        let name = name.to_owned();
        self.aside(move |store| {
            store.checked(&name)?;
            store.read(&name).map_err(|cause| store.cannot(&format!("read `{name}`"), cause).into())
        })
    }

    fn changes<'a>(&'a self, mark: &'a Mark) -> Answer<'a, Option<(Changes, Mark)>> {
        let mark = mark.clone();
        self.aside(move |store| store.changes_now(&mark).map_err(|cause| store.cannot("read the store", cause).into()))
    }

    fn create<'a>(&'a self, name: &'a str, value: &'a Value) -> Answer<'a, ()> {
        let (name, value) = (name.to_owned(), value.clone());
        self.aside(move |store| store.checked(&name).and_then(|()| store.write(&name, &value, true)))
    }

    fn replace<'a>(&'a self, name: &'a str, value: &'a Value) -> Answer<'a, ()> {
        let (name, value) = (name.to_owned(), value.clone());
        self.aside(move |store| store.checked(&name).and_then(|()| store.write(&name, &value, false)))
    }

    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        let name = name.to_owned();
        self.aside(move |store| {
            store.checked(&name)?;
            store.remove_now(&name).map_err(|cause| store.cannot(&format!("remove `{name}`"), cause).into())
        })
    }

    fn announce<'a>(&'a self, _names: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Stamp>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(part) = entry.file_name().into_string() else { continue };
        let name = if prefix.is_empty() { part } else { format!("{prefix}/{part}") };
        if !is_name(&name) {
            continue;
        }
        let about = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            about => about?,
        };
        if about.is_dir() {
            collect(&entry.path(), &name, found)?;
        } else if about.is_file() && about.len() <= LONGEST {
            let (seconds, nanoseconds) = (about.mtime(), about.mtime_nsec());
            found.insert(name, Stamp { inode: about.ino(), length: about.len(), seconds, nanoseconds });
        }
    }
    Ok(())
}
