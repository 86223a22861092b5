//! Files read whole, with a limit.

use crate::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The bytes of the file at `path`.
///
/// # Errors
/// If it isn't a file, can't be read, is empty or has more than `bytes_max`.
pub(super) fn read_all(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let n_bytes = size(path)?;
    let file = File::open(path).map_err(|e| Error::unreadable(path, &e))?;
    let mut bytes = Vec::with_capacity(n_bytes.min(bytes_max) as usize);
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|e| Error::unreadable(path, &e))?;
    match bytes.len() as u64 {
        n if n <= bytes_max => Ok(bytes),
        _ => Err(Error::input(path.display().to_string(), format!("it has more than {bytes_max} bytes"))
            .legal(format!("up to {bytes_max} bytes in a file of this kind"))
            .hint("check that this is the file you meant")),
    }
}

/// The text of the file at `path`.
///
/// # Errors
/// As [`read_all`], and if it isn't UTF-8.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<String, Error> {
    String::from_utf8(read_all(path, bytes_max)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::input(path.display().to_string(), format!("it is not text (byte {at} is not UTF-8)"))
            .legal("UTF-8 text")
            .hint("check that this is the file you meant")
    })
}

/// How many bytes the file at `path` has: at least one.
///
/// # Errors
/// If it isn't a file, can't be read or is empty.
pub(super) fn size(path: &Path) -> Result<u64, Error> {
    let about = path.metadata().map_err(|e| Error::unreadable(path, &e))?;
    let place = path.display().to_string();
    match about.len() {
        _ if !about.is_file() => Err(Error::input(place, "it is not a file").legal("a regular file")),
        0 => Err(Error::input(place, "it is empty (0 bytes)")
            .legal("a whole recording")
            .hint("copy the recording again")),
        n => Ok(n),
    }
}
