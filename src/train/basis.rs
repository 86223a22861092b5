//! What a decoder is solved again from when electrodes are lost or come back.
//!
//! In: the data that it was fitted on, once. Out: at any time later, without the data, weights for the features that
//! remain. A Wiener filter has the sums of its normal equations, a Kalman filter its matrices. Nothing is trained anew:
//! what the remaining channels say of the movement, and of one another, was known before.

use super::dataset::{Dataset, Targets};
use super::gain::KalmanParameters;
use super::statistics::{Moments, Statistics};
use super::wide::{WideKalman, WideMatrices};
use super::{Choices, Fitted, kalman, mean, scatter, wiener};
use crate::config::{DecoderConfig, DecoderKind};
use crate::decode::{Clicker, Decoder, Weights};
use crate::error::Error;

/// What a decoder is solved again from.
#[derive(Clone, Debug, Default)]
pub struct Basis {
    /// Of a Wiener filter, with its ridge strength.
    pub wiener: Option<(Statistics, f64)>,
    /// Of a Kalman filter, with the features of a bin that it looks at and how many a bin has.
    pub kalman: Option<(KalmanParameters, Vec<usize>, usize)>,
    /// Of a Kalman filter of very many channels.
    pub wide: Option<WideMatrices>,
}

impl Basis {
    /// Of `decoder`, which was fitted on this data with these settings and choices. Classifiers have none.
    ///
    /// # Errors
    /// Where the fit can't be done again.
    pub fn of(
        data: &Dataset,
        config: &DecoderConfig,
        decoder: &Decoder,
        choices: &Choices,
    ) -> Result<Self, Error> {
        let Targets::Movement(movement) = &data.targets else {
            return Err(Error::usage("the decoder", "it chooses among classes")
                .field("decoder.kind")
                .legal(super::OF_MOVEMENT));
        };
        let kind = config.kind.settled(false);
        if super::is_wide(data, config)? {
            return Err(Error::usage("statistics", "the sums of so many features would be too large")
                .field("decoder.kind")
                .legal("a Wiener filter of fewer features or lags")
                .hint(
                    "--decoder wide-kalman keeps what it can be solved again from, however many there are",
                ));
        }
        if kind == DecoderKind::WideKalman {
            let wide = WideKalman::of(data, movement, config)?;
            return Ok(Basis { wide: Some(wide.matrices), ..Basis::default() });
        }
        let normaliser = decoder.normaliser();
        let n_features = normaliser.n_features();
        let kept: Vec<usize> =
            (0..n_features).filter(|&feature| normaliser.inverse_deviation()[feature] != 0.0).collect();
        let x = data.normalised(normaliser, &kept);
        let mut basis = Basis::default();
        if let (DecoderKind::Wiener | DecoderKind::Blend, Some(strength)) = (kind, choices.wiener_ridge) {
            let deviation = super::deviations(data, normaliser, &kept);
            let scale = wiener::scales(config.ridge_shape, &deviation, config.lags);
            let statistics =
                wiener::statistics(data, movement, &x, scale, config.folds, kept.clone(), n_features)?;
            basis.wiener = Some((statistics, strength));
        }
        let with_position = kind != DecoderKind::VelocityKalman;
        let is_kalman = !matches!(kind, DecoderKind::Wiener);
        if let (true, Some(strength)) = (is_kalman, choices.kalman_ridge) {
            let config = DecoderConfig { ridge: vec![strength], ..config.clone() };
            let filter = kalman::fit(data, movement, &x, with_position, &config)?;
            basis.kalman = Some((filter.parameters, kept, n_features));
        }
        Ok(basis)
    }

    /// `decoder`, which this is the basis of, without the channels `lost`: at rest, and itself where nothing is lost. Its button
    /// no longer hears them. A bin has `n_channels`; behind the counts of all stands the power of each. `None` where that is singular.
    pub fn without(&self, decoder: &Decoder, lost: &[usize], n_channels: usize) -> Option<Decoder> {
        if lost.is_empty() {
            let mut same = decoder.clone();
            same.reset();
            return Some(same);
        }
        let mut is_lost = vec![false; n_channels];
        lost.iter().for_each(|&channel| is_lost[channel] = true);
        let is_lost = |feature: usize| is_lost[feature % n_channels];
        let solved = match (&self.kalman, decoder.linear().full_gain()) {
            (Some((parameters, features, n_features)), Some(_)) => {
                let keep: Vec<usize> = (0..features.len()).filter(|&at| !is_lost(features[at])).collect();
                let (weights, gain) = parameters.full(&keep)?;
                decoder.with_full_gain(scatter(weights, features, *n_features), gain)?
            }
            _ => decoder.with_weights(self.resolve(is_lost)?)?,
        };
        match decoder.clicker() {
            None => Some(solved),
            Some(clicker) => solved.with_click(deaf(clicker, is_lost)?),
        }
    }

    /// The weights for a bin of which the features in `lost` say nothing any more; `None` where that is singular.
    pub fn resolve(&self, lost: impl Fn(usize) -> bool) -> Option<Weights> {
        if let Some(wide) = &self.wide {
            return wide.weights(lost);
        }
        let wiener = match &self.wiener {
            None => None,
            Some((statistics, strength)) => {
                Some(resolve_wiener(statistics, &statistics.total(), *strength, &lost)?)
            }
        };
        let kalman = match &self.kalman {
            None => None,
            Some((parameters, features, n_features)) => {
                let keep: Vec<usize> = (0..features.len()).filter(|&at| !lost(features[at])).collect();
                Some(scatter(parameters.steady(&keep)?, features, *n_features))
            }
        };
        match (wiener, kalman) {
            (Some(wiener), Some(kalman)) => Some(mean(&wiener, &kalman)),
            (wiener, kalman) => wiener.or(kalman),
        }
    }
}

/// A button that no longer hears the features that are lost: they count as their means. There is nothing that it could be
/// solved again from.
fn deaf(clicker: &Clicker, is_lost: impl Fn(usize) -> bool) -> Option<Clicker> {
    let classes = clicker.classes();
    let mut weights = classes.weights();
    let n = weights.n_features;
    let lost = weights.readout.iter_mut().enumerate().filter(|(at, _)| is_lost(at % n));
    lost.for_each(|(_, weight)| *weight = 0.0);
    Clicker::new(classes.with_weights(weights)?, clicker.rule())
}

/// Fits a Wiener filter on the sums of the sessions before, `statistics`, which `decoder` was fitted from, and of this one:
/// as if all bins of all sessions had been fitted together with that decoder's normaliser. The strength is chosen anew.
///
/// # Errors
/// A recording of classes, of other channels or outputs; fewer bins than folds; a fit that is singular.
pub fn fit_onto(
    data: &Dataset,
    config: &DecoderConfig,
    decoder: &Decoder,
    statistics: &Statistics,
) -> Result<(Fitted, Basis), Error> {
    let place = "fit of a further session";
    let other = |found: &str| {
        Error::fit(place, found)
            .legal("a recording with the channels, axes and bins of the sessions before")
            .hint("train a model of its own for it")
    };
    let Targets::Movement(movement) = &data.targets else {
        return Err(other("it has classes, not movement"));
    };
    let rows = data.fit_rows();
    if rows.len() < super::ROWS_MIN {
        return Err(other(&format!("{} bins to train on", rows.len())).field("bins"));
    }
    data.check_targets(&rows, place)?;
    let normaliser = decoder.normaliser();
    if data.features.ncols() != statistics.n_features {
        return Err(other(&format!("it has {} features a bin", data.features.ncols())));
    }
    let x = data.normalised(normaliser, &statistics.features);
    let (scale, features) = (statistics.scale.clone(), statistics.features.clone());
    let n_folds = statistics.folds.len();
    let mut sums = wiener::statistics(data, movement, &x, scale, n_folds, features, statistics.n_features)?;
    sums.add(statistics).ok_or_else(|| other("its movement has other axes, or no position"))?;
    let singular = || Error::fit(place, "it is singular at every ridge strength").field("decoder.ridge");
    let strength = sums.best_strength(&sums.columns(|_| false), &config.ridge).ok_or_else(singular)?;
    let total = sums.total();
    let weights = resolve_wiener(&sums, &total, strength, |_| false).ok_or_else(singular)?;
    let choices = Choices {
        n_bins: total.n as usize,
        n_features: sums.features.len(),
        left_out: (0..sums.n_features).filter(|feature| !sums.features.contains(feature)).collect(),
        wiener_ridge: Some(strength),
        // It stays as the first session had it.
        cascade: decoder.cascade(),
        ..Choices::default()
    };
    let decoder = decoder.with_weights(weights).ok_or_else(singular)?;
    Ok((Fitted { decoder, choices }, Basis { wiener: Some((sums, strength)), ..Basis::default() }))
}

/// A Wiener filter on the features that are not lost, from sums over all.
pub(super) fn resolve_wiener(
    of: &Statistics,
    sums: &Moments,
    strength: f64,
    lost: impl Fn(usize) -> bool,
) -> Option<Weights> {
    let keep = of.columns(lost);
    let (readout, offset) = of.readout(&keep, &sums.ridge(of.n_columns(), &keep, strength)?);
    let (n_features, lags, n_states) = (of.n_features, of.lags, of.n_outputs);
    Some(Weights { n_features, lags, n_states, readout, recurrence: vec![], output: vec![], offset })
}
