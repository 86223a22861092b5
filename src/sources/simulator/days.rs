//! How the neurons that electrodes hear change from day to day.
//!
//! In: the neurons of day 0, a day. Out: those of that day, as many, on the same electrodes. Guarantees that day 0 is as
//! it was, that day n + 1 goes on from day n, and that the seed alone decides.
//!
//! Each day a part of the neurons is lost from sight and others are heard instead, and those that stay drift: a random
//! walk of preferred direction and of the logarithms of rate, modulation and amplitude. The part is what Vaidya et al.
//! (2014, Conf Proc IEEE Eng Med Biol Soc 4872) saw in monkey motor cortex: 67 % of the units were still there after 15
//! days and 31 % after 47; later they lost fewer than is simulated here. The steps of the walk are chosen, not measured.

use super::neurons::{Neuron, RATE_AT_REST_MAX_HZ, RATE_AT_REST_MIN_HZ, REFRACTORY_SHARE_MAX, normal};
use super::settings::Tissue;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Lets `days` days pass.
pub(super) fn pass(
    neurons: &mut [Neuron],
    days: u32,
    tissue: &Tissue,
    n_shapes: usize,
    rng: &mut Xoshiro256PlusPlus,
) {
    for _ in 0..days {
        for neuron in neurons.iter_mut() {
            if rng.random::<f64>() < REPLACED_A_DAY {
                *neuron = Neuron::draw(tissue, neuron.electrode, n_shapes, rng);
            } else {
                drift(neuron, rng);
            }
        }
    }
}

fn drift(neuron: &mut Neuron, rng: &mut Xoshiro256PlusPlus) {
    neuron.preferred = (neuron.preferred + TURN_RAD * normal(rng)).rem_euclid(std::f64::consts::TAU);
    let refractory_s = neuron.refractory_us as f64 * 1e-6;
    let rate_max_hz = RATE_AT_REST_MAX_HZ.min(REFRACTORY_SHARE_MAX / refractory_s);
    let rate_hz = (neuron.rate_hz * (RATE_STEP * normal(rng)).exp()).clamp(RATE_AT_REST_MIN_HZ, rate_max_hz);
    let change = rate_hz / neuron.rate_hz;
    neuron.rate_hz = rate_hz;
    neuron.modulation_hz *= change * (MODULATION_STEP * normal(rng)).exp();
    neuron.speed_hz *= change;
    neuron.click_hz *= change;
    neuron.trough_uv *= (TROUGH_STEP * normal(rng)).exp();
}

/// Part of the neurons that others take the place of, each day: 0.974¹⁵ = 0.67.
const REPLACED_A_DAY: f64 = 0.026;
/// Standard deviations of a day's steps: radians, and of logarithms.
const TURN_RAD: f64 = 0.08;
const RATE_STEP: f64 = 0.03;
const MODULATION_STEP: f64 = 0.06;
const TROUGH_STEP: f64 = 0.03;
/// A year.
pub(super) const DAY_MAX: u32 = 365;

#[cfg(test)]
mod tests {
    use super::super::lanes::{Purpose, generator};
    use super::*;

    fn on_day(day: u32) -> Vec<Neuron> {
        let tissue = Tissue::default();
        let mut rng = generator(3, Purpose::Tissue);
        let mut neurons: Vec<Neuron> =
            (0..3_000).map(|electrode| Neuron::draw(&tissue, electrode, 4, &mut rng)).collect();
        pass(&mut neurons, day, &tissue, 4, &mut generator(3, Purpose::Days));
        neurons
    }

    #[test]
    fn days_go_on_from_each_other_and_units_stay_as_long_as_in_a_monkey() {
        let first = on_day(0);
        assert_eq!(first, on_day(0));
        let stay = |day: u32| {
            let later = on_day(day);
            assert!(first.iter().zip(&later).all(|(a, b)| a.electrode == b.electrode));
            let same = |(a, b): &(&Neuron, &Neuron)| a.shared == b.shared && a.lag_ms == b.lag_ms;
            first.iter().zip(&later).filter(same).count() as f64 / 3_000.0
        };
        for (day, wanted) in [(0, 1.0), (15, 0.67), (47, 0.31)] {
            assert!((stay(day) - wanted).abs() < 0.035, "day {day}: {} stay", stay(day));
        }
    }

    #[test]
    fn those_that_stay_drift_slowly_and_the_population_keeps_its_rates() {
        let (first, later) = (on_day(0), on_day(10));
        let stayed: Vec<(&Neuron, &Neuron)> =
            first.iter().zip(&later).filter(|(a, b)| a.shared == b.shared).collect();
        let turn = |(a, b): &(&Neuron, &Neuron)| {
            let off = b.preferred - a.preferred;
            off.sin().atan2(off.cos()).powi(2)
        };
        let turned = (stayed.iter().map(turn).sum::<f64>() / stayed.len() as f64).sqrt();
        assert!((turned / (TURN_RAD * 10f64.sqrt()) - 1.0).abs() < 0.08, "{turned} rad");
        let mean = |neurons: &[Neuron]| neurons.iter().map(|n| n.rate_hz).sum::<f64>();
        assert!((mean(&later) / mean(&first) - 1.0).abs() < 0.06);
    }
}
