//! A stream in real time: a source, shards and a decoder on threads of their own, with rings between them.
//!
//! In: a [`SampleSource`], the shards and the joint of its pipeline, sinks. Out: intents to the sinks as they come,
//! and a [`Report`] at the end: where every frame went, and how long everything took. Guarantees: the intents that
//! [`crate::pipeline::Pipeline::process`] gives for the frames that were processed, bit for bit; no thread waits for
//! a slower one behind it (the newest data wins, the loss is counted); no memory is taken after the start.
//!
//! ```text
//! source ──blocks──► shard 0 ──parts──► decoder ──deliveries──► sinks
//!              └───► shard 1 ──parts──┘
//! ```
//!
//! A single shard decodes by itself, one hand-over less. Where electrodes are followed ([`Keeping`]), a keeper beside the decoder
//! watches its bins and hands over decoders for the electrodes that are left; it has time, and takes memory.

mod clock;
mod decoder;
mod delivery;
mod drill;
mod host;
mod keeper;
mod log;
mod meter;
mod report;
mod source;
mod worker;

pub use clock::{Clock, HostTime};
pub use delivery::{Delivery, Sink};
pub use drill::Drill;
pub use keeper::{Keeping, WriteLine};
pub use log::{LOG_FORMAT, LogLine, RunLog, Swap};
pub(crate) use meter::Meter;
pub use meter::{Latency, Worst};
pub use report::{CoreUse, FAULTS_TOLD_MAX, Lateness, Report, ShardReport, Stop, ThreadUse};

use crate::block::{StreamInfo, StreamKind};
use crate::config::{Config, LiveConfig};
use crate::decode::Decoder;
use crate::error::Error;
use crate::pipeline::{Calibration, Joint, Shard};
use crate::rings::{Reader, WaitStrategy, ring};
use crate::simd::Level;
use crate::sources::{Recut, SampleSource};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Everything that a run needs but its source and sinks.
pub struct Setup<'a> {
    /// The settings that the decoder was trained with.
    pub config: &'a Config,
    /// What was measured of the stream.
    pub calibration: &'a Calibration,
    /// `None` makes bins alone.
    pub decoder: Option<Decoder>,
    /// Threads, rings, waiting.
    pub live: &'a LiveConfig,
    /// Which vector instructions.
    pub level: Level,
    /// After this much of the stream the run ends; `None` for when the source ends.
    pub seconds: Option<f64>,
    /// Set from anywhere, ends the run at the next block.
    pub stop: &'a AtomicBool,
    /// Set from anywhere, freezes the running noise (and with it the thresholds) as it is; cleared, it goes on.
    pub freeze: &'a AtomicBool,
    /// How often someone has panicked. Added to from anywhere, it stops all sinks at once: they hear
    /// [`Delivery::Silence`], and then nothing but holds.
    pub panics: &'a AtomicU32,
    /// Set from anywhere, someone holds the way to resume after a panic or a disconnect; cleared by the run when that was
    /// long enough, or by whoever lets go.
    pub resume: &'a AtomicBool,
    /// Whether the decoder is kept going when electrodes are lost, and who hears of it; `None` leaves it as it is.
    pub keeping: Option<Keeping<'a>>,
    /// A stage that is held up on purpose, to see what comes of it.
    pub drill: Option<Drill>,
    /// Called by every thread of the run with its name and its work, which it has to do: `|_, work| work()`. A test
    /// counts allocations round it.
    pub around: fn(&str, &mut dyn FnMut()),
}

/// Runs a stream to its end.
///
/// # Errors
/// Settings that the stream can't be processed with; a drill of a stage that isn't there; electrodes to be followed by a
/// decoder that can't be solved again. What ends a run that has begun stands in [`Report::stop`].
pub fn run(
    mut setup: Setup<'_>,
    mut source: Box<dyn SampleSource>,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<Report, Error> {
    setup.live.check("live")?;
    // A device's blocks come when they come; all others are paced, and none in a burst.
    if source.clock().is_none() && source.info().kind != StreamKind::Broadband {
        source = Box::new(Recut::to_about_1_ms(source));
    }
    let info: StreamInfo = source.info().clone();
    let n_shards = match setup.live.shards {
        0 => host::n_cores().min(info.n_channels().div_ceil(CHANNELS_A_SHARD)).max(1),
        n => n,
    };
    let shards = Shard::from_config(setup.config, &info, setup.calibration, n_shards, setup.level)?;
    drill::check(setup.drill, shards.len(), !sinks.is_empty())?;
    let joint = Joint::new(setup.config, &shards, setup.decoder.clone())?;
    let plan = Plan::new(&setup, &info, shards.len(), source.clock().unwrap_or_else(Clock::start));
    let channels: Vec<_> = shards.iter().map(Shard::channels).collect();

    let slots = (0..setup.live.ring_blocks.max(shards.len() + 2))
        .map(|_| source::Arrival {
            block: source.new_block(),
            arrived_at: HostTime::default(),
            due_at: HostTime::default(),
            segments: 0,
            freeze: false,
        })
        .collect();
    let (blocks, block_readers) = ring(slots, shards.len());
    let n_sinks = usize::from(!sinks.is_empty());
    let (deliveries, delivery_readers) = ring(vec![delivery::Slot::default(); DELIVERIES], n_sinks.max(1));
    let part = |channels: &Range<usize>| decoder::Part::new(setup.config.bins.features, channels.len());
    let parts: Vec<_> = channels.iter().map(part).collect();
    let keeping = setup.keeping.take().zip(setup.decoder);
    let (port, mut keeper) = match keeping {
        Some((keeping, decoder)) => {
            let (port, keeper) = keeper::keeper(keeping, &joint, decoder, plan.rate_hz)?;
            (Some(port), Some(keeper))
        }
        None => (None, None),
    };
    let mut decoder = decoder::DecoderThread::new(joint, parts.clone(), deliveries, port, &plan);

    // Every thread takes its memory before the first block comes.
    let mut workers = Vec::new();
    let mut part_readers: Vec<Reader<decoder::Part>> = Vec::new();
    let decodes_inline = shards.len() == 1;
    for (index, (shard, blocks)) in shards.into_iter().zip(block_readers).enumerate() {
        let parts = if decodes_inline {
            None
        } else {
            let (writer, readers) = ring(vec![parts[index].clone(); PARTS], 1);
            part_readers.extend(readers);
            Some(writer)
        };
        workers.push(worker::Worker::new(index, shard, blocks, parts, &plan));
    }
    let mut pacer = source::Pacer::new(blocks, &plan, &info);
    let mut sinks = delivery::SinkThread::new(sinks, delivery_readers, &plan);
    let usage = host::Usage::begin();

    let ended = std::thread::scope(|scope| -> std::io::Result<Ended> {
        let (plan, sinks, pacer, source) = (&plan, &mut sinks, &mut pacer, &mut source);
        let keeper = &mut keeper;
        let named = |name: &str| std::thread::Builder::new().name(name.to_string());
        let mut handles = Vec::new();
        if n_sinks > 0 {
            handles.push(
                named("sinks")
                    .spawn_scoped(scope, move || plan.enter("sinks", None, &mut || sinks.run(plan)))?,
            );
        }
        if let Some(keeper) = keeper {
            handles.push(
                named(KEEPER)
                    .spawn_scoped(scope, move || plan.enter(KEEPER, None, &mut || keeper.run(plan)))?,
            );
        }
        let mut decoder = Some(&mut decoder);
        for worker in &mut workers {
            let mut decoder = if decodes_inline { decoder.take() } else { None };
            handles.push(named(&worker.name()).spawn_scoped(scope, move || {
                plan.enter(&worker.name(), plan.core(worker.index), &mut || {
                    worker.run(plan, decoder.as_deref_mut());
                    if let Some(decoder) = &mut decoder {
                        decoder.close();
                    }
                })
            })?);
        }
        if let Some(decoder) = decoder {
            handles.push(named("decoder").spawn_scoped(scope, move || {
                plan.enter("decoder", plan.core(plan.n_shards + 1), &mut || {
                    decoder.run(&mut part_readers, plan);
                    decoder.close();
                })
            })?);
        }
        let feeding = named("source").spawn_scoped(scope, move || {
            let mut stop = Stop::End;
            let left = plan.enter("source", plan.core(plan.n_shards), &mut || {
                stop = pacer.run(&mut **source, plan);
            });
            (stop, left)
        })?;
        let (stop, left) = feeding.join().expect("the source thread doesn't panic");
        // While all threads' memory is still there.
        let resident_mib = host::resident_mib();
        let mut threads = vec![left];
        threads.extend(
            handles.into_iter().map(|handle| handle.join().expect("the threads of a run don't panic")),
        );
        Ok(Ended { stop, resident_mib, threads })
    })
    .map_err(|error| Error::output("threads", format!("the system starts no thread ({error})")))?;

    let link = source.link_report();
    let report = report::assemble(report::Parts {
        info: &info,
        plan: &plan,
        ended,
        usage: usage.end(),
        pacer,
        workers,
        decoder,
        keeper,
        sinks,
        channels,
    });
    Ok(Report { link, ..report })
}

/// What the threads leave behind.
pub(crate) struct Ended {
    stop: Stop,
    resident_mib: Option<f64>,
    /// The source's first, then the sinks', the shards' and the decoder's, as far as there were any.
    threads: Vec<ThreadEnd>,
}

/// What one of them leaves behind.
pub(crate) struct ThreadEnd {
    name: String,
    cpu_seconds: f64,
    /// What the system refused.
    refused: Vec<String>,
}

/// What all threads of a run know.
pub(crate) struct Plan<'a> {
    clock: Clock,
    live: LiveConfig,
    wait: WaitStrategy,
    level: Level,
    n_shards: usize,
    hold_ns: u64,
    rate_hz: f64,
    seconds: Option<f64>,
    stop: &'a AtomicBool,
    freeze: &'a AtomicBool,
    panics: &'a AtomicU32,
    resume: &'a AtomicBool,
    drill: Option<Drill>,
    around: fn(&str, &mut dyn FnMut()),
    /// A thread has panicked: the others end, so that the panic is told.
    failed: AtomicBool,
}

/// Tells the other threads if this one panics.
struct Watcher<'a>(&'a AtomicBool);

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<'a> Plan<'a> {
    fn new(setup: &Setup<'a>, info: &StreamInfo, n_shards: usize, clock: Clock) -> Self {
        let live = setup.live.clone();
        let wait = WaitStrategy {
            spins: live.spins,
            yields: live.yields,
            // Never longer than a stale intent may live.
            park: live.park.then(|| Duration::from_secs_f64(live.hold_ms * 1e-3 / 4.0)),
        };
        Plan {
            clock,
            wait,
            level: setup.level,
            n_shards,
            hold_ns: (live.hold_ms * 1e6) as u64,
            live,
            rate_hz: info.sample_rate.hz(),
            seconds: setup.seconds,
            stop: setup.stop,
            freeze: setup.freeze,
            panics: setup.panics,
            resume: setup.resume,
            drill: setup.drill,
            around: setup.around,
            failed: AtomicBool::new(false),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.has_failed()
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The core for the n-th thread, if cores were named.
    fn core(&self, n: usize) -> Option<usize> {
        let cores = &self.live.cores;
        (!cores.is_empty()).then(|| cores[n % cores.len()])
    }

    /// Readies the calling thread and does its work.
    fn enter(&self, name: &str, core: Option<usize>, work: &mut dyn FnMut()) -> ThreadEnd {
        let _watcher = Watcher(&self.failed);
        let mut refused = Vec::new();
        if let Some(core) = core {
            refused.extend(host::pin(core));
        }
        // What solves has time, and goes behind all that has none.
        if self.live.realtime && name != KEEPER {
            // Whatever waits for a block goes before what fills the next one.
            let below = u8::from(name == "source");
            refused.extend(host::ask_for_realtime(below));
        }
        (self.around)(name, work);
        ThreadEnd { name: name.to_string(), cpu_seconds: host::thread_cpu_seconds(), refused }
    }
}

/// The name of the thread that looks after the decoder. It takes memory.
pub const KEEPER: &str = "keeper";
/// Channels that are worth a thread of their own: a quarter of a core's time at 20 kHz with AVX2.
const CHANNELS_A_SHARD: usize = 16_384;
/// Bins between a shard and the decoder: a quarter of a second and more.
const PARTS: usize = 16;
/// Intents between the decoder and the sinks.
const DELIVERIES: usize = 64;
