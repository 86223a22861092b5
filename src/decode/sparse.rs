//! The readout of a decoder event by event: Σₗ Wₗ·x(t−l) at a cost of events × lags × states.
//!
//! In: bins that say which channels they touched. Out: one sum a state and bin, as the dense product gives it but for
//! rounding. A channel without events has the normalised count z(0), which is a constant, so that with c over the
//! channels that a bin touched
//!
//! > Wₗ·x = Wₗ·z(0) + Σ_c Wₗ[c]·(z(count of c) − z(0))
//!
//! and the first term is known beforehand. What a bin gives to the bins that come after it is added to theirs at once
//! (a transposed filter), so that no history of features is kept. Products are those of `f32` values in `f64`, summed in
//! ascending order of channels: the same bins give the same sums to the last bit, however the stream was cut.

use super::recent::SparseRecent;
use super::{LinearDecoder, Normaliser};
use crate::binning::Bin;

/// Weights feature by feature, and sums of the bins to come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SparseReadout {
    n_states: usize,
    /// Lag and state of each weight of a feature; only those at which W has anything.
    heard: Vec<(usize, usize)>,
    /// Weights of a feature: those that are heard, and zeros up to whole [`LANES`].
    width: usize,
    /// `n_features × width`
    by_feature: Vec<f32>,
    /// z(0) of each feature.
    silence: Vec<f32>,
    /// Σ_c W[c]·z(0), of each weight that is heard.
    of_silence: Vec<f64>,
    /// The same of the newest bin.
    sums: Vec<f64>,
    /// `lags × n_states`, a ring: what the bins so far give to the newest one and to those that come.
    coming: Vec<f64>,
    /// Where the newest bin's stands.
    newest: usize,
    recent: SparseRecent,
}

impl SparseReadout {
    /// The readout of `linear`, at rest.
    pub(super) fn of(normaliser: &Normaliser, linear: &LinearDecoder) -> Self {
        let weights = linear.weights();
        let (n_features, n_states) = (weights.n_features, weights.n_states);
        let rows = (0..weights.lags * n_states).filter(|&row| linear.hears()[row]);
        let heard: Vec<(usize, usize)> = rows.map(|row| (row / n_states, row % n_states)).collect();
        let width = heard.len().next_multiple_of(LANES);
        let silence: Vec<f32> = (0..n_features).map(|feature| normaliser.scaled(feature, 0.0)).collect();
        let (mut by_feature, mut of_silence) = (vec![0.0; n_features * width], vec![0.0; width]);
        for (at, &(lag, state)) in heard.iter().enumerate() {
            let row = &weights.readout[(lag * n_states + state) * n_features..][..n_features];
            for (feature, (&weight, &silent)) in row.iter().zip(&silence).enumerate() {
                by_feature[feature * width + at] = weight;
                of_silence[at] += f64::from(weight) * f64::from(silent);
            }
        }
        SparseReadout {
            n_states,
            heard,
            width,
            by_feature,
            silence,
            sums: of_silence.clone(),
            of_silence,
            coming: vec![0.0; weights.lags * n_states],
            newest: 0,
            recent: SparseRecent::new(n_features),
        }
    }

    /// Forgets all bins.
    pub(super) fn reset(&mut self) {
        self.coming.fill(0.0);
        self.recent.reset();
    }

    /// Goes on where `before` stands, another readout of the same lags and states.
    pub(super) fn continue_from(&mut self, before: &mut SparseReadout) {
        self.coming.copy_from_slice(&before.coming);
        self.newest = before.newest;
        std::mem::swap(&mut self.recent, &mut before.recent);
    }

    /// Adds what the next bin gives to itself and to those that come. What is unknown counts as its recent
    /// mean.
    pub(super) fn push(&mut self, bin: &Bin, normaliser: &Normaliser) {
        self.recent.begin_bin();
        self.sums.copy_from_slice(&self.of_silence);
        if bin.received_frames == 0 {
            (0..self.silence.len()).for_each(|feature| self.fill(feature));
        } else {
            self.hear(bin, normaliser);
        }
        let SparseReadout { coming, heard, sums, newest, n_states, .. } = self;
        let lags = coming.len() / *n_states;
        for (&(lag, state), sum) in heard.iter().zip(sums) {
            coming[(*newest + lag) % lags * *n_states + state] += *sum;
        }
    }

    /// Adds what a bin says of the channels that it touched, and what is taken for those that are unknown.
    fn hear(&mut self, bin: &Bin, normaliser: &Normaliser) {
        let any_unknown = bin.unknown.iter().fold(0, |any, word| any | word) != 0;
        let is_unknown = |feature: usize| {
            let channel = feature % bin.n_channels;
            any_unknown && bin.unknown[channel / 64] >> (channel % 64) & 1 != 0
        };
        let mut hear = |feature: usize| {
            if !is_unknown(feature) {
                let (heard, silence) =
                    (normaliser.scaled(feature, bin.features[feature]), self.silence[feature]);
                self.recent.follow(feature, heard, silence);
                self.add(feature, f64::from(heard) - f64::from(silence));
            }
        };
        match &bin.touched {
            Some(touched) => touched.iter().for_each(hear),
            None => (0..bin.features.len()).filter(|&f| bin.features[f] != 0.0).for_each(&mut hear),
        }
        if any_unknown {
            for channel in bin.unknown_channels() {
                // Behind the counts of all channels stands the power of each.
                for feature in (channel..bin.features.len()).step_by(bin.n_channels) {
                    self.fill(feature);
                }
            }
        }
    }

    /// Adds what is taken for a feature that is unknown.
    fn fill(&mut self, feature: usize) {
        let silence = self.silence[feature];
        let filled = self.recent.fill(feature, silence);
        self.add(feature, f64::from(filled) - f64::from(silence));
    }

    /// Writes the newest bin's sums, one a state; the next bin follows.
    pub(super) fn take(&mut self, into: &mut [f64]) {
        let sums = &mut self.coming[self.newest * self.n_states..][..self.n_states];
        into.copy_from_slice(sums);
        sums.fill(0.0);
        self.newest = (self.newest + 1) % (self.coming.len() / self.n_states);
    }

    /// Adds `by` times the weights of a feature.
    #[inline]
    fn add(&mut self, feature: usize, by: f64) {
        if by == 0.0 {
            // A feature that is left out, or as far from its mean as in silence.
            return;
        }
        let weights = &self.by_feature[feature * self.width..][..self.width];
        let (weights, _) = weights.as_chunks::<LANES>();
        let (sums, _) = self.sums.as_chunks_mut::<LANES>();
        for (sums, weights) in sums.iter_mut().zip(weights) {
            for lane in 0..LANES {
                sums[lane] += f64::from(weights[lane]) * by;
            }
        }
    }
}

/// Sums that are added to side by side; each is a sum of its own, so that their number changes no result.
const LANES: usize = 8;
