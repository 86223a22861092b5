//! What chance does to a packet: the packet as it leaves the air in, its [`Outcome`] out.
//!
//! Each fault has a generator of its own for each way, seeded by the script's seed and its place in the script. A fault
//! that holds draws once for every packet whatever the others do, so that faults don't change each other's draws.

use super::Lost;
use crate::faults::{Direction, Effect, FLIPS_MAX, Fault, JITTER_MEANS_MAX, JitterShape, Script};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The faults of one way that draw.
#[derive(Clone, Debug)]
pub(super) struct Dice(Vec<Die>);

#[derive(Clone, Debug)]
struct Die {
    fault: Fault,
    rng: Xoshiro256PlusPlus,
    /// State of a chain of losses, once the fault has begun.
    is_bad: Option<bool>,
}

/// What became of a packet, in the order of the script's faults.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The first fault that lost it.
    pub(super) lost: Option<Lost>,
    /// Delays by which those behind wait too.
    pub(super) jitter: Vec<Delay>,
    /// Delays in which those behind pass.
    pub(super) held: Vec<Delay>,
    /// For each further copy, its delay after the packet.
    pub(super) copies: Vec<Delay>,
}

/// A delay, and the end of its fault, at which it ends at the latest; both µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delay {
    by_us: u64,
    until_us: u64,
}

impl Delay {
    /// When something due at `time_us` comes.
    pub(super) fn apply(self, time_us: u64) -> u64 {
        time_us.max(time_us.saturating_add(self.by_us).min(self.until_us))
    }
}

impl Dice {
    pub(super) fn new(script: &Script, direction: Direction) -> Self {
        let dice = script.faults().iter().enumerate().filter(|(_, fault)| {
            fault.directions.contains(direction)
                && matches!(
                    fault.effect,
                    Effect::Loss { .. }
                        | Effect::BurstLoss { .. }
                        | Effect::Duplicate { .. }
                        | Effect::Reorder { .. }
                        | Effect::Jitter { .. }
                        | Effect::BitFlips { .. }
                        | Effect::Truncation { .. }
                )
        });
        let die = |(at, fault): (usize, &Fault)| {
            let stream = 2 * at as u64 + u64::from(direction == Direction::Down);
            let seed = script.seed() ^ stream.wrapping_add(1).wrapping_mul(GOLDEN);
            Die { fault: fault.clone(), rng: Xoshiro256PlusPlus::seed_from_u64(seed), is_bad: None }
        };
        Dice(dice.map(die).collect())
    }

    /// Draws for a packet that leaves the air at that time, and damages its bytes where it is hit.
    pub(super) fn roll(&mut self, now_us: u64, packet: &mut Vec<u8>) -> Outcome {
        let mut outcome = Outcome::default();
        for die in self.0.iter_mut().filter(|die| die.fault.is_active(now_us)) {
            die.roll(packet, &mut outcome);
        }
        outcome
    }
}

impl Die {
    fn roll(&mut self, packet: &mut Vec<u8>, outcome: &mut Outcome) {
        let drawn: f64 = self.rng.random();
        let delay = |by_us| Delay { by_us, until_us: self.fault.to_us };
        match self.fault.effect {
            Effect::Loss { probability } if drawn < probability => {
                outcome.lost = outcome.lost.or(Some(Lost::Alone));
            }
            Effect::BurstLoss { good_to_bad, bad_to_good, loss_in_good, loss_in_bad } => {
                let is_bad = match self.is_bad {
                    None => drawn < good_to_bad / (good_to_bad + bad_to_good),
                    Some(true) => drawn >= bad_to_good,
                    Some(false) => drawn < good_to_bad,
                };
                self.is_bad = Some(is_bad);
                let loss = if is_bad { loss_in_bad } else { loss_in_good };
                if self.rng.random::<f64>() < loss {
                    outcome.lost = outcome.lost.or(Some(Lost::Burst));
                }
            }
            Effect::Duplicate { probability, delay_us } if drawn < probability => {
                outcome.copies.push(delay(delay_us));
            }
            Effect::Reorder { probability, delay_us } if drawn < probability => {
                outcome.held.push(delay(delay_us));
            }
            Effect::Jitter { shape, mean_us } => {
                let means = match shape {
                    JitterShape::Uniform => 2.0 * drawn,
                    JitterShape::Exponential => (-(1.0 - drawn).ln()).min(JITTER_MEANS_MAX as f64),
                };
                outcome.jitter.push(delay((means * mean_us as f64).round() as u64));
            }
            Effect::BitFlips { probability, bits } if drawn < probability && !packet.is_empty() => {
                for _ in 0..bits.min(FLIPS_MAX) {
                    let bit = self.rng.random_range(0..8 * packet.len() as u64);
                    packet[(bit / 8) as usize] ^= 1 << (bit % 8);
                }
            }
            Effect::Truncation { probability } if drawn < probability && !packet.is_empty() => {
                let length = self.rng.random_range(0..packet.len() as u64);
                packet.truncate(length as usize);
            }
            _ => {}
        }
    }
}

/// 2⁶⁴ over the golden ratio: neighbouring streams get seeds that differ in many bits.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests;
