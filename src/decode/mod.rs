//! Features to intents: normaliser, history, and one linear decoder, all fitted beforehand by `train`.
//!
//! In: one [`Bin`] after another. Out: one [`Intent`] per bin. Every decoder of this crate runs as the same
//! recurrence (see [`LinearDecoder`]); what differs is how it was fitted. For streams of crossings it is computed event
//! by event, at a cost of events × lags × states.

pub mod click;
pub mod electrodes;
mod full_gain;
pub mod keeper;
mod linear;
mod normaliser;
mod recent;
mod recursive;
pub mod shadow;
mod sparse;

pub use full_gain::FullGain;
pub use linear::{LinearDecoder, Output, Weights};
pub use normaliser::Normaliser;
pub use recursive::RecursiveLeastSquares;

use crate::binning::Bin;
use crate::intents::{AXES_MAX, Intent};
use recent::Recent;
use sparse::SparseReadout;

/// Normaliser and decoder as they were trained together, with their state.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    normaliser: Normaliser,
    linear: LinearDecoder,
    recent: Recent,
    /// For streams of crossings.
    sparse: Option<SparseReadout>,
}

impl Decoder {
    /// Puts the two together.
    ///
    /// # Panics
    /// If they are not of the same number of features.
    pub fn new(normaliser: Normaliser, linear: LinearDecoder) -> Self {
        assert_eq!(normaliser.n_features(), linear.n_features(), "normaliser and decoder fit each other");
        let recent = Recent::new(linear.n_features());
        Decoder { normaliser, linear, recent, sparse: None }
    }

    /// The same at rest, for bins of a stream of crossings: what it says differs by rounding alone, and what it costs
    /// depends on the channels that a bin touched, not on how many there are.
    #[must_use]
    pub fn for_crossings(mut self) -> Self {
        self.reset();
        if self.sparse.is_none() {
            self.sparse = Some(SparseReadout::of(&self.normaliser, &self.linear));
        }
        self
    }

    /// Decodes the next bin. What is unknown, single features or all of a bin of which nothing came, counts as its
    /// recent mean, which fades to the mean of training.
    pub fn decode(&mut self, bin: &Bin) -> Intent {
        if bin.starts_segment {
            self.reset();
        }
        let intent = |action| Intent::new(bin.index, bin.end, bin.lost_frames, action);
        if let Some(sparse) = &mut self.sparse {
            sparse.push(bin, &self.normaliser);
            return intent(self.linear.advance(|inputs| sparse.take(inputs)));
        }
        let features = self.linear.push();
        if bin.received_frames == 0 {
            self.recent.fill_all(features);
        } else {
            self.normaliser.apply(&bin.features, features);
            for channel in bin.unknown_channels() {
                // Behind the counts of all channels stands the power of each.
                for feature in (channel..features.len()).step_by(bin.n_channels) {
                    features[feature] = self.recent.fill(feature);
                }
            }
            self.recent.follow(features);
        }
        intent(self.linear.step())
    }

    /// Does what the next [`Decoder::decode`] can do without its bin, while there is time. Changes no result.
    pub fn prepare(&mut self) {
        if self.sparse.is_none() {
            self.linear.prepare();
        }
    }

    /// Becomes `prepared` and goes on where this one stands, so that the cursor doesn't jump: the state is kept, and bins so
    /// far count with the weights that they were heard with. `prepared` becomes what this one was. Takes no memory; false,
    /// and nothing happens, where the two have other lags, states or features.
    ///
    /// Called between two bins it is a function of the bins alone: a replay that calls it behind the same bin says the same.
    pub fn take_over(&mut self, prepared: &mut Decoder) -> bool {
        let alike = self.is_alike(prepared);
        if alike {
            std::mem::swap(self, prepared);
            self.linear.continue_from(&mut prepared.linear);
            std::mem::swap(&mut self.recent, &mut prepared.recent);
            if let (Some(own), Some(before)) = (&mut self.sparse, &mut prepared.sparse) {
                own.continue_from(before);
            }
        }
        alike
    }

    /// Whether the one can take over from the other.
    pub(crate) fn is_alike(&self, other: &Decoder) -> bool {
        self.linear.is_alike(&other.linear) && self.sparse.is_some() == other.sparse.is_some()
    }

    /// Tells a decoder whose position is a state and an output where the cursor was at the end of the last bin, where something
    /// else than the decoder has moved it; others take no notice.
    pub fn place_cursor(&mut self, position: [f64; AXES_MAX]) {
        self.linear.place_cursor(position);
    }

    /// The same decoder at rest with other weights; `None` where they don't fit.
    pub fn with_weights(&self, weights: Weights) -> Option<Self> {
        let linear = LinearDecoder::new(weights, self.linear.output().clone())?;
        let fits = linear.n_features() == self.linear.n_features();
        let decoder = fits.then(|| Decoder::new(self.normaliser.clone(), linear))?;
        Some(if self.sparse.is_some() { decoder.for_crossings() } else { decoder })
    }

    /// The same decoder at rest with other weights, whose gain is carried from bin to bin; `None` where they don't fit.
    pub fn with_full_gain(&self, weights: Weights, gain: FullGain) -> Option<Self> {
        let decoder = self.with_weights(weights)?;
        Some(Decoder { linear: decoder.linear.with_full_gain(gain)?, ..decoder })
    }

    /// Forgets all bins.
    pub fn reset(&mut self) {
        self.linear.reset();
        self.recent.reset();
        if let Some(sparse) = &mut self.sparse {
            sparse.reset();
        }
    }

    /// The normaliser.
    pub fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    /// The decoder.
    pub fn linear(&self) -> &LinearDecoder {
        &self.linear
    }
}

#[cfg(test)]
mod tests;
