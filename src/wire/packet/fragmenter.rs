//! Cuts a datagram into packets.
//!
//! In: a datagram, the MTU. Out: its packets, one at a time. Guarantees: each packet has at most the MTU's bytes.

use super::{DATAGRAM_MAX, FRAGMENT_HEAD, FRAGMENTED, FRAGMENTS_MAX, Kind, MORE, legal_mtu};

/// One datagram on its way out.
#[derive(Debug)]
pub struct Fragmenter {
    bytes: [u8; DATAGRAM_MAX],
    /// Bytes of the datagram, and how many of them are gone.
    n_bytes: usize,
    n_sent: usize,
    kind: Kind,
    /// Counts fragmented datagrams.
    tag: u8,
    /// Fragments sent, and how long they are; 0 before the first.
    index: usize,
    part_length: usize,
    n_given_up: u32,
}

impl Fragmenter {
    /// Nothing to send.
    #[must_use]
    pub const fn new() -> Self {
        Fragmenter {
            bytes: [0; DATAGRAM_MAX],
            n_bytes: 0,
            n_sent: 0,
            kind: Kind::Sealed,
            tag: 0,
            index: 0,
            part_length: 0,
            n_given_up: 0,
        }
    }

    /// All packets of the datagram before are out.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.n_sent == self.n_bytes
    }

    /// Datagrams that were given up because the MTU became too small for them on their way out.
    #[must_use]
    pub const fn n_given_up(&self) -> u32 {
        self.n_given_up
    }

    /// Where the next datagram is written.
    pub(crate) const fn buffer(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.bytes
    }

    /// The first `n_bytes` of the buffer are a datagram.
    pub(crate) const fn send(&mut self, kind: Kind, n_bytes: usize) {
        self.kind = kind;
        self.n_bytes = if n_bytes > DATAGRAM_MAX { DATAGRAM_MAX } else { n_bytes };
        (self.n_sent, self.index, self.part_length) = (0, 0, 0);
    }

    /// Takes a datagram, at most [`DATAGRAM_MAX`] bytes; gives up what was on its way.
    ///
    /// # Errors
    /// Gives back the number of bytes that is allowed where it is longer.
    pub fn load(&mut self, kind: Kind, datagram: &[u8]) -> Result<(), usize> {
        let place = self.bytes.get_mut(..datagram.len()).ok_or(DATAGRAM_MAX)?;
        place.copy_from_slice(datagram);
        self.send(kind, datagram.len());
        Ok(())
    }

    /// Writes the next packet, of at most `mtu` bytes (see [`legal_mtu`]) and of `packet`; how many it has, or `None`
    /// when there is nothing to send.
    pub fn poll(&mut self, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        if self.is_idle() {
            return None;
        }
        let mtu = legal_mtu(mtu).min(packet.len());
        let left = &self.bytes[self.n_sent..self.n_bytes];
        if self.part_length == 0 && left.len() < mtu {
            packet[0] = self.kind.head();
            packet[1..=left.len()].copy_from_slice(left);
            self.n_sent = self.n_bytes;
            return Some(1 + left.len());
        }
        if self.part_length == 0 {
            self.part_length = mtu.saturating_sub(FRAGMENT_HEAD);
        }
        let part = left.len().min(self.part_length);
        // All of it, or nothing: half a datagram is of no use.
        if self.part_length * FRAGMENTS_MAX < self.n_bytes || part + FRAGMENT_HEAD > mtu {
            self.n_given_up = self.n_given_up.wrapping_add(1);
            self.finish();
            return None;
        }
        let more = if part < left.len() { MORE } else { 0 };
        packet[..FRAGMENT_HEAD].copy_from_slice(&[
            self.kind.head() | FRAGMENTED | more,
            self.tag,
            self.index as u8,
        ]);
        packet[FRAGMENT_HEAD..FRAGMENT_HEAD + part].copy_from_slice(&left[..part]);
        self.n_sent += part;
        self.index += 1;
        if self.is_idle() {
            self.finish();
        }
        Some(FRAGMENT_HEAD + part)
    }

    /// The tag is used up.
    fn finish(&mut self) {
        self.n_sent = self.n_bytes;
        self.tag = self.tag.wrapping_add(1);
    }
}

impl Default for Fragmenter {
    fn default() -> Self {
        Fragmenter::new()
    }
}
