//! Files and folders that appear whole or not at all.
//!
//! Each is written under a temporary name beside its place and renamed when complete. Dropped before that, it
//! is removed; on an interrupt, [`remove_pending`] removes all that are open.

use crate::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// A file that is being written.
pub struct PendingFile {
    place: PathBuf,
    pending: Pending,
    writer: BufWriter<File>,
}

impl PendingFile {
    /// Starts to write what shall stand at `place`.
    ///
    /// # Errors
    /// If the folder of `place` doesn't exist or can't be written to, or something else than a file stands at
    /// `place`.
    pub fn create(place: &Path) -> Result<Self, Error> {
        if let Ok(about) = place.symlink_metadata()
            && !about.is_file()
        {
            let found = if about.is_dir() { "it is a folder" } else { "it is a link, a pipe or a device" };
            return Err(Error::output(place.display().to_string(), found)
                .legal("a new path, or a file to replace")
                .hint("another name"));
        }
        let path = temporary_name(place)?;
        let pending = Pending::register(path);
        let file = File::create(&pending.path).map_err(|error| Error::unwritable(place, &error))?;
        Ok(PendingFile { place: place.to_path_buf(), pending, writer: BufWriter::new(file) })
    }

    /// Refuses a place that couldn't be written, before any work is done for it.
    ///
    /// # Errors
    /// As [`PendingFile::create`].
    pub fn check(place: &Path) -> Result<(), Error> {
        Self::create(place).map(drop)
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write_all(bytes).map_err(|error| Error::unwritable(&self.place, &error))
    }

    /// Where it shall stand.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// If the last bytes can't be written or the file can't be renamed.
    pub fn finish(mut self) -> Result<(), Error> {
        let place = self.place;
        let written = self.writer.flush().and_then(|()| fs::rename(&self.pending.path, &place));
        written.map_err(|error| Error::unwritable(&place, &error))?;
        self.pending.done();
        Ok(())
    }
}

/// A folder that is being written.
pub struct PendingDir {
    place: PathBuf,
    pending: Pending,
}

impl PendingDir {
    /// Starts to fill what shall stand at `place`. A folder there is replaced if it is empty, or if it holds the
    /// first of the files named in `owned`, by which we know our own, and nothing but those; anything else is
    /// refused.
    ///
    /// # Errors
    /// If something else stands at `place` or the folder above can't be written to.
    pub fn create(place: &Path, owned: &[&str]) -> Result<Self, Error> {
        if place.symlink_metadata().is_ok()
            && let Some(foreign) = foreign(place, owned)
        {
            return Err(Error::output(
                place.display().to_string(),
                format!("something else stands there, {foreign}"),
            )
            .legal(format!(
                "a new folder, an empty one, or one with nothing but {} to replace",
                owned.join(", ")
            ))
            .hint("another name"));
        }
        let path = temporary_name(place)?;
        let pending = Pending::register(path);
        fs::create_dir(&pending.path).map_err(|error| Error::unwritable(place, &error))?;
        Ok(PendingDir { place: place.to_path_buf(), pending })
    }

    /// Writes one file of the folder.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.pending.path.join(name);
        fs::write(path, bytes).map_err(|error| Error::unwritable(&self.place, &error))
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    /// If it can't be renamed; what stood there before then still stands.
    pub fn finish(self) -> Result<(), Error> {
        // An interrupt waits: it must not come while neither the old folder nor the new one stands.
        let mut open = open_paths();
        let replaced = replace(&self.pending.path, &self.place);
        if replaced.is_ok() {
            open.retain(|path| *path != self.pending.path);
        }
        drop(open);
        replaced.map_err(|error| Error::unwritable(&self.place, &error))
    }
}

/// What stands at `place` that we didn't write; nothing where we may replace it.
fn foreign(place: &Path, owned: &[&str]) -> Option<String> {
    let Ok(entries) = fs::read_dir(place) else { return Some("a file".to_string()) };
    let name = |entry: std::io::Result<fs::DirEntry>| match entry {
        Ok(entry) => entry.file_name().to_string_lossy().into_owned(),
        Err(error) => error.to_string(),
    };
    let names: Vec<String> = entries.map(name).collect();
    let ours = names.is_empty() || names.iter().any(|name| name == owned[0]);
    let other = names.iter().find(|name| !ours || !owned.contains(&name.as_str()));
    other.map(|name| format!("a folder that holds `{name}`"))
}

/// Puts the folder `new` at `place`, and what stood there back if that fails.
fn replace(new: &Path, place: &Path) -> std::io::Result<()> {
    if !place.exists() {
        return fs::rename(new, place);
    }
    let old = temporary_name(place).map_err(std::io::Error::other)?;
    fs::rename(place, &old)?;
    if let Err(error) = fs::rename(new, place) {
        fs::rename(&old, place)?;
        return Err(error);
    }
    remove(&old);
    Ok(())
}

/// Removes every file and folder that was begun and not finished, for a program that is about to end. Results
/// that are finished stay.
pub fn remove_pending() {
    for path in open_paths().drain(..) {
        remove(&path);
    }
}

/// A path that is removed when dropped, unless done.
struct Pending {
    path: PathBuf,
}

impl Pending {
    fn register(path: PathBuf) -> Self {
        open_paths().push(path.clone());
        Pending { path }
    }

    fn done(self) {
        open_paths().retain(|path| *path != self.path);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut open = open_paths();
        if let Some(at) = open.iter().position(|path| *path == self.path) {
            open.swap_remove(at);
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    // Nothing can be done about what can't be removed, and an error of its own is on its way.
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// A name beside `place` that nothing has.
fn temporary_name(place: &Path) -> Result<PathBuf, Error> {
    let parent = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return Err(Error::output(place.display().to_string(), "the folder above it doesn't exist")
            .legal("a place in an existing folder")
            .hint(format!("mkdir -p {}", parent.display())));
    }
    let name = place.file_name().ok_or_else(|| {
        Error::output(place.display().to_string(), "it has no name").legal("a path that ends in a name")
    })?;
    let free =
        (0u32..).map(|n| parent.join(format!(".{}.{}-{n}.tmp", name.to_string_lossy(), std::process::id())));
    Ok(free.into_iter().find(|path| !path.exists()).expect("some number is free"))
}

fn open_paths() -> MutexGuard<'static, Vec<PathBuf>> {
    static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    OPEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder is there");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("intents.jsonl");
        let mut file = PendingFile::create(&place).expect("writable");
        file.write(b"half").expect("room");
        assert!(!place.exists());
        drop(file);
        assert!(names(folder.path()).is_empty(), "what was dropped leaves nothing");
        let mut file = PendingFile::create(&place).expect("writable");
        file.write(b"whole").expect("room");
        file.finish().expect("renamed");
        assert_eq!(fs::read(&place).expect("it is there"), b"whole");
        assert_eq!(names(folder.path()), ["intents.jsonl"]);
    }

    #[test]
    fn a_folder_replaces_only_its_own_kind() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("model");
        for round in ["1", "2"] {
            let dir = PendingDir::create(&place, &["model.toml"]).expect("writable");
            dir.write("model.toml", round.as_bytes()).expect("room");
            dir.finish().expect("renamed");
            assert_eq!(fs::read(place.join("model.toml")).expect("it is there"), round.as_bytes());
        }
        assert_eq!(names(folder.path()), ["model"]);
        let other = folder.path().join("photos");
        fs::create_dir(&other).expect("writable");
        for name in ["a.jpg", "model.toml"] {
            fs::write(other.join(name), "x").expect("writable");
            assert!(PendingDir::create(&other, &["model.toml"]).is_err(), "a photo among ours");
        }
        assert_eq!(names(&other), ["a.jpg", "model.toml"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = PendingFile::create(Path::new("/nowhere/at/all.txt")).err().expect("no such folder");
        assert!(error.to_string().contains("mkdir -p /nowhere/at"), "{error}");
    }
}
