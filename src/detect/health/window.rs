//! What a window gathers of the lanes of one tile, and what it says of them when it ends.
//!
//! In: some frames of the window. Out: [`Findings`]. Sums are f32, in the order of the frames, each lane by itself.

use super::look::HealthRule;
use super::{CLIPPED_RANGE_MIN, CLIPPED_SHARE, CLIPPED_TOWERS, LIVE_LANES_MIN, MAINS_NOISES};
use crate::block::TILE_CHANNELS;
use crate::simd::{Level, dispatch};

type Lanes = [f32; TILE_CHANNELS];

/// Sums over an open window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    n_raw: u32,
    n_filtered: u32,
    ends: Ends,
    /// Sum of |x| in the spike band, µV.
    magnitudes: Lanes,
    measures_mains: bool,
    lines: Lines,
}

/// Largest raw sample of each lane, and largest of the negative ones, which is the smallest.
#[derive(Clone, Debug)]
struct Ends {
    high: End,
    low: End,
}

/// The largest sample of each lane. How many samples were exactly that stands in the lower half of `counts`, how many
/// lay less than a code below it in the upper half.
#[derive(Clone, Debug)]
struct End {
    largest: Lanes,
    counts: [u32; TILE_CHANNELS],
}

/// Correlation of each lane with the lines of the mains.
#[derive(Clone, Debug)]
struct Lines {
    /// The window's first sample, from which the others are counted, so that an offset costs no precision.
    base: Lanes,
    sums: Lanes,
    squares: Lanes,
    /// With cos and sin of either line.
    products: [Lanes; 4],
    /// Sums of cos and sin themselves, for windows that hold no whole number of cycles.
    phases: [f64; 4],
}

/// What a window says; a bit or a value a lane.
pub(super) struct Findings {
    pub(super) dead: u64,
    pub(super) saturated: u64,
    pub(super) noise_uv: Lanes,
    /// Lanes with a line that is too strong, where lines were measured.
    strong_lines: Option<u64>,
}

impl Window {
    pub(super) fn new(measures_mains: bool) -> Self {
        let zeros = [0.0; TILE_CHANNELS];
        Window {
            n_raw: 0,
            n_filtered: 0,
            ends: Ends { high: End::new(), low: End::new() },
            magnitudes: zeros,
            measures_mains,
            lines: Lines { base: zeros, sums: zeros, squares: zeros, products: [zeros; 4], phases: [0.0; 4] },
        }
    }

    pub(super) fn add_raw(&mut self, level: Level, raw: &Lanes) {
        add_to_ends(level, &mut self.ends, raw);
        self.n_raw += 1;
    }

    /// To be called after [`Window::add_raw`] of the same frame.
    pub(super) fn add_referenced(&mut self, level: Level, phases: &[f32; 4], referenced: &Lanes) {
        if !self.measures_mains {
            return;
        }
        if self.n_raw == 1 {
            self.lines.base = *referenced;
        }
        add_to_lines(level, &mut self.lines, phases, referenced);
        for (sum, phase) in self.lines.phases.iter_mut().zip(phases) {
            *sum += f64::from(*phase);
        }
    }

    pub(super) fn add_filtered(&mut self, level: Level, filtered: &Lanes) {
        add_magnitudes(level, &mut self.magnitudes, filtered);
        self.n_filtered += 1;
    }

    pub(super) fn n_looks(&self) -> u32 {
        self.n_raw.min(self.n_filtered)
    }

    pub(super) fn measures_mains(&self) -> bool {
        self.measures_mains
    }

    pub(super) fn findings(&self, rule: &HealthRule) -> Findings {
        let Ends { high, low } = &self.ends;
        let n = self.n_raw as f32;
        let range = |l: usize| high.largest[l] + low.largest[l];
        let clipped = |l: usize| {
            range(l) >= CLIPPED_RANGE_MIN && (high.piled_up(l) + low.piled_up(l)) as f32 >= CLIPPED_SHARE * n
        };
        let noise_uv = self.magnitudes.map(|sum| sum / (self.n_filtered as f32 * MAGNITUDE_OF_UNIT));
        let has_lines = self.measures_mains && rule.can_tell_mains();
        let is_ridden = |l: usize| self.lines.is_strong(l, n, noise_uv[l] / rule.uv_per_count());
        Findings {
            dead: lanes_where(|l| range(l) <= 0.0),
            saturated: lanes_where(clipped),
            noise_uv,
            strong_lines: has_lines.then(|| lanes_where(is_ridden)),
        }
    }
}

impl End {
    fn new() -> Self {
        End { largest: [f32::NEG_INFINITY; TILE_CHANNELS], counts: [0; TILE_CHANNELS] }
    }

    /// Samples that are exactly the largest one, if they tower over those a code below: what swings slowly dwells
    /// at its turning point too, but hardly less beside it.
    fn piled_up(&self, l: usize) -> u32 {
        let (at, below) = (self.counts[l] & 0xffff, self.counts[l] >> 16);
        if at >= CLIPPED_TOWERS * below { at } else { 0 }
    }
}

impl Lines {
    /// Whether one of the lines of a lane is too strong against `noise`, in counts.
    fn is_strong(&self, l: usize, n: f32, noise: f32) -> bool {
        let mean = self.sums[l] / n;
        let variance = self.squares[l] / n - mean * mean;
        let part = |k: usize| 2.0 / n * (self.products[k][l] - mean * self.phases[k] as f32);
        [[0, 1], [2, 3]].iter().any(|&[cos, sin]| {
            let square = part(cos) * part(cos) + part(sin) * part(sin);
            square > (MAINS_NOISES * noise) * (MAINS_NOISES * noise) && square / 2.0 > variance / 2.0
        })
    }
}

impl Findings {
    /// Lanes in use with a line of their own that is too strong; none where most live ones have it. `None` where
    /// lines weren't measured.
    pub(super) fn lines(&self, in_use: u64) -> Option<u64> {
        let live = in_use & !self.dead & !self.saturated;
        let strong = self.strong_lines? & live;
        Some(if 2 * strong.count_ones() > live.count_ones() { 0 } else { strong })
    }

    /// The median noise of live lanes in use, µV; `None` of too few.
    pub(super) fn median_noise(&self, in_use: u64) -> Option<f32> {
        let live = in_use & !self.dead & !self.saturated;
        let mut sorted = [0.0; TILE_CHANNELS];
        let mut n = 0;
        for lane in (0..TILE_CHANNELS).filter(|lane| live >> lane & 1 == 1) {
            sorted[n] = self.noise_uv[lane];
            n += 1;
        }
        sorted[..n].sort_unstable_by(f32::total_cmp);
        (n >= LIVE_LANES_MIN).then(|| sorted[n / 2])
    }
}

dispatch! {
    fn add_to_ends(ends: &mut Ends, raw: &Lanes) = ends_step;
    fn add_to_lines(lines: &mut Lines, phases: &[f32; 4], referenced: &Lanes) = lines_step;
    fn add_magnitudes(sums: &mut Lanes, filtered: &Lanes) = magnitudes_step;
}

#[inline(always)]
fn ends_step(ends: &mut Ends, raw: &Lanes) {
    end_step(&mut ends.high, raw);
    end_step(&mut ends.low, &raw.map(|x| -x));
}

#[inline(always)]
fn end_step(end: &mut End, samples: &Lanes) {
    for ((&x, largest), counts) in samples.iter().zip(&mut end.largest).zip(&mut end.counts) {
        // Those that were the largest ones until now lie below the new one: by a code, or nobody does.
        let below = if x - *largest <= 1.0 { *counts << 16 } else { 0 };
        let risen = below + 1;
        let beside = if *largest - x <= 1.0 { 1 << 16 } else { 0 };
        let stayed = *counts + if x == *largest { 1 } else { beside };
        *counts = if x > *largest { risen } else { stayed };
        *largest = if x > *largest { x } else { *largest };
    }
}

#[inline(always)]
fn lines_step(lines: &mut Lines, phases: &[f32; 4], referenced: &Lanes) {
    let sums = lines.sums.iter_mut().zip(&mut lines.squares);
    for ((x, base), (sum, square)) in referenced.iter().zip(&lines.base).zip(sums) {
        let x = x - base;
        *sum += x;
        *square += x * x;
    }
    for (products, phase) in lines.products.iter_mut().zip(phases) {
        for ((x, base), product) in referenced.iter().zip(&lines.base).zip(products) {
            *product += (x - base) * phase;
        }
    }
}

#[inline(always)]
fn magnitudes_step(sums: &mut Lanes, filtered: &Lanes) {
    for (sum, x) in sums.iter_mut().zip(filtered) {
        *sum += x.abs();
    }
}

fn lanes_where(is: impl Fn(usize) -> bool) -> u64 {
    (0..TILE_CHANNELS).fold(0, |lanes, lane| lanes | u64::from(is(lane)) << lane)
}

/// The mean of |x| where x is Gaussian with a standard deviation of 1.
const MAGNITUDE_OF_UNIT: f32 = 0.797_884_6;

/// A count of a window fits half of 32 bits: bins, and so windows, are no longer than this many looks.
const _: () = assert!(250 * (crate::config::WIDTH_MS_MAX as u64 / 1_000 + 2) < 1 << 16);

#[cfg(test)]
impl Window {
    /// Every f32 that it holds.
    pub(super) fn sums(&self) -> impl Iterator<Item = f32> {
        let Lines { base, sums, squares, products, .. } = &self.lines;
        let lanes = [&self.ends.low.largest, &self.ends.high.largest, &self.magnitudes, base, sums, squares];
        lanes.into_iter().chain(products).flatten().copied()
    }

    pub(super) fn has_denormals(&self) -> bool {
        self.sums().any(f32::is_subnormal)
    }
}
