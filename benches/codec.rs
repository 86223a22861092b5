//! Sizes and speeds of the codecs of counts and of crossings: bits beside the entropy, channel-bins a second.
//!
//! In: a minute of simulated counts of 20 ms (synthetic), of 1,024 and of 50,000 electrodes, at a mean of 5 and of 10
//! spikes a second and electrode. Out: lines `name value` for `scripts/figures link`; with `--test` a second of each.
//! Sizes count everything that the codec adds: units that fit a packet, the flat start, and the tables of rates.
//!
//! The bound of crossings is the entropy of each channel's counts, and log2 of the ways to choose so many of the span's
//! samples. Their samples are drawn here, evenly over the bin: the simulator's counts don't tell them.

use efference::block::Payload;
use efference::recording;
use efference::sources::ReadOutcome;
use efference::wire::codec::counts::{self, Levels};
use efference::wire::codec::crossings::{self, Crossing, Span, Table};
use efference::wire::codec::levels::N_LEVELS;
use efference::wire::codec::rates::{Rate, encode_table, next_table_at};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let seconds = if is_test { 1 } else { 60 };
    let (mut worst, mut slowest) = (0f64, f64::INFINITY);
    for (profile, n_channels) in [("neuralink-n1", 1_024), ("paradromics-50k", 50_000)] {
        for mean_hz in [5.0, 10.0] {
            if is_test && n_channels == 50_000 && mean_hz == 10.0 {
                continue;
            }
            let bins = simulated(profile, mean_hz, seconds);
            let coded = Coded::of(&bins, n_channels);
            let name = format!("codec.counts.{n_channels}.{mean_hz}hz");
            let entropy = entropy_bits(&bins, n_channels);
            let n = (bins.len() / n_channels * n_channels) as f64;
            let sum: u64 = bins.iter().map(|&count| u64::from(count)).sum();
            println!("{name}.mean_hz {:.2}", sum as f64 / n * 50.0);
            println!("{name}.bits {:.4}", coded.bits / n);
            println!("{name}.entropy_bits {:.4}", entropy / n);
            println!("{name}.over_entropy {:.4}", coded.bits / entropy);
            println!("{name}.tables_share {:.4}", coded.table_bits / coded.bits);
            println!("{name}.payload_mbps {:.4}", coded.bits / f64::from(seconds) / 1e6);
            let (encode, decode) = speed(&bins, n_channels, &coded.levels, if is_test { 1 } else { 5 });
            println!("{name}.encode_mbins {encode:.1}");
            println!("{name}.decode_mbins {decode:.1}");
            let timed = Timed::of(&bins, n_channels, &coded.levels, entropy);
            let name = format!("codec.crossings.{n_channels}.{mean_hz}hz");
            println!("{name}.bits_per_crossing {:.3}", timed.bits / timed.n_crossings);
            println!("{name}.bound_bits_per_crossing {:.3}", timed.bound_bits / timed.n_crossings);
            println!("{name}.over_bound {:.4}", timed.bits / timed.bound_bits);
            println!("{name}.flat_over_bound {:.4}", timed.flat_bits / timed.bound_bits);
            println!("{name}.payload_mbps {:.4}", timed.bits / timed.seconds / 1e6);
            (worst, slowest) = (worst.max(coded.bits / entropy), slowest.min(encode).min(decode));
        }
    }
    if is_test {
        println!("a second is too short for rates to be learned: these figures stand for nothing");
    } else {
        println!("codec.counts.over_entropy {worst:.4}");
        println!("codec.counts.mbins {slowest:.1}");
    }
}

/// Bins one behind the other, all channels each, of so many spikes a second and electrode.
fn simulated(profile: &str, mean_hz: f64, seconds: u32) -> Vec<u16> {
    let counts = |rate_hz: f64, seconds: u32| {
        let address =
            format!("sim:{profile},kind=counts,width_ms=20,dead=0,rate_hz={rate_hz},seconds={seconds}");
        let mut source = recording::open(&address, None).expect("a simulator").source;
        let (mut block, n_channels, mut bins) = (source.new_block(), source.info().n_channels(), Vec::new());
        while source.read(&mut block).expect("a simulator") == ReadOutcome::Block {
            if let Payload::Counts(counts) = &block.payload {
                bins.extend_from_slice(&counts[..block.header.n_frames as usize * n_channels]);
            }
        }
        bins
    };
    let trial = counts(mean_hz, 2);
    let mean = trial.iter().map(|&count| f64::from(count)).sum::<f64>() / trial.len() as f64 * 50.0;
    counts(mean_hz * mean_hz / mean, seconds)
}

/// What a device sends.
struct Coded {
    bits: f64,
    table_bits: f64,
    /// The last levels.
    levels: Vec<u8>,
}

impl Coded {
    fn of(bins: &[u16], n_channels: usize) -> Coded {
        let mut rates = vec![Rate::default(); n_channels];
        let mut levels: Vec<u8> = vec![0; n_channels];
        let mut coded = Coded { bits: 0.0, table_bits: 0.0, levels: Vec::new() };
        let mut out = vec![0; UNIT_MAX];
        let (mut has_levels, mut next_at) = (false, next_table_at(0));
        for (number, bin) in bins.chunks_exact(n_channels).enumerate() {
            let mut first = 0;
            while first < n_channels {
                let known = |range: std::ops::Range<usize>| match has_levels {
                    true => Levels::Known(&levels[range]),
                    false => Levels::Flat,
                };
                let all = known(0..n_channels);
                let part = counts::encode_prefix(bin, n_channels, first, all, &mut out).expect("one fits");
                let part_levels = known(first..first + part.n_channels);
                let mut back = vec![0; part.n_channels];
                counts::decode(&out[..part.n_bytes], part_levels, &mut back).expect("what was encoded");
                assert_eq!(back, bin[first..first + part.n_channels], "lossless");
                coded.bits += part.n_bytes as f64 * 8.0;
                first += part.n_channels;
            }
            rates.iter_mut().zip(bin).for_each(|(rate, &count)| rate.enter(count, number as u32));
            let n_bins = number as u32 + 1;
            if n_bins == next_at {
                next_at = next_table_at(n_bins);
                let next: Vec<u8> = rates
                    .iter()
                    .zip(&levels)
                    .map(|(rate, &level)| rate.level(has_levels.then_some(level), next_at - n_bins))
                    .collect();
                for (next, levels) in next.chunks(TABLE_CHANNELS).zip(levels.chunks(TABLE_CHANNELS)) {
                    let base = has_levels.then_some((1, levels));
                    coded.table_bits += encode_table(next, base, &mut out).expect("it fits") as f64 * 8.0;
                }
                (levels, has_levels) = (next, true);
            }
        }
        coded.bits += coded.table_bits;
        assert!(levels.iter().all(|&level| usize::from(level) < N_LEVELS));
        coded.levels = levels;
        coded
    }
}

/// The same spikes one by one.
struct Timed {
    seconds: f64,
    n_crossings: f64,
    /// With rates that the host knows.
    bits: f64,
    /// With rates that it doesn't.
    flat_bits: f64,
    bound_bits: f64,
}

impl Timed {
    /// The last [`TIMED_BINS`] of the bins, which the last table hasn't seen, each a span, in units that fit a packet.
    /// `entropy` is that of all counts, bits.
    fn of(bins: &[u16], n_channels: usize, levels: &[u8], entropy: f64) -> Timed {
        let n_bins = (bins.len() / n_channels).min(TIMED_BINS);
        let share = (n_bins * n_channels) as f64 / bins.len() as f64;
        let seconds = n_bins as f64 * 0.02;
        let mut timed =
            Timed { seconds, n_crossings: 0.0, bits: 0.0, flat_bits: 0.0, bound_bits: entropy * share };
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % SPAN_SAMPLES
        };
        for bin in bins.chunks_exact(n_channels).rev().take(n_bins) {
            let mut events = Vec::new();
            for (channel, &count) in bin.iter().enumerate() {
                for k in 0..count {
                    events.push(Crossing { channel: channel as u16, offset: random() as u16 });
                    timed.bound_bits += (f64::from(SPAN_SAMPLES - u32::from(k)) / f64::from(k + 1)).log2();
                }
            }
            events.sort_unstable();
            timed.n_crossings += events.len() as f64;
            timed.bits += crossings_bits(&events, n_channels, Some(levels));
            timed.flat_bits += crossings_bits(&events, n_channels, None);
        }
        timed
    }
}

/// Size of the units of a span, each of which is decoded again.
fn crossings_bits(events: &[Crossing], n_channels: usize, levels: Option<&[u8]>) -> f64 {
    let (mut first, mut left, mut bits) = (0, events, 0.0);
    let (mut out, mut back) = ([0; UNIT_MAX], [Crossing::default(); 8 * UNIT_MAX]);
    while first < n_channels {
        let span =
            |n: usize| Span { first_channel: first as u32, n_channels: n as u32, n_samples: SPAN_SAMPLES };
        let table = levels.map(|levels| Table { version: 1, levels: &levels[first..] });
        let part =
            crossings::encode_prefix(left, span(n_channels - first), table, &mut out).expect("one fits");
        let n = part.n_channels as usize;
        let known = |_| levels.map(|levels| &levels[first..first + n]);
        let found =
            crossings::decode(&out[..part.n_bytes], span(n), known, &mut back).expect("what was encoded");
        assert_eq!(back[..found], left[..part.n_crossings], "lossless");
        bits += part.n_bytes as f64 * 8.0;
        left = &left[part.n_crossings..];
        first += n;
    }
    bits
}

/// Sum over the channels of the empirical entropy of each one's counts.
fn entropy_bits(bins: &[u16], n_channels: usize) -> f64 {
    let n_bins = bins.len() / n_channels;
    (0..n_channels)
        .map(|channel| {
            let mut histogram = BTreeMap::new();
            for bin in 0..n_bins {
                *histogram.entry(bins[bin * n_channels + channel]).or_insert(0u32) += 1;
            }
            let bits = |n: &u32| f64::from(*n) * (n_bins as f64 / f64::from(*n)).log2();
            histogram.values().map(bits).sum::<f64>()
        })
        .sum()
}

/// Millions of channel-bins a second, to bytes and back; the best of `rounds`.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn speed(bins: &[u16], n_channels: usize, levels: &[u8], rounds: usize) -> (f64, f64) {
    let units: Vec<(&[u16], &[u8])> = bins
        .chunks_exact(n_channels)
        .take(if n_channels > 10_000 { 50 } else { 2_000 })
        .flat_map(|bin| bin.chunks(UNIT_CHANNELS).zip(levels.chunks(UNIT_CHANNELS)))
        .collect();
    let n: usize = units.iter().map(|unit| unit.0.len()).sum();
    let mut coded = vec![[0u8; 4 * UNIT_MAX]; units.len()];
    let mut lengths = vec![0; units.len()];
    let mut back = [0; UNIT_CHANNELS];
    let (mut encode, mut decode) = (0f64, 0f64);
    for _ in 0..rounds {
        let began = Instant::now();
        for ((unit, out), length) in units.iter().zip(&mut coded).zip(&mut lengths) {
            *length = counts::encode(unit.0, Levels::Known(unit.1), out).expect("room");
        }
        encode = encode.max(n as f64 / began.elapsed().as_secs_f64() / 1e6);
        let began = Instant::now();
        for ((unit, out), &length) in units.iter().zip(&coded).zip(&lengths) {
            let back = &mut back[..unit.0.len()];
            counts::decode(&out[..length], Levels::Known(unit.1), back).expect("what was encoded");
            black_box(back);
        }
        decode = decode.max(n as f64 / began.elapsed().as_secs_f64() / 1e6);
    }
    (encode, decode)
}

/// Bytes of a unit: what a packet of 512 bytes leaves.
const UNIT_MAX: usize = 470;
const UNIT_CHANNELS: usize = 1_024;
/// Samples of 20 ms at 19,531 Hz.
const SPAN_SAMPLES: u32 = 391;
/// Bins that are coded as crossings: 6 s.
const TIMED_BINS: usize = 300;
/// Levels that are told at once, which a packet has room for.
const TABLE_CHANNELS: usize = 1_000;
