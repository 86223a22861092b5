//! The pairing key: 32 bytes that an implant and its host share, in a file that only its owner reads.
//!
//! In: a path. Out: a [`PairingKey`]. Guarantees that a key is never printed, that a file which others may read is
//! refused, and that a new key never replaces one.

use crate::error::Error;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// What both ends of a link know and nobody else does.
#[derive(Clone)]
pub struct PairingKey(Zeroizing<[u8; 32]>);

impl PairingKey {
    /// A new one from the system's randomness.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn new() -> Result<Self, Error> {
        Ok(PairingKey(Zeroizing::new(entropy()?)))
    }

    /// Reads one.
    ///
    /// # Errors
    /// If the file isn't there, holds no key, or may be read by others than its owner.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::unreadable(path, &error)
                .hint("`efference pair FILE` makes a key; both ends need the same one")
        })?;
        let text = Zeroizing::new(text);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = path.metadata().map_err(|error| Error::unreadable(path, &error))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(Error::input(&place, format!("others may read it (mode {:o})", mode & 0o777))
                    .legal("a pairing key that only its owner reads")
                    .hint(format!("chmod 600 {place}; if others had access to it, make a new key")));
            }
        }
        let digits = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default().trim();
        let mut key = Zeroizing::new([0; 32]);
        let pairs = digits.as_bytes().chunks_exact(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        let n = key.iter_mut().zip(pairs).map_while(|(byte, found)| found.map(|found| *byte = found)).count();
        if n != 32 || digits.len() != 64 {
            // Not a word of what it holds: it may be half a key.
            return Err(Error::input(place, "it holds no pairing key")
                .legal("a line of 64 hexadecimal digits")
                .hint("`efference pair FILE` makes a key"));
        }
        Ok(PairingKey(key))
    }

    /// Writes it to a new file that only its owner reads.
    ///
    /// # Errors
    /// If something stands there already, or the folder can't be written to.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Error::output(path.display().to_string(), "something stands there already")
                    .legal("a new file: a key never replaces one")
                    .hint("another name")
            }
            _ => Error::unwritable(path, &error),
        })?;
        let mut text =
            Zeroizing::new(format!("# Pairing key {} of efference. Keep it secret.\n", self.fingerprint()));
        for byte in self.0.iter() {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        text.push('\n');
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| Error::unwritable(path, &error))
    }

    /// The bytes, for the link's own use.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What two people compare to see that they have the same key: the first 4 bytes of its SHA-256, in hex.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(*self.0);
        hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for PairingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairingKey({})", self.fingerprint())
    }
}

/// 32 bytes of the system's randomness.
///
/// # Errors
/// If the system has none to give.
pub fn entropy() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        bytes.zeroize();
        Error::output("the system's randomness", format!("it can't be had ({error})"))
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        let key = PairingKey::new().expect("randomness");
        key.save(&path).expect("written");
        assert_eq!(PairingKey::load(&path).expect("read").bytes(), key.bytes());
        assert!(key.save(&path).expect_err("there already").to_string().contains("never replaces"));
        let text = std::fs::read_to_string(&path).expect("there");
        let digits = text.lines().nth(1).expect("a second line");
        assert!(digits.len() == 64 && !format!("{key:?}").contains(&digits[..16]));
        assert_ne!(PairingKey::new().expect("randomness").bytes(), key.bytes());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_no_key_is_refused_without_showing_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        for text in ["", "secret", &"a".repeat(63), &"g".repeat(64), &"ab".repeat(33), "# only\n"] {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("changed");
            let message = PairingKey::load(&path).expect_err("refused").to_string();
            assert!(message.contains("no pairing key") && !message.contains("secret"), "{message}");
        }
        std::fs::write(&path, "ab".repeat(32)).expect("written");
        assert!(PairingKey::load(&path).is_ok());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("changed");
        assert!(PairingKey::load(&path).expect_err("refused").to_string().contains("chmod 600"));
    }
}
