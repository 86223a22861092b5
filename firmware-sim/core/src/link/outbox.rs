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

/// What became of a [`Outbox::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes that were added.
    pub n_bytes: usize,
    /// They begin a datagram.
    pub is_new: bool,
    /// Bins that had to make room.
    pub n_lost: u32,
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

    /// As many wait as half of what there is room for.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        2 * self.n >= self.n_slots
    }

    /// Bytes that wait.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Adds what `write` puts into the bytes that it gets: so many bytes of so many bins. It is asked first what it puts
    /// into what the newest datagram, of at most `room` bytes, has left, then what it puts into a new one; nothing is
    /// added where it puts nothing.
    pub fn push(&mut self, room: usize, mut write: impl FnMut(&mut [u8]) -> (usize, u8)) -> Pushed {
        let mut pushed = Pushed { n_bytes: 0, is_new: false, n_lost: 0 };
        if self.n_slots == 0 {
            return pushed;
        }
        let room = room.min(SLOT - HEAD);
        if self.n > 0 {
            let at = (self.first + self.n - 1) % self.n_slots * SLOT;
            let held = usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]));
            if held + REST_MIN <= room {
                let (n, n_bins) = write(&mut self.bytes[at + HEAD + held..at + HEAD + room]);
                if n > 0 {
                    pushed.n_bytes = n.min(room - held);
                    self.bytes[at..at + 2].copy_from_slice(&((held + pushed.n_bytes) as u16).to_le_bytes());
                    self.bytes[at + 2] = self.bytes[at + 2].saturating_add(n_bins);
                    self.n_bytes += pushed.n_bytes;
                    return pushed;
                }
            }
        }
        if self.n == self.n_slots {
            pushed.n_lost = u32::from(self.drop_first());
        }
        let at = (self.first + self.n) % self.n_slots * SLOT;
        let (n, n_bins) = write(&mut self.bytes[at + HEAD..at + HEAD + room]);
        if n > 0 {
            (pushed.n_bytes, pushed.is_new) = (n.min(room), true);
            self.bytes[at..at + 2].copy_from_slice(&(pushed.n_bytes as u16).to_le_bytes());
            self.bytes[at + 2] = n_bins;
            self.n += 1;
            self.n_bytes += pushed.n_bytes;
        }
        pushed
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
/// What less is left of a datagram isn't worth a record's head.
const REST_MIN: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_what_made_room_is_counted() {
        let mut memory = [0; 4 * SLOT + 100];
        let mut outbox = Outbox::new(&mut memory);
        let mut n_lost = 0;
        for k in 0..10u8 {
            // Too much for two in one datagram.
            let pushed = outbox.push(SLOT, |out| {
                let n = 300 + usize::from(k);
                if out.len() < n {
                    return (0, 0);
                }
                out[..n].fill(k);
                (n, 2)
            });
            assert!(pushed.is_new && pushed.n_bytes == 300 + usize::from(k));
            n_lost += pushed.n_lost;
        }
        assert_eq!((outbox.len(), n_lost, outbox.n_bytes()), (4, 12, 4 * 300 + 6 + 7 + 8 + 9));
        for k in 6..10u8 {
            assert_eq!(outbox.first().map(|held| (held.len(), held[0])), Some((300 + usize::from(k), k)));
            assert_eq!(outbox.drop_first(), 2);
        }
        assert!(outbox.is_empty() && outbox.first().is_none() && outbox.n_bytes() == 0);
        assert_eq!(outbox.push(100, |out| (out.len() - 100, 0)).n_bytes, 0);
        assert!(outbox.is_empty(), "nothing was written");
    }

    #[test]
    fn small_records_share_a_datagram() {
        let mut memory = [0; 2 * SLOT];
        let mut outbox = Outbox::new(&mut memory);
        for k in 0..6u8 {
            let pushed = outbox.push(200, |out| {
                out[..40].fill(k);
                (40, 1)
            });
            assert_eq!((pushed.is_new, pushed.n_bytes, pushed.n_lost), (k % 4 == 0, 40, 0), "{k}");
        }
        assert_eq!((outbox.len(), outbox.n_bytes()), (2, 240));
        assert_eq!(outbox.first().map(|held| (held.len(), held[0], held[159])), Some((160, 0, 3)));
        assert_eq!((outbox.drop_first(), outbox.drop_first()), (4, 2));
    }
}
