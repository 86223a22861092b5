//! ReFIT in the calibration flow: the second fit, on what was meant in use, with a cursor whose place is known.
//!
//! In: what was collected while the user followed and while the user moved the cursor. Out: a filter of velocity that takes
//! the cursor's place as known ([`fit_refit`]), to be told of it in every bin.

use super::calibrate::FitAbout;
use super::collected::Collected;
use crate::config::Config;
use crate::decode::{Decoder, LinearDecoder, Normaliser, Output};
use crate::error::Error;
use crate::train::{Movement, Targets, fit_refit};
use ndarray::Axis;

/// Fits on all bins of which it is known what was meant: with those of use alone a cursor takes longer to its target.
///
/// # Errors
/// Too few of them, channels without events, a fit that is singular.
pub(super) fn fit(
    collected: &Collected,
    config: &Config,
    step_seconds: f64,
) -> Result<(Decoder, FitAbout), Error> {
    let data = collected.dataset(config.bins.features, step_seconds, 0);
    let rows = data.fit_rows();
    let keep = data.features_with_events(&config.decoder)?;
    let used = data.features.select(Axis(0), &rows);
    let normaliser = Normaliser::fit(config.decoder.normaliser(), used.view(), &keep);
    let Targets::Movement(movement) = &data.targets else {
        return Err(Error::fit("fit of ReFIT", "no movement was collected"));
    };
    let meant = Movement { position: Some(collected.positions()), ..movement.clone() };
    let ridge = config.decoder.ridge.first().copied().unwrap_or(RIDGE);
    let weights = fit_refit(&data, &meant, &normaliser, step_seconds, ridge)?;
    let about = FitAbout {
        n_bins: rows.len(),
        n_features: keep.iter().filter(|keep| **keep).count(),
        n_targets: collected.n_targets,
        held_out_r2: None,
    };
    let output = Output::Move { n_axes: meant.axes.len(), has_position: true };
    let linear = LinearDecoder::new(weights, output)
        .ok_or_else(|| Error::fit("fit of ReFIT", "its weights are no numbers").hint("calibrate again"))?;
    Ok((Decoder::new(normaliser, linear), about))
}

/// Where the first fit chose none.
const RIDGE: f64 = 1.0;
