//! Datagrams of a session: sealed by its two keys, or in the clear.
//!
//! In: records and a sequence number, or the bytes of a datagram. Out: the other. Guarantees: what opens was sealed by
//! the other end of this session, byte by byte, and opens once.

use super::checksum;
use super::endpoint::SealError;
use super::window::{Tally, Window};
use crate::packet::{DATAGRAM_MAX, Dropped, Kind};
use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Nonce, Tag};
use core::fmt;
use core::ops::Range;

/// One session's keys and numbers.
pub(crate) struct Transport {
    session: u8,
    cipher: Cipher,
    sent: u32,
    window: Window,
}

enum Cipher {
    Sealed { send: ChaCha20Poly1305, receive: ChaCha20Poly1305 },
    Plain,
}

impl Transport {
    /// With the keys that the handshake gave.
    pub(crate) fn sealed(session: u8, send: &[u8; 32], receive: &[u8; 32]) -> Self {
        let cipher = |key: &[u8; 32]| ChaCha20Poly1305::new(key.into());
        Transport::new(session, Cipher::Sealed { send: cipher(send), receive: cipher(receive) })
    }

    pub(crate) fn plain(session: u8) -> Self {
        Transport::new(session, Cipher::Plain)
    }

    fn new(session: u8, cipher: Cipher) -> Self {
        Transport { session, cipher, sent: 0, window: Window::new(session) }
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally { sent: self.sent, ..self.window.tally }
    }

    /// What its datagrams are.
    pub(crate) const fn kind(&self) -> Kind {
        match self.cipher {
            Cipher::Sealed { .. } => Kind::Sealed,
            Cipher::Plain => Kind::Plain,
        }
    }

    /// Writes a datagram; its length.
    pub(crate) fn seal(
        &mut self,
        records: &[u8],
        datagram: &mut [u8; DATAGRAM_MAX],
    ) -> Result<usize, SealError> {
        let (kind, end) = (self.kind(), HEAD + records.len());
        if end + tail(kind) > DATAGRAM_MAX {
            return Err(SealError::TooLong);
        }
        // The number after the last one would be the first again, and a nonce must not come twice.
        if self.sent == u32::MAX {
            return Err(SealError::Exhausted);
        }
        let sequence = self.sent;
        datagram[0] = self.session;
        datagram[1..HEAD].copy_from_slice(&sequence.to_le_bytes());
        datagram[HEAD..end].copy_from_slice(records);
        let length = match &self.cipher {
            Cipher::Plain => checksum::append(kind, datagram, end).ok_or(SealError::TooLong)?,
            Cipher::Sealed { send, .. } => {
                let text = &mut datagram[HEAD..end];
                let tag = send
                    .encrypt_in_place_detached(&nonce(sequence), &associated(self.session, sequence), text)
                    .map_err(|_| SealError::TooLong)?;
                datagram[end..end + TAG].copy_from_slice(&tag);
                end + TAG
            }
        };
        self.sent += 1;
        Ok(length)
    }

    /// Opens a datagram in place; where its records stand. It is left as it was where it does not open, so that
    /// another session can try.
    pub(crate) fn open(&mut self, datagram: &mut [u8]) -> Result<Range<usize>, Dropped> {
        let (session, sequence) = head(datagram).ok_or(Dropped::Truncated)?;
        if session != self.session {
            return Err(Dropped::WrongSession);
        }
        let end = datagram.len().checked_sub(tail(self.kind())).ok_or(Dropped::Truncated)?;
        if end < HEAD {
            return Err(Dropped::Truncated);
        }
        match &self.cipher {
            Cipher::Plain => _ = checksum::check(Kind::Plain, datagram).ok_or(Dropped::Damaged)?,
            Cipher::Sealed { receive, .. } => {
                let (text, tag) = datagram[HEAD..].split_at_mut(end - HEAD);
                let associated = associated(session, sequence);
                // This looks at the tag first and decrypts only what is authentic.
                receive
                    .decrypt_in_place_detached(&nonce(sequence), &associated, text, Tag::from_slice(tag))
                    .map_err(|_| Dropped::Forged)?;
            }
        }
        self.window.accept(sequence)?;
        Ok(HEAD..end)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Transport").field("kind", &self.kind()).field("tally", &self.tally()).finish()
    }
}

/// Session and sequence number.
fn head(datagram: &[u8]) -> Option<(u8, u32)> {
    let (session, rest) = datagram.split_first()?;
    Some((*session, u32::from_le_bytes(*rest.first_chunk()?)))
}

/// Bytes behind the records.
pub(crate) const fn tail(kind: Kind) -> usize {
    match kind {
        Kind::Plain => checksum::N_BYTES,
        _ => TAG,
    }
}

/// As Noise has it: four zero bytes, the number in 64 bits, little-endian.
fn nonce(sequence: u32) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..8].copy_from_slice(&sequence.to_le_bytes());
    nonce
}

/// What is authenticated though it is not encrypted.
fn associated(session: u8, sequence: u32) -> [u8; 6] {
    let [a, b, c, d] = sequence.to_le_bytes();
    [Kind::Sealed.head(), session, a, b, c, d]
}

/// Bytes before the records: session, sequence number.
pub(crate) const HEAD: usize = 5;
/// Bytes of a tag.
const TAG: usize = 16;
