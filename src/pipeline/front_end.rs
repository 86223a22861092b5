//! Broadband to crossings and power, tile by tile.
//!
//! In: frames of a block. Out: crossings and sums of squares per channel, added up until a bin takes them.

use crate::block::{BLOCK_FRAMES_MAX, Payload, StreamInfo, TILE_CHANNELS, Tile, n_tiles};
use crate::config::{Config, Features};
use crate::detect::{Crossed, CrossingDetector, Operator, power};
use crate::error::Error;
use crate::filter::{CommonAverage, FilterBank};
use crate::pipeline::{Event, Stage};
use crate::simd::Level;
use crate::time::SampleIndex;
use std::ops::Range;

/// Reference, filter and detector of a broadband stream.
pub struct FrontEnd {
    n_channels: usize,
    kinds: Features,
    average: CommonAverage,
    bank: FilterBank,
    operator: Operator,
    detector: CrossingDetector,
    /// Filled only where crossings are listed.
    crossed: Option<Crossed>,
    tile: Tile,
    /// Of each tile's lanes, since the bin began.
    counts: Vec<[f32; TILE_CHANNELS]>,
    squares: Vec<[f32; TILE_CHANNELS]>,
}

impl FrontEnd {
    /// For the stream that `info` describes, with one threshold per channel. Channels whose threshold is −∞
    /// have no part in the common average.
    ///
    /// # Errors
    /// Band edges that the stream doesn't have; another number of thresholds; thresholds that are not below 0.
    pub fn from_config(config: &Config, info: &StreamInfo, thresholds: &[f32]) -> Result<Self, Error> {
        let n_channels = info.n_channels();
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
        let detector = CrossingDetector::new(n_channels, thresholds, refractory)
            .with_ring_guard(front_end.detector.guard_share(front_end.ring_guard) as f32, guard);
        Ok(FrontEnd {
            n_channels,
            kinds: config.bins.features,
            average: CommonAverage::new(n_channels, front_end.car_group, &active),
            bank: FilterBank::new(&sections, n_tiles(n_channels)).settled(),
            operator: Operator::new(front_end.detector, n_tiles(n_channels), Level::widest()),
            detector,
            crossed: None,
            tile: Tile::new(),
            counts: vec![[0.0; TILE_CHANNELS]; n_tiles(n_channels)],
            squares: vec![[0.0; TILE_CHANNELS]; n_tiles(n_channels)],
        })
    }

    /// Tells every crossing as an event from now on.
    pub(super) fn list_crossings(&mut self) {
        self.crossed = Some(Crossed::new());
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
        self.average.measure(payload, frames.clone());
        for index in 0..self.counts.len() {
            self.tile.index = index;
            self.average.load(payload, frames.clone(), &mut self.tile);
            self.bank.process(&mut self.tile);
            on(Event::Done(Stage::Filter));
            on(Event::Filtered(&self.tile));
            if self.kinds.has_counts() || self.crossed.is_some() {
                let tile = self.operator.process(&self.tile);
                self.detector.process(tile, &mut self.counts[index], self.crossed.as_mut());
            }
            if self.kinds.has_power() {
                power::add_squares(&self.tile, &mut self.squares[index]);
            }
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

    /// Writes the sums since the bin began to `features` and starts anew.
    pub(super) fn take_features(&mut self, features: &mut [f32]) {
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
        self.bank.reset();
        self.operator.reset();
        self.detector.reset();
        self.counts.fill([0.0; TILE_CHANNELS]);
        self.squares.fill([0.0; TILE_CHANNELS]);
    }
}
