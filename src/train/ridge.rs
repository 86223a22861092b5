//! Ridge regression: min ‖Y − 1bᵀ − XB‖² + λ‖B‖², the offset b unpenalised.
//!
//! In: X, rows × columns, Y, rows × outputs, strengths to choose from. Out: B, b and the λ that cross-validation
//! over contiguous folds chose. With fewer columns than rows the normal equations (XᵀX + λ)B = XᵀY are solved,
//! else the dual ones, B = Xᵀ(XXᵀ + λ)⁻¹Y (Hoerl & Kennard 1970; Saunders et al. 1998), both on centred data
//! by Cholesky. A fold's Gram matrix is the whole one less the fold's own.

use super::cross_validation::{folds, least_loss};
use crate::error::Error;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::Solve;
use faer::{Accum, Mat, MatRef, Par, Side};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fitted ridge regression.
pub(super) struct Ridge {
    /// columns × outputs.
    pub coefficients: Mat<f64>,
    /// One per output.
    pub offset: Vec<f64>,
    /// The chosen λ.
    pub strength: f64,
}

/// Fits; the first `n_scored` outputs decide which strength is best. `None` where no strength gives a regular
/// fit.
pub(super) fn fit(
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
    strengths: &[f64],
    n_folds: usize,
    n_scored: usize,
) -> Option<Ridge> {
    let n = x.nrows();
    let parts = folds(n, n_folds);
    let (normal, grams) = Normal::new(x, y, &parts);
    let strength = if let [only] = strengths {
        *only
    } else {
        least_loss(strengths, START_SHARE * n as f64, |strength| {
            let losses = each(parts.len(), |at| {
                let normal = normal.without(parts[at].clone(), &grams[at]);
                let Some(fit) = normal.solve(strength) else { return f64::INFINITY };
                squared_error(&fit, x, y, parts[at].clone(), n_scored)
            });
            losses.into_iter().sum()
        })?
    };
    let (coefficients, offset) = normal.solve(strength)?;
    Some(Ridge { coefficients, offset, strength })
}

/// Refuses a fit that memory doesn't hold: the regressors, and the sums of products of every fold.
///
/// # Errors
/// With what to leave out.
pub(super) fn check_size(n_rows: usize, n_columns: usize, n_folds: usize, place: &str) -> Result<(), Error> {
    let gib = gib(n_rows, n_columns, n_folds);
    if gib <= FIT_GIB_MAX {
        return Ok(());
    }
    Err(Error::fit(place, format!("{n_columns} regressors over {n_rows} bins, {gib:.0} GiB of sums"))
        .field("decoder.lags")
        .legal(format!("at most {FIT_GIB_MAX} GiB"))
        .hint("fewer lags, fewer bins (--bins A..B), or a higher decoder.min_events"))
}

/// Memory that a fit takes: the regressors, the whole Gram matrix, one a fold, and three for each that is solved at a time.
pub(super) fn gib(n_rows: usize, n_columns: usize, n_folds: usize) -> f64 {
    let side = n_columns.min(n_rows) as f64;
    let n_matrices = 1 + n_folds + 3 * THREADS_MAX;
    let values = n_rows as f64 * n_columns as f64 + n_matrices as f64 * side.powi(2);
    values * size_of::<f64>() as f64 / f64::from(1u32 << 30)
}

/// Memory that a fit may take, which a usual workstation has.
const FIT_GIB_MAX: f64 = 8.0;

/// What `of` says of 0 to `n`, in this order, whichever thread is done first: as many threads as there are cores, and no more than
/// memory is counted for.
fn each<T: Send>(n: usize, of: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let n_threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(n.max(1));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= n {
                return done;
            }
            done.push((at, of(at)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..n_threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for thread in threads {
            done.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, found)| found).collect()
}

const THREADS_MAX: usize = 4;

/// Where the search for a strength starts, as a share of the rows: z-scored features want about this.
const START_SHARE: f64 = 0.4;

/// The sums that a fit over some rows needs.
struct Normal<'a> {
    x: MatRef<'a, f64>,
    y: MatRef<'a, f64>,
    /// Rows that are fitted.
    rows: Vec<Range<usize>>,
    /// XᵀX or XXᵀ of all of `x`'s fitted rows, uncentred, lower half.
    gram: Cow<'a, Mat<f64>>,
    dual: bool,
    x_mean: Vec<f64>,
    y_mean: Vec<f64>,
}

type Solution = (Mat<f64>, Vec<f64>);

impl<'a> Normal<'a> {
    /// For all rows, and each part's own XᵀX; there are none in the dual form, which picks rows and columns of
    /// the one XXᵀ.
    fn new(x: MatRef<'a, f64>, y: MatRef<'a, f64>, parts: &[Range<usize>]) -> (Self, Vec<Option<Mat<f64>>>) {
        let dual = x.ncols() > x.nrows();
        let of_part = |at: usize| (!dual).then(|| gram_of(x.subrows(parts[at].start, parts[at].len())));
        let grams: Vec<Option<Mat<f64>>> = each(parts.len(), of_part);
        let gram = if dual {
            gram_of(x.transpose())
        } else {
            grams.iter().flatten().fold(Mat::zeros(x.ncols(), x.ncols()), |sum, gram| sum + gram)
        };
        let rows = std::iter::once(0..x.nrows()).collect::<Vec<_>>();
        let (x_mean, y_mean) = (mean_of(x, &rows), mean_of(y, &rows));
        (Normal { x, y, rows, gram: Cow::Owned(gram), dual, x_mean, y_mean }, grams)
    }

    /// The same for all rows but `part`, whose own XᵀX is `gram`.
    fn without<'b>(&'b self, part: Range<usize>, gram: &Option<Mat<f64>>) -> Normal<'b> {
        let rows = vec![0..part.start, part.end..self.x.nrows()];
        let gram = match gram {
            None => Cow::Borrowed(&*self.gram),
            Some(gram) => Cow::Owned(&*self.gram - gram),
        };
        let (x_mean, y_mean) = (mean_of(self.x, &rows), mean_of(self.y, &rows));
        Normal { x: self.x, y: self.y, rows, gram, dual: self.dual, x_mean, y_mean }
    }

    fn solve(&self, strength: f64) -> Option<Solution> {
        let coefficients = if self.dual { self.solve_dual(strength)? } else { self.solve_primal(strength)? };
        let offset = (0..self.y.ncols())
            .map(|output| {
                let at_mean: f64 =
                    self.x_mean.iter().enumerate().map(|(i, mean)| mean * coefficients[(i, output)]).sum();
                self.y_mean[output] - at_mean
            })
            .collect();
        Some((coefficients, offset))
    }

    fn solve_primal(&self, strength: f64) -> Option<Mat<f64>> {
        let (p, m) = (self.x.ncols(), self.y.ncols());
        let n: usize = self.rows.iter().map(Range::len).sum();
        let mut a = self.gram.clone().into_owned();
        for column in 0..p {
            let scaled = n as f64 * self.x_mean[column];
            for row in column..p {
                a[(row, column)] -= scaled * self.x_mean[row];
            }
            a[(column, column)] += strength;
        }
        let mut b = Mat::zeros(p, m);
        for rows in &self.rows {
            let x = self.x.subrows(rows.start, rows.len());
            let y = self.y.subrows(rows.start, rows.len());
            matmul(b.as_mut(), Accum::Add, x.transpose(), y, 1.0, Par::Seq);
        }
        for output in 0..m {
            for column in 0..p {
                b[(column, output)] -= n as f64 * self.x_mean[column] * self.y_mean[output];
            }
        }
        solve_positive(a.as_ref(), b.as_ref())
    }

    fn solve_dual(&self, strength: f64) -> Option<Mat<f64>> {
        let rows: Vec<usize> = self.rows.iter().cloned().flatten().collect();
        let (n, m) = (rows.len(), self.y.ncols());
        // Kernel of the fitted rows, centred: (1 − 11ᵀ/n) K (1 − 11ᵀ/n).
        let kernel = |i: usize, j: usize| {
            let (i, j) = (rows[i].max(rows[j]), rows[i].min(rows[j]));
            self.gram[(i, j)]
        };
        let mut a = Mat::from_fn(n, n, kernel);
        let means: Vec<f64> = (0..n).map(|j| a.col(j).iter().sum::<f64>() / n as f64).collect();
        let mean = means.iter().sum::<f64>() / n as f64;
        for column in 0..n {
            for row in 0..n {
                a[(row, column)] += mean - means[row] - means[column];
            }
            a[(column, column)] += strength;
        }
        let b = Mat::from_fn(n, m, |row, output| self.y[(rows[row], output)] - self.y_mean[output]);
        let alpha = solve_positive(a.as_ref(), b.as_ref())?;
        let mut coefficients = Mat::zeros(self.x.ncols(), m);
        let mut at = 0;
        for rows in &self.rows {
            let x = self.x.subrows(rows.start, rows.len());
            let alpha = alpha.subrows(at, rows.len());
            matmul(coefficients.as_mut(), Accum::Add, x.transpose(), alpha, 1.0, Par::Seq);
            at += rows.len();
        }
        for output in 0..m {
            let sum: f64 = alpha.col(output).iter().sum();
            for column in 0..self.x.ncols() {
                coefficients[(column, output)] -= sum * self.x_mean[column];
            }
        }
        Some(coefficients)
    }
}

/// Lower half of XᵀX.
pub(super) fn gram_of(x: MatRef<'_, f64>) -> Mat<f64> {
    let p = x.ncols();
    let mut gram = Mat::zeros(p, p);
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(gram.as_mut(), lower, Accum::Replace, x.transpose(), full, x, full, 1.0, Par::Seq);
    gram
}

/// A⁻¹B by Cholesky; `None` where A is not positive definite, or so nearly singular that rounding decides.
pub(super) fn solve_positive(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let cholesky = a.llt(Side::Lower).ok()?;
    let pivots = (0..a.ncols()).map(|i| cholesky.L()[(i, i)].powi(2));
    let (least, most) = pivots
        .fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), pivot| (least.min(pivot), most.max(pivot)));
    let regular = least > PIVOT_SHARE_MIN * most;
    regular.then(|| cholesky.solve(b))
}

/// The least pivot over the greatest; below this, a column is a copy of others up to rounding.
const PIVOT_SHARE_MIN: f64 = 1e-13;

fn mean_of(x: MatRef<'_, f64>, rows: &[Range<usize>]) -> Vec<f64> {
    let n: usize = rows.iter().map(Range::len).sum();
    let sum = |column: usize| -> f64 {
        rows.iter().map(|rows| x.col(column).subrows(rows.start, rows.len()).iter().sum::<f64>()).sum()
    };
    (0..x.ncols()).map(|column| sum(column) / n as f64).collect()
}

/// Σ over the first `n_scored` outputs of the squared error in `part`, as a share of the output's own variance.
fn squared_error(
    (coefficients, offset): &Solution,
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
    part: Range<usize>,
    n_scored: usize,
) -> f64 {
    let x = x.subrows(part.start, part.len());
    let said = x * coefficients.subcols(0, n_scored);
    let loss = |output: usize| -> f64 {
        let all = y.col(output);
        let mean = all.iter().sum::<f64>() / all.nrows() as f64;
        let variance: f64 = all.iter().map(|value| (value - mean).powi(2)).sum();
        let error: f64 = (0..part.len())
            .map(|row| (y[(part.start + row, output)] - offset[output] - said[(row, output)]).powi(2))
            .sum();
        error / variance
    };
    (0..n_scored).map(loss).sum()
}

#[cfg(test)]
mod tests {
    use super::super::slow;
    use super::*;
    use linfa::prelude::{DatasetBase, Fit};
    use linfa_linear::TweedieRegressor;
    use ndarray::{Array1, Array2};

    /// Regressors with a mean and outputs that depend on some of them.
    fn problem(n: usize, p: usize, seed: u64) -> (Mat<f64>, Mat<f64>) {
        let mut noise = slow::noise(seed);
        let x = Mat::from_fn(n, p, |_, j| noise() + j as f64 * 0.1);
        let y = Mat::from_fn(n, 2, |i, output| x[(i, output)] * 2.0 - x[(i, p - 1)] + 5.0 + 0.3 * noise());
        (x, y)
    }

    /// The normal equations of centred data, column by column.
    fn slow_fit(x: &Mat<f64>, y: &Mat<f64>, strength: f64) -> Solution {
        let mean = |of: &Mat<f64>, j: usize| of.col(j).iter().sum::<f64>() / of.nrows() as f64;
        let centred = |of: &Mat<f64>| Mat::from_fn(of.nrows(), of.ncols(), |i, j| of[(i, j)] - mean(of, j));
        let (xc, yc) = (centred(x), centred(y));
        let mut a = xc.transpose() * &xc;
        (0..x.ncols()).for_each(|j| a[(j, j)] += strength);
        let coefficients = slow::solve(&a, &(xc.transpose() * &yc));
        let at_mean = |output| (0..x.ncols()).map(|j| mean(x, j) * coefficients[(j, output)]).sum::<f64>();
        let offset = (0..y.ncols()).map(|output| mean(y, output) - at_mean(output)).collect();
        (coefficients, offset)
    }

    fn assert_same((coefficients, offset): &Solution, (expected, at): &Solution, what: &str) {
        assert!(slow::difference(coefficients, expected) < 1e-9, "{what}: {coefficients:?} for {expected:?}");
        assert!(offset.iter().zip(at).all(|(a, b)| (a - b).abs() < 1e-9), "{what}: {offset:?} for {at:?}");
    }

    #[test]
    fn primal_and_dual_are_the_slow_solution() {
        for (n, p) in [(40, 7), (12, 30), (9, 9)] {
            let (x, y) = problem(n, p, 1);
            for strength in [0.5, 20.0] {
                let fitted = fit(x.as_ref(), y.as_ref(), &[strength], 5, 2).expect("regular");
                let what = format!("{n} × {p}, λ = {strength}");
                assert_same(&(fitted.coefficients, fitted.offset), &slow_fit(&x, &y, strength), &what);
            }
        }
    }

    #[test]
    fn a_fit_without_a_fold_has_not_seen_it() {
        for (n, p) in [(40, 7), (12, 30)] {
            let (x, y) = problem(n, p, 2);
            let parts = folds(n, 3);
            let (normal, grams) = Normal::new(x.as_ref(), y.as_ref(), &parts);
            for (part, gram) in parts.iter().zip(&grams) {
                let rest: Vec<usize> = (0..n).filter(|row| !part.contains(row)).collect();
                let take = |of: &Mat<f64>| Mat::from_fn(rest.len(), of.ncols(), |i, j| of[(rest[i], j)]);
                let fitted = normal.without(part.clone(), gram).solve(3.0).expect("regular");
                let expected = slow_fit(&take(&x), &take(&y), 3.0);
                assert_same(&fitted, &expected, &format!("{n} × {p} without {part:?}"));
            }
        }
    }

    #[test]
    fn the_strength_has_the_least_error_on_folds_that_were_not_fitted() {
        let (x, mut y) = problem(60, 20, 3);
        let mut noise = slow::noise(6);
        (0..60).for_each(|i| (0..2).for_each(|j| y[(i, j)] += 4.0 * noise()));
        let strengths = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];
        let error = |strength: f64| -> f64 {
            let errors = folds(60, 5).into_iter().map(|part| {
                let rest: Vec<usize> = (0..60).filter(|row| !part.contains(row)).collect();
                let take = |of: &Mat<f64>| Mat::from_fn(rest.len(), of.ncols(), |i, j| of[(rest[i], j)]);
                squared_error(&slow_fit(&take(&x), &take(&y), strength), x.as_ref(), y.as_ref(), part, 2)
            });
            errors.sum()
        };
        let best = strengths.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b))).expect("some");
        let fitted = fit(x.as_ref(), y.as_ref(), &strengths, 5, 2).expect("regular");
        assert_eq!(fitted.strength, best);
        assert!(best > 0.01 && best < 1000.0, "the valley has two sides");
    }

    #[test]
    fn linfa_finds_the_same() {
        let (n, p, strength) = (50, 6, 8.0);
        let (x, y) = problem(n, p, 4);
        let fitted = fit(x.as_ref(), y.as_ref(), &[strength], 5, 2).expect("regular");
        let records = Array2::from_shape_fn((n, p), |(i, j)| x[(i, j)]);
        for output in 0..2 {
            let targets = Array1::from_shape_fn(n, |i| y[(i, output)]);
            // With power 0 its deviance is the sum of squares: the same problem, solved by L-BFGS.
            let peer = TweedieRegressor::params()
                .power(0.0)
                .alpha(strength)
                .tol(1e-10)
                .max_iter(1000)
                .fit(&DatasetBase::new(records.clone(), targets))
                .expect("it converges");
            for (j, &coefficient) in peer.coef.iter().enumerate() {
                let own = fitted.coefficients[(j, output)];
                assert!((own - coefficient).abs() < 1e-5, "column {j}: {own} and {coefficient}");
            }
            assert!((fitted.offset[output] - peer.intercept).abs() < 1e-5);
        }
    }

    #[test]
    fn copies_of_a_column_need_a_strength_above_0() {
        let (mut x, y) = problem(40, 5, 5);
        (0..40).for_each(|i| x[(i, 4)] = x[(i, 0)]);
        assert!(fit(x.as_ref(), y.as_ref(), &[0.0], 5, 2).is_none());
        let fitted = fit(x.as_ref(), y.as_ref(), &[0.0, 1.0], 5, 2).expect("regular with a ridge");
        assert_eq!(fitted.strength, 1.0);
    }
}
