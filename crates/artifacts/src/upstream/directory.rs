//! A directory on this machine: a Maven repository from a package, a mirror on a share, the embedded default.
//!
//! Symlinks are followed, because distributions build their repositories from them. Nothing of it is cached: who
//! copies a file into it is seen writing, and no half of a file may stay for ever.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bowline_base::{BoxFuture, wire::WireError};
use http_body_util::BodyExt as _;
use rustix::fs::OFlags;

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
        let etag = head.etag.clone().unwrap_or_default();
        let body = Payload::unchanging(Arc::new(file), etag, want.from..head.length)
            .map_err(move |cause| WireError::Broken { host: host.clone(), cause: cause.into() });
        Ok(Answer::File(head, body.boxed_unsync()))
    }
}

impl Upstream for Directory {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_local(&self) -> bool {
        true
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
    // Before it is opened, because opening a device may do something; and not waiting, should it become a pipe.
    regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    let head = Head {
        length: metadata.len(),
        etag: Some(etag(&metadata)),
        last_modified: metadata.modified().ok().filter(|at| *at >= SystemTime::UNIX_EPOCH).map(httpdate::fmt_http_date),
        ..Head::default()
    };
    Ok((file, head))
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Changes when the file is replaced or written.
pub(crate) fn etag(metadata: &Metadata) -> String {
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

/// A missing file is missing only while the directory itself is there: an unmounted share holds no answers. One that
/// may not be read says nothing about the others.
fn trouble(root: &Path, error: &io::Error) -> Trouble {
    let missing =
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename);
    match error.kind() {
        _ if missing && root.is_dir() => Trouble::Missing,
        io::ErrorKind::PermissionDenied => Trouble::Denied,
        _ => Trouble::Disk(error.to_string()),
    }
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
    async fn what_is_no_regular_file_is_not_opened() {
        let home = tempfile::tempdir().unwrap();
        let here = Directory::new(home.path().to_path_buf());
        rustix::fs::mkfifoat(rustix::fs::CWD, home.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", home.path().join("device")).unwrap();
        for key in ["pipe", "device"] {
            let asked = tokio::time::timeout(std::time::Duration::from_secs(2), here.head(key)).await;
            // A writer comes, so that whoever waits for one is released and the test can end.
            OpenOptions::new().read(true).write(true).open(home.path().join("pipe")).unwrap();
            assert_eq!(asked.expect("an answer at once").unwrap_err(), Trouble::Missing, "{key}");
        }
    }

    #[test]
    fn one_file_that_may_not_be_read_is_not_the_directory_s_trouble() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(trouble(home.path(), &io::ErrorKind::PermissionDenied.into()), Trouble::Denied);
        assert!(matches!(trouble(home.path(), &io::ErrorKind::StaleNetworkFileHandle.into()), Trouble::Disk(_)));
    }

    #[tokio::test]
    async fn a_file_that_is_written_while_it_is_read_breaks_the_answer() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        bowline_base::atomic::write(&path, &[1; 600_000], 0o644).unwrap();
        let upstream = Directory::new(home.path().to_path_buf());
        let Answer::File(_, mut body) = upstream.get(&Want::whole("x")).await.unwrap() else { panic!("a file") };
        assert!(body.frame().await.unwrap().is_ok());
        OpenOptions::new().append(true).open(&path).unwrap().set_len(700_000).unwrap();
        assert!(body.frame().await.unwrap().is_err());
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
