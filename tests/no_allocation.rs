//! Rule: all memory is taken when the pipeline is built. A counting allocator watches every later block.

use efference::block::{BLOCK_FRAMES_MAX, Block, Crossing, Payload, StreamInfo, StreamKind};
use efference::config::{Config, DecoderKind};
use efference::decode::Decoder;
use efference::filter::RegressionWeights;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording::open;
use efference::rings::{WaitStrategy, Waited, ring};
use efference::train::{Dataset, Targets, collect, fit};
use efference::{SampleIndex, SampleRate};
use std::hint::black_box;
use std::time::Duration;

/// Movement and classes: every family of decoders.
const KINDS: [DecoderKind; 8] = [
    DecoderKind::Wiener,
    DecoderKind::Kalman,
    DecoderKind::VelocityKalman,
    DecoderKind::FullKalman,
    DecoderKind::WideKalman,
    DecoderKind::Blend,
    DecoderKind::Lda,
    DecoderKind::Logistic,
];

#[test]
fn counts_with_every_decoder() {
    let (config, data) = small_recording();
    for kind in KINDS {
        let decoder = fitted(&data, &config, kind);
        let info = info(StreamKind::Counts, data.features.ncols(), 20.0);
        let mut pipeline = Pipeline::from_config(&config, &info, &Calibration::default(), Some(decoder))
            .expect("legal settings");
        let mut block = Block::counts(info.n_channels());
        let intents = assert_no_allocation(&mut pipeline, &mut block, kind.name());
        assert!(intents > 0, "{} decoded", kind.name());
    }
}

#[test]
fn crossings_with_every_decoder() {
    let (config, data) = small_recording();
    for kind in KINDS {
        let decoder = fitted(&data, &config, kind);
        let info = info(StreamKind::Crossings, data.features.ncols(), 20.0);
        let mut pipeline = Pipeline::from_config(&config, &info, &Calibration::default(), Some(decoder))
            .expect("legal settings");
        pipeline.list_crossings();
        let mut block = Block::crossings(4 * BLOCK_FRAMES_MAX);
        let intents = assert_no_allocation(&mut pipeline, &mut block, kind.name());
        assert!(intents > 0, "{} decoded", kind.name());
    }
}

#[test]
fn broadband_of_1024_channels_crossings_listed_or_not() {
    let n_channels = 1024;
    let info = info(StreamKind::Broadband, n_channels, 30_000.0);
    let reference = RegressionWeights::from_parts(n_channels, 64, vec![0.0; n_channels * 64]);
    let calibration = Calibration { reference, ..Calibration::of_thresholds(vec![-100.0; n_channels]) };
    for (listed, detector, reference) in [
        (false, "negative", "car"),
        (true, "negative", "car"),
        (false, "absolute", "car"),
        (true, "neo", "car"),
        (false, "negative", "lrr"),
        (true, "neo", "lrr"),
    ] {
        let text = format!(
            "[front_end]\nreference = \"{reference}\"\ncar_group = 64\nnotch_hz = 50\ndetector = \"{detector}\"\n[bins]\nwidth_ms = 1.1\n\
             features = \"counts-and-power\""
        );
        let config = Config::parse(&text, "test").expect("legal settings");
        let mut block = if listed { Block::float32(n_channels) } else { Block::int16(n_channels) };
        let mut pipeline = Pipeline::from_config(&config, &info, &calibration, None).expect("legal settings");
        if listed {
            pipeline.list_crossings();
        }
        let what = format!("broadband, {detector}, {reference}, crossings listed: {listed}");
        let events = assert_no_allocation(&mut pipeline, &mut block, &what);
        assert!(events > 0, "{what}: bins or crossings came");
    }
}

#[test]
fn rings_that_are_overtaken_waited_for_and_gone_round() {
    let (mut writer, mut readers) = ring(vec![0u64; 5], 2);
    let strategy = WaitStrategy { spins: 1, yields: 1, park: Some(Duration::from_micros(1)) };
    let mut both = readers.iter_mut();
    let (stuck, late) = (both.next().expect("a reader"), both.next().expect("a reader"));
    let taken = allocation_counter::measure(|| {
        for turn in 0..20 {
            let held = stuck.next();
            for number in 0..turn {
                let mut slot = writer.claim();
                *slot = number;
                slot.publish();
            }
            drop(held);
            while late.wait(&strategy) == Waited::Item {
                drop(late.next());
            }
        }
    });
    assert_eq!(taken.count_total, 0);
    assert!(late.overwritten() > 0);
}

#[test]
fn the_counter_sees_one_allocation_in_process() {
    let info = info(StreamKind::Counts, 4, 20.0);
    let config = Config::parse("[bins]\nwidth_ms = 50", "test").expect("legal settings");
    let mut pipeline =
        Pipeline::from_config(&config, &info, &Calibration::default(), None).expect("legal settings");
    let mut block = Block::counts(4);
    block.header.n_frames = 1;
    let memory = allocation_counter::measure(|| {
        pipeline.process(&block, |event| {
            if let Event::Bin(bin) = event {
                black_box(bin.features.clone());
            }
        });
    });
    assert_eq!(memory.count_total, 1, "the features of the one bin");
}

/// Feeds blocks of every size, with gaps and new segments, and returns how many events came of them.
fn assert_no_allocation(pipeline: &mut Pipeline, block: &mut Block, what: &str) -> usize {
    let mut events = 0;
    let mut next = 0;
    for round in 0..2 * BLOCK_FRAMES_MAX as u64 {
        fill(&mut block.payload, round);
        let lost = if round % 7 == 3 { 90 } else { 0 };
        block.header.first_sample = SampleIndex(next + lost);
        block.header.lost_frames = lost as u32;
        block.header.n_frames = 1 + (round % BLOCK_FRAMES_MAX as u64) as u32;
        block.header.starts_segment = round % 50 == 0;
        next = block.end_sample().0;
        let memory = allocation_counter::measure(|| {
            pipeline.process(block, |event| {
                events +=
                    usize::from(matches!(event, Event::Bin(_) | Event::Intent(_) | Event::Crossing { .. }));
            });
        });
        assert_eq!(memory.count_total, 0, "{what}: block {round} took memory");
    }
    let memory = allocation_counter::measure(|| pipeline.reset());
    assert_eq!(memory.count_total, 0, "{what}: reset took memory");
    events
}

/// Samples of some hundred counts, or counts of up to 3, from `seed`.
fn fill(payload: &mut Payload, seed: u64) {
    let mut state = seed as u32 ^ 0x9e37_79b9;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    match payload {
        Payload::Int16(samples) => samples.fill_with(|| random(801) as i16 - 400),
        Payload::Float32(samples) => samples.fill_with(|| random(801) as f32 - 400.0),
        Payload::Counts(samples) => samples.fill_with(|| random(4) as u16),
        Payload::Crossings(events) => {
            events.clear();
            // Round `seed` has so many frames.
            let n_frames = 1 + seed % BLOCK_FRAMES_MAX as u64;
            for frame in 0..n_frames as u16 {
                for channel in 0..24 {
                    if random(12) == 0 && events.len() < events.capacity() {
                        events.push(Crossing { frame, channel });
                    }
                }
            }
        }
    }
}

fn info(kind: StreamKind, n_channels: usize, hz: f64) -> StreamInfo {
    StreamInfo {
        kind,
        sample_rate: SampleRate::new(hz, "test").expect("a legal rate"),
        uv_per_count: (kind == StreamKind::Broadband).then_some(0.25),
        channels: (0..n_channels).map(|channel| format!("c{channel}")).collect(),
        synthetic: true,
    }
}

/// Half a minute of a simulated array, in bins.
fn small_recording() -> (Config, Dataset) {
    let address = "sim:neuralink-n1,kind=counts,electrodes=24,width_ms=50,seconds=30,seed=5";
    let mut recording = open(address, None).expect("a legal address");
    let text = "[bins]\nwidth_ms = 50\n[decoder]\nridge = [10, 100]\nmin_events = 1\nshrinkage = [0.5]";
    let config = Config::parse(text, "test").expect("legal settings");
    let data =
        collect(&mut recording, &config, &Calibration::default(), 600, |_| ()).expect("it has movement");
    (config, data)
}

fn fitted(data: &Dataset, config: &Config, kind: DecoderKind) -> Decoder {
    let mut data = data.clone();
    if kind.is_classifier() {
        let labels = (0..data.features.nrows()).map(|row| (row % 3) as u16).collect();
        data.targets = Targets::Classes { labels, names: ["a", "b", "c"].map(String::from).to_vec() };
    }
    let mut config = config.decoder.clone();
    config.kind = kind;
    fit(&data, &config).expect("a regular fit").decoder
}
