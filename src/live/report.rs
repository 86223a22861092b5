//! What a run tells when it is over: where every frame went, and how long everything took.

use super::decoder::DecoderThread;
use super::delivery::SinkThread;
use super::host::Used;
use super::keeper::KeeperThread;
use super::log::Swap;
use super::meter::{Latency, Meter, Worst};
use super::source::Pacer;
use super::worker::Worker;
use super::{Ended, Plan, ThreadEnd};
use crate::block::StreamInfo;
use crate::detect::Fault;
use crate::error::Error;
use crate::pipeline::Ledger;
use crate::sources::link::LinkReport;
use serde::Serialize;
use std::ops::Range;

/// Why a run ended.
#[derive(Debug)]
pub enum Stop {
    /// The source has no more.
    End,
    /// The time that was asked for is over.
    Seconds,
    /// Someone said stop.
    Asked,
    /// The source failed.
    Source(Error),
}

impl Serialize for Stop {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::End => f.write_str("the source ended"),
            Stop::Seconds => f.write_str("the time was over"),
            Stop::Asked => f.write_str("stopped from outside"),
            Stop::Source(error) => write!(f, "the source failed: {error}"),
        }
    }
}

/// What a run tells.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The source is a simulator.
    pub synthetic: bool,
    /// Channels of the stream.
    pub n_channels: usize,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// Vector instructions of the front end's kernels.
    pub level: &'static str,
    /// Why it ended.
    pub stop: Stop,
    /// Wall-clock time, from the threads' start to their end.
    pub seconds: f64,
    /// Time of the stream that was published.
    pub stream_seconds: f64,
    /// Blocks that the source published.
    pub blocks_in: u64,
    /// Of those, how many every shard processed.
    pub blocks_out: u64,
    /// Frames that the source published.
    pub frames_in: u64,
    /// Frames that the source itself had lost before.
    pub frames_lost_before: u64,
    /// Frames that the shard which lost most lost because it fell behind.
    pub frames_lost: u64,
    /// The same, times the channels of the shards that lost them.
    pub samples_lost: u64,
    /// Every shard's frames that it processed and lost are all that there were.
    pub balanced: bool,
    /// Shard by shard.
    pub shards: Vec<ShardReport>,
    /// Bins that were put together.
    pub bins: u64,
    /// Bins that a shard's part was missing from.
    pub incomplete_bins: u64,
    /// Parts of bins that were overwritten before the decoder came to them.
    pub parts_overwritten: u64,
    /// Bins of which no part came through to the decoder; it was told.
    pub lost_bins: u64,
    /// Intents that were decoded.
    pub intents: u64,
    /// Of those, how many were held: late, or of a bin of which nothing came.
    pub held_intents: u64,
    /// Intents that the sinks were handed; none where there is no sink.
    pub delivered: u64,
    /// Intents that were overwritten before the sinks came to them.
    pub deliveries_overwritten: u64,
    /// Sinks that failed and were left out.
    pub failed_sinks: usize,
    /// How often nothing came for longer than an intent may live, and the sinks held.
    pub silences: u64,
    /// Block in (published) to intent out (decoded), of the blocks that close a bin.
    pub intent_latency: Latency,
    /// Block in to block processed, of all blocks and shards.
    pub block_latency: Latency,
    /// Stage by stage, in the order of the flow.
    pub stages: Vec<(String, Latency)>,
    /// Stages that fell behind, in words; empty if none did.
    pub late: Vec<Lateness>,
    /// The longest that anything took, and where.
    pub worst_stall: (String, Worst),
    /// How busy each core was, with all that ran on this machine.
    pub cores: Vec<CoreUse>,
    /// CPU time of each thread of the run.
    pub threads: Vec<ThreadUse>,
    /// Memory of the process while it ran, MiB; `None` where the system doesn't tell.
    pub resident_mib: Option<f64>,
    /// How often the threads of the stream took memory after the start, where the caller counted it.
    pub allocations: Option<u64>,
    /// Electrodes that got a fault or lost it: when in seconds of the stream, which channel, what; the first
    /// [`FAULTS_TOLD_MAX`] of each shard.
    pub faults: Vec<(f64, usize, Option<Fault>)>,
    /// Electrodes that are masked at the end.
    pub masked_channels: u64,
    /// Decoders that took over while the stream ran, in order; of a run that follows its electrodes.
    pub swaps: Vec<Swap>,
    /// Channels that the decoder does without at the end; `None` where the electrodes are not followed.
    pub lost_channels: Option<usize>,
    /// Panics, as far as someone looks after the decoder.
    pub panics: u32,
    /// How often it was held for long enough to resume, likewise.
    pub resumes: u32,
    /// Rollbacks that were asked for where there was no decoder before.
    pub refused_rollbacks: u32,
    /// The log of swaps could not be written.
    pub failed_log: bool,
    /// What the system refused, and what sinks failed of.
    pub notes: Vec<String>,
    /// Of a device at the end of a link, where everything went on the way.
    pub link: Option<LinkReport>,
}

/// One shard's account.
#[derive(Debug, Serialize)]
pub struct ShardReport {
    /// Its channels, half open.
    pub channels: [usize; 2],
    /// Blocks that it processed.
    pub blocks: u64,
    /// Blocks that were overwritten before it came to them.
    pub blocks_overwritten: u64,
    /// Blocks that took longer to process than they last.
    pub slow_blocks: u64,
    /// Where every frame went.
    pub ledger: Ledger,
}

/// A stage that fell behind.
#[derive(Debug, Serialize)]
pub struct Lateness {
    /// Which.
    pub stage: String,
    /// What came of it.
    pub what: String,
}

/// One core of the machine.
#[derive(Debug, Serialize)]
pub struct CoreUse {
    /// Its number.
    pub core: usize,
    /// Of the time of the run.
    pub busy_share: f64,
}

/// One thread of the run.
#[derive(Debug, Serialize)]
pub struct ThreadUse {
    /// Its name.
    pub name: String,
    /// CPU time over the time of the run.
    pub busy_share: f64,
}

/// Changes that a shard's account holds at most.
pub const FAULTS_TOLD_MAX: usize = 256;

/// What the threads leave.
pub(crate) struct Parts<'a> {
    pub(crate) info: &'a StreamInfo,
    pub(crate) plan: &'a Plan<'a>,
    pub(crate) ended: Ended,
    pub(crate) usage: Used,
    pub(crate) pacer: Pacer,
    pub(crate) workers: Vec<Worker>,
    pub(crate) decoder: DecoderThread,
    pub(crate) keeper: Option<KeeperThread<'a>>,
    pub(crate) sinks: SinkThread,
    pub(crate) channels: Vec<Range<usize>>,
}

pub(crate) fn assemble(parts: Parts<'_>) -> Report {
    let Parts { info, plan, ended, usage, pacer, workers, decoder, keeper, sinks, .. } = parts;
    let merged = |meter: fn(&Worker) -> &Meter| {
        let mut all = Meter::new();
        workers.iter().for_each(|worker| all.add(meter(worker)));
        all
    };
    let stages: Vec<(String, Meter)> = [
        ("source: filling a block", pacer.filling.clone()),
        ("source: published after due", pacer.lateness.clone()),
        ("shards: block waits", merged(|worker| &worker.queued)),
        ("shards: all stages of a block", merged(|worker| &worker.worked)),
        ("shards: reference and filter", merged(|worker| &worker.stages[0])),
        ("shards: detector", merged(|worker| &worker.stages[1])),
        ("decoder: parts of a bin wait", decoder.joining.clone()),
        ("decoder: normaliser and decoder", decoder.decoding.clone()),
        ("sinks: delivering", sinks.delivering.clone()),
    ]
    .into_iter()
    .map(|(name, meter)| (name.to_string(), meter))
    .collect();
    let worst = stages.iter().max_by(|(_, a), (_, b)| a.worst().ms.total_cmp(&b.worst().ms));
    let worst_stall = worst.map(|(name, meter)| (name.clone(), meter.worst())).expect("there are stages");
    let shards: Vec<ShardReport> = workers
        .iter()
        .zip(&parts.channels)
        .map(|(worker, channels)| ShardReport {
            channels: [channels.start, channels.end],
            blocks: worker.blocks_done,
            blocks_overwritten: worker.blocks_overwritten,
            slow_blocks: worker.slow_blocks,
            ledger: worker.shard.ledger(),
        })
        .collect();
    let lost_here = |shard: &ShardReport| shard.ledger.lost_frames.saturating_sub(pacer.lost_frames);
    let busy = |end: &ThreadEnd| ThreadUse {
        name: end.name.clone(),
        busy_share: end.cpu_seconds / usage.seconds.max(1e-9),
    };
    let threads = ended.threads.iter().map(busy).collect();
    let mut notes: Vec<String> = ended.threads.iter().flat_map(|end| end.refused.iter().cloned()).collect();
    notes.sort();
    notes.dedup();
    notes.extend(sinks.failures.iter().map(|error| format!("a sink failed and was left out: {error}")));
    let kept = keeper.as_ref();
    notes.extend(kept.into_iter().flat_map(notes_of));
    Report {
        link: None,
        lost_channels: kept.and_then(KeeperThread::lost),
        panics: kept.map_or(0, |keeper| keeper.panics),
        resumes: kept.map_or(0, |keeper| keeper.resumes),
        refused_rollbacks: kept.map_or(0, |keeper| keeper.refused_rollbacks),
        failed_log: kept.is_some_and(|keeper| !keeper.failures.is_empty() || keeper.unheard() > 0),
        swaps: keeper.map_or(Vec::new(), |keeper| keeper.swaps),
        synthetic: info.synthetic,
        n_channels: info.n_channels(),
        sample_rate_hz: info.sample_rate.hz(),
        level: plan.level.name(),
        stop: ended.stop,
        seconds: usage.seconds,
        stream_seconds: pacer.end_frame as f64 / info.sample_rate.hz(),
        blocks_in: pacer.published_blocks,
        blocks_out: shards.iter().map(|shard| shard.blocks).min().unwrap_or(0),
        frames_in: pacer.published_frames,
        frames_lost_before: pacer.lost_frames,
        frames_lost: shards.iter().map(lost_here).max().unwrap_or(0),
        samples_lost: shards
            .iter()
            .map(|shard| lost_here(shard) * (shard.channels[1] - shard.channels[0]) as u64)
            .sum(),
        balanced: shards.iter().all(|shard| {
            let ledger = shard.ledger;
            ledger.received_frames + ledger.lost_frames == pacer.end_frame
                && shard.blocks + shard.blocks_overwritten == pacer.published_blocks
                && ledger.received_frames + lost_here(shard) == pacer.published_frames
        }),
        late: late(&shards, &pacer, &decoder, &sinks),
        shards,
        bins: decoder.bins,
        incomplete_bins: decoder.incomplete_bins,
        parts_overwritten: decoder.parts_overwritten,
        lost_bins: decoder.lost_bins,
        intents: decoder.intents,
        held_intents: decoder.held_intents,
        delivered: sinks.delivered,
        deliveries_overwritten: sinks.overwritten,
        failed_sinks: sinks.failures.len(),
        silences: sinks.silences,
        intent_latency: decoder.through.latency(),
        block_latency: merged(|worker| &worker.through).latency(),
        stages: stages.iter().map(|(name, meter)| (name.clone(), meter.latency())).collect(),
        worst_stall,
        cores: usage.cores,
        threads,
        resident_mib: ended.resident_mib,
        allocations: None,
        faults: workers.iter().flat_map(|worker| worker.faults.iter().copied()).collect(),
        masked_channels: workers.iter().map(|worker| worker.shard.masked_channels()).sum(),
        notes,
    }
}

/// What the keeper couldn't do.
fn notes_of(keeper: &KeeperThread<'_>) -> Vec<String> {
    let failed = |error: &Error| format!("the log of swaps failed and ends there: {error}");
    let mut notes: Vec<String> = keeper.failures.iter().map(failed).collect();
    if keeper.unheard() > 0 {
        notes.push(format!("the log of swaps is not whole: {} lines are missing", keeper.unheard()));
    }
    if keeper.unsolved > 0 {
        notes.push(format!("{} times the decoder could not be solved again and stayed", keeper.unsolved));
    }
    notes
}

/// Who fell behind, in words.
fn late(shards: &[ShardReport], pacer: &Pacer, decoder: &DecoderThread, sinks: &SinkThread) -> Vec<Lateness> {
    let mut late = Vec::new();
    let mut say = |stage: String, what: String| late.push(Lateness { stage, what });
    if pacer.late_blocks > 0 {
        let what = format!("{} blocks were published later than the next was due", pacer.late_blocks);
        say("source".to_string(), what);
    }
    for (index, shard) in shards.iter().enumerate() {
        let [from, to] = shard.channels;
        let lost = shard.ledger.lost_frames.saturating_sub(pacer.lost_frames);
        if shard.blocks_overwritten > 0 {
            let what = format!(
                "{} blocks were overwritten before it came to them: {lost} frames × {} channels lost",
                shard.blocks_overwritten,
                to - from
            );
            say(format!("shard {index}"), what);
        } else if shard.slow_blocks > 0 {
            let what = format!("{} blocks took longer than they last; none was lost", shard.slow_blocks);
            say(format!("shard {index}"), what);
        }
    }
    if decoder.parts_overwritten > 0 {
        say("decoder".to_string(), format!("{} parts of bins were overwritten", decoder.parts_overwritten));
    }
    if decoder.held_intents > 0 {
        let unknown = decoder.held_intents - decoder.late_intents.min(decoder.held_intents);
        let what = format!(
            "{} intents were late and {unknown} of bins of which nothing came, or safety held them: all were held",
            decoder.late_intents
        );
        say("decoder".to_string(), what);
    }
    if sinks.stale > 0 {
        say("sinks".to_string(), format!("{} intents grew old on their way and were held", sinks.stale));
    }
    if sinks.overwritten > 0 {
        say("sinks".to_string(), format!("{} intents were passed over", sinks.overwritten));
    }
    late
}
