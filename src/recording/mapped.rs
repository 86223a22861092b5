//! A file mapped into memory, for recordings longer than memory; the only unsafe code of the readers.
//!
//! The file is opened for reading and holds a shared lock as long as it is mapped, so that a program which
//! locks before it writes waits. One that doesn't can still cut the file short; the next access beyond its
//! new end then ends this process with SIGBUS (Unix) or an in-page error (Windows). Don't replay what is
//! still being written: copy it first.

use crate::error::Error;
use memmap2::Mmap;
use std::fs::{File, TryLockError};
use std::path::Path;

/// The bytes of a file, read only.
pub(crate) struct MappedFile {
    map: Mmap,
    /// Keeps the lock.
    _file: File,
}

impl MappedFile {
    /// Maps the file at `path`, which is not empty.
    ///
    /// # Errors
    /// If it can't be read or another program holds it for writing.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        super::files::size(path)?;
        let file = File::open(path).map_err(|e| Error::unreadable(path, &e))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            return Err(Error::input(
                path.display().to_string(),
                "another program has it locked for writing",
            )
            .legal("a recording that is finished")
            .hint("wait until it is, or copy it"));
        }
        let map = map(&file).map_err(|e| Error::unreadable(path, &e))?;
        Ok(MappedFile { map, _file: file })
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
}

#[allow(unsafe_code, reason = "mapping a file can't be made safe: see the SAFETY comment")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read only and the file was opened for reading. Rust asks that the bytes don't change
    // underneath; the shared lock taken above keeps out writers that lock, and the module's documentation
    // says what the others may cause. Bytes are copied out and checked as plain numbers, any value of which
    // is legal, so that a change gives other samples but never a broken invariant.
    unsafe { Mmap::map(file) }
}
