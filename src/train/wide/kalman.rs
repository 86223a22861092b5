//! A Kalman filter of very many channels.
//!
//! In: sparse counts and what the subject did. Out: the filter's matrices, and weights for all channels or those that remain,
//! solved in one pass over C. The state is velocity, and position where it is known; Q is diagonal, since a covariance of
//! 50,000 channels is 20 GB: each channel's noise counts as its own (Wu et al. 2006 with Q = diag). Noise that channels share
//! is then believed less than it should be, and the more channels there are the closer the filter comes to trusting each bin
//! alone; a Wiener filter ([`super::fit`]) knows what channels share.

use super::super::dataset::{Dataset, Movement};
use super::super::gain::{row_major, steady_state};
use super::super::kalman::least_squares;
use super::super::wiener::targets;
use super::counts::LANES;
use super::{Counts, Scaling};
use crate::config::{DecoderConfig, NormaliserKind, RidgeShape};
use crate::decode::{Decoder, LinearDecoder, Normaliser, Weights};
use crate::error::Error;
use faer::Mat;

/// A fitted filter.
#[derive(Clone, Debug)]
pub struct WideKalman {
    /// What its weights follow from.
    pub matrices: WideMatrices,
    /// Of the counts.
    pub normaliser: Normaliser,
    n_axes: usize,
}

/// The matrices of a fitted filter, over all channels.
#[derive(Clone, Debug, PartialEq)]
pub struct WideMatrices {
    /// A: states × states.
    pub transition: Mat<f64>,
    /// W: states × states.
    pub drift: Mat<f64>,
    /// C: channels × states, row-major; 0 where a channel is left out.
    pub tuning: Vec<f64>,
    /// The diagonal of Q.
    pub noise: Vec<f64>,
    /// h: the means of velocity and position.
    pub offset: Vec<f64>,
}

impl WideKalman {
    /// Fits on `rows` of the counts, ascending, of which nothing was lost.
    ///
    /// # Errors
    /// No channel with enough events; fewer rows than a filter of so many states needs; movement that never changes.
    pub fn fit(
        counts: &Counts,
        movement: &Movement,
        rows: &[usize],
        config: &DecoderConfig,
        threads: usize,
    ) -> Result<Self, Error> {
        let place = "fit of the Kalman filter";
        let rows: Vec<usize> = rows.iter().copied().filter(|&row| counts.history(row) > 0).collect();
        let singular = || {
            Error::fit(place, "it is singular")
                .field("bins")
                .legal("movement that changes, in more bins than states")
                .hint("a wider --bins A..B")
        };
        if rows.len() < ROWS_MIN {
            return Err(singular());
        }
        let plain = DecoderConfig { lags: 1, ridge_shape: RidgeShape::Plain, ..config.clone() };
        let scaling = Scaling::of(counts, &rows, &plain, place)?;
        let (mut now, before) = {
            let previous: Vec<usize> = rows.iter().map(|row| row - 1).collect();
            (targets(movement, &rows), targets(movement, &previous))
        };
        let n_states = now.ncols();
        let n = rows.len();
        let offset: Vec<f64> = (0..n_states).map(|j| now.col(j).iter().sum::<f64>() / n as f64).collect();
        let centred = |of: &Mat<f64>| Mat::from_fn(n, n_states, |i, j| of[(i, j)] - offset[j]);
        let before = centred(&before);
        now = centred(&now);
        let a =
            least_squares(before.as_ref(), now.as_ref(), TINY).ok_or_else(singular)?.transpose().to_owned();
        let left = &now - &before * a.transpose();
        let drift = left.transpose() * &left * faer::Scale(1.0 / n as f64);
        // Σ s·x over the rows, whose s sum to 0: the channels' means drop out.
        let numbers: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let along = counts.normal_product(&numbers, None, counts.n_channels(), threads, |at, line| {
            (0..n_states.min(LANES)).for_each(|state| line.0[state] = now[(at, state)] as f32);
        });
        let gram = now.transpose() * &now;
        let inverse = scaling.normaliser.inverse_deviation();
        let b = Mat::from_fn(n_states, counts.n_channels(), |state, channel| {
            f64::from(along[channel].0[state]) * f64::from(inverse[channel])
        });
        let c = super::super::ridge::solve_positive(gram.as_ref(), b.as_ref()).ok_or_else(singular)?;
        let tuning: Vec<f64> = row_major(c.transpose());
        let explained = |row: &[f64]| -> f64 {
            let of = |(i, j): (usize, usize)| row[i] * gram[(i, j)] * row[j] / n as f64;
            (0..n_states).flat_map(|i| (0..n_states).map(move |j| (i, j))).map(of).sum()
        };
        // z-scored counts have variance 1.
        let noise = tuning.chunks_exact(n_states).map(|row| (1.0 - explained(row)).max(NOISE_MIN)).collect();
        let (normaliser, n_axes) = (scaling.normaliser, movement.axes.len());
        let matrices = WideMatrices { transition: a, drift, tuning, noise, offset };
        Ok(WideKalman { matrices, normaliser, n_axes })
    }

    /// Fits on the rows of a dataset of counts.
    ///
    /// # Errors
    /// As [`WideKalman::fit`]; features that are not counts alone; another normaliser than z-scores.
    pub(in crate::train) fn of(
        data: &Dataset,
        movement: &Movement,
        config: &DecoderConfig,
    ) -> Result<Self, Error> {
        let place = "fit of the Kalman filter";
        let n_channels = data.features.ncols();
        if data.kinds.has_power() || n_channels > usize::from(u16::MAX) + 1 {
            let found = format!("{n_channels} features, of power too or too many");
            return Err(Error::usage(place, found)
                .field("bins.features")
                .legal("counts of 65,536 channels at most")
                .hint("bins.features = \"counts\", or another decoder"));
        }
        if config.normaliser() != NormaliserKind::Zscore {
            return Err(Error::usage(place, format!("counts by `{}`", config.normaliser().name()))
                .field("decoder.normaliser")
                .legal("zscore"));
        }
        let counts = Counts::of(data);
        Self::fit(&counts, movement, &data.fit_rows(), config, 1)
    }

    /// The filter with steady-state gain over the channels that are not lost; `None` where it doesn't converge.
    pub fn steady(&self, lost: impl Fn(usize) -> bool) -> Option<Decoder> {
        let weights = self.matrices.weights(lost)?;
        let has_position = weights.n_states > self.n_axes;
        let output = crate::decode::Output::Move { n_axes: self.n_axes, has_position };
        Some(Decoder::new(self.normaliser.clone(), LinearDecoder::new(weights, output)?))
    }
}

impl WideMatrices {
    /// The weights with steady-state gain over the channels that are not lost; `None` where it doesn't converge.
    pub fn weights(&self, lost: impl Fn(usize) -> bool) -> Option<Weights> {
        let (n, n_states) = (self.noise.len(), self.offset.len());
        let mut n_matrix = vec![0.0; n * n_states];
        let mut g = Mat::<f64>::zeros(n_states, n_states);
        let rows = self.tuning.chunks_exact(n_states).zip(n_matrix.chunks_exact_mut(n_states));
        // A channel that is left out has no tuning and adds nothing.
        for (channel, (row, into)) in rows.enumerate().filter(|(channel, _)| !lost(*channel)) {
            for i in 0..n_states {
                into[i] = row[i] / self.noise[channel];
                (0..n_states).for_each(|j| g[(i, j)] += into[i] * row[j]);
            }
        }
        let p = steady_state(self.transition.as_ref(), self.drift.as_ref(), g.as_ref())?;
        let recurrence = (Mat::<f64>::identity(n_states, n_states) - &p * &g) * &self.transition;
        let mut readout = vec![0.0; n * n_states];
        for (channel, of_channel) in n_matrix.chunks_exact(n_states).enumerate() {
            for state in 0..n_states {
                let gain: f64 = (0..n_states).map(|i| p[(state, i)] * of_channel[i]).sum();
                readout[state * n + channel] = gain as f32;
            }
        }
        let (recurrence, offset) = (row_major(recurrence.as_ref()), self.offset.clone());
        Some(Weights { n_features: n, lags: 1, n_states, readout, recurrence, output: vec![], offset })
    }
}

/// Fewer bins than this fit nothing.
const ROWS_MIN: usize = 50;
/// Regularises what is regular anyway.
const TINY: f64 = 1e-9;
/// A channel that the movement explains wholly isn't believed wholly.
const NOISE_MIN: f64 = 1e-3;
