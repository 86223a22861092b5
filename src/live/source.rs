//! The source's thread: fills blocks in place, and publishes each when its last frame is due.

use super::Plan;
use super::clock::HostTime;
use super::meter::Meter;
use super::report::Stop;
use crate::block::{Block, StreamInfo};
use crate::rings::Writer;
use crate::sources::{ReadOutcome, SampleSource};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A slot of the ring before the shards.
pub(crate) struct Arrival {
    pub(crate) block: Block,
    /// When it was published.
    pub(crate) arrived_at: HostTime,
    /// When its last frame was due.
    pub(crate) due_at: HostTime,
    /// How many segments have started, this block's included: a shard that missed the start learns of it.
    pub(crate) segments: u64,
    /// Running noise stays as it is while this block is processed.
    pub(crate) freeze: bool,
}

/// Paces a source by its sample clock.
pub(crate) struct Pacer {
    blocks: Option<Writer<Arrival>>,
    pub(crate) published_blocks: u64,
    pub(crate) published_frames: u64,
    /// Frames that the source itself had lost.
    pub(crate) lost_frames: u64,
    pub(crate) end_frame: u64,
    /// Time that the source took to fill a block.
    pub(crate) filling: Meter,
    /// How long after its last frame was due a block was published.
    pub(crate) lateness: Meter,
    /// Blocks that were more than their own length late.
    pub(crate) late_blocks: u64,
    frame_ns: f64,
}

impl Pacer {
    pub(crate) fn new(blocks: Writer<Arrival>, _plan: &Plan<'_>, info: &StreamInfo) -> Self {
        Pacer {
            blocks: Some(blocks),
            published_blocks: 0,
            published_frames: 0,
            lost_frames: 0,
            end_frame: 0,
            filling: Meter::new(),
            lateness: Meter::new(),
            late_blocks: 0,
            frame_ns: 1e9 / info.sample_rate.hz(),
        }
    }

    /// Publishes blocks until the source ends, the time is over, or someone says stop. Closes the ring.
    pub(crate) fn run(&mut self, source: &mut dyn SampleSource, plan: &Plan<'_>) -> Stop {
        let Some(mut blocks) = self.blocks.take() else { return Stop::End };
        let last_frame = plan.seconds.map_or(u64::MAX, |seconds| (seconds * plan.rate_hz).round() as u64);
        // The first block is filled before the clock of the stream starts.
        let mut start: Option<HostTime> = None;
        let mut segments = 0;
        loop {
            if plan.stopped() {
                break Stop::Asked;
            }
            let began = plan.clock.now();
            let mut slot = blocks.claim();
            match source.read(&mut slot.block) {
                Ok(ReadOutcome::Block) => {}
                Ok(ReadOutcome::End) => break Stop::End,
                Err(error) => break Stop::Source(error),
            }
            let filled = plan.clock.now();
            self.filling.record(filled.since(began), filled);
            let end = slot.block.end_sample().0;
            let due = match source.due() {
                Some(due) => due,
                None => {
                    let due_ns = (end as f64 * self.frame_ns) as u64;
                    let start = *start.get_or_insert(HostTime { ns: filled.ns.saturating_sub(due_ns) });
                    let due = HostTime { ns: start.ns + due_ns };
                    wait_until(due, plan);
                    due
                }
            };
            segments += u64::from(slot.block.header.starts_segment);
            slot.segments = segments;
            slot.due_at = due;
            slot.arrived_at = plan.clock.now();
            slot.freeze = plan.freeze.load(Ordering::Relaxed);
            let late = slot.arrived_at.since(due);
            self.lateness.record(late, slot.arrived_at);
            let header = slot.block.header;
            let length_ns = (f64::from(header.n_frames) * self.frame_ns) as u64;
            self.late_blocks += u64::from(late > length_ns);
            self.published_blocks += 1;
            self.published_frames += u64::from(header.n_frames);
            self.lost_frames += u64::from(header.lost_frames);
            self.end_frame = end;
            slot.publish();
            if end >= last_frame {
                break Stop::Seconds;
            }
        }
    }
}

/// Sleeps to shortly before `due` and looks at the clock from there on, since a sleep ends late by some 50 µs.
fn wait_until(due: HostTime, plan: &Plan<'_>) {
    let spin_ns = (plan.live.pace_spin_us * 1e3) as u64;
    loop {
        let left = due.since(plan.clock.now());
        if left <= spin_ns || plan.stopped() {
            break;
        }
        std::thread::sleep(Duration::from_nanos(left - spin_ns).min(SLEEP_MAX));
    }
    while plan.clock.now() < due && !plan.stopped() {
        std::hint::spin_loop();
    }
}

/// How late a stop is heard at most.
const SLEEP_MAX: Duration = Duration::from_millis(50);
