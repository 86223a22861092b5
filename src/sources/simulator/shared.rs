//! What neurons share besides the intended velocity: other muscles, attention, arousal.
//!
//! In: one step every [`STEP_MS`]. Out: [`N_SHARED`] independent causes, each of mean 0 and variance 1, that wander
//! over their own time (an Ornstein-Uhlenbeck process each, cut into steps). Guarantees that they depend on the seed
//! and the number of steps alone.
//!
//! Their number, strength and times are what the residual of `m1-reaching` shows after a regression on movement: an
//! eigenvalue of 6.4 on which most units have the same sign, whose course is over after 0.3 s, and a tail from 2.8
//! down, slower. The causes are not tied to anything that the simulated user does.

use super::lanes::noise;
use super::neurons::normal;
use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The causes as they are now.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) now: [f32; N_SHARED],
    pole: [f32; N_SHARED],
    drive: [f32; N_SHARED],
    rng: Xoshiro256PlusPlus,
}

impl Shared {
    /// From anywhere that they may be.
    pub(super) fn new(mut rng: Xoshiro256PlusPlus) -> Self {
        let now = std::array::from_fn(|_| normal(&mut rng) as f32);
        let poles = CAUSES.map(|(_, wander_ms)| wander(wander_ms));
        Shared { now, pole: poles.map(|(pole, _)| pole), drive: poles.map(|(_, drive)| drive), rng }
    }

    /// [`STEP_MS`] later.
    pub(super) fn step(&mut self) {
        for k in 0..N_SHARED {
            self.now[k] = self.pole[k] * self.now[k] + self.drive[k] * noise(self.rng.next_u32());
        }
    }
}

/// Pole and drive of an Ornstein-Uhlenbeck process of variance 1 whose correlation falls by e in `wander_ms`.
pub(super) fn wander(wander_ms: f64) -> (f32, f32) {
    let pole = (-(STEP_MS as f64) / wander_ms).exp();
    (pole as f32, (1.0 - pole * pole).sqrt() as f32)
}

/// How the causes divide a deviation of 1 among them.
pub(super) fn weights() -> [f64; N_SHARED] {
    let all: f64 = CAUSES.iter().map(|(weight, _)| weight * weight).sum();
    CAUSES.map(|(weight, _)| weight / all.sqrt())
}

/// How many there are.
pub const N_SHARED: usize = CAUSES.len();
/// What isn't the intended velocity moves rates in steps of this many ms.
pub(super) const STEP_MS: u64 = 16;

/// Relative strength, and how long each wanders, ms.
const CAUSES: [(f64, f64); 8] = [
    (0.90, 250.0),
    (0.50, 800.0),
    (0.45, 400.0),
    (0.40, 800.0),
    (0.35, 400.0),
    (0.30, 400.0),
    (0.30, 400.0),
    (0.30, 400.0),
];

#[cfg(test)]
mod tests {
    use super::super::lanes::{Purpose, generator};
    use super::*;

    #[test]
    fn causes_have_variance_one_their_own_times_and_nothing_in_common() {
        let mut shared = Shared::new(generator(1, Purpose::Shared));
        let n = 400_000;
        let rows: Vec<[f32; N_SHARED]> = (0..n)
            .map(|_| {
                shared.step();
                shared.now
            })
            .collect();
        let product = |a: usize, b: usize, later: usize| {
            let pairs = rows[..n - later].iter().zip(&rows[later..]);
            pairs.map(|(row, after)| f64::from(row[a]) * f64::from(after[b])).sum::<f64>()
                / (n - later) as f64
        };
        for (k, (_, wander_ms)) in CAUSES.iter().enumerate() {
            // 400,000 steps are 6,400 s, so at least 4,000 independent values of the slowest: five errors.
            assert!((product(k, k, 0) - 1.0).abs() < 0.11, "cause {k}: {}", product(k, k, 0));
            let later = (wander_ms / STEP_MS as f64) as usize;
            assert!(
                (product(k, k, later) - (-1.0f64).exp()).abs() < 0.11,
                "cause {k} wanders {wander_ms} ms"
            );
            assert!((0..k).all(|other| product(k, other, 0).abs() < 0.08), "cause {k} stands alone");
        }
        assert!((weights().iter().map(|w| w * w).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
