//! Which sequence numbers came, and how many did not.
//!
//! In: sequence numbers of authentic datagrams, in any order. Out: whether each is new. Guarantees: none is new twice.

use crate::packet::Dropped;

/// What came of a session, for the ledger. `next_sequence = received + lost()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The host's number of the session.
    pub session: u8,
    /// Datagrams sealed for the other end.
    pub sent: u32,
    /// One past the highest sequence number that came: the other end sealed at least so many.
    pub next_sequence: u32,
    /// Datagrams that opened, each once.
    pub received: u32,
    /// Of those, the ones that came behind a higher one.
    pub reordered: u32,
    /// Authentic datagrams that came more than [`WINDOW`] behind; they count as lost.
    pub late: u32,
    /// Authentic datagrams that had come before.
    pub replayed: u32,
    /// Number of the datagram that opened last.
    pub last_sequence: u32,
}

impl Tally {
    /// Datagrams that were sealed before the newest one and have not come, or came too late. One that still comes
    /// within the window turns from lost to received.
    #[must_use]
    pub const fn lost(&self) -> u32 {
        self.next_sequence - self.received
    }
}

/// The last [`WINDOW`] sequence numbers.
#[derive(Debug)]
pub(crate) struct Window {
    /// Bit `s % WINDOW`: `s` came; for the numbers from `next_sequence − WINDOW` on.
    came: [u32; WORDS],
    pub(crate) tally: Tally,
}

impl Window {
    pub(crate) fn new(session: u8) -> Self {
        Window { came: [0; WORDS], tally: Tally { session, ..Tally::default() } }
    }

    /// Takes the number of an authentic datagram.
    pub(crate) fn accept(&mut self, sequence: u32) -> Result<(), Dropped> {
        let tally = &mut self.tally;
        let (word, bit) = (sequence % WINDOW / 32, 1 << (sequence % 32));
        if sequence >= tally.next_sequence {
            // Nobody seals the last number, so that one past it is a number too.
            if sequence == u32::MAX {
                return Err(Dropped::Replayed);
            }
            self.forget(sequence);
        } else if tally.next_sequence - sequence > WINDOW {
            tally.late = tally.late.wrapping_add(1);
            return Err(Dropped::Late);
        } else if self.came[word as usize] & bit != 0 {
            tally.replayed = tally.replayed.wrapping_add(1);
            return Err(Dropped::Replayed);
        } else {
            tally.reordered += 1;
        }
        self.came[word as usize] |= bit;
        self.tally.received += 1;
        self.tally.last_sequence = sequence;
        Ok(())
    }

    /// Makes room up to `sequence`: at most a whole window of steps.
    fn forget(&mut self, sequence: u32) {
        if sequence - self.tally.next_sequence >= WINDOW {
            self.came = [0; WORDS];
        } else {
            for passed in self.tally.next_sequence..=sequence {
                self.came[(passed % WINDOW / 32) as usize] &= !(1 << (passed % 32));
            }
        }
        self.tally.next_sequence = sequence + 1;
    }
}

/// A datagram may come so many sequence numbers behind the newest.
pub const WINDOW: u32 = 256;
const WORDS: usize = (WINDOW / 32) as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::config;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(config(300))]

        /// Against a set of all that ever came.
        #[test]
        fn nothing_is_new_twice(start in 0u32..1_000_000, steps in vec((-300i64..40, 0u32..60), 0..600)) {
            let mut window = Window::new(3);
            let mut came = BTreeSet::new();
            let (mut newest, mut n_late, mut n_replayed) = (None::<u32>, 0, 0);
            for (step, far) in steps {
                let jump = if far == 0 { step * 5 } else { step };
                let sequence = (i64::from(newest.unwrap_or(start)) + jump).max(0) as u32;
                let expected = match newest {
                    Some(newest) if sequence + WINDOW <= newest => Err(Dropped::Late),
                    _ if came.contains(&sequence) => Err(Dropped::Replayed),
                    _ => Ok(()),
                };
                prop_assert_eq!(window.accept(sequence), expected);
                match expected {
                    Ok(()) => {
                        came.insert(sequence);
                        prop_assert_eq!(window.tally.last_sequence, sequence);
                    }
                    Err(Dropped::Late) => n_late += 1,
                    Err(_) => n_replayed += 1,
                }
                newest = newest.max(Some(sequence));
            }
            let tally = window.tally;
            prop_assert_eq!(tally.received as usize, came.len());
            prop_assert_eq!(tally.next_sequence, newest.map_or(0, |newest| newest + 1));
            prop_assert_eq!((tally.late, tally.replayed, tally.session), (n_late, n_replayed, 3));
            prop_assert_eq!(tally.lost() as usize, tally.next_sequence as usize - came.len());
        }
    }

    #[test]
    fn the_last_number_is_never_taken() {
        let mut window = Window::new(0);
        assert_eq!(window.accept(u32::MAX - 1), Ok(()));
        assert_eq!(window.accept(u32::MAX), Err(Dropped::Replayed));
        assert_eq!(window.accept(0), Err(Dropped::Late));
        assert_eq!(window.tally.lost(), u32::MAX - 1);
    }
}
