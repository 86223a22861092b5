//! Recursive least squares with forgetting: weights that learn from every bin while the stream runs.
//!
//! In: features of a bin and, once it is known, what was meant. Out: weights whose predictions have the least sum of squared
//! errors, each weighed by λ to the power of its age, plus what is left of the ridge that they began with:
//!
//! > k = P·x / (λ + xᵀ·P·x),  W ← W + k·(y − xᵀ·W)ᵀ,  P ← (P − k·xᵀ·P) / λ
//!
//! (Haykin 2002, Adaptive Filter Theory, §9.3; Ljung 1999, §11.2). Guarantees: no memory after building; P stays
//! symmetric, since one half is computed and mirrored; a step that isn't finite is not taken. Cost: features squared, so
//! it is for some hundred features; more learn batch by batch ([`crate::train::run_adaptive`]).

/// Weights of a linear prediction, and how sure they are.
#[derive(Clone, Debug, PartialEq)]
pub struct RecursiveLeastSquares {
    n_features: usize,
    n_outputs: usize,
    forgetting: f64,
    /// W: outputs × features.
    weights: Vec<f64>,
    /// P: features × features.
    covariance: Vec<f64>,
    along: Vec<f64>,
    error: Vec<f64>,
}

impl RecursiveLeastSquares {
    /// From `weights`, outputs × features, that are trusted as `ridge` says: the sum of squares of the features of as many
    /// bins. `forgetting` is λ, 1 where nothing is forgotten. `None` where sizes don't fit or numbers are out of range.
    pub fn new(weights: Vec<f64>, n_features: usize, ridge: f64, forgetting: f64) -> Option<Self> {
        let legal = n_features > 0
            && !weights.is_empty()
            && weights.len().is_multiple_of(n_features)
            && weights.iter().all(|weight| weight.is_finite())
            && ridge.is_finite()
            && ridge > 0.0
            && (FORGETTING_MIN..=1.0).contains(&forgetting);
        let diagonal = |i: usize| if i.is_multiple_of(n_features + 1) { 1.0 / ridge } else { 0.0 };
        legal.then(|| RecursiveLeastSquares {
            n_features,
            n_outputs: weights.len() / n_features,
            forgetting,
            covariance: (0..n_features * n_features).map(diagonal).collect(),
            along: vec![0.0; n_features],
            error: vec![0.0; weights.len() / n_features],
            weights,
        })
    }

    /// W, outputs × features.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Writes what the weights say of `features`, one each output.
    ///
    /// # Panics
    /// If the lengths are others than those it was built with.
    pub fn predict(&self, features: &[f64], into: &mut [f64]) {
        assert_eq!((features.len(), into.len()), (self.n_features, self.n_outputs), "lengths as built");
        for (into, row) in into.iter_mut().zip(self.weights.chunks_exact(self.n_features)) {
            *into = dot(row, features);
        }
    }

    /// Learns that `features` meant `meant`. False, and nothing is learnt, where the step would not be finite, or where P has
    /// grown past all bounds because features stood still for long.
    ///
    /// # Panics
    /// If the lengths are others than those it was built with.
    pub fn learn(&mut self, features: &[f64], meant: &[f64]) -> bool {
        assert_eq!((features.len(), meant.len()), (self.n_features, self.n_outputs), "lengths as built");
        let n = self.n_features;
        for (along, row) in self.along.iter_mut().zip(self.covariance.chunks_exact(n)) {
            *along = dot(row, features);
        }
        let size = self.forgetting + dot(&self.along, features);
        for ((error, row), meant) in self.error.iter_mut().zip(self.weights.chunks_exact(n)).zip(meant) {
            *error = (meant - dot(row, features)) / size;
        }
        let finite = size.is_finite() && size > 0.0 && self.error.iter().all(|error| error.is_finite());
        if !finite {
            return false;
        }
        for (row, error) in self.weights.chunks_exact_mut(n).zip(&self.error) {
            row.iter_mut().zip(&self.along).for_each(|(weight, along)| *weight += error * along);
        }
        // Where features stand still, P would grow for ever; then it is left as it is.
        let trace: f64 = (0..n).map(|i| self.covariance[i * n + i]).sum();
        let grow = if trace < TRACE_MAX * n as f64 { 1.0 / self.forgetting } else { 1.0 };
        for i in 0..n {
            for j in 0..=i {
                let value = (self.covariance[i * n + j] - self.along[i] * self.along[j] / size) * grow;
                (self.covariance[i * n + j], self.covariance[j * n + i]) = (value, value);
            }
        }
        true
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Below this, less than the last ten bins count.
const FORGETTING_MIN: f64 = 0.9;
/// Mean variance of a weight past which P no longer grows.
const TRACE_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
        }
    }

    /// A⁻¹b by elimination.
    fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        for column in 0..n {
            let pivot = (column..n).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()));
            let pivot = pivot.expect("a row is left");
            a.swap(column, pivot);
            b.swap(column, pivot);
            for row in (0..n).filter(|row| *row != column) {
                let by = a[row][column] / a[column][column];
                let of_column = a[column].clone();
                for (value, from) in a[row].iter_mut().zip(of_column) {
                    *value -= by * from;
                }
                b[row] -= by * b[column];
            }
        }
        (0..n).map(|i| b[i] / a[i][i]).collect()
    }

    #[test]
    fn it_is_the_weighted_least_squares_of_all_bins_so_far() {
        for forgetting in [1.0, 0.97] {
            let (n, ridge) = (4, 2.0);
            let mut random = noise(3);
            let start: Vec<f64> = (0..n).map(|_| random()).collect();
            let mut rls = RecursiveLeastSquares::new(start.clone(), n, ridge, forgetting).expect("legal");
            let (mut a, mut b) = (vec![vec![0.0; n]; n], vec![0.0; n]);
            for i in 0..n {
                a[i][i] = ridge;
                b[i] = ridge * start[i];
            }
            for bin in 0..200 {
                let x: Vec<f64> = (0..n).map(|_| random()).collect();
                let y = x[0] - 2.0 * x[2] + 0.3 * random();
                assert!(rls.learn(&x, &[y]));
                for i in 0..n {
                    for j in 0..n {
                        a[i][j] = forgetting * a[i][j] + x[i] * x[j];
                    }
                    b[i] = forgetting * b[i] + x[i] * y;
                }
                let expected = solve(a.clone(), b.clone());
                let off = rls.weights().iter().zip(&expected).map(|(a, b)| (a - b).abs());
                assert!(off.fold(0.0, f64::max) < 1e-8, "λ = {forgetting}, bin {bin}");
            }
            let mut said = [0.0];
            rls.predict(&[1.0, 0.0, 0.0, 0.0], &mut said);
            assert_eq!(said[0], rls.weights()[0]);
        }
    }

    #[test]
    fn what_is_not_finite_is_not_learnt_and_standing_still_is_bounded() {
        let mut rls = RecursiveLeastSquares::new(vec![0.5; 2], 2, 1.0, 0.95).expect("legal");
        let before = rls.clone();
        assert!(!rls.learn(&[f64::NAN, 1.0], &[1.0]));
        assert!(!rls.learn(&[1.0, 1.0], &[f64::INFINITY]));
        assert_eq!(rls.weights(), before.weights());
        for _ in 0..20_000 {
            assert!(rls.learn(&[1.0, 0.0], &[1.0]));
        }
        assert!(rls.covariance.iter().all(|value| value.is_finite()));
        assert!(rls.learn(&[0.0, 1.0], &[3.0]), "and it learns on");
        assert!((rls.weights()[1] - 3.0).abs() < 1e-3);
        assert!(RecursiveLeastSquares::new(vec![0.0; 3], 2, 1.0, 1.0).is_none());
        assert!(RecursiveLeastSquares::new(vec![0.0; 2], 2, 0.0, 1.0).is_none());
        assert!(RecursiveLeastSquares::new(vec![0.0; 2], 2, 1.0, 0.5).is_none());
    }
}
