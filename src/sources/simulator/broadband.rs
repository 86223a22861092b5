//! Broadband of every electrode: noise, what a group shares, and the waveforms of spikes.
//!
//! In: spikes (neuron and frame), in order. Out: 16-bit samples frame by frame, in counts, held within the
//! rails of the profile's bits. Guarantees that a sample depends on the seed, the spikes, its channel and
//! its frame alone, however blocks are cut; that dead electrodes give 0; that nothing is allocated.
//!
//! sample = rails(round(white noise + coupling · (common noise + drift + mains of the group)) + waveforms)

use super::lanes::{LANES, noise, start, step};
use super::neurons::{Neuron, REFRACTORY_US, TICK_US};
use super::settings::Settings;
use super::waveform::{WAVEFORM_US, shapes};
use crate::block::BLOCK_FRAMES_MAX;
use crate::simd::{Level, dispatch};
use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::f64::consts::TAU;

/// Everything that turns spikes into samples.
#[derive(Clone, Debug)]
pub(super) struct Broadband {
    level: Level,
    n_channels: usize,
    electrodes_per_group: usize,
    runs: Vec<Run>,
    fields: Fields,
    voices: Vec<Voice>,
    shapes: Vec<Vec<f32>>,
    /// Spikes whose waveform isn't over, in the order they came.
    flying: Flying,
    keys: Xoshiro256PlusPlus,
    rails: Rails,
}

/// Neighbouring channels, one a lane. They are of one group.
#[derive(Clone, Debug)]
struct Run {
    state: [u32; LANES],
    /// Standard deviation of the white noise, counts; 0 if dead or past the last channel.
    white: [f32; LANES],
    /// Counts per microvolt of what the group shares; 0 likewise.
    coupling: [f32; LANES],
}

/// Spikes, with room for as many as there can be; a clone has that room too.
#[derive(Debug)]
struct Flying(Vec<Spike>);

impl Clone for Flying {
    fn clone(&self) -> Self {
        let mut spikes = Vec::with_capacity(self.0.capacity());
        spikes.extend_from_slice(&self.0);
        Flying(spikes)
    }
}

#[derive(Clone, Copy, Debug)]
struct Spike {
    frame: u64,
    neuron: u32,
}

/// Where a neuron is heard: channel and trough in counts.
#[derive(Clone, Debug)]
struct Voice {
    shape: usize,
    n_heard: usize,
    heard: [(usize, f32); 3],
}

#[derive(Clone, Copy, Debug)]
struct Rails {
    low: f32,
    high: f32,
}

impl Broadband {
    /// The signal round `neurons` on electrodes of which `alive` tells the live ones.
    pub(super) fn new(
        settings: &Settings,
        neurons: &[Neuron],
        alive: &[bool],
        mut rng: Xoshiro256PlusPlus,
    ) -> Self {
        let n_channels = alive.len();
        let counts_per_uv = 1.0 / settings.profile.uv_per_count.value;
        let white = settings.tissue.noise_uv as f32 * counts_per_uv;
        let electrodes_per_group = settings.profile.electrodes_per_group.value as usize;
        let runs = (0..n_channels.div_ceil(LANES))
            .map(|r| {
                let lives = |l: usize| alive.get(r * LANES + l).copied().unwrap_or(false);
                let spread = 1.0 - COUPLING_SPREAD..1.0 + COUPLING_SPREAD;
                Run {
                    state: start(&mut rng),
                    white: std::array::from_fn(|l| if lives(l) { white } else { 0.0 }),
                    coupling: std::array::from_fn(|l| {
                        let gain = rng.random_range(spread.clone());
                        if lives(l) { gain * counts_per_uv } else { 0.0 }
                    }),
                }
            })
            .collect();
        let n_groups = n_channels.div_ceil(electrodes_per_group);
        let voice = |neuron: &Neuron| {
            let group = neuron.electrode / electrodes_per_group;
            let trough = neuron.trough_uv as f32 * counts_per_uv;
            let mut voice = Voice { shape: neuron.shape, n_heard: 1, heard: [(neuron.electrode, trough); 3] };
            for next in [neuron.electrode.wrapping_sub(1), neuron.electrode + 1] {
                if next < n_channels && next / electrodes_per_group == group && alive[next] {
                    voice.heard[voice.n_heard] = (next, trough * NEIGHBOUR_GAIN);
                    voice.n_heard += 1;
                }
            }
            voice
        };
        let half = f32::from(2u16.pow(settings.profile.bits.value - 1));
        let block_us = (BLOCK_FRAMES_MAX as f64 * 1e6 / settings.sample_rate_hz).ceil() as u64;
        let flying_max = neurons.len() * (2 + (WAVEFORM_US + block_us + TICK_US) / REFRACTORY_US) as usize;
        Broadband {
            level: Level::widest(),
            n_channels,
            electrodes_per_group,
            runs,
            fields: Fields::new(settings, n_groups, &mut rng),
            voices: neurons.iter().map(voice).collect(),
            shapes: shapes(settings.sample_rate_hz),
            flying: Flying(Vec::with_capacity(flying_max)),
            keys: rng,
            rails: Rails { low: -half, high: half - 1.0 },
        }
    }

    /// A spike of `neuron` whose waveform begins at `frame`.
    pub(super) fn push(&mut self, neuron: usize, frame: u64) {
        debug_assert!(self.flying.0.len() < self.flying.0.capacity(), "the refractory period bounds spikes");
        self.flying.0.push(Spike { frame, neuron: neuron as u32 });
    }

    /// Fills `out` with `n_frames` frames from `first`; every spike of these frames was pushed.
    pub(super) fn fill(&mut self, first: u64, n_frames: usize, out: &mut [i16]) {
        let mut keys = [0; BLOCK_FRAMES_MAX];
        let keys = &mut keys[..n_frames];
        keys.fill_with(|| self.keys.next_u32());
        self.fields.advance(self.level, first, keys);
        let noise = Noise {
            runs: &mut self.runs,
            fields: &self.fields,
            electrodes_per_group: self.electrodes_per_group,
            n_channels: self.n_channels,
            rails: self.rails,
        };
        fill(self.level, noise, keys, out);
        self.add_spikes(first, n_frames, out);
    }

    fn add_spikes(&mut self, first: u64, n_frames: usize, out: &mut [i16]) {
        let end = first + n_frames as u64;
        for spike in self.flying.0.iter().filter(|spike| spike.frame < end) {
            let voice = &self.voices[spike.neuron as usize];
            let skip = first.saturating_sub(spike.frame) as usize;
            let at = spike.frame.saturating_sub(first) as usize;
            let shape = &self.shapes[voice.shape][skip..];
            for &(channel, trough) in &voice.heard[..voice.n_heard] {
                let samples = out[at * self.n_channels..].iter_mut().skip(channel).step_by(self.n_channels);
                for (sample, value) in samples.take(n_frames - at).zip(shape) {
                    let sum = f32::from(*sample) + value * trough;
                    *sample = round(self.rails.hold(sum)) as i16;
                }
            }
        }
        let length = self.shapes[0].len() as u64;
        self.flying.0.retain(|spike| spike.frame + length > end);
    }
}

impl Rails {
    #[inline(always)]
    fn hold(self, value: f32) -> f32 {
        // Plain comparisons, for `f32::min` pays for NaN, which can't be here.
        let value = if value > self.low { value } else { self.low };
        if value < self.high { value } else { self.high }
    }
}

/// What the noise of a block is made of.
struct Noise<'a> {
    runs: &'a mut [Run],
    fields: &'a Fields,
    electrodes_per_group: usize,
    n_channels: usize,
    rails: Rails,
}

dispatch! {
    fn fill(noise: Noise<'_>, keys: &[u32], out: &mut [i16]) = fill_runs;
    fn advance_fields(
        run: &mut FieldRun, common_uv: f32, pole: f32, gain: f32, mains: &[f32; BLOCK_FRAMES_MAX], keys: &[u32],
    ) = advance_run;
}

/// Noise of all channels.
#[inline(always)]
fn fill_runs(noise: Noise<'_>, keys: &[u32], out: &mut [i16]) {
    let Noise { runs, fields, electrodes_per_group, n_channels, rails } = noise;
    for (r, run) in runs.iter_mut().enumerate() {
        let channel = r * LANES;
        let shared = fields.of_group(channel / electrodes_per_group);
        fill_run(run, shared, keys, rails, &mut out[channel..], n_channels, n_channels - channel);
    }
}

/// Noise of one run of channels; `out` starts at the run's first channel, frames are `stride` apart and
/// have `width` channels left.
#[inline(always)]
fn fill_run(
    run: &mut Run,
    shared: &[f32; BLOCK_FRAMES_MAX],
    keys: &[u32],
    rails: Rails,
    out: &mut [i16],
    stride: usize,
    width: usize,
) {
    let mut state = run.state;
    let width = width.min(LANES);
    for ((key, shared), frame) in keys.iter().zip(shared).zip(out.chunks_mut(stride)) {
        let white = noise(step(&mut state, *key));
        let mut samples = [0i16; LANES];
        for l in 0..LANES {
            let value = white[l] * run.white[l] + shared * run.coupling[l];
            samples[l] = round(rails.hold(value)) as i16;
        }
        match frame[..width].first_chunk_mut::<LANES>() {
            Some(whole) => *whole = samples,
            None => frame[..width].copy_from_slice(&samples[..width]),
        }
    }
    run.state = state;
}

/// The nearest whole number, ties to even, of a value within ±2²²: adding 1.5 · 2²³ leaves no bits for the
/// fraction. Rust's own `round` and `as` cost several times more without newer instructions.
#[inline(always)]
fn round(value: f32) -> i32 {
    (value + 12_582_912.0).to_bits() as i32 - 0x4b40_0000
}

/// What each group of electrodes shares, in µV: common noise, drift and mains; groups are the lanes.
#[derive(Clone, Debug)]
struct Fields {
    runs: Vec<FieldRun>,
    common_uv: f32,
    /// Pole of the two low-pass filters in a row that make drift of noise.
    drift_pole: f32,
    drift_gain: f32,
    mains_uv: f64,
    mains_cycles_per_frame: f64,
}

#[derive(Clone, Debug)]
struct FieldRun {
    common: [u32; LANES],
    drift: [u32; LANES],
    once: [f32; LANES],
    twice: [f32; LANES],
    /// One a group, µV.
    traces: Box<[[f32; BLOCK_FRAMES_MAX]; LANES]>,
}

impl Fields {
    fn new(settings: &Settings, n_groups: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let pole = (-TAU * DRIFT_HZ / settings.sample_rate_hz).exp();
        // Of 1 / (1 − pole · z⁻¹)², driven by white noise of variance 1.
        let deviation = ((1.0 + pole * pole) / (1.0 - pole * pole).powi(3)).sqrt();
        let run = |_| FieldRun {
            common: start(rng),
            drift: start(rng),
            once: [0.0; LANES],
            twice: [0.0; LANES],
            traces: Box::new([[0.0; BLOCK_FRAMES_MAX]; LANES]),
        };
        Fields {
            runs: (0..n_groups.div_ceil(LANES)).map(run).collect(),
            common_uv: settings.tissue.common_uv as f32,
            drift_pole: pole as f32,
            drift_gain: (settings.tissue.drift_uv / deviation) as f32,
            mains_uv: settings.tissue.mains_uv,
            mains_cycles_per_frame: settings.tissue.mains_hz / settings.sample_rate_hz,
        }
    }

    fn of_group(&self, group: usize) -> &[f32; BLOCK_FRAMES_MAX] {
        &self.runs[group / LANES].traces[group % LANES]
    }

    fn advance(&mut self, level: Level, first: u64, keys: &[u32]) {
        let mut mains = [0.0; BLOCK_FRAMES_MAX];
        for (frame, mains) in (first..).zip(&mut mains[..keys.len()]) {
            // From the frame's number and not from the block before, so that no phase error grows.
            let cycles = (frame as f64 * self.mains_cycles_per_frame).fract();
            *mains = (self.mains_uv * (TAU * cycles).sin()) as f32;
        }
        for run in &mut self.runs {
            advance_fields(level, run, self.common_uv, self.drift_pole, self.drift_gain, &mains, keys);
        }
    }
}

#[inline(always)]
fn advance_run(
    run: &mut FieldRun,
    common_uv: f32,
    pole: f32,
    gain: f32,
    mains: &[f32; BLOCK_FRAMES_MAX],
    keys: &[u32],
) {
    for (frame, (key, mains)) in keys.iter().zip(mains).enumerate() {
        let common = noise(step(&mut run.common, *key));
        let drive = noise(step(&mut run.drift, *key));
        for l in 0..LANES {
            run.once[l] = run.once[l] * pole + drive[l];
            run.twice[l] = run.twice[l] * pole + run.once[l];
            run.traces[l][frame] = common[l] * common_uv + run.twice[l] * gain + mains;
        }
    }
}

/// How much of a trough the electrodes beside it hear.
const NEIGHBOUR_GAIN: f32 = 0.25;
/// Electrodes couple to what their group shares by 1 ± this, so a common average takes most of it away.
const COUPLING_SPREAD: f32 = 0.1;
/// Corner of the drift. Two filters in a row leave less than 0.1 % of it above 300 Hz.
const DRIFT_HZ: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_is_to_the_nearest_and_rails_hold() {
        for value in [-32_768.0, -1.5, -0.6, -0.4, 0.0, 0.5, 0.51, 511.49, 32_767.0] {
            assert_eq!(round(value), value.round_ties_even() as i32, "{value}");
        }
        let rails = Rails { low: -512.0, high: 511.0 };
        assert_eq!([-600.0, -511.5, 3.0, 600.0].map(|v| rails.hold(v)), [-512.0, -511.5, 3.0, 511.0]);
    }
}
