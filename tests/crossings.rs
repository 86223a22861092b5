//! Streams of crossings: the bins that counts give, to the bit; intents that differ from theirs by rounding alone; and
//! the same to the last bit however the stream is cut, whatever is lost, repeated or started afresh.

use efference::binning::Bin;
use efference::block::{BLOCK_FRAMES_MAX, Block, BlockHeader, Crossing, Payload, StreamInfo, StreamKind};
use efference::config::{Config, NormaliserKind};
use efference::decode::{Cascade, Decoder, LinearDecoder, Normaliser, Output, Weights};
use efference::intents::{Action, Intent};
use efference::pipeline::{Calibration, Event, GAP_BINS_MAX, Joint, Ledger, Pipeline, Shard};
use efference::simd::Level;
use efference::sources::ReadOutcome;
use efference::{SampleIndex, SampleRate, recording, train};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const SEED: u64 = 20_261_122;

/// A stream in memory, once as counts and once as crossings.
struct Rig {
    n_channels: usize,
    counts: Vec<u16>,
    config: Config,
    decoder: Decoder,
}

/// Everything that came out, floats as bits.
#[derive(Debug, Default, PartialEq)]
struct Told {
    bins: Vec<(u64, u64, u32, u32, bool, Vec<u32>)>,
    intents: Vec<Intent>,
    crossings: Vec<(u64, usize)>,
    ledger: Ledger,
}

/// What comes of the frames from one on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Comes,
    Lost,
    /// A block starts here, and with it a segment.
    StartsSegment,
}

impl Rig {
    fn n_frames(&self) -> usize {
        self.counts.len() / self.n_channels
    }

    fn block(&self, kind: StreamKind, from: usize, n_frames: usize) -> Block {
        let n = self.n_channels;
        let part = &self.counts[from * n..(from + n_frames) * n];
        let mut block = match kind {
            StreamKind::Counts => Block::counts(n),
            _ => Block::crossings(part.iter().map(|&count| usize::from(count)).sum()),
        };
        match &mut block.payload {
            Payload::Counts(counts) => counts[..part.len()].copy_from_slice(part),
            Payload::Crossings(crossings) => {
                for (at, &count) in part.iter().enumerate() {
                    let crossing = Crossing { frame: (at / n) as u16, channel: (at % n) as u16 };
                    crossings.extend(std::iter::repeat_n(crossing, usize::from(count)));
                }
            }
            _ => unreachable!("no broadband here"),
        }
        block.header = BlockHeader {
            first_sample: SampleIndex(from as u64),
            n_frames: n_frames as u32,
            ..Default::default()
        };
        block
    }

    fn info(&self, kind: StreamKind) -> StreamInfo {
        StreamInfo {
            kind,
            sample_rate: SampleRate::new(1000.0, "test").expect("a legal rate"),
            uv_per_count: None,
            channels: (0..self.n_channels).map(|channel| format!("c{channel}")).collect(),
            synthetic: true,
        }
    }

    fn pipeline(&self, kind: StreamKind) -> Pipeline {
        let (info, decoder) = (self.info(kind), Some(self.decoder.clone()));
        Pipeline::from_config(&self.config, &info, &Calibration::default(), decoder).expect("legal settings")
    }

    /// All blocks of these lengths, again and again; some frames don't come, some blocks come twice.
    fn blocks(&self, kind: StreamKind, lengths: &[usize], fate: impl Fn(usize) -> Fate) -> Vec<Block> {
        let (mut blocks, mut at) = (Vec::new(), 0);
        let mut lengths = lengths.iter().copied().cycle();
        while at < self.n_frames() {
            if fate(at) == Fate::Lost {
                at += 1;
                continue;
            }
            let longest = lengths.next().expect("a cycle").min(self.n_frames() - at);
            let length = (1..longest).take_while(|&ahead| fate(at + ahead) == Fate::Comes).count() + 1;
            let mut block = self.block(kind, at, length);
            block.header.starts_segment = at == 0 || fate(at) == Fate::StartsSegment;
            blocks.push(block);
            at += length;
        }
        blocks
    }

    fn run(&self, kind: StreamKind, lengths: &[usize], fate: impl Fn(usize) -> Fate) -> Told {
        let (mut pipeline, mut told) = (self.pipeline(kind), Told::default());
        pipeline.list_crossings();
        for block in self.blocks(kind, lengths, fate) {
            pipeline.process(&block, |event| told.hear(event));
        }
        told.ledger = pipeline.ledger();
        told
    }

    /// As a run on threads does: shards, and a joint behind them.
    fn run_joined(&self, lengths: &[usize], fate: impl Fn(usize) -> Fate) -> Told {
        let (info, calibration) = (self.info(StreamKind::Crossings), Calibration::default());
        let mut shards =
            Shard::from_config(&self.config, &info, &calibration, 4, Level::widest()).expect("legal");
        assert_eq!(shards.len(), 1, "events are too little work to share");
        let mut joint = Joint::new(&self.config, &shards, Some(self.decoder.clone())).expect("widths fit");
        shards[0].list_crossings();
        let mut told = Told::default();
        for block in self.blocks(StreamKind::Crossings, lengths, fate) {
            shards[0].process(&block, |event| match event {
                Event::Bin(bin) => {
                    joint.place(0, bin);
                    joint.finish(|event| told.hear(event));
                }
                other => told.hear(other),
            });
        }
        told.ledger = shards[0].ledger();
        told
    }
}

impl Told {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Bin(bin) => {
                let features: Vec<u32> = bin.features.iter().map(|value| value.to_bits()).collect();
                if let Some(touched) = &bin.touched {
                    let counted: Vec<usize> =
                        (0..features.len()).filter(|&f| bin.features[f] != 0.0).collect();
                    assert_eq!(touched.iter().collect::<Vec<_>>(), counted, "touched is what has counts");
                }
                let Bin { index, end, received_frames, lost_frames, starts_segment, .. } = bin;
                self.bins.push((*index, end.0, *received_frames, *lost_frames, *starts_segment, features));
            }
            Event::Intent(intent) => self.intents.push(*intent),
            Event::Crossing { channel, at } => self.crossings.push((at.0, channel)),
            Event::Filtered(_) | Event::Fault { .. } | Event::Done(_) => {}
        }
    }

    /// Values of all intents, one after another.
    fn values(&self) -> Vec<f64> {
        let of = |intent: &Intent| {
            let Action::Move { velocity, position: Some(position), .. } = intent.action else {
                panic!("it moves")
            };
            [velocity, position].concat()
        };
        self.intents.iter().flat_map(of).map(f64::from).collect()
    }
}

/// Weights of ±0.1 with a recurrence. As in a blend, states hear different lags: 0 and 1 all, 2 the newest bin alone, 3
/// nothing. One feature in seven is left out.
fn decoder(n_features: usize, lags: usize, kind: NormaliserKind, seed: u32) -> Decoder {
    let n_states = 4;
    let mut random = random(seed);
    let weights = Weights {
        n_features,
        lags,
        n_states,
        readout: (0..lags * n_states * n_features)
            .map(|at| {
                let (state, lag) = (at / n_features % n_states, at / n_features / n_states);
                let weight = (random() % 2001) as f32 * 1e-4 - 0.1;
                if state < 2 || state == 2 && lag == 0 { weight } else { 0.0 }
            })
            .collect(),
        recurrence: (0..n_states * n_states).map(|i| if i % 5 == 0 { 0.8 } else { 0.02 }).collect(),
        output: Vec::new(),
        offset: vec![0.1, -0.1, 0.0, 1.0],
    };
    let output = Output::Move { n_axes: 2, has_position: true };
    let linear = LinearDecoder::new(weights, output).expect("sizes fit");
    let mean = (0..n_features).map(|_| (random() % 100) as f32 * 0.03).collect();
    let inverse = (0..n_features).map(|f| if f % 7 == 6 { 0.0 } else { 0.3 + (random() % 10) as f32 * 0.1 });
    let decoder =
        Decoder::new(Normaliser::from_parts(kind, mean, inverse.collect()).expect("sizes fit"), linear);
    match seed % 2 {
        0 => decoder,
        _ => {
            decoder.with_cascade(Cascade { at_rest: 0.8, by_speed: 0.1, by_activity: -0.3 }).expect("finite")
        }
    }
}

/// 16 bits each, from a fixed seed.
fn random(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    }
}

/// 400 frames of which most channels have nothing.
fn rig(n_channels: usize, lags: usize, kind: NormaliserKind, width_ms: f64, seed: u32) -> Rig {
    let mut random = random(seed);
    let count = |draw: u32| [0, 1, 1, 3][if draw.is_multiple_of(20) { draw as usize / 20 % 4 } else { 0 }];
    Rig {
        n_channels,
        counts: (0..400 * n_channels).map(|_| count(random())).collect(),
        config: Config::parse(&format!("[bins]\nwidth_ms = {width_ms}"), "test").expect("legal settings"),
        decoder: decoder(n_channels, lags, kind, seed),
    }
}

const COMES: fn(usize) -> Fate = |_| Fate::Comes;
const KINDS: [NormaliserKind; 3] =
    [NormaliserKind::Zscore, NormaliserKind::Sqrt, NormaliserKind::FiveQuarters];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn crossings_say_what_counts_say_however_they_are_cut(
        n_channels in 1usize..300,
        lags in 1usize..8,
        kind in prop::sample::select(KINDS.to_vec()),
        width_ms in prop::sample::select(vec![1.0, 7.3, 20.0]),
        lengths in prop::collection::vec(1..=BLOCK_FRAMES_MAX, 1..12),
        gaps in prop::collection::vec((0usize..400, 1usize..60), 0..4),
        starts in prop::collection::vec(0usize..20, 0..3),
        seed in any::<u32>(),
    ) {
        let rig = rig(n_channels, lags, kind, width_ms, seed);
        let fate = |frame: usize| match () {
            () if gaps.iter().any(|&(from, n)| (from..from + n).contains(&frame)) => Fate::Lost,
            // 219 frames of 7.3 ms are 30 bins; any edge is one of 1 or 20 ms bins.
            () if starts.contains(&(frame / 20)) && frame.is_multiple_of(20) && width_ms != 7.3 => Fate::StartsSegment,
            () => Fate::Comes,
        };
        let counts = rig.run(StreamKind::Counts, &[BLOCK_FRAMES_MAX], fate);
        let whole = rig.run(StreamKind::Crossings, &[BLOCK_FRAMES_MAX], fate);
        prop_assert!(whole.intents.len() >= 10 || !gaps.is_empty());
        prop_assert!(whole.bins == counts.bins, "bins to the bit");
        prop_assert_eq!(whole.ledger, counts.ledger);
        let n_crossings: usize = (0..400).filter(|&frame| fate(frame) != Fate::Lost)
            .map(|frame| rig.counts[frame * n_channels..][..n_channels].iter().map(|&n| usize::from(n)).sum::<usize>())
            .sum();
        prop_assert_eq!(whole.crossings.len(), n_crossings, "each is told once");

        let (sparse, dense) = (whole.values(), counts.values());
        prop_assert_eq!(sparse.len(), dense.len());
        let scale = dense.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
        for (sparse, dense) in sparse.iter().zip(&dense) {
            prop_assert!((sparse - dense).abs() <= 1e-5 * scale, "{sparse} for {dense}, of at most {scale}");
        }

        prop_assert!(whole == rig.run(StreamKind::Crossings, &lengths, fate), "other blocks, another result");
        prop_assert!(whole == rig.run_joined(&lengths, fate), "behind a joint, another result");
    }
}

#[test]
fn a_pipeline_that_is_reset_is_as_just_built() {
    let rig = rig(40, 5, NormaliserKind::Sqrt, 20.0, 3);
    let run = |pipeline: &mut Pipeline| {
        let mut told = Told::default();
        rig.blocks(StreamKind::Crossings, &[13], COMES)
            .iter()
            .for_each(|b| pipeline.process(b, |e| told.hear(e)));
        told
    };
    let mut pipeline = rig.pipeline(StreamKind::Crossings);
    let first = run(&mut pipeline);
    pipeline.reset();
    assert_eq!(first, run(&mut pipeline));
}

#[test]
fn frames_that_came_already_count_once_and_a_long_gap_starts_afresh() {
    let rig = rig(30, 3, NormaliserKind::Zscore, 10.0, 4);
    let hear = |kind| {
        let (mut pipeline, mut told) = (rig.pipeline(kind), Told::default());
        for (from, n) in [(0, 40), (20, 20), (30, 40), (10, 5), (70, 50)] {
            pipeline.process(&rig.block(kind, from, n), |event| told.hear(event));
        }
        let mut late = rig.block(kind, 120, 64);
        late.header.first_sample = SampleIndex(10 * (GAP_BINS_MAX + 20));
        pipeline.process(&late, |event| told.hear(event));
        told.ledger = pipeline.ledger();
        told
    };
    let (counts, crossings) = (hear(StreamKind::Counts), hear(StreamKind::Crossings));
    assert_eq!((counts.ledger.repeated_frames, counts.ledger.restarts), (35, 1));
    assert_eq!(crossings.ledger, counts.ledger);
    assert!(crossings.bins == counts.bins);
    for (sparse, dense) in crossings.values().iter().zip(counts.values()) {
        assert!((sparse - dense).abs() <= 1e-5 * dense.abs().max(1.0), "{sparse} for {dense}");
    }
}

/// What is unknown of a bin, and bins of other streams, mean the same to both forms of a decoder.
#[test]
fn unknown_channels_say_nothing_in_either_form() {
    for features in ["counts", "counts-and-power"] {
        let n_channels = 100;
        let config = Config::parse(&format!("[bins]\nfeatures = \"{features}\""), "test").expect("legal");
        let n_features = config.bins.features.width(n_channels);
        let mut dense = decoder(n_features, 4, NormaliserKind::Sqrt, 9);
        let mut sparse = dense.clone().for_crossings();
        let mut random = random(7);
        for index in 0..50 {
            let mut bin = match features {
                "counts" => Bin::of_crossings(config.bins.features, n_channels),
                _ => Bin::new(config.bins.features, n_channels),
            };
            bin.index = index;
            bin.received_frames = u32::from(index % 9 != 4);
            bin.starts_segment = index == 0 || index == 30;
            for channel in 0..n_channels {
                if random().is_multiple_of(4) {
                    bin.features[channel] = (1 + random() % 3) as f32;
                    bin.touched.iter_mut().for_each(|touched| touched.insert(channel));
                }
                if random().is_multiple_of(10) && index.is_multiple_of(3) {
                    bin.unknown[channel / 64] |= 1 << (channel % 64);
                }
            }
            if features != "counts" {
                bin.features[n_channels..].fill_with(|| (random() % 7) as f32);
            }
            let told = [&mut dense, &mut sparse].map(|decoder| decoder.decode(&bin));
            let told = told.map(|intent| Told { intents: vec![intent], ..Told::default() }.values());
            for (dense, sparse) in told[0].iter().zip(&told[1]) {
                let off = (sparse - dense).abs();
                assert!(off <= 1e-5 * dense.abs().max(1.0), "{features}, bin {index}: {sparse} for {dense}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "crossings out of order, or of frames that the block doesn't have")]
fn a_crossing_of_no_frame_of_the_block_is_not_passed_over() {
    let rig = rig(3, 1, NormaliserKind::Zscore, 10.0, 4);
    let mut block = Block::crossings(1);
    block.header.n_frames = 5;
    if let Payload::Crossings(crossings) = &mut block.payload {
        crossings.push(Crossing { frame: 5, channel: 0 });
    }
    rig.pipeline(StreamKind::Crossings).process(&block, |_| ());
}

/// On threads, as `run` does: nothing is lost, and bins come.
#[test]
fn crossings_of_50_000_electrodes_run_live() {
    use efference::live::{self, Setup};
    use std::sync::atomic::{AtomicBool, AtomicU32};
    let address = "sim:paradromics-50k,kind=crossings,seconds=0.06";
    let recording = recording::open(address, None).expect("a legal address");
    let config = recording.settle(Config::default(), "test").expect("legal");
    let (stop, freeze) = (AtomicBool::new(false), AtomicBool::new(false));
    // Rings that hold all of it: however late a thread is, it loses nothing.
    let live = efference::config::LiveConfig { ring_blocks: 64, ..Default::default() };
    let setup = Setup {
        config: &config,
        calibration: &Calibration::default(),
        decoder: Some(decoder(50_000, 2, NormaliserKind::Sqrt, 1)),
        live: &live,
        level: Level::widest(),
        seconds: None,
        stop: &stop,
        freeze: &freeze,
        panics: &AtomicU32::new(0),
        resume: &AtomicBool::new(false),
        keeping: None,
        drill: None,
        around: |_, work| work(),
    };
    let report = live::run(setup, recording.source, Vec::new()).expect("it runs");
    assert!(report.balanced, "every frame is accounted for");
    assert_eq!((report.frames_in, report.frames_lost, report.bins, report.intents), (60, 0, 3, 3));
}

/// The simulator's crossings train the model that its counts train, but for the channel map.
#[test]
fn a_model_is_trained_on_crossings_as_on_counts() {
    let collect = |kind: &str| {
        let address = format!("sim:neuralink-n1,kind={kind},electrodes=96,seconds=60,seed=3");
        let mut recording = recording::open(&address, None).expect("a legal address");
        let config = recording.settle(Config::default(), "test").expect("legal");
        assert_eq!(config.bins.width_ms, 20.0);
        let calibration =
            train::calibrate(&mut *recording.source, &config, SampleIndex(0)).expect("none needed");
        let mut recording = recording::open(&address, None).expect("a legal address");
        let data = train::collect(&mut recording, &config, &calibration, 3000, |_| ()).expect("it moves");
        (data, config, recording::open(&address, None).expect("a legal address"))
    };
    let ((counts, ..), (crossings, mut config, mut recording)) = (collect("counts"), collect("crossings"));
    assert!(counts.features.sum() > 10_000.0);
    assert_eq!(counts.features, crossings.features, "counts of a bin to the bit");

    config.decoder.ridge = vec![100.0];
    let decoder = train::fit(&crossings, &config.decoder).expect("a regular fit").decoder;
    let info = recording.source.info().clone();
    let nothing = Calibration::default();
    let mut pipeline = Pipeline::from_config(&config, &info, &nothing, Some(decoder)).expect("it fits");
    let (mut block, mut actions) = (recording.source.new_block(), Vec::new());
    while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
        pipeline.process(&block, |event| {
            if let Event::Intent(intent) = event {
                actions.push((intent.bin as usize, intent.action));
            }
        });
    }
    let r2 = train::score_actions(&crossings.targets, &actions).velocity_r2.expect("it moves").mean;
    assert!(r2 > 0.5, "R² {r2} on the bins of the training");
}
