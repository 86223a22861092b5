//! Time of a 20 ms bin of a stream of crossings: flat over electrodes, in proportion to the events; and of counts.
//!
//! In: events on channels of their own, another set every bin (all are gone through after 64 bins, so that the weights
//! of 50,000 electrodes come from where they lie and not from the first caches), a Wiener filter of 15 lags and 4
//! states, counts scaled by their square root. Out: time a bin, from the block to the intent.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use efference::block::{Block, Crossing, Payload, StreamInfo, StreamKind};
use efference::config::{Config, NormaliserKind};
use efference::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use efference::pipeline::{Calibration, Pipeline};
use efference::{SampleIndex, SampleRate};
use std::hint::black_box;
use std::time::Duration;

fn sparse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sparse/a bin");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let cases =
        [(1_024, 1_000), (10_000, 1_000), (50_000, 1_000), (50_000, 0), (50_000, 100), (50_000, 10_000)];
    for (n_channels, n_events) in cases {
        let mut blocks: Vec<Block> = (0..64).map(|set| crossings(n_channels, n_events, set)).collect();
        let (mut pipeline, mut at) = (pipeline(StreamKind::Crossings, n_channels), 0);
        let name = format!("crossings {n_channels}");
        group.bench_function(BenchmarkId::new(name, n_events), |b| {
            b.iter(|| process_next(&mut pipeline, &mut blocks, &mut at));
        });
    }
    for n_channels in [1_024, 10_000, 50_000] {
        // The same events as counts of 1 ms.
        let mut blocks: Vec<Block> =
            (0..4).map(|set| counts(&crossings(n_channels, 1_000, set), n_channels)).collect();
        let (mut pipeline, mut at) = (pipeline(StreamKind::Counts, n_channels), 0);
        group.bench_function(BenchmarkId::new("counts", n_channels), |b| {
            b.iter(|| process_next(&mut pipeline, &mut blocks, &mut at));
        });
    }
    group.finish();
}

/// Goes on where the stream is, by a bin.
fn process_next(pipeline: &mut Pipeline, blocks: &mut [Block], at: &mut usize) {
    *at = (*at + 1) % blocks.len();
    let block = &mut blocks[*at];
    block.header.first_sample = SampleIndex(pipeline.ledger().received_frames);
    pipeline.process(black_box(block), |event| {
        black_box(&event);
    });
}

/// 20 frames with this many events in all, each on a channel of its own.
fn crossings(n_channels: usize, n_events: usize, set: usize) -> Block {
    let mut random = random(set as u32 + 1);
    let mut block = Block::crossings(n_events);
    if let Payload::Crossings(events) = &mut block.payload {
        for event in 0..n_events {
            let (from, to) = (event * n_channels / n_events, (event + 1) * n_channels / n_events);
            let channel = from + random() as usize % (to - from);
            events.push(Crossing { frame: (random() % 20) as u16, channel: channel as u16 });
        }
        events.sort_unstable();
    }
    block.header.n_frames = 20;
    block
}

/// The same as counts.
fn counts(crossings: &Block, n_channels: usize) -> Block {
    let mut block = Block::counts(n_channels);
    block.header = crossings.header;
    if let (Payload::Crossings(events), Payload::Counts(counts)) = (&crossings.payload, &mut block.payload) {
        events.iter().for_each(|e| counts[usize::from(e.frame) * n_channels + usize::from(e.channel)] += 1);
    }
    block
}

fn pipeline(kind: StreamKind, n_channels: usize) -> Pipeline {
    let info = StreamInfo {
        kind,
        sample_rate: SampleRate::new(1_000.0, "bench").expect("a legal rate"),
        uv_per_count: None,
        channels: (0..n_channels).map(|channel| format!("c{channel}")).collect(),
        synthetic: true,
    };
    let config = Config::parse("[bins]\nwidth_ms = 20", "bench").expect("legal settings");
    Pipeline::from_config(&config, &info, &Calibration::default(), Some(wiener(n_channels))).expect("it fits")
}

/// 15 lags to velocity and position of two axes.
fn wiener(n_features: usize) -> Decoder {
    let (lags, n_states) = (15, 4);
    let mut random = random(1);
    let weights = Weights {
        n_features,
        lags,
        n_states,
        readout: (0..lags * n_states * n_features).map(|_| (random() % 401) as f32 * 1e-4 - 0.02).collect(),
        recurrence: Vec::new(),
        output: Vec::new(),
        offset: vec![0.0; n_states],
    };
    let (mean, inverse) = (vec![0.7; n_features], vec![2.0; n_features]);
    let normaliser = Normaliser::from_parts(NormaliserKind::Sqrt, mean, inverse).expect("sizes fit");
    let output = Output::Move { n_axes: 2, has_position: true };
    Decoder::new(normaliser, LinearDecoder::new(weights, output).expect("sizes fit"))
}

/// 16 bits each, from a seed.
fn random(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    }
}

criterion_group!(benches, sparse);
criterion_main!(benches);
