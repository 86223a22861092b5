//! The outermost samples of a channel: whether it ever changes, and whether it is cut off.
//!
//! In: samples in order. Out: two words of yes or no. A recording doesn't say where its converter's rails
//! stand, but samples that were cut off pile up there: far more on the outermost value than on the next.

use super::Flag;
use crate::block::{Block, Payload};

/// The greatest value so far and the greatest below it, each with how often it came.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Peak {
    outermost: f32,
    n_outermost: u64,
    next: f32,
    n_next: u64,
}

/// The outermost samples of one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extremes {
    n_samples: u64,
    above: Peak,
    /// Of the samples' negatives.
    below: Peak,
}

impl Extremes {
    pub(super) fn new() -> Self {
        let empty = Peak { outermost: f32::NEG_INFINITY, n_outermost: 0, next: f32::NEG_INFINITY, n_next: 0 };
        Extremes { n_samples: 0, above: empty, below: empty }
    }

    /// Takes in a channel of the first `n_frames` frames of a block.
    pub(super) fn observe(&mut self, block: &Block, channel: usize, n_frames: usize, n_channels: usize) {
        match &block.payload {
            Payload::Int16(samples) => {
                column(samples, channel, n_frames, n_channels).for_each(|&x| self.add(f32::from(x)));
            }
            Payload::Float32(samples) => {
                column(samples, channel, n_frames, n_channels).for_each(|&x| self.add(x));
            }
            Payload::Counts(samples) => {
                column(samples, channel, n_frames, n_channels).for_each(|&x| self.add(f32::from(x)));
            }
        }
    }

    fn add(&mut self, sample: f32) {
        self.n_samples += 1;
        self.above.add(sample);
        self.below.add(-sample);
    }

    /// All samples are the same.
    pub(super) fn is_flat(&self) -> bool {
        self.above.n_outermost == self.n_samples
    }

    /// What they tell.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let flags = [(self.is_flat(), Flag::Flat), (self.is_clipped(), Flag::Clipped)];
        flags.into_iter().filter_map(|(is_so, flag)| is_so.then_some(flag)).collect()
    }

    /// Samples pile up at one end or the other.
    pub(super) fn is_clipped(&self) -> bool {
        !self.is_flat() && (self.above.piles_up(self.n_samples) || self.below.piles_up(self.n_samples))
    }
}

impl Peak {
    fn add(&mut self, value: f32) {
        // Most samples are neither, and one comparison says so.
        if value < self.next {
            return;
        }
        if value > self.outermost {
            (self.next, self.n_next) = (self.outermost, self.n_outermost);
            (self.outermost, self.n_outermost) = (value, 1);
        } else if value == self.outermost {
            self.n_outermost += 1;
        } else if value > self.next {
            (self.next, self.n_next) = (value, 1);
        } else {
            self.n_next += 1;
        }
    }

    fn piles_up(&self, n_samples: u64) -> bool {
        let n = self.n_outermost;
        n >= PILE_MIN
            && n as f64 >= PILE_SHARE_MIN * n_samples as f64
            && n >= PILE_OVER_NEXT_MIN * self.n_next
    }
}

fn column<T>(samples: &[T], channel: usize, n_frames: usize, n_channels: usize) -> impl Iterator<Item = &T> {
    samples[channel..].iter().step_by(n_channels).take(n_frames)
}

/// Fewer samples than this at one value may be chance.
const PILE_MIN: u64 = 8;
/// A ten thousandth of the samples: what is rarer does no harm.
const PILE_SHARE_MIN: f64 = 1e-4;
/// The top of a sine, the densest that isn't cut off, has 2.4 times the samples of the next value.
const PILE_OVER_NEXT_MIN: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, Normal};
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn of(samples: impl Iterator<Item = f32>) -> Extremes {
        let mut extremes = Extremes::new();
        samples.for_each(|sample| extremes.add(sample));
        extremes
    }

    #[test]
    fn what_is_cut_off_is_clipped_and_what_is_loud_is_not() {
        let sine =
            |amplitude: f64| (0..100_000).map(move |i| (amplitude * (f64::from(i) * 0.0157).sin()).round());
        assert!(!of(sine(500.0).map(|x| x as f32)).is_clipped());
        assert!(of(sine(600.0).map(|x| x.clamp(-512.0, 511.0) as f32)).is_clipped());
        assert!(of(sine(600.0).map(|x| x.max(-512.0) as f32)).is_clipped(), "at one end alone");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        for deviation in [0.7, 3.0, 40.0] {
            let normal = Normal::new(0.0_f64, deviation).expect("a deviation");
            let noise: Vec<f64> = (0..100_000).map(|_| normal.sample(&mut rng).round()).collect();
            assert!(!of(noise.iter().map(|&x| x as f32)).is_clipped(), "noise of {deviation} counts");
        }
        let normal = Normal::new(0.0_f64, 40.0).expect("a deviation");
        let held = of((0..100_000).map(|_| normal.sample(&mut rng).round().max(-80.0) as f32));
        assert!(held.is_clipped(), "noise that is cut off at twice its deviation");
    }

    #[test]
    fn what_never_changes_is_flat_and_not_clipped() {
        let flat = of(std::iter::repeat_n(-512.0, 1000));
        assert!(flat.is_flat() && !flat.is_clipped());
        assert!(!of([0.0, 0.0, 1.0].into_iter()).is_flat());
    }
}
