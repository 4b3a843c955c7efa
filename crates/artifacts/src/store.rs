//! Copies on disk: one file each, named by a hash, put in place by a rename.
//!
//! ```text
//! CACHE/v1/ab/abcdef…   record block, then the bytes; modification time = last validation
//! CACHE/tmp/RUN/N       fills under way, of the cache that drew RUN and holds a lock on it; litter without one
//! ```
//!
//! Every function here but one blocks: call through [`off_thread`](crate::body::off_thread). Nothing waits for the
//! scan: a copy is found by its name, the book of sizes fills itself in the background.
//!
//! The exception is [`Store::recall`]: what is in memory is said at once. Whatever changes a copy here ends its entry
//! there, always after the change, so that nobody enters what was there before.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bowline_base::{Timestamp, atomic};
use bowline_host::mapped::Maps;

use crate::{
    checksum::Fingerprint,
    copy::{self, Copy},
    eviction::Shelf,
    memory::Memory,
    record::{Id, Record},
};

/// The cache directory.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    drafts: PathBuf,
    /// Held open for its lock: before a reload's old job has ended, or in another process, fills are under way.
    _lock: File,
    next: AtomicU64,
    shelf: Mutex<Shelf>,
    memory: Mutex<Memory<Arc<Copy>>>,
    maps: Maps,
    /// The last attempt to write failed.
    full: AtomicBool,
    swept: AtomicBool,
}

impl Store {
    /// Takes `root` for at most `max_size` bytes, of which at most `memory` are held in memory; `run` names this process's
    /// drafts. Reads nothing yet.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub(crate) fn open(root: &Path, max_size: u64, memory: u64, run: u64) -> io::Result<Self> {
        let drafts = root.join("tmp").join(format!("{run:016x}"));
        let lock = claim(&drafts)?;
        atomic::private_directory(&root.join("v1"))?;
        Ok(Self {
            root: root.join("v1"),
            drafts,
            _lock: lock,
            next: AtomicU64::new(0),
            shelf: Mutex::new(Shelf::new(max_size)),
            memory: Mutex::new(Memory::new(memory)),
            maps: Maps::default(),
            full: AtomicBool::new(false),
            swept: AtomicBool::new(false),
        })
    }

    /// What is known of `id` without a look at the disk: that there is this copy, or none. Never blocks. `now`: boot time.
    pub(crate) fn recall(&self, id: Id, now: Duration) -> Option<Option<Arc<Copy>>> {
        self.memory().recall(id, now)
    }

    /// The copy of `id`, if there is a whole one. What is there and no copy is removed.
    ///
    /// # Errors
    /// Nothing can be opened now, and so nothing is known.
    pub(crate) fn look(&self, id: Id) -> io::Result<Option<Arc<Copy>>> {
        let (ticket, held) = {
            let memory = self.memory();
            (memory.ticket(id), memory.held(id))
        };
        let path = self.path(id);
        if let Some(copy) = held.filter(|copy| copy.is_at(&path)) {
            self.memory().confirm(id, ticket);
            self.shelf().touch(id);
            return Ok(Some(copy));
        }
        let copy = match self.opened(&path) {
            Ok(Some(copy)) => Some(Arc::new(copy)),
            Ok(None) => {
                self.forget(id);
                None
            }
            Err(error) if copy::is_shortage(&error) => return Err(error),
            // Not there, or not to be read: a new copy mends both.
            Err(_) => None,
        };
        if copy.is_some() {
            self.shelf().touch(id);
        }
        let gone = self.memory().learn(id, ticket, copy.as_ref().map(|copy| (Arc::clone(copy), copy.weight())));
        drop(gone);
        Ok(copy)
    }

    /// Where files are short, those that are only remembered are closed first.
    fn opened(&self, path: &Path) -> io::Result<Option<Copy>> {
        match copy::open(path, &self.maps) {
            Err(error) if copy::is_shortage(&error) => {
                let closed = self.memory().close();
                drop(closed);
                copy::open(path, &self.maps)
            }
            found => found,
        }
    }

    /// What sockets have to know to send big copies without reading them.
    pub(crate) fn maps(&self) -> Maps {
        self.maps.clone()
    }

    /// Up to `most` keys of `origin` that there are copies of. Reads until it has them.
    pub(crate) fn samples(&self, origin: &str, most: usize) -> Vec<String> {
        let shards = fs::read_dir(&self.root).into_iter().flatten().filter_map(Result::ok);
        let files = shards.filter_map(|shard| fs::read_dir(shard.path()).ok()).flatten().filter_map(Result::ok);
        let records =
            files.filter_map(|file| File::open(file.path()).and_then(|file| copy::record(&file)).ok().flatten());
        records.filter(|(record, ..)| record.origin == origin).map(|(record, ..)| record.key).take(most).collect()
    }

    /// Begins a file that will be `id`. Makes room first.
    ///
    /// # Errors
    /// It does not fit the cache, or the disk does not take it.
    pub(crate) fn begin(self: &Arc<Self>, id: Id, record: &Record) -> io::Result<Draft> {
        let block = record.encode();
        let size = block.len() as u64 + record.head.length;
        {
            let mut shelf = self.shelf();
            let evicted = shelf.reserve(size).ok_or_else(|| io::Error::from(io::ErrorKind::QuotaExceeded))?;
            self.unlink(&evicted);
        }
        let path = self.drafts.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let (store, record, offset) = (Arc::clone(self), record.clone(), block.len() as u64);
        let mut draft = Draft { store, id, record, path, file: None, offset, size };
        let opened = create(&draft.path).or_else(|error| match error.kind() {
            // Another process over the same cache has swept our drafts away.
            io::ErrorKind::NotFound => atomic::private_directory(&self.drafts).and_then(|()| create(&draft.path)),
            _ => Err(error),
        });
        let file = opened.and_then(|file| file.write_all_at(&block, 0).map(|()| file));
        draft.file = Some(Arc::new(self.noted(file)?));
        Ok(draft)
    }

    /// Notes that `id` was found unchanged at `wall`.
    pub(crate) fn confirm(&self, id: Id, wall: Timestamp) {
        if let Ok(file) = File::open(self.path(id)) {
            file.set_modified(SystemTime::from(wall)).ok();
        }
        self.changed(id);
    }

    /// Removes `id`.
    pub(crate) fn forget(&self, id: Id) {
        fs::remove_file(self.path(id)).ok();
        self.shelf().remove(id);
        self.changed(id);
    }

    /// Removes what other processes left behind, and enters every copy in the book, the longest unvalidated first.
    ///
    /// # Errors
    /// The directories cannot be read.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        self.sweep_drafts()?;
        let mut found = Vec::new();
        for shard in fs::read_dir(&self.root)? {
            let Ok(files) = fs::read_dir(shard?.path()) else { continue };
            found.extend(files.filter_map(Result::ok).filter_map(|entry| measure(&entry)));
        }
        found.sort_unstable_by_key(|(modified, id, _)| (*modified, *id));
        for (_, id, size) in found {
            self.enter(id, size);
        }
        self.swept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Unless it was entered or removed since it was found.
    fn enter(&self, id: Id, size: u64) {
        let mut shelf = self.shelf();
        if !shelf.has(id) && self.path(id).exists() {
            let evicted = shelf.insert(id, size);
            self.unlink(&evicted);
        }
    }

    /// Known to hold nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.swept.load(Ordering::Relaxed) && self.shelf().len() == 0
    }

    /// Bytes and files that the book knows of.
    pub(crate) fn size(&self) -> (u64, usize) {
        let shelf = self.shelf();
        (shelf.bytes(), shelf.len())
    }

    /// Whether the last attempt to write failed.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn sweep_drafts(&self) -> io::Result<()> {
        let Some(all) = self.drafts.parent() else { return Ok(()) };
        for run in fs::read_dir(all)? {
            let run = run?.path();
            let left = |lock: &File| lock.try_lock().is_ok();
            if run != self.drafts && File::open(&run).as_ref().is_ok_and(left) {
                fs::remove_dir_all(&run).or_else(|_| fs::remove_file(&run)).ok();
            }
        }
        Ok(())
    }

    fn path(&self, id: Id) -> PathBuf {
        let name = id.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// With the shelf locked, so that no new file of the same name goes with the old one.
    fn unlink(&self, evicted: &[Id]) {
        for id in evicted {
            fs::remove_file(self.path(*id)).ok();
            self.changed(*id);
        }
    }

    /// To be called after the change.
    fn changed(&self, id: Id) {
        let gone = self.memory().forget(id);
        drop(gone);
    }

    fn noted<T>(&self, written: io::Result<T>) -> io::Result<T> {
        self.full.store(written.is_err(), Ordering::Relaxed);
        written
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory<Arc<Copy>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        fs::remove_dir(&self.drafts).ok();
    }
}

/// A file that is being filled. Dropped before it is kept, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Draft {
    store: Arc<Store>,
    id: Id,
    record: Record,
    path: PathBuf,
    file: Option<Arc<File>>,
    offset: u64,
    size: u64,
}

impl Draft {
    /// The file, growing.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(self.file.as_ref().expect("`begin` hands out drafts with an open file only"))
    }

    /// Where the bytes begin.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes `bytes` at `at`, counted from the first of the file's own bytes.
    ///
    /// # Errors
    /// The disk does not take them.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.store.noted(self.file().write_all_at(bytes, self.offset + at))
    }

    /// Says what the bytes were found to be.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn sign(&self, fingerprint: Fingerprint) -> io::Result<()> {
        let signed = Record { fingerprint: Some(fingerprint), ..self.record.clone() };
        self.store.noted(self.file().write_all_at(&signed.encode(), 0))
    }

    /// Makes the file the copy of its id, validated at `wall`. On disk before it has its name, so that a power cut
    /// leaves the old copy or the new one.
    ///
    /// # Errors
    /// The disk does not take it; then nothing is left behind.
    pub(crate) fn keep(self, wall: Timestamp) -> io::Result<()> {
        let file = self.file();
        file.set_modified(SystemTime::from(wall))?;
        self.store.noted(file.sync_data())?;
        let target = self.store.path(self.id);
        if let Some(shard) = target.parent() {
            atomic::private_directory(shard)?;
        }
        {
            let mut shelf = self.store.shelf();
            fs::rename(&self.path, target)?;
            self.store.changed(self.id);
            shelf.release(self.size);
            let evicted = shelf.insert(self.id, self.size);
            self.store.unlink(&evicted);
        }
        // The reservation was given back just now, and the name is no longer a draft's.
        let mut this = self;
        this.size = 0;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
        self.store.shelf().release(self.size);
    }
}

/// Makes `drafts` and locks it. Between the two another process's sweep may have taken it for litter: once more. A file
/// system without locks is used without; it costs a fill now and then, when two processes share it.
fn claim(drafts: &Path) -> io::Result<File> {
    for _ in 0..3 {
        atomic::private_directory(drafts)?;
        if let Ok(lock) = File::open(drafts)
            && !matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
            && drafts.exists()
        {
            return Ok(lock);
        }
    }
    atomic::private_directory(drafts)?;
    File::open(drafts)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(atomic::PRIVATE).open(path)
}

fn measure(entry: &fs::DirEntry) -> Option<(SystemTime, Id, u64)> {
    let id = Id::parse(entry.file_name().to_str()?)?;
    let metadata = entry.metadata().ok()?;
    Some((metadata.modified().ok()?, id, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Head;

    fn wall() -> Timestamp {
        "2026-11-22T02:02:02Z".parse().unwrap()
    }

    fn draft(store: &Arc<Store>, key: &str, bytes: &[u8]) -> Draft {
        let head = Head { length: bytes.len() as u64, ..Head::default() };
        let record = Record { origin: "o".to_owned(), key: key.to_owned(), head, stored_at: wall(), fingerprint: None };
        let draft = store.begin(Id::of("o", key), &record).unwrap();
        draft.write(0, bytes).unwrap();
        draft
    }

    fn store(home: &Path, max: u64, run: u64) -> Arc<Store> {
        Arc::new(Store::open(home, max, 1 << 20, run).unwrap())
    }

    #[test]
    fn a_copy_outlives_the_process_and_its_litter_does_not() {
        let home = tempfile::tempdir().unwrap();
        let first = store(home.path(), 1 << 20, 1);
        draft(&first, "kept", b"bytes").keep(wall()).unwrap();
        let unfinished = draft(&first, "unfinished", b"half");
        // What a killed process leaves: its files, without its lock.
        fs::create_dir(home.path().join("tmp/dead")).unwrap();
        fs::copy(&unfinished.path, home.path().join("tmp/dead/0")).unwrap();
        drop((unfinished, first));
        let second = store(home.path(), 1 << 20, 2);
        let copy = second.look(Id::of("o", "kept")).unwrap().unwrap();
        assert_eq!((copy.whole().map(|bytes| &bytes[..]), copy.validated), (Some(b"bytes".as_slice()), wall()));
        assert!(second.look(Id::of("o", "unfinished")).unwrap().is_none());
        second.sweep().unwrap();
        assert_eq!(fs::read_dir(home.path().join("tmp")).unwrap().count(), 1);
        assert_eq!(second.size(), (512 + 5, 1));
    }

    #[test]
    fn a_cut_copy_is_no_copy_and_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 1 << 20, 1);
        let id = Id::of("o", "k");
        for length in [0, 100, 600] {
            draft(&store, "k", &[7; 200]).keep(wall()).unwrap();
            OpenOptions::new().write(true).open(store.path(id)).unwrap().set_len(length).unwrap();
            assert!(store.look(id).unwrap().is_none(), "{length}");
            assert!(!store.path(id).exists() && store.size() == (0, 0));
        }
    }

    #[test]
    fn drafts_count_against_the_limit_and_leave_nothing_when_dropped() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 2000, 1);
        draft(&store, "old", &[1; 400]).keep(wall()).unwrap();
        let big = draft(&store, "big", &[2; 1200]);
        assert!(store.look(Id::of("o", "old")).unwrap().is_none());
        let head = Head { length: 1200, ..Head::default() };
        let record = Record { origin: "o".to_owned(), key: "x".to_owned(), head, stored_at: wall(), fingerprint: None };
        assert_eq!(store.begin(Id::of("o", "x"), &record).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        drop(big);
        assert_eq!(fs::read_dir(&store.drafts).unwrap().count(), 0);
        draft(&store, "x", &[3; 1200]).keep(wall()).unwrap();
        assert_eq!(store.size(), (1712, 1));
    }

    #[test]
    fn a_fill_under_way_in_another_process_is_no_litter() {
        let home = tempfile::tempdir().unwrap();
        let first = store(home.path(), 1 << 20, 1);
        let under_way = draft(&first, "k", b"bytes");
        let second = store(home.path(), 1 << 20, 2);
        second.sweep().unwrap();
        under_way.keep(wall()).unwrap();
        assert!(second.look(Id::of("o", "k")).unwrap().is_some());
    }

    #[test]
    fn what_went_or_came_while_the_cache_is_swept_is_not_entered_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 1 << 20, 1);
        store.enter(Id::of("o", "gone"), 1000);
        draft(&store, "k", b"new").keep(wall()).unwrap();
        store.enter(Id::of("o", "k"), 1000);
        assert_eq!(store.size(), (512 + 3, 1));
    }

    #[test]
    fn samples_are_of_the_origin_that_was_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 1 << 20, 1);
        for key in ["a", "b", "c"] {
            draft(&store, key, b"x").keep(wall()).unwrap();
        }
        assert_eq!(store.samples("o", 2).len(), 2);
        assert_eq!(store.samples("other", 2), Vec::<String>::new());
    }

    #[test]
    fn two_processes_over_one_cache_share_it() {
        let home = tempfile::tempdir().unwrap();
        let (first, second) = (store(home.path(), 1 << 20, 1), store(home.path(), 1 << 20, 2));
        second.sweep().unwrap();
        draft(&first, "k", b"bytes").keep(wall()).unwrap();
        assert!(second.look(Id::of("o", "k")).unwrap().is_some());
    }

    #[test]
    fn a_long_key_has_a_copy_like_any_other() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 1 << 20, 1);
        let key = "ü".repeat(500) + &"\u{1}".repeat(1000);
        draft(&store, &key, b"x").keep(wall()).unwrap();
        assert_eq!(store.look(Id::of("o", &key)).unwrap().unwrap().record.key, key);
    }
}
