//! Kernels to be counted by a tool that counts instructions, `scripts/test-instructions`: one of them, so many times.
//!
//! In, as arguments: `KERNEL LEVEL TIMES`, or `--list`. Out: nothing, or one line of JSON that says which kernels
//! there are, which levels each has, and how many samples (features, for a decoder) one call of it takes. Everything
//! comes from fixed seeds and no clock is read, so a count is the same on every run. The streams are synthetic.

#[allow(dead_code, reason = "other benches time the streams")]
#[path = "support/stream.rs"]
mod stream;

use efference::Error;
use efference::SampleIndex;
use efference::binning::Bin;
use efference::block::{Payload, TILE_CHANNELS, Tile, n_tiles};
use efference::config::{Features, NormaliserKind};
use efference::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use efference::detect::power::add_squares;
use efference::detect::{Crossed, CrossingDetector};
use efference::device::Profile;
use efference::filter::design::{butterworth_band_pass, notch};
use efference::filter::{CommonAverage, FilterBank, Section};
use efference::simd::Level;
use efference::sources::SampleSource;
use efference::sources::simulator::{Settings, Simulator};
use serde_json::{Value, json};
use std::hint::black_box;
use stream::Case;

/// What is counted. A new kernel is a new line; those that are compiled for each level take it.
const KERNELS: &[Kernel] = &[
    Kernel::of_each_level("load", SAMPLES, |level, times| load(level, 0, times)),
    Kernel::of_each_level("load, reference of 64", SAMPLES, |level, times| load(level, TILE_CHANNELS, times)),
    Kernel::of_each_level("bank of order 2", SAMPLES, |level, times| bank(level, &band_pass(2), times)),
    Kernel::of_each_level("bank of order 2, notch", SAMPLES, |level, times| {
        bank(level, &with_notch(), times)
    }),
    Kernel::of_each_level("bank of order 4", SAMPLES, |level, times| bank(level, &band_pass(4), times)),
    Kernel::of_each_level("bank of order 8", SAMPLES, |level, times| bank(level, &band_pass(8), times)),
    Kernel::of_each_level("crossings, quiet", SAMPLES, |level, times| crossings(level, QUIET, false, times)),
    Kernel::of_each_level("crossings, busy", SAMPLES, |level, times| crossings(level, BUSY, false, times)),
    Kernel::of_each_level("crossings, busy, listed", SAMPLES, |level, times| {
        crossings(level, BUSY, true, times)
    }),
    Kernel::of_one_level("power", SAMPLES, power),
    Kernel::of_one_level("front end of order 2", SAMPLES, |times| front_end("1024.1core", times)),
    Kernel::of_one_level("front end of order 4", SAMPLES, |times| front_end("1024.1core.order4", times)),
    Kernel::of_one_level("decode a bin, wiener", N_CHANNELS, |times| decode(wiener(), times)),
    Kernel::of_one_level("decode a bin, kalman", N_CHANNELS, |times| decode(kalman(), times)),
    Kernel::of_one_level("simulator", SAMPLES, simulator),
];

const N_CHANNELS: usize = 1_024;
const N_FRAMES: usize = 30;
const SAMPLES: usize = N_CHANNELS * N_FRAMES;
const RATE: f64 = 30_000.0;
const UV_PER_COUNT: f32 = 0.195;

struct Kernel {
    name: &'static str,
    /// What one call takes.
    samples: usize,
    run: Run,
}

enum Run {
    /// It has one version, or picks the widest level by itself.
    OneLevel(fn(usize)),
    Given(fn(Level, usize)),
}

impl Kernel {
    const fn of_one_level(name: &'static str, samples: usize, run: fn(usize)) -> Self {
        Kernel { name, samples, run: Run::OneLevel(run) }
    }

    const fn of_each_level(name: &'static str, samples: usize, run: fn(Level, usize)) -> Self {
        Kernel { name, samples, run: Run::Given(run) }
    }

    fn levels(&self) -> Vec<&'static str> {
        match self.run {
            Run::OneLevel(_) => vec![ONE_LEVEL],
            Run::Given(_) => Level::all().into_iter().map(Level::name).collect(),
        }
    }

    fn run(&self, level: &str, times: usize) -> Result<(), Error> {
        match self.run {
            Run::OneLevel(run) if level == ONE_LEVEL => run(times),
            Run::Given(run) => match Level::all().into_iter().find(|has| has.name() == level) {
                Some(level) => run(level, times),
                None => return Err(illegal(level, "LEVEL", &self.levels().join(", "))),
            },
            Run::OneLevel(_) => return Err(illegal(level, "LEVEL", ONE_LEVEL)),
        }
        Ok(())
    }
}

/// The word for a kernel that isn't told a level.
const ONE_LEVEL: &str = "any";

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match arguments[..] {
        ["--list"] => println!("{}", list()),
        // Without arguments nothing counts: then it is enough that each runs.
        [] | ["--test"] => {
            for kernel in KERNELS {
                kernel.levels().into_iter().try_for_each(|level| kernel.run(level, 1))?;
            }
        }
        [name, level, times] => {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == name);
            let names: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
            let kernel = kernel.ok_or_else(|| illegal(name, "KERNEL", &names.join("; ")))?;
            let times = times.parse().map_err(|_| illegal(times, "TIMES", "a whole number"))?;
            kernel.run(level, times)?;
        }
        _ => return Err(illegal(&arguments.join(" "), "arguments", "--list, or KERNEL LEVEL TIMES")),
    }
    Ok(())
}

fn list() -> Value {
    let kernels: Vec<Value> = KERNELS
        .iter()
        .map(|kernel| json!({"name": kernel.name, "levels": kernel.levels(), "samples": kernel.samples}))
        .collect();
    json!({"widest": Level::widest().name(), "arch": std::env::consts::ARCH, "kernels": kernels})
}

fn illegal(found: &str, field: &str, legal: &str) -> Error {
    Error::usage("instructions", format!("`{found}`")).field(field).legal(legal)
}

fn load(level: Level, group: usize, times: usize) {
    let payload = Payload::Int16(samples().collect());
    let mut average = CommonAverage::new(N_CHANNELS, group, &[true; N_CHANNELS]).at_level(level);
    let mut tile = Tile::new();
    for _ in 0..times {
        average.measure(black_box(&payload), 0..N_FRAMES, 0..n_tiles(N_CHANNELS));
        for index in 0..n_tiles(N_CHANNELS) {
            tile.index = index;
            average.load(&payload, 0..N_FRAMES, &mut tile);
            black_box(&tile);
        }
    }
}

/// The tiles go through again and again: what they hold makes no difference to the count.
fn bank(level: Level, sections: &[Section], times: usize) {
    let mut tiles = tiles();
    let mut bank = FilterBank::new(sections, tiles.len()).at_level(level);
    for _ in 0..times {
        tiles.iter_mut().for_each(|tile| bank.process(black_box(tile)));
    }
    black_box(&tiles);
}

fn crossings(level: Level, threshold: f32, listed: bool, times: usize) {
    let tiles = tiles();
    let mut counts = vec![[0.0; TILE_CHANNELS]; tiles.len()];
    let mut crossed = listed.then(Crossed::new);
    let mut detector = CrossingDetector::new(N_CHANNELS, &[threshold; N_CHANNELS], 15)
        .with_ring_guard(0.3, 120)
        .at_level(level);
    for _ in 0..times {
        for (tile, counts) in black_box(&tiles).iter().zip(&mut counts) {
            detector.process(tile, counts, crossed.as_mut());
            black_box(&crossed);
        }
    }
    black_box(&counts);
}

fn power(times: usize) {
    let tiles = tiles();
    let mut sums = vec![[0.0; TILE_CHANNELS]; tiles.len()];
    for _ in 0..times {
        black_box(&tiles).iter().zip(&mut sums).for_each(|(tile, sums)| add_squares(tile, sums));
    }
    black_box(&sums);
}

/// Load to bins, as in `figures`; spikes come at the simulator's rate.
fn front_end(case: &str, times: usize) {
    let case = Case::ALL.into_iter().find(|of| of.name == case).expect("a case of the streams");
    let mut streams = case.streams();
    streams[0].run(times, |_| ());
}

fn decode(mut decoder: Decoder, times: usize) {
    let features = samples().take(N_CHANNELS).map(|sample| f32::from(sample.unsigned_abs() % 4)).collect();
    let mut bin = Bin::new(Features::Counts, N_CHANNELS);
    bin.end = SampleIndex(600);
    bin.received_frames = 600;
    bin.starts_segment = false;
    bin.features = features;
    for _ in 0..times {
        black_box(decoder.decode(black_box(&bin)));
        bin.index += 1;
        bin.end.0 += 600;
    }
}

fn simulator(times: usize) {
    let mut settings = Settings::new(Profile::named("neuralink-n1").expect("a shipped profile"));
    (settings.sample_rate_hz, settings.block_frames) = (RATE, Some(N_FRAMES));
    let mut simulator = Simulator::new(&settings).expect("legal settings");
    simulator.intend([0.2, 0.1]);
    let mut block = simulator.new_block();
    for _ in 0..times {
        simulator.read(black_box(&mut block)).expect("the simulator's own block");
    }
}

fn band_pass(order: usize) -> Vec<Section> {
    butterworth_band_pass(order, 300.0, 6_000.0, RATE).expect("a legal band")
}

fn with_notch() -> Vec<Section> {
    let mut sections = band_pass(2);
    sections.push(notch(50.0, 30.0, RATE).expect("a legal notch"));
    sections
}

/// 15 lags to velocity and position of two axes.
fn wiener() -> Decoder {
    decoder(Weights {
        n_features: N_CHANNELS,
        lags: 15,
        n_states: 4,
        readout: small(15 * 4 * N_CHANNELS),
        recurrence: Vec::new(),
        output: Vec::new(),
        offset: vec![0.0; 4],
    })
}

/// Velocity of two axes over 12 bins, position, and the bin before for whitening.
fn kalman() -> Decoder {
    let n_states = 2 * 12 + 2;
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    decoder(Weights {
        n_features: N_CHANNELS,
        lags: 2,
        n_states,
        readout: small(2 * n_states * N_CHANNELS),
        recurrence: wide(small(n_states * n_states)),
        output: wide(small(4 * n_states)),
        offset: vec![0.0; 4],
    })
}

fn decoder(weights: Weights) -> Decoder {
    let (mean, inverse) = (vec![1.5; N_CHANNELS], vec![0.8; N_CHANNELS]);
    let normaliser = Normaliser::from_parts(NormaliserKind::Zscore, mean, inverse).expect("sizes fit");
    let output = Output::Move { n_axes: 2, has_position: true };
    Decoder::new(normaliser, LinearDecoder::new(weights, output).expect("sizes fit"))
}

/// Values within ±0.02, which no recurrence lets grow.
fn small(n: usize) -> Vec<f32> {
    samples().cycle().take(n).map(|sample| f32::from(sample) * 1e-4).collect()
}

/// No sample goes below it.
const QUIET: f32 = -60.0;
/// Every group of lanes goes below it in every block: the most work that a detector can have.
const BUSY: f32 = -25.0;

/// Noise within ±200 counts from a fixed seed.
fn samples() -> impl Iterator<Item = i16> + Clone {
    let mut state = 1_u32;
    (0..SAMPLES).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) % 401) as i16 - 200
    })
}

fn tiles() -> Vec<Tile> {
    let payload = Payload::Int16(samples().collect());
    let average = CommonAverage::new(N_CHANNELS, 0, &[true; N_CHANNELS]);
    (0..n_tiles(N_CHANNELS))
        .map(|index| {
            let mut tile = Tile { index, ..Tile::new() };
            average.load(&payload, 0..N_FRAMES, &mut tile);
            tile.frames_mut().as_flattened_mut().iter_mut().for_each(|x| *x *= UV_PER_COUNT);
            tile
        })
        .collect()
}
