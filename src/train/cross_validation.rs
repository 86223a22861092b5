//! Chooses one strength of several by contiguous folds.

use std::ops::Range;

/// `n` rows in `folds` contiguous parts of nearly the same length.
pub(super) fn folds(n: usize, folds: usize) -> Vec<Range<usize>> {
    (0..folds).map(|fold| fold * n / folds..(fold + 1) * n / folds).filter(|fold| !fold.is_empty()).collect()
}

/// The strength with the smallest `loss`, sought by walking downhill from the one nearest to `start`: the loss
/// of a ridge has one valley, and each look at it costs a fit a fold. Strengths whose loss isn't finite are
/// passed over.
pub(super) fn least_loss(strengths: &[f64], start: f64, mut loss: impl FnMut(f64) -> f64) -> Option<f64> {
    let mut sorted = strengths.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut known = vec![None; sorted.len()];
    let mut look = |at: usize| {
        *known[at].get_or_insert_with(|| {
            let loss = loss(sorted[at]);
            if loss.is_finite() { loss } else { f64::INFINITY }
        })
    };
    let mut at = (0..sorted.len()).min_by(|&a, &b| {
        let distance = |strength: f64| (strength.max(TINY) / start.max(TINY)).ln().abs();
        distance(sorted[a]).total_cmp(&distance(sorted[b]))
    })?;
    loop {
        let here = look(at);
        // An infinite loss (a singular fit) asks for more ridge, never for less.
        if at > 0 && here.is_finite() && look(at - 1) < here {
            at -= 1;
        } else if at + 1 < sorted.len() && (here.is_infinite() || look(at + 1) < here) {
            at += 1;
        } else {
            return here.is_finite().then_some(sorted[at]);
        }
    }
}

/// Stands for a strength of 0 in a ratio.
const TINY: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_cover_every_row_once() {
        assert_eq!(folds(10, 3), [0..3, 3..6, 6..10]);
        assert_eq!(folds(2, 5).iter().map(Range::len).sum::<usize>(), 2);
    }

    #[test]
    fn the_valley_is_found_from_either_side() {
        let strengths = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
        for start in [0.1, 20.0, 1e9] {
            let valley = |strength: f64| (strength / 30.0).ln().powi(2);
            assert_eq!(least_loss(&strengths, start, valley), Some(30.0));
        }
        let singular_below = |strength: f64| if strength < 50.0 { f64::NAN } else { strength };
        assert_eq!(least_loss(&strengths, 3.0, singular_below), Some(100.0));
        assert_eq!(least_loss(&strengths, 3.0, |_| f64::NAN), None);
    }
}
