//! What lies in a cache directory, read from the files themselves: for `ls`, for `purge`, with or without a process that
//! uses it.
//!
//! A copy may be removed at any time: whoever has it open goes on reading it, and nobody else finds it.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use bowline_base::Timestamp;

use crate::record::{Id, LARGEST, Record};

/// A cached file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The upstream's name, `s3://bucket/prefix`.
    pub origin: String,
    /// The key there.
    pub key: String,
    /// Bytes of the file itself.
    pub length: u64,
    /// When its bytes came.
    pub stored_at: Timestamp,
    /// When the upstream last said that they are right.
    pub validated_at: Timestamp,
}

/// Which copies are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// This key, wherever it came from.
    Key(String),
    /// Every key that begins so.
    Prefix(String),
}

impl Selection {
    /// `g/a/1.0/a-1.0.jar` is a key; what ends in `/` (or is `/`) is everything below.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let bare = text.trim_start_matches('/');
        if bare.is_empty() || bare.ends_with('/') { Self::Prefix(bare.to_owned()) } else { Self::Key(bare.to_owned()) }
    }

    /// Whether `key` is meant.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        match self {
            Self::Key(wanted) => wanted == key,
            Self::Prefix(prefix) => key.starts_with(prefix),
        }
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Every whole copy below `cache`, by key. A directory that is not there holds nothing.
///
/// # Errors
/// It cannot be read.
pub fn inventory(cache: &Path) -> io::Result<Vec<Cached>> {
    let mut all = Vec::new();
    each(cache, |_, cached| all.push(cached))?;
    all.sort_unstable_by(|one, other| (&one.key, &one.origin).cmp(&(&other.key, &other.origin)));
    Ok(all)
}

/// Removes what `selection` takes from `cache`, while no process uses it.
///
/// # Errors
/// It cannot be read, or a file cannot be removed.
pub(crate) fn purge(cache: &Path, selection: &Selection) -> io::Result<Purged> {
    let mut purged = Purged::default();
    for (id, cached) in selected(cache, selection)? {
        let name = id.to_string();
        match fs::remove_file(cache.join("v1").join(&name[..2]).join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => purged.add(&cached),
        }
    }
    Ok(purged)
}

impl Purged {
    pub(crate) fn add(&mut self, cached: &Cached) {
        self.files += 1;
        self.bytes += cached.length;
    }
}

/// What `selection` takes, with the names of the files.
pub(crate) fn selected(cache: &Path, selection: &Selection) -> io::Result<Vec<(Id, Cached)>> {
    let mut all = Vec::new();
    each(cache, |id, cached| {
        if selection.takes(&cached.key) {
            all.push((id, cached));
        }
    })?;
    Ok(all)
}

fn each(cache: &Path, mut see: impl FnMut(Id, Cached)) -> io::Result<()> {
    let shards = match fs::read_dir(cache.join("v1")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        shards => shards?,
    };
    for shard in shards {
        let Ok(files) = fs::read_dir(shard?.path()) else { continue };
        for file in files.filter_map(Result::ok) {
            let Some(id) = file.file_name().to_str().and_then(Id::parse) else { continue };
            // One that vanishes meanwhile is no longer in the cache.
            if let Ok(Some(cached)) = File::open(file.path()).and_then(read) {
                see(id, cached);
            }
        }
    }
    Ok(())
}

fn read(mut file: File) -> io::Result<Option<Cached>> {
    let metadata = file.metadata()?;
    let mut beginning = Vec::new();
    file.by_ref().take(4096).read_to_end(&mut beginning)?;
    if let Some(block) = Record::block_length(&beginning).filter(|block| (beginning.len()..=LARGEST).contains(block)) {
        file.take((block - beginning.len()) as u64).read_to_end(&mut beginning)?;
    }
    let Some((record, offset)) = Record::decode(&beginning) else { return Ok(None) };
    if metadata.len() != offset as u64 + record.head.length {
        return Ok(None);
    }
    Ok(Some(Cached {
        origin: record.origin,
        key: record.key,
        length: record.head.length,
        stored_at: record.stored_at,
        validated_at: Timestamp::try_from(metadata.modified()?).unwrap_or(record.stored_at),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_means_everything_below() {
        assert_eq!(Selection::parse("/g/a/"), Selection::Prefix("g/a/".to_owned()));
        assert_eq!(Selection::parse("g/a"), Selection::Key("g/a".to_owned()));
        assert!(Selection::parse("/").takes("anything") && Selection::parse("g/").takes("g/a"));
        assert!(!Selection::parse("g/a").takes("g/a/b") && !Selection::parse("g/").takes("gg/a"));
    }

    #[test]
    fn a_directory_that_is_not_there_holds_nothing() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(inventory(&home.path().join("none")).unwrap(), []);
        fs::create_dir_all(home.path().join("v1/ab")).unwrap();
        bowline_base::atomic::write_private(&home.path().join("v1/ab").join("ab".repeat(32)), b"no record").unwrap();
        assert_eq!(inventory(home.path()).unwrap(), []);
    }
}
