//! Notices changed files: kernel events on their directories, and a look at the clock where events do not come.
//!
//! The directory is watched and not the file, because every good writer replaces the file by a rename. No events come
//! from a directory that does not exist yet, from a network's or a container host's file system, and from behind links
//! and files that are mounted alone (a container's secrets): there the files' stamps are compared twice a second,
//! elsewhere seldom. Only what was named is looked at: a certificate in a home is no reason to look at all of the home.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    watched(tasks, Watched { files: Vec::new(), directories })
}

/// As [`directories`] for what is named alone, there or not; what else is in its directory is passed over.
#[must_use]
pub fn files(tasks: &Tasks, files: Vec<PathBuf>) -> mpsc::Receiver<()> {
    watched(tasks, Watched { files, directories: Vec::new() })
}

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// These alone.
    pub files: Vec<PathBuf>,
    /// Every file in these.
    pub directories: Vec<PathBuf>,
}

/// As [`directories`] and [`files`], for both.
#[must_use]
pub fn watched(tasks: &Tasks, what: Watched) -> mpsc::Receiver<()> {
    let (changed, receiver) = mpsc::channel(1);
    let before = Seen::look(&what);
    tasks.spawn_until_shutdown("watch", watch_loop(what, before, changed));
    receiver
}

impl Watched {
    /// Where events come from: a file is replaced in its directory.
    fn places(&self) -> Vec<Place> {
        let parent = |file: &PathBuf| match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let all: BTreeSet<PathBuf> = self.directories.iter().cloned().chain(self.files.iter().map(parent)).collect();
        all.into_iter().map(Place::new).collect()
    }
}

async fn watch_loop(what: Watched, mut before: Seen, changed: mpsc::Sender<()>) {
    let (event, mut events) = mpsc::channel(1);
    // Where no watcher can be had, its sender is gone at once; then only the clock wakes this loop.
    let _keeps_the_channel_open = event.clone();
    let mut watcher = notify::recommended_watcher(move |seen: notify::Result<notify::Event>| {
        if seen.is_ok_and(|seen| is_change(seen.kind)) {
            event.try_send(()).ok();
        }
    })
    .ok();
    let mut places = what.places();
    loop {
        let begun: Vec<bool> = places.iter_mut().map(|place| place.watch(watcher.as_mut())).collect();
        // What changed before the first event could come is seen at once.
        if !begun.contains(&true) {
            tokio::select! {
                _ = events.recv() => {}
                () = tokio::time::sleep(wait(&places, &before)) => {}
            }
        }
        let after = Seen::look(&what);
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
    if seen.elsewhere || places.iter().any(|place| !place.sure) { POLL } else { clock::LONGEST_SLEEP }
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

/// The files as they stood.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    stamps: BTreeMap<PathBuf, Stamp>,
    /// One of them is a link, or may be a file mounted there: what is behind it may change where no event comes from.
    elsewhere: bool,
}

impl Seen {
    fn look(what: &Watched) -> Self {
        let mut seen = Self::default();
        for entry in what.directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten() {
            seen.elsewhere |=
                entry.file_type().is_ok_and(|kind| kind.is_symlink()) || sys::may_be_mounted(&entry.path());
            seen.stamps.extend(stamp(entry.path()));
        }
        for file in &what.files {
            seen.elsewhere |=
                fs::symlink_metadata(file).is_ok_and(|file| file.is_symlink()) || sys::may_be_mounted(file);
            seen.stamps.extend(stamp(file.clone()));
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
    use std::process::Command;

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

    #[tokio::test]
    async fn a_named_file_is_noticed_and_its_neighbours_are_not() {
        let home = tempfile::tempdir().unwrap();
        let (named, other) = (home.path().join("site.pem"), home.path().join("notes.txt"));
        let tasks = Tasks::new();
        let mut changes = files(&tasks, vec![named.clone()]);
        bowline_base::atomic::write_private(&other, b"1").unwrap();
        std::os::unix::fs::symlink("elsewhere", home.path().join("link")).unwrap();
        let what = Watched { files: vec![named.clone()], directories: Vec::new() };
        assert_eq!(Seen::look(&what), Seen::default(), "neither the neighbour nor the link is looked at");
        bowline_base::atomic::write_private(&named, b"1").unwrap();
        tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.unwrap().unwrap();
        assert_eq!(Seen::look(&what).stamps.keys().collect::<Vec<_>>(), [&named]);
        assert!(changes.try_recv().is_err(), "one change is one message");
        assert!(tasks.shut_down(Duration::from_secs(1)).await);
    }

    #[test]
    fn files_are_looked_at_seldom_where_events_come_and_often_where_they_may_not() {
        let home = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(home.path()).unwrap();
        if !sys::tells_of_every_change(&real) || sys::may_be_mounted(&real) {
            return eprintln!("skipped: no events can be relied on in `{}`", real.display());
        }
        let mut watcher = notify::recommended_watcher(|_| ()).unwrap();
        let mut wait_for = |directory: &Path| {
            let mut place = Place::new(directory.to_path_buf());
            place.watch(Some(&mut watcher));
            let what = Watched { files: Vec::new(), directories: vec![directory.to_path_buf()] };
            wait(&[place], &Seen::look(&what))
        };
        assert_eq!(wait_for(&real), clock::LONGEST_SLEEP);
        assert_eq!(wait_for(&real.join("not-there")), POLL);
        std::os::unix::fs::symlink("elsewhere", real.join("link")).unwrap();
        assert_eq!(wait_for(&real), POLL, "what is behind the link tells nobody");
        assert!(!sys::may_be_mounted(&real.join("not-there")));
        let mounted = Watched { files: vec![PathBuf::from("/proc")], directories: Vec::new() };
        assert_eq!(wait(&[], &Seen::look(&mounted)), POLL, "nor does what is mounted over it");
    }

    /// Told twice: here, and once more in a mount namespace of its own, where `one/token` is a mount of `other/token`.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test tells itself where it runs")]
    async fn a_file_that_is_mounted_alone_is_noticed_though_no_event_comes() {
        const NAME: &str = "watch::tests::a_file_that_is_mounted_alone_is_noticed_though_no_event_comes";
        const HOME: &str = "BOWLINE_TEST_MOUNTED";
        if let Some(home) = std::env::var_os(HOME) {
            return noticed_behind_a_mount(Path::new(&home)).await;
        }
        if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|end| end.success()) {
            return eprintln!("skipped: this user makes no mount namespace");
        }
        let home = tempfile::tempdir().unwrap();
        for place in ["one", "other"] {
            fs::create_dir(home.path().join(place)).unwrap();
            bowline_base::atomic::write_private(&home.path().join(place).join("token"), b"1").unwrap();
        }
        let script = "mount --bind other/token one/token && exec \"$@\"";
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        inside.args(["--exact", NAME, "--nocapture"]).current_dir(home.path()).env(HOME, home.path());
        let done = inside.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }

    #[expect(clippy::disallowed_methods, reason = "a file that is replaced is no longer the one that is mounted")]
    async fn noticed_behind_a_mount(home: &Path) {
        let tasks = Tasks::new();
        let mut changes = files(&tasks, vec![home.join("one/token")]);
        // The first may be seen by the look that follows the beginning of the watch.
        for text in ["22", "333"] {
            fs::write(home.join("other/token"), text).unwrap();
            tokio::time::timeout(clock::LONGEST_SLEEP / 2, changes.recv()).await.unwrap().unwrap();
        }
        assert!(tasks.shut_down(Duration::from_secs(1)).await);
    }
}
