//! A Kalman filter whose gain is carried from bin to bin.
//!
//! In: u(t) = Σₗ Nₗ·x(t−l), which the readout sums. Out: s(t). With the covariance P of what is known after a bin,
//!
//! > H = A·P·Aᵀ + W,  P = H·(1 + G·H)⁻¹,  s(t) = A·s(t−1) + P·(u(t) − G·A·s(t−1))
//!
//! which is the textbook's K = H·Cᵀ(C·H·Cᵀ + Q)⁻¹ in information form (N = CᵀQ⁻¹, G = NC): its cost is that of the states,
//! not of the channels. At rest P is 0: the state is known to be at its mean. No memory is taken after building.

/// The matrices of the recursion, row-major, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct FullGain {
    n_states: usize,
    transition: Vec<f64>,
    drift: Vec<f64>,
    heard: Vec<f64>,
    covariance: Vec<f64>,
    prior: Vec<f64>,
    scratch: Vec<f64>,
    ahead: Vec<f64>,
    left: Vec<f64>,
}

impl FullGain {
    /// A, W and G, states × states each; `None` where they are not square and alike, or not finite.
    pub fn new(transition: Vec<f64>, drift: Vec<f64>, heard: Vec<f64>) -> Option<Self> {
        let n = transition.len().isqrt();
        let fits = n > 0 && [&transition, &drift, &heard].iter().all(|matrix| matrix.len() == n * n);
        let finite = [&transition, &drift, &heard].into_iter().flatten().all(|value| value.is_finite());
        (fits && finite).then(|| FullGain {
            n_states: n,
            covariance: vec![0.0; n * n],
            prior: vec![0.0; n * n],
            scratch: vec![0.0; n * n],
            ahead: vec![0.0; n],
            left: vec![0.0; n],
            transition,
            drift,
            heard,
        })
    }

    /// Length of s.
    pub fn n_states(&self) -> usize {
        self.n_states
    }

    /// A, W and G.
    pub fn matrices(&self) -> [&[f64]; 3] {
        [&self.transition, &self.drift, &self.heard]
    }

    /// Back to rest.
    pub(super) fn reset(&mut self) {
        self.covariance.fill(0.0);
    }

    /// Knows what `before` knew.
    pub(super) fn continue_from(&mut self, before: &FullGain) {
        self.covariance.copy_from_slice(&before.covariance);
    }

    /// From `state` at t−1 and u(t) in `next` to s(t) in `next`.
    pub(super) fn step(&mut self, state: &[f64], next: &mut [f64]) {
        let n = self.n_states;
        // H = A·P·Aᵀ + W
        multiply(n, &self.transition, &self.covariance, &mut self.scratch);
        for i in 0..n {
            for j in 0..n {
                let row = &self.scratch[i * n..][..n];
                self.prior[i * n + j] = dot(row, &self.transition[j * n..][..n]) + self.drift[i * n + j];
            }
        }
        // P = H·(1 + G·H)⁻¹ = (1 + H·G)⁻¹·H, by elimination.
        multiply(n, &self.prior, &self.heard, &mut self.scratch);
        (0..n).for_each(|i| self.scratch[i * n + i] += 1.0);
        self.covariance.copy_from_slice(&self.prior);
        eliminate(n, &mut self.scratch, &mut self.covariance);
        for i in 0..n {
            for j in 0..i {
                let mean = 0.5 * (self.covariance[i * n + j] + self.covariance[j * n + i]);
                (self.covariance[i * n + j], self.covariance[j * n + i]) = (mean, mean);
            }
        }
        for (into, row) in self.ahead.iter_mut().zip(self.transition.chunks_exact(n)) {
            *into = dot(row, state);
        }
        for ((left, row), u) in self.left.iter_mut().zip(self.heard.chunks_exact(n)).zip(&*next) {
            *left = u - dot(row, &self.ahead);
        }
        for ((next, row), ahead) in next.iter_mut().zip(self.covariance.chunks_exact(n)).zip(&self.ahead) {
            *next = ahead + dot(row, &self.left);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// C = A·B
fn multiply(n: usize, a: &[f64], b: &[f64], c: &mut [f64]) {
    c.fill(0.0);
    for i in 0..n {
        for k in 0..n {
            let by = a[i * n + k];
            for j in 0..n {
                c[i * n + j] += by * b[k * n + j];
            }
        }
    }
}

/// B ← A⁻¹·B by Gauss–Jordan elimination with row pivots; A is overwritten.
fn eliminate(n: usize, a: &mut [f64], b: &mut [f64]) {
    for column in 0..n {
        let size = |row: &usize| a[*row * n + column].abs();
        let pivot = (column..n).max_by(|i, j| size(i).total_cmp(&size(j))).unwrap_or(column);
        if pivot != column {
            for j in 0..n {
                a.swap(column * n + j, pivot * n + j);
                b.swap(column * n + j, pivot * n + j);
            }
        }
        let scale = 1.0 / a[column * n + column];
        for j in 0..n {
            a[column * n + j] *= scale;
            b[column * n + j] *= scale;
        }
        for row in (0..n).filter(|row| *row != column) {
            let by = a[row * n + column];
            for j in 0..n {
                a[row * n + j] -= by * a[column * n + j];
                b[row * n + j] -= by * b[column * n + j];
            }
        }
    }
}
