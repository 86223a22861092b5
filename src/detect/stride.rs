//! Every so-and-so-many-th frame of a stream, by number.
//!
//! In: a rate, and where a block starts. Out: which of the block's frames have a number that is a multiple of the
//! stride. Guarantee: the same frames however the stream is cut, since numbers count from the stream's start.

use crate::time::{SampleIndex, SampleRate};

/// Frames whose number is a multiple of a whole number of at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stride(u64);

impl Stride {
    /// The stride that comes nearest to `looks_hz` frames a second; 1 where the stream has no more than that.
    ///
    /// ```
    /// use efference::{SampleRate, SampleIndex, detect::Stride};
    /// let stride = Stride::nearest(SampleRate::new(30_000.0, "doc").unwrap(), 1_000.0);
    /// assert_eq!(stride.frames(), 30);
    /// assert_eq!(stride.within(SampleIndex(50), 64).collect::<Vec<_>>(), [10, 40]);
    /// ```
    pub fn nearest(rate: SampleRate, looks_hz: f64) -> Self {
        Stride(((rate.hz() / looks_hz).round() as u64).max(1))
    }

    /// Frames from one to the next.
    pub fn frames(self) -> u64 {
        self.0
    }

    /// How often a second that is.
    pub fn looks_hz(self, rate: SampleRate) -> f64 {
        rate.hz() / self.0 as f64
    }

    /// Their places in a block of `n_frames` whose first frame has the number `first`.
    pub fn within(self, first: SampleIndex, n_frames: usize) -> impl Iterator<Item = usize> {
        let ahead = first.0.next_multiple_of(self.0) - first.0;
        // A stride that reaches past the block leaves it out.
        let from = usize::try_from(ahead).map_or(n_frames, |ahead| ahead.min(n_frames));
        (from..n_frames).step_by(usize::try_from(self.0).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_has_the_same_frames() {
        let rate = SampleRate::new(19_531.0, "test").expect("a legal rate");
        for stride in [1.0, 900.0, 1_000.0, 19_531.0, 1e9].map(|hz| Stride::nearest(rate, hz)) {
            for length in [1, 7, 20, 64] {
                let starts = (1_000_000_u64..1_050_000).step_by(length);
                let found: Vec<u64> = starts
                    .flat_map(|first| {
                        stride.within(SampleIndex(first), length).map(move |at| first + at as u64)
                    })
                    .filter(|at| *at < 1_050_000)
                    .collect();
                let all: Vec<u64> = (1_000_000..1_050_000).filter(|at| at % stride.frames() == 0).collect();
                assert_eq!(found, all);
            }
        }
    }
}
