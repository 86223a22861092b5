//! Time of the whole pipeline: a block of 1,024 channels of broadband, and a bin of decoding.
//!
//! In: noise and counts from fixed seeds, weights of the sizes that fits have. Out: time a block (1 ms of the
//! stream; elements are samples) and a bin. What a decoder says doesn't change how long it takes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use efference::block::{Block, Payload, StreamInfo, StreamKind};
use efference::config::{Config, NormaliserKind};
use efference::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use efference::pipeline::{Calibration, Pipeline};
use efference::{SampleIndex, SampleRate};
use std::hint::black_box;

fn broadband(criterion: &mut Criterion) {
    let (n_channels, n_frames) = (1_024, 20);
    let mut group = criterion.benchmark_group("pipeline/broadband 1024");
    group.throughput(Throughput::Elements((n_channels * n_frames) as u64));
    let mut block = Block::int16(n_channels);
    if let Payload::Int16(samples) = &mut block.payload {
        let mut random = random();
        samples.fill_with(|| (random() % 401) as i16 - 200);
    }
    for (name, car_group, features) in [
        ("counts", 0, "counts"),
        ("counts, car 64", 64, "counts"),
        ("counts and power", 0, "counts-and-power"),
    ] {
        let text =
            format!("[front_end]\ncar_group = {car_group}\n[bins]\nwidth_ms = 20\nfeatures = \"{features}\"");
        let config = Config::parse(&text, "bench").expect("legal settings");
        let info = info(StreamKind::Broadband, n_channels, 20_000.0);
        let decoder = wiener(config.bins.features.width(n_channels));
        let calibration = Calibration::of_thresholds(vec![-60.0; n_channels]);
        let mut pipeline =
            Pipeline::from_config(&config, &info, &calibration, Some(decoder)).expect("legal settings");
        group.bench_function(name, |b| b.iter(|| process_next(&mut pipeline, &mut block, n_frames)));
    }
    group.finish();
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline/decode a bin");
    for n_channels in [150, 1_024] {
        let mut block = Block::counts(n_channels);
        if let Payload::Counts(counts) = &mut block.payload {
            let mut random = random();
            counts.fill_with(|| (random() % 4) as u16);
        }
        let info = info(StreamKind::Counts, n_channels, 50.0);
        let config = Config::parse("[bins]\nwidth_ms = 20", "bench").expect("legal settings");
        for (name, decoder) in [("wiener", wiener(n_channels)), ("kalman", kalman(n_channels))] {
            let mut pipeline = Pipeline::from_config(&config, &info, &Calibration::default(), Some(decoder))
                .expect("legal settings");
            group.bench_function(BenchmarkId::new(name, n_channels), |b| {
                b.iter(|| process_next(&mut pipeline, &mut block, 1));
            });
        }
    }
    group.finish();
}

/// The same samples again, as the frames that come next.
fn process_next(pipeline: &mut Pipeline, block: &mut Block, n_frames: usize) {
    block.header.first_sample = SampleIndex(pipeline.ledger().received_frames);
    block.header.n_frames = n_frames as u32;
    pipeline.process(black_box(block), |event| {
        black_box(&event);
    });
}

/// 15 lags to velocity and position of two axes.
fn wiener(n_features: usize) -> Decoder {
    decoder(Weights {
        n_features,
        lags: 15,
        n_states: 4,
        readout: small(15 * 4 * n_features),
        recurrence: Vec::new(),
        output: Vec::new(),
        offset: vec![0.0; 4],
    })
}

/// Velocity of two axes from 5 bins ahead to 6 behind, position at the lead, and the bin before for whitening.
fn kalman(n_features: usize) -> Decoder {
    let n_states = 2 * (5 + 6 + 1) + 2;
    let narrow = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    decoder(Weights {
        n_features,
        lags: 2,
        n_states,
        readout: small(2 * n_states * n_features),
        recurrence: narrow(small(n_states * n_states)),
        output: narrow(small(4 * n_states)),
        offset: vec![0.0; 4],
    })
}

fn decoder(weights: Weights) -> Decoder {
    let n_features = weights.n_features;
    let (mean, inverse) = (vec![1.5; n_features], vec![0.8; n_features]);
    let normaliser = Normaliser::from_parts(NormaliserKind::Zscore, mean, inverse).expect("sizes fit");
    let output = Output::Move { n_axes: 2, has_position: true };
    Decoder::new(normaliser, LinearDecoder::new(weights, output).expect("sizes fit"))
}

/// Values within ±0.02, which no recurrence lets grow.
fn small(n: usize) -> Vec<f32> {
    let mut random = random();
    (0..n).map(|_| (random() % 401) as f32 * 1e-4 - 0.02).collect()
}

fn info(kind: StreamKind, n_channels: usize, hz: f64) -> StreamInfo {
    StreamInfo {
        kind,
        sample_rate: SampleRate::new(hz, "bench").expect("a legal rate"),
        uv_per_count: (kind == StreamKind::Broadband).then_some(0.195),
        channels: (0..n_channels).map(|channel| format!("c{channel}")).collect(),
        synthetic: true,
    }
}

/// 16 bits each, from a fixed seed.
fn random() -> impl FnMut() -> u32 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    }
}

criterion_group!(benches, broadband, decoding);
criterion_main!(benches);
