//! The decoder's thread: parts of bins in, intents out, in the order of the bins.

use super::Plan;
use super::clock::HostTime;
use super::delivery::{Delivery, Slot};
use super::drill::{DrillStage, Pending};
use super::keeper::{Port, What};
use super::meter::Meter;
use crate::binning::Bin;
use crate::config::Features;
use crate::intents::Intent;
use crate::pipeline::{Event, GAP_BINS_MAX, Joint, Stage};
use crate::rings::{Reader, Waited, Writer};
use std::sync::atomic::Ordering;

/// A shard's part of a bin, on its way to the decoder.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    bin: Bin,
    /// When the block came that closed it.
    arrived_at: HostTime,
    /// When the bin's last frame was due.
    due_at: HostTime,
    /// When the shard had it.
    published_at: HostTime,
}

impl Part {
    pub(crate) fn new(features: Features, n_channels: usize) -> Self {
        Part {
            bin: Bin::new(features, n_channels),
            arrived_at: HostTime::default(),
            due_at: HostTime::default(),
            published_at: HostTime::default(),
        }
    }

    /// Copies a bin in, without taking memory.
    pub(crate) fn fill(&mut self, bin: &Bin, arrived_at: HostTime, due_at: HostTime, published_at: HostTime) {
        self.bin.copy_from(bin);
        (self.arrived_at, self.due_at, self.published_at) = (arrived_at, due_at, published_at);
    }
}

/// Joins and decodes, on its own thread or on that of the only shard.
pub(crate) struct DecoderThread {
    joint: Joint,
    deliveries: Option<Writer<Slot>>,
    drill: Pending,
    /// To the keeper, where there is one.
    port: Option<Port>,
    /// Panics that the joint has heard of.
    panics: u32,
    /// Someone holds the way to resume.
    is_held: bool,
    /// One a shard.
    ahead: Vec<Ahead>,
    pub(crate) bins: u64,
    pub(crate) intents: u64,
    /// Bins that a part was missing from.
    pub(crate) incomplete_bins: u64,
    /// Intents that came too late, of which nothing was known, or that safety held: the cursor held.
    pub(crate) held_intents: u64,
    /// Of those, how many were late.
    pub(crate) late_intents: u64,
    /// Bins of which no part came through: the decoder was told.
    pub(crate) lost_bins: u64,
    pub(crate) parts_overwritten: u64,
    /// From the first part to the last.
    pub(crate) joining: Meter,
    pub(crate) decoding: Meter,
    /// From the block's publication to the intent.
    pub(crate) through: Meter,
}

impl DecoderThread {
    /// `parts` has one of each shard.
    pub(crate) fn new(
        joint: Joint,
        parts: Vec<Part>,
        deliveries: Writer<Slot>,
        port: Option<Port>,
        plan: &Plan<'_>,
    ) -> Self {
        DecoderThread {
            joint,
            deliveries: Some(deliveries),
            drill: Pending::of(plan.drill, DrillStage::Decoder),
            port,
            panics: 0,
            is_held: false,
            ahead: parts.into_iter().map(|part| Ahead { is_waiting: false, part }).collect(),
            bins: 0,
            intents: 0,
            incomplete_bins: 0,
            held_intents: 0,
            late_intents: 0,
            lost_bins: 0,
            parts_overwritten: 0,
            joining: Meter::new(),
            decoding: Meter::new(),
            through: Meter::new(),
        }
    }

    /// No more intents: the sinks and the keeper may end.
    pub(crate) fn close(&mut self) {
        self.deliveries = None;
        self.port = None;
    }

    /// Decodes a bin of the only shard.
    pub(crate) fn decode_whole(
        &mut self,
        bin: &Bin,
        arrived_at: HostTime,
        due_at: HostTime,
        plan: &Plan<'_>,
    ) {
        self.joint.place(0, bin);
        self.finish(arrived_at, due_at, plan);
    }

    /// Joins and decodes until every shard's ring is closed and empty.
    pub(crate) fn run(&mut self, parts: &mut [Reader<Part>], plan: &Plan<'_>) {
        // The bin that is put together.
        let mut open = 0;
        loop {
            let (mut placed, mut closed) = (0, 0);
            let (mut first, mut last) = (HostTime { ns: u64::MAX }, HostTime::default());
            let (mut arrived_at, mut due_at) = (HostTime::default(), HostTime::default());
            for (shard, reader) in parts.iter_mut().enumerate() {
                let Ahead { is_waiting, part } = &mut self.ahead[shard];
                if !*is_waiting {
                    *is_waiting = take(reader, part, open, plan);
                    closed += usize::from(!*is_waiting);
                }
                if *is_waiting && part.bin.index == open {
                    *is_waiting = false;
                    self.joint.place(shard, &part.bin);
                    arrived_at = arrived_at.max(part.arrived_at);
                    due_at = part.due_at;
                    (first, last) = (first.min(part.published_at), last.max(part.published_at));
                    placed += 1;
                }
            }
            if placed > 0 {
                self.joining.record(last.since(first), last);
                self.incomplete_bins += u64::from(placed < parts.len());
                self.finish(arrived_at, due_at, plan);
            } else if closed == parts.len() || plan.has_failed() {
                break;
            }
            // Where the stream went on after a long gap, all parts are ahead.
            let waiting = || self.ahead.iter().filter(|ahead| ahead.is_waiting);
            let next = match waiting().map(|ahead| ahead.part.bin.index).min() {
                Some(next) if waiting().count() + closed == parts.len() => next,
                _ => open + 1,
            };
            // Bins of which no part is left: the decoder is told, unless it starts afresh anyway.
            let missing = open + 1..next;
            let starts_afresh =
                waiting().any(|ahead| ahead.part.bin.index == next && ahead.part.bin.starts_segment);
            self.lost_bins += missing.end.saturating_sub(missing.start);
            if !starts_afresh && next - open <= GAP_BINS_MAX {
                missing.for_each(|bin| self.joint.lose(bin));
            }
            open = next;
        }
        self.parts_overwritten = parts.iter().map(Reader::overwritten).sum();
    }

    fn finish(&mut self, arrived_at: HostTime, due_at: HostTime, plan: &Plan<'_>) {
        let began = plan.clock.now();
        self.drill.hold(&plan.clock, began);
        self.heed(plan);
        let was_stopped = self.joint.stopped().is_some();
        let (mut decoded, mut is_known, mut intent): (_, _, Option<Intent>) = (began, true, None);
        self.joint.finish(|event| match event {
            Event::Bin(bin) => is_known = bin.received_frames > 0,
            Event::Intent(new) => intent = Some(*new),
            Event::Done(Stage::Decode) => decoded = plan.clock.now(),
            _ => {}
        });
        self.bins += 1;
        let Some(intent) = intent else {
            let now = plan.clock.now();
            return self.through.record(now.since(arrived_at), now);
        };
        self.decoding.record(decoded.since(began), decoded);
        let latency_ns = decoded.since(arrived_at);
        self.through.record(latency_ns, decoded);
        self.intents += 1;
        let is_late = decoded.since(due_at) > plan.hold_ns;
        let holds = !is_known || is_late || intent.hold.is_some();
        self.held_intents += u64::from(holds);
        self.late_intents += u64::from(is_late);
        if let Some(deliveries) = &mut self.deliveries {
            let mut slot = deliveries.claim();
            slot.delivery = if holds { Delivery::Hold(intent) } else { Delivery::Act(intent) };
            slot.due_at = due_at;
            slot.panics = self.panics;
            slot.publish();
        }
        // The intent is out; now there is time.
        if let Some(port) = &mut self.port {
            if was_stopped && self.joint.stopped().is_none() {
                port.tell(What::Resumed, self.joint.bin(), plan);
            }
            port.show(self.joint.bin(), decoded);
        }
        self.joint.prepare();
    }
}

impl DecoderThread {
    /// What someone has said about stopping since the last bin.
    fn heed(&mut self, plan: &Plan<'_>) {
        let panics = plan.panics.load(Ordering::Relaxed);
        if panics != self.panics {
            self.panics = panics;
            self.joint.panic();
            self.tell(What::Panic, plan);
        }
        let is_held = plan.resume.load(Ordering::Relaxed);
        if is_held && self.joint.stopped().is_none() {
            // Held long enough, or for nothing: the next one wants a hold of its own.
            plan.resume.store(false, Ordering::Relaxed);
        }
        if is_held != self.is_held {
            self.is_held = is_held;
            self.tell(What::Hold(is_held), plan);
        }
        self.joint.hold_to_resume(is_held);
        if let Some(port) = &mut self.port {
            port.take_over(&mut self.joint, plan);
        }
    }

    fn tell(&mut self, what: What, plan: &Plan<'_>) {
        if let Some(port) = &mut self.port {
            port.tell(what, self.joint.bin(), plan);
        }
    }
}

/// A part that was taken from its ring, perhaps of a later bin than the one that is put together.
struct Ahead {
    is_waiting: bool,
    part: Part,
}

/// Waits for the next part of bin `open` or a later one and copies it; false if none will come.
fn take(reader: &mut Reader<Part>, into: &mut Part, open: u64, plan: &Plan<'_>) -> bool {
    loop {
        if let Some(part) = reader.next() {
            if part.bin.index >= open {
                into.fill(&part.bin, part.arrived_at, part.due_at, part.published_at);
                return true;
            }
            continue;
        }
        if reader.wait(&plan.wait) == Waited::Closed || plan.has_failed() {
            return false;
        }
    }
}
