//! Broadband to crossings and power, tile by tile.
//!
//! In: frames of a block. Out: crossings and sums of squares of the channels of a range of tiles, added up until a bin
//! takes them. What a channel gives doesn't depend on the range.

use crate::block::{BLOCK_FRAMES_MAX, Payload, StreamInfo, TILE_CHANNELS, Tile, n_tiles};
use crate::config::{Config, Features, Reference};
use crate::detect::{Crossed, CrossingDetector, Operator};
use crate::error::Error;
use crate::filter::{CommonAverage, FilterBank, Found, RegressionReference, RegressionWeights};
use crate::pipeline::watch::Watch;
use crate::pipeline::{Calibration, Event, Stage};
use crate::simd::Level;
use crate::time::SampleIndex;
use std::ops::Range;

/// Reference, filter and detector of some tiles of a broadband stream.
pub struct FrontEnd {
    /// Which tiles of the stream.
    tiles: Range<usize>,
    /// How many channels they hold.
    n_channels: usize,
    kinds: Features,
    average: CommonAverage,
    /// In place of the average, which then only reads samples.
    regression: Option<RegressionReference>,
    bank: FilterBank,
    operator: Operator,
    detector: CrossingDetector,
    /// Filled only where crossings are listed.
    crossed: Option<Crossed>,
    /// Only where the settings ask for it.
    watch: Option<Watch>,
    tile: Tile,
    found: Found,
    /// Of each tile's lanes, since the bin began.
    counts: Vec<[f32; TILE_CHANNELS]>,
    squares: Vec<[f32; TILE_CHANNELS]>,
}

impl FrontEnd {
    /// For `tiles` of the stream that `info` describes, as the whole stream was calibrated. Channels whose threshold
    /// is −∞ have no part in the common average.
    ///
    /// # Errors
    /// Band edges that the stream doesn't have; another number of thresholds; thresholds that are not below 0; a
    /// linear regression reference without its weights.
    pub fn from_config(
        config: &Config,
        info: &StreamInfo,
        calibration: &Calibration,
        tiles: Range<usize>,
        level: Level,
    ) -> Result<Self, Error> {
        let n_channels = info.n_channels();
        let thresholds = &calibration.thresholds;
        if thresholds.len() != n_channels || !thresholds.iter().all(|&threshold| threshold < 0.0) {
            return Err(Error::model("the front end", format!("{} thresholds", thresholds.len()))
                .field("thresholds")
                .legal(format!("one number below 0 for each of {n_channels} channels")));
        }
        let front_end = &config.front_end;
        let active: Vec<bool> = thresholds.iter().map(|threshold| threshold.is_finite()).collect();
        // Before thresholds are known, every channel counts.
        let active = if active.contains(&true) { active } else { vec![true; n_channels] };
        // Counts go into the filter as they are, since those an f32 holds exactly; the filter makes µV of them.
        let mut sections = front_end.sections(info.sample_rate)?;
        let uv_per_count = f64::from(info.uv_per_count.unwrap_or(1.0));
        sections[0].b.iter_mut().for_each(|b| *b *= uv_per_count);
        let refractory = front_end.refractory_frames(info.sample_rate);
        let guard = front_end.ring_guard_frames(info.sample_rate);
        let own = channels_of(&tiles, n_channels);
        let (group, regression) = match front_end.reference {
            Reference::Car => (front_end.car_group, None),
            Reference::Lrr => {
                let weights = regression_weights(calibration, front_end.car_group, n_channels)?;
                (0, Some(RegressionReference::new(weights, tiles.clone()).at_level(level)))
            }
        };
        let share = front_end.detector.guard_share(front_end.ring_guard) as f32;
        let detector = CrossingDetector::new(own.len(), &thresholds[own.clone()], refractory)
            .with_ring_guard(share, guard)
            .at_level(level);
        let average = CommonAverage::new(n_channels, group, &active).at_level(level);
        let watch = Watch::new(config, info, thresholds, tiles.clone(), &average, level);
        Ok(FrontEnd {
            n_channels: own.len(),
            kinds: config.bins.features,
            average,
            regression,
            bank: FilterBank::new(&sections, tiles.len()).settled().at_level(level),
            operator: Operator::new(front_end.detector, tiles.len(), level),
            detector,
            crossed: None,
            watch,
            tile: Tile::new(),
            found: Found::new(),
            counts: vec![[0.0; TILE_CHANNELS]; tiles.len()],
            squares: vec![[0.0; TILE_CHANNELS]; tiles.len()],
            tiles,
        })
    }

    /// Tells every crossing as an event from now on.
    pub(super) fn list_crossings(&mut self) {
        self.crossed = Some(Crossed::new());
    }

    /// Electrodes that are masked now.
    pub(super) fn masked_channels(&self) -> u64 {
        let tiles = 0..self.tiles.len();
        self.watch
            .as_ref()
            .map_or(0, |watch| tiles.map(|own| u64::from(watch.masked(own).count_ones())).sum())
    }

    /// Leaves the running noise as it is, or lets it follow the stream again.
    pub(super) fn freeze_noise(&mut self, frozen: bool) {
        if let Some(watch) = &mut self.watch {
            watch.freeze(frozen);
        }
    }

    /// Takes `frames` of a block; the first of them has number `first`.
    pub(super) fn process(
        &mut self,
        payload: &Payload,
        frames: Range<usize>,
        first: SampleIndex,
        on: &mut impl FnMut(Event<'_>),
    ) {
        debug_assert!(frames.end <= BLOCK_FRAMES_MAX);
        let by_tile = self.average.is_by_tile();
        if !by_tile {
            self.average.measure(payload, frames.clone(), self.tiles.clone());
        }
        if let Some(watch) = &mut self.watch {
            watch.begin(first, frames.len());
        }
        for own in 0..self.counts.len() {
            let index = self.tiles.start + own;
            if by_tile {
                self.average.measure(payload, frames.clone(), index..index + 1);
            }
            self.average.prefetch(payload, &frames, index + 1);
            match &mut self.watch {
                None => self.filter(payload, &frames, own, 0),
                Some(watch) => {
                    let blanked = watch.blanked(own, &self.average, payload, &frames);
                    self.filter(payload, &frames, own, blanked);
                    if let Some(watch) = &mut self.watch {
                        let raw = (&self.average, self.regression.as_ref(), payload, &frames);
                        watch.observe(own, &self.tile, first, blanked, raw);
                    }
                }
            }
            on(Event::Done(Stage::Filter));
            on(Event::Filtered(&self.tile));
            self.detect(own);
            if let Some(crossed) = &self.crossed {
                for (frame, lane) in crossed.iter() {
                    // A stream's first frame crosses nothing, so this falls below no stream's start.
                    let at = SampleIndex(first.0 + frame as u64 - self.operator.delay_frames());
                    on(Event::Crossing { channel: index * TILE_CHANNELS + lane, at });
                }
            }
            on(Event::Done(Stage::Detect));
        }
    }

    /// Samples of tile `own` to the spike band; its squares are added up on the way, without those of `blanked` frames.
    fn filter(&mut self, payload: &Payload, frames: &Range<usize>, own: usize, blanked: u64) {
        let index = self.tiles.start + own;
        self.tile.index = own;
        self.tile.n_frames = frames.len();
        match (self.average.samples(payload, frames, index), &self.regression) {
            (Some(samples), None) if blanked == 0 && self.bank.takes_samples(own) => {
                let (lowest, squares) = (&mut self.found.lowest, &mut self.squares[own]);
                self.bank.process_samples(samples, &mut self.tile, lowest, squares);
            }
            (_, regression) => {
                self.tile.index = index;
                self.average.load(payload, frames.clone(), &mut self.tile);
                self.tile.index = own;
                if let Some(regression) = regression {
                    regression.process(self.average.counted(index), self.average.kept(index), &mut self.tile);
                }
                self.found.squares = self.squares[own];
                if blanked == 0 {
                    self.bank.process_and_find(&mut self.tile, &mut self.found);
                } else {
                    self.bank.process_blanked(blanked, &mut self.tile, &mut self.found);
                    self.found.squares = self.squares[own];
                    for (t, frame) in self.tile.frames().iter().enumerate() {
                        if blanked >> t & 1 == 0 {
                            self.found.squares.iter_mut().zip(frame).for_each(|(sum, x)| *sum += x * x);
                        }
                    }
                }
                self.squares[own] = self.found.squares;
            }
        }
        self.tile.index = index;
    }

    fn detect(&mut self, own: usize) {
        if self.kinds.has_counts() || self.crossed.is_some() {
            self.tile.index = own;
            let counts = &mut self.counts[own];
            if self.operator.is_identity() {
                self.detector.process_found(&self.tile, &self.found.lowest, counts, self.crossed.as_mut());
            } else {
                self.detector.process(self.operator.process(&self.tile), counts, self.crossed.as_mut());
            }
            self.tile.index += self.tiles.start;
        }
    }

    /// Writes the sums over the `received_frames` of the bin that ends before frame `at` to `features`, marks in
    /// `unknown` which channels say nothing, and starts anew.
    pub(super) fn take_features(
        &mut self,
        at: SampleIndex,
        received_frames: u32,
        features: &mut [f32],
        unknown: &mut [u64],
        on: &mut impl FnMut(Event<'_>),
    ) {
        if let Some(watch) = &mut self.watch {
            for (own, unknown) in unknown.iter_mut().enumerate() {
                let blanked = watch.take_blanked_frames(own);
                *unknown = watch.masked(own);
                if blanked > 0 && blanked >= received_frames {
                    *unknown = u64::MAX;
                } else if blanked > 0 {
                    let grow = received_frames as f32 / (received_frames - blanked) as f32;
                    let sums = self.counts[own].iter_mut().chain(&mut self.squares[own]);
                    sums.for_each(|sum| *sum *= grow);
                }
                let thresholds = self.detector.thresholds_mut(own);
                let (bank, tiles) = (&mut self.bank, &self.tiles);
                watch.end_bin(own, at, &mut self.average, thresholds, |channel, fault, stepping| {
                    for tile in stepping.filter(|tile| tiles.contains(tile)) {
                        bank.resettle(tile - tiles.start);
                    }
                    on(Event::Fault { channel, at, fault });
                });
            }
        }
        let n = self.n_channels;
        let (counts, squares) = (self.counts.as_flattened(), self.squares.as_flattened());
        match self.kinds {
            Features::Counts => features.copy_from_slice(&counts[..n]),
            Features::Power => features.copy_from_slice(&squares[..n]),
            Features::CountsAndPower => {
                features[..n].copy_from_slice(&counts[..n]);
                features[n..].copy_from_slice(&squares[..n]);
            }
        }
        self.counts.fill([0.0; TILE_CHANNELS]);
        self.squares.fill([0.0; TILE_CHANNELS]);
    }

    /// Forgets the stream so far.
    pub(super) fn reset(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch
                .reset(&mut self.average, |own, thresholds| *self.detector.thresholds_mut(own) = *thresholds);
        }
        self.bank.reset();
        self.operator.reset();
        self.detector.reset();
        self.counts.fill([0.0; TILE_CHANNELS]);
        self.squares.fill([0.0; TILE_CHANNELS]);
    }
}

/// The weights of a calibration, if they are those of this stream.
fn regression_weights(
    calibration: &Calibration,
    group: usize,
    n_channels: usize,
) -> Result<&RegressionWeights, Error> {
    let fits = |weights: &&RegressionWeights| (weights.group(), weights.n_channels()) == (group, n_channels);
    calibration.reference.as_ref().filter(fits).ok_or_else(|| {
        let found = match &calibration.reference {
            None => "a linear regression reference without weights".to_string(),
            Some(weights) => {
                format!("weights of {} channels in groups of {}", weights.n_channels(), weights.group())
            }
        };
        Error::model("the front end", found)
            .field("reference")
            .legal(format!("weights of {n_channels} channels in groups of {group}"))
            .hint("calibrate with these settings")
    })
}

/// Channels of some tiles of a stream of `n_channels`.
pub(super) fn channels_of(tiles: &Range<usize>, n_channels: usize) -> Range<usize> {
    tiles.start * TILE_CHANNELS..(tiles.end * TILE_CHANNELS).min(n_channels)
}

/// All tiles of a stream, in at most `n_shards` runs of about equal length, cut where a reference group begins, so
/// that no group has channels in two of them.
pub(super) fn shard_tiles(n_channels: usize, car_group: usize, n_shards: usize) -> Vec<Range<usize>> {
    // Tiles from one such place to the next.
    let unit = match car_group {
        0 => 1,
        group => (1..=group).find(|tiles| (tiles * TILE_CHANNELS).is_multiple_of(group)).unwrap_or(group),
    };
    let n_tiles = n_tiles(n_channels);
    let n_units = n_tiles.div_ceil(unit);
    let n_shards = n_shards.clamp(1, n_units.max(1));
    let edge = |shard: usize| (shard * n_units / n_shards * unit).min(n_tiles);
    (0..n_shards).map(|shard| edge(shard)..edge(shard + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_cut_between_groups() {
        assert_eq!(shard_tiles(50_000, 64, 2), [0..391, 391..782]);
        assert_eq!(shard_tiles(1_024, 0, 3), [0..5, 5..10, 10..16]);
        assert_eq!(shard_tiles(1_024, 96, 2), [0..9, 9..16], "3 tiles hold two groups of 96");
        assert_eq!(shard_tiles(96, 96, 4).len(), 1);
        assert_eq!(shard_tiles(10, 16, 4).len(), 1);
    }
}
