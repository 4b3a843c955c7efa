//! Notices changed files: kernel events on their directories, and a look at the clock where events do not come.
//!
//! The directory is watched and not the file, because every good writer replaces the file by a rename. A directory
//! that does not exist yet, an NFS mount or a bind mount sends no events: for these the files' stamps are compared.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use notify::{
    EventKind, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;
use tracing::debug;

use crate::Tasks;

/// How often stamps are compared where no event arrives.
pub const POLL: Duration = Duration::from_millis(500);

/// Watches every file in `directories` until shutdown and sends a message after each change; bursts are one message.
#[must_use]
pub fn directories(tasks: &Tasks, directories: Vec<PathBuf>) -> mpsc::Receiver<()> {
    let (changed, receiver) = mpsc::channel(1);
    let before = stamps(&directories);
    tasks.spawn_until_shutdown("watch", watch_loop(directories, before, changed));
    receiver
}

async fn watch_loop(directories: Vec<PathBuf>, mut before: BTreeMap<PathBuf, Stamp>, changed: mpsc::Sender<()>) {
    let (event, mut events) = mpsc::channel(1);
    // Where no watcher can be had, its sender is gone at once; then only the clock wakes this loop.
    let _keeps_the_channel_open = event.clone();
    let mut watcher = notify::recommended_watcher(move |seen: notify::Result<notify::Event>| {
        if seen.is_ok_and(|seen| is_change(seen.kind)) {
            event.try_send(()).ok();
        }
    })
    .ok();
    let mut watched = vec![false; directories.len()];
    loop {
        for (directory, watched) in directories.iter().zip(&mut watched).filter(|(_, watched)| !**watched) {
            *watched = watcher.as_mut().is_some_and(|watcher| begin(watcher, directory));
        }
        tokio::select! {
            _ = events.recv() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        let after = stamps(&directories);
        if after != before {
            before = after;
            changed.try_send(()).ok();
        }
        if changed.is_closed() {
            return;
        }
    }
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

fn stamps(directories: &[PathBuf]) -> BTreeMap<PathBuf, Stamp> {
    directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .filter_map(|entry| stamp(&entry).ok())
        .collect()
}

fn stamp(entry: &io::Result<fs::DirEntry>) -> io::Result<(PathBuf, Stamp)> {
    use std::os::unix::fs::MetadataExt as _;
    let path = entry.as_ref().map_err(|error| io::Error::from(error.kind()))?.path();
    let metadata = fs::metadata(&path)?;
    Ok((path, (metadata.modified()?, metadata.len(), metadata.ino())))
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
}
