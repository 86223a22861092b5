//! Bins of several shards to bins of all channels, and those to intents.
//!
//! In: the parts of one bin, a part from each shard that has it. Out: events, of which one is the bin and one the
//! intent. Guarantee: the bits that one pipeline of all channels gives, if every shard saw every block. The channels of
//! a part that didn't come are unknown.

use super::outlet::Outlet;
use super::{Event, Shard, Stage, check_width};
use crate::binning::{Bin, BinSchedule};
use crate::config::{Config, Features};
use crate::decode::Decoder;
use crate::error::Error;
use crate::intents::Hold;
use std::ops::Range;

/// Puts bins together and decodes them.
pub struct Joint {
    /// Of each shard.
    channels: Vec<Range<usize>>,
    bin: Bin,
    schedule: BinSchedule,
    /// Parts that the bin has.
    n_parts: usize,
    outlet: Option<Outlet>,
}

impl Joint {
    /// Behind these shards, which were built with `config`.
    ///
    /// # Errors
    /// A decoder of another width than the bins of all shards together.
    ///
    /// # Panics
    /// If there is no shard.
    pub fn new(config: &Config, shards: &[Shard], decoder: Option<Decoder>) -> Result<Self, Error> {
        let channels: Vec<_> = shards.iter().map(Shard::channels).collect();
        let n_channels = channels.iter().map(|channels| channels.end).max().unwrap_or(0);
        let kinds: Features = config.bins.features;
        if let Some(decoder) = &decoder {
            check_width(decoder, kinds.width(n_channels), n_channels)?;
        }
        let is_sparse = shards.iter().all(Shard::is_sparse);
        let bin = if is_sparse { Bin::of_crossings } else { Bin::new };
        let decoder = decoder.map(|decoder| if is_sparse { decoder.for_crossings() } else { decoder });
        let schedule = *shards.first().expect("a stream has channels").schedule();
        let outlet = decoder.map(|decoder| Outlet::new(decoder, config, &schedule));
        Ok(Joint { channels, bin: bin(kinds, n_channels), schedule, n_parts: 0, outlet })
    }

    /// Enters the part of shard `shard` into the bin that is put together.
    ///
    /// # Panics
    /// If there is no such shard, or the part has another width.
    pub fn place(&mut self, shard: usize, part: &Bin) {
        let bin = &mut self.bin;
        if bin.touched.is_some() {
            // The only shard's bin is the whole one.
            self.n_parts = 1;
            return bin.copy_from(part);
        }
        if self.n_parts == 0 {
            bin.features.fill(0.0);
            bin.unknown.fill(u64::MAX);
            bin.index = part.index;
            bin.end = part.end;
            bin.starts_segment = part.starts_segment;
            bin.received_frames = part.received_frames;
            bin.lost_frames = part.lost_frames;
        } else {
            // What is said of the whole bin is the best of its parts for what came, the worst for what was lost.
            bin.starts_segment |= part.starts_segment;
            bin.received_frames = bin.received_frames.max(part.received_frames);
            bin.lost_frames = bin.lost_frames.max(part.lost_frames);
        }
        self.n_parts += 1;
        let own = self.channels[shard].clone();
        for (kind, of_kind) in part.features.chunks_exact(own.len()).enumerate() {
            bin.features[kind * bin.n_channels..][own.clone()].copy_from_slice(of_kind);
        }
        if part.received_frames > 0 {
            bin.unknown[own.start / 64..own.end.div_ceil(64)].copy_from_slice(&part.unknown);
        }
    }

    /// Tells the decoder of a bin of which nothing is left; what it says to that is nobody's to act on.
    pub fn lose(&mut self, index: u64) {
        let frames = self.schedule.edge(index + 1).0 - self.schedule.edge(index).0;
        self.bin.features.fill(0.0);
        self.bin.unknown.fill(u64::MAX);
        self.bin.index = index;
        self.bin.end = self.schedule.edge(index + 1);
        self.bin.starts_segment = false;
        (self.bin.received_frames, self.bin.lost_frames) = (0, frames as u32);
        if let Some(outlet) = &mut self.outlet {
            outlet.decode(&self.bin);
        }
    }

    /// Goes on with `prepared` at once, between two bins; it becomes what was live. Takes and frees no memory; false, and nothing
    /// happens, where there is no decoder or one of another shape or, for a stream of crossings, one that isn't made for it.
    pub fn take_over(&mut self, prepared: &mut Decoder) -> bool {
        self.outlet.as_mut().is_some_and(|outlet| outlet.take_over(prepared))
    }

    /// The bin that is or was put together last.
    pub fn bin(&self) -> &Bin {
        &self.bin
    }

    /// Does what can be done for the next bin before it is there. Changes no result, but how soon it is there.
    pub fn prepare(&mut self) {
        self.outlet.iter_mut().for_each(Outlet::prepare);
    }

    /// Stops everything at once: every intent from now on holds still, until someone holds to resume.
    pub fn panic(&mut self) {
        self.outlet.iter_mut().for_each(Outlet::panic);
    }

    /// Someone holds the way to resume after a panic or a disconnect, or lets go of it.
    pub fn hold_to_resume(&mut self, is_held: bool) {
        self.outlet.iter_mut().for_each(|outlet| outlet.hold_to_resume(is_held));
    }

    /// What ends only when someone holds to resume, if anything does.
    pub fn stopped(&self) -> Option<Hold> {
        self.outlet.as_ref().and_then(Outlet::stopped)
    }

    /// Decodes what was put together; the next part begins a new bin.
    pub fn finish(&mut self, mut on: impl FnMut(Event<'_>)) {
        if self.n_parts == 0 {
            return;
        }
        self.n_parts = 0;
        // Lanes past the last channel.
        if let Some(last) = self.bin.unknown.last_mut()
            && !self.bin.n_channels.is_multiple_of(64)
        {
            *last &= (1 << (self.bin.n_channels % 64)) - 1;
        }
        on(Event::Bin(&self.bin));
        on(Event::Done(Stage::Binning));
        if let Some(outlet) = &mut self.outlet {
            let intent = outlet.decode(&self.bin);
            on(Event::Intent(&intent));
            on(Event::Done(Stage::Decode));
        }
    }
}
