//! Which channels had events, as a set that costs by its members.
//!
//! In: channels in any order. Out: the same in ascending order, each once, so that whatever is summed over them doesn't
//! depend on how the stream was cut. All memory is taken when it is built. Adding costs two bits; going through or
//! clearing costs 16 words and what was added, however many channels there are.

use crate::block::CHANNELS_MAX;

/// A set of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Of every 64 channels, a bit each.
    of_channels: Vec<u64>,
    /// Of every 64 of those words, a bit for each that isn't 0.
    of_words: Vec<u64>,
}

impl Touched {
    /// Nothing yet, of `n_channels`.
    pub fn new(n_channels: usize) -> Self {
        let n_words = n_channels.div_ceil(64);
        Touched { of_channels: vec![0; n_words], of_words: vec![0; n_words.div_ceil(64)] }
    }

    /// Adds a channel, if it isn't there.
    ///
    /// # Panics
    /// If there is no such channel.
    #[inline]
    pub fn insert(&mut self, channel: usize) {
        let word = channel / 64;
        self.of_channels[word] |= 1 << (channel % 64);
        self.of_words[word / 64] |= 1 << (word % 64);
    }

    /// The channels, ascending.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        ones(&self.of_words).flat_map(|word| bits(self.of_channels[word]).map(move |bit| word * 64 + bit))
    }

    /// Becomes empty.
    pub fn clear(&mut self) {
        let Touched { of_channels, of_words } = self;
        ones(of_words).for_each(|word| of_channels[word] = 0);
        of_words.fill(0);
    }

    /// How many channels there are.
    pub fn len(&self) -> usize {
        ones(&self.of_words).map(|word| self.of_channels[word].count_ones() as usize).sum()
    }

    /// No channel.
    pub fn is_empty(&self) -> bool {
        self.of_words.iter().all(|&word| word == 0)
    }
}

/// The places of the bits that are set in a row of words, ascending.
#[inline]
pub(super) fn ones(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(word, &set)| bits(set).map(move |bit| word * 64 + bit))
}

/// The places of the bits that are set, ascending.
#[inline]
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            bit
        })
    })
}

/// Two levels leave 16 words to look through.
const _: () = assert!(CHANNELS_MAX <= 16 * 64 * 64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_set(n_channels in 1usize..20_000, rounds in prop::collection::vec(
            prop::collection::vec(any::<prop::sample::Index>(), 0..300), 1..4
        )) {
            let mut touched = Touched::new(n_channels);
            for round in rounds {
                let channels: BTreeSet<usize> = round.iter().map(|at| at.index(n_channels)).collect();
                round.iter().for_each(|at| touched.insert(at.index(n_channels)));
                prop_assert_eq!(touched.iter().collect::<Vec<_>>(), channels.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((touched.len(), touched.is_empty()), (channels.len(), channels.is_empty()));
                touched.clear();
                prop_assert!(touched == Touched::new(n_channels), "nothing is left");
            }
        }
    }
}
