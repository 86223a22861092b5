//! What a field is to be like: its spectrum, beta over a movement, tuning that can be found again, blocks.

use super::*;
use crate::block::Payload;
use crate::device::Profile;
use crate::filter::design::butterworth_band_pass;
use crate::recording::Truth;
use crate::sources::simulator::{Simulator, open};
use crate::sources::{ReadOutcome, SampleSource};
use crate::spectrum::{Collector, Plan, slope};
use proptest::prelude::*;

/// Settings of a profile whose electrodes hear nothing, until a test says what.
fn silent(profile: &str, electrodes: usize) -> Settings {
    let mut settings = Settings::new(Profile::named(profile).expect("shipped"));
    settings.electrodes = electrodes;
    settings.tissue.dead = 0.0;
    settings.tissue.noise_uv = 0.0;
    settings.tissue.mains_uv = 0.0;
    settings.potential = Potential {
        background_uv: 0.0,
        beta_uv: 0.0,
        gamma_uv: 0.0,
        gamma_depth: 0.8,
        gamma_gain: 1.0,
        tuned: 0.5,
        ..Potential::default()
    };
    // So that rounding is far below everything.
    settings.profile.uv_per_count.value = 0.01;
    settings
}

/// `seconds` of each electrode, µV; `velocity` is asked for each block.
fn live(simulator: &mut Simulator, seconds: f64, velocity: impl Fn(f64) -> [f64; 2]) -> Vec<Vec<f64>> {
    let (n_channels, rate_hz) = (simulator.info().n_channels(), simulator.info().sample_rate.hz());
    let uv = f64::from(simulator.info().uv_per_count.expect("broadband has a scale"));
    let mut block = simulator.new_block();
    let mut traces = vec![Vec::new(); n_channels];
    while (traces[0].len() as f64) < seconds * rate_hz {
        simulator.intend(velocity(traces[0].len() as f64 / rate_hz));
        simulator.read(&mut block).expect("own block");
        let Payload::Int16(values) = &block.payload else { panic!("no samples") };
        for frame in values.chunks(n_channels).take(block.header.n_frames as usize) {
            frame.iter().zip(&mut traces).for_each(|(&v, trace)| trace.push(f64::from(v) * uv));
        }
    }
    traces
}

fn power(traces: &[Vec<f64>]) -> f64 {
    let n = traces.iter().map(Vec::len).sum::<usize>();
    traces.iter().flatten().map(|v| v * v).sum::<f64>() / n as f64
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| f(a, b)).sum::<f64>();
    let n = a.len() as f64;
    let (ma, mb) = (sum(&|a, _| a) / n, sum(&|_, b| b) / n);
    let product = |f: &dyn Fn(f64, f64) -> f64| sum(f) / n;
    let (aa, bb) = (product(&|a, _| a * a) - ma * ma, product(&|_, b| b * b) - mb * mb);
    (product(&|a, b| a * b) - ma * mb) / (aa * bb).sqrt()
}

#[test]
fn the_background_falls_with_exponent_2_below_the_knee_and_4_above() {
    for profile in ["precision-layer7", "neucyber-beinao1"] {
        let mut settings = silent(profile, 64);
        settings.sample_rate_hz = 2_000.0;
        settings.potential.background_uv = 50.0;
        let mut simulator = Simulator::new(&settings).expect("legal");
        let info = simulator.info().clone();
        let plan = Plan::new(&info, 0..64, 120_000, "test").expect("long enough");
        let mut collector = Collector::new(&info, plan);
        let mut block = simulator.new_block();
        while !collector.is_done() {
            simulator.read(&mut block).expect("own block");
            collector.observe(&block);
        }
        let densities = collector.finish("test").expect("a spectrum").densities;
        let n = densities.values.len() / densities.n_bins;
        let mean =
            |bin: usize| (0..n).map(|c| densities.values[c * densities.n_bins + bin]).sum::<f32>() / n as f32;
        let density: Vec<f32> = (0..densities.n_bins).map(mean).collect();
        let low = slope(&density, densities.resolution_hz).expect("enough bins");
        assert!((low + 2.0).abs() < 0.25, "{profile}: exponent {low} from 2 to 40 Hz");
        let octaves = |low_hz: f64, high_hz: f64| {
            let at = |hz: f64| {
                let bin = (hz / densities.resolution_hz).round() as usize;
                f64::from(density[bin - 3..=bin + 3].iter().sum::<f32>())
            };
            (at(high_hz) / at(low_hz)).log2() / (high_hz / low_hz).log2()
        };
        // The model's own, of 1 / (f² (f² + 70²)), are −3.66 from 100 to 400 Hz and −3.87 from 200 to 400 Hz.
        assert!((octaves(100.0, 400.0) + 3.66).abs() < 0.1, "{}", octaves(100.0, 400.0));
        assert!((octaves(200.0, 400.0) + 3.87).abs() < 0.15, "{}", octaves(200.0, 400.0));
        let deviation = power(&live(&mut simulator, 30.0, |_| [0.0; 2])).sqrt();
        assert!((deviation - 50.0).abs() < 6.0, "{deviation} µV");
    }
}

#[test]
fn beta_falls_in_movement_by_the_stated_share_and_rebounds_after() {
    let mut settings = silent("precision-layer7", 1024);
    settings.potential.beta_uv = 10.0;
    settings.potential.beta_depth = 0.6;
    let mut simulator = Simulator::new(&settings).expect("legal");
    let rest = power(&live(&mut simulator, 20.0, |_| [0.0; 2]));
    assert!((rest.sqrt() - 10.0).abs() < 0.4, "{} µV", rest.sqrt());
    live(&mut simulator, 3.0, |_| [0.2, 0.0]);
    let moving = power(&live(&mut simulator, 20.0, |t| [0.2 * t.cos(), 0.2 * t.sin()]));
    assert!((moving / rest - 0.4).abs() < 0.04, "{} of the power at rest", moving / rest);
    // The movement lasts until 0.1 s after its intent.
    live(&mut simulator, 0.35, |_| [0.0; 2]);
    let after = power(&live(&mut simulator, 0.5, |_| [0.0; 2]));
    assert!((2.3..4.5).contains(&(after / rest)), "{} of the power at rest", after / rest);
    live(&mut simulator, 6.0, |_| [0.0; 2]);
    let again = power(&live(&mut simulator, 20.0, |_| [0.0; 2]));
    assert!((again / rest - 1.0).abs() < 0.1, "{} of the power at rest", again / rest);
}

#[test]
fn high_gamma_power_says_the_velocity_as_each_site_says() {
    let mut settings = silent("neucyber-beinao1", 128);
    settings.potential.gamma_uv = 5.0;
    let mut simulator = Simulator::new(&settings).expect("legal");
    let sites = simulator.sites().to_vec();
    // Steady speed: only the direction changes.
    let (speed, turns_hz) = (0.3, 0.31);
    let velocity = |t: f64| [speed * (TAU * turns_hz * t).cos(), speed * (TAU * turns_hz * t).sin()];
    let rest = live(&mut simulator, 20.0, |_| [0.0; 2]);
    let traces = live(&mut simulator, 120.0, velocity);
    let (bin, delay_s) = (50, 0.05);
    let mut compared = 0;
    for site in &sites {
        let powers: Vec<f64> = traces[site.electrode]
            .chunks_exact(bin)
            .map(|c| c.iter().map(|v| v * v).sum::<f64>() / bin as f64)
            .collect();
        let angle = |b: usize| TAU * turns_hz * ((b as f64 + 0.5) * bin as f64 * 1e-3 - delay_s);
        let along: Vec<f64> = (0..powers.len()).map(|b| (angle(b) - site.preferred).cos()).collect();
        let found = correlation(&powers, &along);
        if !site.tuned {
            assert!(found.abs() < 0.12, "{site:?}: {found}");
            continue;
        }
        let at_rest = power(&rest[site.electrode..=site.electrode]);
        let mean = powers.iter().sum::<f64>() / powers.len() as f64;
        assert!((mean / at_rest - 1.0 - site.gain).abs() < 0.45, "{site:?}: {}", mean / at_rest);
        if site.depth < 0.6 {
            continue;
        }
        assert!(found > 0.3, "{site:?}: correlation {found}");
        let part = |f: fn(f64) -> f64| {
            powers.iter().enumerate().map(|(b, p)| p * f(angle(b))).sum::<f64>() * 2.0 / powers.len() as f64
        };
        let (x, y) = (part(f64::cos), part(f64::sin));
        let off = (y.atan2(x) - site.preferred).sin().abs();
        assert!(off < 0.35, "{site:?}: off by {off}");
        assert!((x.hypot(y) / at_rest - site.depth).abs() < 0.35, "{site:?}: depth {}", x.hypot(y) / at_rest);
        compared += 1;
    }
    assert!(compared >= 20 && sites.iter().any(|site| !site.tuned), "{compared} compared");
}

#[test]
fn neighbours_hear_nearly_the_same_and_are_tuned_nearly_alike() {
    let mut settings = Settings::new(Profile::named("precision-layer7").expect("shipped"));
    settings.potential.tuned = 0.5;
    let mut simulator = Simulator::new(&settings).expect("legal");
    let sites = simulator.sites().to_vec();
    let traces = live(&mut simulator, 4.0, |_| [0.0; 2]);
    let alive: Vec<usize> = (0..1024).filter(|&e| simulator.alive_electrodes()[e]).collect();
    let mean = |apart: usize| {
        let pairs: Vec<f64> = alive
            .iter()
            .filter(|&&e| e % 32 + apart < 32 && simulator.alive_electrodes()[e + apart])
            .map(|&e| correlation(&traces[e], &traces[e + apart]))
            .collect();
        pairs.iter().sum::<f64>() / pairs.len() as f64
    };
    let near = mean(1);
    assert!(near > 0.95 && mean(8) < 0.8 && mean(20).abs() < 0.3, "{near}, {}, {}", mean(8), mean(20));
    let turned = |apart: usize| {
        let tuned: Vec<f64> = sites
            .iter()
            .filter(|s| s.electrode % 32 + apart < 32 && s.tuned && sites[s.electrode + apart].tuned)
            .map(|s| (s.preferred - sites[s.electrode + apart].preferred).cos())
            .collect();
        tuned.iter().sum::<f64>() / tuned.len() as f64
    };
    assert!(turned(1) > 0.93 && turned(12) < 0.6, "{}, {}", turned(1), turned(12));
}

#[test]
fn a_vessel_leaves_less_of_high_gamma() {
    let heard = |profile: &str| {
        let mut settings = silent(profile, 16);
        settings.potential.gamma_uv = 5.0;
        power(&live(&mut Simulator::new(&settings).expect("legal"), 20.0, |_| [0.0; 2]))
    };
    let share = heard("synchron-stentrode") / heard("precision-layer7");
    assert!((share - 0.57).abs() < 0.06, "{share}");
}

#[test]
fn a_recording_tells_its_truth_and_holds_high_gamma() {
    let mut recording = open("sim:synchron-stentrode,seconds=4,seed=2").expect("legal");
    assert_eq!((recording.about.n_channels, recording.about.n_frames), (16, 8_000));
    assert!(
        recording.about.synthetic && recording.about.notes[1].contains("Field potentials of 16 electrodes")
    );
    assert!(matches!(&recording.truth, Truth::Kinematics(k) if k.velocity.dim() == (4_000, 2)));
    let mut block = recording.source.new_block();
    let mut first = Vec::new();
    while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
        let Payload::Int16(values) = &block.payload else { panic!("no samples") };
        assert_eq!(block.header.n_frames, 2, "a millisecond at 2 kHz");
        first.extend(values.chunks(16).take(2).map(|frame| f64::from(frame[0]) * 0.1));
    }
    assert_eq!(first.len(), 8_000);
    let mut output = first;
    for section in butterworth_band_pass(2, 70.0, 150.0, 2_000.0).expect("legal") {
        let (mut one, mut two) = (0.0, 0.0);
        for v in &mut output {
            let y = section.b[0] * *v + one;
            one = section.b[1] * *v - section.a[0] * y + two;
            two = section.b[2] * *v - section.a[1] * y;
            *v = y;
        }
    }
    let deviation = power(&[output[500..].to_vec()]).sqrt();
    assert!((1.5..6.0).contains(&deviation), "{deviation} µV in 70–150 Hz");
}

#[test]
fn reading_takes_no_memory() {
    let mut simulator =
        Simulator::new(&Settings::new(Profile::named("neucyber-beinao1").expect("shipped"))).expect("legal");
    let mut block = simulator.new_block();
    let taken = allocation_counter::measure(|| {
        for k in 0..2_000 {
            simulator.intend([0.3 * (f64::from(k) / 100.0).sin(), 0.1]);
            simulator.read(&mut block).expect("own block");
        }
    });
    assert_eq!(taken.count_total, 0);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_same_seed_gives_the_same_samples_in_any_blocks(
        seed in any::<u64>(), n in 1usize..70, a in 1usize..=64, b in 1usize..=64,
        rate_hz in prop::sample::select(vec![400.0, 999.5, 1_000.0, 2_000.0, 30_000.0]),
    ) {
        let samples = |block_frames: usize| {
            let address = format!("sim:neucyber-beinao1@{rate_hz},electrodes={n},seed={seed},seconds=0.4");
            let mut settings = Settings::parse(&address).expect("legal");
            settings.block_frames = Some(block_frames);
            let mut recording = crate::sources::simulator::script::record(&address, &settings).expect("legal");
            let mut block = recording.source.new_block();
            let mut all = Vec::new();
            while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
                let Payload::Int16(values) = &block.payload else { panic!("no samples") };
                all.extend_from_slice(&values[..block.header.n_frames as usize * n]);
            }
            all
        };
        let first = samples(a);
        prop_assert!(first.iter().any(|&v| v != first[0]) || n == 1);
        prop_assert!(first == samples(b));
    }
}
