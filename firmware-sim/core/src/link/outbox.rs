//! Records on their way to the radio: a ring of datagrams in memory of the caller's.
//!
//! In: datagrams as they are written. Out: the oldest, when the radio has room. Guarantees: bounded; where the radio is
//! too slow the oldest data make room for the newest, and the bins that were in them are counted.

/// A ring of datagrams.
#[derive(Debug)]
pub struct Outbox<'a> {
    bytes: &'a mut [u8],
    /// Of the oldest.
    first: usize,
    n: usize,
    n_slots: usize,
    n_bytes: usize,
}

impl<'a> Outbox<'a> {
    /// In `bytes`, [`SLOT`] of them a datagram.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        let n_slots = bytes.len() / SLOT;
        Outbox { bytes, first: 0, n: 0, n_slots, n_bytes: 0 }
    }

    /// Datagrams that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// None waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Bytes that wait.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Adds what `write` puts into at most `room` bytes, which is so many bytes of so many bins. Gives how many bins
    /// had to make room. Nothing is added where `write` writes nothing.
    pub fn push(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> (usize, u8)) -> u32 {
        if self.n_slots == 0 {
            return 0;
        }
        let mut n_lost = 0;
        if self.n == self.n_slots {
            n_lost = u32::from(self.drop_first());
        }
        let at = (self.first + self.n) % self.n_slots * SLOT;
        let room = room.min(SLOT - HEAD);
        let (n, n_bins) = write(&mut self.bytes[at + HEAD..at + HEAD + room]);
        if n > 0 {
            let n = n.min(room);
            self.bytes[at..at + 2].copy_from_slice(&(n as u16).to_le_bytes());
            self.bytes[at + 2] = n_bins;
            self.n += 1;
            self.n_bytes += n;
        }
        n_lost
    }

    /// The oldest.
    #[must_use]
    pub fn first(&self) -> Option<&[u8]> {
        (self.n > 0).then(|| {
            let at = self.first * SLOT;
            &self.bytes[at + HEAD..at + HEAD + self.first_len()]
        })
    }

    /// Lets go of the oldest; the bins in it.
    pub fn drop_first(&mut self) -> u8 {
        if self.n == 0 {
            return 0;
        }
        let n_bins = self.bytes[self.first * SLOT + 2];
        self.n_bytes -= self.first_len();
        self.first = (self.first + 1) % self.n_slots;
        self.n -= 1;
        n_bins
    }

    /// Lets go of everything; the bins in it.
    pub fn clear(&mut self) -> u32 {
        let mut n_bins = 0;
        while !self.is_empty() {
            n_bins += u32::from(self.drop_first());
        }
        n_bins
    }

    fn first_len(&self) -> usize {
        let at = self.first * SLOT;
        usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }
}

/// Bytes of memory that a datagram takes.
pub const SLOT: usize = 512;
const HEAD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_what_made_room_is_counted() {
        let mut memory = [0; 4 * SLOT + 100];
        let mut outbox = Outbox::new(&mut memory);
        let mut n_lost = 0;
        for k in 0..10u8 {
            n_lost += outbox.push(SLOT, |out| {
                out[..usize::from(k) + 1].fill(k);
                (usize::from(k) + 1, 2)
            });
        }
        assert_eq!((outbox.len(), n_lost, outbox.n_bytes()), (4, 12, 7 + 8 + 9 + 10));
        for k in 6..10u8 {
            assert_eq!(outbox.first().map(|held| (held.len(), held[0])), Some((usize::from(k) + 1, k)));
            assert_eq!(outbox.drop_first(), 2);
        }
        assert!(outbox.is_empty() && outbox.first().is_none() && outbox.n_bytes() == 0);
        assert_eq!(outbox.push(10, |out| (out.len() - 10, 0)), 0);
        assert!(outbox.is_empty(), "nothing was written");
    }
}
