//! What a Wiener filter is fitted from, in sums: enough to fit again with other channels, strengths or sessions, and
//! without the bins.
//!
//! In: rows of columns (lags × features, scaled) and outputs. Out: n, Σφ and Σφφᵀ of φ = (columns, outputs), one set for
//! each fold of the cross-validation. Guarantees: sums of two sessions added are the sums of both together, so that a fit
//! on them is the fit on all bins; leaving features out is leaving rows and columns out, so that a fit for the electrodes
//! that remain is the fit that never knew the others. Folds stay apart: those of a new session join those of the old ones.
//!
//! Privacy: sums over thousands of bins hold no bin that could be read back, but they do hold what the person's channels
//! have in common, their rates and their tuning; they are personal data as the weights are.

use super::ridge::{gram_of, solve_positive};
use faer::{Mat, MatRef};

/// Sums over some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Rows.
    pub n: f64,
    /// Σφ
    pub sum: Vec<f64>,
    /// Σφφᵀ, lower half.
    pub products: Mat<f64>,
}

impl Moments {
    /// Of no row of `width` values.
    pub fn none(width: usize) -> Self {
        Moments { n: 0.0, sum: vec![0.0; width], products: Mat::zeros(width, width) }
    }

    /// Of these rows.
    pub(super) fn of(rows: MatRef<'_, f64>) -> Self {
        let sum = (0..rows.ncols()).map(|column| rows.col(column).iter().sum()).collect();
        Moments { n: rows.nrows() as f64, sum, products: gram_of(rows) }
    }

    /// Adds `by` times the other's sums.
    pub fn add(&mut self, other: &Moments, by: f64) {
        self.n += by * other.n;
        self.sum.iter_mut().zip(&other.sum).for_each(|(a, b)| *a += by * b);
        let width = self.sum.len();
        for column in 0..width {
            for row in column..width {
                self.products[(row, column)] += by * other.products[(row, column)];
            }
        }
    }

    /// All sums become `by` times what they are: what is older counts less.
    pub fn fade(&mut self, by: f64) {
        self.n *= by;
        self.sum.iter_mut().for_each(|value| *value *= by);
        self.products *= faer::Scale(by);
    }

    /// Σ(φᵢ − φ̄ᵢ)(φⱼ − φ̄ⱼ)
    fn centred(&self, i: usize, j: usize) -> f64 {
        self.products[(i.max(j), i.min(j))] - self.sum[i] * self.sum[j] / self.n
    }

    /// Ridge regression of the outputs, which stand behind `n_columns` columns, on those columns that are in `keep`:
    /// coefficients, keep × outputs, and an offset each. `None` where it is singular.
    pub fn ridge(&self, n_columns: usize, keep: &[usize], strength: f64) -> Option<(Mat<f64>, Vec<f64>)> {
        let n_outputs = self.sum.len() - n_columns;
        let mut a = Mat::zeros(keep.len(), keep.len());
        for j in 0..keep.len() {
            for i in j..keep.len() {
                a[(i, j)] = self.centred(keep[i], keep[j]);
            }
            a[(j, j)] += strength;
        }
        let b = Mat::from_fn(keep.len(), n_outputs, |i, output| self.centred(n_columns + output, keep[i]));
        let coefficients = match keep {
            [] => Mat::zeros(0, n_outputs),
            _ => solve_positive(a.as_ref(), b.as_ref())?,
        };
        let mean = |column: usize| self.sum[column] / self.n;
        let offset = (0..n_outputs)
            .map(|output| {
                let at_mean: f64 = keep
                    .iter()
                    .enumerate()
                    .map(|(i, &column)| mean(column) * coefficients[(i, output)])
                    .sum();
                mean(n_columns + output) - at_mean
            })
            .collect();
        Some((coefficients, offset))
    }

    /// Σ(y − ŷ)² of an output over these rows.
    fn squared_error(
        &self,
        n_columns: usize,
        keep: &[usize],
        (coefficients, offsets): &(Mat<f64>, Vec<f64>),
        output: usize,
    ) -> f64 {
        let (y, h) = (n_columns + output, offsets[output]);
        let of = |i: usize, j: usize| self.products[(i.max(j), i.min(j))];
        let mut error = of(y, y) - 2.0 * h * self.sum[y] + self.n * h * h;
        for (i, &column) in keep.iter().enumerate() {
            let along: f64 = keep
                .iter()
                .enumerate()
                .map(|(j, &other)| of(column, other) * coefficients[(j, output)])
                .sum();
            error += coefficients[(i, output)] * (along + 2.0 * (h * self.sum[column] - of(y, column)));
        }
        error
    }
}

/// The sums of a Wiener filter, fold by fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The features that are columns, ascending.
    pub features: Vec<usize>,
    /// Features of a bin, those that are no columns included.
    pub n_features: usize,
    /// Bins of history.
    pub lags: usize,
    /// Outputs; the first `n_scored` decide which strength is best.
    pub n_outputs: usize,
    /// See `n_outputs`.
    pub n_scored: usize,
    /// d of each column: lags × features.
    pub scale: Vec<f64>,
    /// One for each fold.
    pub folds: Vec<Moments>,
}

impl Statistics {
    /// Columns.
    pub fn n_columns(&self) -> usize {
        self.features.len() * self.lags
    }

    /// Adds another session's; `None` where it is of other columns.
    pub fn add(&mut self, other: &Statistics) -> Option<()> {
        let same = (&self.features, self.n_features, self.lags, self.n_outputs, &self.scale)
            == (&other.features, other.n_features, other.lags, other.n_outputs, &other.scale);
        (same && self.folds.len() == other.folds.len()).then_some(())?;
        self.folds.iter_mut().zip(&other.folds).for_each(|(own, other)| own.add(other, 1.0));
        Some(())
    }

    /// Over all folds.
    pub fn total(&self) -> Moments {
        let mut total = Moments::none(self.n_columns() + self.n_outputs);
        self.folds.iter().for_each(|fold| total.add(fold, 1.0));
        total
    }

    /// Share of the scored outputs' variance, on average over them, that a fit with this strength on the columns `keep`
    /// explains of the rows that it is fitted on; `None` where it is singular.
    pub fn explained(&self, keep: &[usize], strength: f64) -> Option<f64> {
        let (total, n_columns) = (self.total(), self.n_columns());
        let solution = total.ridge(n_columns, keep, strength)?;
        let share = |output: usize| {
            let variance = total.centred(n_columns + output, n_columns + output);
            1.0 - total.squared_error(n_columns, keep, &solution, output) / variance
        };
        Some((0..self.n_scored).map(share).sum::<f64>() / self.n_scored as f64)
    }

    /// The columns of features that are not lost, by feature of a bin.
    pub fn columns(&self, lost: impl Fn(usize) -> bool) -> Vec<usize> {
        let n = self.features.len();
        (0..self.n_columns()).filter(|column| !lost(self.features[column % n])).collect()
    }

    /// The strength whose squared error on folds that were not fitted is least.
    pub fn best_strength(&self, keep: &[usize], strengths: &[f64]) -> Option<f64> {
        if let [only] = strengths {
            return Some(*only);
        }
        let (total, n_columns) = (self.total(), self.n_columns());
        super::cross_validation::least_loss(strengths, 0.4 * total.n, |strength| {
            let loss = |fold: &Moments| -> f64 {
                let mut rest = total.clone();
                rest.add(fold, -1.0);
                let Some(solution) = rest.ridge(n_columns, keep, strength) else { return f64::INFINITY };
                let error = |output: usize| {
                    let variance = total.centred(n_columns + output, n_columns + output);
                    fold.squared_error(n_columns, keep, &solution, output) / variance
                };
                (0..self.n_scored).map(error).sum()
            };
            self.folds.iter().map(loss).sum()
        })
    }

    /// Weights over all features of a bin, from a solution over the columns `keep`: readout and offset.
    pub fn readout(
        &self,
        keep: &[usize],
        (coefficients, offset): &(Mat<f64>, Vec<f64>),
    ) -> (Vec<f32>, Vec<f64>) {
        let n = self.features.len();
        let mut readout = vec![0.0; self.lags * self.n_outputs * self.n_features];
        for (i, &column) in keep.iter().enumerate() {
            let (lag, feature) = (column / n, self.features[column % n]);
            for output in 0..self.n_outputs {
                readout[(lag * self.n_outputs + output) * self.n_features + feature] =
                    (coefficients[(i, output)] * self.scale[column]) as f32;
            }
        }
        (readout, offset.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ridge, slow};
    use super::*;

    fn rows(n: usize, p: usize, seed: u64) -> Mat<f64> {
        let mut noise = slow::noise(seed);
        let mut rows = Mat::from_fn(n, p + 2, |_, j| noise() + 0.1 * j as f64);
        for i in 0..n {
            rows[(i, p)] = 2.0 * rows[(i, 0)] - rows[(i, p - 1)] + 1.0 + 0.8 * noise();
            rows[(i, p + 1)] = rows[(i, 1)] + 0.8 * noise();
        }
        rows
    }

    fn statistics(of: &[Mat<f64>], p: usize, n_folds: usize) -> Statistics {
        let mut folds = vec![Moments::none(p + 2); n_folds];
        for rows in of {
            for (part, fold) in
                super::super::cross_validation::folds(rows.nrows(), n_folds).iter().zip(&mut folds)
            {
                fold.add(&Moments::of(rows.as_ref().subrows(part.start, part.len())), 1.0);
            }
        }
        let features = (0..p).collect();
        Statistics { features, n_features: p, lags: 1, n_outputs: 2, n_scored: 2, scale: vec![1.0; p], folds }
    }

    #[test]
    fn a_fit_on_the_sums_is_the_fit_on_the_rows_with_its_strength() {
        let p = 9;
        let session = rows(80, p, 4);
        let statistics = statistics(std::slice::from_ref(&session), p, 4);
        let strengths = [0.1, 1.0, 10.0, 100.0];
        let (x, y) = (session.as_ref().subcols(0, p), session.as_ref().subcols(p, 2));
        let expected = ridge::fit(x, y, &strengths, 4, 2).expect("regular");
        let all: Vec<usize> = (0..p).collect();
        let strength = statistics.best_strength(&all, &strengths).expect("regular");
        assert_eq!(strength, expected.strength);
        let (coefficients, offset) = statistics.total().ridge(p, &all, strength).expect("regular");
        assert!(slow::difference(&coefficients, &expected.coefficients) < 1e-10);
        assert!(offset.iter().zip(&expected.offset).all(|(a, b)| (a - b).abs() < 1e-10));
    }

    #[test]
    fn leaving_columns_out_is_never_having_known_them() {
        let p = 9;
        let session = rows(60, p, 5);
        let keep = [0, 1, 5, 8];
        let known = Mat::from_fn(60, keep.len(), |i, j| session[(i, keep[j])]);
        let expected =
            ridge::fit(known.as_ref(), session.as_ref().subcols(p, 2), &[3.0], 2, 2).expect("regular");
        let statistics = statistics(std::slice::from_ref(&session), p, 2);
        let lost = |feature: usize| !keep.contains(&feature);
        assert_eq!(statistics.columns(lost), keep);
        let solution = statistics.total().ridge(p, &keep, 3.0).expect("regular");
        assert!(slow::difference(&solution.0, &expected.coefficients) < 1e-10);
        let (readout, _) = statistics.readout(&keep, &solution);
        for (feature, weight) in readout.iter().take(p).enumerate() {
            assert_eq!(*weight == 0.0, lost(feature), "feature {feature}");
        }
        let nothing = statistics.total().ridge(p, &[], 3.0).expect("the mean");
        let mean = session.col(p).iter().sum::<f64>() / 60.0;
        assert!((nothing.1[0] - mean).abs() < 1e-12, "with nothing left the mean is said");
    }

    #[test]
    fn sessions_add_up_and_fade() {
        let p = 6;
        let (first, second) = (rows(40, p, 6), rows(60, p, 7));
        let mut sum = statistics(std::slice::from_ref(&first), p, 2);
        sum.add(&statistics(std::slice::from_ref(&second), p, 2)).expect("of the same columns");
        let both = Mat::from_fn(100, p + 2, |i, j| if i < 40 { first[(i, j)] } else { second[(i - 40, j)] });
        let all: Vec<usize> = (0..p).collect();
        let joint = Moments::of(both.as_ref()).ridge(p, &all, 2.0).expect("regular");
        let added = sum.total().ridge(p, &all, 2.0).expect("regular");
        assert!(slow::difference(&added.0, &joint.0) < 1e-10);
        let mut faded = Moments::of(first.as_ref());
        faded.fade(0.0);
        faded.add(&Moments::of(second.as_ref()), 1.0);
        assert_eq!(faded, Moments::of(second.as_ref()));
        let other = Statistics { scale: vec![2.0; p], ..sum.clone() };
        assert!(sum.add(&other).is_none(), "columns of another scale don't add up");
    }
}
