//! Made-up electrodes that fail, recover, or only look as if they did.

use super::*;
use crate::block::BLOCK_FRAMES_MAX;
use crate::time::SampleRate;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::f32::consts::TAU;

type Lanes = [f32; TILE_CHANNELS];

/// At this rate every fourth frame is looked at and filters are none of our business: what the test calls
/// filtered is the electrode's noise.
const HZ: f64 = 1_000.0;
const SECOND: usize = 1_000;
const BIN_FRAMES: usize = 20;

fn rule() -> HealthRule {
    HealthRule::new(SampleRate::new(HZ, "test").expect("a legal rate"), 0.5)
}

/// Frame by frame: raw samples, of which all lanes share the slow part, and the noise in them.
struct Tissue {
    rng: Xoshiro256PlusPlus,
    /// Counts.
    noise: f32,
}

impl Tissue {
    fn new(seed: u64, noise: f32) -> Self {
        Tissue { rng: Xoshiro256PlusPlus::seed_from_u64(seed), noise }
    }

    fn frame(&mut self, t: usize) -> (Lanes, Lanes) {
        let noise: Lanes = std::array::from_fn(|_| {
            let unit: f32 = StandardNormal.sample(&mut self.rng);
            self.noise * unit
        });
        let slow = 40.0 * (TAU * 1.3 * t as f32 / HZ as f32).sin();
        (noise.map(|x| (x + slow).round()), noise)
    }
}

/// Runs `n_frames` in blocks of at most `length`, cut at bins; `change` may change a frame's raw samples and noise.
/// Gives every change of health, with the second in which it was told.
fn run(
    health: &mut TileHealth,
    level: Level,
    length: usize,
    n_frames: usize,
    mut frame: impl FnMut(usize) -> (Lanes, Lanes),
) -> Vec<(f32, usize, Option<Fault>)> {
    let (rule, mut looks, mut told) = (rule(), Looks::new(), Vec::new());
    let mut from = 0;
    while from < n_frames {
        let bin_end = (from / BIN_FRAMES + 1) * BIN_FRAMES;
        let n = length.min(bin_end - from).min(n_frames - from);
        looks.fill(&rule, SampleIndex(from as u64), n);
        let frames: Vec<(Lanes, Lanes)> = (from..from + n).map(&mut frame).collect();
        for look in looks.of_tile(0, 0) {
            let raw = &frames[look.frame()].0;
            // The slow part is the same in all lanes: a reference takes it out.
            let slow = 40.0 * (TAU * 1.3 * (from + look.frame()) as f32 / HZ as f32).sin();
            health.observe_raw(level, look, raw, &raw.map(|x| x - slow));
        }
        for look in looks.of_tile(0, 0) {
            health.observe_filtered(level, &frames[look.frame()].1.map(|x| 0.5 * x));
        }
        from += n;
        if from == bin_end {
            let second = from as f32 / SECOND as f32;
            health.judge(&rule, SampleIndex(from as u64), |change| {
                told.push((second, change.lane, change.fault));
            });
        }
    }
    told
}

fn run_whole(
    health: &mut TileHealth,
    seconds: usize,
    frame: impl FnMut(usize) -> (Lanes, Lanes),
) -> Vec<(f32, usize, Option<Fault>)> {
    run(health, Level::widest(), BLOCK_FRAMES_MAX, seconds * SECOND, frame)
}

#[test]
fn healthy_lanes_stay_so_whatever_their_codes() {
    // From half a code to thousands; five minutes of 64 lanes each.
    for noise in [0.5, 1.0, 3.0, 8.0, 60.0, 3_000.0] {
        let mut tissue = Tissue::new(1, noise);
        let mut health = TileHealth::new(0, u64::MAX);
        let told = run_whole(&mut health, 300, |t| tissue.frame(t));
        assert!(told.is_empty(), "noise of {noise} counts: {:?}…", &told[..told.len().min(5)]);
    }
}

#[test]
fn every_fault_is_found_and_lost() {
    // Seconds 10 to 30 of six lanes are bad.
    let bad = 10 * SECOND..30 * SECOND;
    let mut tissue = Tissue::new(2, 20.0);
    let mut health = TileHealth::new(0, u64::MAX);
    let told = run_whole(&mut health, 40, |t| {
        let (mut raw, mut noise) = tissue.frame(t);
        if bad.contains(&t) {
            let line = |hz: f32| 900.0 * (TAU * hz * t as f32 / HZ as f32).sin();
            (raw[3], noise[3]) = (-7.0, 0.0);
            raw[10] = (raw[10] + 3_000.0 * (TAU * 1.7 * t as f32 / HZ as f32).sin()).clamp(-512.0, 511.0);
            raw[20] += line(50.0).round();
            raw[21] += line(60.0).round();
            (raw[40], noise[40]) = (raw[40] + 9.0 * noise[40], 10.0 * noise[40]);
            (raw[63], noise[63]) = (raw[63] - noise[63], 0.05 * noise[63]);
        }
        (raw, noise)
    });
    let wanted = [
        (3, Fault::Dead),
        (10, Fault::Saturated),
        (20, Fault::Mains),
        (21, Fault::Mains),
        (40, Fault::Disconnected),
        (63, Fault::Disconnected),
    ];
    for (lane, fault) in wanted {
        let of_lane: Vec<_> = told.iter().filter(|(_, l, _)| *l == lane).collect();
        let [(found, _, Some(name)), (lost, _, None)] = of_lane[..] else { panic!("{lane}: {of_lane:?}") };
        assert_eq!(*name, fault);
        // Lines are measured every fourth window, and every one from then on.
        let latest = if fault == Fault::Mains { 16.0 } else { 13.0 };
        assert!((12.0..=latest).contains(found), "{fault:?} found after {found} s");
        assert!((33.0..=34.0).contains(lost), "{fault:?} lost after {lost} s");
    }
    assert_eq!(told.len(), 2 * wanted.len(), "{told:?}");
    assert_eq!((health.masked(), health.fault(3)), (0, None));
}

#[test]
fn a_line_that_all_have_is_the_rigs() {
    let mut tissue = Tissue::new(3, 20.0);
    let mut health = TileHealth::new(0, u64::MAX);
    let told = run_whole(&mut health, 20, |t| {
        let (raw, noise) = tissue.frame(t);
        let line = 900.0 * (TAU * 50.0 * t as f32 / HZ as f32).sin();
        (raw.map(|x| x + line.round()), noise)
    });
    assert_eq!(told, []);
}

#[test]
fn one_bad_second_is_none_and_lanes_out_of_use_are_nobodys() {
    let mut tissue = Tissue::new(4, 20.0);
    let mut health = TileHealth::new(0, !(1 << 9));
    let told = run_whole(&mut health, 20, |t| {
        let (mut raw, mut noise) = tissue.frame(t);
        (raw[9], noise[9]) = (0.0, 0.0);
        if (5 * SECOND..6 * SECOND).contains(&t) {
            (raw[8], noise[8]) = (0.0, 0.0);
        }
        (raw, noise)
    });
    assert_eq!(told, []);
}

#[test]
fn few_lanes_have_no_median_and_a_gap_says_nothing() {
    let mut tissue = Tissue::new(5, 20.0);
    let mut health = TileHealth::new(0, 0b1111);
    let mut frame = |t: usize| {
        let (raw, mut noise) = tissue.frame(t);
        noise[1] *= 100.0;
        (raw, noise)
    };
    assert_eq!(run_whole(&mut health, 10, &mut frame), []);
    // A minute later, having seen nothing of it.
    let told = |change| panic!("{change:?}");
    health.judge(&rule(), SampleIndex(70 * SECOND as u64), told);
    health.judge(&rule(), SampleIndex(72 * SECOND as u64), told);
    health.forget_window();
    health.reset();
    assert_eq!(health.masked(), 0);
}

/// Silence ends in zeros: no sum is ever denormal, and silent lanes are dead.
#[test]
fn silence_after_signal_is_dead_and_not_denormal() {
    let mut tissue = Tissue::new(6, 20.0);
    let mut health = TileHealth::new(0, u64::MAX);
    let frame = |t: usize| match t {
        0..5_000 => tissue.frame(t),
        // What a filter gives while it rings out.
        _ => ([0.0; TILE_CHANNELS], [if t < 6_000 { 1e-19 } else { 0.0 }; TILE_CHANNELS]),
    };
    assert_eq!(run_whole(&mut health, 10, frame).len(), TILE_CHANNELS);
    assert_eq!(health.masked(), u64::MAX);
    assert!(!health.window.has_denormals());
}

#[test]
fn memory_is_what_it_says() {
    assert!(size_of::<TileHealth>() <= 52 * TILE_CHANNELS, "{}", size_of::<TileHealth>());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn any_cut_and_level_tells_the_same(seed in 0_u64..1_000, length in 1_usize..=BLOCK_FRAMES_MAX) {
        let told = |level: Level, length: usize| {
            let mut tissue = Tissue::new(seed, 10.0);
            let mut health = TileHealth::new(0, u64::MAX);
            let told = run(&mut health, level, length, 9 * SECOND, |t| {
                let (mut raw, mut noise) = tissue.frame(t);
                // On the edge of every rule.
                for l in 0..TILE_CHANNELS {
                    noise[l] *= if l % 5 == 0 { 3.9 + 0.02 * (l as f32) / 5.0 } else { 1.0 };
                    raw[l] = raw[l].clamp(-40.0 - l as f32, 40.0 + l as f32);
                }
                (raw, noise)
            });
            let sums = health.window.sums().map(f32::to_bits).collect::<Vec<_>>();
            (told, health.masked(), sums)
        };
        let whole = told(Level::BASELINE, BLOCK_FRAMES_MAX);
        prop_assert!(!whole.0.is_empty());
        for level in Level::all() {
            prop_assert_eq!(&whole, &told(level, length));
        }
    }
}
