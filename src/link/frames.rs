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
mod tests;
