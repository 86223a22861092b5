//! Looks after the electrodes while the stream runs: noise that drifts, electrodes that fail, stimulation.
//!
//! In: the tiles of a front end, before and after the filter. Out: thresholds, masks, and frames to blank. Guarantee:
//! all of it follows from frame numbers and samples, and takes force where bins begin (blanking at once), so that the
//! cut of the stream changes no bit.

use crate::block::{BLOCK_FRAMES_MAX, Payload, StreamInfo, TILE_CHANNELS, Tile};
use crate::config::{Config, FrontEndConfig};
use crate::detect::health::{HealthRule, Looks};
use crate::detect::{Fault, NoiseRule, RunningNoise, TileHealth};
use crate::filter::{Blanker, CommonAverage, LaneBlanker, RegressionReference};
use crate::simd::Level;
use crate::time::SampleIndex;
use std::ops::Range;

/// Of all tiles of one front end.
pub(super) struct Watch {
    level: Level,
    rule: HealthRule,
    looks: Looks,
    tiles: Vec<TileWatch>,
    is_frozen: bool,
    /// Raw samples, where artefacts are looked for in them.
    raw: Tile,
}

/// Of one tile.
struct TileWatch {
    /// Number of the tile in the stream.
    index: usize,
    /// As they were calibrated.
    thresholds: [f32; TILE_CHANNELS],
    noise_at_start: [f32; TILE_CHANNELS],
    noise: Option<RunningNoise>,
    health: Option<TileHealth>,
    blanker: Option<TileBlanker>,
    /// Frames of the open bin that were blanked.
    blanked_frames: u32,
}

enum TileBlanker {
    /// By the mean of the group that covers the tile.
    Mean(Blanker),
    /// By what most lanes do.
    Lanes(Box<LaneBlanker>),
}

impl Watch {
    /// For `tiles` of the stream, calibrated to these thresholds; `None` where the settings ask for nothing.
    pub(super) fn new(
        config: &Config,
        info: &StreamInfo,
        thresholds: &[f32],
        tiles: Range<usize>,
        average: &CommonAverage,
        level: Level,
    ) -> Option<Self> {
        let front_end = &config.front_end;
        if front_end.adapt_seconds == 0.0 && !front_end.mask_faults && front_end.artefact_uv == 0.0 {
            return None;
        }
        let uv_per_count = info.uv_per_count.unwrap_or(1.0);
        let hold_frames = front_end.artefact_frames(info.sample_rate);
        let jump = front_end.artefact_uv as f32 / uv_per_count;
        let tile = |index: usize| {
            let own = thresholds[index * TILE_CHANNELS..].iter().copied();
            let mut of_lanes = [f32::NEG_INFINITY; TILE_CHANNELS];
            of_lanes.iter_mut().zip(own).for_each(|(lane, threshold)| *lane = threshold);
            let in_use =
                (0..TILE_CHANNELS).filter(|&l| of_lanes[l].is_finite()).fold(0, |bits, l| bits | 1 << l);
            let noise_at_start = of_lanes.map(|threshold| noise_of(threshold, front_end));
            let seconds = front_end.adapt_seconds;
            let rule = running_rule(front_end.noise);
            let adapts = seconds > 0.0;
            let blanker = (jump > 0.0).then(|| match average.means_of_tile(index) {
                Some(_) => TileBlanker::Mean(Blanker::new(jump, hold_frames)),
                None => TileBlanker::Lanes(Box::new(LaneBlanker::new(jump, hold_frames, in_use))),
            });
            TileWatch {
                index,
                thresholds: of_lanes,
                noise_at_start,
                noise: adapts.then(|| RunningNoise::new(rule, &noise_at_start, info.sample_rate, seconds)),
                health: front_end.mask_faults.then(|| TileHealth::new(index, in_use)),
                blanker,
                blanked_frames: 0,
            }
        };
        Some(Watch {
            level,
            rule: HealthRule::new(info.sample_rate, uv_per_count),
            looks: Looks::new(),
            tiles: tiles.map(tile).collect(),
            is_frozen: false,
            raw: Tile::new(),
        })
    }

    /// Leaves the noise as it is, or lets it follow again.
    pub(super) fn freeze(&mut self, frozen: bool) {
        if self.is_frozen != frozen {
            self.is_frozen = frozen;
            self.tiles
                .iter_mut()
                .filter_map(|tile| tile.noise.as_mut())
                .for_each(|noise| noise.freeze(frozen));
        }
    }

    /// Before the tiles of a block: `n_frames` from `first` on.
    pub(super) fn begin(&mut self, first: SampleIndex, n_frames: usize) {
        self.looks.fill(&self.rule, first, n_frames);
    }

    /// Which frames of tile `own` are blanked, a bit each.
    pub(super) fn blanked(
        &mut self,
        own: usize,
        average: &CommonAverage,
        payload: &Payload,
        frames: &Range<usize>,
    ) -> u64 {
        let tile = &mut self.tiles[own];
        let blanked = match &mut tile.blanker {
            None => 0,
            Some(TileBlanker::Mean(blanker)) => match average.means_of_tile(tile.index) {
                Some(means) => blanker.blank(means, frames.len()),
                None => 0,
            },
            Some(TileBlanker::Lanes(blanker)) => {
                self.raw.index = tile.index;
                average.load_raw(payload, frames.clone(), &mut self.raw);
                blanker.blank(self.level, self.raw.frames())
            }
        };
        tile.blanked_frames += blanked.count_ones();
        blanked
    }

    /// Takes in a tile that was filtered; the first of its frames has number `first`.
    pub(super) fn observe(
        &mut self,
        own: usize,
        filtered: &Tile,
        first: SampleIndex,
        blanked: u64,
        (average, regression, payload, frames): (
            &CommonAverage,
            Option<&RegressionReference>,
            &Payload,
            &Range<usize>,
        ),
    ) {
        let TileWatch { index, noise, health, .. } = &mut self.tiles[own];
        if let Some(noise) = noise {
            noise.observe(self.level, first, filtered.frames(), blanked);
        }
        if let Some(health) = health {
            for look in self.looks.of_tile(*index, blanked) {
                let (raw, mut referenced) = average.lanes(payload, frames, look.frame(), *index);
                if let Some(regression) = regression {
                    let (heard, kept) = (average.counted(*index), average.kept(*index));
                    regression.process_frames(heard, kept, own, std::slice::from_mut(&mut referenced));
                }
                health.observe_raw(self.level, look, &raw, &referenced);
                health.observe_filtered(self.level, &filtered.uv[look.frame()]);
            }
        }
    }

    /// Where a bin ends: judges, and puts masks and thresholds in force. `on` is told of changes: channel, fault, and
    /// the tiles whose reference steps.
    pub(super) fn end_bin(
        &mut self,
        own: usize,
        at: SampleIndex,
        average: &mut CommonAverage,
        thresholds: &mut [f32; TILE_CHANNELS],
        mut on: impl FnMut(usize, Option<Fault>, Range<usize>),
    ) {
        let tile = &mut self.tiles[own];
        let mut is_changed = false;
        if let Some(health) = &mut tile.health {
            let noise = &mut tile.noise;
            health.judge(&self.rule, at, |change| {
                is_changed = true;
                let channel = tile.index * TILE_CHANNELS + change.lane;
                average.set_counted(channel, change.fault.is_none());
                if let (Some(noise), None, true) = (&mut *noise, change.fault, change.noise_uv > 0.0) {
                    noise.set(change.lane, change.noise_uv);
                }
                on(channel, change.fault, average.tiles_of_group(channel));
            });
            if is_changed {
                if let Some(noise) = noise {
                    noise.hold(health.masked());
                }
                match &mut tile.blanker {
                    Some(TileBlanker::Mean(blanker)) => blanker.rebase(),
                    Some(TileBlanker::Lanes(blanker)) => blanker.set_active(average.counted(tile.index)),
                    None => {}
                }
            }
        }
        if tile.noise.is_none() && !is_changed {
            return;
        }
        let masked = tile.masked();
        for (lane, threshold) in thresholds.iter_mut().enumerate() {
            let share = match &tile.noise {
                Some(noise) => noise.noise(lane) / tile.noise_at_start[lane],
                None => 1.0,
            };
            *threshold = match masked >> lane & 1 {
                0 => tile.thresholds[lane] * share,
                _ => f32::NEG_INFINITY,
            };
        }
    }

    /// Frames of the open bin of tile `own` that were blanked; the count starts anew.
    pub(super) fn take_blanked_frames(&mut self, own: usize) -> u32 {
        std::mem::take(&mut self.tiles[own].blanked_frames)
    }

    /// Lanes of tile `own` that are masked now.
    pub(super) fn masked(&self, own: usize) -> u64 {
        self.tiles[own].masked()
    }

    /// As if just built, with all that follows from it.
    pub(super) fn reset(
        &mut self,
        average: &mut CommonAverage,
        mut thresholds: impl FnMut(usize, &[f32; TILE_CHANNELS]),
    ) {
        for (own, tile) in self.tiles.iter_mut().enumerate() {
            let masked = tile.masked();
            for lane in (0..TILE_CHANNELS).filter(|lane| masked >> lane & 1 == 1) {
                average.set_counted(tile.index * TILE_CHANNELS + lane, true);
            }
            if let Some(health) = &mut tile.health {
                health.reset();
            }
            if let Some(noise) = &mut tile.noise {
                noise.hold(0);
                tile.noise_at_start.iter().enumerate().for_each(|(lane, &uv)| noise.set(lane, uv));
            }
            match &mut tile.blanker {
                Some(TileBlanker::Mean(blanker)) => blanker.reset(),
                Some(TileBlanker::Lanes(blanker)) => {
                    blanker.set_active(average.counted(tile.index));
                    blanker.reset();
                }
                None => {}
            }
            tile.blanked_frames = 0;
            thresholds(own, &tile.thresholds);
        }
    }
}

impl TileWatch {
    fn masked(&self) -> u64 {
        self.health.as_ref().map_or(0, TileHealth::masked)
    }
}

/// The noise that a threshold was set from; 1 where there is no threshold, since nothing comes of it.
fn noise_of(threshold: f32, front_end: &FrontEndConfig) -> f32 {
    let measured = threshold / front_end.threshold as f32;
    match front_end.noise {
        _ if !measured.is_finite() => 1.0,
        NoiseRule::Mean => measured / MEAN_OF_UNIT,
        NoiseRule::Rms | NoiseRule::Mad => measured,
    }
}

/// A threshold follows in proportion, whatever it was set from.
fn running_rule(rule: NoiseRule) -> NoiseRule {
    match rule {
        NoiseRule::Rms => NoiseRule::Rms,
        NoiseRule::Mad | NoiseRule::Mean => NoiseRule::Mad,
    }
}

/// The mean of |x| where x is Gaussian with a standard deviation of 1: √(2/π).
const MEAN_OF_UNIT: f32 = 0.797_884_6;
const _: () = assert!(BLOCK_FRAMES_MAX <= 64, "a bit a frame");
