//! Rules of the whole pipeline: replay equals live however the stream is cut, and nothing is lost silently.
//!
//! Every random choice comes from one seed, which is printed when a case fails.

use efference::binning::Bin;
use efference::block::{
    BLOCK_FRAMES_MAX, Block, BlockHeader, Payload, StreamInfo, StreamKind, TILE_CHANNELS,
};
use efference::config::{Config, FrontEndConfig, NormaliserKind, Reference};
use efference::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use efference::detect::Fault;
use efference::filter::RegressionWeights;
use efference::intents::{Action, Intent};
use efference::pipeline::{Calibration, Event, GAP_BINS_MAX, Joint, Ledger, Pipeline, Shard};
use efference::simd::Level;
use efference::{SampleIndex, SampleRate};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const SEED: u64 = 20_261_122;

fn cases(cases: u32) -> ProptestConfig {
    println!("seed {SEED}");
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Default::default() }
}

/// A stream in memory, its settings and the decoder that hears it.
struct Rig {
    info: StreamInfo,
    config: Config,
    calibration: Calibration,
    decoder: Decoder,
    samples: Payload,
}

/// Everything that came out, floats as bits.
#[derive(Debug, Default, PartialEq)]
struct Told {
    bins: Vec<BinTold>,
    intents: Vec<Intent>,
    /// Ordered, since a block tells them tile by tile.
    crossings: Vec<(u64, usize)>,
    faults: Vec<(u64, usize, Option<Fault>)>,
    /// As it stood after the last block.
    ledger: Ledger,
}

#[derive(Debug, PartialEq)]
struct BinTold {
    index: u64,
    end: u64,
    received: u32,
    lost: u32,
    starts_segment: bool,
    features: Vec<u32>,
}

impl BinTold {
    fn values(&self) -> Vec<f32> {
        self.features.iter().map(|&bits| f32::from_bits(bits)).collect()
    }
}

impl Rig {
    fn new(info: StreamInfo, settings: &str, samples: Payload) -> Self {
        let config = Config::parse(settings, "test").expect("legal settings");
        let n_channels = info.n_channels();
        let n_features = config.bins.features.width(n_channels);
        let thresholds = match info.kind {
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => Vec::new(),
            // One channel in ten is flat.
            StreamKind::Broadband => {
                (0..n_channels).map(|c| if c % 10 == 9 { f32::NEG_INFINITY } else { -40.0 }).collect()
            }
        };
        let FrontEndConfig { reference, car_group, .. } = config.front_end;
        let weights = (reference == Reference::Lrr).then(|| weights(n_channels, car_group));
        let calibration = Calibration { reference: weights, ..Calibration::of_thresholds(thresholds) };
        Rig { info, config, calibration, decoder: decoder(n_features), samples }
    }

    fn pipeline(&self) -> Pipeline {
        let decoder = Some(self.decoder.clone());
        let mut pipeline = Pipeline::from_config(&self.config, &self.info, &self.calibration, decoder)
            .expect("legal settings");
        pipeline.list_crossings();
        pipeline
    }

    fn n_frames(&self) -> usize {
        self.samples.len() / self.info.n_channels()
    }

    /// Frames `from` on, as many as `n_frames`, as a block.
    fn block(&self, from: usize, n_frames: usize) -> Block {
        let n = self.info.n_channels();
        let range = from * n..(from + n_frames) * n;
        let mut block = match self.samples {
            Payload::Int16(_) => Block::int16(n),
            Payload::Float32(_) => Block::float32(n),
            Payload::Counts(_) => Block::counts(n),
            Payload::Crossings(_) => unreachable!("tests/crossings.rs has those"),
        };
        match (&self.samples, &mut block.payload) {
            (Payload::Int16(all), Payload::Int16(part)) => part[..range.len()].copy_from_slice(&all[range]),
            (Payload::Float32(all), Payload::Float32(part)) => {
                part[..range.len()].copy_from_slice(&all[range])
            }
            (Payload::Counts(all), Payload::Counts(part)) => part[..range.len()].copy_from_slice(&all[range]),
            _ => unreachable!("both are of one kind"),
        }
        block.header = BlockHeader {
            first_sample: SampleIndex(from as u64),
            n_frames: n_frames as u32,
            ..Default::default()
        };
        block
    }

    /// Runs all frames in blocks of these lengths, again and again; frames for which `lost` is true don't come.
    fn run(&self, lengths: &[usize], lost: impl Fn(usize) -> bool) -> Told {
        let (mut pipeline, mut told) = (self.pipeline(), Told::default());
        let mut lengths = lengths.iter().copied().cycle();
        let (mut at, mut missing) = (0, 0);
        while at < self.n_frames() {
            if lost(at) {
                (at, missing) = (at + 1, missing + 1);
                continue;
            }
            let longest = lengths.next().expect("a cycle").min(self.n_frames() - at);
            let length = (1..longest).take_while(|&ahead| !lost(at + ahead)).count() + 1;
            let mut block = self.block(at, length);
            block.header.starts_segment = at == 0;
            block.header.lost_frames = std::mem::take(&mut missing);
            told.take(&mut pipeline, &block);
            at += length;
        }
        told.crossings.sort_unstable();
        told
    }
}

impl Told {
    fn take(&mut self, pipeline: &mut Pipeline, block: &Block) {
        pipeline.process(block, |event| self.hear(event));
        self.ledger = pipeline.ledger();
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Bin(bin) => self.bins.push(BinTold {
                index: bin.index,
                end: bin.end.0,
                received: bin.received_frames,
                lost: bin.lost_frames,
                starts_segment: bin.starts_segment,
                features: bin.features.iter().map(|value| value.to_bits()).collect(),
            }),
            Event::Intent(intent) => self.intents.push(*intent),
            Event::Crossing { channel, at } => self.crossings.push((at.0, channel)),
            Event::Fault { channel, at, fault } => self.faults.push((at.0, channel, fault)),
            Event::Filtered(_) | Event::Done(_) => {}
        }
    }
}

/// A recurrence with history, so that what happened once is heard for long.
fn decoder(n_features: usize) -> Decoder {
    let (lags, n_states) = (3, 4);
    let weight = |i: usize| ((i * 37 % 19) as f32 - 9.0) * 0.03;
    let weights = Weights {
        n_features,
        lags,
        n_states,
        readout: (0..lags * n_states * n_features).map(weight).collect(),
        recurrence: (0..n_states * n_states).map(|i| if i % 5 == 0 { 0.9 } else { 0.02 }).collect(),
        output: Vec::new(),
        offset: vec![0.1, -0.1, 0.0, 1.0],
    };
    let output = Output::Move { n_axes: 2, has_position: true };
    let linear = LinearDecoder::new(weights, output).expect("sizes fit");
    let mean = vec![1.5; n_features];
    let normaliser = Normaliser::from_parts(NormaliserKind::Sqrt, mean, vec![0.5; n_features]);
    Decoder::new(normaliser.expect("sizes fit"), linear)
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

/// Noise with spikes, and now and then the rail: `n` samples.
fn noise(n: usize, seed: u64) -> Vec<i16> {
    let mut state = seed as u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let sample = move |_| match random() {
        0..20 => i16::MIN,
        20..600 => -1500,
        other => (other % 301) as i16 - 150,
    };
    (0..n).map(sample).collect()
}

fn settings(detector: &str, car_group: usize, notch: bool, features: &str, width_ms: f64) -> String {
    let notch = if notch { 50 } else { 0 };
    format!(
        "[front_end]\ndetector = \"{detector}\"\ncar_group = {car_group}\nnotch_hz = {notch}\nrefractory_ms = 1.0\n\
         [bins]\nwidth_ms = {width_ms}\nfeatures = \"{features}\""
    )
}

/// The same with a linear regression reference in place of the mean; what electrodes there are is watched too.
fn regressed(settings: &str) -> String {
    settings.replace("car_group", "reference = \"lrr\"\nmask_faults = true\nartefact_uv = 300\ncar_group")
}

/// Of every other channel of its group, a different share.
fn weights(n_channels: usize, group: usize) -> RegressionWeights {
    let weight = |at: usize| {
        let (channel, other) = (at / group, at / group / group * group + at % group);
        let is_there = other != channel && other < n_channels;
        if is_there { (at * 29 % 17) as f32 / (12.0 * group as f32) } else { 0.0 }
    };
    RegressionWeights::from_parts(n_channels, group, (0..n_channels * group).map(weight).collect())
        .expect("they fit")
}

const WHOLE: &[usize] = &[BLOCK_FRAMES_MAX];

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..=BLOCK_FRAMES_MAX, 1..12)
}

/// Runs all frames through shards of the stream at this level, and joins their bins.
fn run_in_shards(rig: &Rig, n_shards: usize, level: Level, lengths: &[usize]) -> Told {
    let Rig { info, config, calibration, decoder, .. } = rig;
    let mut shards = Shard::from_config(config, info, calibration, n_shards, level).expect("legal settings");
    let mut joint = Joint::new(config, &shards, Some(decoder.clone())).expect("widths fit");
    let mut told = Told::default();
    let mut parts: Vec<Vec<Bin>> = vec![Vec::new(); shards.len()];
    let (mut lengths, mut at) = (lengths.iter().cycle(), 0);
    while at < rig.n_frames() {
        let length = (*lengths.next().expect("a cycle")).min(rig.n_frames() - at);
        let mut block = rig.block(at, length);
        block.header.starts_segment = at == 0;
        for (shard, parts) in shards.iter_mut().zip(&mut parts) {
            shard.list_crossings();
            shard.process(&block, |event| match event {
                Event::Bin(bin) => parts.push(bin.clone()),
                other => told.hear(other),
            });
            told.ledger = shard.ledger();
        }
        for bin in 0..parts[0].len() {
            parts.iter().enumerate().for_each(|(shard, parts)| joint.place(shard, &parts[bin]));
            joint.finish(|event| told.hear(event));
        }
        parts.iter_mut().for_each(Vec::clear);
        at += length;
    }
    told.crossings.sort_unstable();
    told
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn shards_and_levels_say_the_same(
        n_channels in 1_usize..400,
        n_shards in 1_usize..5,
        lengths in lengths(),
        car in prop_oneof![Just(0_usize), Just(16), Just(64), Just(96), Just(128)],
        order in 1_usize..5,
        detector in prop::sample::select(vec!["negative", "absolute", "neo"]),
        (seed, is_regressed) in (0_u64..1000, any::<bool>()),
    ) {
        let settings = settings(detector, car, seed % 2 == 0, "counts-and-power", 3.1).replace("notch_hz", &format!("order = {order}\nnotch_hz"));
        let samples = Payload::Int16(noise(400 * n_channels, seed));
        let settings = if is_regressed && [16, 64].contains(&car) { regressed(&settings) } else { settings };
        let rig = Rig::new(info(StreamKind::Broadband, n_channels, 20_000.0), &settings, samples);
        let whole = rig.run(&[BLOCK_FRAMES_MAX], |_| false);
        prop_assert!(!whole.intents.is_empty());
        for level in Level::all() {
            prop_assert_eq!(&whole, &run_in_shards(&rig, n_shards, level, &lengths), "{}", level.name());
        }
    }

    /// 19,531 Hz × 20 ms is no whole number of frames, and blocks straddle the edges of most bins.
    #[test]
    fn broadband_cut_into_any_blocks_says_the_same(
        lengths in lengths(),
        seed in any::<u64>(),
        n_channels in prop::sample::select(vec![1, 5, TILE_CHANNELS, 70]),
        car_group in prop::sample::select(vec![0, 16, 64]),
        features in prop::sample::select(vec!["counts", "power", "counts-and-power"]),
        detector in prop::sample::select(vec!["negative", "absolute", "neo"]),
        (notch, floats, is_regressed) in any::<(bool, bool, bool)>(),
        (hz, width_ms) in prop::sample::select(vec![(19_531.0, 20.0), (30_000.0, 5.0), (24_414.062_5, 3.3)]),
    ) {
        let samples = noise(1300 * n_channels, seed);
        let samples = match floats {
            false => Payload::Int16(samples),
            true => Payload::Float32(samples.into_iter().map(|sample| f32::from(sample) * 1.01).collect()),
        };
        let info = info(StreamKind::Broadband, n_channels, hz);
        let settings = settings(detector, car_group, notch, features, width_ms);
        let settings = if is_regressed && car_group > 0 { regressed(&settings) } else { settings };
        let rig = Rig::new(info, &settings, samples);
        let whole = rig.run(WHOLE, |_| false);
        prop_assert!(whole.bins.len() >= 3 && whole.intents.len() == whole.bins.len());
        prop_assert!(!whole.crossings.is_empty() || car_group > 0 || n_channels == 1);
        prop_assert!(whole == rig.run(&lengths, |_| false), "other blocks, another result");
    }

    #[test]
    fn counts_cut_into_any_blocks_say_the_same(
        lengths in lengths(),
        counts in prop::collection::vec(any::<u16>(), 7 * 300),
        width_ms in prop::sample::select(vec![1.0, 20.0, 33.3]),
    ) {
        let rig = Rig::new(
            info(StreamKind::Counts, 7, 1000.0),
            &format!("[bins]\nwidth_ms = {width_ms}"),
            Payload::Counts(counts),
        );
        let whole = rig.run(WHOLE, |_| false);
        prop_assert!(whole.intents.len() >= 9);
        prop_assert!(whole == rig.run(&lengths, |_| false), "other blocks, another result");
    }

    /// Cut and lost as it may be, every frame up to the last edge is in one bin's ledger, once.
    #[test]
    fn the_ledger_of_lost_frames_balances(
        lengths in lengths(),
        gaps in prop::collection::vec((0usize..2000, 1usize..150), 0..6),
        broadband in any::<bool>(),
    ) {
        let n_channels = 3;
        let rig = match broadband {
            true => Rig::new(
                info(StreamKind::Broadband, n_channels, 19_531.0),
                &settings("negative", 0, false, "counts-and-power", 3.0),
                Payload::Int16(noise(2000 * n_channels, 1)),
            ),
            false => Rig::new(
                info(StreamKind::Counts, n_channels, 1000.0),
                "[bins]\nwidth_ms = 33.3",
                Payload::Counts(noise(2000 * n_channels, 1).into_iter().map(|n| n.unsigned_abs()).collect()),
            ),
        };
        let lost = |frame: usize| gaps.iter().any(|&(from, n)| (from..from + n).contains(&frame));
        let told = rig.run(&lengths, lost);
        let mut next = 0;
        for bin in &told.bins {
            let frames = next..bin.end;
            let n_lost = frames.clone().filter(|&frame| lost(frame as usize)).count();
            prop_assert_eq!(bin.lost as usize, n_lost, "bin {} of frames {:?}", bin.index, &frames);
            prop_assert_eq!(u64::from(bin.received + bin.lost), frames.end - frames.start);
            next = bin.end;
        }
        let last = (0..2000).rev().find(|&frame| !lost(frame)).expect("one came");
        let n_lost = (0..last).filter(|&frame| lost(frame)).count() as u64;
        let received = last as u64 + 1 - n_lost;
        let ledger = Ledger { received_frames: received, lost_frames: n_lost, ..Ledger::default() };
        prop_assert_eq!(told.ledger, ledger, "received and lost are the frames up to the last that came");
        prop_assert!(told.bins.iter().zip(0..).all(|(bin, index)| bin.index == index), "a bin is missing");
        let lost_of_intents: Vec<u32> = told.intents.iter().map(|intent| intent.lost_frames).collect();
        let lost_of_bins: Vec<u32> = told.bins.iter().map(|bin| bin.lost).collect();
        prop_assert_eq!(lost_of_intents, lost_of_bins, "the ledger reaches the end");
        prop_assert!(told == rig.run(&[7], lost), "the same losses, other blocks, another result");
        prop_assert!(told.intents.iter().all(is_finite));
    }

    /// Whatever floats come, what is said is a number.
    #[test]
    fn no_float_makes_an_intent_that_is_not_a_number(
        bits in prop::collection::vec(any::<u32>(), 5 * 400),
        features in prop::sample::select(vec!["counts", "power", "counts-and-power"]),
        car_group in prop::sample::select(vec![0, 5]),
        detector in prop::sample::select(vec!["negative", "neo"]),
    ) {
        let samples = Payload::Float32(bits.into_iter().map(f32::from_bits).collect());
        let info = info(StreamKind::Broadband, 5, 20_000.0);
        let rig = Rig::new(info, &settings(detector, car_group, true, features, 2.0), samples);
        let told = rig.run(WHOLE, |_| false);
        prop_assert_eq!(told.intents.len(), 10);
        for intent in &told.intents {
            prop_assert!(is_finite(intent), "{:?}", intent);
        }
    }
}

fn is_finite(intent: &Intent) -> bool {
    let Action::Move { velocity, position: Some(position), .. } = intent.action else { return false };
    velocity.iter().chain(&position).all(|value| value.is_finite())
}

#[test]
fn silence_rails_and_jumps_between_them_say_numbers() {
    let n_channels = 66;
    for pattern in [&[0][..], &[i16::MAX], &[i16::MIN], &[i16::MIN, i16::MAX], &[0, 0, 0, i16::MIN]] {
        for features in ["counts", "power", "counts-and-power"] {
            let frames = pattern.iter().cycle().take(3000);
            let samples = frames.flat_map(|&sample| std::iter::repeat_n(sample, n_channels)).collect();
            let info = info(StreamKind::Broadband, n_channels, 30_000.0);
            let rig =
                Rig::new(info, &settings("negative", 64, true, features, 10.0), Payload::Int16(samples));
            let told = rig.run(WHOLE, |_| false);
            assert_eq!(told.intents.len(), 10);
            assert!(told.intents.iter().all(is_finite), "{pattern:?}, {features}: {:?}", told.intents);
        }
    }
}

#[test]
fn a_bin_with_losses_counts_what_a_whole_one_would() {
    // Every frame of every channel counts 2; bins of 20 frames.
    let rig = Rig::new(
        info(StreamKind::Counts, 2, 1000.0),
        "[bins]\nwidth_ms = 20",
        Payload::Counts(vec![2; 2 * 200]),
    );
    // Half of bin 2, all of bins 4 and 5 but the first frame of 4.
    let told = rig.run(&[13], |frame| (40..50).contains(&frame) || (81..120).contains(&frame));
    let of = |bin: usize| (told.bins[bin].values(), told.bins[bin].lost);
    assert_eq!(of(1), (vec![40.0, 40.0], 0));
    assert_eq!(of(2), (vec![40.0, 40.0], 10));
    assert_eq!(of(4), (vec![40.0, 40.0], 19));
    assert_eq!(of(5), (vec![0.0, 0.0], 20), "nothing came: nothing is made up, and the ledger says so");
    assert_eq!(of(6), (vec![40.0, 40.0], 0));
    assert_eq!(told.intents.len(), 10, "a bin that is lost whole has an intent too");
}

#[test]
fn power_of_a_bin_with_losses_is_that_of_what_came() {
    let rig = Rig::new(
        info(StreamKind::Broadband, 4, 30_000.0),
        &settings("negative", 0, false, "power", 10.0),
        Payload::Int16(noise(4 * 3000, 5)),
    );
    let (whole, holed) = (rig.run(WHOLE, |_| false), rig.run(WHOLE, |frame| (1350..1500).contains(&frame)));
    for (a, b) in whole.bins[4].values().iter().zip(holed.bins[4].values()) {
        assert!(
            (b / a - 1.0).abs() < 0.5,
            "half a bin has about the mean square of a whole one: {b} for {a}"
        );
    }
    assert_eq!(whole.bins[..4], holed.bins[..4]);
}

#[test]
fn a_gap_beyond_the_limit_starts_a_segment_and_a_shorter_one_does_not() {
    let rig = Rig::new(
        info(StreamKind::Counts, 2, 1000.0),
        "[bins]\nwidth_ms = 1",
        Payload::Counts((0..2 * 100).map(|i| i % 7).collect()),
    );
    let after = |gap: u64| {
        let (mut pipeline, mut told) = (rig.pipeline(), Told::default());
        let mut first = rig.block(0, 50);
        first.header.starts_segment = true;
        told.take(&mut pipeline, &first);
        let mut second = rig.block(50, 50);
        second.header.first_sample = SampleIndex(50 + gap);
        told.take(&mut pipeline, &second);
        told
    };
    let bridged = after(GAP_BINS_MAX);
    assert_eq!(bridged.bins.len() as u64, 100 + GAP_BINS_MAX);
    assert!(bridged.bins[1..].iter().all(|bin| !bin.starts_segment));
    let cut = after(GAP_BINS_MAX + 1);
    assert_eq!(cut.bins.len(), 100, "no bin for what has nothing to do with what came after");
    let starts: Vec<u64> = cut.bins.iter().filter(|bin| bin.starts_segment).map(|bin| bin.index).collect();
    assert_eq!(starts, [0, 50 + GAP_BINS_MAX + 1]);
}

#[test]
fn what_came_before_a_long_gap_still_counts() {
    let rig = Rig::new(
        info(StreamKind::Counts, 2, 1000.0),
        "[bins]\nwidth_ms = 10",
        Payload::Counts(vec![3; 2 * 100]),
    );
    let (mut pipeline, mut told) = (rig.pipeline(), Told::default());
    told.take(&mut pipeline, &rig.block(0, 24));
    let mut after = rig.block(24, 40);
    after.header.first_sample = SampleIndex(10 * (GAP_BINS_MAX + 20));
    told.take(&mut pipeline, &after);
    assert_eq!((told.bins[2].received, told.bins[2].lost), (4, 6));
    assert_eq!(told.bins[2].values(), [30.0, 30.0]);
    let received: u32 = told.bins.iter().map(|bin| bin.received).sum();
    assert_eq!(received, 64, "every frame that came is in a bin");
}

#[test]
fn a_segment_knows_nothing_of_the_one_before() {
    for (kind, samples) in [
        (StreamKind::Broadband, Payload::Int16(noise(6 * 1200, 3))),
        (StreamKind::Counts, Payload::Counts((0..6 * 1200).map(|i| (i * i % 11) as u16).collect())),
    ] {
        let settings = match kind {
            StreamKind::Broadband => settings("negative", 6, true, "counts-and-power", 10.0),
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => {
                "[bins]\nwidth_ms = 10".to_string()
            }
        };
        let rig = Rig::new(info(kind, 6, 30_000.0), &settings, samples);
        let run = |pipeline: &mut Pipeline, starts: &[usize]| {
            let mut told = Told::default();
            for from in (starts[0]..1200).step_by(50) {
                let mut block = rig.block(from, 50);
                block.header.starts_segment = starts.contains(&from);
                told.take(pipeline, &block);
            }
            told
        };
        let both = run(&mut rig.pipeline(), &[0, 600]);
        let second = run(&mut rig.pipeline(), &[600]);
        assert_eq!(both.bins[2..], second.bins[..]);
        assert_eq!(both.intents[2..], second.intents[..]);
        assert_ne!(
            both.intents[2..],
            run(&mut rig.pipeline(), &[0]).intents[2..],
            "without it, history counts"
        );

        // As if just built.
        let mut pipeline = rig.pipeline();
        let first = run(&mut pipeline, &[0]);
        pipeline.reset();
        assert_eq!(first, run(&mut pipeline, &[0]));
    }
}

#[test]
fn frames_that_came_already_count_once() {
    let rig = Rig::new(
        info(StreamKind::Counts, 2, 1000.0),
        "[bins]\nwidth_ms = 10",
        Payload::Counts((0..2 * 120).map(|i| i % 5).collect()),
    );
    let (mut pipeline, mut told) = (rig.pipeline(), Told::default());
    for (from, n) in [(0, 40), (20, 20), (30, 40), (10, 5), (70, 50)] {
        told.take(&mut pipeline, &rig.block(from, n));
    }
    assert_eq!(
        told.bins[1..],
        rig.run(WHOLE, |_| false).bins[1..],
        "repeated and late frames are passed over"
    );
}

#[test]
fn a_stream_that_starts_late_has_lost_the_frames_before() {
    let rig = Rig::new(
        info(StreamKind::Counts, 2, 1000.0),
        "[bins]\nwidth_ms = 10",
        Payload::Counts(vec![1; 2 * 100]),
    );
    let (mut pipeline, mut told) = (rig.pipeline(), Told::default());
    let mut block = rig.block(34, 60);
    block.header.starts_segment = true;
    told.take(&mut pipeline, &block);
    let ledger: Vec<(u64, u32, u32)> = told.bins.iter().map(|b| (b.index, b.received, b.lost)).collect();
    assert_eq!(ledger[..2], [(3, 6, 4), (4, 10, 0)]);
    assert_eq!(told.bins[0].values(), [10.0, 10.0]);
}
