//! Ridge regression on counts of very many channels: 50,000 and more columns over tens of thousands of bins.
//!
//! In: [`Counts`] and what the subject did. Out: a Wiener filter of the counts' z-scores, as [`super::fit`] gives it where
//! that fits into memory. No matrix is ever formed: the counts, of which nine tenths are 0, are multiplied with as many
//! vectors as a register has lanes, the whole fit and all folds of the cross-validation side by side, and conjugate
//! gradients solve all ridge strengths in one Krylov space. Memory: 6 bytes a count that is not 0, and 25 MiB a million
//! columns and lane.

mod counts;
mod kalman;
mod shifted;

pub use counts::Counts;
pub use kalman::{WideKalman, WideMatrices};

use super::Choices;
use super::cross_validation::folds;
use super::dataset::Movement;
use super::wiener::{scales, targets};
use crate::config::{DecoderConfig, NormaliserKind};
use crate::decode::{Decoder, LinearDecoder, Normaliser, Weights};
use crate::error::Error;
use counts::{LANES, Lanes};
use faer::Mat;

/// A fitted filter and how it came about.
#[derive(Clone, Debug)]
pub struct WideFit {
    /// Ready to decode.
    pub decoder: Decoder,
    /// What was chosen on the way.
    pub choices: Choices,
    /// Passes through the counts.
    pub passes: usize,
    /// What is left of the normal equations, as a share, at the least strength.
    pub residual: f64,
    /// Cross-validated squared error of velocity as a share of its variance, for each strength.
    pub losses: Vec<(f64, f64)>,
}

/// Fits on `rows` of the counts, ascending, of which nothing was lost; of those, on the ones whose history is all there.
/// `tick` hears how much is done, 0 to 1.
///
/// # Errors
/// No channel with enough events; strengths that are all 0.
///
/// # Panics
/// If `rows` go beyond the counts or the movement.
pub fn fit(
    counts: &Counts,
    movement: &Movement,
    rows: &[usize],
    config: &DecoderConfig,
    threads: usize,
    mut tick: impl FnMut(f64),
) -> Result<WideFit, Error> {
    let place = "fit of the Wiener filter";
    let mut strengths: Vec<f64> = config.ridge.iter().copied().filter(|strength| *strength > 0.0).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    if strengths.is_empty() {
        return Err(Error::fit(place, "all ridge strengths are 0, and there are more channels than bins")
            .field("decoder.ridge")
            .legal("strengths above 0"));
    }
    let rows: &[usize] =
        &rows.iter().copied().filter(|&row| counts.history(row) + 1 >= config.lags).collect::<Vec<_>>();
    let scaling = Scaling::of(counts, rows, config, place)?;
    let problem = Problem::new(counts, movement, rows, &scaling, config, threads);
    let n_axes = movement.axes.len();
    let lanes = problem.lanes(n_axes, if strengths.len() > 1 { config.folds } else { 0 });
    let mut losses = vec![0.0; strengths.len()];
    let mut found: Vec<Vec<Vec<f64>>> = vec![Vec::new(); strengths.len()];
    let (mut passes, mut residual) = (0, 0.0f64);
    let batches: Vec<&[Lane]> = lanes.chunks(LANES).collect();
    for (at, batch) in batches.iter().enumerate() {
        let solved = problem.solve(batch, &strengths, |done| tick((at as f64 + done) / batches.len() as f64));
        passes += solved.iterations;
        residual = residual.max(solved.residual);
        for (at, solution) in solved.solutions.iter().enumerate() {
            losses[at] += problem.loss(batch, solution);
            for (lane, _) in batch.iter().enumerate().filter(|(_, lane)| lane.without.is_none()) {
                found[at].push(solution.iter().map(|row| f64::from(row.0[lane])).collect());
            }
        }
    }
    let best = (0..strengths.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap_or(0);
    let offset: Vec<f64> =
        found[best].iter().enumerate().map(|(output, w)| problem.offset(output, w)).collect();
    let weights = scaling.weights(counts.n_channels(), config.lags, &found[best], offset);
    let linear = LinearDecoder::new(weights, movement.output(true))
        .ok_or_else(|| Error::fit(place, "the weights are not finite numbers"))?;
    let left_out: Vec<usize> = (0..counts.n_channels()).filter(|&c| scaling.deviation[c] == 0.0).collect();
    let choices = Choices {
        n_bins: rows.len(),
        n_features: counts.n_channels() - left_out.len(),
        left_out,
        wiener_ridge: Some(strengths[best]),
        ..Choices::default()
    };
    let losses = strengths.into_iter().zip(losses).collect();
    Ok(WideFit { decoder: Decoder::new(scaling.normaliser, linear), choices, passes, residual, losses })
}

/// How counts become columns.
struct Scaling {
    normaliser: Normaliser,
    /// Of each channel; 0 where it is left out.
    deviation: Vec<f64>,
    /// What a column's counts are multiplied with: d/σ, 0 where the channel is left out.
    by: Vec<f32>,
}

impl Scaling {
    fn of(counts: &Counts, rows: &[usize], config: &DecoderConfig, place: &str) -> Result<Self, Error> {
        let n = counts.n_channels();
        let (mut sum, mut square) = (vec![0.0f64; n], vec![0.0f64; n]);
        for &row in rows {
            for (channel, count) in counts.bin(row) {
                sum[usize::from(channel)] += f64::from(count);
                square[usize::from(channel)] += f64::from(count) * f64::from(count);
            }
        }
        let n_rows = rows.len().max(1) as f64;
        let least = config.min_events.min(n_rows / super::dataset::BINS_PER_EVENT_MAX);
        let variance = |c: usize| (square[c] / n_rows - (sum[c] / n_rows).powi(2)).max(0.0);
        let deviation: Vec<f64> =
            (0..n).map(|c| if sum[c] >= least { variance(c).sqrt() } else { 0.0 }).collect();
        let kept: Vec<f64> = deviation.iter().copied().filter(|deviation| *deviation > 0.0).collect();
        if kept.is_empty() {
            return Err(Error::fit(place, format!("no channel has {least:.0} events in these bins"))
                .field("decoder.min_events")
                .legal("channels whose counts change")
                .hint("a wider --bins A..B or a lower decoder.min_events"));
        }
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let relative: Vec<f64> = kept.iter().map(|deviation| deviation / mean).collect();
        let of_kept = scales(config.ridge_shape, &relative, config.lags);
        let mut by = vec![0.0; n * config.lags];
        let kept_channels = (0..n).filter(|&c| deviation[c] > 0.0);
        for (at, channel) in kept_channels.enumerate() {
            for lag in 0..config.lags {
                by[lag * n + channel] = (of_kept[lag * kept.len() + at] / deviation[channel]) as f32;
            }
        }
        let inverse = deviation.iter().map(|d| if *d > 0.0 { (1.0 / d) as f32 } else { 0.0 }).collect();
        let means = sum.iter().map(|sum| (sum / n_rows) as f32).collect();
        let normaliser = Normaliser::from_parts(NormaliserKind::Zscore, means, inverse)
            .ok_or_else(|| Error::fit(place, "the counts are not finite numbers"))?;
        Ok(Scaling { normaliser, deviation, by })
    }

    /// Of z-scored counts, from coefficients of columns.
    fn weights(&self, n: usize, lags: usize, found: &[Vec<f64>], offset: Vec<f64>) -> Weights {
        let n_states = found.len();
        let mut readout = Vec::with_capacity(lags * n_states * n);
        for lag in 0..lags {
            for w in found {
                let column =
                    |c: usize| (w[lag * n + c] * f64::from(self.by[lag * n + c]) * self.deviation[c]) as f32;
                readout.extend((0..n).map(column));
            }
        }
        // The coefficients are of counts, the weights of counts less their means.
        let of_means = |w: &Vec<f64>| -> f64 {
            let mean =
                |column: usize| f64::from(self.by[column]) * f64::from(self.normaliser.mean()[column % n]);
            w.iter().enumerate().map(|(column, w)| w * mean(column)).sum()
        };
        let offset = offset.iter().zip(found).map(|(offset, w)| offset + of_means(w)).collect();
        Weights { n_features: n, lags, n_states, readout, recurrence: vec![], output: vec![], offset }
    }
}

/// A right-hand side: an output, over all rows or those without a fold.
struct Lane {
    output: usize,
    without: Option<usize>,
}

struct Problem<'a> {
    counts: &'a Counts,
    rows: Vec<u32>,
    /// The fold of each row.
    fold: Vec<u8>,
    /// rows × outputs.
    y: Mat<f64>,
    by: &'a [f32],
    /// Sums of the scaled columns and of y over each fold; and its rows.
    column_sums: Vec<Vec<f64>>,
    y_sums: Vec<Vec<f64>>,
    n_rows: Vec<usize>,
    threads: usize,
}

impl<'a> Problem<'a> {
    fn new(
        counts: &'a Counts,
        movement: &Movement,
        rows: &[usize],
        scaling: &'a Scaling,
        config: &DecoderConfig,
        threads: usize,
    ) -> Self {
        let y = targets(movement, rows);
        let parts = folds(rows.len(), config.folds);
        let mut fold = vec![0; rows.len()];
        let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let mut problem = Problem {
            counts,
            rows,
            fold: Vec::new(),
            by: &scaling.by,
            column_sums: Vec::new(),
            y_sums: Vec::new(),
            n_rows: parts.iter().map(|part| part.len()).collect(),
            threads,
            y,
        };
        for (at, part) in parts.iter().enumerate() {
            fold[part.clone()].fill(at as u8);
            // A lane for each fold would do; the sums of the columns are those of a line of ones.
            let y = &problem.y;
            let sum = |output: usize| part.clone().map(|row| y[(row, output)]).sum();
            problem.y_sums.push((0..y.ncols()).map(sum).collect());
        }
        for batch in (0..parts.len()).collect::<Vec<_>>().chunks(LANES) {
            let sums = counts.normal_product(&problem.rows, None, scaling.by.len(), threads, |at, line| {
                for (lane, part) in batch.iter().enumerate() {
                    line.0[lane] = f32::from(u8::from(usize::from(fold[at]) == *part));
                }
            });
            for lane in 0..batch.len() {
                let scaled =
                    sums.iter().zip(&scaling.by).map(|(row, &by)| f64::from(row.0[lane]) * f64::from(by));
                problem.column_sums.push(scaled.collect());
            }
        }
        problem.fold = fold;
        problem
    }

    /// All outputs over all rows, and the axes' velocity without each fold.
    fn lanes(&self, n_axes: usize, n_folds: usize) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = (0..self.y.ncols()).map(|output| Lane { output, without: None }).collect();
        for without in 0..n_folds.min(self.n_rows.len()) {
            lanes.extend((0..n_axes).map(|output| Lane { output, without: Some(without) }));
        }
        lanes
    }

    /// Sum over the rows that a lane fits.
    fn total(&self, lane: &Lane, of: impl Fn(usize) -> f64) -> f64 {
        (0..self.n_rows.len()).filter(|fold| lane.without != Some(*fold)).map(of).sum()
    }

    /// The mean of y over the rows that a lane fits.
    fn y_mean(&self, lane: &Lane) -> f64 {
        self.total(lane, |fold| self.y_sums[fold][lane.output])
            / self.total(lane, |fold| self.n_rows[fold] as f64)
    }

    /// What the means of the columns over those rows give with `w`.
    fn at_mean(&self, lane: &Lane, w: impl Iterator<Item = f64>) -> f64 {
        let mut sums = vec![0.0; self.n_rows.len()];
        for (column, w) in w.enumerate() {
            for (sum, columns) in sums.iter_mut().zip(&self.column_sums) {
                *sum += w * columns[column];
            }
        }
        self.total(lane, |fold| sums[fold]) / self.total(lane, |fold| self.n_rows[fold] as f64)
    }

    fn offset(&self, output: usize, w: &[f64]) -> f64 {
        let lane = Lane { output, without: None };
        self.y_mean(&lane) - self.at_mean(&lane, w.iter().copied())
    }

    fn solve(&self, lanes: &[Lane], strengths: &[f64], tick: impl FnMut(f64)) -> shifted::Solved {
        let n_columns = self.by.len();
        let fits: Vec<[f32; LANES]> = (0..self.n_rows.len())
            .map(|fold| {
                let fits = |lane: usize| lanes.get(lane).is_some_and(|lane| lane.without != Some(fold));
                std::array::from_fn(|lane| f32::from(u8::from(fits(lane))))
            })
            .collect();
        let y_means: Vec<f64> = lanes.iter().map(|lane| self.y_mean(lane)).collect();
        let mut b = self.counts.normal_product(&self.rows, None, n_columns, self.threads, |at, line| {
            let fits = &fits[usize::from(self.fold[at])];
            for (lane, about) in lanes.iter().enumerate() {
                line.0[lane] = (self.y[(at, about.output)] - y_means[lane]) as f32 * fits[lane];
            }
        });
        self.scale(&mut b);
        let product = |p: &[Lanes]| {
            let mut scaled = p.to_vec();
            self.scale(&mut scaled);
            let mut means = [0.0f32; LANES];
            for (lane, about) in lanes.iter().enumerate() {
                means[lane] = self.at_mean(about, p.iter().map(|row| f64::from(row.0[lane]))) as f32;
            }
            let mut q =
                self.counts.normal_product(&self.rows, Some(&scaled), n_columns, self.threads, |at, line| {
                    let fits = &fits[usize::from(self.fold[at])];
                    for lane in 0..LANES {
                        line.0[lane] = (line.0[lane] - means[lane]) * fits[lane];
                    }
                });
            self.scale(&mut q);
            q
        };
        shifted::solve(&b, strengths, RESIDUAL_MAX, ITERATIONS_MAX, product, tick)
    }

    /// Columns as they are fitted, from counts.
    fn scale(&self, columns: &mut [Lanes]) {
        for (row, &by) in columns.iter_mut().zip(self.by) {
            row.0.iter_mut().for_each(|value| *value *= by);
        }
    }

    /// Squared error over the folds that lanes have not seen, as a share of the output's variance.
    fn loss(&self, lanes: &[Lane], solution: &[Lanes]) -> f64 {
        if lanes.iter().all(|lane| lane.without.is_none()) {
            return 0.0;
        }
        let mut scaled = solution.to_vec();
        self.scale(&mut scaled);
        let said = self.counts.product(&self.rows, &scaled, self.threads);
        let of_lane = |(at, lane): (usize, &Lane)| {
            let Some(without) = lane.without else { return 0.0 };
            let offset =
                self.y_mean(lane) - self.at_mean(lane, solution.iter().map(|row| f64::from(row.0[at])));
            let n = self.rows.len() as f64;
            let mean = self.y_sums.iter().map(|sums| sums[lane.output]).sum::<f64>() / n;
            let (mut error, mut variance) = (0.0, 0.0);
            for (row, said) in said.iter().enumerate() {
                let y = self.y[(row, lane.output)];
                variance += (y - mean).powi(2);
                if usize::from(self.fold[row]) == without {
                    error += (y - offset - f64::from(said.0[at])).powi(2);
                }
            }
            error / variance
        };
        lanes.iter().enumerate().map(of_lane).sum()
    }
}

/// What may be left of the normal equations at the least strength. Errors of the weights are smaller still at the
/// strength that is chosen, which is seldom the least.
const RESIDUAL_MAX: f64 = 1e-4;
/// Passes at most; a strength of a thousandth of the bins takes about 100.
const ITERATIONS_MAX: usize = 300;

#[cfg(test)]
mod tests;
