//! The pairing key, and what is done without one.
//!
//! In: 32 bytes that both ends got when they were paired. Out: nothing but a fingerprint. Guarantees: the bytes are not
//! printed, and are overwritten when the key goes.

use core::fmt;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What two paired ends know and nobody else.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// Of bytes from a source of randomness, or from where they were kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Key(bytes)
    }

    /// Four bytes by which people compare keys: the first of the key's SHA-256.
    ///
    /// ```
    /// let key = efference_wire::session::Key::from_bytes([0; 32]);
    /// assert_eq!(key.fingerprint(), [0x66, 0x68, 0x7A, 0xAD]);
    /// assert_eq!(format!("{key:?}"), "Key(..)");
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 4] {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(self.0).into();
        [a, b, c, d]
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(..)")
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Key {}

/// How an end of the link is protected. Both ends must say the same.
#[derive(Clone, Debug)]
pub enum Access {
    /// Encrypted and authenticated with what the two were paired by.
    Paired(Key),
    /// In the clear, for everybody to read and to forge. Checksums alone, against damage.
    Plain,
}
