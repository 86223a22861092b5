//! How probable each distance from the prediction is: a mixture of Gaussians of several widths.
//!
//! In: errors of the prediction. Out: shares of [`TOTAL`] below an edge. Guarantees: shares are sums of integers that
//! grow with the distance, so that codes keep their order; the same bits on every machine (+, −, ×, / and √ of f64).
//! Source: Bayesian weights with a fixed share (Herbster & Warmuth 1998), over the mean square of the errors at four
//! speeds and three widths about each.

use efference_wire::codec::raw::range::{TOTAL, TOTAL_BITS};
use efference_wire::codec::raw::share_below;

/// The widths of one channel's errors and how far each is believed.
pub(super) struct Mixture {
    /// Mean squares, the fastest first.
    squares: [f64; N_SPEEDS],
    n_learned: f64,
    beliefs: [f64; N_PARTS],
    /// Beliefs in whole parts of 2¹⁶.
    shares: [u64; N_PARTS],
    /// 2⁻¹² standard deviations in one.
    inverse: [f64; N_PARTS],
}

impl Mixture {
    pub(super) fn new() -> Self {
        let beliefs = [1.0 / N_PARTS as f64; N_PARTS];
        let mut mixture = Mixture {
            squares: [START; N_SPEEDS],
            n_learned: 20.0,
            beliefs,
            shares: [0; N_PARTS],
            inverse: [0.0; N_PARTS],
        };
        mixture.settle();
        mixture
    }

    /// The share of TOTAL that lies less than `distance` above the prediction.
    pub(super) fn below(&self, distance: f64) -> u32 {
        let parts = self.inverse.iter().zip(&self.shares);
        let sum: u64 =
            parts.map(|(inverse, share)| share * u64::from(share_below((distance * inverse) as i64))).sum();
        (sum >> SHARE_BITS) as u32
    }

    /// Learns that the sample lay between `low` and `high` of the prediction, in the middle of it `error` away.
    pub(super) fn learn(&mut self, low: f64, high: f64, error: f64) {
        let mut likelihoods = [0.0; N_PARTS];
        let mut sum = 0.0;
        for ((likelihood, belief), inverse) in likelihoods.iter_mut().zip(&self.beliefs).zip(&self.inverse) {
            let below = |distance: f64| share_below((distance * inverse) as i64);
            *likelihood = belief * (f64::from(below(high) - below(low)) + LIKELIHOOD_MIN);
            sum += *likelihood;
        }
        for (belief, likelihood) in self.beliefs.iter_mut().zip(&likelihoods) {
            *belief = likelihood / sum * (1.0 - FIXED_SHARE) + FIXED_SHARE / N_PARTS as f64;
        }
        self.n_learned += 1.0;
        let error = error.clamp(-ERROR_MAX, ERROR_MAX);
        for (square, rate) in self.squares.iter_mut().zip(RATES) {
            *square += rate.max(1.0 / self.n_learned) * (error * error - *square);
        }
        self.settle();
    }

    /// Widths and whole shares of what was learned.
    fn settle(&mut self) {
        for (speed, square) in self.squares.iter().enumerate() {
            let width = square.sqrt();
            for (at, factor) in FACTORS.iter().enumerate() {
                self.inverse[N_FACTORS * speed + at] = 4096.0 / (width * factor + WIDTH_MIN);
            }
        }
        let mut left = 1 << SHARE_BITS;
        for (share, belief) in self.shares.iter_mut().zip(&self.beliefs) {
            *share = ((belief * f64::from(1 << SHARE_BITS)) as u64).min(left);
            left -= *share;
        }
        self.shares[N_PARTS / 2] += left;
    }
}

const _: () = assert!(TOTAL_BITS + SHARE_BITS < 64 && TOTAL == 1 << TOTAL_BITS);
const N_SPEEDS: usize = 4;
const N_FACTORS: usize = 3;
const N_PARTS: usize = N_SPEEDS * N_FACTORS;
const SHARE_BITS: u32 = 16;
/// Of the mean squares, by speed.
const RATES: [f64; N_SPEEDS] = [0.05, 0.008, 0.001, 0.0002];
const FACTORS: [f64; N_FACTORS] = [0.85, 1.0, 1.18];
/// Of the errors before the first: six counts.
const START: f64 = 36.0;
/// Standard deviations are no less, so that a silent channel costs next to nothing and none is zero.
const WIDTH_MIN: f64 = 0.03;
const ERROR_MAX: f64 = 1e6;
/// No part is ruled out for good by one sample, nor by many.
const LIKELIHOOD_MIN: f64 = 0.02;
const FIXED_SHARE: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_and_follow_the_errors() {
        let mut mixture = Mixture::new();
        for width in [0.0, 2.0, 300.0] {
            for at in 0..20_000 {
                let error = if at % 2 == 0 { width } else { -width };
                mixture.learn(error - 0.5, error + 0.5, error);
            }
            let shares: Vec<u32> = (-8000..=8000).map(|at| mixture.below(f64::from(at))).collect();
            assert!(shares.is_sorted());
            assert_eq!((shares[0], shares[16_000]), (0, TOTAL), "{width}");
            let within = shares[8001 + width as usize * 2] - shares[7999 - width as usize * 2];
            assert!(within > TOTAL / 10 * 9, "{width}: {within}");
        }
    }
}
