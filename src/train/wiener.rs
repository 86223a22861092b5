//! Wiener filter: ridge regression of velocity and position on the features of the last bins.
//!
//! > ŷ(t) = h + Σₗ Wₗ·x(t−l), W minimising Σ(y − ŷ)² + λ Σ W²ᵢₗ / dᵢₗ²
//!
//! With [`RidgeShape::Plain`] all d are 1 (z-scored features, as in Willett et al. 2019). With
//! [`RidgeShape::Decaying`], d²ᵢₗ ∝ σᵢ·e^(−2l/10): the prior variance of a weight falls with the lag, and grows
//! with the channel's deviation σᵢ, since a channel that hardly fires has little to say however it is scaled.

use super::cross_validation::folds;
use super::dataset::{Dataset, Movement};
use super::ridge;
use super::statistics::{Moments, Statistics};
use crate::config::{DecoderConfig, RidgeShape};
use crate::decode::Weights;
use crate::error::Error;
use faer::Mat;
use ndarray::Array2;

/// A fitted filter over the kept features.
pub(super) struct Wiener {
    pub weights: Weights,
    /// The chosen ridge strength.
    pub strength: f64,
}

/// Fits on the dataset's rows; `x` are the kept features, normalised, `deviation` their deviations before that.
pub(super) fn fit(
    data: &Dataset,
    movement: &Movement,
    x: &Array2<f32>,
    deviation: &[f64],
    config: &DecoderConfig,
) -> Result<Wiener, Error> {
    let place = "fit of the Wiener filter";
    let rows = data.fit_rows();
    let (n_features, lags) = (x.ncols(), config.lags);
    let n_columns = n_features * lags;
    ridge::check_size(rows.len(), n_columns, config.folds, place)?;
    let scale = scales(config.ridge_shape, deviation, lags);
    let design = design(data, x, &scale, &rows);
    let y = targets(movement, &rows);
    let n_axes = movement.axes.len();
    let fitted =
        ridge::fit(design.as_ref(), y.as_ref(), &config.ridge, config.folds, n_axes).ok_or_else(|| {
            Error::fit(place, "it is singular at every ridge strength")
                .field("decoder.ridge")
                .legal("strengths above 0, or fewer columns than bins that are not copies of one another")
                .hint("decoder.ridge = [1000, 10000, 100000]")
        })?;
    let n_states = y.ncols();
    let mut readout = Vec::with_capacity(n_states * n_columns);
    for lag in 0..lags {
        for output in 0..n_states {
            let weight = |column: usize| (fitted.coefficients[(column, output)] * scale[column]) as f32;
            readout.extend((lag * n_features..(lag + 1) * n_features).map(weight));
        }
    }
    let weights = Weights {
        n_features,
        lags,
        n_states,
        readout,
        recurrence: Vec::new(),
        output: Vec::new(),
        offset: fitted.offset,
    };
    Ok(Wiener { weights, strength: fitted.strength })
}

/// The sums that the same fit can be made from, fold by fold: of the kept `features` among `n_features`,
/// whose columns are scaled by `scale`.
pub(super) fn statistics(
    data: &Dataset,
    movement: &Movement,
    x: &Array2<f32>,
    scale: Vec<f64>,
    n_folds: usize,
    features: Vec<usize>,
    n_features: usize,
) -> Result<Statistics, Error> {
    let rows = data.fit_rows();
    let lags = scale.len() / features.len();
    let n_outputs = targets(movement, &rows[..1]).ncols();
    ridge::check_size(rows.len(), features.len() * lags + n_outputs, n_folds, "sums of the Wiener filter")?;
    let of_part = |part: &std::ops::Range<usize>| {
        let rows = &rows[part.clone()];
        let (x, y) = (design(data, x, &scale, rows), targets(movement, rows));
        let mut both = Mat::zeros(rows.len(), x.ncols() + y.ncols());
        both.as_mut().subcols_mut(0, x.ncols()).copy_from(&x);
        both.as_mut().subcols_mut(x.ncols(), y.ncols()).copy_from(&y);
        Moments::of(both.as_ref())
    };
    let folds = folds(rows.len(), n_folds).iter().map(of_part).collect();
    Ok(Statistics { features, n_features, lags, n_outputs, n_scored: movement.axes.len(), scale, folds })
}

/// Rows × columns, lag by lag; bins before a segment's first count as their means, 0.
pub(super) fn design(data: &Dataset, x: &Array2<f32>, scale: &[f64], rows: &[usize]) -> Mat<f64> {
    let n_features = x.ncols();
    let history = data.history();
    let mut design = Mat::zeros(rows.len(), scale.len());
    for (column, &scale) in scale.iter().enumerate() {
        let (lag, feature) = (column / n_features, column % n_features);
        let mut into = design.col_mut(column);
        for (at, &row) in rows.iter().enumerate() {
            if history[row] >= lag {
                into[at] = f64::from(x[(row - lag, feature)]) * scale;
            }
        }
    }
    design
}

/// Velocity, then position where it is known: rows × outputs.
pub(super) fn targets(movement: &Movement, rows: &[usize]) -> Mat<f64> {
    let n_axes = movement.axes.len();
    let n_outputs = n_axes * (1 + usize::from(movement.position.is_some()));
    Mat::from_fn(rows.len(), n_outputs, |at, output| match &movement.position {
        Some(position) if output >= n_axes => position[(rows[at], output - n_axes)],
        _ => movement.velocity[(rows[at], output)],
    })
}

/// d of each column, lag by lag; the mean of d² is 1, so that strengths mean the same for either shape.
pub(super) fn scales(shape: RidgeShape, deviation: &[f64], lags: usize) -> Vec<f64> {
    let mut scales = vec![1.0; deviation.len() * lags];
    if shape == RidgeShape::Decaying {
        for (lag, scales) in scales.chunks_exact_mut(deviation.len()).enumerate() {
            let decay = (-(lag as f64) / DECAY_BINS).exp();
            scales.iter_mut().zip(deviation).for_each(|(scale, deviation)| *scale = decay * deviation.sqrt());
        }
        let mean = scales.iter().map(|scale| scale * scale).sum::<f64>() / scales.len() as f64;
        scales.iter_mut().for_each(|scale| *scale /= mean.sqrt());
    }
    scales
}

/// d falls by e in this many bins. Flat between 7 and 14 in cross-validation on recorded reaching.
const DECAY_BINS: f64 = 10.0;
