//! A Kalman filter's matrices, and the gain that follows from them: once, and again when electrodes are lost.
//!
//! In: A, W, C, D, Q of
//!
//! > s(t) = A·s(t−1) + w, w ~ N(0, W);  x(t) = C·s(t) + D·x(t−1) + q, q ~ N(0, Q)
//!
//! (Wu et al. 2006, eq. 4 and 5; D is 0 in the textbook). Out: the weights of the recurrence with the gain at its fixed
//! point, over all features or those that remain. A feature that is lost is left out of C, D and Q, which is exact: the
//! other channels' observations have the same distribution without it. What it said one bin before counts as its mean.

use super::ridge::solve_positive;
use crate::decode::{FullGain, Weights};
use faer::prelude::Solve;
use faer::{Mat, MatRef};

/// The matrices of a fitted Kalman filter over the features that it looks at.
#[derive(Clone, Debug)]
pub struct KalmanParameters {
    /// A: states × states.
    pub transition: Mat<f64>,
    /// W: states × states.
    pub drift: Mat<f64>,
    /// C: features × states.
    pub tuning: Mat<f64>,
    /// D: features × features, or none.
    pub whitening: Option<Mat<f64>>,
    /// Q: features × features.
    pub noise: Mat<f64>,
    /// H: outputs × states, row-major.
    pub output: Vec<f64>,
    /// h: one per output.
    pub offset: Vec<f64>,
}

impl KalmanParameters {
    /// Features that it looks at.
    pub fn n_features(&self) -> usize {
        self.tuning.nrows()
    }

    /// The filter with steady-state gain over the features `keep` alone, ascending; the weights of all others are 0.
    /// `None` where Q is singular or the gain doesn't converge.
    ///
    /// # Panics
    /// If a feature is beyond the last.
    pub fn steady(&self, keep: &[usize]) -> Option<Weights> {
        let heard = self.heard(keep)?;
        let n_states = self.transition.nrows();
        let p = steady_state(self.transition.as_ref(), self.drift.as_ref(), heard.g.as_ref())?;
        let recurrence = (Mat::<f64>::identity(n_states, n_states) - &p * &heard.g) * &self.transition;
        let gains: Vec<Mat<f64>> = heard.n.iter().map(|n| &p * n).collect();
        Some(self.weights(keep, &gains, row_major(recurrence.as_ref())))
    }

    /// The same filter with its gain carried from bin to bin: right from the first bin on, where the steady one takes
    /// some bins to forget that it started from nothing.
    pub fn full(&self, keep: &[usize]) -> Option<(Weights, FullGain)> {
        let heard = self.heard(keep)?;
        let square = |of: &Mat<f64>| row_major(of.as_ref());
        let gain = FullGain::new(square(&self.transition), square(&self.drift), square(&heard.g))?;
        Some((self.weights(keep, &heard.n, Vec::new()), gain))
    }

    /// The same filter with C, D and Q drawn towards those of a newer `batch`, which counts 1 − `rho`: closed-loop decoder
    /// adaptation by SmoothBatch, C ← (1 − ρ)·Ĉ + ρ·C and Q alike (Orsborn et al. 2012, IEEE TNSRE 20:468, eq. 5 and 6), with
    /// ρ = ½ to the power of the batch's length over the half life ([`smooth_batch_rho`]). A and W stay: how a cursor moves
    /// doesn't change. `None` where the two are of other sizes, or ρ isn't from 0 to 1.
    pub fn smoothed(&self, batch: &KalmanParameters, rho: f64) -> Option<Self> {
        let shape = |of: &KalmanParameters| (of.tuning.nrows(), of.tuning.ncols(), of.whitening.is_some());
        let mix = |old: &Mat<f64>, new: &Mat<f64>| new * faer::Scale(1.0 - rho) + old * faer::Scale(rho);
        (shape(self) == shape(batch) && (0.0..=1.0).contains(&rho)).then(|| KalmanParameters {
            tuning: mix(&self.tuning, &batch.tuning),
            whitening: self.whitening.as_ref().zip(batch.whitening.as_ref()).map(|(old, new)| mix(old, new)),
            noise: mix(&self.noise, &batch.noise),
            ..self.clone()
        })
    }

    /// N = CᵀQ⁻¹ (and −ND), and G = NC, of the features that are kept.
    fn heard(&self, keep: &[usize]) -> Option<Heard> {
        let (k, n_states) = (keep.len(), self.transition.nrows());
        if k == 0 {
            return Some(Heard { n: vec![Mat::zeros(n_states, 0)], g: Mat::zeros(n_states, n_states) });
        }
        let c = Mat::from_fn(k, n_states, |i, j| self.tuning[(keep[i], j)]);
        let q = Mat::from_fn(k, k, |i, j| self.noise[(keep[i], keep[j])]);
        let n = solve_positive(q.as_ref(), c.as_ref())?.transpose().to_owned();
        let g = &n * &c;
        let mut both = vec![n];
        if let Some(d) = &self.whitening {
            let d = Mat::from_fn(k, k, |i, j| d[(keep[i], keep[j])]);
            let nd = &both[0] * d;
            both.push(nd * faer::Scale(-1.0));
        }
        Some(Heard { n: both, g })
    }

    fn weights(&self, keep: &[usize], gains: &[Mat<f64>], recurrence: Vec<f64>) -> Weights {
        let (n_states, n_features) = (self.transition.nrows(), self.n_features());
        let lags = 1 + usize::from(self.whitening.is_some());
        let mut readout = vec![0.0; lags * n_states * n_features];
        for (gain, rows) in gains.iter().zip(readout.chunks_exact_mut(n_states * n_features)) {
            for (state, row) in rows.chunks_exact_mut(n_features).enumerate() {
                keep.iter().enumerate().for_each(|(at, &feature)| row[feature] = gain[(state, at)] as f32);
            }
        }
        let (output, offset) = (self.output.clone(), self.offset.clone());
        Weights { n_features, lags, n_states, readout, recurrence, output, offset }
    }
}

/// ρ of SmoothBatch: after `half_life` of such batches' time, what was before counts half.
pub fn smooth_batch_rho(batch_seconds: f64, half_life_seconds: f64) -> f64 {
    0.5f64.powf(batch_seconds / half_life_seconds)
}

struct Heard {
    n: Vec<Mat<f64>>,
    g: Mat<f64>,
}

/// The filter's covariance after an observation, where it no longer changes; `None` where there is none.
///
/// The prior covariance solves H = A·H(1 + GH)⁻¹·Aᵀ + W. Iterated bin by bin, a state that fades over hundreds
/// of bins and that no channel hears takes tens of thousands of them; each doubling here stands for twice as
/// many bins as the one before (Anderson 1978, Int J Control 28:295).
pub(super) fn steady_state(a: MatRef<'_, f64>, w: MatRef<'_, f64>, g: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let one = Mat::<f64>::identity(a.nrows(), a.nrows());
    let symmetric = |of: Mat<f64>| (&of + of.transpose()) * faer::Scale(0.5);
    let (mut f, mut heard, mut h) = (a.transpose().to_owned(), g.to_owned(), w.to_owned());
    for _ in 0..DOUBLINGS_MAX {
        let system = (&one + &heard * &h).partial_piv_lu();
        let (f_solved, heard_solved) = (system.solve(&f), system.solve(&heard));
        let next = symmetric(&h + f.transpose() * &h * &f_solved);
        heard = symmetric(&heard + &f * heard_solved * f.transpose());
        f = &f * &f_solved;
        let (change, size) = ((&next - &h).norm_l2(), next.norm_l2());
        h = next;
        if !size.is_finite() {
            return None;
        }
        if change <= STILL * size {
            return Some(symmetric((&one + &h * g).partial_piv_lu().solve(&h)));
        }
    }
    None
}

/// 2⁴⁰ bins: what still changes then doesn't converge.
const DOUBLINGS_MAX: usize = 40;
/// Relative change of the covariance at which it stands still.
const STILL: f64 = 1e-12;

/// Row by row.
pub(super) fn row_major(of: MatRef<'_, f64>) -> Vec<f64> {
    let columns = of.ncols();
    (0..of.nrows() * columns).map(|i| of[(i / columns, i % columns)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::slow;
    use super::*;
    use crate::decode::{LinearDecoder, Output};
    use crate::intents::Action;

    fn parameters(n_features: usize, noise: &mut impl FnMut() -> f64) -> KalmanParameters {
        let mut matrix = |rows, columns, size: f64| Mat::from_fn(rows, columns, |_, _| size * noise());
        let root = matrix(n_features, n_features, 0.6);
        KalmanParameters {
            transition: matrix(2, 2, 0.2) + Mat::<f64>::identity(2, 2) * faer::Scale(0.8),
            drift: Mat::<f64>::identity(2, 2) * faer::Scale(0.4),
            tuning: matrix(n_features, 2, 1.0),
            whitening: Some(matrix(n_features, n_features, 0.1)),
            noise: &root * root.transpose() + Mat::<f64>::identity(n_features, n_features),
            output: vec![],
            offset: vec![0.3, -0.2],
        }
    }

    /// The textbook's filter over some features, its covariance carried from bin to bin.
    fn textbook(of: &KalmanParameters, keep: &[usize], observed: &[Vec<f64>]) -> Vec<[f64; 2]> {
        let pick = |m: &Mat<f64>| Mat::from_fn(keep.len(), keep.len(), |i, j| m[(keep[i], keep[j])]);
        let c = Mat::from_fn(keep.len(), 2, |i, j| of.tuning[(keep[i], j)]);
        let (q, d) = (pick(&of.noise), of.whitening.as_ref().map(pick).expect("there is one"));
        let column = |x: &Vec<f64>| Mat::from_fn(keep.len(), 1, |i, _| f64::from(x[keep[i]] as f32));
        let (mut s, mut p) = (Mat::<f64>::zeros(2, 1), Mat::<f64>::zeros(2, 2));
        let mut before = Mat::<f64>::zeros(keep.len(), 1);
        let step = |x: &Vec<f64>| {
            let x = column(x);
            let prior = &of.transition * &p * of.transition.transpose() + &of.drift;
            let innovation = &c * &prior * c.transpose() + &q;
            let gain = slow::solve(&innovation, &(&c * &prior)).transpose().to_owned();
            let ahead = &of.transition * &s;
            s = &ahead + &gain * (&x - &d * &before - &c * &ahead);
            p = &prior - &gain * &c * &prior;
            before = x;
            [s[(0, 0)] + of.offset[0], s[(1, 0)] + of.offset[1]]
        };
        observed.iter().map(step).collect()
    }

    fn run(decoder: &mut LinearDecoder, observed: &[Vec<f64>]) -> Vec<[f64; 2]> {
        let step = |x: &Vec<f64>| {
            decoder.push().iter_mut().zip(x).for_each(|(into, x)| *into = *x as f32);
            match decoder.step() {
                Action::Move { velocity, .. } => [f64::from(velocity[0]), f64::from(velocity[1])],
                Action::Choose { .. } => panic!("it moves"),
            }
        };
        observed.iter().map(step).collect()
    }

    const BOTH: Output = Output::Move { n_axes: 2, has_position: false };

    #[test]
    fn lost_features_leave_the_textbook_filter_of_the_others() {
        let mut noise = slow::noise(11);
        let of = parameters(7, &mut noise);
        let observed: Vec<Vec<f64>> = (0..300).map(|_| (0..7).map(|_| 2.0 * noise()).collect()).collect();
        for keep in [vec![0, 1, 2, 3, 4, 5, 6], vec![1, 4, 6], vec![5]] {
            let expected = textbook(&of, &keep, &observed);
            let steady = LinearDecoder::new(of.steady(&keep).expect("regular"), BOTH).expect("sizes fit");
            let (weights, gain) = of.full(&keep).expect("regular");
            let full = LinearDecoder::new(weights, BOTH).and_then(|decoder| decoder.with_full_gain(gain));
            let mut full = full.expect("sizes fit");
            let said = [run(&mut steady.clone(), &observed), run(&mut full, &observed)];
            for (bin, expected) in expected.iter().enumerate() {
                for axis in 0..2 {
                    let off = |said: &[[f64; 2]]| (said[bin][axis] - expected[axis]).abs();
                    assert!(
                        off(&said[1]) < 1e-5,
                        "full gain, bin {bin}: {:?} for {expected:?}",
                        said[1][bin]
                    );
                    assert!(
                        bin < 200 || off(&said[0]) < 1e-4,
                        "steady gain, bin {bin}: off by {}",
                        off(&said[0])
                    );
                }
            }
            assert!(said[0][0] != said[1][0], "the steady gain is not that of the first bin");
            full.reset();
            assert_eq!(run(&mut full, &observed), said[1], "after a reset it starts from nothing again");
        }
    }

    #[test]
    fn a_smooth_batch_lies_between_and_settles_on_what_comes() {
        let mut noise = slow::noise(13);
        let (old, new) = (parameters(4, &mut noise), parameters(4, &mut noise));
        let rho = smooth_batch_rho(80.0, 120.0);
        assert!((rho.powf(1.5) - 0.5).abs() < 1e-12, "after a half life of batches half is left");
        let mixed = old.smoothed(&new, rho).expect("of one size");
        for (i, j) in [(0, 0), (3, 1)] {
            let expected = (1.0 - rho) * new.tuning[(i, j)] + rho * old.tuning[(i, j)];
            assert_eq!(mixed.tuning[(i, j)], expected);
        }
        assert_eq!(slow::difference(&mixed.transition, &old.transition), 0.0);
        let mut settling = old.clone();
        for _ in 0..60 {
            settling = settling.smoothed(&new, rho).expect("of one size");
        }
        assert!(slow::difference(&settling.noise, &new.noise) < 1e-6);
        assert!(settling.steady(&[0, 1, 2, 3]).is_some(), "Q stays a covariance");
        assert!(old.smoothed(&parameters(3, &mut noise), rho).is_none() && old.smoothed(&new, 1.5).is_none());
    }

    #[test]
    fn with_nothing_left_the_cursor_comes_to_rest() {
        let mut noise = slow::noise(12);
        let of = parameters(3, &mut noise);
        let mut decoder = LinearDecoder::new(of.steady(&[]).expect("regular"), BOTH).expect("sizes fit");
        let said = run(&mut decoder, &vec![vec![5.0; 3]; 50]);
        assert!(said.iter().all(|said| (said[0] - 0.3).abs() < 1e-6 && (said[1] + 0.2).abs() < 1e-6));
    }
}
