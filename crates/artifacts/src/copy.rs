//! One copy as it is served: what is said of it, and its bytes, or the open file that they stand in.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    sync::Arc,
};

use bowline_base::Timestamp;
use bowline_host::mapped::Maps;
use bytes::Bytes;
use http::HeaderMap;
use rustix::io::Errno;

use crate::{
    answer,
    memory::Weight,
    record::{LARGEST, Record},
};

/// Copies up to this size are read whole, with their record, in one go.
pub(crate) const SMALL: u64 = 256 * 1024;

/// A file from the cache: it stays readable when it is evicted or replaced.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) record: Record,
    /// Of the whole file as a hit.
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Held,
    /// By the calendar.
    pub(crate) validated: Timestamp,
    stamp: Stamp,
}

/// Where the bytes are.
#[derive(Debug)]
pub(crate) enum Held {
    /// All of them, when they are few.
    Whole(Bytes),
    /// In the file.
    Open(Opened),
}

/// A big file.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) file: Arc<File>,
    /// Where the bytes begin.
    pub(crate) offset: u64,
    /// The bytes without their costing memory, where the system can send them so.
    pub(crate) mapped: Option<Bytes>,
}

/// Tells one state of a file from every other: what is replaced has another inode, or a later change.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Copy {
    /// All bytes, when they are few.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        if let Held::Whole(bytes) = &self.bytes { Some(bytes) } else { None }
    }

    /// What it costs to hold.
    pub(crate) fn weight(&self) -> Weight {
        match &self.bytes {
            Held::Whole(bytes) => Weight::Bytes(bytes.len() as u64),
            Held::Open(_) => Weight::Descriptor,
        }
    }

    /// Whether it is still what stands at `path`.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads the copy at `path`. `None`: what is there is not a whole copy of ours.
///
/// # Errors
/// There is nothing, or it cannot be read; see [`is_shortage`].
pub(crate) fn open(path: &Path, maps: &Maps) -> io::Result<Option<Copy>> {
    let file = File::open(path)?;
    let Some((record, offset, beginning)) = record(&file)? else { return Ok(None) };
    let metadata = file.metadata()?;
    if metadata.len() != offset + record.head.length {
        return Ok(None);
    }
    let headers = answer::hit_headers(&record);
    let validated = Timestamp::try_from(metadata.modified()?).unwrap_or(record.stored_at);
    let bytes = if record.head.length <= SMALL {
        Held::Whole(read_whole(&file, offset, &record, &beginning)?)
    } else {
        let file = Arc::new(file);
        let mapped = mapped(maps, &file, metadata.len()).map(|bytes| bytes.slice(offset as usize..));
        Held::Open(Opened { file, offset, mapped })
    };
    Ok(Some(Copy { record, headers, bytes, validated, stamp: Stamp::of(&metadata) }))
}

/// The record, where the bytes begin, and what was read on the way. `None`: not one of ours.
pub(crate) fn record(file: &File) -> io::Result<Option<(Record, u64, Vec<u8>)>> {
    let on_disk = file.metadata()?.len();
    let mut beginning = vec![0; on_disk.min(4096) as usize];
    file.read_exact_at(&mut beginning, 0)?;
    let Some(block) = Record::block_length(&beginning) else { return Ok(None) };
    if block > beginning.len() && block <= LARGEST && block as u64 <= on_disk {
        beginning.resize(block, 0);
        file.read_exact_at(&mut beginning, 0)?;
    }
    Ok(Record::decode(&beginning).map(|(record, offset)| (record, offset as u64, beginning)))
}

/// Out of descriptors or memory: says nothing about the file.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| shortages.iter().any(|shortage| shortage.raw_os_error() == code))
}

/// The rest behind what was read already.
fn read_whole(file: &File, offset: u64, record: &Record, beginning: &[u8]) -> io::Result<Bytes> {
    let mut bytes = beginning.get(offset as usize..).unwrap_or_default().to_vec();
    let have = bytes.len();
    bytes.resize(record.head.length as usize, 0);
    file.read_exact_at(&mut bytes[have..], offset + have as u64)?;
    Ok(Bytes::from(bytes))
}

fn mapped(maps: &Maps, file: &Arc<File>, length: u64) -> Option<Bytes> {
    // SAFETY: a draft is written to until it has its name, and this file has one. From then on this program only renames
    // over it and unlinks it (`store`), and the directory is closed to other users.
    #[expect(unsafe_code, reason = "only who made the file can promise that it stays as it is")]
    let bytes = unsafe { maps.map(file, length) };
    bytes.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn being_out_of_descriptors_is_no_miss() {
        for code in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(is_shortage(&code.into()), "{code}");
        }
        assert!(!is_shortage(&Errno::NOENT.into()) && !is_shortage(&io::ErrorKind::UnexpectedEof.into()));
    }
}
