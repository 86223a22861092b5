//! Neurons: what each is like, drawn from distributions that were fitted to motor cortex.
//!
//! In: a [`Tissue`], an electrode, a generator. Out: a [`Neuron`]. Its life is in `population`, what changes from day to
//! day in `days`.
//!
//! A neuron fires at `g · max(0, b + m · s · cos(θ − θ₀) + w · s + k · c)` spikes a second, with rate at rest b, modulation m,
//! weight of speed w, intended speed s as a fraction of full speed and direction θ, and k where a click is intended (c = 1): Georgopoulos et al. (1982, J
//! Neurosci 2:1527) with the speed terms of Moran and Schwartz (1999, J Neurophysiol 82:2676). The gain g, of mean 1,
//! is what moves rates besides.
//!
//! Rates at rest follow Weibull's distribution of shape below 1, whose tail is heavier than an exponential one. On the
//! 150 units of `m1-reaching` it passes a test of Kolmogorov and Smirnov (p = 0.81) that the log-normal fails
//! (p = 0.04), for there are more slow units than that has. All modulations are relative to the rate and smaller for
//! faster neurons, by 1 / √(1 + b / 2 Hz): in that recording the share of the variance that movement explains hardly
//! grows with the rate, where it would be proportional to it.

use super::lanes::{Purpose, generator};
use super::settings::Tissue;
use super::shared::N_SHARED;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// One neuron, as the simulator made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neuron {
    /// The electrode that hears it best; its channel.
    pub electrode: usize,
    /// Rate at rest, spikes a second.
    pub rate_hz: f64,
    /// Spikes a second that full speed in its preferred direction adds.
    pub modulation_hz: f64,
    /// Preferred direction, radians from the x axis.
    pub preferred: f64,
    /// Spikes a second that full speed in any direction adds; negative where speed slows it down.
    pub speed_hz: f64,
    /// Spikes a second that an intended click adds; negative where it slows it down.
    pub click_hz: f64,
    /// How long before the movement it fires, ms.
    pub lag_ms: u32,
    /// Two of its spikes are at least this far apart, µs.
    pub refractory_us: u64,
    /// Standard deviation of what moves its rate alone, relative to the rate.
    pub own: f64,
    /// What each of the causes that the population shares does to its rate, likewise.
    pub shared: [f64; N_SHARED],
    /// Depth of its waveform's trough on its electrode, µV.
    pub trough_uv: f64,
    /// Which of the waveforms it has.
    pub(super) shape: usize,
}

impl Neuron {
    /// A neuron on `electrode`, drawn from the tissue's distributions.
    pub(super) fn draw(
        tissue: &Tissue,
        electrode: usize,
        n_shapes: usize,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Self {
        let rate_hz = weibull(tissue.rate_hz, rng).clamp(RATE_AT_REST_MIN_HZ, RATE_AT_REST_MAX_HZ);
        let relative_hz = rate_hz / (1.0 + rate_hz / RATE_OF_FULL_DEPTH_HZ).sqrt();
        let refractory_us = rng.random_range(REFRACTORY_US);
        let snr =
            log_normal(tissue.snr, SNR_SPREAD, rng).clamp(SNR_MIN.min(tissue.snr), SNR_MAX.max(tissue.snr));
        let mut shared: [f64; N_SHARED] = std::array::from_fn(|_| normal(rng));
        // Most neurons go up and down with the first of them, which makes the mean correlation positive.
        shared[0] = (shared[0] + COMMON_SIGN) / (1.0 + COMMON_SIGN * COMMON_SIGN).sqrt();
        let deviation = tissue.shared * relative_hz / rate_hz;
        for (weight, cause) in shared.iter_mut().zip(super::shared::weights()) {
            *weight *= deviation * cause;
        }
        let modulation_hz = relative_hz * log_normal(tissue.modulation, MODULATION_SPREAD, rng);
        let preferred = rng.random_range(0.0..std::f64::consts::TAU);
        // Of a generator of its own, so that neurons are as they were before clicks.
        let click = normal(&mut generator(f64::to_bits(preferred), Purpose::Click));
        Neuron {
            electrode,
            rate_hz,
            modulation_hz,
            preferred,
            speed_hz: relative_hz * tissue.speed_modulation * normal(rng),
            click_hz: relative_hz * tissue.click_modulation * click,
            lag_ms: rng.random_range(0..=tissue.lag_max_ms),
            // Fast neurons could not keep up their rates with the longest.
            refractory_us: (refractory_us.min(REFRACTORY_SHARE_MAX / rate_hz * 1e6) as u64)
                .max(REFRACTORY_MIN_US),
            own: log_normal(tissue.own, OWN_SPREAD, rng) * relative_hz / rate_hz,
            shared,
            trough_uv: snr * tissue.noise_uv,
            shape: rng.random_range(0..n_shapes),
        }
    }
}

/// Of Weibull's distribution with this median.
fn weibull(median: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    let survival: f64 = 1.0 - rng.random::<f64>();
    median * (-survival.ln() / std::f64::consts::LN_2).powf(1.0 / RATE_SHAPE)
}

/// Log-normal round `median`; 0 for a median of 0.
pub(super) fn log_normal(median: f64, spread: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    median * (spread * normal(rng)).exp()
}

pub(super) fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    StandardNormal.sample(rng)
}

/// Shape of Weibull's distribution of rates at rest. A fit to the mean rates of `m1-reaching` says 0.84; a little less
/// brings the slowest tenth nearer.
const RATE_SHAPE: f64 = 0.8;
pub(super) const RATE_AT_REST_MIN_HZ: f64 = 0.2;
pub(super) const RATE_AT_REST_MAX_HZ: f64 = 110.0;
/// Neurons much slower than this have the full relative modulations; of faster ones they fall as 1 / √rate.
const RATE_OF_FULL_DEPTH_HZ: f64 = 2.0;
/// Standard deviation of the logarithm of the modulation.
const MODULATION_SPREAD: f64 = 0.6;
/// Mean over standard deviation of what the first shared cause does to neurons.
const COMMON_SIGN: f64 = 1.2;
/// Standard deviation of the logarithm of [`Neuron::own`].
const OWN_SPREAD: f64 = 0.8;
/// Two spikes of any neuron are at least this far apart.
pub(super) const REFRACTORY_MIN_US: u64 = 2_000;
/// Of slow neurons the refractory period is uniform in this. No absolute one is that long: it stands for the relative one
/// too, by which the fastest units of `m1-reaching` have a third of a Poisson process's variance left.
const REFRACTORY_US: std::ops::Range<f64> = 3_500.0..10_500.0;
/// No neuron at rest is refractory for more than this part of the time.
pub(super) const REFRACTORY_SHARE_MAX: f64 = 0.4;
/// Standard deviation of the logarithm of the trough, and the range that it is held to around its median.
pub(super) const SNR_SPREAD: f64 = 0.45;
pub(super) const SNR_MIN: f64 = 3.0;
pub(super) const SNR_MAX: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn neurons(n: usize) -> Vec<Neuron> {
        let mut rng = generator(4, Purpose::Tissue);
        (0..n).map(|electrode| Neuron::draw(&Tissue::default(), electrode, 4, &mut rng)).collect()
    }

    #[test]
    fn rates_at_rest_have_the_asked_median_and_a_heavy_tail() {
        let mut rates: Vec<f64> = neurons(8000).iter().map(|n| n.rate_hz).collect();
        rates.sort_by(f64::total_cmp);
        let quantile =
            |part: f64| Tissue::default().rate_hz * ((1.0 - part).ln() / 0.5f64.ln()).powf(1.0 / RATE_SHAPE);
        for part in [0.25, 0.5, 0.75, 0.9] {
            let (found, wanted) = (rates[(part * 8000.0) as usize], quantile(part));
            assert!((found / wanted - 1.0).abs() < 0.08, "{part}: {found} Hz, {wanted} wanted");
        }
    }

    #[test]
    fn no_neuron_asks_for_more_than_its_refractory_period_lets_it_have() {
        for n in neurons(4000) {
            let refractory = n.rate_hz * n.refractory_us as f64 * 1e-6;
            assert!(
                n.refractory_us >= REFRACTORY_MIN_US && refractory <= REFRACTORY_SHARE_MAX + 1e-9,
                "{n:?}"
            );
            assert!(n.modulation_hz > 0.0 && n.own > 0.0 && n.shared.iter().all(|w| w.is_finite()), "{n:?}");
        }
    }

    #[test]
    fn medians_of_nothing_are_nothing() {
        let still =
            Tissue { modulation: 0.0, speed_modulation: 0.0, shared: 0.0, own: 0.0, ..Tissue::default() };
        let n = Neuron::draw(&still, 0, 4, &mut generator(4, Purpose::Tissue));
        assert_eq!((n.modulation_hz, n.speed_hz, n.own, n.shared), (0.0, 0.0, 0.0, [0.0; N_SHARED]));
    }
}
