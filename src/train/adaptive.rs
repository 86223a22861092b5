//! A Wiener filter that goes on learning while it runs.
//!
//! In: the sums that it was fitted from, and bins with what the subject did, as they pass. Out: what it says of each bin,
//! decoded before that bin was learnt from, and how good that was. After every batch the sums fade and the batch's are
//! added, and the weights are solved again: recursive least squares with forgetting, block by block, whose weights after a
//! block are those of the recursion bin by bin (Ljung 1999, §11.2; as closed-loop adaptation by sufficient statistics:
//! Dangi et al. 2014, Neural Computation 26:1811).

use super::basis::resolve_wiener;
use super::dataset::{Dataset, Targets, score_actions};
use super::statistics::{Moments, Statistics};
use super::wiener::{design, targets};
use crate::decode::Decoder;
use crate::error::Error;
use crate::intents::Action;
use crate::score::Score;
use faer::Mat;

/// How fast it forgets, and how often it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adapting {
    /// Bins after which what was learnt counts half; infinite where nothing is forgotten.
    pub half_life_bins: f64,
    /// Bins between two solutions.
    pub batch_bins: usize,
}

/// Decodes `data.rows` with `decoder`, which was fitted from `statistics` at `strength`, and learns from each batch once it
/// is past. No bin's truth is known before that bin is decoded.
///
/// # Errors
/// A recording of classes; a solution that is singular.
///
/// # Panics
/// If `batch_bins` is 0.
pub fn run_adaptive(
    data: &Dataset,
    decoder: &Decoder,
    statistics: &Statistics,
    strength: f64,
    adapting: Adapting,
) -> Result<Score, Error> {
    let place = "adaptive decoder";
    let Targets::Movement(movement) = &data.targets else {
        return Err(Error::usage(place, "it decodes movement").legal("a recording with movement"));
    };
    let x = data.normalised(decoder.normaliser(), &statistics.features);
    let mut live = decoder.clone();
    live.reset();
    let mut sums = statistics.total();
    let end = data.rows.end.min(data.targets.n_bins());
    (0..data.rows.start).for_each(|row| {
        live.decode(&data.bin(row));
    });
    let mut decoded: Vec<(usize, Action)> = Vec::new();
    let mut start = data.rows.start;
    while start < end {
        let batch = start..end.min(start + adapting.batch_bins);
        decoded.extend(batch.clone().map(|row| (row, live.decode(&data.bin(row)).action)));
        let rows: Vec<usize> = batch.clone().filter(|&row| data.whole[row]).collect();
        let (columns, outputs) = (design(data, &x, &statistics.scale, &rows), targets(movement, &rows));
        let mut both = Mat::zeros(rows.len(), columns.ncols() + outputs.ncols());
        both.as_mut().subcols_mut(0, columns.ncols()).copy_from(&columns);
        both.as_mut().subcols_mut(columns.ncols(), outputs.ncols()).copy_from(&outputs);
        sums.fade(0.5f64.powf(batch.len() as f64 / adapting.half_life_bins));
        sums.add(&Moments::of(both.as_ref()), 1.0);
        let weights = resolve_wiener(statistics, &sums, strength, |_| false);
        let mut next = weights.and_then(|weights| live.with_weights(weights)).ok_or_else(|| {
            Error::fit(place, "its sums are singular").hint("a longer half life, or a larger decoder.ridge")
        })?;
        live.take_over(&mut next);
        start = batch.end;
    }
    Ok(score_actions(&data.targets, &decoded))
}
