//! A Wiener filter that goes on learning: from the sums of its training, which fade, and batches of its own use.
//!
//! In: the decoder and the sums that it was fitted from; then batches of bins, each with what was meant in them. Out: the
//! decoder on all of it, with a normaliser that follows the channels' rates, for the electrodes that remain. Deterministic.
//! Takes as long as a small fit does, so that it isn't for a thread that decodes.

use super::basis::resolve_wiener;
use super::dataset::{Dataset, Movement, Targets};
use super::statistics::{Moments, Statistics};
use super::wiener;
use crate::config::Features;
use crate::decode::{Decoder, Normaliser, Output};
use crate::intents::AXES_MAX;
use crate::recalibration::Batch;
use ndarray::{Array2, ArrayView2};

/// What it has learnt so far.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// What decoders that went live were solved from.
    live: State,
    /// What the candidate is.
    latest: State,
    /// Which columns the sums have; without sums.
    sums: Statistics,
    strength: f64,
    n_channels: usize,
    rule: Forgetting,
}

#[derive(Clone, Debug)]
struct State {
    decoder: Decoder,
    sums: Moments,
}

/// How fast what is older counts less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forgetting {
    /// Bins that were learnt from, after which those before count half in the weights.
    pub half_life_bins: f64,
    /// Bins after which those before count half in means and deviations.
    pub rates_half_life_bins: f64,
}

impl Default for Forgetting {
    /// Chosen on seeds 1 to 8 of the closed loop: on the tenth day 0.93, 0.92, 0.86 and 0.86 of the first day's bits/s with weights
    /// that count half after 3,500, 5,000, 8,000 and 12,000 bins; 0.82 with rates after 1,500 (and weights after 8,000).
    fn default() -> Self {
        Forgetting { half_life_bins: 5000.0, rates_half_life_bins: 3000.0 }
    }
}

impl Learnt {
    /// Begins with what `decoder` was fitted from, with this ridge strength. Features of a bin are those of `n_channels`
    /// channels, counts before power. `None` where they don't belong together, or the decoder's outputs aren't velocity alone:
    /// what was meant says nothing of where a hand was.
    pub fn new(
        decoder: Decoder,
        statistics: &Statistics,
        strength: f64,
        n_channels: usize,
        rule: Forgetting,
    ) -> Option<Self> {
        let fits = statistics.n_features == decoder.normaliser().n_features()
            && statistics.lags == decoder.linear().weights().lags
            && n_channels > 0
            && statistics.n_features.is_multiple_of(n_channels);
        let Output::Move { n_axes, has_position: false } = *decoder.linear().output() else { return None };
        let state = State { decoder, sums: statistics.total() };
        (fits && statistics.n_outputs == n_axes).then(|| Learnt {
            latest: state.clone(),
            live: state,
            sums: Statistics { folds: Vec::new(), ..statistics.clone() },
            strength,
            n_channels,
            rule,
        })
    }

    /// Share of the velocity's variance that a fit on the sums explains of them, 0 to 1.
    pub fn explained(&self) -> Option<f64> {
        let keep = self.sums.columns(|_| false);
        let sums = Statistics { folds: vec![self.live.sums.clone()], ..self.sums.clone() };
        sums.explained(&keep, self.strength)
    }

    /// Learns from a batch; of the channels in `lost`, which is ascending, nothing.
    ///
    /// # Panics
    /// If a bin of the batch has other features than the decoder.
    pub fn learn(&mut self, batch: &Batch, lost: &[usize]) {
        let n_features = self.sums.n_features;
        assert_eq!(batch.n_features, n_features, "bins of one width");
        if batch.n_known() < ROWS_MIN {
            return;
        }
        let features = Array2::from_shape_vec((batch.n_bins(), n_features), batch.features.clone())
            .expect("a batch is whole bins");
        let is_lost = |feature: usize| lost.binary_search(&(feature % self.n_channels)).is_ok();
        if let Some(normaliser) = self.followed(features.view(), &batch.whole, is_lost) {
            self.latest.decoder = self.latest.decoder.with_normaliser(normaliser);
        }
        let n_axes = self.sums.n_outputs;
        let meant = |bin: usize| batch.meant[bin].unwrap_or([0.0; AXES_MAX]);
        let velocity = Array2::from_shape_fn((batch.n_bins(), n_axes), |(bin, axis)| meant(bin)[axis]);
        let movement =
            Movement { axes: vec![String::new(); n_axes], unit: String::new(), velocity, position: None };
        let mut starts_segment = batch.starts_segment.clone();
        starts_segment.iter_mut().take(1).for_each(|starts| *starts = true);
        let data = Dataset {
            features: features.into_shared(),
            kinds: Features::Counts,
            starts_segment,
            whole: (0..batch.n_bins()).map(|bin| batch.whole[bin] && batch.meant[bin].is_some()).collect(),
            received: vec![true; batch.n_bins()],
            targets: Targets::Movement(movement.clone()),
            rows: 0..batch.n_bins(),
        };
        let mut x = data.normalised(self.latest.decoder.normaliser(), &self.sums.features);
        for (column, &feature) in self.sums.features.iter().enumerate() {
            if is_lost(feature) {
                x.column_mut(column).fill(0.0);
            }
        }
        let scale = self.sums.scale.clone();
        let new = wiener::statistics(&data, &movement, &x, scale, 1, self.sums.features.clone(), n_features);
        if let Ok(new) = new
            && new.folds.len() == 1
        {
            self.latest.sums.fade(0.5f64.powf(new.folds[0].n / self.rule.half_life_bins));
            self.latest.sums.add(&new.folds[0], 1.0);
        }
    }

    /// The candidate went live: what it was solved from is what is known.
    pub fn accept(&mut self) {
        self.live = self.latest.clone();
    }

    /// The decoder on all that was learnt, at rest, for the channels that aren't in `lost`; where `is_tried`, on what decoders
    /// that went live were solved from alone. `None` where it is singular.
    pub fn solve(&self, lost: &[usize], is_tried: bool) -> Option<Decoder> {
        let State { decoder, sums } = if is_tried { &self.live } else { &self.latest };
        let is_lost = |feature: usize| lost.binary_search(&(feature % self.n_channels)).is_ok();
        let weights = resolve_wiener(&self.sums, sums, self.strength, is_lost)?;
        decoder.with_weights(weights)
    }

    /// The normaliser, a step nearer to the means and deviations of these bins; those of lost channels stay.
    fn followed(
        &self,
        features: ArrayView2<'_, f32>,
        whole: &[bool],
        is_lost: impl Fn(usize) -> bool,
    ) -> Option<Normaliser> {
        let normaliser = self.latest.decoder.normaliser();
        let (mut mean, mut inverse) = (normaliser.mean().to_vec(), normaliser.inverse_deviation().to_vec());
        let n = whole.iter().filter(|whole| **whole).count() as f64;
        let share = 1.0 - 0.5f64.powf(n / self.rule.rates_half_life_bins);
        for &feature in self.sums.features.iter().filter(|feature| !is_lost(**feature)) {
            let (mut sum, mut squares) = (0.0, 0.0);
            for (value, _) in features.column(feature).iter().zip(whole).filter(|(_, whole)| **whole) {
                let z = f64::from(normaliser.scaled(feature, *value));
                sum += z;
                squares += z * z;
            }
            let (z_mean, z_square) = (sum / n, squares / n);
            let deviation = 1.0 / f64::from(inverse[feature]);
            // Of the two mixed, with the old one at 0 and 1.
            let moved = share * z_mean;
            let variance = (1.0 - share) + share * z_square - moved * moved;
            mean[feature] += (moved * deviation) as f32;
            inverse[feature] = (1.0 / (deviation * variance.max(VARIANCE_MIN).sqrt())) as f32;
        }
        (n > 0.0).then(|| Normaliser::from_parts(normaliser.kind(), mean, inverse)).flatten()
    }
}

/// Fewer bins teach nothing.
const ROWS_MIN: usize = 20;
/// Of what the variance was: a channel that all but fell silent isn't blown up.
const VARIANCE_MIN: f64 = 0.04;
