//! What the next sample will be: three adaptive linear predictors, and a fourth that weighs them.
//!
//! In: samples, about 5 in size from one to the next. Out: predictions. Guarantees: nothing but +, −, × and / of f64 in
//! a fixed order, so that every machine computes the same bits; a predictor that grows past all reason starts anew.
//! Source: recursive least squares with forgetting (Haykin, Adaptive Filter Theory, ch. 10) and normalised least mean
//! squares; predictors in parallel and then weighed, as lossless audio coders have them.

/// The predictors of one channel.
pub(super) struct Predictors {
    quick: LeastSquares<16>,
    long: LeastSquares<32>,
    wide: MeanSquares<256>,
    blend: LeastSquares<8>,
    /// The last samples, the latest first.
    past: Past,
    /// What each of the three expected, then the last two samples.
    expected: [f64; 8],
    blended: f64,
}

impl Predictors {
    pub(super) fn new() -> Self {
        Predictors {
            quick: LeastSquares::new(&START[..16], 0.9998, 0.01),
            long: LeastSquares::new(&START, 0.99998, 0.001),
            wide: MeanSquares::new(&START),
            blend: LeastSquares::new(&[0.5, 0.3, 0.2], 0.99995, 0.001),
            past: Past::new(),
            expected: [0.0; 8],
            blended: 0.0,
        }
    }

    /// The next sample as it is expected.
    pub(super) fn predict(&mut self) -> f64 {
        let quick = self.quick.predict(self.past.latest());
        let long = self.long.predict(self.past.latest());
        let wide = self.wide.predict(self.past.latest());
        let [last, before] = *self.past.latest();
        self.expected = [quick, long, wide, last, before, 0.0, 0.0, 0.0];
        self.blended = self.blend.predict(&self.expected);
        self.blended
    }

    /// Learns which sample came after the last `predict`.
    pub(super) fn learn(&mut self, sample: f64) {
        self.quick.learn(self.past.latest(), sample - self.expected[0]);
        self.long.learn(self.past.latest(), sample - self.expected[1]);
        self.wide.learn(self.past.latest(), sample, sample - self.expected[2]);
        self.blend.learn(&self.expected, sample - self.blended);
        self.past.push(sample);
    }
}

/// Recursive least squares: w += K·e with K = P·x / (λ + x'·P·x), P = (P − K·x'·P) / λ.
struct LeastSquares<const N: usize> {
    weights: [f64; N],
    start: [f64; N],
    inverse: Box<[[f64; N]; N]>,
    forgetting: f64,
    start_variance: f64,
}

impl<const N: usize> LeastSquares<N> {
    fn new(start: &[f64], forgetting: f64, start_variance: f64) -> Self {
        let mut weights = [0.0; N];
        weights[..start.len()].copy_from_slice(start);
        let inverse = diagonal(start_variance);
        LeastSquares { weights, start: weights, inverse, forgetting, start_variance }
    }

    fn predict(&mut self, past: &[f64; N]) -> f64 {
        let predicted = dot(&self.weights, past);
        if predicted.abs() <= PREDICTION_MAX {
            return predicted;
        }
        // Past all reason, or not a number: again from the start.
        self.weights = self.start;
        self.inverse = diagonal(self.start_variance);
        dot(&self.weights, past).clamp(-PREDICTION_MAX, PREDICTION_MAX)
    }

    fn learn(&mut self, past: &[f64; N], error: f64) {
        let mut direction = [0.0; N];
        for (direction, row) in direction.iter_mut().zip(self.inverse.iter()) {
            *direction = dot(row, past);
        }
        let norm = 1.0 / (self.forgetting + dot(&direction, past));
        let growth = 1.0 / self.forgetting;
        for (row, (weight, along)) in self.inverse.iter_mut().zip(self.weights.iter_mut().zip(&direction)) {
            let gain = along * norm;
            *weight += gain * error;
            for (entry, other) in row.iter_mut().zip(&direction) {
                *entry = (*entry - gain * other) * growth;
            }
        }
    }
}

fn diagonal<const N: usize>(value: f64) -> Box<[[f64; N]; N]> {
    let mut matrix = Box::new([[0.0; N]; N]);
    for (at, row) in matrix.iter_mut().enumerate() {
        row[at] = value;
    }
    matrix
}

/// Normalised least mean squares: w += µ·e·x / (N·power).
struct MeanSquares<const N: usize> {
    weights: Box<[f64; N]>,
    power: f64,
}

impl<const N: usize> MeanSquares<N> {
    fn new(start: &[f64]) -> Self {
        let mut weights = Box::new([0.0; N]);
        weights[..start.len()].copy_from_slice(start);
        MeanSquares { weights, power: 50.0 }
    }

    fn predict(&mut self, past: &[f64; N]) -> f64 {
        let predicted = dot(&self.weights, past);
        if predicted.abs() <= PREDICTION_MAX {
            return predicted;
        }
        *self = Self::new(&START);
        dot(&self.weights, past).clamp(-PREDICTION_MAX, PREDICTION_MAX)
    }

    fn learn(&mut self, past: &[f64; N], sample: f64, error: f64) {
        let gain = STEP * error / (self.power * N as f64 + 1.0);
        for (weight, past) in self.weights.iter_mut().zip(past) {
            *weight += gain * past;
        }
        self.power += POWER_RATE * (sample * sample - self.power);
    }
}

/// The last 256 samples in one piece, the latest first, moved once in many.
struct Past {
    samples: Box<[f64; PAST]>,
    first: usize,
}

impl Past {
    fn new() -> Self {
        Past { samples: Box::new([0.0; PAST]), first: PAST - PAST_USED }
    }

    fn latest<const N: usize>(&self) -> &[f64; N] {
        self.samples[self.first..].first_chunk().expect("no predictor looks back further")
    }

    fn push(&mut self, sample: f64) {
        if self.first == 0 {
            self.first = PAST - PAST_USED;
            self.samples.copy_within(..PAST_USED, self.first);
        }
        self.first -= 1;
        self.samples[self.first] = sample;
    }
}

/// In eight lanes, so that wide registers can hold them and the order of the sums is fixed all the same.
fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

const PREDICTION_MAX: f64 = 1e6;
/// Of the mean-square predictor, and of its mean power.
const STEP: f64 = 0.002;
const POWER_RATE: f64 = 0.002;
const PAST_USED: usize = 256;
const PAST: usize = 4 * PAST_USED;
/// Least squares of order 32 over recordings of human cortex at 19,531 Hz.
const START: [f64; 32] = [
    0.7987, 0.0529, 0.0130, 0.0166, 0.0173, 0.0152, 0.0126, 0.0109, 0.0080, 0.0072, 0.0060, 0.0060, 0.0046,
    0.0034, 0.0042, 0.0029, 0.0025, 0.0024, 0.0023, 0.0015, 0.0015, 0.0010, 0.0013, 0.0008, 0.0012, 0.0011,
    0.0008, 0.0009, -0.0001, 0.0009, 0.0009, 0.0010,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A wave needs two weights; least squares find them.
    #[test]
    fn a_wave_is_foreseen() {
        let mut predictors = Predictors::new();
        let mut worst: f64 = 0.0;
        for at in 0..3000 {
            let sample = (f64::from(at) * 0.3).sin() * 20.0;
            let error = predictors.predict() - sample;
            predictors.learn(sample);
            if at > 2000 {
                worst = worst.max(error.abs());
            }
        }
        assert!(worst < 0.2, "{worst}");
    }

    #[test]
    fn whatever_comes_predictions_stay_numbers() {
        let mut predictors = Predictors::new();
        for at in 0..200_000_u32 {
            let sample = match at / 40_000 {
                0 => 0.0,
                1 => f64::from(at.wrapping_mul(2_654_435_761) >> 16) - 32_768.0,
                2 => 32_767.0,
                3 => f64::from(at % 2) * 60_000.0,
                _ => 1e-3,
            };
            assert!(predictors.predict().abs() <= PREDICTION_MAX);
            predictors.learn(sample);
        }
    }
}
