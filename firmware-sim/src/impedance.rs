//! What an implant would measure of its electrodes at 1 kHz: modelled, not measured.
//!
//! In: a seed, true time, which electrodes are dead. Out: tenths of a kiloohm, as the wire has them. Guarantees: the same
//! seed and time give the same values; a dead electrode reads open, and as before where it comes back.
//!
//! The model: each electrode has its own level, 100 to 900 kΩ, evenly in the logarithm, which swings by a tenth within
//! some hours and falls by a fifth over the first weeks, as tips wear. The figures are made up in the range that
//! papers on micro-electrodes give; no maker's data stand behind them.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The electrodes of one implant.
#[derive(Clone, Debug)]
pub struct Impedances {
    electrodes: Vec<Electrode>,
}

#[derive(Clone, Copy, Debug)]
struct Electrode {
    tenths_of_kiloohm: f64,
    /// Of its swing: hours, and turns at the start.
    hours: f64,
    turns: f64,
}

impl Impedances {
    /// Of so many electrodes.
    pub fn new(n_electrodes: usize, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ STREAM);
        let mut electrode = || Electrode {
            tenths_of_kiloohm: LEVEL_MIN * (LEVEL_MAX / LEVEL_MIN).powf(rng.random::<f64>()),
            hours: 2.0 + 10.0 * rng.random::<f64>(),
            turns: rng.random(),
        };
        Impedances { electrodes: (0..n_electrodes).map(|_| electrode()).collect() }
    }

    /// What is measured at `now_us`, 1/10 kΩ; [`OPEN`] of an electrode that is dead.
    ///
    /// # Panics
    /// If there is no such electrode.
    pub fn measure(&self, now_us: u64, electrode: usize, is_dead: bool) -> u16 {
        if is_dead {
            return OPEN;
        }
        let Electrode { tenths_of_kiloohm, hours, turns } = self.electrodes[electrode];
        let passed = now_us as f64 / 3.6e9;
        let swing = 1.0 + SWING * (std::f64::consts::TAU * (passed / hours + turns)).sin();
        let worn = 1.0 - WEAR * (1.0 - (-passed / WEAR_HOURS).exp());
        (tenths_of_kiloohm * swing * worn).round().clamp(0.0, f64::from(OPEN - 1)) as u16
    }
}

/// No current passes.
pub const OPEN: u16 = u16::MAX;
const LEVEL_MIN: f64 = 1_000.0;
const LEVEL_MAX: f64 = 9_000.0;
const SWING: f64 = 0.1;
const WEAR: f64 = 0.2;
const WEAR_HOURS: f64 = 500.0;
/// Sets these draws apart from all others of the seed.
const STREAM: u64 = 0x9FB2_1C65_1E98_DF25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn electrodes_differ_drift_and_die() {
        let (one, other) = (Impedances::new(200, 1), Impedances::new(200, 2));
        let of = |model: &Impedances, us: u64| -> Vec<u16> {
            (0..200).map(|electrode| model.measure(us, electrode, electrode == 7)).collect()
        };
        let (now, later) = (of(&one, 0), of(&one, 3_600_000_000));
        assert_eq!(now, of(&Impedances::new(200, 1), 0), "the same seed");
        assert_ne!(now, of(&other, 0));
        assert!(now[7] == OPEN && later[7] == OPEN);
        for (electrode, (&now, &later)) in now.iter().zip(&later).enumerate().filter(|&(at, _)| at != 7) {
            assert!((900..=9_900).contains(&now), "electrode {electrode}: {now}");
            let ratio = f64::from(later) / f64::from(now);
            assert!((0.8..1.25).contains(&ratio), "electrode {electrode}: {now} to {later} in an hour");
        }
        assert!(now.iter().zip(&later).filter(|(now, later)| now != later).count() > 150, "they drift");
        assert_ne!(one.measure(0, 7, false), OPEN);
    }
}
