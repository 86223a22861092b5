//! A shard's thread: blocks in, parts of bins out; where there is one shard, intents.

use super::Plan;
use super::clock::HostTime;
use super::decoder::{DecoderThread, Part};
use super::drill::{DrillStage, Pending};
use super::meter::Meter;
use super::report::FAULTS_TOLD_MAX;
use super::source::Arrival;
use crate::detect::Fault;
use crate::pipeline::{Event, Shard, Stage};
use crate::rings::{Reader, Waited, Writer};
use crate::time::SampleIndex;
use std::time::Duration;

/// A shard with the rings on both sides of it.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shard: Shard,
    blocks: Reader<Arrival>,
    /// `None` where this thread decodes too.
    parts: Option<Writer<Part>>,
    drill: Pending,
    time_every: u64,
    pub(crate) blocks_done: u64,
    pub(crate) blocks_overwritten: u64,
    /// From a block's publication to when this thread took it.
    pub(crate) queued: Meter,
    /// All stages of a block.
    pub(crate) worked: Meter,
    /// From a block's publication to when it was processed.
    pub(crate) through: Meter,
    /// Filter and detector, of the blocks that are timed apart.
    pub(crate) stages: [Meter; 2],
    /// Blocks that took longer to process than they last.
    pub(crate) slow_blocks: u64,
    segments: u64,
    last_arrival: HostTime,
    last_length_ns: f64,
    /// When, in seconds of the stream, which channel, what.
    pub(crate) faults: Vec<(f64, usize, Option<Fault>)>,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shard: Shard,
        blocks: Reader<Arrival>,
        parts: Option<Writer<Part>>,
        plan: &Plan<'_>,
    ) -> Self {
        Worker {
            index,
            shard,
            blocks,
            parts,
            drill: Pending::of(plan.drill, DrillStage::Shard(index)),
            time_every: u64::from(plan.live.time_every),
            blocks_done: 0,
            blocks_overwritten: 0,
            queued: Meter::new(),
            worked: Meter::new(),
            through: Meter::new(),
            stages: [Meter::new(), Meter::new()],
            slow_blocks: 0,
            segments: 0,
            last_arrival: HostTime::default(),
            last_length_ns: 0.0,
            faults: Vec::with_capacity(FAULTS_TOLD_MAX),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("shard {}", self.index)
    }

    /// Processes blocks until the ring is closed and empty.
    pub(crate) fn run(&mut self, plan: &Plan<'_>, mut decoder: Option<&mut DecoderThread>) {
        while self.blocks.wait(&plan.wait) != Waited::Closed {
            while self.step(plan, decoder.as_deref_mut()) {}
            self.nap(plan);
        }
        self.blocks_overwritten = self.blocks.overwritten();
        self.parts = None;
    }

    /// Sleeps through the part of a block's length in which none can come.
    fn nap(&self, plan: &Plan<'_>) {
        let until = self.last_arrival.ns + (plan.live.nap_share * self.last_length_ns) as u64;
        let left = until.saturating_sub(plan.clock.now().ns);
        if plan.live.nap_share > 0.0 && left > 0 && self.blocks.lag() == 0 {
            std::thread::sleep(Duration::from_nanos(left));
        }
    }

    /// Takes one block, if one is there.
    fn step(&mut self, plan: &Plan<'_>, mut decoder: Option<&mut DecoderThread>) -> bool {
        self.drill.hold(&plan.clock, plan.clock.now());
        let Worker { shard, blocks, parts, stages, faults, segments, .. } = self;
        let Some(arrival) = blocks.next() else { return false };
        let taken = plan.clock.now();
        let arrived_at = arrival.arrived_at;
        self.queued.record(taken.since(arrived_at), taken);
        let is_timed = self.blocks_done.is_multiple_of(self.time_every);
        let mut spent = [0, 0];
        let mut mark = taken;
        shard.freeze_noise(arrival.freeze);
        if arrival.segments > *segments {
            *segments = arrival.segments;
            shard.expect_segment();
        }
        let block_end = arrival.block.end_sample();
        let due_at = |end: SampleIndex| {
            let earlier = block_end.0.saturating_sub(end.0) as f64 / plan.rate_hz * 1e9;
            HostTime { ns: arrival.due_at.ns.saturating_sub(earlier as u64) }
        };
        shard.process(&arrival.block, |event| match event {
            Event::Done(stage @ (Stage::Filter | Stage::Detect)) if is_timed => {
                let now = plan.clock.now();
                spent[stage as usize] += now.since(mark);
                mark = now;
            }
            Event::Fault { channel, at, fault } if faults.len() < FAULTS_TOLD_MAX => {
                faults.push((at.0 as f64 / plan.rate_hz, channel, fault));
            }
            Event::Bin(bin) => match (&mut *parts, &mut decoder) {
                (Some(parts), _) => {
                    let mut part = parts.claim();
                    let now = plan.clock.now();
                    part.fill(bin, arrived_at, due_at(bin.end), now);
                    part.publish();
                }
                (None, Some(decoder)) => decoder.decode_whole(bin, arrived_at, due_at(bin.end), plan),
                (None, None) => {}
            },
            _ => {}
        });
        let n_frames = arrival.block.header.n_frames;
        drop(arrival);
        let done: HostTime = plan.clock.now();
        if is_timed {
            spent.into_iter().zip(stages).for_each(|(ns, meter)| meter.record(ns, done));
        }
        self.worked.record(done.since(taken), done);
        self.through.record(done.since(arrived_at), done);
        let length_ns = f64::from(n_frames) / plan.rate_hz * 1e9;
        (self.last_arrival, self.last_length_ns) = (arrived_at, length_ns);
        self.slow_blocks += u64::from(done.since(taken) as f64 > length_ns);
        self.blocks_done += 1;
        true
    }
}
