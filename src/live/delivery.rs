//! Intents on their way to whoever acts on them, and the thread that hands them over.

use super::Plan;
use super::clock::HostTime;
use super::drill::{DrillStage, Pending};
use super::meter::Meter;
use crate::error::Error;
use crate::intents::{Action, Intent};
use crate::rings::{Reader, WaitStrategy, Waited};
use crate::time::SampleIndex;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a sink is told of one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delivery {
    /// Fresh: act on it.
    Act(Intent),
    /// It came too late, nothing of its bin was received, or safety holds: hold still, with every button up.
    Hold(Intent),
    /// Nothing came for a while, nothing will, or someone panics: hold still, with every button up, until something does.
    Silence,
}

/// A delivery on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) delivery: Delivery,
    /// When the last frame of its bin was due.
    pub(crate) due_at: HostTime,
    /// Panics that its decoder had heard of.
    pub(crate) panics: u32,
}

impl Default for Delivery {
    /// What stands in a slot before the first intent.
    fn default() -> Self {
        let action = Action::Choose { class: 0, probability: 0.0 };
        Delivery::Hold(Intent::new(0, SampleIndex(0), 0, action))
    }
}

/// Where intents go: a pointer, a file, a socket.
pub trait Sink: Send {
    /// Takes the next one. It may take its time: what is overwritten meanwhile is counted, and what has grown old
    /// comes as a hold. The last one of a run is [`Delivery::Silence`].
    ///
    /// # Errors
    /// If nothing can be delivered any more; the run goes on without this sink, and the report says so.
    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Error>;
}

/// A block of a millisecond.
const PANIC_SEEN_WITHIN: Duration = Duration::from_millis(1);

/// Hands intents to the sinks.
pub(crate) struct SinkThread {
    sinks: Vec<Box<dyn Sink>>,
    deliveries: Option<Reader<Slot>>,
    drill: Pending,
    pub(crate) delivered: u64,
    pub(crate) overwritten: u64,
    /// Intents that were fresh when decoded and old when handed over.
    pub(crate) stale: u64,
    /// How often nothing came for longer than an intent may live.
    pub(crate) silences: u64,
    pub(crate) delivering: Meter,
    pub(crate) failures: Vec<Error>,
}

impl SinkThread {
    pub(crate) fn new(sinks: Vec<Box<dyn Sink>>, mut readers: Vec<Reader<Slot>>, plan: &Plan<'_>) -> Self {
        SinkThread {
            deliveries: readers.pop().filter(|_| !sinks.is_empty()),
            failures: Vec::with_capacity(sinks.len()),
            sinks,
            drill: Pending::of(plan.drill, DrillStage::Sinks),
            delivered: 0,
            overwritten: 0,
            stale: 0,
            silences: 0,
            delivering: Meter::new(),
        }
    }

    /// Delivers until the decoder is done.
    pub(crate) fn run(&mut self, plan: &Plan<'_>) {
        let Some(mut deliveries) = self.deliveries.take() else { return };
        // Sinks have time: whoever acts is slower than any wake-up.
        // But none is slower than a panic, which is looked for between intents too.
        let park = Duration::from_nanos(plan.hold_ns / 4).min(PANIC_SEEN_WITHIN);
        let wait = WaitStrategy { spins: 0, yields: 0, park: Some(park) };
        let mut panics = 0;
        let mut last = plan.clock.now();
        let mut is_silent = true;
        loop {
            let waited = deliveries.wait(&wait);
            let now = plan.clock.now();
            if waited == Waited::Closed || plan.has_failed() {
                break;
            }
            if waited == Waited::TimedOut && !is_silent && now.since(last) > plan.hold_ns {
                is_silent = true;
                self.silences += 1;
                self.hand(&Delivery::Silence);
            }
            self.drill.hold(&plan.clock, now);
            if plan.panics.load(Ordering::Relaxed) != panics {
                panics = plan.panics.load(Ordering::Relaxed);
                self.hand(&Delivery::Silence);
            }
            while let Some(slot) = deliveries.next() {
                let began = plan.clock.now();
                // What has grown old on the way is not acted on any more.
                let delivery = match slot.delivery {
                    // Nor is what was decoded before someone panicked.
                    Delivery::Act(intent) if slot.panics != plan.panics.load(Ordering::Relaxed) => {
                        Delivery::Hold(intent)
                    }
                    Delivery::Act(intent) if began.since(slot.due_at) > plan.hold_ns => {
                        self.stale += 1;
                        Delivery::Hold(intent)
                    }
                    other => other,
                };
                self.hand(&delivery);
                (last, is_silent) = (plan.clock.now(), false);
                self.delivering.record(last.since(began), last);
                self.delivered += 1;
            }
        }
        // Whatever ends a run, nothing moves on after it.
        self.hand(&Delivery::Silence);
        self.overwritten = deliveries.overwritten();
    }

    fn hand(&mut self, delivery: &Delivery) {
        let failures = &mut self.failures;
        self.sinks.retain_mut(|sink| match sink.deliver(delivery) {
            Ok(()) => true,
            Err(error) => {
                failures.push(error);
                false
            }
        });
    }
}
