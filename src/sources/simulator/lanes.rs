//! Random numbers in SIMD lanes.
//!
//! In: a state per lane and one key per step. Out: 32 uniform bits per lane and step. Guarantees a fixed
//! order: what lane l gives at step n depends on the seed, l and n alone, so blocks may be cut anywhere.
//!
//! Each lane runs Marsaglia's xorshift32 (2003, J Stat Softw 8(14)), which is six cheap operations that
//! every instruction set has. All lanes walk the same cycle of 2³² − 1 states from random places; the
//! key, which all lanes of a step share and which comes from xoshiro256++, is added so that no lane is a
//! delayed copy of another one and no lane repeats.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Lanes of the kernels: one 512-bit register of 32-bit numbers.
pub(super) const LANES: usize = 16;

/// One step of one lane. Loops over lanes do all of their work on a lane in one go: a loop for this step alone would
/// be unrolled before it could become vectors.
#[inline(always)]
pub(super) fn step(state: &mut u32, key: u32) -> u32 {
    let mut x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    x.wrapping_add(key)
}

/// Noise of mean 0 and variance 1 from uniform bits: the sum of their four bytes, scaled.
///
/// Close to normal but not normal: excess kurtosis −0.30, and nothing beyond 3.45 standard deviations.
/// Filters, which add many samples up, bring the tails back in part.
#[inline(always)]
pub(super) fn noise(bits: u32) -> f32 {
    let pairs = (bits & 0x00ff_00ff) + ((bits >> 8) & 0x00ff_00ff);
    let sum = (pairs & 0xffff) + (pairs >> 16);
    (sum as i32 - BYTES_MEAN) as f32 * BYTES_SCALE
}

/// Starting states for lanes; none is zero, where xorshift would stay.
pub(super) fn start(rng: &mut Xoshiro256PlusPlus) -> [u32; LANES] {
    std::array::from_fn(|_| rng.next_u32().max(1))
}

/// The generator of one purpose, independent of how much the other purposes draw.
pub(super) fn generator(seed: u64, purpose: Purpose) -> Xoshiro256PlusPlus {
    // The odd constant is 2⁶⁴ over the golden ratio, as in SplitMix64, which `seed_from_u64` runs next.
    Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add((purpose as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// What a generator is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Which electrodes are dead, how many neurons each hears, what they are like.
    Tissue = 1,
    /// Spikes.
    Spikes = 2,
    /// Noise.
    Noise = 3,
    /// The subject's reaches.
    Task = 4,
    /// What neurons share besides the intended velocity.
    Shared = 5,
    /// How neurons change from day to day.
    Days = 6,
    /// Which electrodes are lost.
    Losses = 7,
    /// When motion artefacts come, and what they are like.
    Motion = 8,
    /// The same of stimulation.
    Stimulation = 9,
    /// Field potentials.
    Field = 10,
    /// What a click does to a neuron.
    Click = 11,
}

/// Mean of the sum of four uniform bytes.
const BYTES_MEAN: i32 = 510;
/// One over its standard deviation, √(4 · (256² − 1) / 12) = 147.80.
const BYTES_SCALE: f32 = 1.0 / 147.799_86;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_white_with_the_stated_moments_and_lanes_are_independent() {
        let mut rng = generator(1, Purpose::Noise);
        let mut state = start(&mut rng);
        let n = 200_000;
        let rows: Vec<[f32; LANES]> = (0..n)
            .map(|_| {
                let key = rng.next_u32();
                state.each_mut().map(|lane| noise(step(lane, key)))
            })
            .collect();
        let mean = |f: &dyn Fn(usize) -> f64| (8..n).map(f).sum::<f64>() / (n - 8) as f64;
        let at = |k: usize, l: usize| f64::from(rows[k][l]);
        // Standard errors are about 0.0022 for products; five of them.
        for l in 0..LANES {
            assert!(mean(&|k| at(k, l)).abs() < 0.011);
            assert!((mean(&|k| at(k, l).powi(2)) - 1.0).abs() < 0.016);
            assert!((mean(&|k| at(k, l).powi(4)) - 2.7).abs() < 0.08);
            for lag in 1..8 {
                assert!(mean(&|k| at(k, l) * at(k - lag, l)).abs() < 0.011, "lane {l} lag {lag}");
            }
            for other in 0..l {
                assert!(mean(&|k| at(k, l) * at(k, other)).abs() < 0.011, "lanes {l} and {other}");
            }
        }
    }

    #[test]
    fn a_lane_that_starts_later_on_the_cycle_is_no_delayed_copy() {
        let mut rng = generator(2, Purpose::Noise);
        let mut early = start(&mut rng);
        let mut late = early;
        for _ in 0..10 {
            step(&mut late[0], 0);
        }
        let keys: Vec<u32> = (0..100_010).map(|_| rng.next_u32()).collect();
        let early: Vec<f32> = keys.iter().map(|&k| noise(step(&mut early[0], k))).collect();
        let late: Vec<f32> = keys.iter().map(|&k| noise(step(&mut late[0], k))).collect();
        let product: f64 = late.iter().zip(&early[10..]).map(|(a, b)| f64::from(a * b)).sum::<f64>() / 1e5;
        assert!(product.abs() < 0.016, "{product}");
    }
}
