//! Features to numbers of like size: x' = (f(x) − mean) / deviation, with f by [`NormaliserKind`].

use crate::config::NormaliserKind;
use crate::simd::{Level, dispatch};
use ndarray::{ArrayView2, Axis};

/// Scales each feature as it was scaled in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    kind: NormaliserKind,
    mean: Vec<f32>,
    /// 1 / standard deviation; 0 for features that are left out.
    inverse_deviation: Vec<f32>,
    level: Level,
}

impl Normaliser {
    /// Fits mean and standard deviation (population) of `features`, bins × features. A feature for which
    /// `keep` is false, or that is constant, is left out: it reads 0 ever after.
    pub fn fit(kind: NormaliserKind, features: ArrayView2<'_, f32>, keep: &[bool]) -> Self {
        let n = features.nrows() as f64;
        let mut mean = Vec::with_capacity(features.ncols());
        let mut inverse_deviation = Vec::with_capacity(features.ncols());
        for (column, &keep) in features.axis_iter(Axis(1)).zip(keep) {
            let mu = column.iter().map(|&x| f64::from(transform(kind, x))).sum::<f64>() / n;
            let square = |&x: &f32| (f64::from(transform(kind, x)) - mu).powi(2);
            let deviation = (column.iter().map(square).sum::<f64>() / n).sqrt();
            mean.push(mu as f32);
            let useful = keep && deviation > DEVIATION_MIN;
            inverse_deviation.push(if useful { (1.0 / deviation) as f32 } else { 0.0 });
        }
        Normaliser { kind, mean, inverse_deviation, level: Level::widest() }
    }

    /// One that was fitted before; `None` where the lengths differ or a value isn't finite.
    pub fn from_parts(kind: NormaliserKind, mean: Vec<f32>, inverse_deviation: Vec<f32>) -> Option<Self> {
        let finite = mean.iter().chain(&inverse_deviation).all(|value| value.is_finite());
        (finite && mean.len() == inverse_deviation.len()).then_some(Normaliser {
            kind,
            mean,
            inverse_deviation,
            level: Level::widest(),
        })
    }

    /// Writes the scaled `features` to `into`, one each.
    pub fn apply(&self, features: &[f32], into: &mut [f32]) {
        let (level, mean, scale) = (self.level, &self.mean, &self.inverse_deviation);
        match self.kind {
            NormaliserKind::Zscore => plain(level, features, mean, scale, into),
            NormaliserKind::Sqrt => roots(level, features, mean, scale, into),
            NormaliserKind::FiveQuarters => powers(level, features, mean, scale, into),
        }
    }

    /// What [`Normaliser::apply`] makes of one feature's value, to the bit.
    #[inline]
    pub fn scaled(&self, feature: usize, value: f32) -> f32 {
        (transform(self.kind, value) - self.mean[feature]) * self.inverse_deviation[feature]
    }

    /// Which function comes first.
    pub fn kind(&self) -> NormaliserKind {
        self.kind
    }

    /// How many features it scales.
    pub fn n_features(&self) -> usize {
        self.mean.len()
    }

    /// The mean of each feature, after f.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// 1 / standard deviation of each feature; 0 where it is left out.
    pub fn inverse_deviation(&self) -> &[f32] {
        &self.inverse_deviation
    }
}

dispatch! {
    fn plain(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32]) = scale_plain;
    fn roots(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32]) = scale_roots;
    fn powers(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32]) = scale_powers;
}

#[inline(always)]
fn scale_plain(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32]) {
    scale_all(features, mean, scale, into, |x| x);
}

#[inline(always)]
fn scale_roots(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32]) {
    scale_all(features, mean, scale, into, anscombe);
}

#[inline(always)]
fn scale_powers(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32]) {
    scale_all(features, mean, scale, into, five_quarters);
}

#[inline(always)]
fn scale_all(features: &[f32], mean: &[f32], scale: &[f32], into: &mut [f32], of: impl Fn(f32) -> f32) {
    let constants = mean.iter().zip(scale);
    for ((into, &x), (mean, scale)) in into.iter_mut().zip(features).zip(constants) {
        *into = (of(x) - mean) * scale;
    }
}

/// f(x)
#[inline(always)]
pub(super) fn transform(kind: NormaliserKind, x: f32) -> f32 {
    match kind {
        NormaliserKind::Zscore => x,
        NormaliserKind::Sqrt => anscombe(x),
        NormaliserKind::FiveQuarters => five_quarters(x),
    }
}

/// √(x + 3/8), whose variance hardly depends on a Poisson count's rate (Anscombe 1948).
#[inline(always)]
fn anscombe(x: f32) -> f32 {
    (x + 0.375).sqrt()
}

/// x^(5/4) by square roots alone, which every machine rounds alike.
#[inline(always)]
fn five_quarters(x: f32) -> f32 {
    x * x.sqrt().sqrt()
}

/// Deviations below this are those of a constant feature, rounded.
const DEVIATION_MIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn features_come_out_with_mean_0_and_deviation_1() {
        let features = array![[1.0f32, 5.0, 2.0], [3.0, 5.0, 9.0]];
        let normaliser = Normaliser::fit(NormaliserKind::Zscore, features.view(), &[true, true, false]);
        let mut into = [9.0; 3];
        normaliser.apply(&[1.0, 5.0, 2.0], &mut into);
        assert_eq!(into, [-1.0, 0.0, 0.0], "the constant and the one left out read 0");
    }

    #[test]
    fn f_comes_before_the_mean() {
        let features = array![[3.625f32], [15.625]];
        let normaliser = Normaliser::fit(NormaliserKind::Sqrt, features.view(), &[true]);
        let mut into = [0.0];
        normaliser.apply(&[15.625], &mut into);
        assert_eq!((normaliser.mean()[0], into[0]), (3.0, 1.0));
        let normaliser =
            Normaliser::fit(NormaliserKind::FiveQuarters, array![[0.0f32], [16.0]].view(), &[true]);
        assert_eq!(normaliser.mean()[0], 16.0);
        for kind in [NormaliserKind::Zscore, NormaliserKind::Sqrt, NormaliserKind::FiveQuarters] {
            let normaliser = Normaliser::fit(kind, array![[0.3f32], [7.7]].view(), &[true]);
            for value in [0.0, 1.0, 3.3, 100.0] {
                normaliser.apply(&[value], &mut into);
                assert_eq!(normaliser.scaled(0, value), into[0], "one by one as all at once");
            }
        }
    }
}
