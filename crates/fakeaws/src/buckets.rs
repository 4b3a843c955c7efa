//! Buckets: objects in memory, or a directory on disk shown read-only.
//!
//! A directory is read at each request, inside the call that answers it: a repository of any size costs no memory.
//! Symlinks are followed. The digest of a file is kept until its size or time changes.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use bowline_base::Timestamp;
use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::mint::hex;

/// Directories deeper than this are taken for a loop of links.
const DEEPEST: usize = 40;

/// What a bucket answers to a request that was signed for another region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongRegion {
    /// `AuthorizationHeaderMalformed`, 400.
    #[default]
    Malformed,
    /// `PermanentRedirect`, 301.
    Redirect,
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    /// The only region that requests may be signed for.
    pub region: String,
    /// Whether callers may list: without it a missing key is 403 `AccessDenied` instead of 404.
    pub list_allowed: bool,
    /// How a wrong region is answered.
    pub wrong_region: WrongRegion,
    /// Whether what is put here is encrypted with a KMS key: its ETag looks like an MD5 and is none.
    pub kms: bool,
    shelf: Shelf,
}

#[derive(Debug)]
enum Shelf {
    Memory(BTreeMap<String, Stored>),
    Directory { root: PathBuf, digests: BTreeMap<String, (u64, Timestamp, String)> },
}

#[derive(Clone, Debug)]
struct Stored {
    facts: Facts,
    body: Bytes,
}

/// What is known of an object without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) size: u64,
    /// With its quotes.
    pub(crate) etag: String,
    /// Whole seconds, as HTTP prints them.
    pub(crate) modified: Timestamp,
    /// `content-type`, `x-amz-meta-…`.
    pub(crate) headers: Vec<(String, String)>,
}

impl Bucket {
    /// An empty bucket in memory.
    #[must_use]
    pub fn memory(region: &str) -> Self {
        Self::with(region, Shelf::Memory(BTreeMap::new()))
    }

    /// A bucket that shows `root`, read only.
    #[must_use]
    pub fn directory(region: &str, root: &Path) -> Self {
        Self::with(region, Shelf::Directory { root: root.to_owned(), digests: BTreeMap::new() })
    }

    fn with(region: &str, shelf: Shelf) -> Self {
        Self { region: region.to_owned(), list_allowed: true, wrong_region: WrongRegion::Malformed, kms: false, shelf }
    }

    /// The facts of an object, if it is there.
    pub(crate) fn facts(&mut self, key: &str) -> Option<Facts> {
        match &mut self.shelf {
            Shelf::Memory(objects) => objects.get(key).map(|stored| stored.facts.clone()),
            Shelf::Directory { root, digests } => file_facts(&path_of(root, key)?, key, digests).ok(),
        }
    }

    /// The whole body of an object.
    pub(crate) fn body(&self, key: &str) -> Option<Bytes> {
        match &self.shelf {
            Shelf::Memory(objects) => objects.get(key).map(|stored| stored.body.clone()),
            Shelf::Directory { root, .. } => fs::read(path_of(root, key)?).ok().map(Bytes::from),
        }
    }

    /// Stores an object; `false` where the bucket is read-only.
    pub(crate) fn put(&mut self, key: &str, body: Bytes, mut headers: Vec<(String, String)>, now: Timestamp) -> bool {
        let Shelf::Memory(objects) = &mut self.shelf else { return false };
        let mut digest = Md5::new();
        if self.kms {
            headers.push(("x-amz-server-side-encryption".to_owned(), "aws:kms".to_owned()));
            digest.update("of the encrypted bytes: ");
        }
        let etag = format!("\"{}\"", hex(&digest.chain_update(&body).finalize()));
        let modified = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let facts = Facts { size: body.len() as u64, etag, modified, headers };
        objects.insert(key.to_owned(), Stored { facts, body });
        true
    }

    /// Deletes an object, there or not; `false` where the bucket is read-only.
    pub(crate) fn delete(&mut self, key: &str) -> bool {
        let Shelf::Memory(objects) = &mut self.shelf else { return false };
        objects.remove(key);
        true
    }

    /// All keys that begin with `prefix`, sorted by their UTF-8 bytes.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        match &self.shelf {
            Shelf::Memory(objects) => {
                let from = objects.range(prefix.to_owned()..).map(|(key, _)| key);
                from.take_while(|key| key.starts_with(prefix)).cloned().collect()
            }
            Shelf::Directory { root, .. } => {
                let mut keys = Vec::new();
                let base = prefix.rsplit_once('/').map_or("", |(base, _)| base);
                let start = if base.is_empty() { Some(root.clone()) } else { path_of(root, base) };
                if let Some(start) = start {
                    walk(&start, base, DEEPEST, &mut keys);
                }
                keys.retain(|key| key.starts_with(prefix));
                keys.sort();
                keys
            }
        }
    }
}

/// Every bucket, by name.
#[derive(Default)]
pub(crate) struct Buckets(BTreeMap<String, Bucket>);

impl Buckets {
    pub(crate) fn add(&mut self, name: &str, bucket: Bucket) {
        self.0.insert(name.to_owned(), bucket);
    }

    pub(crate) fn find(&mut self, name: &str) -> Option<&mut Bucket> {
        self.0.get_mut(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn put_plain(&mut self, bucket: &str, key: &str, body: Bytes, now: Timestamp) -> bool {
        let headers = vec![("content-type".to_owned(), "binary/octet-stream".to_owned())];
        self.find(bucket).is_some_and(|bucket| bucket.put(key, body, headers, now))
    }
}

/// Where a key lies below `root`; `None` for keys that no file can have, and for steps out of it.
fn path_of(root: &Path, key: &str) -> Option<PathBuf> {
    let sound = key.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'));
    sound.then(|| root.join(key))
}

fn file_facts(path: &Path, key: &str, digests: &mut BTreeMap<String, (u64, Timestamp, String)>) -> io::Result<Facts> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let exact = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    let etag = match digests.get(key) {
        Some((size, modified, etag)) if *size == metadata.len() && *modified == exact => etag.clone(),
        _ => {
            let etag = format!("\"{}\"", hex(&Md5::digest(fs::read(path)?)));
            digests.insert(key.to_owned(), (metadata.len(), exact, etag.clone()));
            etag
        }
    };
    let modified = Timestamp::from_second(exact.as_second()).unwrap_or(exact);
    let headers = vec![("content-type".to_owned(), "binary/octet-stream".to_owned())];
    Ok(Facts { size: metadata.len(), etag, modified, headers })
}

fn walk(directory: &Path, base: &str, depth: usize, keys: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let key = if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") };
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() && depth > 0 => walk(&entry.path(), &key, depth - 1, keys),
            Ok(metadata) if metadata.is_file() => keys.push(key),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_shown_with_links_followed_and_no_way_out() {
        let home = tempfile::tempdir().unwrap();
        let (root, outside) = (home.path().join("root"), home.path().join("outside"));
        fs::create_dir_all(root.join("org/a")).unwrap();
        for (path, text) in [(root.join("org/a/a.jar"), "jar"), (root.join("org.txt"), "text"), (outside, "x")] {
            bowline_base::atomic::write(&path, text.as_bytes(), 0o644).unwrap();
        }
        std::os::unix::fs::symlink("a.jar", root.join("org/a/link.jar")).unwrap();
        let mut bucket = Bucket::directory("us-east-1", &root);
        assert_eq!(bucket.keys(""), ["org.txt", "org/a/a.jar", "org/a/link.jar"]);
        assert_eq!(bucket.keys("org/a/l"), ["org/a/link.jar"]);
        assert_eq!(bucket.body("org/a/link.jar").unwrap(), "jar");
        assert_eq!(bucket.facts("org/a/link.jar").unwrap().etag, "\"68995fcbf432492d15484d04a9d2ac40\"");
        assert!(
            bucket.facts("../outside").is_none() && bucket.facts("org/a").is_none() && bucket.facts("org/a/").is_none()
        );
        assert!(bucket.keys("../").is_empty() && bucket.keys("/").is_empty() && bucket.keys("org/../").is_empty());
        assert!(!bucket.put("new", Bytes::new(), Vec::new(), Timestamp::UNIX_EPOCH));
    }
}
