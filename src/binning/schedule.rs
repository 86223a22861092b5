//! The bin grid. In: a rate and a bin width. Out: the first frame of every bin.
//!
//! Edges come from the global bin number in whole numbers, so that no block size can shift them and no sum
//! of rounded widths can drift. Frame f belongs to bin ⌊f / (rate · width)⌋; where a bin isn't a whole
//! number of frames (20 ms at 19,531 Hz is 390.62), some bins hold one frame more.

use crate::error::Error;
use crate::time::{SampleIndex, SampleRate};

/// Which frames belong to which bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinSchedule {
    rate: SampleRate,
    width_us: u64,
}

impl BinSchedule {
    /// Bins of `width_ms`, rounded to a microsecond, over a stream of `rate`.
    ///
    /// # Errors
    /// If a bin would be shorter than one frame.
    pub fn new(rate: SampleRate, width_ms: f64) -> Result<Self, Error> {
        let width_us = (width_ms * 1e3).round() as u64;
        let schedule = BinSchedule { rate, width_us };
        if schedule.frames_scaled() < FRAME {
            return Err(Error::usage("bins", format!("{width_ms} ms"))
                .field("bins.width_ms")
                .legal(format!("at least one frame of the stream, {:.3} ms", 1e3 / rate.hz())));
        }
        Ok(schedule)
    }

    /// The first frame of bin `bin`.
    pub fn edge(&self, bin: u64) -> SampleIndex {
        let scaled = u128::from(bin) * self.frames_scaled();
        SampleIndex(scaled.div_ceil(FRAME) as u64)
    }

    /// The bin that frame `at` belongs to.
    pub fn bin_of(&self, at: SampleIndex) -> u64 {
        (u128::from(at.0) * FRAME / self.frames_scaled()) as u64
    }

    /// Bin width, ms.
    pub fn width_ms(&self) -> f64 {
        self.width_us as f64 / 1e3
    }

    /// Whole bins in a stream of `n_frames`.
    pub fn n_bins(&self, n_frames: u64) -> u64 {
        self.bin_of(SampleIndex(n_frames))
    }

    /// The rate of the stream that it cuts.
    pub fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    /// Frames of a bin times [`FRAME`]. Where the width (1/3 ms) or the rate (1/3 Hz) was rounded, a product
    /// that misses a whole number of frames by no more than that means the whole number.
    fn frames_scaled(&self) -> u128 {
        let (width, rate) = (u128::from(self.width_us), u128::from(self.rate.microhertz()));
        let scaled = width * rate;
        let whole = (scaled + FRAME / 2) / FRAME * FRAME;
        let rounding = (width + rate).div_ceil(2);
        if scaled.abs_diff(whole) <= rounding && whole > 0 { whole } else { scaled }
    }
}

/// Microseconds × microhertz that make one frame.
const FRAME: u128 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(hz: f64, width_ms: f64) -> BinSchedule {
        BinSchedule::new(SampleRate::new(hz, "test").expect("legal"), width_ms).expect("legal")
    }

    #[test]
    fn counts_of_50_ms_are_their_own_bins() {
        let bins = schedule(20.0, 50.0);
        assert_eq!((bins.edge(7), bins.n_bins(13_205)), (SampleIndex(7), 13_205));
    }

    #[test]
    fn a_bin_of_no_whole_number_of_frames_never_drifts() {
        let bins = schedule(19_531.0, 20.0);
        assert_eq!(bins.edge(1), SampleIndex(391));
        assert_eq!(bins.edge(50 * 3600), SampleIndex(19_531 * 3600));
    }

    #[test]
    fn a_width_rounded_to_a_microsecond_still_means_a_whole_frame() {
        let bins = schedule(3000.0, 1e3 / 3000.0);
        assert_eq!(bins.edge(3_000_000), SampleIndex(3_000_000));
    }

    #[test]
    fn shorter_than_a_frame_is_refused() {
        let rate = SampleRate::new(20.0, "test").expect("legal");
        assert!(BinSchedule::new(rate, 20.0).is_err());
        let rate = SampleRate::new(1000.0, "test").expect("legal");
        for (width, legal) in [(0.999, false), (0.9996, true), (1.0, true)] {
            assert_eq!(BinSchedule::new(rate, width).is_ok(), legal, "{width} ms");
        }
    }

    #[test]
    fn a_rate_of_a_third_of_a_hertz_has_bins_of_three_seconds() {
        let bins = schedule(1.0 / 3.0, 3000.0);
        assert_eq!(bins.edge(1_000_000), SampleIndex(1_000_000));
    }

    proptest! {
        #[test]
        fn every_frame_belongs_to_the_bin_between_its_edges(
            hz in 1.0f64..60_000.0, frames in 1.0f64..5000.0, at in 0u64..1 << 40
        ) {
            let bins = schedule(hz, frames * 1e3 / hz + 0.001);
            let bin = bins.bin_of(SampleIndex(at));
            prop_assert!(bins.edge(bin).0 <= at && at < bins.edge(bin + 1).0);
        }
    }
}
