//! Fits decoders: bins and what the subject did in, a [`Decoder`] out.
//!
//! Everything that is chosen (ridge strength, shrinkage) is chosen by cross-validation over contiguous folds
//! inside the rows that are fitted; no other row is looked at.

mod adaptive;
mod basis;
mod calibrate;
mod cascade;
mod classes;
mod collect;
mod cross_validation;
mod dataset;
mod gain;
mod kalman;
mod refit;
mod regression_reference;
mod relearn;
mod ridge;
#[cfg(test)]
mod slow;
mod statistics;
pub mod wide;
mod wiener;

pub use adaptive::{Adapting, run_adaptive};
pub use basis::{Basis, fit_onto};
pub use calibrate::calibrate;
pub use cascade::cascade;
pub use collect::collect;
pub use dataset::{Dataset, Movement, Targets, score_actions};
pub use gain::{KalmanParameters, smooth_batch_rho};
pub use refit::{fit_refit, intended, intended_velocity};
pub use relearn::{Forgetting, Learnt};
pub use statistics::{Moments, Statistics};

use crate::config::{DecoderConfig, DecoderKind, Features};
use crate::decode::{Cascade, Decoder, LinearDecoder, Normaliser, Output, Weights};
use crate::error::Error;
use crate::score::Score;
use ndarray::s;
use serde::{Deserialize, Serialize};

/// A decoder and how it came about.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Ready to decode.
    pub decoder: Decoder,
    /// What was chosen on the way.
    pub choices: Choices,
}

/// What was chosen while fitting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// Bins that were fitted.
    pub n_bins: usize,
    /// Features that the decoder looks at.
    pub n_features: usize,
    /// Features left out: constant, or of channels with too few events.
    pub left_out: Vec<usize>,
    /// Ridge strength of the Wiener filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wiener_ridge: Option<f64>,
    /// Ridge strength of the Kalman filter's observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kalman_ridge: Option<f64>,
    /// L2 strength of the logistic regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logistic_ridge: Option<f64>,
    /// Shrinkage of the LDA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrinkage: Option<f64>,
    /// The static nonlinearity behind a decoder of movement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascade: Option<Cascade>,
}

/// The words for decoders of movement.
pub const OF_MOVEMENT: &str = "wiener, kalman, velocity-kalman, full-kalman, wide-kalman, blend";

/// Fits the decoder that `config` asks for on `data.rows`. A Wiener filter of so many counts that the matrices would take over
/// 4 GiB is fitted without forming them ([`wide`]).
///
/// # Errors
/// No rows, a decoder of movement for classes or the other way round, no channel with enough events, a fit
/// that is singular.
pub fn fit(data: &Dataset, config: &DecoderConfig) -> Result<Fitted, Error> {
    fit_telling(data, config, |_| ())
}

/// The same; `tick` hears how much of a fit that takes long is done, 0 to 1.
///
/// # Errors
/// As [`fit`].
pub fn fit_telling(data: &Dataset, config: &DecoderConfig, tick: impl FnMut(f64)) -> Result<Fitted, Error> {
    let kind = config.kind.settled(matches!(data.targets, Targets::Classes { .. }));
    if !config.cascade.is_none() && (kind.is_classifier() || kind == DecoderKind::FullKalman) {
        return Err(Error::usage("fit of the cascade", format!("a decoder of kind `{}`", kind.name()))
            .field("decoder.cascade")
            .legal("none; activity or full with wiener, kalman, velocity-kalman, wide-kalman, blend"));
    }
    let fitted = fit_linear(data, config, tick)?;
    if config.cascade.is_none() {
        return Ok(fitted);
    }
    let (first, last) = data.split_last_fifth();
    let earlier = fit_linear(&first, &as_chosen(config, &fitted.choices), |_| ())?;
    // Bins that tell nothing of speed leave what is said as it is.
    let found = cascade(&last, &earlier.decoder, config.cascade).unwrap_or(Cascade::NONE);
    let decoder = fitted.decoder.with_cascade(found).expect("a decoder of movement, and finite numbers");
    Ok(Fitted { decoder, choices: Choices { cascade: Some(found), ..fitted.choices } })
}

/// `config` with the strength that was chosen; a blend has two and chooses again.
fn as_chosen(config: &DecoderConfig, choices: &Choices) -> DecoderConfig {
    let strength = choices.wiener_ridge.xor(choices.kalman_ridge);
    let ridge = strength.map_or_else(|| config.ridge.clone(), |strength| vec![strength]);
    DecoderConfig { ridge, ..config.clone() }
}

fn fit_linear(data: &Dataset, config: &DecoderConfig, tick: impl FnMut(f64)) -> Result<Fitted, Error> {
    let kind = config.kind.settled(matches!(data.targets, Targets::Classes { .. }));
    let config = &DecoderConfig { kind, ..config.clone() };
    let place = format!("fit of `{}`", config.kind.name());
    let rows = data.fit_rows();
    if rows.len() < ROWS_MIN {
        return Err(Error::fit(&place, format!("{} bins to train on", rows.len()))
            .field("bins")
            .legal(format!("at least {ROWS_MIN} bins of which nothing was lost"))
            .hint("a wider --bins A..B"));
    }
    data.check_targets(&rows, &place)?;
    if let (Targets::Movement(movement), DecoderKind::WideKalman) = (&data.targets, kind) {
        return fit_wide(data, movement, config, rows.len());
    }
    let keep = data.features_with_events(config)?;
    if let (Targets::Movement(movement), true) = (&data.targets, is_wide(data, config)?) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let found = wide::fit(&wide::Counts::of(data), movement, &rows, config, threads, tick)?;
        return Ok(Fitted { decoder: found.decoder, choices: found.choices });
    }
    let used = data.features.select(ndarray::Axis(0), &rows);
    let normaliser = Normaliser::fit(config.normaliser(), used.view(), &keep);
    let kept: Vec<usize> =
        (0..keep.len()).filter(|&feature| normaliser.inverse_deviation()[feature] != 0.0).collect();
    if kept.is_empty() {
        return Err(Error::fit(&place, "no channel has anything to decode: all are constant in these bins")
            .field("features")
            .legal("at least one channel whose counts change")
            .hint("a wider --bins A..B, a lower decoder.min_events, or another mapping of the counts"));
    }
    let mut choices = Choices {
        n_bins: rows.len(),
        n_features: kept.len(),
        left_out: (0..keep.len()).filter(|feature| !kept.contains(feature)).collect(),
        ..Choices::default()
    };
    let normalised = data.normalised(&normaliser, &kept);
    let mut gain = None;
    let (weights, output) = match (&data.targets, config.kind) {
        (Targets::Movement(movement), DecoderKind::Wiener) => {
            let weights =
                wiener::fit(data, movement, &normalised, &deviations(data, &normaliser, &kept), config)?;
            choices.wiener_ridge = Some(weights.strength);
            (weights.weights, movement.output(true))
        }
        (Targets::Movement(movement), DecoderKind::Kalman | DecoderKind::VelocityKalman) => {
            let with_position = config.kind == DecoderKind::Kalman;
            let filter = kalman::fit(data, movement, &normalised, with_position, config)?;
            choices.kalman_ridge = Some(filter.strength);
            (filter.weights, movement.output(with_position))
        }
        (Targets::Movement(movement), DecoderKind::FullKalman) => {
            let filter = kalman::fit(data, movement, &normalised, true, config)?;
            choices.kalman_ridge = Some(filter.strength);
            let all: Vec<usize> = (0..kept.len()).collect();
            let singular = || Error::fit(&place, "it is singular").field("decoder.ridge");
            let (weights, carried) = filter.parameters.full(&all).ok_or_else(singular)?;
            gain = Some(carried);
            (weights, movement.output(true))
        }
        (Targets::Movement(movement), DecoderKind::Blend) => {
            let wiener =
                wiener::fit(data, movement, &normalised, &deviations(data, &normaliser, &kept), config)?;
            let kalman = kalman::fit(data, movement, &normalised, true, config)?;
            choices.wiener_ridge = Some(wiener.strength);
            choices.kalman_ridge = Some(kalman.strength);
            (mean(&wiener.weights, &kalman.weights), movement.output(true))
        }
        (Targets::Classes { labels, names }, DecoderKind::Lda) => {
            let deviation = deviations(data, &normaliser, &kept);
            let (weights, shrinkage) = classes::lda(&normalised, labels, names, &rows, &deviation, config)?;
            choices.shrinkage = Some(shrinkage);
            (weights, Output::Choose)
        }
        (Targets::Classes { labels, names }, DecoderKind::Logistic) => {
            let deviation = deviations(data, &normaliser, &kept);
            let (weights, ridge) = classes::logistic(&normalised, labels, names, &rows, &deviation, config)?;
            choices.logistic_ridge = Some(ridge);
            (weights, Output::Choose)
        }
        (Targets::Movement(_), _) => {
            return Err(Error::usage(&place, "it chooses among classes; this recording has movement")
                .field("decoder.kind")
                .legal(OF_MOVEMENT));
        }
        (Targets::Classes { .. }, _) => {
            return Err(Error::usage(&place, "it decodes movement; this recording has classes")
                .field("decoder.kind")
                .legal("lda, logistic"));
        }
    };
    let weights = scatter(weights, &kept, keep.len());
    let linear = LinearDecoder::new(weights, output);
    let linear = linear.and_then(|linear| match gain {
        Some(gain) => linear.with_full_gain(gain),
        None => Some(linear),
    });
    let linear = linear.ok_or_else(|| {
        Error::fit(&place, "the fit is singular: its weights are not finite numbers")
            .legal("features that are not copies of one another, and more bins than features or a ridge")
            .hint("a larger decoder.ridge, or fewer lags")
    })?;
    Ok(Fitted { decoder: Decoder::new(normaliser, linear), choices })
}

/// Whether a filter is fitted without its matrices: a Wiener filter of z-scored counts whose matrices would be too large. What it
/// says is the same, within rounding.
///
/// # Errors
/// No channel with enough events.
pub fn is_wide(data: &Dataset, config: &DecoderConfig) -> Result<bool, Error> {
    if !matches!(data.targets, Targets::Movement(_)) {
        return Ok(false);
    }
    let n_kept = data.features_with_events(config)?.iter().filter(|keep| **keep).count();
    let gib = ridge::gib(data.fit_rows().len(), n_kept * config.lags, config.folds);
    Ok(config.kind.settled(false) == DecoderKind::Wiener
        && data.kinds == Features::Counts
        && config.normaliser() == crate::config::NormaliserKind::Zscore
        && data.features.ncols() <= usize::from(u16::MAX) + 1
        && gib > DENSE_GIB_MAX)
}

fn fit_wide(
    data: &Dataset,
    movement: &Movement,
    config: &DecoderConfig,
    n_bins: usize,
) -> Result<Fitted, Error> {
    let filter = wide::WideKalman::of(data, movement, config)?;
    let decoder = filter.steady(|_| false).ok_or_else(|| {
        Error::fit("fit of the Kalman filter", "its gain doesn't converge").hint("a wider --bins A..B")
    })?;
    let inverse = filter.normaliser.inverse_deviation();
    let left_out: Vec<usize> = (0..inverse.len()).filter(|&channel| inverse[channel] == 0.0).collect();
    let n_features = inverse.len() - left_out.len();
    Ok(Fitted { decoder, choices: Choices { n_bins, n_features, left_out, ..Choices::default() } })
}

/// Faster than anyone intends who moved like this: three times the fastest bin of the rows, in the movement's unit a second,
/// for [`crate::config::SafetyConfig::speed_max`]; 0, which is no limit, where nothing is known of movement.
pub fn plausible_speed(data: &Dataset) -> f64 {
    let Targets::Movement(movement) = &data.targets else { return 0.0 };
    let speed = |row: usize| movement.velocity.row(row).iter().map(|v| v * v).sum::<f64>().sqrt();
    let fastest =
        data.fit_rows().into_iter().map(speed).filter(|speed| speed.is_finite()).fold(0.0, f64::max);
    PLAUSIBLE_SHARE * fastest
}

/// Fits on all of `data.rows` but the last fifth and scores that fifth.
///
/// # Errors
/// As [`fit`].
pub fn score_last_fifth(data: &Dataset, config: &DecoderConfig) -> Result<(Fitted, Score), Error> {
    score_last_fifth_telling(data, config, |_| ())
}

/// The same; `tick` hears how much of a fit that takes long is done, 0 to 1.
///
/// # Errors
/// As [`fit`].
pub fn score_last_fifth_telling(
    data: &Dataset,
    config: &DecoderConfig,
    tick: impl FnMut(f64),
) -> Result<(Fitted, Score), Error> {
    let (first, last) = data.split_last_fifth();
    let fitted = fit_telling(&first, config, tick)?;
    let score = last.score(&mut fitted.decoder.clone());
    Ok((fitted, score))
}

/// Deviations of the kept features, after the normaliser's f, in units of the mean over their kind: counts and
/// µV² don't compare.
fn deviations(data: &Dataset, normaliser: &Normaliser, kept: &[usize]) -> Vec<f64> {
    let n_counts = match data.kinds {
        Features::Counts => normaliser.n_features(),
        Features::Power => 0,
        Features::CountsAndPower => normaliser.n_features() / 2,
    };
    let of = |&feature: &usize| 1.0 / f64::from(normaliser.inverse_deviation()[feature]);
    let mean = |counts: bool| {
        let of_kind: Vec<f64> = kept.iter().filter(|&&f| (f < n_counts) == counts).map(of).collect();
        of_kind.iter().sum::<f64>() / of_kind.len() as f64
    };
    let (counts, power) = (mean(true), mean(false));
    kept.iter().map(|feature| of(feature) / if *feature < n_counts { counts } else { power }).collect()
}

/// Weights over the kept features as weights over all: 0 for the others.
fn scatter(weights: Weights, kept: &[usize], n_features: usize) -> Weights {
    let mut readout = vec![0.0; weights.readout.len() / weights.n_features * n_features];
    let rows = weights.readout.chunks_exact(weights.n_features).zip(readout.chunks_exact_mut(n_features));
    for (from, into) in rows {
        for (&weight, &feature) in from.iter().zip(kept) {
            into[feature] = weight;
        }
    }
    Weights { readout, n_features, ..weights }
}

/// Two decoders side by side that say the mean of what they say.
fn mean(a: &Weights, b: &Weights) -> Weights {
    let lags = a.lags.max(b.lags);
    let n_states = a.n_states + b.n_states;
    let n_outputs = a.offset.len();
    let mut readout = ndarray::Array3::<f32>::zeros((lags, n_states, a.n_features));
    let mut recurrence = ndarray::Array2::<f64>::zeros((n_states, n_states));
    let mut output = ndarray::Array2::<f64>::zeros((n_outputs, n_states));
    for (part, from) in [(a, 0), (b, a.n_states)] {
        let to = from + part.n_states;
        let shape = (part.lags, part.n_states, part.n_features);
        let of = ndarray::ArrayView3::from_shape(shape, &part.readout).expect("weights fit together");
        readout.slice_mut(s![..part.lags, from..to, ..]).assign(&of);
        let square = |values: &[f64], rows| {
            ndarray::Array2::from_shape_vec((rows, part.n_states), values.to_vec())
                .expect("weights fit together")
        };
        if !part.recurrence.is_empty() {
            recurrence.slice_mut(s![from..to, from..to]).assign(&square(&part.recurrence, part.n_states));
        }
        let says = match part.output.is_empty() {
            true => ndarray::Array2::eye(part.n_states),
            false => square(&part.output, n_outputs),
        };
        output.slice_mut(s![.., from..to]).assign(&(says * 0.5));
    }
    Weights {
        n_features: a.n_features,
        lags,
        n_states,
        readout: readout.into_raw_vec_and_offset().0,
        recurrence: recurrence.into_raw_vec_and_offset().0,
        output: output.into_raw_vec_and_offset().0,
        offset: a.offset.iter().zip(&b.offset).map(|(a, b)| 0.5 * (a + b)).collect(),
    }
}

/// Decoders overshoot; none that works does so by this much.
const PLAUSIBLE_SHARE: f64 = 3.0;
/// Of the matrices of a Wiener filter: what leaves a usual computer room for the rest.
const DENSE_GIB_MAX: f64 = 4.0;
/// Fewer bins than this fit nothing.
const ROWS_MIN: usize = 20;
