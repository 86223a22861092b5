//! Which frames the health of a tile is told from, and where the mains stand in them.
//!
//! In: a rate; where a block starts. Out: the block's [`Look`]s, for each tile its own. Guarantee: they follow from
//! the frames' numbers alone.

use crate::block::BLOCK_FRAMES_MAX;
use crate::detect::Stride;
use crate::time::{SampleIndex, SampleRate};
use std::f64::consts::TAU;

/// What a rate asks of all tiles. Frames are looked at by turns, a millisecond for these tiles and the next for
/// those, so that the work is spread evenly; each tile has 250 looks a second, or as many as there are frames.
#[derive(Clone, Copy, Debug)]
pub struct HealthRule {
    rate: SampleRate,
    stride: Stride,
    /// Every so-many-th frame of the stride is a tile's.
    turns: u64,
    window_frames: u64,
    uv_per_count: f32,
    can_tell_mains: bool,
}

impl HealthRule {
    /// For a stream of `rate` whose counts are `uv_per_count` each (1 where that isn't known).
    pub fn new(rate: SampleRate, uv_per_count: f32) -> Self {
        let stride = Stride::nearest(rate, STRIDE_HZ);
        let turns = ((stride.looks_hz(rate) / LOOKS_HZ).round() as u64).max(1);
        let looks_hz = stride.looks_hz(rate) / turns as f64;
        HealthRule {
            rate,
            stride,
            turns,
            window_frames: ((rate.hz() * WINDOW_S).round() as u64).max(1),
            uv_per_count,
            can_tell_mains: looks_hz > LOOKS_PER_CYCLE_MIN * MAINS_HZ[1],
        }
    }

    /// Number of the window of a tile in which a frame lies. Windows of neighbouring tiles end at other times, so
    /// that they aren't all judged at once.
    pub(super) fn window_of(&self, at: SampleIndex, tile: usize) -> u64 {
        let ahead = (tile as u64 % STAGGER) * self.window_frames / STAGGER;
        (at.0 + ahead) / self.window_frames
    }

    /// Looks that a window must hold to say anything: half of its own.
    pub(super) fn looks_min(&self) -> u32 {
        (self.window_frames / (2 * self.stride.frames() * self.turns)).max(LOOKS_MIN) as u32
    }

    pub(super) fn uv_per_count(&self) -> f32 {
        self.uv_per_count
    }

    pub(super) fn can_tell_mains(&self) -> bool {
        self.can_tell_mains
    }
}

/// One frame to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    frame: usize,
    turn: u64,
    /// cos and sin of 50 Hz, cos and sin of 60 Hz.
    phases: [f32; 4],
}

impl Look {
    /// Its place in the block.
    pub fn frame(&self) -> usize {
        self.frame
    }

    pub(super) fn phases(&self) -> &[f32; 4] {
        &self.phases
    }
}

/// The looks of a block, worked out once for all tiles; kept by the caller and filled again for the next block.
#[derive(Clone, Debug)]
pub struct Looks {
    looks: [Look; BLOCK_FRAMES_MAX],
    n: usize,
    turns: u64,
}

impl Looks {
    /// None yet.
    pub fn new() -> Self {
        Looks { looks: [Look::default(); BLOCK_FRAMES_MAX], n: 0, turns: 1 }
    }

    /// Those of a block of `n_frames` whose first frame has the number `first`.
    ///
    /// # Panics
    /// If `n_frames` is above [`BLOCK_FRAMES_MAX`].
    pub fn fill(&mut self, rule: &HealthRule, first: SampleIndex, n_frames: usize) {
        assert!(n_frames <= BLOCK_FRAMES_MAX);
        (self.n, self.turns) = (0, rule.turns);
        for (look, frame) in self.looks.iter_mut().zip(rule.stride.within(first, n_frames)) {
            let number = first.0 + frame as u64;
            let [fifty, sixty] = MAINS_HZ.map(|hz| phase(number, hz, rule.rate));
            let phases = [fifty.cos(), fifty.sin(), sixty.cos(), sixty.sin()].map(|x| x as f32);
            *look = Look { frame, turn: number / rule.stride.frames() % rule.turns, phases };
            self.n += 1;
        }
    }

    /// Those of one tile, without the frames whose bit is set in `blanked`.
    pub fn of_tile(&self, tile: usize, blanked: u64) -> impl Iterator<Item = &Look> {
        let turn = tile as u64 % self.turns;
        self.looks[..self.n].iter().filter(move |look| look.turn == turn && blanked >> look.frame & 1 == 0)
    }
}

impl Default for Looks {
    fn default() -> Self {
        Looks::new()
    }
}

/// The phase of a line in frame `number`, from its number and not from the frame before, so that no error grows.
fn phase(number: u64, hz: f64, rate: SampleRate) -> f64 {
    let whole = u128::from(rate.microhertz());
    let cycles = (u128::from(number) * (hz * 1e6) as u128 % whole) as f64 / whole as f64;
    TAU * cycles
}

/// The lines of the mains, Hz.
pub(super) const MAINS_HZ: [f64; 2] = [50.0, 60.0];
/// Frames of which some tile is looked at, a second.
const STRIDE_HZ: f64 = 1_000.0;
/// Looks of a tile, a second.
const LOOKS_HZ: f64 = 250.0;
/// Length of a window, seconds.
const WINDOW_S: f64 = 1.0;
/// Windows end at so many different times.
const STAGGER: u64 = 61;
/// A window of fewer looks says nothing.
const LOOKS_MIN: u64 = 20;
/// A line of which fewer are seen is taken for another one.
const LOOKS_PER_CYCLE_MIN: f64 = 2.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(hz: f64) -> HealthRule {
        HealthRule::new(SampleRate::new(hz, "test").expect("a legal rate"), 1.0)
    }

    #[test]
    fn every_tile_has_its_turn_however_the_stream_is_cut() {
        for hz in [100.0, 250.0, 500.0, 1_000.0, 19_531.0, 30_000.0] {
            let rule = rule(hz);
            let seen = |tile: usize, length: usize| -> Vec<(u64, [f32; 4])> {
                let mut looks = Looks::new();
                let blocks = (700_001..760_001_u64).step_by(length).flat_map(|first| {
                    looks.fill(&rule, SampleIndex(first), length);
                    let own = looks.of_tile(tile, 0);
                    own.map(|look| (first + look.frame() as u64, look.phases)).collect::<Vec<_>>()
                });
                blocks.filter(|(at, _)| *at < 760_001).collect()
            };
            for tile in 0..5 {
                let whole = seen(tile, 64);
                assert_eq!(whole, seen(tile, 7), "{hz} Hz, tile {tile}");
                let expected = 60_000.0 / hz * LOOKS_HZ.min(hz);
                assert!((whole.len() as f64 / expected - 1.0).abs() < 0.05, "{hz} Hz: {}", whole.len());
            }
        }
    }

    #[test]
    fn phases_are_exact_after_a_year() {
        let rate = SampleRate::new(30_000.0, "test").expect("a legal rate");
        let year = 30_000 * 86_400 * 365;
        for hz in MAINS_HZ {
            assert_eq!(phase(year, hz, rate), 0.0);
            assert!((phase(year + 7, hz, rate) - TAU * 7.0 * hz / 30_000.0).abs() < 1e-12);
        }
    }

    #[test]
    fn slow_streams_have_no_lines() {
        assert!(rule(1_000.0).can_tell_mains() && !rule(100.0).can_tell_mains());
        assert_eq!(rule(20_000.0).looks_min(), 125);
    }
}
