//! How probable each distance from the prediction is.
//!
//! In: errors of the prediction, in halves of the converter's fine units. Out: positions on the scale of [`TOTAL`] of a Gaussian with
//! a long thin tail, as wide as the latest errors were. Guarantees: integers alone, so that both sides of a link agree
//! to the last bit; positions grow with the distance.

use super::range::{TOTAL, TOTAL_BITS};

/// The mean square of the errors, at two speeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// 2⁻⁹.
    fast: u64,
    /// 2⁻¹³.
    slow: u64,
}

impl Spread {
    pub(super) fn new() -> Self {
        Spread { fast: START << FAST_SHIFT, slow: START << SLOW_SHIFT }
    }

    /// Both means' logarithms.
    pub(super) fn snapshot(&self) -> [u8; 2] {
        [logarithm(self.fast), logarithm(self.slow)]
    }

    pub(super) fn restore(snapshot: &[u8; 2]) -> Self {
        Spread { fast: exponential(snapshot[0]), slow: exponential(snapshot[1]) }
    }

    #[inline(always)]
    pub(super) fn learn(&mut self, error: i32) {
        let error = i64::from(error.clamp(-ERROR_MAX, ERROR_MAX));
        let square = ((error * error) as u64) << SQUARE_BITS;
        self.fast = self.fast - (self.fast >> FAST_SHIFT) + square;
        self.slow = self.slow - (self.slow >> SLOW_SHIFT) + square;
    }

    /// The width for the next sample of a converter whose fine units are 2^−`fine_bits` of a count.
    #[inline(always)]
    pub(super) fn scale(&self, fine_bits: u32) -> Scale {
        // A quarter of the fast one and three of the slow, 2⁻¹⁵.
        let variance =
            (self.fast << (SLOW_SHIFT - FAST_SHIFT)) + 3 * self.slow + (VARIANCE_MIN << (2 * fine_bits));
        let half_exponent = (63 - variance.leading_zeros()) / 2;
        // Four to sixty-four: five or six bits that count.
        let mantissa = (variance >> (2 * half_exponent - MANTISSA_BITS)) as usize - MANTISSA_MIN;
        Scale {
            inverse: INVERSE[mantissa] >> half_exponent,
            width: u64::from(WIDTH[mantissa]) << half_exponent,
        }
    }
}

/// A width of the distribution.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// Table steps (2⁻⁸) in half a fine unit, 2⁻¹⁰.
    inverse: u32,
    /// Half fine units in a standard deviation, 2⁻²⁴.
    width: u64,
}

impl Scale {
    /// The share of TOTAL that lies below `distance` from the prediction.
    #[inline(always)]
    pub(super) fn below(&self, distance: i32) -> u32 {
        share_below((i64::from(distance) * i64::from(self.inverse)) >> 10)
    }

    /// A distance below which lies about `position` of TOTAL.
    #[inline(always)]
    pub(super) fn distance(&self, position: u32) -> i32 {
        let step = DISTANCE[(position >> (TOTAL_BITS - DISTANCE_BITS)) as usize];
        ((i64::from(step) * self.width as i64) >> 32) as i32
    }
}

/// The share of [`TOTAL`] that lies below `distance`, in 2⁻¹² standard deviations: of a Gaussian, and one part in 512 of
/// a tail e^(−|z|/3); 0 and TOTAL from 12 on. It grows with the distance.
#[inline(always)]
pub fn share_below(distance: i64) -> u32 {
    let at = (distance.clamp(-AT_MAX, AT_MAX) + AT_MAX) as usize;
    let (step, part) = (at >> 8, (at & 255) as u32);
    let (low, high) = (BELOW[step], BELOW[step + 1]);
    low + (((high - low) * part) >> 8)
}

/// A quarter of an octave is one.
pub(super) fn logarithm(value: u64) -> u8 {
    let exponent = 63 - (value | 4).leading_zeros();
    (4 * exponent) as u8 + ((value >> (exponent - 2)) & 3) as u8
}

/// The middle of the values that have this logarithm; any byte has one below 2⁴⁷.
pub(super) fn exponential(logarithm: u8) -> u64 {
    let (exponent, part) = (u32::from(logarithm / 4).clamp(2, 46), u64::from(logarithm % 4));
    (2 * (4 + part) + 1) << exponent >> 3
}

/// The fast mean is of about 2⁵ samples, the slow one of 2⁹.
const FAST_SHIFT: u32 = 5;
const SLOW_SHIFT: u32 = 9;
/// Of the errors before the first: six counts of 2⁵ fine units.
const START: u64 = 36 << (12 + SQUARE_BITS);
/// Binary places of a square.
const SQUARE_BITS: u32 = 4;
/// A sixteenth of a count, so that a silent channel costs next to nothing; for fine units of a
/// count, in 2⁻¹⁵ of their halves' squares.
const VARIANCE_MIN: u64 = 1 << 9;
const _: () = assert!(VARIANCE_MIN >= 1 << MANTISSA_BITS);
/// Its square fits 32 bits.
const ERROR_MAX: i32 = u16::MAX as i32;

/// Leading bits of a variance that count, but for one or two.
const MANTISSA_BITS: u32 = 4;
const MANTISSA_MIN: usize = 1 << MANTISSA_BITS;
const N_MANTISSAS: usize = 3 << MANTISSA_BITS;

/// 2^31.5 / √(m + ½), where √(m + ½)·2^(h − 2) is the root of a variance of mantissa m and half exponent h.
static INVERSE: [u32; N_MANTISSAS] = {
    let mut inverse = [0; N_MANTISSAS];
    let mut at = 0;
    while at < N_MANTISSAS {
        inverse[at] = ((1_u128 << 64) / (2 * (at + MANTISSA_MIN) as u128 + 1)).isqrt() as u32;
        at += 1;
    }
    inverse
};

/// √(m + ½)·2^14.5.
static WIDTH: [u32; N_MANTISSAS] = {
    let mut width = [0; N_MANTISSAS];
    let mut at = 0;
    while at < N_MANTISSAS {
        width[at] = ((2 * (at + MANTISSA_MIN) as u64 + 1) << 28).isqrt() as u32;
        at += 1;
    }
    width
};

/// Steps of a sixteenth of a standard deviation on each side, and the farthest distance, 2⁻⁸ steps.
const N_STEPS: usize = 192;
const AT_MAX: i64 = (N_STEPS as i64) << 8;

/// The share of TOTAL below each step: a Gaussian, and a tail e^(−|z|/3) of one part in 2^TAIL_SHIFT. The second-last
/// entry is TOTAL and so is the last, which is there for the end of the last step.
static BELOW: [u32; 2 * N_STEPS + 2] = {
    let (mut gaussian, mut tail) = ([0_u64; N_STEPS + 1], [0_u64; N_STEPS + 1]);
    let (mut bell, mut ratio, mut fall) = (ONE, BELL_FIRST, ONE);
    let mut step = 0;
    while step < N_STEPS {
        (gaussian[step + 1], tail[step + 1]) = (gaussian[step], tail[step]);
        let mut part = 0;
        while part < 16 {
            // Trapezoids; e^(−z²/2) falls by a ratio that itself falls by the square of the first.
            let (bell_next, fall_next) = (times(bell, ratio), times(fall, TAIL_FALL));
            gaussian[step + 1] += (bell + bell_next) >> 10;
            tail[step + 1] += (fall + fall_next) >> 10;
            ratio = times(ratio, times(BELL_FIRST, BELL_FIRST));
            (bell, fall) = (bell_next, fall_next);
            part += 1;
        }
        step += 1;
    }
    let mut below = [TOTAL; 2 * N_STEPS + 2];
    let mut step = 0;
    while step <= N_STEPS {
        let bulk = (gaussian[step] as u128 * HALF / gaussian[N_STEPS] as u128) as u64;
        let far = (tail[step] as u128 * HALF / tail[N_STEPS] as u128) as u64;
        let half =
            ((bulk - (bulk >> TAIL_SHIFT) + (far >> TAIL_SHIFT)) >> (HALF_BITS - TOTAL_BITS + 1)) as u32;
        below[N_STEPS + step] = TOTAL / 2 + half;
        below[N_STEPS - step] = TOTAL / 2 - half;
        step += 1;
    }
    // Whatever rounding took.
    below[0] = 0;
    below[2 * N_STEPS] = TOTAL;
    below
};

const TAIL_SHIFT: u32 = 9;
const HALF_BITS: u32 = 60;
const HALF: u128 = 1 << HALF_BITS;
/// 1, e^(−h²/2) and e^(−h/3) for h = 1/256, 2⁻⁶⁰.
const ONE: u64 = 1 << 60;
const BELL_FIRST: u64 = 1_152_912_708_547_379_115;
const TAIL_FALL: u64 = 1_151_421_281_650_669_692;

const fn times(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 60) as u64
}

const DISTANCE_BITS: u32 = 10;
/// Where the middles of 2¹⁰ equal shares of TOTAL lie, 2⁻⁸ standard deviations.
static DISTANCE: [i16; 1 << DISTANCE_BITS] = {
    let mut distance = [0; 1 << DISTANCE_BITS];
    let (mut share, mut step) = (0, 0);
    while share < 1 << DISTANCE_BITS {
        let position = (2 * share as u32 + 1) << (TOTAL_BITS - DISTANCE_BITS - 1);
        while BELOW[step + 1] <= position {
            step += 1;
        }
        let part = (position - BELOW[step]) * 16 / (BELOW[step + 1] - BELOW[step]);
        distance[share] = (16 * step as i32 + part as i32 - 16 * N_STEPS as i32) as i16;
        share += 1;
    }
    distance
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn settled(standard_deviation: i32) -> Scale {
        let mut spread = Spread::new();
        for _ in 0..20_000 {
            spread.learn(standard_deviation);
        }
        spread.scale(0)
    }

    /// The obvious version: the normal distribution's values from any table of it.
    #[test]
    fn shares_are_a_gaussians_but_for_the_tail() {
        for width in [40, 192, 5_000, 20_000] {
            let scale = settled(width);
            for (deviations, below) in
                [(-2.0, 0.02275), (-1.0, 0.15866), (0.0, 0.5), (0.5, 0.69146), (3.0, 0.99865)]
            {
                let got = f64::from(scale.below((f64::from(width) * deviations) as i32)) / f64::from(TOTAL);
                assert!((got - below).abs() < 0.012, "{width}, {deviations}: {got}, {below} expected");
            }
        }
    }

    #[test]
    fn shares_grow_and_distances_invert_them() {
        for width in [0, 1, 3, 50, 700, 32_767] {
            let scale = settled(width);
            assert_eq!((scale.below(-66_000 * 32), scale.below(66_000 * 32)), (0, TOTAL));
            let shares: Vec<u32> = (-66_000..66_000).map(|distance| scale.below(distance)).collect();
            assert!(shares.is_sorted(), "{width}");
            for distance in [-width, -width / 3, 0, width / 2, width] {
                let back = scale.distance(scale.below(distance).min(TOTAL - 1));
                assert!((back - distance).abs() <= 2 + width / 16, "{width}: {distance} came back as {back}");
            }
        }
    }
}
