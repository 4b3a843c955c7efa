//! Files that look like memory, so that whoever handles bytes can pass them on without reading them: a socket that knows
//! the [`Maps`] recognises such bytes by their address and has the kernel send them from the file (`sending`).
//!
//! It decides nothing: what is mapped, and whether its pages are in memory, is for the caller to ask.

use std::{
    collections::BTreeMap,
    ffi::c_void,
    fs::File,
    io,
    ops::Range,
    slice,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::sys;

/// How far apart pages are looked at: the kernel reads ahead and forgets in bigger pieces than pages, and a look at each
/// 128 KiB cost several hundredths of sending a file.
const STRIDE: u64 = 512 * 1024;

/// Which addresses belong to which files. Clones share the book.
#[derive(Clone, Debug, Default)]
pub struct Maps(Arc<RwLock<BTreeMap<usize, Region>>>);

#[derive(Debug)]
struct Region {
    length: usize,
    file: Arc<File>,
}

/// Owns one mapping; dropped with the last of its bytes.
struct Mapping {
    maps: Maps,
    address: usize,
    length: usize,
}

impl Maps {
    /// The first `length` bytes of `file` as bytes that cost no memory until somebody reads them.
    ///
    /// # Errors
    /// The system has no way to send them from the file (not Linux), or no room for the mapping.
    ///
    /// # Safety
    /// While any of these bytes live, nobody may write to the file or cut it: a change is a data race, and reading what
    /// was cut off ends the process by SIGBUS. It may be renamed and unlinked.
    #[expect(unsafe_code, reason = "what others may do to the file is known to the caller only")]
    pub unsafe fn map(&self, file: &Arc<File>, length: u64) -> io::Result<Bytes> {
        if !sys::SENDS_FILES || length == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // SAFETY: the system chooses the address, so no memory that is in use is replaced.
        let address =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file.as_ref(), 0)? };
        let mapping = Mapping { maps: self.clone(), address: address as usize, length };
        let region = Region { length, file: Arc::clone(file) };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(mapping.address, region);
        Ok(Bytes::from_owner(mapping))
    }

    /// The file that `bytes` stand in, and where, if they do.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<(Arc<File>, u64)> {
        let start = bytes.as_ptr() as usize;
        let maps = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (address, region) = maps.range(..=start).next_back()?;
        let offset = start - address;
        // A mapping ends where its last byte does, and another object may begin there.
        (offset + bytes.len() <= region.length).then(|| (Arc::clone(&region.file), offset as u64))
    }
}

/// Whether the bytes of `range` are in memory, as far as a look at some of the pages tells: reading or sending them will
/// hardly wait for the disk. `false` also where the system does not tell.
#[must_use]
pub fn is_resident(file: &File, range: Range<u64>) -> bool {
    let last = range.end.saturating_sub(1);
    range.step_by(STRIDE as usize).chain([last]).all(|at| sys::is_resident(file, at))
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `address` and `length` are those of a mapping that lives as long as `self`, and whoever made it
        // promised that its bytes do not change.
        #[expect(unsafe_code, reason = "a mapping is seen as bytes here and nowhere else")]
        unsafe {
            slice::from_raw_parts(self.address as *const u8, self.length)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // First out of the book: as soon as it is unmapped, another thread may be given the address.
        self.maps.0.write().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
        // SAFETY: nobody borrows the bytes any more, and this mapping is undone once.
        #[expect(unsafe_code, reason = "the counterpart of `mmap`")]
        let undone = unsafe { munmap(self.address as *mut c_void, self.length) };
        debug_assert!(undone.is_ok(), "{undone:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "nobody else knows the file")]
    fn bytes_of_a_file_are_recognised_and_others_are_not() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[7; 10_000]).unwrap();
        let (maps, file) = (Maps::default(), Arc::new(file));
        // SAFETY: nobody writes to the file from here on.
        let bytes = unsafe { maps.map(&file, 10_000) };
        assert_eq!(bytes.is_ok(), sys::SENDS_FILES);
        let Ok(bytes) = bytes else { return };
        assert!(bytes.iter().all(|byte| *byte == 7));
        let of = |bytes: &[u8]| maps.find(bytes).map(|(_, offset)| offset);
        assert_eq!((of(&bytes), of(&bytes.slice(5000..)), of(&bytes[9_999..])), (Some(0), Some(5000), Some(9_999)));
        let other = vec![7; 10_000];
        assert_eq!(of(&other), None);
        let rest = bytes.slice(1..);
        drop(bytes);
        assert_eq!(of(&rest), Some(1));
        drop(rest);
        assert!(maps.0.read().unwrap().is_empty());
    }

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[7; 300_000]).unwrap();
        // Some file systems do not tell; then nothing is.
        assert_eq!(is_resident(&file, 0..300_000), sys::is_resident(&file, 0));
        assert!(!is_resident(&file, 0..300_001));
    }
}
