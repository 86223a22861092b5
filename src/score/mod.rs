//! How well was it decoded? In: what was decoded and what was true, bins × axes. Out: one figure per axis.
//!
//! R² is the coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², which punishes a wrong size as well as a
//! wrong shape and can be negative. `cc` is Pearson's correlation.

pub mod detection;
pub mod sweep;

use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One figure per axis and their mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerAxis {
    /// By the axis's name.
    #[serde(flatten)]
    pub axes: BTreeMap<String, f64>,
    /// Over the axes.
    pub mean: f64,
}

impl PerAxis {
    /// `values` in the order of `names`. Axes without a figure (not a number) are left out of the mean.
    pub fn new(names: &[String], values: &[f64]) -> Self {
        let known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        PerAxis { axes: names.iter().cloned().zip(values.iter().copied()).collect(), mean }
    }
}

/// What a decoder reached on bins that it was not trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// R² of velocity.
    pub velocity_r2: Option<PerAxis>,
    /// R² of position, where it is decoded.
    pub position_r2: Option<PerAxis>,
    /// Correlation of velocity.
    pub cc: Option<PerAxis>,
    /// Share of trials whose class was decoded, for classes.
    pub accuracy: Option<f64>,
    /// Bins or trials that were scored.
    pub n_scored: usize,
}

/// R² of each column. A column that never changes in truth has none: NaN.
pub fn r2(truth: ArrayView2<'_, f64>, decoded: ArrayView2<'_, f64>) -> Vec<f64> {
    columns(truth, decoded, |y, p| {
        let mean = y.mean().unwrap_or(f64::NAN);
        let left: f64 = y.iter().zip(p).map(|(y, p)| (y - p).powi(2)).sum();
        let all: f64 = y.iter().map(|y| (y - mean).powi(2)).sum();
        if all > 0.0 { 1.0 - left / all } else { f64::NAN }
    })
}

/// Pearson's correlation of each column; NaN where one side never changes.
pub fn correlation(truth: ArrayView2<'_, f64>, decoded: ArrayView2<'_, f64>) -> Vec<f64> {
    columns(truth, decoded, |y, p| {
        let (my, mp) = (y.mean().unwrap_or(f64::NAN), p.mean().unwrap_or(f64::NAN));
        let (mut yy, mut pp, mut yp) = (0.0, 0.0, 0.0);
        for (y, p) in y.iter().zip(p) {
            yy += (y - my).powi(2);
            pp += (p - mp).powi(2);
            yp += (y - my) * (p - mp);
        }
        yp / (yy * pp).sqrt()
    })
}

/// Share of `decoded` that equals `truth`; NaN of none.
pub fn accuracy(truth: &[u16], decoded: &[u16]) -> f64 {
    let right = truth.iter().zip(decoded).filter(|(t, d)| t == d).count();
    right as f64 / truth.len() as f64
}

fn columns(
    truth: ArrayView2<'_, f64>,
    decoded: ArrayView2<'_, f64>,
    of: impl Fn(ArrayView1<'_, f64>, ArrayView1<'_, f64>) -> f64,
) -> Vec<f64> {
    assert_eq!(truth.dim(), decoded.dim(), "as many bins and axes on both sides");
    truth.axis_iter(Axis(1)).zip(decoded.axis_iter(Axis(1))).map(|(y, p)| of(y, p)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_mean_scores_0_and_the_truth_1() {
        let truth = array![[1.0, 2.0], [2.0, 4.0], [3.0, 9.0]];
        assert_eq!(r2(truth.view(), truth.view()), [1.0, 1.0]);
        let mean = array![[2.0, 5.0], [2.0, 5.0], [2.0, 5.0]];
        assert_eq!(r2(truth.view(), mean.view()), [0.0, 0.0]);
        let half = &truth * 0.5;
        assert!(r2(truth.view(), half.view())[0] < 0.0, "the right shape at the wrong size");
        assert!((correlation(truth.view(), half.view())[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn figures_are_written_flat() {
        let figure = PerAxis::new(&["x".into(), "y".into()], &[0.5, 1.0]);
        let text = serde_json::to_string(&figure).expect("plain values");
        assert_eq!(text, r#"{"x":0.5,"y":1.0,"mean":0.75}"#);
    }
}
