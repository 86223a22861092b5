//! What the next sample will be, from the 16 before it.
//!
//! In: samples in fine units of a count. Out: a prediction in the same unit. Guarantees: the same integers on every
//! machine; sums that would overflow wrap, which costs compression and nothing else. Source: normalised least mean
//! squares (Nagumo & Noda 1967), w += µ·e·x / |x|², started from weights that fit recorded cortex.

use super::spread::{exponential, logarithm};

/// Samples looked back at.
pub(super) const N_TAPS: usize = 16;

/// Weights and what they weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Predictor {
    /// The oldest sample's first, 2⁻²⁹.
    weights: [i32; N_TAPS],
    /// The last samples, the oldest first.
    past: [i16; N_TAPS],
    /// Mean square of them, 2⁻¹⁰.
    power: u64,
    /// Mean of the samples, 2⁻⁷.
    mean: i32,
}

impl Predictor {
    pub(super) fn new() -> Self {
        Predictor {
            weights: START.map(|weight| i32::from(weight) << 16),
            past: [0; N_TAPS],
            power: 0,
            mean: 0,
        }
    }

    /// The power's logarithm, then how far each weight has gone from its start.
    pub(super) fn snapshot(&self) -> [u8; N_TAPS + 1] {
        let mut bytes = [0; N_TAPS + 1];
        bytes[0] = logarithm(self.power);
        for ((byte, weight), start) in bytes[1..].iter_mut().zip(&self.weights).zip(&START) {
            let moved = ((weight >> 16) - i32::from(*start) + (1 << (MOVE_BITS - 1))) >> MOVE_BITS;
            *byte = moved.clamp(-128, 127) as i8 as u8;
        }
        bytes
    }

    /// What a snapshot tells, and as if `first` had come all the time.
    pub(super) fn restore(snapshot: &[u8; N_TAPS + 1], first: i16) -> Self {
        let mut restored = Predictor {
            power: exponential(snapshot[0]),
            mean: i32::from(first) << MEAN_SHIFT,
            ..Predictor::new()
        };
        for (weight, moved) in restored.weights.iter_mut().zip(&snapshot[1..]) {
            *weight += i32::from(*moved as i8) << (16 + MOVE_BITS);
        }
        restored
    }

    #[inline(always)]
    pub(super) fn predict(&self) -> i32 {
        let mut sum = 1 << (WEIGHT_BITS - 1);
        for (weight, past) in self.weights.iter().zip(&self.past) {
            sum = i32::wrapping_add(sum, i32::from((weight >> 16) as i16) * i32::from(*past));
        }
        ((self.mean >> MEAN_SHIFT) + (sum >> WEIGHT_BITS)).clamp(i16::MIN as i32, i16::MAX as i32)
    }

    /// Learns that `value` came where `predicted` was expected.
    #[inline(always)]
    pub(super) fn learn(&mut self, value: i16, predicted: i32) {
        let error = i32::from(value) - predicted;
        let power = (self.power >> (POWER_SHIFT + 4)) as i32 + 1;
        let gain = ((error << 13) / power).clamp(-(i16::MAX as i32), i16::MAX as i32);
        for (weight, past) in self.weights.iter_mut().zip(&self.past) {
            *weight = weight.wrapping_add(gain * i32::from(*past));
        }
        let apart = i32::from(value) - (self.mean >> MEAN_SHIFT);
        self.mean += apart;
        let apart = apart.clamp(i16::MIN as i32, i16::MAX as i32) as i16;
        let square = i32::from(apart) * i32::from(apart);
        self.power = self.power - (self.power >> POWER_SHIFT) + square as u64;
        self.past.copy_within(1.., 0);
        self.past[N_TAPS - 1] = apart;
    }
}

/// Of a weight's move in a snapshot: 1/256.
const MOVE_BITS: u32 = 4;
/// A weight of one.
const WEIGHT_BITS: u32 = 13;
/// The mean is of about 2⁷ samples.
const MEAN_SHIFT: u32 = 7;
/// The mean square is of about 2¹⁰ samples.
const POWER_SHIFT: u32 = 10;
/// Least squares of order 16 over recordings of human cortex at 19,531 Hz, 2⁻¹³.
const START: [i16; N_TAPS] = [24, 35, 28, 37, 49, 49, 59, 65, 89, 103, 124, 142, 136, 106, 434, 6543];
