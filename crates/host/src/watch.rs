//! Notices changed files: kernel events on their directories, and a look at the clock where events do not come.
//!
//! The directory is watched and not the file, because every good writer replaces the file by a rename. A directory
//! that does not exist yet, one of a network's or a container host's file system, and links to other places send no
//! events: for these the files' stamps are compared twice a second, for the others seldom.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use notify::{
    EventKind, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;
use tracing::debug;

use crate::{Tasks, clock, sys};

/// How often stamps are compared where no event arrives.
pub const POLL: Duration = Duration::from_millis(500);

/// Watches every file in `directories` until shutdown and sends a message after each change; bursts are one message.
#[must_use]
pub fn directories(tasks: &Tasks, directories: Vec<PathBuf>) -> mpsc::Receiver<()> {
    let (changed, receiver) = mpsc::channel(1);
    let before = Seen::look(&directories);
    tasks.spawn_until_shutdown("watch", watch_loop(directories, before, changed));
    receiver
}

async fn watch_loop(directories: Vec<PathBuf>, mut before: Seen, changed: mpsc::Sender<()>) {
    let (event, mut events) = mpsc::channel(1);
    // Where no watcher can be had, its sender is gone at once; then only the clock wakes this loop.
    let _keeps_the_channel_open = event.clone();
    let mut watcher = notify::recommended_watcher(move |seen: notify::Result<notify::Event>| {
        if seen.is_ok_and(|seen| is_change(seen.kind)) {
            event.try_send(()).ok();
        }
    })
    .ok();
    let mut places: Vec<Place> = directories.iter().cloned().map(Place::new).collect();
    loop {
        let begun: Vec<bool> = places.iter_mut().map(|place| place.watch(watcher.as_mut())).collect();
        // What changed before the first event could come is seen at once.
        if !begun.contains(&true) {
            tokio::select! {
                _ = events.recv() => {}
                () = tokio::time::sleep(wait(&places, &before)) => {}
            }
        }
        let after = Seen::look(&directories);
        if after != before {
            before = after;
            changed.try_send(()).ok();
        }
        if changed.is_closed() {
            return;
        }
    }
}

/// How long nothing need be looked at where no event arrives.
fn wait(places: &[Place], seen: &Seen) -> Duration {
    if seen.links || places.iter().any(|place| !place.sure) { POLL } else { clock::LONGEST_SLEEP }
}

/// A directory, and which one of that name events come from.
struct Place {
    directory: PathBuf,
    watched: Option<Identity>,
    /// No change goes without an event.
    sure: bool,
}

/// Device, number and birth: a new directory may get the number of the one before it.
type Identity = (u64, u64, Option<SystemTime>);

impl Place {
    fn new(directory: PathBuf) -> Self {
        Self { directory, watched: None, sure: false }
    }

    /// Whether a watch has begun just now.
    fn watch(&mut self, watcher: Option<&mut notify::RecommendedWatcher>) -> bool {
        let here = identity(&self.directory);
        if here == self.watched {
            return false;
        }
        let begun = watcher.is_some_and(|watcher| here.is_some() && begin(watcher, &self.directory));
        self.watched = here.filter(|_| begun);
        // Behind a link another directory may take its place.
        let direct = fs::canonicalize(&self.directory).is_ok_and(|real| real == self.directory);
        self.sure = begun && direct && sys::tells_of_every_change(&self.directory);
        begun
    }
}

fn identity(directory: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(directory).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// Our own looking is an event too: waking for it would look again, for ever.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn begin(watcher: &mut notify::RecommendedWatcher, directory: &Path) -> bool {
    match watcher.watch(directory, RecursiveMode::NonRecursive) {
        Ok(()) => true,
        Err(error) => {
            debug!(directory = %directory.display(), %error, "no events from this directory; its stamps are compared");
            false
        }
    }
}

type Stamp = (SystemTime, u64, u64);

/// The files of the directories as they stood.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    stamps: BTreeMap<PathBuf, Stamp>,
    /// One of them is a link: what is behind it may change where no event comes from.
    links: bool,
}

impl Seen {
    fn look(directories: &[PathBuf]) -> Self {
        let mut seen = Self::default();
        for entry in directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten() {
            seen.links |= entry.file_type().is_ok_and(|kind| kind.is_symlink());
            seen.stamps.extend(stamp(entry.path()));
        }
        seen
    }
}

fn stamp(path: PathBuf) -> Option<(PathBuf, Stamp)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(&path).ok()?;
    let stamp = (metadata.modified().ok()?, metadata.len(), metadata.ino());
    Some((path, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rename_into_a_directory_made_later_is_noticed_within_a_second() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("later");
        let tasks = Tasks::new();
        let mut changes = directories(&tasks, vec![directory.clone()]);
        fs::create_dir(&directory).unwrap();
        bowline_base::atomic::write_private(&directory.join("token.json"), b"{}").unwrap();
        tokio::time::timeout(Duration::from_secs(1), changes.recv()).await.unwrap().unwrap();
        assert!(tasks.shut_down(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn a_directory_that_takes_the_place_of_a_watched_one_is_watched() {
        let home = tempfile::tempdir().unwrap();
        let (directory, old) = (home.path().join("cache"), home.path().join("old"));
        fs::create_dir(&directory).unwrap();
        let tasks = Tasks::new();
        let mut changes = directories(&tasks, vec![directory.clone()]);
        for round in 0..2 {
            bowline_base::atomic::write_private(&directory.join("token.json"), b"{}").unwrap();
            tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.unwrap().unwrap();
            fs::rename(&directory, old.with_extension(round.to_string())).unwrap();
            tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.unwrap().unwrap();
            fs::create_dir(&directory).unwrap();
        }
        assert!(tasks.shut_down(Duration::from_secs(1)).await);
    }

    #[test]
    fn files_are_looked_at_seldom_where_events_come_and_often_where_they_may_not() {
        let home = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(home.path()).unwrap();
        if !sys::tells_of_every_change(&real) {
            return eprintln!("skipped: no events can be relied on in `{}`", real.display());
        }
        let mut watcher = notify::recommended_watcher(|_| ()).unwrap();
        let mut wait_for = |directory: &Path| {
            let mut place = Place::new(directory.to_path_buf());
            place.watch(Some(&mut watcher));
            wait(&[place], &Seen::look(&[directory.to_path_buf()]))
        };
        assert_eq!(wait_for(&real), clock::LONGEST_SLEEP);
        assert_eq!(wait_for(&real.join("not-there")), POLL);
        std::os::unix::fs::symlink("elsewhere", real.join("link")).unwrap();
        assert_eq!(wait_for(&real), POLL, "what is behind the link tells nobody");
    }
}
