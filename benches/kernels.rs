//! Time of each kernel of the front end, and of all together: 1,024 channels × 20 frames of 16-bit samples.
//!
//! The throughput in elements is samples a second on one core; its inverse is the time per sample.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use efference::block::{BLOCK_FRAMES_MAX, Payload, TILE_CHANNELS, Tile, n_tiles};
use efference::detect::health::{HealthRule, Looks, TileHealth};
use efference::detect::power::add_squares;
use efference::detect::{
    Crossed, CrossingDetector, DetectorKind, NoiseEstimator, NoiseRule, Operator, RunningNoise,
};
use efference::filter::design::{butterworth_band_pass, notch};
use efference::filter::{
    Blanker, CommonAverage, FilterBank, LaneBlanker, RegressionReference, RegressionWeights, Section,
};
use efference::simd::Level;
use efference::{SampleIndex, SampleRate};
use std::hint::black_box;

const N_CHANNELS: usize = 1_024;
const N_FRAMES: usize = 20;
const RATE: f64 = 20_000.0;
const UV_PER_COUNT: f32 = 0.195;

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernels");
    group.throughput(Throughput::Elements((N_CHANNELS * N_FRAMES) as u64));
    let n_tiles = n_tiles(N_CHANNELS);
    let active = vec![true; N_CHANNELS];

    for (name, payload) in [("int16", int16()), ("float32", float32())] {
        for size in [0, TILE_CHANNELS, 48, N_CHANNELS] {
            let mut average = CommonAverage::new(N_CHANNELS, size, &active);
            let mut tile = Tile::new();
            group.bench_function(BenchmarkId::new(format!("load/{name}/car"), size), |b| {
                b.iter(|| {
                    average.measure(black_box(&payload), 0..N_FRAMES, 0..n_tiles);
                    for index in 0..n_tiles {
                        tile.index = index;
                        average.load(&payload, 0..N_FRAMES, &mut tile);
                        black_box(&tile);
                    }
                });
            });
        }
    }

    let tiles = tiles();
    for size in [16, 32, TILE_CHANNELS] {
        let weight = |at: usize| if at % size == at / size % size { 0.0 } else { 1e-2 };
        let values = (0..N_CHANNELS * size).map(weight).collect();
        let weights = RegressionWeights::from_parts(N_CHANNELS, size, values).expect("they fit");
        let mut work = tiles.clone();
        for level in Level::all() {
            let reference = RegressionReference::new(&weights, 0..n_tiles).at_level(level);
            group.bench_function(BenchmarkId::new(format!("lrr/{size}"), level.name()), |b| {
                b.iter(|| {
                    for (tile, fresh) in work.iter_mut().zip(&tiles) {
                        tile.frames_mut().copy_from_slice(fresh.frames());
                        reference.process(u64::MAX, u64::MAX, tile);
                    }
                    black_box(&work);
                });
            });
        }
    }
    for (name, sections) in cascades() {
        let mut bank = FilterBank::new(&sections, n_tiles);
        let mut work = tiles.clone();
        group.bench_function(BenchmarkId::new("bank", name), |b| {
            b.iter(|| {
                for (tile, fresh) in work.iter_mut().zip(&tiles) {
                    tile.frames_mut().copy_from_slice(fresh.frames());
                    bank.process(tile);
                }
                black_box(&work);
            });
        });
    }
    // What it costs that no multiplication is fused with an addition, which is what makes all CPUs agree.
    if let Some(mut bank) = FilterBank::new(&band_pass(2), n_tiles).fused() {
        let mut work = tiles.clone();
        group.bench_function("bank/band-pass 2, fused", |b| {
            b.iter(|| {
                for (tile, fresh) in work.iter_mut().zip(&tiles) {
                    tile.frames_mut().copy_from_slice(fresh.frames());
                    bank.process(tile);
                }
                black_box(&work);
            });
        });
    }
    let mut bank = FilterBank::new(&band_pass(2), n_tiles);
    let silence = vec![Tile { n_frames: N_FRAMES, ..Tile::new() }; n_tiles];
    let mut work = tiles.clone();
    work.iter_mut().enumerate().for_each(|(index, tile)| tile.index = index);
    work.iter_mut().for_each(|tile| bank.process(tile));
    group.bench_function("bank/band-pass 2, after the signal stopped", |b| {
        b.iter(|| {
            for (tile, silent) in work.iter_mut().zip(&silence) {
                tile.frames_mut().copy_from_slice(silent.frames());
                bank.process(tile);
            }
            black_box(&work);
        });
    });

    let mut counts = vec![[0.0; TILE_CHANNELS]; n_tiles];
    let mut crossed = Crossed::new();
    for (spikes, threshold) in [("silent", SILENT), ("busy", BUSY)] {
        for (guard, share) in [("plain", 0.0), ("guarded", RING_GUARD)] {
            let mut detector = detector(threshold, share);
            group.bench_function(BenchmarkId::new(format!("crossings/{guard}"), spikes), |b| {
                b.iter(|| {
                    tiles.iter().zip(&mut counts).for_each(|(tile, counts)| {
                        detector.process(black_box(tile), counts, None);
                    });
                    black_box(&counts);
                });
            });
            group.bench_function(BenchmarkId::new(format!("crossings/{guard}, listed"), spikes), |b| {
                b.iter(|| {
                    for (tile, counts) in tiles.iter().zip(&mut counts) {
                        detector.process(black_box(tile), counts, Some(&mut crossed));
                        black_box(&crossed);
                    }
                });
            });
        }
    }
    for kind in [DetectorKind::Absolute, DetectorKind::Neo] {
        for level in Level::all() {
            let mut operator = Operator::new(kind, n_tiles, level);
            group.bench_function(BenchmarkId::new(format!("operator/{}", kind.name()), level.name()), |b| {
                b.iter(|| {
                    for tile in &tiles {
                        black_box(operator.process(black_box(tile)));
                    }
                });
            });
        }
    }
    group.bench_function("power", |b| {
        b.iter(|| {
            tiles.iter().zip(&mut counts).for_each(|(tile, sums)| add_squares(tile, sums));
            black_box(&counts);
        });
    });
    let mut noise = NoiseEstimator::new(N_CHANNELS, NoiseRule::Rms, 0);
    group.bench_function("noise/Rms", |b| {
        b.iter(|| black_box(&tiles).iter().for_each(|tile| noise.observe(tile)));
    });
    group.finish();
}

/// What runs beside the chain. Elements are all samples of the stream, though noise and health look at few of them.
fn beside(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("beside");
    group.throughput(Throughput::Elements((N_CHANNELS * N_FRAMES) as u64));
    let (tiles, level) = (tiles(), Level::widest());
    let rate = SampleRate::new(RATE, "bench").expect("a legal rate");

    for rule in [NoiseRule::Mad, NoiseRule::Rms] {
        let mut noises = vec![RunningNoise::new(rule, &[20.0; TILE_CHANNELS], rate, 20.0); tiles.len()];
        let mut first = 0;
        group.bench_function(format!("noise/running {rule:?}"), |b| {
            b.iter(|| {
                for (tile, noise) in tiles.iter().zip(&mut noises) {
                    noise.observe(level, SampleIndex(first), black_box(tile).frames(), 0);
                }
                first += N_FRAMES as u64;
            });
        });
    }

    let rule = HealthRule::new(rate, UV_PER_COUNT);
    let mut healths: Vec<TileHealth> = (0..tiles.len()).map(|tile| TileHealth::new(tile, u64::MAX)).collect();
    let (mut looks, mut first) = (Looks::new(), 0);
    group.bench_function("health", |b| {
        b.iter(|| {
            looks.fill(&rule, SampleIndex(first), N_FRAMES);
            for (index, (tile, health)) in tiles.iter().zip(&mut healths).enumerate() {
                let tile = black_box(tile);
                for look in looks.of_tile(index, 0) {
                    let frame = &tile.frames()[look.frame()];
                    health.observe_raw(level, look, frame, frame);
                    health.observe_filtered(level, frame);
                }
            }
            first += N_FRAMES as u64;
            // Bins of 20 ms.
            if first.is_multiple_of(400) {
                for health in &mut healths {
                    health.judge(&rule, SampleIndex(first), |change| {
                        black_box(change);
                    });
                }
            }
        });
    });

    let means: [f32; BLOCK_FRAMES_MAX] = std::array::from_fn(|t| (t % 7) as f32);
    let mut blankers = vec![Blanker::new(1_000.0, 30); tiles.len()];
    group.bench_function("artefact/means", |b| {
        b.iter(|| {
            blankers.iter_mut().fold(0, |any, blanker| any | blanker.blank(black_box(&means), N_FRAMES))
        });
    });
    let mut blankers = vec![LaneBlanker::new(1_000.0, 30, u64::MAX); tiles.len()];
    group.bench_function("artefact/lanes", |b| {
        b.iter(|| {
            let blanked = tiles.iter().zip(&mut blankers);
            blanked.fold(0, |any, (tile, blanker)| any | blanker.blank(level, black_box(tile).frames()))
        });
    });
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chain");
    group.throughput(Throughput::Elements((N_CHANNELS * N_FRAMES) as u64));
    let n_tiles = n_tiles(N_CHANNELS);
    let payload = int16();
    for (car, order, spikes, threshold) in [
        (0, 2, "silent", SILENT),
        (0, 2, "busy", BUSY),
        (0, 4, "silent", SILENT),
        (TILE_CHANNELS, 2, "silent", SILENT),
        (TILE_CHANNELS, 2, "busy", BUSY),
        (TILE_CHANNELS, 4, "silent", SILENT),
    ] {
        let mut average = CommonAverage::new(N_CHANNELS, car, &vec![true; N_CHANNELS]);
        let mut sections = band_pass(order);
        sections[0].b.iter_mut().for_each(|b| *b *= f64::from(UV_PER_COUNT));
        let mut bank = FilterBank::new(&sections, n_tiles);
        let mut detector = detector(threshold, RING_GUARD);
        let mut features = vec![([0.0; TILE_CHANNELS], [0.0; TILE_CHANNELS]); n_tiles];
        let mut tile = Tile::new();
        group.bench_function(format!("int16 to counts and power/car {car}, order {order}, {spikes}"), |b| {
            b.iter(|| {
                average.measure(black_box(&payload), 0..N_FRAMES, 0..n_tiles);
                for (index, (counts, power)) in features.iter_mut().enumerate() {
                    tile.index = index;
                    average.load(&payload, 0..N_FRAMES, &mut tile);
                    bank.process(&mut tile);
                    detector.process(&tile, counts, None);
                    add_squares(&tile, power);
                }
                black_box(&features);
            });
        });
    }
    group.finish();
}

fn band_pass(order: usize) -> Vec<Section> {
    butterworth_band_pass(order, 300.0, 6_000.0, RATE).expect("a legal band")
}

fn cascades() -> Vec<(&'static str, Vec<Section>)> {
    let mirrored = butterworth_band_pass(2, 300.0, 9_000.0, RATE).expect("a legal band");
    let mut with_notch = band_pass(2);
    with_notch.push(notch(50.0, 30.0, RATE).expect("a legal notch"));
    vec![
        ("band-pass 1", band_pass(1)),
        ("band-pass 2", band_pass(2)),
        ("band-pass 2 and notch", with_notch),
        ("band-pass 2 to 9 kHz, mirrored", mirrored),
        ("band-pass 4", band_pass(4)),
        ("band-pass 8", band_pass(8)),
    ]
}

/// Thresholds in µV, a refractory period of 1 ms and a guard of 4.
fn detector(threshold: f32, share: f32) -> CrossingDetector {
    CrossingDetector::new(N_CHANNELS, &[threshold; N_CHANNELS], 20).with_ring_guard(share, 80)
}

/// No sample goes below it.
const SILENT: f32 = -60.0;
/// Every group of lanes goes below it in every block, filtered or not: the most work that a detector can have.
const BUSY: f32 = -25.0;
const RING_GUARD: f32 = 0.3;

/// Noise of some 30 counts from a fixed seed.
fn samples() -> impl Iterator<Item = i16> {
    let mut state = 1_u32;
    (0..N_CHANNELS * N_FRAMES).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) % 401) as i16 - 200
    })
}

fn int16() -> Payload {
    Payload::Int16(samples().collect())
}

fn float32() -> Payload {
    Payload::Float32(samples().map(f32::from).collect())
}

fn tiles() -> Vec<Tile> {
    let average = CommonAverage::new(N_CHANNELS, 0, &[true; N_CHANNELS]);
    let payload = int16();
    (0..n_tiles(N_CHANNELS))
        .map(|index| {
            let mut tile = Tile { index, ..Tile::new() };
            average.load(&payload, 0..N_FRAMES, &mut tile);
            tile.frames_mut().as_flattened_mut().iter_mut().for_each(|x| *x *= UV_PER_COUNT);
            tile
        })
        .collect()
}

criterion_group!(benches, kernels, beside, chain);
criterion_main!(benches);
