//! Linear classifiers: one score per class, the highest wins.
//!
//! In: normalised features of a bin per trial and its label. Out: W and h of the scores W·x + h, in the
//! features' normalised scale.

use super::cross_validation::{folds, least_loss};
use crate::config::DecoderConfig;
use crate::decode::Weights;
use crate::error::Error;
use faer::prelude::Solve;
use faer::{Mat, Side};
use linfa::prelude::{DatasetBase, Fit};
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2, Axis};

/// LDA with shrinkage: scores μₖᵀS⁻¹x − ½μₖᵀS⁻¹μₖ + log πₖ with S = (1 − γ)·Σ + γ·(tr Σ / p)·1, Σ the covariance
/// within classes (Friedman 1989). γ has the least log loss in cross-validation; `deviation` puts the features
/// back on one scale first, since z-scoring blows up the channels that hardly fire.
pub(super) fn lda(
    x: &Array2<f32>,
    labels: &[u16],
    names: &[String],
    rows: &[usize],
    deviation: &[f64],
    config: &DecoderConfig,
) -> Result<(Weights, f64), Error> {
    let place = "fit of the LDA";
    let trials = Trials::new(x, labels, names, rows, deviation);
    trials.check(names, place)?;
    let loss = trials.cross_validated(config.folds, |rows, gamma| trials.lda(rows, gamma));
    let (least, gamma) = config
        .shrinkage
        .iter()
        .map(|&gamma| (loss(gamma), gamma))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("the settings have a shrinkage");
    let all: Vec<usize> = (0..rows.len()).collect();
    let scores = trials.lda(&all, gamma).filter(|_| least.is_finite()).ok_or_else(|| {
        Error::fit(place, "the covariance within classes is singular")
            .field("decoder.shrinkage")
            .legal("shrinkages above 0 where there are fewer trials than channels")
            .hint("decoder.shrinkage = [0.1, 0.5]")
    })?;
    Ok((scores.weights(deviation), gamma))
}

/// Multinomial logistic regression with an L2 penalty, by `linfa`; its strength has the least log loss in
/// cross-validation.
pub(super) fn logistic(
    x: &Array2<f32>,
    labels: &[u16],
    names: &[String],
    rows: &[usize],
    deviation: &[f64],
    config: &DecoderConfig,
) -> Result<(Weights, f64), Error> {
    let place = "fit of the logistic regression";
    let trials = Trials::new(x, labels, names, rows, deviation);
    trials.check(names, place)?;
    let loss = trials.cross_validated(config.folds, |rows, strength| trials.logistic(rows, strength).ok());
    let strength = least_loss(&config.ridge, LOGISTIC_START, loss).unwrap_or(config.ridge[0]);
    let all: Vec<usize> = (0..rows.len()).collect();
    let scores = trials.logistic(&all, strength)?;
    Ok((scores.weights(deviation), strength))
}

struct Trials {
    /// trials × features.
    x: Array2<f64>,
    labels: Vec<usize>,
    n_classes: usize,
}

/// W·x + h: classes × features, classes.
struct Scores {
    w: Array2<f64>,
    h: Array1<f64>,
}

impl Trials {
    /// Those at `rows`, features back on their scale before z-scoring.
    fn new(x: &Array2<f32>, labels: &[u16], names: &[String], rows: &[usize], deviation: &[f64]) -> Self {
        let value = |(i, j): (usize, usize)| f64::from(x[(rows[i], j)]) * deviation[j];
        Trials {
            x: Array2::from_shape_fn((rows.len(), x.ncols()), value),
            labels: rows.iter().map(|&row| usize::from(labels[row])).collect(),
            n_classes: names.len(),
        }
    }

    fn check(&self, names: &[String], place: &str) -> Result<(), Error> {
        for (class, name) in names.iter().enumerate() {
            let n = self.labels.iter().filter(|&&label| label == class).count();
            if n < TRIALS_MIN {
                return Err(Error::fit(place, format!("{n} trials of class `{name}`"))
                    .field("bins")
                    .legal(format!("at least {TRIALS_MIN} trials of each class"))
                    .hint("a wider --bins A..B"));
            }
        }
        Ok(())
    }

    /// The log loss over contiguous folds as a function of what `fit` (rows and a strength) regularises with;
    /// infinite where a fold can't be fitted.
    fn cross_validated(
        &self,
        n_folds: usize,
        fit: impl Fn(&[usize], f64) -> Option<Scores>,
    ) -> impl Fn(f64) -> f64 {
        let n = self.labels.len();
        let parts = folds(n, n_folds);
        move |strength| {
            let losses = parts.iter().map(|part| {
                let rest: Vec<usize> = (0..n).filter(|at| !part.contains(at)).collect();
                fit(&rest, strength).map_or(f64::INFINITY, |scores| {
                    part.clone().map(|at| scores.log_loss(self, at)).sum::<f64>()
                })
            });
            losses.sum()
        }
    }

    fn lda(&self, rows: &[usize], gamma: f64) -> Option<Scores> {
        let p = self.x.ncols();
        let mut mean = Array2::<f64>::zeros((self.n_classes, p));
        let mut count = vec![0.0; self.n_classes];
        for &row in rows {
            let mut of_class = mean.row_mut(self.labels[row]);
            of_class += &self.x.row(row);
            count[self.labels[row]] += 1.0;
        }
        for (mut of_class, &n) in mean.axis_iter_mut(Axis(0)).zip(&count) {
            if n == 0.0 {
                return None;
            }
            of_class /= n;
        }
        let left = Mat::from_fn(rows.len(), p, |i, j| self.x[(rows[i], j)] - mean[(self.labels[rows[i]], j)]);
        let mut s = left.transpose() * &left * faer::Scale(1.0 / rows.len() as f64);
        let level = (0..p).map(|i| s[(i, i)]).sum::<f64>() / p as f64;
        for i in 0..p {
            for j in 0..p {
                s[(i, j)] *= 1.0 - gamma;
            }
            s[(i, i)] += gamma * level;
        }
        let means = Mat::from_fn(p, self.n_classes, |j, class| mean[(class, j)]);
        let solved = s.llt(Side::Lower).ok()?.solve(&means);
        let w = Array2::from_shape_fn((self.n_classes, p), |(class, j)| solved[(j, class)]);
        let h = Array1::from_shape_fn(self.n_classes, |class| {
            (count[class] / rows.len() as f64).ln() - 0.5 * w.row(class).dot(&mean.row(class))
        });
        w.iter().chain(&h).all(|value| value.is_finite()).then_some(Scores { w, h })
    }

    fn logistic(&self, rows: &[usize], strength: f64) -> Result<Scores, Error> {
        let x = self.x.select(Axis(0), rows);
        let y: Array1<usize> = rows.iter().map(|&row| self.labels[row]).collect();
        let fitted = MultiLogisticRegression::default()
            .alpha(strength)
            .max_iterations(ITERATIONS_MAX)
            .fit(&DatasetBase::new(x, y))
            .map_err(|error| {
                Error::fit("fit of the logistic regression", format!("it doesn't converge ({error})"))
                    .field("decoder.ridge")
                    .legal("strengths above 0")
                    .hint("decoder.ridge = [100, 1000]")
            })?;
        if fitted.params().ncols() != self.n_classes {
            return Err(Error::fit("fit of the logistic regression", "a fold lacks a class")
                .field("decoder.folds")
                .legal("folds that leave trials of every class to the others"));
        }
        Ok(Scores { w: fitted.params().t().to_owned(), h: fitted.intercept().to_owned() })
    }
}

impl Scores {
    /// As a decoder of z-scored features.
    fn weights(&self, deviation: &[f64]) -> Weights {
        let n_features = deviation.len();
        let scaled = |(at, w): (usize, &f64)| (w * deviation[at % n_features]) as f32;
        Weights {
            n_features,
            lags: 1,
            n_states: self.h.len(),
            readout: self.w.iter().enumerate().map(scaled).collect(),
            recurrence: Vec::new(),
            output: Vec::new(),
            offset: self.h.to_vec(),
        }
    }

    /// −log of the probability given to the true class.
    fn log_loss(&self, trials: &Trials, at: usize) -> f64 {
        let scores = self.w.dot(&trials.x.row(at)) + &self.h;
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - best).exp()).sum();
        total.ln() + best - scores[trials.labels[at]]
    }
}

/// Where the search for the logistic regression's strength starts.
const LOGISTIC_START: f64 = 1.0;
/// Trials of a class that a fit needs at the very least.
const TRIALS_MIN: usize = 2;
/// L-BFGS steps; a few hundred channels converge in under a hundred.
const ITERATIONS_MAX: u64 = 300;

#[cfg(test)]
mod tests {
    use super::super::slow;
    use super::*;

    /// Trials of three classes, of which the last is rare.
    fn trials() -> Trials {
        let mut noise = slow::noise(1);
        let labels: Vec<usize> = (0..70).map(|at| if at % 7 == 6 { 2 } else { at % 2 }).collect();
        let common: Vec<f64> = labels.iter().map(|_| noise()).collect();
        let value = |(at, j): (usize, usize)| noise() + common[at] + (labels[at] * j) as f64 * 0.2;
        let x = Array2::from_shape_fn((70, 5), value);
        Trials { x, labels, n_classes: 3 }
    }

    /// log πₖ − ½(x − μₖ)ᵀS⁻¹(x − μₖ), straight from the Gaussian.
    fn log_posteriors(trials: &Trials, rows: &[usize], gamma: f64, at: &[f64]) -> Vec<f64> {
        let p = trials.x.ncols();
        let of = |class: usize| -> Vec<usize> {
            rows.iter().copied().filter(|&row| trials.labels[row] == class).collect()
        };
        let mean = |class: usize, j: usize| {
            of(class).iter().map(|&row| trials.x[(row, j)]).sum::<f64>() / of(class).len() as f64
        };
        let covariance = |i: usize, j: usize| {
            let product = |&row: &usize| {
                let class = trials.labels[row];
                (trials.x[(row, i)] - mean(class, i)) * (trials.x[(row, j)] - mean(class, j))
            };
            rows.iter().map(product).sum::<f64>() / rows.len() as f64
        };
        let level = (0..p).map(|i| covariance(i, i)).sum::<f64>() / p as f64;
        let s = Mat::from_fn(p, p, |i, j| {
            (1.0 - gamma) * covariance(i, j) + if i == j { gamma * level } else { 0.0 }
        });
        let score = |class: usize| {
            let d = Mat::from_fn(p, 1, |j, _| at[j] - mean(class, j));
            let distance = (d.transpose() * slow::solve(&s, &d))[(0, 0)];
            (of(class).len() as f64 / rows.len() as f64).ln() - 0.5 * distance
        };
        (0..trials.n_classes).map(score).collect()
    }

    #[test]
    fn lda_scores_are_log_posteriors_up_to_a_constant() {
        let trials = trials();
        let all: Vec<usize> = (0..70).collect();
        let without_a_fold: Vec<usize> = (0..70).filter(|row| !(20..35).contains(row)).collect();
        for rows in [&all, &without_a_fold] {
            for gamma in [0.0, 0.3, 1.0] {
                let scores = trials.lda(rows, gamma).expect("regular");
                for at in [[0.0; 5], [1.0, -2.0, 0.5, 3.0, -1.0]] {
                    let said = scores.w.dot(&Array1::from(at.to_vec())) + &scores.h;
                    let expected = log_posteriors(&trials, rows, gamma, &at);
                    for class in 1..3 {
                        let (a, b) = (said[class] - said[0], expected[class] - expected[0]);
                        assert!((a - b).abs() < 1e-9, "class {class}, γ = {gamma}: {a} for {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_log_loss_is_that_of_the_softmax() {
        let trials = trials();
        let rows: Vec<usize> = (0..70).collect();
        let scores = trials.lda(&rows, 0.2).expect("regular");
        let posteriors = log_posteriors(&trials, &rows, 0.2, &trials.x.row(6).to_vec());
        let total: f64 = posteriors.iter().map(|score| score.exp()).sum();
        let expected = total.ln() - posteriors[trials.labels[6]];
        assert!((scores.log_loss(&trials, 6) - expected).abs() < 1e-9);
    }

    #[test]
    fn a_class_that_a_fold_lacks_has_no_fit() {
        let trials = trials();
        let without_the_rare: Vec<usize> = (0..70).filter(|&row| trials.labels[row] != 2).collect();
        assert!(trials.lda(&without_the_rare, 0.5).is_none());
    }

    #[test]
    fn scores_of_features_as_they_are_become_scores_of_normalised_ones() {
        let scores = Scores { w: ndarray::array![[1.0, 2.0], [3.0, 4.0]], h: ndarray::array![0.5, -0.5] };
        let weights = scores.weights(&[10.0, 0.5]);
        assert_eq!(weights.readout, [10.0, 1.0, 30.0, 2.0]);
        assert_eq!(weights.offset, [0.5, -0.5]);
    }
}
