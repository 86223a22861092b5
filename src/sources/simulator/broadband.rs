//! Broadband of every electrode: noise, what a group shares, and the waveforms of spikes.
//!
//! In: spikes (neuron and frame), in order. Out: 16-bit samples frame by frame, in counts, held within the
//! rails of the profile's bits. Guarantees that a sample depends on the seed, the spikes, its channel and
//! its frame alone, however blocks are cut; that dead and lost electrodes give 0; that nothing is allocated.
//!
//! sample = rails(round(white noise + coupling · (common noise + drift + mains + artefacts of the group)) + waveforms)

use super::artefacts::{ArtefactKind, Artefacts};
use super::lanes::{LANES, noise, start, step};
use super::neurons::{Neuron, REFRACTORY_MIN_US};
use super::population::TICK_US;
use super::settings::Settings;
use super::waveform::{WAVEFORM_US, shapes};
use crate::block::{BLOCK_FRAMES_MAX, TILE_CHANNELS};
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
    heard: Heard,
    keys: Xoshiro256PlusPlus,
    rails: Rails,
    hz: f64,
    /// What a lost electrode gets back: the white noise of all, and each channel's coupling.
    white: f32,
    couplings: Vec<f32>,
    /// Channels that hear nothing now, dead or lost.
    silent: Vec<bool>,
    /// How far amplitudes swing, and the times of each neuron's two swings; none if they don't.
    amplitude_drift: f64,
    swings: Vec<[Swing; 2]>,
}

/// A sine over minutes.
#[derive(Clone, Copy, Debug)]
struct Swing {
    cycles_per_second: f64,
    phase: f64,
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
    /// What the slow drift of its amplitude makes of the trough.
    amplitude: f32,
}

/// Where a neuron is heard: channel and trough in counts.
#[derive(Clone, Debug)]
struct Voice {
    shape: usize,
    n_heard: usize,
    heard: [(usize, f32); HEARD_MAX],
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
        let runs: Vec<Run> = (0..n_channels.div_ceil(LANES))
            .map(|r| {
                let lives = |l: usize| alive.get(r * LANES + l).copied().unwrap_or(false);
                let spread = 1.0 - COUPLING_SPREAD..1.0 + COUPLING_SPREAD;
                let state = start(&mut rng);
                let coupling: [f32; LANES] = std::array::from_fn(|l| {
                    let gain = rng.random_range(spread.clone());
                    if lives(l) { gain * counts_per_uv } else { 0.0 }
                });
                Run { state, white: std::array::from_fn(|l| if lives(l) { white } else { 0.0 }), coupling }
            })
            .collect();
        let n_groups = n_channels.div_ceil(electrodes_per_group);
        let voice = |neuron: &Neuron| {
            let group = neuron.electrode / electrodes_per_group;
            let trough = neuron.trough_uv as f32 * counts_per_uv;
            let mut voice =
                Voice { shape: neuron.shape, n_heard: 1, heard: [(neuron.electrode, trough); HEARD_MAX] };
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
        let flying_max =
            neurons.len() * (2 + (WAVEFORM_US + block_us + TICK_US) / REFRACTORY_MIN_US) as usize;
        Broadband {
            level: Level::widest(),
            n_channels,
            electrodes_per_group,
            couplings: runs.iter().flat_map(|run| run.coupling).collect(),
            runs,
            fields: Fields::new(settings, n_groups, &mut rng),
            voices: neurons.iter().map(voice).collect(),
            shapes: shapes(settings.sample_rate_hz),
            flying: Flying(Vec::with_capacity(flying_max)),
            heard: Heard::new(n_channels, flying_max),
            // After the rest, so that what doesn't drift draws the same.
            swings: if settings.tissue.amplitude_drift > 0.0 {
                neurons.iter().map(|_| [(); 2].map(|()| Swing::draw(&mut rng))).collect()
            } else {
                Vec::new()
            },
            keys: rng,
            rails: Rails { low: -half, high: half - 1.0 },
            hz: settings.sample_rate_hz,
            white,
            silent: alive.iter().map(|alive| !alive).collect(),
            amplitude_drift: settings.tissue.amplitude_drift,
        }
    }

    /// A spike of `neuron` whose waveform begins at `frame`.
    pub(super) fn push(&mut self, neuron: usize, frame: u64) {
        debug_assert!(self.flying.0.len() < self.flying.0.capacity(), "the refractory period bounds spikes");
        let seconds = frame as f64 / self.hz;
        let swing = self.swings.get(neuron).map_or(0.0, |swings| {
            let sines = swings.map(|s| (TAU * (s.phase + s.cycles_per_second * seconds)).sin());
            self.amplitude_drift * (sines[0] + sines[1]) / 2.0
        });
        self.flying.0.push(Spike { frame, neuron: neuron as u32, amplitude: (1.0 + swing) as f32 });
    }

    /// From the next frame on, `channel` is flat, or hears again what it heard before.
    pub(super) fn set_lost(&mut self, channel: usize, is_lost: bool) {
        let run = &mut self.runs[channel / LANES];
        let l = channel % LANES;
        (run.white[l], run.coupling[l]) =
            if is_lost { (0.0, 0.0) } else { (self.white, self.couplings[channel]) };
        self.silent[channel] = is_lost;
    }

    /// Fills `out` with `n_frames` frames from `first`; every spike of these frames was pushed.
    pub(super) fn fill(&mut self, first: u64, n_frames: usize, out: &mut [i16]) {
        let mut keys = [0; BLOCK_FRAMES_MAX];
        let keys = &mut keys[..n_frames];
        keys.fill_with(|| self.keys.next_u32());
        self.fields.advance(self.level, first, keys);
        self.heard.sort(&self.flying.0, &self.voices, &self.silent, first + n_frames as u64);
        let body = Body {
            runs: &mut self.runs,
            fields: &self.fields,
            electrodes_per_group: self.electrodes_per_group,
            n_channels: self.n_channels,
            rails: self.rails,
            first,
            heard: &self.heard,
            flying: &self.flying.0,
            voices: &self.voices,
            shapes: &self.shapes,
        };
        fill(self.level, body, keys, out);
        let (end, length) = (first + n_frames as u64, self.shapes[0].len() as u64);
        self.flying.0.retain(|spike| spike.frame + length > end);
    }
}

/// Which channels hear which flying spikes, listed by tile, so that a tile is written while it is in cache.
#[derive(Clone, Debug)]
struct Heard {
    /// Of each tile, its first entry.
    first: Vec<u32>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    next: u32,
    /// Number of the flying spike.
    spike: u32,
    lane: u32,
    /// In counts.
    trough: f32,
}

impl Heard {
    /// For at most so many spikes in flight.
    fn new(n_channels: usize, flying_max: usize) -> Self {
        let entries = vec![Entry::default(); flying_max * HEARD_MAX];
        Heard { first: vec![NONE; n_channels.div_ceil(TILE_CHANNELS)], entries }
    }

    /// Lists the spikes that began before frame `end`, on each tile in the order they came.
    fn sort(&mut self, flying: &[Spike], voices: &[Voice], silent: &[bool], end: u64) {
        self.first.fill(NONE);
        let mut free = self.entries.iter_mut().enumerate();
        for (spike, flies) in flying.iter().enumerate().rev().filter(|(_, flies)| flies.frame < end) {
            let voice = &voices[flies.neuron as usize];
            for &(channel, trough) in voice.heard[..voice.n_heard].iter().rev() {
                if silent[channel] {
                    continue;
                }
                let trough = trough * flies.amplitude;
                let Some((number, entry)) = free.next() else { return };
                let first = &mut self.first[channel / TILE_CHANNELS];
                let lane = (channel % TILE_CHANNELS) as u32;
                *entry = Entry { next: *first, spike: spike as u32, lane, trough };
                *first = number as u32;
            }
        }
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

/// What a block is made of.
struct Body<'a> {
    runs: &'a mut [Run],
    fields: &'a Fields,
    electrodes_per_group: usize,
    n_channels: usize,
    rails: Rails,
    /// The block's first frame.
    first: u64,
    heard: &'a Heard,
    flying: &'a [Spike],
    voices: &'a [Voice],
    shapes: &'a [Vec<f32>],
}

dispatch! {
    fn fill(body: Body<'_>, keys: &[u32], out: &mut [i16]) = fill_tiles;
    fn advance_fields(
        run: &mut FieldRun, common_uv: f32, pole: f32, gain: f32, mains: &[f32; BLOCK_FRAMES_MAX], keys: &[u32],
    ) = advance_run;
}

/// All channels, a tile at a time: noise first, then spikes, then out, so that a frame's place far off in memory is
/// met once.
#[inline(always)]
fn fill_tiles(body: Body<'_>, keys: &[u32], out: &mut [i16]) {
    let mut tile = [[0; TILE_CHANNELS]; BLOCK_FRAMES_MAX];
    for (index, runs) in body.runs.chunks_mut(TILE_CHANNELS / LANES).enumerate() {
        let channel = index * TILE_CHANNELS;
        for (r, run) in runs.iter_mut().enumerate() {
            let shared = body.fields.of_group((channel + r * LANES) / body.electrodes_per_group);
            fill_run(run, shared, keys, body.rails, r, &mut tile);
        }
        let mut next = body.heard.first[index];
        while let Some(&Entry { next: after, spike, lane, trough }) = body.heard.entries.get(next as usize) {
            let flies = body.flying[spike as usize];
            let skip = body.first.saturating_sub(flies.frame) as usize;
            let at = flies.frame.saturating_sub(body.first) as usize;
            let shape = &body.shapes[body.voices[flies.neuron as usize].shape][skip..];
            for (frame, value) in tile[at..keys.len()].iter_mut().zip(shape) {
                let sample = &mut frame[lane as usize];
                let sum = f32::from(*sample) + value * trough;
                *sample = round(body.rails.hold(sum)) as i16;
            }
            next = after;
        }
        let width = TILE_CHANNELS.min(body.n_channels - channel);
        for (frame, row) in tile[..keys.len()].iter().zip(out.chunks_mut(body.n_channels)) {
            match row[channel..][..width].first_chunk_mut::<TILE_CHANNELS>() {
                Some(whole) => *whole = *frame,
                None => row[channel..][..width].copy_from_slice(&frame[..width]),
            }
        }
    }
}

/// Noise of one run of channels, the `r`-th of its tile.
#[inline(always)]
fn fill_run(
    run: &mut Run,
    shared: &[f32; BLOCK_FRAMES_MAX],
    keys: &[u32],
    rails: Rails,
    r: usize,
    tile: &mut [[i16; TILE_CHANNELS]; BLOCK_FRAMES_MAX],
) {
    let mut state = run.state;
    for ((key, shared), frame) in keys.iter().zip(shared).zip(tile) {
        let samples = &mut frame.as_chunks_mut::<LANES>().0[r];
        for l in 0..LANES {
            let white = noise(step(&mut state[l], *key));
            let value = white * run.white[l] + shared * run.coupling[l];
            samples[l] = round(rails.hold(value)) as i16;
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
    hz: f64,
    artefacts: [Option<Artefacts>; 2],
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
            hz: settings.sample_rate_hz,
            artefacts: artefacts(settings, n_groups),
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
        for artefacts in self.artefacts.iter_mut().flatten() {
            artefacts.advance(first, keys.len(), self.hz, |frame, uv, gains| {
                for (group, gain) in gains.iter().enumerate() {
                    self.runs[group / LANES].traces[group % LANES][frame] += gain * uv;
                }
            });
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
        for l in 0..LANES {
            let common = noise(step(&mut run.common[l], *key));
            let drive = noise(step(&mut run.drift[l], *key));
            run.once[l] = run.once[l] * pole + drive;
            run.twice[l] = run.twice[l] * pole + run.once[l];
            run.traces[l][frame] = common * common_uv + run.twice[l] * gain + mains;
        }
    }
}

/// Motion and stimulation, where there is any.
pub(super) fn artefacts(settings: &Settings, n_groups: usize) -> [Option<Artefacts>; 2] {
    let (tissue, seed) = (&settings.tissue, settings.seed_of_day());
    let of = |kind, per_minute, uv| Artefacts::new(kind, per_minute, uv, n_groups, seed);
    [
        of(ArtefactKind::Motion, tissue.motion_per_min, tissue.motion_uv),
        of(ArtefactKind::Stimulation, tissue.stim_per_min, tissue.stim_uv),
    ]
}

impl Swing {
    fn draw(rng: &mut Xoshiro256PlusPlus) -> Self {
        Swing { cycles_per_second: 1.0 / rng.random_range(SWING_S), phase: rng.random() }
    }
}

/// How long a swing of the amplitude takes, s.
const SWING_S: std::ops::Range<f64> = 120.0..1_200.0;
/// Electrodes that hear a neuron at most: its own and the two beside it.
const HEARD_MAX: usize = 3;
/// No entry.
const NONE: u32 = u32::MAX;
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
