//! A directory on this machine: a Maven repository from a package, a mirror on a share, the embedded default.
//!
//! Symlinks are followed, because distributions build their repositories from them.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bowline_base::{BoxFuture, wire::WireError};
use http_body_util::BodyExt as _;

use super::{Answer, Head, Listed, Page, Trouble, Upstream, Want};
use crate::body::{Payload, off_thread};

/// Every regular file below a directory.
#[derive(Debug)]
pub struct Directory {
    name: String,
    root: PathBuf,
}

impl Directory {
    /// Serves what is below `root`, which may come and go.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { name: format!("file://{}", root.display()), root }
    }

    /// The path of `key`; `None` for a key that no file can have.
    fn locate(&self, key: &str) -> Option<PathBuf> {
        let fits = key.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'));
        fits.then(|| self.root.join(key))
    }

    async fn open(&self, key: &str) -> Result<(File, Head), Trouble> {
        let path = self.locate(key).ok_or(Trouble::Missing)?;
        let root = self.root.clone();
        off_thread(move || open(&path).map_err(|error| trouble(&root, &error))).await.map_err(disk)?
    }

    async fn fetch(&self, want: &Want) -> Result<Answer, Trouble> {
        let (file, head) = self.open(&want.key).await?;
        if want.if_match.is_some() && want.if_match != head.etag {
            return Err(Trouble::Changed);
        }
        if want.if_none_match.is_some() && want.if_none_match == head.etag {
            return Ok(Answer::Unchanged);
        }
        let host = self.name.clone();
        let body = Payload::file(Arc::new(file), 0, want.from..head.length)
            .map_err(move |cause| WireError::Broken { host: host.clone(), cause: cause.into() });
        Ok(Answer::File(head, body.boxed_unsync()))
    }
}

impl Upstream for Directory {
    fn name(&self) -> &str {
        &self.name
    }

    fn get<'a>(&'a self, want: &'a Want) -> BoxFuture<'a, Result<Answer, Trouble>> {
        Box::pin(self.fetch(want))
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Head, Trouble>> {
        Box::pin(async move { self.open(key).await.map(|(_, head)| head) })
    }

    fn list<'a>(&'a self, prefix: &'a str, _after: Option<&'a str>) -> BoxFuture<'a, Result<Page, Trouble>> {
        Box::pin(async move {
            let inner = prefix.trim_end_matches('/');
            let path = if inner.is_empty() { Some(self.root.clone()) } else { self.locate(inner) };
            let (path, root) = (path.ok_or(Trouble::Missing)?, self.root.clone());
            off_thread(move || list(&path).map_err(|error| trouble(&root, &error))).await.map_err(disk)?
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            let root = self.root.clone();
            let looked = off_thread(move || fs::read_dir(&root).map(drop)).await.and_then(|looked| looked);
            looked.map_err(disk)
        })
    }
}

fn open(path: &Path) -> io::Result<(File, Head)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let head = Head {
        length: metadata.len(),
        etag: Some(etag(&metadata)),
        last_modified: metadata.modified().ok().filter(|at| *at >= SystemTime::UNIX_EPOCH).map(httpdate::fmt_http_date),
        content_type: None,
        md5: None,
    };
    Ok((file, head))
}

/// Changes when the file is replaced or written.
fn etag(metadata: &Metadata) -> String {
    format!("\"{:x}-{:x}-{:x}-{:x}\"", metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len())
}

fn list(path: &Path) -> io::Result<Page> {
    let mut page = Page::default();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // A link that leads nowhere is no file.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if metadata.is_dir() {
            page.folders.push(name);
        } else if metadata.is_file() {
            let modified = metadata.modified().ok().and_then(|at| bowline_base::Timestamp::try_from(at).ok());
            page.files.push(Listed { name, length: metadata.len(), modified: modified.map(bowline_base::utc) });
        }
    }
    Ok(page)
}

/// A missing file is missing only while the directory itself is there: an unmounted share holds no answers.
fn trouble(root: &Path, error: &io::Error) -> Trouble {
    let missing =
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename);
    if missing && root.is_dir() { Trouble::Missing } else { Trouble::Disk(error.to_string()) }
}

fn disk(error: io::Error) -> Trouble {
    Trouble::Disk(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_root_is_trouble_and_a_missing_file_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let here = Directory::new(home.path().to_path_buf());
        assert_eq!(here.head("g/a").await.unwrap_err(), Trouble::Missing);
        assert_eq!(here.head("a//b").await.unwrap_err(), Trouble::Missing);
        let gone = Directory::new(home.path().join("unmounted"));
        assert!(matches!(gone.head("g/a").await.unwrap_err(), Trouble::Disk(_)));
    }

    #[tokio::test]
    async fn a_rest_is_read_from_where_it_was_asked() {
        let home = tempfile::tempdir().unwrap();
        bowline_base::atomic::write(&home.path().join("x"), b"0123456789", 0o644).unwrap();
        let upstream = Directory::new(home.path().to_path_buf());
        let Answer::File(head, body) = upstream.get(&Want { from: 7, ..Want::whole("x") }).await.unwrap() else {
            panic!("a file")
        };
        assert_eq!((head.length, body.collect().await.unwrap().to_bytes().as_ref()), (10, b"789".as_slice()));
        let same = Want { if_none_match: head.etag, ..Want::whole("x") };
        assert!(matches!(upstream.get(&same).await.unwrap(), Answer::Unchanged));
    }
}
