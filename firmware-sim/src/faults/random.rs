//! Scripts by the thousand: a seed in, a legal script out whose faults all end within [`RANDOM_END_S`].
//!
//! For tests that run a link through whatever may happen. A script that breaks something is printed and read from a
//! file again.

use super::{
    BatteryCurve, Directions, Effect, Electrodes, Fault, JitterShape, MTU_MAX, MTU_MIN, SEED_MAX, Script,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

impl Script {
    /// Draws up to [`RANDOM_FAULTS_MAX`] faults of any kind. The first [`RANDOM_START_S`] are quiet, so that a link
    /// can begin; then one thing comes after or on top of the other, and none is left after [`RANDOM_END_S`].
    pub fn random(seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let n_faults = rng.random_range(0..=RANDOM_FAULTS_MAX);
        let mut script = Script { seed: seed & SEED_MAX, faults: Vec::with_capacity(n_faults) };
        for _ in 0..n_faults {
            let fault = draw(&mut rng);
            // What can't be true twice is drawn once.
            let once = matches!(fault.effect, Effect::ClockDrift { .. } | Effect::Battery(_));
            let kind = fault.effect.kind();
            if !(once && script.faults.iter().any(|other| other.effect.kind() == kind)) {
                script.faults.push(fault);
            }
        }
        script
    }
}

fn draw(rng: &mut Xoshiro256PlusPlus) -> Fault {
    let end_us = RANDOM_END_S * 1_000_000;
    let length_us = log_uniform(rng, 20e3, 8e6) as u64;
    let from_us = rng.random_range(RANDOM_START_S * 1_000_000..end_us - length_us);
    let directions = [Directions::Up, Directions::Down, Directions::Both][rng.random_range(0..3)];
    let window = |effect| Fault { from_us, to_us: from_us + length_us, directions: Directions::Both, effect };
    let packets = |effect| Fault { directions, ..window(effect) };
    let probability = log_uniform(rng, 0.005, 1.0);
    let delay_us = log_uniform(rng, 100.0, 300e3) as u64;
    match rng.random_range(0..16) {
        0 => packets(Effect::Loss { probability }),
        1 => packets(Effect::BurstLoss {
            good_to_bad: 1.0 / log_uniform(rng, 2.0, 500.0),
            bad_to_good: 1.0 / log_uniform(rng, 1.0, 50.0),
            loss_in_good: 0.0,
            loss_in_bad: rng.random_range(0.5..=1.0),
        }),
        2 => packets(Effect::Duplicate { probability, delay_us }),
        3 => packets(Effect::Reorder { probability, delay_us }),
        4 => packets(Effect::Jitter {
            shape: [JitterShape::Uniform, JitterShape::Exponential][rng.random_range(0..2)],
            mean_us: delay_us,
        }),
        5 => packets(Effect::BitFlips { probability, bits: rng.random_range(1..=64) }),
        6 => packets(Effect::Truncation { probability }),
        7 => packets(Effect::Mtu { bytes: rng.random_range(MTU_MIN..=MTU_MAX) }),
        8 => packets(Effect::Throughput { bits_per_second: log_uniform(rng, 1e3, 1e6) as u64 }),
        9 => packets(Effect::Stall),
        10 => window(Effect::Disconnect),
        11 => window(Effect::ClockDrift { parts_per_billion: rng.random_range(-200_000..=200_000) }),
        12 => {
            let by_us = rng.random_range(-2_000_000..=2_000_000);
            Fault { to_us: from_us, ..window(Effect::ClockJump { by_us }) }
        }
        13 => window(Effect::Reboot),
        14 => window(Effect::DeadElectrodes(match rng.random() {
            true => Electrodes::Fraction(probability),
            false => {
                let first = rng.random_range(0..RANDOM_ELECTRODES);
                let end = (first + rng.random_range(1..32)).min(RANDOM_ELECTRODES);
                Electrodes::Channels((first..end).collect())
            }
        })),
        _ => {
            let low = rng.random_range(0.0..0.1);
            let to_us = from_us + length_us;
            let points = vec![(from_us, 1.0), (from_us + length_us / 2, low), (to_us, 0.5)];
            Fault::battery(BatteryCurve { points, reset_below: 0.05, back_from: 0.1 })
        }
    }
}

/// As many draws from 1 to 10 as from 10 to 100.
fn log_uniform(rng: &mut Xoshiro256PlusPlus, low: f64, high: f64) -> f64 {
    low * (high / low).powf(rng.random())
}

/// Random faults start after this, s.
pub const RANDOM_START_S: u64 = 1;
/// Random faults are over by now, s.
pub const RANDOM_END_S: u64 = 15;
/// Electrodes of the device that random scripts are for.
pub const RANDOM_ELECTRODES: usize = 64;
/// Faults of one random script.
pub const RANDOM_FAULTS_MAX: usize = 8;
