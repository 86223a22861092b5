//! Features to intents: normaliser, history, and one linear decoder, all fitted beforehand by `train`.
//!
//! In: one [`Bin`] after another. Out: one [`Intent`] per bin. Every decoder of this crate runs as the same
//! recurrence (see [`LinearDecoder`]); what differs is how it was fitted, and whether a [`Cascade`] stands behind it. For
//! streams of crossings it is computed event by event, at a cost of events × lags × states.

mod cascade;
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

pub use cascade::Cascade;
pub use click::{ClickRule, Clicker};
pub use full_gain::FullGain;
pub use linear::{LinearDecoder, Output, Weights};
pub use normaliser::Normaliser;
pub use recursive::RecursiveLeastSquares;

use crate::binning::Bin;
use crate::intents::{AXES_MAX, Action, Intent};
use recent::Recent;
use sparse::SparseReadout;

/// Normaliser and decoder as they were trained together, with their state.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    normaliser: Normaliser,
    linear: LinearDecoder,
    /// Behind the linear one, which then has a state for the activity.
    cascade: Option<Cascade>,
    recent: Recent,
    /// For streams of crossings.
    sparse: Option<SparseReadout>,
    /// What the same bins say of a button.
    click: Option<Box<Clicker>>,
    /// P(click) of the last bin while the button is to be held, else 0.
    click_probability: f32,
}

impl Decoder {
    /// Puts the two together.
    ///
    /// # Panics
    /// If they are not of the same number of features.
    pub fn new(normaliser: Normaliser, linear: LinearDecoder) -> Self {
        assert_eq!(normaliser.n_features(), linear.n_features(), "normaliser and decoder fit each other");
        let recent = Recent::new(linear.n_features());
        Decoder {
            normaliser,
            linear,
            cascade: None,
            recent,
            sparse: None,
            click: None,
            click_probability: 0.0,
        }
    }

    /// The same at rest, with a static nonlinearity behind the linear decoder, in place of one that it has; `None` where that
    /// isn't finite, or where the gain is carried from bin to bin.
    pub fn with_cascade(&self, cascade: Cascade) -> Option<Self> {
        let weights = match self.linear.full_gain() {
            Some(_) => None,
            None => cascade.is_finite().then(|| self.weights()),
        };
        Decoder { cascade: Some(cascade), ..self.clone() }.with_weights(weights?)
    }

    /// The static nonlinearity behind the linear decoder, where there is one.
    pub fn cascade(&self) -> Option<Cascade> {
        self.cascade
    }

    /// The same, with a button that the same bins press; `None` where the two are not of as many features.
    pub fn with_click(mut self, clicker: Clicker) -> Option<Self> {
        let fits = clicker.classes().normaliser().n_features() == self.normaliser.n_features();
        let clicker = if self.sparse.is_some() { clicker.for_crossings() } else { clicker };
        self.click = Some(Box::new(clicker));
        fits.then_some(self)
    }

    /// The button, where there is one.
    pub fn clicker(&self) -> Option<&Clicker> {
        self.click.as_deref()
    }

    /// P(click) of the bin that was decoded last while the button is to be held, 0 while it isn't; `None` of a decoder
    /// without a button.
    pub fn click(&self) -> Option<f32> {
        self.click.as_ref().map(|_| self.click_probability)
    }

    /// The same at rest, for bins of a stream of crossings: what it says differs by rounding alone, and what it costs
    /// depends on the channels that a bin touched, not on how many there are.
    #[must_use]
    pub fn for_crossings(mut self) -> Self {
        self.reset();
        if self.sparse.is_none() {
            self.sparse = Some(SparseReadout::of(&self.normaliser, &self.linear));
            self.click = self.click.map(|clicker| Box::new(clicker.for_crossings()));
        }
        self
    }

    /// Decodes the next bin. What is unknown, single features or all of a bin of which nothing came, counts as its
    /// recent mean, which fades to the mean of training.
    pub fn decode(&mut self, bin: &Bin) -> Intent {
        if bin.starts_segment {
            self.reset();
        }
        if let Some(clicker) = &mut self.click {
            self.click_probability = clicker.step(bin);
        }
        let intent = |action| Intent::new(bin.index, bin.end, bin.lost_frames, action);
        if let Some(sparse) = &mut self.sparse {
            sparse.push(bin, &self.normaliser);
            let action = self.linear.advance(|inputs| sparse.take(inputs));
            return intent(self.shaped(action));
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
        let action = self.linear.step();
        intent(self.shaped(action))
    }

    /// How active the population was in the bin that was decoded last and in those before, in deviations of its features; 0
    /// without a cascade.
    pub fn activity(&self) -> f64 {
        self.cascade.and_then(|_| self.linear.last_state()).unwrap_or_default()
    }

    /// What the linear decoder said of the bin that was decoded last, before the cascade.
    pub fn before_cascade(&self) -> Action {
        self.linear.action()
    }

    fn shaped(&self, action: Action) -> Action {
        self.cascade.map_or(action, |cascade| cascade.shape(action, self.activity()))
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
            self.continue_from(prepared);
            match (&mut self.click, &mut prepared.click) {
                (Some(own), Some(before)) => own.continue_from(before),
                // One without a button leaves the button as it is.
                (own, before) => std::mem::swap(own, before),
            }
            self.click_probability = prepared.click_probability;
        }
        alike
    }

    /// Goes on where `before` stands.
    fn continue_from(&mut self, before: &mut Decoder) {
        self.linear.continue_from(&mut before.linear);
        std::mem::swap(&mut self.recent, &mut before.recent);
        if let (Some(own), Some(before)) = (&mut self.sparse, &mut before.sparse) {
            own.continue_from(before);
        }
    }

    /// Whether the one can take over from the other.
    pub(crate) fn is_alike(&self, other: &Decoder) -> bool {
        let clicks_alike = match (&self.click, &other.click) {
            (Some(own), Some(other)) => own.is_alike(other),
            _ => true,
        };
        let cascades_alike = self.cascade.is_some() == other.cascade.is_some();
        clicks_alike
            && cascades_alike
            && self.linear.is_alike(&other.linear)
            && self.sparse.is_some() == other.sparse.is_some()
    }

    /// Tells a decoder whose position is a state and an output where the cursor was at the end of the last bin, where something
    /// else than the decoder has moved it; others take no notice.
    pub fn place_cursor(&mut self, position: [f64; AXES_MAX]) {
        self.linear.place_cursor(position);
    }

    /// What it was fitted to, which [`Decoder::with_weights`] takes: without the state that a cascade needs.
    pub fn weights(&self) -> Weights {
        match self.cascade {
            Some(_) => self.linear.weights().without_activity(),
            None => self.linear.weights().clone(),
        }
    }

    /// The same decoder at rest with other weights; `None` where they don't fit.
    pub fn with_weights(&self, weights: Weights) -> Option<Self> {
        let weights = if self.cascade.is_some() { weights.with_activity() } else { weights };
        let linear = LinearDecoder::new(weights, self.linear.output().clone())?;
        let fits = linear.n_features() == self.linear.n_features();
        let mut decoder = fits.then(|| Decoder::new(self.normaliser.clone(), linear))?;
        decoder.cascade = self.cascade;
        decoder.click = self.click.clone();
        decoder.click.iter_mut().for_each(|clicker| clicker.reset());
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
        self.click_probability = 0.0;
        if let Some(sparse) = &mut self.sparse {
            sparse.reset();
        }
        if let Some(clicker) = &mut self.click {
            clicker.reset();
        }
    }

    /// The same decoder at rest with another normaliser, and without its button.
    ///
    /// # Panics
    /// If that is of another number of features.
    #[must_use]
    pub fn with_normaliser(&self, normaliser: Normaliser) -> Self {
        let mut linear = self.linear.clone();
        linear.reset();
        Decoder { cascade: self.cascade, ..Decoder::new(normaliser, linear) }
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
