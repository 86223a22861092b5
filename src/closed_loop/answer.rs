//! How a decoder's cursor answers: what a user gets to know of it.
//!
//! In: what the user intended, and what was decoded, step by step, by a decoder that wasn't fitted on these steps: on its own
//! it answers better than it ever will. Out: the shares of what was intended that are decoded so many steps later, the same
//! for both axes, by least squares. Pure.

use crate::tasks::Point;
use crate::tasks::user::Answer;
use faer::prelude::Solve;
use faer::{Mat, Side};

/// The answer of a decoder that said `decoded` while `meant` was intended, step by step; `None` where nothing was.
pub(super) fn answer(meant: &[Point], decoded: &[Point], step_seconds: f64) -> Option<Answer> {
    let n_shares = (ANSWER_MS_MAX * 1e-3 / step_seconds).round() as usize + 1;
    let mut gram = Mat::<f64>::zeros(n_shares, n_shares);
    let mut product = Mat::<f64>::zeros(n_shares, 1);
    for (now, decoded) in decoded.iter().enumerate().skip(n_shares - 1) {
        for axis in 0..2 {
            for i in 0..n_shares {
                let u = meant[now - i][axis];
                product[(i, 0)] += u * decoded[axis];
                (0..=i).for_each(|j| gram[(i, j)] += u * meant[now - j][axis]);
            }
        }
    }
    // So little that it only keeps apart what the movement doesn't.
    let level = (0..n_shares).map(|i| gram[(i, i)]).sum::<f64>() / n_shares as f64;
    (0..n_shares).for_each(|i| gram[(i, i)] += RIDGE_SHARE * level);
    let shares = gram.llt(Side::Lower).ok()?.solve(&product);
    let shares: Vec<f64> = (0..n_shares).map(|i| shares[(i, 0)]).collect();
    shares.iter().all(|share| share.is_finite()).then_some(Answer(shares))
}

/// Neurons answer within 150 ms, and no decoder that a cursor is driven with takes longer than this in all.
const ANSWER_MS_MAX: f64 = 360.0;
const RIDGE_SHARE: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_there_is_found() {
        let meant: Vec<Point> = (0..300u32)
            .map(|n| [f64::from(u8::from(n * n / 7 % 3 == 0)), f64::from(n * n % 5) / 5.0 - 0.4])
            .collect();
        let before = |n: usize, k: usize| if n >= k { meant[n - k] } else { [0.0; 2] };
        let decoded: Vec<Point> = (0..300)
            .map(|n| [0, 1].map(|axis| before(n, 2)[axis] / 3.0 + before(n, 3)[axis] * 0.5))
            .collect();
        let found = answer(&meant, &decoded, 0.02).expect("something was meant");
        for (k, share) in found.0.iter().enumerate() {
            let wanted = [0.0, 0.0, 1.0 / 3.0, 0.5].get(k).copied().unwrap_or_default();
            assert!((share - wanted).abs() < 0.02, "{k}: {share} for {wanted}");
        }
        assert_eq!(answer(&[[0.0; 2]; 300], &decoded, 0.02), None);
    }
}
