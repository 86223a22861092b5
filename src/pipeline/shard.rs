//! Blocks to bins, for all channels of a stream or for a range of its tiles.
//!
//! In: blocks of the whole stream, whatever is missing between them. Out: events, of which one in a while is a bin of
//! the shard's channels. Guarantee: shards of the same stream give bins of the same numbers with the same features
//! that one shard of all channels gives, bit for bit, if they saw the same blocks.

use super::front_end::{FrontEnd, channels_of, shard_tiles};
use super::{Calibration, Event, GAP_BINS_MAX, Ledger, Stage};
use crate::binning::{BinBuilder, BinSchedule, PowerScale};
use crate::block::{Block, Crossing, Payload, StreamInfo, StreamKind, n_tiles};
use crate::config::Config;
use crate::error::Error;
use crate::simd::Level;
use crate::time::SampleIndex;
use std::ops::Range;

/// The stages from a block to a bin, with their state.
pub struct Shard {
    kind: StreamKind,
    /// Of the whole stream.
    n_channels: usize,
    /// Of this shard.
    channels: Range<usize>,
    front_end: Option<FrontEnd>,
    /// Of a stream of power.
    scale: PowerScale,
    /// Crossings that came one by one are told as events.
    lists_crossings: bool,
    bins: BinBuilder,
    next_sample: SampleIndex,
    expects_segment: bool,
    ledger: Ledger,
}

impl Shard {
    /// Shards of the stream that `info` describes: at most `n_shards`, fewer where reference groups forbid a cut, one
    /// of a stream of crossings, which is too little work to share. Each gets the calibration of the whole stream.
    ///
    /// # Errors
    /// Settings that the stream can't be processed with; another number of thresholds.
    pub fn from_config(
        config: &Config,
        info: &StreamInfo,
        calibration: &Calibration,
        n_shards: usize,
        level: Level,
    ) -> Result<Vec<Self>, Error> {
        let group = if info.kind == StreamKind::Broadband { config.front_end.car_group } else { 0 };
        let n_shards = if info.kind == StreamKind::Crossings { 1 } else { n_shards };
        let tiles = shard_tiles(info.n_channels(), group, n_shards);
        tiles.into_iter().map(|tiles| Shard::of_tiles(config, info, calibration, tiles, level)).collect()
    }

    /// One shard of all channels.
    pub(super) fn of_all(
        config: &Config,
        info: &StreamInfo,
        calibration: &Calibration,
        level: Level,
    ) -> Result<Self, Error> {
        Shard::of_tiles(config, info, calibration, 0..n_tiles(info.n_channels()), level)
    }

    fn of_tiles(
        config: &Config,
        info: &StreamInfo,
        calibration: &Calibration,
        tiles: Range<usize>,
        level: Level,
    ) -> Result<Self, Error> {
        let schedule = BinSchedule::new(info.sample_rate, config.bins.width_ms)?;
        let channels = channels_of(&tiles, info.n_channels());
        let front_end = match info.kind {
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => None,
            StreamKind::Broadband => Some(FrontEnd::from_config(config, info, calibration, tiles, level)?),
        };
        let bins = match info.kind {
            StreamKind::Crossings => BinBuilder::of_crossings,
            StreamKind::Counts | StreamKind::Broadband | StreamKind::Power(_) => BinBuilder::new,
        };
        Ok(Shard {
            kind: info.kind,
            n_channels: info.n_channels(),
            front_end,
            scale: PowerScale::new(info.uv_per_count),
            lists_crossings: false,
            bins: bins(schedule, config.bins.features, channels.len()),
            channels,
            next_sample: SampleIndex(0),
            expects_segment: false,
            ledger: Ledger::default(),
        })
    }

    /// Which channels of the stream it processes.
    pub fn channels(&self) -> Range<usize> {
        self.channels.clone()
    }

    /// Its bins come from crossings one by one and say which channels they touched.
    pub fn is_sparse(&self) -> bool {
        self.kind == StreamKind::Crossings
    }

    /// Values of one of its bins.
    pub fn n_features(&self) -> usize {
        self.bins.n_features()
    }

    /// The bin grid.
    pub fn schedule(&self) -> &BinSchedule {
        self.bins.schedule()
    }

    /// Where every frame went so far.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Tells every crossing as an event from now on; off when built.
    pub fn list_crossings(&mut self) {
        self.lists_crossings = true;
        if let Some(front_end) = &mut self.front_end {
            front_end.list_crossings();
        }
    }

    /// Electrodes that have a fault now and are masked.
    pub fn masked_channels(&self) -> u64 {
        self.front_end.as_ref().map_or(0, FrontEnd::masked_channels)
    }

    /// Leaves the running noise as it is, and with it the thresholds, or lets it follow the stream again.
    pub fn freeze_noise(&mut self, frozen: bool) {
        if let Some(front_end) = &mut self.front_end {
            front_end.freeze_noise(frozen);
        }
    }

    /// The next block belongs to another segment than the last one, though its header may not say so, since the block
    /// that did was lost.
    pub fn expect_segment(&mut self) {
        self.expects_segment = true;
    }

    /// Takes the next block; tells `on` what came of it. Lost and repeated frames as [`super::Pipeline::process`].
    ///
    /// # Panics
    /// If the block is of another width or kind than the stream, or has crossings of other frames than its own.
    pub fn process(&mut self, block: &Block, mut on: impl FnMut(Event<'_>)) {
        let first = block.header.first_sample;
        self.ledger.lost_frames += first.0.saturating_sub(self.next_sample.0);
        let starts_segment = std::mem::take(&mut self.expects_segment) || block.header.starts_segment;
        if starts_segment && first >= self.next_sample {
            self.start_segment(first);
        } else {
            self.skip_lost(first, &mut on);
        }
        let n_frames = block.header.n_frames as usize;
        let mut from = (self.next_sample.0 - first.0).min(n_frames as u64) as usize;
        self.ledger.repeated_frames += from as u64;
        self.ledger.received_frames += (n_frames - from) as u64;
        let mut crossings = match &block.payload {
            Payload::Crossings(all) => &all[before(all, from)..],
            _ => &[],
        };
        while from < n_frames {
            let open = (self.bins.end().0 - self.next_sample.0) as usize;
            let to = n_frames.min(from + open);
            match (&block.payload, self.kind, &mut self.front_end) {
                (Payload::Counts(counts), StreamKind::Counts, _) => {
                    let (spread, has_unknown) = (block.header.spread, block.header.has_unknown);
                    for frame in counts.chunks_exact(self.n_channels).take(to).skip(from) {
                        let own = &frame[self.channels.clone()];
                        match spread > 1 || has_unknown {
                            false => self.bins.add_counts(own),
                            true => self.bins.add_counts_of(own, spread, has_unknown),
                        }
                    }
                }
                (Payload::Counts(levels), StreamKind::Power(_), _) => {
                    for frame in levels.chunks_exact(self.n_channels).take(to).skip(from) {
                        self.bins.add_levels(&frame[self.channels.clone()], &self.scale);
                    }
                }
                (Payload::Crossings(_), StreamKind::Crossings, _) => {
                    let (now, later) = crossings.split_at(before(crossings, to));
                    crossings = later;
                    if self.lists_crossings {
                        now.iter().for_each(|crossing| on(told(crossing, first)));
                    }
                    self.bins.add_crossings(now);
                    self.bins.add_frames(to - from);
                }
                (broadband, StreamKind::Broadband, Some(front_end)) => {
                    front_end.process(broadband, from..to, self.next_sample, &mut on);
                    self.bins.add_frames(to - from);
                }
                _ => panic!("a block of another kind than the stream"),
            }
            self.next_sample.0 += (to - from) as u64;
            from = to;
            if self.next_sample == self.bins.end() {
                self.close_bin(&mut on);
            }
        }
        assert!(crossings.is_empty(), "crossings out of order, or of frames that the block doesn't have");
        on(Event::Done(Stage::Binning));
    }

    /// Forgets everything: as if just built.
    pub fn reset(&mut self) {
        self.start_segment(SampleIndex(0));
        self.ledger = Ledger::default();
    }

    fn close_bin(&mut self, on: &mut impl FnMut(Event<'_>)) {
        if let Some(front_end) = &mut self.front_end {
            let (end, received) = (self.bins.end(), self.bins.received_frames());
            let (features, unknown) = self.bins.values_mut();
            front_end.take_features(end, received, features, unknown, on);
        }
        on(Event::Bin(self.bins.close()));
        self.bins.next();
    }

    fn skip_lost(&mut self, to: SampleIndex, on: &mut impl FnMut(Event<'_>)) {
        if to <= self.next_sample {
            return;
        }
        let bins = self.bins.schedule().bin_of(to) - self.bins.schedule().bin_of(self.next_sample);
        if bins > GAP_BINS_MAX {
            self.ledger.restarts += 1;
            // What came of the open bin still counts.
            if self.bins.received_frames() > 0 {
                self.lose_up_to(self.bins.end(), on);
            }
            self.start_segment(to);
            return;
        }
        while self.next_sample < to {
            self.lose_up_to(to.min(self.bins.end()), on);
        }
    }

    /// Notes frames of the open bin as lost.
    fn lose_up_to(&mut self, until: SampleIndex, on: &mut impl FnMut(Event<'_>)) {
        self.bins.add_lost(until.0 - self.next_sample.0);
        self.next_sample = until;
        if until == self.bins.end() {
            self.close_bin(on);
        }
    }

    fn start_segment(&mut self, at: SampleIndex) {
        if let Some(front_end) = &mut self.front_end {
            front_end.reset();
        }
        let bin = self.bins.schedule().bin_of(at);
        self.bins.open(bin, true);
        let edge = self.bins.schedule().edge(bin);
        // A segment that starts inside a bin has lost the frames before it.
        self.bins.add_lost(at.0 - edge.0);
        self.next_sample = at;
    }
}

/// How many of a block's crossings are in the frames before `frame`.
fn before(crossings: &[Crossing], frame: usize) -> usize {
    crossings.partition_point(|crossing| usize::from(crossing.frame) < frame)
}

/// A crossing of a block that starts at `first`, as an event.
fn told(crossing: &Crossing, first: SampleIndex) -> Event<'static> {
    let at = SampleIndex(first.0 + u64::from(crossing.frame));
    Event::Crossing { channel: usize::from(crossing.channel), at }
}
