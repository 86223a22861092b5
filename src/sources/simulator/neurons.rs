//! Neurons: cosine tuning to the intended velocity, spikes as a Poisson process with a refractory period.
//!
//! In: one intended velocity a millisecond. Out: spikes, each with its time in µs since the stream began.
//! Guarantees that two spikes of a neuron are never closer than 2 ms, that the mean rate is the asked one
//! (the hazard makes up for this refractory period), and that the spikes depend on the seed and the intended
//! velocities alone, not on rate, kind or blocks.
//!
//! A neuron fires at `max(0, b + m · s · cos(θ − θ₀))` spikes a second, with rate at rest b, modulation m,
//! intended speed s as a fraction of full speed and direction θ: Georgopoulos et al. (1982, J Neurosci
//! 2:1527) with the speed gain of Moran and Schwartz (1999, J Neurophysiol 82:2676). A rate of r needs the
//! hazard r / (1 − r · refractory period) outside of the refractory period.

use super::intended::Intended;
use super::lanes::{LANES, start, step};
use super::settings::Tissue;
use crate::simd::{Level, dispatch};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
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
    /// How long before the movement it fires, ms.
    pub lag_ms: u32,
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
        let rate_hz =
            log_normal(tissue.rate_hz, RATE_SPREAD, rng).clamp(RATE_AT_REST_MIN_HZ, RATE_AT_REST_MAX_HZ);
        let snr =
            log_normal(tissue.snr, SNR_SPREAD, rng).clamp(SNR_MIN.min(tissue.snr), SNR_MAX.max(tissue.snr));
        Neuron {
            electrode,
            rate_hz,
            modulation_hz: rate_hz * tissue.modulation * rng.random_range(0.0..2.0),
            preferred: rng.random_range(0.0..std::f64::consts::TAU),
            lag_ms: rng.random_range(0..=tissue.lag_max_ms),
            trough_uv: snr * tissue.noise_uv,
            shape: rng.random_range(0..n_shapes),
        }
    }
}

/// All neurons and their state.
#[derive(Clone, Debug)]
pub(super) struct Population {
    level: Level,
    chunks: Vec<Chunk>,
    last_spike_us: Vec<Option<u64>>,
    keys: Xoshiro256PlusPlus,
}

/// Neurons side by side. Lanes past the last neuron have rate 0 and never fire.
#[derive(Clone, Debug)]
struct Chunk {
    rate: [f32; LANES],
    gain_x: [f32; LANES],
    gain_y: [f32; LANES],
    delay_ms: [u8; LANES],
    state: [u32; LANES],
}

impl Population {
    /// Neurons at rest. A neuron answers an intended velocity after `lag_max_ms − lag_ms`, so that the
    /// movement that follows it after `lag_max_ms` has each neuron ahead of it by its own lag.
    pub(super) fn new(neurons: &[Neuron], lag_max_ms: u32, mut rng: Xoshiro256PlusPlus) -> Self {
        let chunk = |members: &[Neuron]| {
            let of = |f: &dyn Fn(&Neuron) -> f64| -> [f32; LANES] {
                std::array::from_fn(|l| members.get(l).map_or(0.0, |n| f(n) as f32))
            };
            Chunk {
                rate: of(&|n| n.rate_hz),
                gain_x: of(&|n| n.modulation_hz * n.preferred.cos()),
                gain_y: of(&|n| n.modulation_hz * n.preferred.sin()),
                delay_ms: std::array::from_fn(|l| {
                    members.get(l).map_or(0, |n| (lag_max_ms - n.lag_ms) as u8)
                }),
                state: [0; LANES],
            }
        };
        let mut chunks: Vec<Chunk> = neurons.chunks(LANES).map(chunk).collect();
        for chunk in &mut chunks {
            chunk.state = start(&mut rng);
        }
        Population { level: Level::widest(), chunks, last_spike_us: vec![None; neurons.len()], keys: rng }
    }

    /// Lives through millisecond `tick`, whose velocity is the newest of `intended`; calls `spike` with the
    /// neuron and the time in µs of each spike, neuron by neuron.
    pub(super) fn tick(&mut self, tick: u64, intended: &Intended, mut spike: impl FnMut(usize, u64)) {
        let key = self.keys.next_u32();
        for (c, chunk) in self.chunks.iter_mut().enumerate() {
            let mut candidates = Candidates::default();
            draw(self.level, chunk, intended, key, &mut candidates);
            let Candidates { drawn, chance, hits } = candidates;
            if hits == 0 {
                continue;
            }
            for l in 0..LANES {
                if drawn[l] >= chance[l] {
                    continue;
                }
                // Given that it is below the chance, the draw is uniform below it: it places the spike.
                let within_us = (drawn[l] / chance[l] * TICK_US as f32) as u64;
                let at_us = tick * TICK_US + within_us.min(TICK_US - 1);
                let neuron = c * LANES + l;
                let last = &mut self.last_spike_us[neuron];
                if last.is_none_or(|last| at_us >= last + REFRACTORY_US) {
                    *last = Some(at_us);
                    spike(neuron, at_us);
                }
            }
        }
    }
}

dispatch! {
    fn draw(chunk: &mut Chunk, intended: &Intended, key: u32, candidates: &mut Candidates) = draw_lanes;
}

/// A uniform draw and the chance of a spike for each lane, both times 2²⁴, and how many lanes are hits.
#[derive(Default)]
struct Candidates {
    drawn: [f32; LANES],
    chance: [f32; LANES],
    hits: i32,
}

#[inline(always)]
fn draw_lanes(chunk: &mut Chunk, intended: &Intended, key: u32, candidates: &mut Candidates) {
    let mut velocity = [[0.0; LANES]; 2];
    for (l, &delay_ms) in chunk.delay_ms.iter().enumerate() {
        [velocity[0][l], velocity[1][l]] = intended.before(delay_ms);
    }
    let Candidates { drawn, chance, hits } = candidates;
    let mut any = 0;
    for l in 0..LANES {
        let rate = chunk.rate[l] + chunk.gain_x[l] * velocity[0][l] + chunk.gain_y[l] * velocity[1][l];
        let rate = if rate > 0.0 { rate } else { 0.0 };
        let rate = if rate < RATE_MAX_HZ { rate } else { RATE_MAX_HZ };
        chance[l] = rate * CHANCE_PER_HZ / (1.0 - rate * DEAD_S);
        drawn[l] = (step(&mut chunk.state[l], key) >> 8) as i32 as f32;
        any += i32::from(drawn[l] < chance[l]);
    }
    *hits = any;
}

fn log_normal(median: f64, spread: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    LogNormal::new(median.ln(), spread).expect("the spread is a positive constant").sample(rng)
}

/// Two spikes of a neuron are at least this far apart.
pub(super) const REFRACTORY_US: u64 = 2_000;
/// Intents and rates hold for a millisecond.
pub(super) const TICK_US: u64 = 1_000;
/// At most one spike a tick, which is what [`Population::tick`] can give.
const _: () = assert!(REFRACTORY_US >= TICK_US);

/// The hazard h = r / (1 − r · refractory period) gives a tick at least one spike with the chance
/// 1 − exp(−h · tick), which is h · tick / (1 + h · tick / 2) but for the third order: the two fractions make
/// r · tick / (1 − r · (refractory period − tick / 2)).
const DEAD_S: f32 = (REFRACTORY_US - TICK_US / 2) as f32 * 1e-6;
/// The chance of one tick at 1 Hz, times 2²⁴.
const CHANCE_PER_HZ: f32 = TICK_US as f32 * 1e-6 * 16_777_216.0;
/// Faster neurons are held to this; their chance is then 0.29 a tick.
const RATE_MAX_HZ: f32 = 200.0;

/// Standard deviation of the logarithm of rates at rest. Cortical rates are close to log-normal (Buzsáki and
/// Mizuseki 2014, Nat Rev Neurosci 15:264); this spread is chosen, not measured.
const RATE_SPREAD: f64 = 0.9;
const RATE_AT_REST_MIN_HZ: f64 = 0.2;
const RATE_AT_REST_MAX_HZ: f64 = 80.0;
/// Standard deviation of the logarithm of the trough, and the range that it is held to around its median.
const SNR_SPREAD: f64 = 0.45;
const SNR_MIN: f64 = 3.0;
const SNR_MAX: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::super::lanes::{Purpose, generator};
    use super::*;

    fn neurons(n: usize) -> Vec<Neuron> {
        let mut rng = generator(4, Purpose::Tissue);
        (0..n).map(|electrode| Neuron::draw(&Tissue::default(), electrode, 4, &mut rng)).collect()
    }

    /// Spike times of each neuron over `n_ms` at a held intended velocity.
    fn live(neurons: &[Neuron], n_ms: u64, velocity: [f64; 2]) -> Vec<Vec<u64>> {
        let mut population = Population::new(neurons, 100, generator(4, Purpose::Spikes));
        let mut intended = Intended::new();
        let mut spikes = vec![Vec::new(); neurons.len()];
        for tick in 0..n_ms {
            intended.push(velocity);
            population.tick(tick, &intended, |neuron, at_us| spikes[neuron].push(at_us));
        }
        spikes
    }

    #[test]
    fn each_neuron_fires_at_its_rate_and_never_within_the_refractory_period() {
        let mut neurons = neurons(200);
        neurons[0].rate_hz = 180.0;
        let seconds = 120.0;
        for (neuron, times) in neurons.iter().zip(live(&neurons, 120_000, [0.0; 2])) {
            let expected = neuron.rate_hz * seconds;
            // A refractory period makes counts more regular than Poisson's: five of its deviations.
            assert!(
                (times.len() as f64 - expected).abs() < 5.0 * expected.sqrt(),
                "{neuron:?}: {}",
                times.len()
            );
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= REFRACTORY_US));
        }
    }

    #[test]
    fn rates_at_rest_are_log_normal_round_the_asked_median() {
        let mut logs: Vec<f64> = neurons(4000).iter().map(|n| (n.rate_hz / 6.0).ln()).collect();
        logs.sort_by(f64::total_cmp);
        assert!(logs[2000].abs() < 0.08, "median {}", logs[2000]);
        let quartiles = (logs[3000] - logs[1000]) / 2.0;
        assert!((quartiles - 0.6745 * RATE_SPREAD).abs() < 0.06, "half the quartiles' distance {quartiles}");
    }

    #[test]
    fn a_held_intended_velocity_moves_the_rate_by_the_cosine() {
        let neurons = neurons(100);
        for velocity in [[0.6, 0.0], [0.0, -0.6]] {
            let (mut expected, mut counted) = (0.0, 0.0);
            for (n, times) in neurons.iter().zip(live(&neurons, 60_000, velocity)) {
                let (x, y) = (n.preferred.cos(), n.preferred.sin());
                let rate =
                    (n.rate_hz + n.modulation_hz * (velocity[0] * x + velocity[1] * y)).clamp(0.0, 200.0);
                let wanted = rate * 60.0;
                assert!(
                    (times.len() as f64 - wanted).abs() < 5.0 * wanted.sqrt() + 15.0,
                    "{n:?}: {}",
                    times.len()
                );
                expected += wanted;
                counted += times.len() as f64;
            }
            assert!((counted / expected - 1.0).abs() < 0.02);
        }
    }

    #[test]
    fn spikes_fall_evenly_within_the_millisecond() {
        let spikes = live(&neurons(100), 60_000, [0.0; 2]);
        let mut tenths = [0.0f64; 10];
        for at_us in spikes.iter().flatten() {
            tenths[(at_us % TICK_US / 100) as usize] += 1.0;
        }
        let mean = tenths.iter().sum::<f64>() / 10.0;
        let chi2: f64 = tenths.iter().map(|n| (n - mean).powi(2) / mean).sum();
        assert!(chi2 < 34.0, "chi² of 9 degrees of freedom {chi2}: {tenths:?}");
    }
}
