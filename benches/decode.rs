//! Time of one bin from features to intent, by channels: a Kalman filter of position and velocity with steady gain.
//!
//! In: counts of a fixed seed (synthetic), of which nine tenths are 0. Out: time a bin; and of taking over a decoder that
//! was solved again, as where electrodes are lost.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use efference::SampleIndex;
use efference::binning::Bin;
use efference::config::{Features, NormaliserKind};
use efference::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use std::hint::black_box;
use std::time::Duration;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/a bin");
    group.sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for n_channels in [1_024, 50_000] {
        let mut decoder = kalman(n_channels);
        let bins: Vec<Bin> = (0..8).map(|index| bin(n_channels, index)).collect();
        let mut at = 0;
        group.bench_function(BenchmarkId::new("kalman", n_channels), |b| {
            b.iter(|| {
                at = (at + 1) % bins.len();
                black_box(decoder.decode(black_box(&bins[at])))
            });
        });
        let prepared = kalman(n_channels);
        group.bench_function(BenchmarkId::new("take over", n_channels), |b| {
            b.iter_batched_ref(
                || (decoder.clone(), prepared.clone()),
                |(live, prepared)| black_box(live.take_over(prepared)),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn kalman(n_channels: usize) -> Decoder {
    let mut random = random(3);
    let mut value = || f64::from(random() >> 8) / f64::from(1 << 23) - 1.0;
    let normaliser =
        Normaliser::from_parts(NormaliserKind::Zscore, vec![0.1; n_channels], vec![3.0; n_channels]);
    let weights = Weights {
        n_features: n_channels,
        lags: 1,
        n_states: 4,
        readout: (0..4 * n_channels).map(|_| 1e-3 * value() as f32).collect(),
        recurrence: (0..16).map(|i| if i % 5 == 0 { 0.9 } else { 0.01 }).collect(),
        output: vec![],
        offset: vec![0.0; 4],
    };
    let output = Output::Move { n_axes: 2, has_position: true };
    let linear = LinearDecoder::new(weights, output).expect("sizes fit");
    Decoder::new(normaliser.expect("finite"), linear)
}

fn bin(n_channels: usize, index: u64) -> Bin {
    let mut random = random(index as u32 + 1);
    let mut bin = Bin::new(Features::Counts, n_channels);
    bin.features.iter_mut().for_each(|count| *count = f32::from(u8::from(random() < u32::MAX / 10)));
    (bin.index, bin.end, bin.received_frames) = (index, SampleIndex(index + 1), 1);
    bin.starts_segment = false;
    bin
}

/// xorshift of 32 bits.
fn random(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
