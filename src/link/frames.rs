//! Brings bins of whatever width the device sends to frames of the width that a model wants.
//!
//! In: bins and gaps, in order. Out: [`Frame`]s of counts (or of power) on a grid of frames that never moves back.
//! Guarantees: frames come in order, each once; nothing is made up: a frame of which a bin is missing is not given, and a
//! channel of which a part is unknown is unknown. Takes no memory after it is built.
//!
//! Narrower bins are summed, `n` to a frame. Wider ones stand for `n` frames, each with an `n`-th of the count: the
//! frame says so by [`Frame::spread`]. Other widths are refused.
//!
//! Where bins begin off the grid (after a restart of the device, or a change of width within a frame), the grid moves by
//! less than a frame, and each move is measured from where the grid was first: moves don't add up.

use super::{Bin, Gap};
use crate::block::COUNT_UNKNOWN;
use crate::error::Error;
use crate::wire::Mode;

/// One frame, or several alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number on the grid of frames, 0 for the first.
    pub index: u64,
    /// Frames between the one before and this one that won't come.
    pub n_lost: u64,
    /// So many frames with the same values, from `index` on.
    pub n_frames: u32,
    /// A value a channel; [`COUNT_UNKNOWN`] where it is not known.
    pub values: &'a [u16],
    /// The values are sums over so many frames, 1 for values of a frame's own.
    pub spread: u16,
    /// Some values are [`COUNT_UNKNOWN`].
    pub has_unknown: bool,
}

/// How bins become frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ratio {
    /// So many bins are a frame.
    Sum(u32),
    /// A bin is so many frames.
    Spread(u32),
}

/// Frames from bins.
#[derive(Clone, Debug)]
pub struct Resampler {
    frame_samples: u32,
    /// Where the grid began, and how far it is moved now.
    origin: Option<u64>,
    shift: i64,
    /// One past the last that was given.
    given: u64,
    /// The frame that is being summed, and which of its bins have come.
    sums: Vec<u16>,
    open: Option<u64>,
    n_parts: u32,
    has_unknown: bool,
    n_moved: u64,
    n_refused: u64,
}

impl Resampler {
    /// Frames of `frame_samples` samples of `n_channels` channels.
    ///
    /// # Panics
    /// If a frame has no sample.
    pub fn new(frame_samples: u32, n_channels: usize) -> Self {
        assert!(frame_samples > 0, "a frame of no samples; legal: 1 or more");
        Resampler {
            frame_samples,
            origin: None,
            shift: 0,
            given: 0,
            sums: vec![0; n_channels],
            open: None,
            n_parts: 0,
            has_unknown: false,
            n_moved: 0,
            n_refused: 0,
        }
    }

    /// Whether bins of `bin_samples` can become frames.
    ///
    /// # Errors
    /// If neither is a whole multiple of the other, or the one has more than [`RATIO_MAX`] times the other; with the
    /// widths that would do.
    pub fn accepts(&self, bin_samples: u32, mode: Mode) -> Result<(), Error> {
        let Some(ratio) = self.ratio(bin_samples) else {
            let of =
                |n: u32| self.frame_samples.is_multiple_of(n).then(|| (self.frame_samples / n).to_string());
            let narrower: Vec<String> = (2..=5).rev().filter_map(of).collect();
            let wider: Vec<String> =
                (1..=4).map(|n| u64::from(self.frame_samples) * n).map(|width| width.to_string()).collect();
            let legal = [narrower, wider].concat().join(", ");
            return Err(Error::model(
                "link",
                format!("bins of {bin_samples} samples, where the model wants {}", self.frame_samples),
            )
            .field("bin_width_ms")
            .legal(format!(
                "a whole part of it or a whole multiple, up to {RATIO_MAX}: {legal} samples and so on"
            ))
            .hint("a budget that carries such a width, or a model trained with this one"));
        };
        match (ratio, mode) {
            (Ratio::Sum(1) | Ratio::Spread(1), _) => Ok(()),
            _ if is_counted(mode) => Ok(()),
            // A mean of logarithms is not the logarithm of the mean.
            _ => Err(Error::model("link", format!("power in bins of {bin_samples} samples"))
                .field("bin_width_ms")
                .legal(format!("{} samples: power is not summed or spread", self.frame_samples))),
        }
    }

    /// Takes the next bin; `give` gets the frames that are complete with it. A bin whose width is refused is counted and
    /// becomes lost frames.
    ///
    /// # Panics
    /// If it has another number of channels than the frames.
    pub fn bin(&mut self, bin: &Bin<'_>, mut give: impl FnMut(Frame<'_>)) {
        assert_eq!(bin.values.len(), self.sums.len(), "as many channels as the frames have");
        if self.accepts_quietly(bin.width_samples, bin.mode).is_none() {
            self.n_refused += 1;
            self.drop_open();
            return;
        }
        match self.ratio(bin.width_samples) {
            Some(Ratio::Sum(n)) if n > 1 => self.sum(bin, n, &mut give),
            Some(Ratio::Sum(n) | Ratio::Spread(n)) => self.spread(bin, n, &mut give),
            None => {}
        }
    }

    /// Bins won't come: what was being summed is given up. The frames that are lost stand in the next frame.
    pub fn gap(&mut self, _gap: &Gap) {
        self.drop_open();
    }

    /// How often the grid was moved by a part of a frame.
    pub fn n_moved(&self) -> u64 {
        self.n_moved
    }

    /// Bins that were refused for their width.
    pub fn n_refused(&self) -> u64 {
        self.n_refused
    }

    /// Channels of a frame.
    pub fn n_channels(&self) -> usize {
        self.sums.len()
    }

    /// One past the last frame that was given.
    pub fn end(&self) -> u64 {
        self.given
    }

    fn accepts_quietly(&self, bin_samples: u32, mode: Mode) -> Option<()> {
        match (self.ratio(bin_samples)?, mode) {
            (Ratio::Sum(1) | Ratio::Spread(1), _) => Some(()),
            _ => is_counted(mode).then_some(()),
        }
    }

    fn ratio(&self, bin_samples: u32) -> Option<Ratio> {
        let frame = self.frame_samples;
        let ratio = match bin_samples {
            0 => return None,
            bin if frame.is_multiple_of(bin) => Ratio::Sum(frame / bin),
            bin if bin.is_multiple_of(frame) => Ratio::Spread(bin / frame),
            _ => return None,
        };
        let (Ratio::Sum(n) | Ratio::Spread(n)) = ratio;
        (n <= RATIO_MAX).then_some(ratio)
    }

    fn sum(&mut self, bin: &Bin<'_>, n: u32, give: &mut impl FnMut(Frame<'_>)) {
        let (index, part) = self.place(bin.first_sample.0, bin.width_samples);
        if self.open != Some(index) || part != self.n_parts {
            self.drop_open();
            if part > 0 {
                // The frame began before what is known of it.
                return;
            }
            self.open = Some(index);
            self.sums.fill(0);
            self.has_unknown = false;
        }
        for (sum, &value) in self.sums.iter_mut().zip(bin.values) {
            *sum = match (*sum, value) {
                (COUNT_UNKNOWN, _) | (_, COUNT_UNKNOWN) => COUNT_UNKNOWN,
                // The highest that is no unknown.
                (sum, value) => sum.saturating_add(value).min(COUNT_UNKNOWN - 1),
            };
        }
        self.has_unknown |= bin.n_unknown > 0;
        self.n_parts += 1;
        if self.n_parts == n {
            let n_lost = index - self.given;
            let (values, has_unknown) = (&self.sums[..], self.has_unknown);
            give(Frame { index, n_lost, n_frames: 1, values, spread: 1, has_unknown });
            self.advance(index, 1);
        }
    }

    fn spread(&mut self, bin: &Bin<'_>, n: u32, give: &mut impl FnMut(Frame<'_>)) {
        self.drop_open();
        let (index, _) = self.place(bin.first_sample.0, self.frame_samples);
        let n_lost = index - self.given;
        let (values, has_unknown) = (bin.values, bin.n_unknown > 0);
        give(Frame { index, n_lost, n_frames: n, values, spread: n as u16, has_unknown });
        self.advance(index, n);
    }

    /// The frame that holds the bin at position `start`, and which of the frame's bins it is. Bins begin on multiples of
    /// `step` from the grid, or the grid moves.
    fn place(&mut self, start: u64, step: u32) -> (u64, u32) {
        let origin = *self.origin.get_or_insert(start);
        let (frame, step) = (i64::from(self.frame_samples), i64::from(step));
        let since = start.saturating_sub(origin) as i64;
        if (since - self.shift).rem_euclid(step) != 0 {
            // Nearest to where the grid was first, but not upon a frame that is over.
            let ahead = since.rem_euclid(step);
            self.shift = if ahead * 2 < step { ahead } else { ahead - step };
            let behind = self.given as i64 * frame - (since - self.shift);
            self.shift -= behind.max(0);
            self.n_moved += 1;
            self.drop_open();
        }
        let at = (since - self.shift).max(self.given as i64 * frame);
        (at.div_euclid(frame) as u64, (at.rem_euclid(frame) / step) as u32)
    }

    fn advance(&mut self, index: u64, n_frames: u32) {
        self.given = index + u64::from(n_frames);
        self.drop_open();
    }

    fn drop_open(&mut self) {
        self.open = None;
        self.n_parts = 0;
    }
}

/// Values are crossings counted, which can be summed and spread.
fn is_counted(mode: Mode) -> bool {
    matches!(mode, Mode::Counts | Mode::Crossings | Mode::Snippets)
}

/// Bins of a frame, or frames of a bin, at most.
pub const RATIO_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::super::Cause;
    use super::*;
    use crate::time::{HostTime, SampleIndex};
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// What is counted in a span of samples: the same however it is cut.
    fn truth(channel: usize, from: u64, to: u64) -> u16 {
        (from..to).filter(|sample| (sample * 7 + channel as u64 * 3) % 11 < 2).count() as u16
    }

    fn bin(first: u64, width: u32, values: &[u16]) -> Bin<'_> {
        Bin {
            first_sample: SampleIndex(first),
            device_sample: first,
            width_samples: width,
            epoch: 0,
            number: 0,
            mode: Mode::Counts,
            values,
            n_unknown: values.iter().filter(|value| **value == COUNT_UNKNOWN).count(),
            is_whole: true,
            arrived_at: HostTime::default(),
        }
    }

    /// Gives bins of one channel; frames as (index, lost, frames, value, spread).
    fn frames(resampler: &mut Resampler, bins: &[(u64, u32, u16)]) -> Vec<(u64, u64, u32, u16, u16)> {
        let mut given = Vec::new();
        for &(first, width, value) in bins {
            resampler.bin(&bin(first, width, &[value]), |frame| {
                assert_eq!(frame.has_unknown, frame.values[0] == COUNT_UNKNOWN);
                given.push((frame.index, frame.n_lost, frame.n_frames, frame.values[0], frame.spread));
            });
        }
        given
    }

    #[test]
    fn narrower_bins_are_summed_and_wider_ones_spread() {
        let mut resampler = Resampler::new(400, 1);
        let unknown = COUNT_UNKNOWN;
        let given = frames(
            &mut resampler,
            &[
                (1000, 400, 5),
                (1400, 200, 1),
                (1600, 200, 2),
                (1800, 800, 6),
                (2600, 200, 1),
                (2800, 200, unknown),
            ],
        );
        let expected = [(0, 0, 1, 5, 1), (1, 0, 1, 3, 1), (2, 0, 2, 6, 2), (4, 0, 1, unknown, 1)];
        assert_eq!(given, expected);
        // Half a frame is none, and the sum stops short of what means unknown.
        let given = frames(
            &mut resampler,
            &[(3000, 200, 1), (3400, 200, 9), (3600, 200, 9), (3800, 200, 65_000), (4000, 200, 65_000)],
        );
        assert_eq!(given, [(6, 1, 1, 18, 1), (7, 0, 1, 65_534, 1)]);
        assert_eq!((resampler.n_moved(), resampler.end()), (0, 8));
    }

    #[test]
    fn the_grid_moves_by_less_than_a_frame_and_moves_dont_add_up() {
        let mut resampler = Resampler::new(400, 1);
        let mut at = 0;
        let mut last = 0;
        for turn in 0..200u64 {
            // A bin of 10 ms shifts all that follow by half a frame, again and again.
            for width in [200, 400, 400] {
                for (index, _, n_frames, ..) in frames(&mut resampler, &[(at, width, 1)]) {
                    assert!((index * 400).abs_diff(at) < 400, "frame {index} at {at}, turn {turn}");
                    assert!(index >= last);
                    last = index + u64::from(n_frames);
                }
                at += u64::from(width);
            }
        }
        assert!(resampler.n_moved() > 100 && last * 400 > at - 800);
    }

    #[test]
    fn a_grid_that_moves_loses_no_frame_that_came() {
        let mut resampler = Resampler::new(24, 1);
        let bins = [(0, 24, 1), (38, 24, 2), (63, 8, 1), (71, 8, 1), (79, 8, 1), (87, 24, 4)];
        let given = frames(&mut resampler, &bins);
        // The second is nearest to frame 2; the next three are a frame behind it.
        assert_eq!(given, [(0, 0, 1, 1, 1), (2, 1, 1, 2, 1), (3, 0, 1, 3, 1), (4, 0, 1, 4, 1)]);
    }

    #[test]
    fn other_widths_are_refused_with_those_that_would_do() {
        let mut resampler = Resampler::new(400, 1);
        for width in [400, 200, 100, 80, 800, 1200, 25_600] {
            assert!(resampler.accepts(width, Mode::Counts).is_ok(), "{width}");
        }
        for width in [0, 300, 600, 401, 26_000, 4] {
            let message = resampler.accepts(width, Mode::Counts).expect_err("refused").to_string();
            assert!(message.contains("100, 200, 400, 800"), "{message}");
        }
        let message = resampler.accepts(200, Mode::BandPower).expect_err("refused").to_string();
        assert!(message.contains("power is not summed"), "{message}");
        assert!(resampler.accepts(400, Mode::BandPower).is_ok());
        assert_eq!(frames(&mut resampler, &[(0, 400, 1), (400, 300, 1), (800, 400, 1)]).len(), 2);
        assert_eq!(resampler.n_refused(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn frames_hold_what_their_spans_hold(
            start in 0u64..1000,
            steps in prop::collection::vec((0usize..7, 0u64..5, 1u64..6), 1..60),
        ) {
            const FRAME: u32 = 24;
            let mut resampler = Resampler::new(FRAME, 2);
            let (mut at, mut end, mut origin) = (start, 0, None);
            let (mut n_given, mut n_whole) = (0u64, 0u64);
            for (width, gap, n_bins) in steps {
                let width = [24, 12, 8, 6, 48, 72, 20][width];
                if gap == 1 {
                    // Whole bins are lost.
                    let n_samples = u64::from(width) * n_bins;
                    let first_sample = SampleIndex(at);
                    resampler.gap(&Gap { first_sample, n_samples, n_bins, cause: Cause::Radio });
                    at += n_samples;
                }
                for _ in 0..n_bins {
                    let to = at + u64::from(width);
                    let values = [truth(0, at, to), truth(1, at, to)];
                    if resampler.accepts(width, Mode::Counts).is_ok() {
                        origin.get_or_insert(at);
                    }
                    let mut wrong = None;
                    resampler.bin(&bin(at, width, &values), |frame| {
                        let span = u64::from(FRAME * frame.n_frames);
                        let expected = [truth(0, to - span, to), truth(1, to - span, to)];
                        let place = origin.unwrap_or(0) + frame.index * u64::from(FRAME);
                        let is_near = place.abs_diff(to - span) < u64::from(FRAME);
                        let is_next = frame.index == end + frame.n_lost;
                        end = frame.index + u64::from(frame.n_frames);
                        n_given += u64::from(frame.n_frames);
                        if frame.values != expected || !is_near || !is_next || frame.has_unknown {
                            wrong = Some(format!("{frame:?} at {place}, bin to {to}"));
                        }
                    });
                    prop_assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
                    n_whole += u64::from(width >= FRAME) * u64::from(width / FRAME);
                    at = to;
                }
            }
            prop_assert!(n_given >= n_whole, "bins that are whole frames are always given");
        }
    }
}
