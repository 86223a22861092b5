//! The noise of one channel, its threshold, and what crosses it.
//!
//! In: filtered samples in 1/2^[`FRACTION_BITS`] count. Out: whether a sample crosses. Guarantees: integers alone, 16
//! bytes a channel, no division; spikes hardly raise the noise; silence leaves it where it was.
//!
//! # Noise
//!
//! The median m of |x| steps by a share η (stochastic approximation: Robbins & Monro 1951, Ann Math Stat 22:400), and
//! the noise is m / 0.6745 (Quiroga et al. 2004, Neural Comput 16:1661):
//!
//! ```text
//! m ← m + η m if |x| > m,   m − η m if |x| < m,   η = 2⁻ᵏ
//! ```
//!
//! One sample in [`LOOK_EVERY`] is looked at, on each channel another one, so that every frame costs the same. η is
//! large at the beginning and becomes 2⁻¹², where m follows with a time constant of 2¹² / (0.8573 · looks a second), 4 s
//! at 20 kHz, and spreads by √(η / 1.7146), 1.2 %.
//!
//! # Crossing
//!
//! As in `efference::detect::crossings`: a crossing is a downward pass through the level in force, `x[t] < level` and
//! `x[t−1] ≥ level`, outside of the refractory period. The level is the threshold, and until the guard's end
//! `min(threshold, share · trough)`, since a causal filter rings after a large spike; the trough is the lowest sample
//! from the crossing to the end of its refractory period.

use super::band_pass::FRACTION_BITS;

/// What all channels share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Threshold per median, in 1/2^32 of the ratio of their units.
    factor: u32,
    /// Frames from a crossing to where the next may be.
    pub(super) refractory: u8,
    /// Frames from a crossing to the end of its guard.
    pub(super) guard: u8,
    /// k of the step.
    pub(super) gear: u32,
}

impl Rule {
    /// `multiple` of the noise in 1/256, up to [`MULTIPLE_MAX`].
    pub(super) const fn new(multiple: u16, refractory: u8, guard: u8) -> Self {
        let multiple = if multiple > MULTIPLE_MAX { MULTIPLE_MAX } else { multiple };
        let refractory = if refractory == 0 { 1 } else { refractory };
        let guard = if guard < refractory { refractory } else { guard };
        Rule { factor: multiple as u32 * NOISE_PER_MEDIAN, refractory, guard, gear: GEARS[0].1 }
    }

    /// The gear after so many looks.
    pub(super) fn shift(&mut self, n_looks: u64) {
        for (from, gear) in GEARS {
            if n_looks >= from {
                self.gear = gear;
            }
        }
    }
}

/// One channel's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Threshold {
    /// In 1/2^[`MEDIAN_BITS`] count.
    median: u32,
    /// Below zero as a rule; in filtered units.
    threshold: i32,
    /// share · trough.
    low: i32,
    /// Frames since the last crossing, up to 255.
    since: u8,
    /// The threshold was given and does not follow the noise.
    is_given: bool,
}

impl Threshold {
    pub(super) const NEW: Threshold =
        Threshold { median: 8 << MEDIAN_BITS, threshold: i32::MIN, low: 0, since: u8::MAX, is_given: false };

    /// Looks at a sample for the noise's sake. Thresholds rest until `is_ready`.
    #[inline(always)]
    pub(super) fn look(&mut self, rule: &Rule, x: i32, is_ready: bool) {
        let magnitude = x.unsigned_abs();
        if magnitude < SILENCE {
            return;
        }
        let magnitude = magnitude.min(MAGNITUDE_MAX) << (MEDIAN_BITS - FRACTION_BITS);
        let step = self.median >> rule.gear;
        if magnitude > self.median {
            self.median = (self.median + step).min(MEDIAN_MAX);
        } else {
            self.median = (self.median - step).max(MEDIAN_MIN);
        }
        if is_ready && !self.is_given {
            self.follow(rule);
        }
    }

    /// Sets the threshold by the noise.
    fn follow(&mut self, rule: &Rule) {
        self.threshold = -(((u64::from(self.median) * u64::from(rule.factor)) >> FACTOR_BITS) as i32);
    }

    /// Sets the threshold in counts, or lets it follow the noise again.
    pub(super) fn set(&mut self, rule: &Rule, counts: Option<i16>, is_ready: bool) {
        self.is_given = counts.is_some();
        match counts {
            Some(counts) => self.threshold = i32::from(counts) << FRACTION_BITS,
            None if is_ready => self.follow(rule),
            None => self.threshold = i32::MIN,
        }
    }

    /// In counts, rounded towards zero.
    pub(super) const fn in_counts(&self) -> i32 {
        self.threshold / (1 << FRACTION_BITS)
    }

    /// The noise's standard deviation in 1/256 count.
    pub(super) fn noise(&self) -> u32 {
        ((u64::from(self.median) * u64::from(NOISE_PER_MEDIAN)) >> (16 + MEDIAN_BITS - 8)) as u32
    }

    /// Takes the next sample and the one before it: does it cross?
    #[inline(always)]
    pub(super) fn process(&mut self, rule: &Rule, before: i32, x: i32) -> bool {
        self.since = self.since.saturating_add(1);
        // Only while a guard lasts is there more to look at than the threshold.
        if self.since >= rule.guard {
            let crosses = x < self.threshold && before >= self.threshold;
            if crosses {
                (self.since, self.low) = (0, share_of(x));
            }
            return crosses;
        }
        if self.since < rule.refractory {
            self.low = self.low.min(share_of(x));
            return false;
        }
        let level = self.threshold.min(self.low);
        let crosses = x < level && before >= level;
        if crosses {
            (self.since, self.low) = (0, share_of(x));
        }
        crosses
    }
}

/// 77/256 of a trough, about 0.3.
#[inline(always)]
const fn share_of(x: i32) -> i32 {
    (x >> 8) * GUARD_SHARE
}

/// One sample in so many enters the noise.
pub(super) const LOOK_EVERY: u32 = 16;
/// Looks from which on thresholds are in force.
pub(super) const READY_LOOKS: u64 = 384;
/// From how many looks on the step is which: quickly there, then quiet.
const GEARS: [(u64, u32); 4] = [(0, 5), (384, 7), (1_536, 9), (6_144, 12)];
/// Threshold at most: 64 times the noise, in 1/256.
pub const MULTIPLE_MAX: u16 = 64 * 256;
/// Threshold at least: the noise itself.
pub const MULTIPLE_MIN: u16 = 256;
/// Threshold where nobody asks for another: −4.5 times the noise.
pub const MULTIPLE_USUAL: u16 = 1_152;
/// 2^16 / 0.6745: the standard deviation of a Gaussian per median of its magnitude.
const NOISE_PER_MEDIAN: u32 = 97_162;
/// Binary places of a median.
const MEDIAN_BITS: u32 = 18;
/// Of a median to filtered units: 16 of [`NOISE_PER_MEDIAN`], 8 of the multiple and the difference of places.
const FACTOR_BITS: u32 = 16 + 8 + MEDIAN_BITS - FRACTION_BITS;
/// So that steps of the finest gear stay above 0.
const MEDIAN_MIN: u32 = 1 << (MEDIAN_BITS - 4);
const MEDIAN_MAX: u32 = 1 << 31;
const MAGNITUDE_MAX: u32 = (1 << (32 - MEDIAN_BITS + FRACTION_BITS)) - 1;
/// Below 1/64 count there is nothing but rounding.
const SILENCE: u32 = 1 << (FRACTION_BITS - 6);
const GUARD_SHARE: i32 = 77;
const _: () =
    assert!(MEDIAN_MIN >> GEARS[3].1 > 0 && MULTIPLE_MAX as u64 * NOISE_PER_MEDIAN as u64 <= u32::MAX as u64);
// The largest threshold fits: (2^31 · 64 · 1.48) / 2^8 is below 2^31.
const _: () = assert!(
    (((MEDIAN_MAX as u64 * MULTIPLE_MAX as u64) >> 16) * NOISE_PER_MEDIAN as u64) >> (FACTOR_BITS - 16)
        < 1 << 31
);

#[cfg(test)]
mod tests {
    use super::super::testing::Gaussian;
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::vec::Vec;

    const RULE: Rule = Rule::new(MULTIPLE_USUAL, 10, 80);

    #[test]
    fn noise_is_found_and_spikes_hardly_raise_it() {
        for (sigma, spikes_every) in [(1.0, 0), (9.0, 0), (9.0, 400), (200.0, 400)] {
            let (mut threshold, mut rule, mut gaussian) = (Threshold::NEW, RULE, Gaussian::new(5));
            for look in 0..40_000_u64 {
                rule.shift(look);
                let is_spike = spikes_every > 0 && look % spikes_every < 8;
                let x = if is_spike { -12.0 * sigma } else { sigma * gaussian.next() };
                threshold.look(&rule, (x * 1024.0) as i32, look >= READY_LOOKS);
            }
            let noise = f64::from(threshold.noise()) / 256.0 / sigma;
            // 2 % of the samples are spikes, which raises the median by 3 %.
            assert!(
                (0.97..1.03 + if spikes_every > 0 { 0.03 } else { 0.0 }).contains(&noise),
                "{noise} at {sigma}"
            );
            let level = f64::from(threshold.threshold) / 1024.0 / (-4.5 * sigma);
            assert!((level / noise - 1.0).abs() < 0.005, "{level} against {noise}");
        }
    }

    #[test]
    fn silence_changes_nothing_and_extremes_stay_within() {
        let mut threshold = Threshold::NEW;
        for _ in 0..1_000 {
            threshold.look(&RULE, 0, true);
        }
        assert_eq!(threshold, Threshold::NEW);
        for _ in 0..10_000 {
            threshold.look(&RULE, i32::MIN, true);
        }
        assert!(threshold.median > MEDIAN_MAX / 2 && threshold.threshold < -(1 << 20));
        for _ in 0..100_000 {
            threshold.look(&RULE, 20, true);
        }
        assert_eq!(threshold.median, MEDIAN_MIN);
    }

    #[test]
    fn a_given_threshold_stays() {
        let mut threshold = Threshold::NEW;
        threshold.set(&RULE, Some(-30), true);
        threshold.look(&RULE, 99_999, true);
        assert_eq!(threshold.in_counts(), -30);
        threshold.set(&RULE, None, true);
        assert!(threshold.in_counts() < -40);
    }

    /// The definition, with the whole past at hand.
    fn slow(samples: &[i32], threshold: i32, refractory: usize, guard: usize) -> Vec<usize> {
        let mut crossings: Vec<usize> = Vec::new();
        for t in 1..samples.len() {
            let mut level = threshold;
            if let Some(&last) = crossings.last() {
                if t - last < refractory {
                    continue;
                }
                if t - last < guard {
                    let trough = samples[last..last + refractory].iter().min().expect("not empty");
                    level = level.min((trough >> 8) * GUARD_SHARE);
                }
            }
            if samples[t] < level && samples[t - 1] >= level {
                crossings.push(t);
            }
        }
        crossings
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn crossings_are_those_of_the_definition(
            samples in prop::collection::vec(-60_000_i32..40_000, 2..800),
            refractory in 1_u8..12,
            beyond in 0_u8..60,
            level in -40_000_i32..0,
        ) {
            let rule = Rule::new(MULTIPLE_USUAL, refractory, refractory + beyond);
            let mut threshold = Threshold { threshold: level, is_given: true, ..Threshold::NEW };
            let found: Vec<usize> =
                (1..samples.len()).filter(|&t| threshold.process(&rule, samples[t - 1], samples[t])).collect();
            let expected = slow(&samples, level, refractory.into(), (refractory + beyond).into());
            prop_assert_eq!(found, expected);
        }
    }
}
