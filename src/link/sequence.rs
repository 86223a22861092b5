//! Which sequence numbers of a session have come.
//!
//! In: the number of each datagram that opened. Out: how many came, and whether one between two others is missing.
//! Guarantees: constant memory; what is older than [`WINDOW`] numbers counts as missing, since nobody can tell.

/// The numbers of one session.
#[derive(Clone, Debug)]
pub(crate) struct SequenceLog {
    bits: [u64; WINDOW as usize / 64],
    next: u32,
    n_received: u32,
}

impl SequenceLog {
    pub(crate) fn new() -> Self {
        SequenceLog { bits: [0; WINDOW as usize / 64], next: 0, n_received: 0 }
    }

    /// Enters a number that has not been before; whether it is the highest so far.
    pub(crate) fn enter(&mut self, sequence: u32) -> bool {
        self.n_received += 1;
        let is_newest = sequence >= self.next;
        if is_newest {
            // Places of the numbers that are passed over were used by older ones.
            let n_passed = (sequence - self.next).min(WINDOW - 1);
            for passed in sequence - n_passed..sequence {
                self.set(passed, false);
            }
            self.next = sequence.saturating_add(1);
        } else if self.next - sequence > WINDOW {
            return false;
        }
        self.set(sequence, true);
        is_newest
    }

    /// One past the highest number that came.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    pub(crate) fn n_received(&self) -> u32 {
        self.n_received
    }

    /// Whether one after `first` and before `last` has not come.
    pub(crate) fn has_missing(&self, first: u32, last: u32) -> bool {
        let mut between = first.saturating_add(1)..last;
        match between.start {
            _ if between.is_empty() => false,
            start if self.next - start.min(self.next) > WINDOW => true,
            _ => between.any(|number| number >= self.next || !self.is_set(number)),
        }
    }

    fn set(&mut self, sequence: u32, has_come: bool) {
        let at = sequence % WINDOW;
        let bit = 1 << (at % 64);
        match has_come {
            true => self.bits[at as usize / 64] |= bit,
            false => self.bits[at as usize / 64] &= !bit,
        }
    }

    fn is_set(&self, sequence: u32) -> bool {
        let at = sequence % WINDOW;
        self.bits[at as usize / 64] >> (at % 64) & 1 == 1
    }
}

/// Numbers that are remembered: some seconds of the busiest link.
const WINDOW: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_set_with_a_window(
            steps in prop::collection::vec((0u32..400, 0u32..40), 1..200),
            asked in prop::collection::vec((0u32..80_000, 0u32..300), 50),
        ) {
            let (mut log, mut slow, mut highest) = (SequenceLog::new(), BTreeSet::new(), 0);
            for (ahead, back) in steps {
                let number = (highest + ahead).saturating_sub(back);
                if slow.insert(number) {
                    let is_newest = slow.last() == Some(&number);
                    prop_assert_eq!(log.enter(number), is_newest);
                    highest = highest.max(number);
                }
            }
            prop_assert_eq!((log.n_received() as usize, log.next()), (slow.len(), highest + 1));
            for (first, length) in asked {
                let first = first % (highest + 1);
                let missing = (first + 1..first + length).any(|number| !slow.contains(&number));
                let is_old = highest + 1 - first > WINDOW;
                prop_assert_eq!(log.has_missing(first, first + length), missing || is_old && length > 1);
            }
        }
    }
}
