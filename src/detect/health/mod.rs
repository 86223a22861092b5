//! Electrodes that fail while a stream runs, and those that recover.
//!
//! In: some frames of a tile, raw (counts), referenced (counts) and filtered (µV). Out: at the end of each window
//! of about a second, which lanes have got a [`Fault`] and which have lost theirs; at any moment, one bit for each
//! lane that has one. Guarantees: no memory; 52 bytes a channel; the same faults however the stream is cut and on
//! every CPU, since frames are looked at by their number.
//!
//! # Faults
//!
//! A tile is looked at 250 times a second ([`HealthRule`]). In a window
//!
//! - a lane is **dead** if its raw samples never change;
//! - **saturated** if [`CLIPPED_SHARE`] of them or more are exactly its largest or its smallest one, which lie
//!   [`CLIPPED_RANGE_MIN`] counts or more apart and are [`CLIPPED_TOWERS`] times as many as those one code further
//!   in. No rails need be known. In recordings of N1 electrodes healthy windows have 2 % there at most, clipped
//!   ones 40 % or more;
//! - **ridden by mains** if a line at 50 or 60 Hz in its referenced samples has an amplitude of more than
//!   [`MAINS_NOISES`] times the noise and holds more than half of their variance. That raises the noise behind an
//!   order-2 band-pass from 250 Hz by a tenth or more, and harmonics come through whole. A line that most lanes
//!   have is the rig's: a reference or a notch takes it out, and a mask would leave nothing;
//! - **disconnected** if its noise is over [`NOISY`] times or under 1/[`QUIET`] of the median of the tile's lanes
//!   that are neither dead nor saturated, of which there must be [`LIVE_LANES_MIN`]. The noise of a window is
//!   mean |x| / 0.798 in the spike band: to 5 % of Gaussian noise.
//!
//! A lane has a fault after [`BAD_WINDOWS`] windows in a row that had one, and has lost it after [`GOOD_WINDOWS`]
//! without. Windows with less than half of their looks, as after a gap, say nothing.
//!
//! # What the caller does with a lane that has one
//!
//! It takes the lane out of the reference's mean and out of the features, but goes on to reference and to filter
//! it, or nobody could tell when it recovers; and it tells [`crate::detect::RunningNoise`] to hold it. It takes
//! masks over where bins begin, so that they don't depend on the cut.

mod look;
mod window;

pub use look::{HealthRule, Look, Looks};

use crate::block::TILE_CHANNELS;
use crate::simd::Level;
use crate::time::SampleIndex;
use window::{Findings, Window};

/// What is wrong with an electrode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its samples never change.
    Dead,
    /// It runs into its rails.
    Saturated,
    /// It hears the mains rather than the brain.
    Mains,
    /// It is far noisier or far quieter than those beside it.
    Disconnected,
}

impl Fault {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Fault; 4] = [Fault::Dead, Fault::Saturated, Fault::Mains, Fault::Disconnected];

    /// The word that stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Dead => "dead",
            Fault::Saturated => "saturated",
            Fault::Mains => "mains",
            Fault::Disconnected => "disconnected",
        }
    }
}

/// A lane that has got a fault, or lost it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Which lane of the tile.
    pub lane: usize,
    /// What it has now; `None` if it has recovered.
    pub fault: Option<Fault>,
    /// Its noise in the window that ended, µV: where [`crate::detect::RunningNoise::set`] starts a lane that has
    /// recovered.
    pub noise_uv: f32,
}

/// The health of one tile.
#[derive(Clone, Debug)]
pub struct TileHealth {
    tile: usize,
    /// Lanes that are looked after.
    in_use: u64,
    window: Window,
    /// Number of the open window.
    number: u64,
    faults: [Option<Fault>; TILE_CHANNELS],
    /// Windows in a row that spoke against what is taken for true of a lane.
    against: [u8; TILE_CHANNELS],
    masked: u64,
    /// Lanes whose line was found too strong the last time it was measured.
    lines: u64,
}

impl TileHealth {
    /// All lanes of tile number `tile` in good health; those whose bit isn't set in `in_use` (past the last
    /// channel, left out by the model) stay so whatever comes.
    pub fn new(tile: usize, in_use: u64) -> Self {
        TileHealth {
            tile,
            in_use,
            window: Window::new(true),
            number: 0,
            faults: [None; TILE_CHANNELS],
            against: [0; TILE_CHANNELS],
            masked: 0,
            lines: 0,
        }
    }

    /// Takes in one of this tile's [`Looks`]: its `raw` samples and the same ones `referenced`, in counts.
    pub fn observe_raw(
        &mut self,
        level: Level,
        look: &Look,
        raw: &[f32; TILE_CHANNELS],
        referenced: &[f32; TILE_CHANNELS],
    ) {
        self.window.add_raw(level, raw);
        self.window.add_referenced(level, look.phases(), referenced);
    }

    /// Takes in the same frame again, filtered, in µV.
    pub fn observe_filtered(&mut self, level: Level, filtered: &[f32; TILE_CHANNELS]) {
        self.window.add_filtered(level, filtered);
    }

    /// If a window has ended before frame `at`: judges it, tells `on` what has changed, and opens the next one.
    /// To be asked where all frames before `at` were taken in: where bins end.
    pub fn judge(&mut self, rule: &HealthRule, at: SampleIndex, mut on: impl FnMut(Change)) {
        let number = rule.window_of(at, self.tile);
        if number == self.number {
            return;
        }
        self.number = number;
        let mut doubt = false;
        if self.window.n_looks() >= rule.looks_min() {
            let findings = self.window.findings(rule);
            if let Some(lines) = findings.lines(self.in_use) {
                self.lines = lines;
            }
            let median = findings.median_noise(self.in_use);
            let in_use = self.in_use;
            for lane in (0..TILE_CHANNELS).filter(|lane| in_use >> lane & 1 == 1) {
                let found = self.fault_of(lane, &findings, median);
                doubt |= found == Some(Fault::Disconnected) && self.faults[lane].is_none();
                if let Some(fault) = self.take_in(lane, found) {
                    on(Change { lane, fault, noise_uv: findings.noise_uv[lane] });
                }
            }
        }
        // Lines are seldom looked for, since they come seldom; but every time where one was found, or where a
        // lane is noisy and it may be a line that makes it so.
        let turn = (number + self.tile as u64).is_multiple_of(MAINS_TURNS);
        self.window = Window::new(turn || doubt || self.lines != 0);
    }

    /// What a lane has.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn fault(&self, lane: usize) -> Option<Fault> {
        self.faults[lane]
    }

    /// One bit for each lane that has a fault.
    pub fn masked(&self) -> u64 {
        self.masked
    }

    /// Leaves the open window out, as after a gap; faults stay.
    pub fn forget_window(&mut self) {
        self.window = Window::new(self.window.measures_mains());
    }

    /// All lanes in good health, as after [`TileHealth::new`].
    pub fn reset(&mut self) {
        *self = TileHealth::new(self.tile, self.in_use);
    }

    fn fault_of(&self, lane: usize, findings: &Findings, median: Option<f32>) -> Option<Fault> {
        let is = |lanes: u64| lanes >> lane & 1 == 1;
        let noise = findings.noise_uv[lane];
        let is_apart = median.is_some_and(|median| noise > NOISY * median || noise * QUIET < median);
        match () {
            _ if is(findings.dead) => Some(Fault::Dead),
            _ if is(findings.saturated) => Some(Fault::Saturated),
            _ if is(self.lines) => Some(Fault::Mains),
            _ if is_apart => Some(Fault::Disconnected),
            _ => None,
        }
    }

    /// Counts a window for or against what is taken for true; returns what is true from now on if that changes.
    fn take_in(&mut self, lane: usize, found: Option<Fault>) -> Option<Option<Fault>> {
        let known = self.faults[lane];
        let against = &mut self.against[lane];
        // A fault that turns into another one is still a fault.
        if found.is_some() == known.is_some() {
            *against = 0;
            return None;
        }
        *against += 1;
        let wanted = if known.is_some() { GOOD_WINDOWS } else { BAD_WINDOWS };
        if *against < wanted {
            return None;
        }
        *against = 0;
        self.faults[lane] = found;
        self.masked ^= 1 << lane;
        Some(found)
    }
}

/// Windows in a row with a fault until a lane has it.
pub const BAD_WINDOWS: u8 = 2;
/// Windows in a row without until a lane has recovered.
pub const GOOD_WINDOWS: u8 = 3;
/// The share of a window's samples at its ends from which it is clipped.
pub const CLIPPED_SHARE: f32 = 0.05;
/// Counts between the ends of a clipped window at least: of fewer codes, each holds many samples.
pub const CLIPPED_RANGE_MIN: f32 = 32.0;
/// How many times as many samples are at a rail as beside it: a slow swing has 2.4 times as many at its turning
/// point.
pub const CLIPPED_TOWERS: u32 = 4;
/// A line's amplitude in noises from which it matters.
pub const MAINS_NOISES: f32 = 15.0;
/// So many times the median noise is an electrode that floats.
pub const NOISY: f32 = 4.0;
/// So many times less than the median noise is an electrode that hears nothing.
pub const QUIET: f32 = 8.0;
/// Live lanes that have a median worth the name.
pub const LIVE_LANES_MIN: usize = 8;
/// Every so many windows the lines of a tile are measured.
const MAINS_TURNS: u64 = 4;
const _: () = assert!(TILE_CHANNELS == u64::BITS as usize, "one bit a lane");

#[cfg(test)]
mod tests;
