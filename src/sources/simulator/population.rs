//! The life of all neurons: a rate from what is intended and what else goes on, and spikes from the rate.
//!
//! In: one intended velocity a millisecond. Out: spikes, each with its time in µs since the stream began.
//! Guarantees that two spikes of a neuron are never closer than its refractory period, that the mean rate is the
//! asked one (the hazard makes up for that period), and that the spikes depend on the seed and the intended velocities
//! alone, not on rate, kind or blocks.
//!
//! A rate of r needs the hazard r / (1 − r · refractory period) outside of the refractory period. The gain that all
//! rates of a neuron are multiplied with is `(1 + x / 2)² / (1 + σ² / 4)`, with x the sum of its own and the shared
//! causes and σ² its variance: never negative, of mean 1, and of deviation σ where that is small. Own and shared causes
//! move in steps of [`STEP_MS`], each chunk of neurons in a millisecond of its own.

use super::intended::Intended;
use super::lanes::{LANES, Purpose, generator, noise, start, step};
use super::neurons::{Neuron, REFRACTORY_MIN_US};
use super::shared::{N_SHARED, STEP_MS, Shared, wander};
use crate::simd::{Level, dispatch};
use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// All neurons and their state.
#[derive(Clone, Debug)]
pub(super) struct Population {
    level: Level,
    firing: Vec<Firing>,
    chunks: Vec<Chunk>,
    moods: Vec<Mood>,
    shared: Shared,
    /// Pole and drive of what moves a neuron alone.
    own_wander: (f32, f32),
    refractory_us: Vec<u64>,
    last_spike_us: Vec<Option<u64>>,
    keys: Xoshiro256PlusPlus,
}

/// All that a millisecond needs of neurons side by side: few bytes, so that those of many stay in cache.
#[derive(Clone, Debug)]
struct Firing {
    /// Of a spike in a millisecond, times 2²⁴.
    chance: [f32; LANES],
    state: [u32; LANES],
}

/// What makes their chances, with rates times their gains. Lanes past the last neuron have rate 0 and never fire.
#[derive(Clone, Debug)]
struct Chunk {
    rate: [f32; LANES],
    gain_x: [f32; LANES],
    gain_y: [f32; LANES],
    gain_speed: [f32; LANES],
    gain_click: [f32; LANES],
    rate_max: [f32; LANES],
    dead_s: [f32; LANES],
    delay_ms: [u8; LANES],
}

/// The same neurons at gain 1, and what makes the gain.
#[derive(Clone, Debug)]
struct Mood {
    rate: [f32; LANES],
    gain_x: [f32; LANES],
    gain_y: [f32; LANES],
    gain_speed: [f32; LANES],
    gain_click: [f32; LANES],
    /// Of variance 1.
    own: [f32; LANES],
    /// Half of what it does to the rate; so of the shared ones.
    own_weight: [f32; LANES],
    weights: [[f32; LANES]; N_SHARED],
    /// One over the mean of the square.
    scale: [f32; LANES],
    state: [u32; LANES],
}

impl Population {
    /// Neurons at rest. A neuron answers an intended velocity after `lag_max_ms − lag_ms`, so that the
    /// movement that follows it after `lag_max_ms` has each neuron ahead of it by its own lag.
    pub(super) fn new(neurons: &[Neuron], lag_max_ms: u32, seed: u64) -> Self {
        let mut rng = generator(seed, Purpose::Spikes);
        let mut chunks: Vec<Chunk> =
            neurons.chunks(LANES).map(|members| Chunk::new(members, lag_max_ms)).collect();
        let mut moods: Vec<Mood> = neurons.chunks(LANES).map(Mood::new).collect();
        let mut firing = Vec::with_capacity(chunks.len());
        for mood in &mut moods {
            firing.push(Firing { chance: [0.0; LANES], state: start(&mut rng) });
            mood.state = start(&mut rng);
            mood.own = start(&mut rng).map(noise);
        }
        let shared = Shared::new(generator(seed, Purpose::Shared));
        let level = Level::widest();
        let own_wander = wander(OWN_WANDER_MS);
        for (chunk, mood) in chunks.iter_mut().zip(&mut moods) {
            refresh(level, mood, own_wander, &shared.now, 0, chunk);
        }
        for (firing, chunk) in firing.iter_mut().zip(&chunks) {
            set_chance(level, chunk, &Intended::new(), firing);
        }
        Population {
            level,
            firing,
            chunks,
            moods,
            shared,
            own_wander,
            refractory_us: neurons.iter().map(|n| n.refractory_us).collect(),
            last_spike_us: vec![None; neurons.len()],
            keys: rng,
        }
    }

    /// Lives through millisecond `tick`, whose velocity is the newest of `intended`; calls `spike` with the
    /// neuron and the time in µs of each spike, neuron by neuron.
    pub(super) fn tick(&mut self, tick: u64, intended: &Intended, mut spike: impl FnMut(usize, u64)) {
        let key = self.keys.next_u32();
        if tick.is_multiple_of(STEP_MS) {
            self.shared.step();
        }
        // Some chunks each millisecond, so that all cost the same.
        let place = |every_ms: u64| ((tick % every_ms) as usize, every_ms as usize);
        let (first, every) = place(STEP_MS);
        let turn = self.chunks.iter_mut().zip(&mut self.moods).skip(first).step_by(every);
        turn.for_each(|(chunk, mood)| {
            refresh(self.level, mood, self.own_wander, &self.shared.now, key, chunk)
        });
        let (first, every) = place(RATE_MS);
        let turn = self.firing.iter_mut().zip(&self.chunks).skip(first).step_by(every);
        turn.for_each(|(firing, chunk)| set_chance(self.level, chunk, intended, firing));
        for (c, firing) in self.firing.iter_mut().enumerate() {
            let mut candidates = Candidates::default();
            draw(self.level, firing, key, &mut candidates);
            let Candidates { drawn, hits } = candidates;
            if hits == 0 {
                continue;
            }
            let chance = &firing.chance;
            for l in 0..LANES {
                if drawn[l] >= chance[l] {
                    continue;
                }
                // Given that it is below the chance, the draw is uniform below it: it places the spike.
                let within_us = (drawn[l] / chance[l] * TICK_US as f32) as u64;
                let at_us = tick * TICK_US + within_us.min(TICK_US - 1);
                let neuron = c * LANES + l;
                let last = &mut self.last_spike_us[neuron];
                if last.is_none_or(|last| at_us >= last + self.refractory_us[neuron]) {
                    *last = Some(at_us);
                    spike(neuron, at_us);
                }
            }
        }
    }
}

/// A value of each member, 0 in lanes without one.
fn of(members: &[Neuron], value: impl Fn(&Neuron) -> f64) -> [f32; LANES] {
    std::array::from_fn(|l| members.get(l).map_or(0.0, |n| value(n) as f32))
}

impl Chunk {
    fn new(members: &[Neuron], lag_max_ms: u32) -> Self {
        let refractory_s = |n: &Neuron| n.refractory_us as f64 * 1e-6;
        Chunk {
            rate: [0.0; LANES],
            gain_x: [0.0; LANES],
            gain_y: [0.0; LANES],
            gain_speed: [0.0; LANES],
            gain_click: [0.0; LANES],
            rate_max: of(members, |n| RATE_MAX_HZ.min(REFRACTORY_SHARE_MAX / refractory_s(n))),
            dead_s: of(members, |n| refractory_s(n) - TICK_US as f64 * 0.5e-6),
            delay_ms: std::array::from_fn(|l| members.get(l).map_or(0, |n| (lag_max_ms - n.lag_ms) as u8)),
        }
    }
}

impl Mood {
    fn new(members: &[Neuron]) -> Self {
        let variance = |n: &Neuron| n.own * n.own + n.shared.iter().map(|w| w * w).sum::<f64>();
        Mood {
            rate: of(members, |n| n.rate_hz),
            gain_x: of(members, |n| n.modulation_hz * n.preferred.cos()),
            gain_y: of(members, |n| n.modulation_hz * n.preferred.sin()),
            gain_speed: of(members, |n| n.speed_hz),
            gain_click: of(members, |n| n.click_hz),
            own: [0.0; LANES],
            own_weight: of(members, |n| n.own / 2.0),
            weights: std::array::from_fn(|k| of(members, |n| n.shared[k] / 2.0)),
            scale: of(members, |n| 1.0 / (1.0 + variance(n) / 4.0)),
            state: [0; LANES],
        }
    }
}

dispatch! {
    fn draw(firing: &mut Firing, key: u32, candidates: &mut Candidates) = draw_lanes;
    fn set_chance(chunk: &Chunk, intended: &Intended, firing: &mut Firing) = set_chance_lanes;
    fn refresh(mood: &mut Mood, own: (f32, f32), shared: &[f32; N_SHARED], key: u32, chunk: &mut Chunk) = refresh_lanes;
}

/// A uniform draw for each lane, times 2²⁴, and how many lanes are below their chances.
#[derive(Default)]
struct Candidates {
    drawn: [f32; LANES],
    hits: i32,
}

#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "lanes side by side, as the machine takes them")]
fn draw_lanes(firing: &mut Firing, key: u32, candidates: &mut Candidates) {
    let Candidates { drawn, hits } = candidates;
    let mut any = 0;
    for l in 0..LANES {
        drawn[l] = (step(&mut firing.state[l], key) >> 8) as i32 as f32;
        any += i32::from(drawn[l] < firing.chance[l]);
    }
    *hits = any;
}

#[inline(always)]
fn set_chance_lanes(chunk: &Chunk, intended: &Intended, firing: &mut Firing) {
    let mut velocity = [[0.0; LANES]; 2];
    for (l, &delay_ms) in chunk.delay_ms.iter().enumerate() {
        [velocity[0][l], velocity[1][l]] = intended.before(delay_ms);
    }
    let mut click = [0.0; LANES];
    if intended.has_clicks() {
        for (l, &delay_ms) in chunk.delay_ms.iter().enumerate() {
            click[l] = intended.click_before(delay_ms);
        }
    }
    for l in 0..LANES {
        let [x, y] = [velocity[0][l], velocity[1][l]];
        let speed = (x * x + y * y).sqrt();
        let rate = chunk.rate[l] + chunk.gain_x[l] * x + chunk.gain_y[l] * y + chunk.gain_speed[l] * speed;
        let rate = rate + chunk.gain_click[l] * click[l];
        let rate = if rate > 0.0 { rate } else { 0.0 };
        let rate = if rate < chunk.rate_max[l] { rate } else { chunk.rate_max[l] };
        firing.chance[l] = rate * CHANCE_PER_HZ / (1.0 - rate * chunk.dead_s[l]);
    }
}

#[inline(always)]
fn refresh_lanes(
    mood: &mut Mood,
    (pole, drive): (f32, f32),
    shared: &[f32; N_SHARED],
    key: u32,
    chunk: &mut Chunk,
) {
    for l in 0..LANES {
        mood.own[l] = pole * mood.own[l] + drive * noise(step(&mut mood.state[l], key));
        let mut root = 1.0 + mood.own[l] * mood.own_weight[l];
        for (cause, weights) in shared.iter().zip(&mood.weights) {
            root += cause * weights[l];
        }
        let gain = root * root * mood.scale[l];
        chunk.rate[l] = mood.rate[l] * gain;
        chunk.gain_x[l] = mood.gain_x[l] * gain;
        chunk.gain_y[l] = mood.gain_y[l] * gain;
        chunk.gain_speed[l] = mood.gain_speed[l] * gain;
        chunk.gain_click[l] = mood.gain_click[l] * gain;
    }
}

/// Rates follow what is intended in steps of this many ms, each chunk in a millisecond of its own.
const RATE_MS: u64 = 4;
/// Intents hold for a millisecond.
pub(super) const TICK_US: u64 = 1_000;
/// At most one spike a tick, which is what [`Population::tick`] can give.
const _: () = assert!(REFRACTORY_MIN_US >= TICK_US);

/// The chance of one tick at 1 Hz, times 2²⁴. The hazard h = r / (1 − r · refractory period) gives a tick at least one
/// spike with the chance 1 − exp(−h · tick), which is h · tick / (1 + h · tick / 2) but for the third order: the two
/// fractions make r · tick / (1 − r · (refractory period − tick / 2)).
const CHANCE_PER_HZ: f32 = TICK_US as f32 * 1e-6 * 16_777_216.0;
/// Faster neurons are held to this, and to so many that they are refractory for this part of the time: their chance is
/// then at most a half a tick.
const RATE_MAX_HZ: f64 = 200.0;
const REFRACTORY_SHARE_MAX: f64 = 0.7;
/// How long what moves a neuron alone wanders.
const OWN_WANDER_MS: f64 = 30_000.0;

#[cfg(test)]
mod tests {
    use super::super::settings::Tissue;
    use super::*;

    /// Neurons that nothing moves but what is intended.
    fn still(n: usize) -> Vec<Neuron> {
        let tissue =
            Tissue { speed_modulation: 0.0, shared: 0.0, own: 0.0, rate_hz: 6.0, ..Tissue::default() };
        neurons(n, &tissue)
    }

    fn neurons(n: usize, tissue: &Tissue) -> Vec<Neuron> {
        let mut rng = generator(4, Purpose::Tissue);
        (0..n).map(|electrode| Neuron::draw(tissue, electrode, 4, &mut rng)).collect()
    }

    /// Spike times of each neuron over `n_ms` at a held intended velocity.
    fn live(neurons: &[Neuron], n_ms: u64, velocity: [f64; 2]) -> Vec<Vec<u64>> {
        let mut population = Population::new(neurons, 150, 4);
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
        let mut neurons = still(200);
        (neurons[0].rate_hz, neurons[0].refractory_us) = (180.0, REFRACTORY_MIN_US);
        let seconds = 120.0;
        for (neuron, times) in neurons.iter().zip(live(&neurons, 120_000, [0.0; 2])) {
            let expected = neuron.rate_hz * seconds;
            // A refractory period makes counts more regular than Poisson's: five of its deviations.
            assert!(
                (times.len() as f64 - expected).abs() < 5.0 * expected.sqrt(),
                "{neuron:?}: {}",
                times.len()
            );
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= neuron.refractory_us));
        }
    }

    #[test]
    fn a_held_intended_velocity_moves_the_rate_by_the_cosine_and_the_speed() {
        let mut neurons = still(100);
        neurons.iter_mut().step_by(2).for_each(|n| n.speed_hz = 5.0);
        for velocity in [[0.6, 0.0], [0.0, -0.6]] {
            let (mut expected, mut counted) = (0.0, 0.0);
            for (n, times) in neurons.iter().zip(live(&neurons, 60_000, velocity)) {
                let cosine = velocity[0] * n.preferred.cos() + velocity[1] * n.preferred.sin();
                let rate_max = RATE_MAX_HZ.min(REFRACTORY_SHARE_MAX / n.refractory_us as f64 * 1e6);
                let rate = (n.rate_hz + n.modulation_hz * cosine + n.speed_hz * 0.6).clamp(0.0, rate_max);
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
    fn an_intended_click_moves_the_rate_and_its_absence_changes_nothing() {
        let neurons = still(100);
        let clicked = |neurons: &[Neuron], is_clicking: bool| {
            let mut population = Population::new(neurons, 150, 4);
            let mut intended = Intended::new();
            let mut spikes = vec![0.0; neurons.len()];
            for tick in 0..60_000 {
                intended.set_click(is_clicking && tick >= 1_000);
                intended.push([0.0; 2]);
                population.tick(tick, &intended, |neuron, _| spikes[neuron] += 1.0);
            }
            spikes
        };
        let deaf: Vec<Neuron> = neurons.iter().map(|n| Neuron { click_hz: 0.0, ..*n }).collect();
        assert_eq!(clicked(&deaf, true), clicked(&neurons, false));
        for (n, spikes) in neurons.iter().zip(clicked(&neurons, true)) {
            let rate_max = RATE_MAX_HZ.min(REFRACTORY_SHARE_MAX / n.refractory_us as f64 * 1e6);
            let wanted = (n.rate_hz + n.click_hz).clamp(0.0, rate_max) * 60.0;
            assert!(
                (spikes - wanted).abs() < 5.0 * wanted.sqrt() + 15.0 + n.click_hz.abs(),
                "{n:?}: {spikes}"
            );
        }
        assert!(neurons.iter().filter(|n| n.click_hz.abs() > 0.3).count() > 50);
    }

    #[test]
    fn gains_have_mean_one_and_what_is_shared_is_shared() {
        let tissue = Tissue { speed_modulation: 0.0, rate_hz: 6.0, ..Tissue::default() };
        let neurons = neurons(200, &tissue);
        let spikes = live(&neurons, 300_000, [0.0; 2]);
        let fired = spikes.iter().map(Vec::len).sum::<usize>() as f64;
        let expected = neurons.iter().map(|n| n.rate_hz * 300.0).sum::<f64>();
        assert!((fired / expected - 1.0).abs() < 0.05, "{fired} spikes, {expected} expected");
        // Counts of the whole population in 100 ms: without anything shared their variance would not exceed their mean.
        let mut counts = vec![0.0; 3_000];
        spikes.iter().flatten().for_each(|at_us| counts[(at_us / 100_000) as usize] += 1.0);
        let mean = fired / 3_000.0;
        let variance = counts.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 3_000.0;
        assert!(variance > 5.0 * mean, "variance {variance}, mean {mean}");
    }

    #[test]
    fn spikes_fall_evenly_within_the_millisecond() {
        let spikes = live(&still(100), 60_000, [0.0; 2]);
        let mut tenths = [0.0f64; 10];
        for at_us in spikes.iter().flatten() {
            tenths[(at_us % TICK_US / 100) as usize] += 1.0;
        }
        let mean = tenths.iter().sum::<f64>() / 10.0;
        let chi2: f64 = tenths.iter().map(|n| (n - mean).powi(2) / mean).sum();
        assert!(chi2 < 34.0, "chi² of 9 degrees of freedom {chi2}: {tenths:?}");
    }
}
