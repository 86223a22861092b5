//! A Butterworth band-pass of order 2 in fixed point.
//!
//! In: samples of one channel, of at most 16 bits and [`FRACTION_BITS`] binary places. Out: the same, filtered.
//! Guarantees: within a few units of the exact filter (the rounding is fed back, so it does not gather at low
//! frequencies); no overflow whatever the samples; the first sample is taken as the level from which all begins, so
//! that an offset rings nothing.
//!
//! # Equations
//!
//! The zeros of such a filter lie at +1 and −1, twice each, so only five numbers are left of its two sections:
//!
//! ```text
//! y[t] = gain · (x[t] − 2 x[t−1] + x[t−2]) − low₁ · y[t−1] − low₂ · y[t−2]
//! z[t] = y[t] + 2 y[t−1] + y[t−2] − high₁ · z[t−1] − high₂ · z[t−2]
//! ```
//!
//! What rounding takes from a sum is added to the next one, which shapes its error by (1 − z⁻¹).

/// What the two sections multiply with, in 1/2^30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandPass {
    /// Of the whole filter.
    pub gain: i32,
    /// `a1, a2` of the section whose poles lie lower.
    pub low: [i32; 2],
    /// `a1, a2` of the other one.
    pub high: [i32; 2],
}

/// What a channel remembers of its past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandPassState {
    x: [i32; 2],
    y: [i32; 2],
    z: [i32; 2],
    /// What the rounding took from either section's last sum, below 2^30.
    rest: [i32; 2],
}

impl BandPassState {
    /// As if the sample `x` had been there for ever.
    #[must_use]
    pub const fn settled(x: i32) -> Self {
        BandPassState { x: [x, x], y: [0; 2], z: [0; 2], rest: [0; 2] }
    }

    /// The sample that came out last.
    #[must_use]
    pub const fn last(&self) -> i32 {
        self.z[0]
    }

    /// Filters the sample `x`, in 1/2^[`FRACTION_BITS`] count and of at most 16 bits before its binary places.
    #[inline(always)]
    pub fn process(&mut self, filter: &BandPass, x: i32) -> i32 {
        let bend = x - 2 * self.x[0] + self.x[1];
        self.x = [x, self.x[0]];
        let sum = i64::from(filter.gain) * i64::from(bend) + i64::from(self.rest[0]);
        let (y, rest) = rounded(sum - poles(filter.low, self.y));
        self.rest[0] = rest;
        let summed = i64::from(y) + 2 * i64::from(self.y[0]) + i64::from(self.y[1]);
        self.y = [y, self.y[0]];
        let sum = (summed << COEFFICIENT_BITS) + i64::from(self.rest[1]);
        let (z, rest) = rounded(sum - poles(filter.high, self.z));
        self.rest[1] = rest;
        self.z = [z, self.z[0]];
        z
    }
}

#[inline(always)]
fn poles(a: [i32; 2], past: [i32; 2]) -> i64 {
    i64::from(a[0]) * i64::from(past[0]) + i64::from(a[1]) * i64::from(past[1])
}

/// The sum without its binary places, and these. A value that no signal reaches is cut off, so that nothing overflows.
#[inline(always)]
fn rounded(sum: i64) -> (i32, i32) {
    let value = (sum >> COEFFICIENT_BITS).clamp(-LIMIT, LIMIT) as i32;
    (value, (sum & ((1 << COEFFICIENT_BITS) - 1)) as i32)
}

/// Binary places of what comes out.
pub const FRACTION_BITS: u32 = 10;
/// Binary places of the coefficients.
pub const COEFFICIENT_BITS: u32 = 30;
/// Sixteen times what a sample of 16 bits can be.
const LIMIT: i64 = 1 << (15 + FRACTION_BITS + 4);
// Two products of a coefficient with a value of the past, four values and one product of a bend: below 2^63.
const _: () = assert!(LIMIT.ilog2() + 31 < 61 && LIMIT.ilog2() + 2 + COEFFICIENT_BITS <= 61);
const _: () = assert!(15 + FRACTION_BITS + 2 + 31 <= 61);

#[cfg(test)]
mod tests {
    use super::super::bands::{BANDS, SPIKES_20_KHZ};
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::vec::Vec;

    /// The definition, with exact coefficients, in f64.
    fn slow(filter: &BandPass, samples: &[i16]) -> Vec<f64> {
        let unit = 1.0 / f64::from(1 << COEFFICIENT_BITS);
        let [gain, l1, l2, h1, h2] =
            [filter.gain, filter.low[0], filter.low[1], filter.high[0], filter.high[1]]
                .map(|c| f64::from(c) * unit);
        let (mut x, mut y, mut z) = ([f64::from(samples[0]); 2], [0.0; 2], [0.0; 2]);
        let mut out = Vec::new();
        for &sample in samples {
            let now = f64::from(sample);
            let middle = gain * (now - 2.0 * x[0] + x[1]) - l1 * y[0] - l2 * y[1];
            let last = middle + 2.0 * y[0] + y[1] - h1 * z[0] - h2 * z[1];
            (x, y, z) = ([now, x[0]], [middle, y[0]], [last, z[0]]);
            out.push(last);
        }
        out
    }

    fn fast(filter: &BandPass, samples: &[i16]) -> Vec<i32> {
        let mut state = BandPassState::settled(i32::from(samples[0]) << FRACTION_BITS);
        samples.iter().map(|&sample| state.process(filter, i32::from(sample) << FRACTION_BITS)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn it_is_the_definition_within_a_tenth_of_a_count(
            samples in prop::collection::vec(any::<i16>(), 1..2_000),
            band in 0..BANDS.len(),
        ) {
            let filter = &BANDS[band].filter;
            for (fast, slow) in fast(filter, &samples).iter().zip(slow(filter, &samples)) {
                let error = f64::from(*fast) / f64::from(1 << FRACTION_BITS) - slow;
                prop_assert!(error.abs() < 0.1, "{error} at {slow}, {:?}", BANDS[band]);
            }
        }

        #[test]
        fn no_coefficients_and_samples_overflow(
            samples in prop::collection::vec(prop_oneof![Just(i16::MIN), Just(i16::MAX), any::<i16>()], 1..300),
            c in any::<[i32; 5]>(),
        ) {
            let filter = BandPass { gain: c[0], low: [c[1], c[2]], high: [c[3], c[4]] };
            for value in fast(&filter, &samples) {
                prop_assert!(i64::from(value).abs() <= LIMIT);
            }
        }
    }

    /// The worst samples of 16 bits for every sample that comes out: the signs of the impulse response.
    #[test]
    fn no_band_reaches_the_limit_where_values_are_cut_off() {
        for band in &BANDS {
            let mut impulse = std::vec![0; 20_000];
            impulse[1] = 1;
            let response = slow(&band.filter, &impulse);
            let worst: f64 = response.iter().map(|r| r.abs()).sum::<f64>() * 65_535.0;
            assert!(worst * f64::from(1 << FRACTION_BITS) < LIMIT as f64, "{worst} counts of {band:?}");
        }
    }

    #[test]
    fn an_offset_rings_nothing_and_silence_stays_silent() {
        assert!(fast(&SPIKES_20_KHZ, &[12_345; 5_000]).iter().all(|&z| z == 0));
        let mut step = std::vec![-300; 20_000];
        step[0] = 300;
        let tail = &fast(&SPIKES_20_KHZ, &step)[10_000..];
        assert!(tail.iter().all(|z| z.abs() <= 4), "{:?}", tail.iter().max());
    }
}
