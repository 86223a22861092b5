//! What crosses the simulator's files: blocks, seeds, statistics of the signal, recoverable tuning.

use super::neurons::Neuron;
use super::*;
use crate::device::Profile;
use crate::recording::Truth;
use proptest::prelude::*;

/// Settings for `n` electrodes of the profile with 10 bits and groups of 16.
pub(super) fn settings(n: usize) -> Settings {
    let mut settings = Settings::new(Profile::named("neuralink-n1").expect("shipped"));
    settings.electrodes = n;
    settings
}

/// A tissue of spikes alone: no noise to speak of, one neuron on every electrode.
pub(super) fn only_spikes(n: usize) -> Settings {
    let mut settings = settings(n);
    settings.tissue = Tissue {
        noise_uv: 1.0,
        snr: 100.0,
        // So slow that waveforms of neighbours seldom fall on each other.
        rate_hz: 6.0,
        common_uv: 0.0,
        drift_uv: 0.0,
        mains_uv: 0.0,
        dead: 0.0,
        empty: 0.0,
        double: 0.0,
        ..Tissue::default()
    };
    settings
}

/// `n_frames` frames one after another; the intended velocity turns, so that it matters when it was set.
pub(super) fn samples(settings: &Settings, n_frames: usize) -> Vec<i32> {
    let mut body = Body::new(settings).expect("legal");
    let mut block = Simulator { body: body.clone(), held: [0.0; 2] }.new_block();
    let mut all = Vec::new();
    while (body.next_frame as usize) < n_frames {
        let left = n_frames as u64 - body.next_frame;
        let turns = |ms: u64| [(ms as f64 / 50.0).cos(), (ms as f64 / 50.0).sin()];
        body.read(&mut block, left, turns, |_, _| ()).expect("own block");
        let n = block.header.n_frames as usize * settings.electrodes;
        match &block.payload {
            Payload::Int16(values) => all.extend(values[..n].iter().map(|&v| i32::from(v))),
            Payload::Counts(values) => all.extend(values[..n].iter().map(|&v| i32::from(v))),
            Payload::Crossings(events) => {
                assert!(events.is_sorted());
                let before = all.len();
                all.resize(before + n, 0);
                for event in events {
                    all[before
                        + usize::from(event.frame) * settings.electrodes
                        + usize::from(event.channel)] += 1;
                }
            }
            Payload::Float32(_) => unreachable!("the simulator gives integers"),
        }
    }
    all
}

pub(super) fn column(all: &[i32], n_channels: usize, channel: usize) -> Vec<f64> {
    all.iter().skip(channel).step_by(n_channels).map(|&v| f64::from(v)).collect()
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>() / n
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
        kind in prop::sample::select(vec![StreamKind::Broadband, StreamKind::Counts, StreamKind::Crossings]),
    ) {
        let mut settings = settings(n);
        settings.seed = seed;
        settings.kind = kind;
        // Every other seed with all that changes over time.
        if seed % 2 == 0 {
            settings.day = 3;
            settings.losses = Loss::parse_all("0.5@0.01..0.02+0.3@0.015", "test").expect("legal");
            (settings.tissue.amplitude_drift, settings.tissue.motion_per_min) = (0.5, 60.0);
            settings.tissue.stim_per_min = 60.0;
        }
        settings.block_frames = Some(a);
        let first = samples(&settings, 700);
        settings.block_frames = Some(b);
        prop_assert!(first == samples(&settings, 700)); // prop_assert_eq would print thousands of samples
    }
}

#[test]
fn a_clone_lives_on_as_the_original_does() {
    let mut original = Simulator::new(&settings(64)).expect("legal");
    original.intend([0.5, 0.2]);
    let mut block = original.new_block();
    (0..50).for_each(|_| assert_eq!(original.read(&mut block).expect("own block"), ReadOutcome::Block));
    let mut clone = original.clone();
    let mut again = block.clone();
    for _ in 0..2_000 {
        original.read(&mut block).expect("own block");
        clone.read(&mut again).expect("own block");
        assert!(block == again);
    }
}

#[test]
fn other_seeds_give_other_samples() {
    for kind in [StreamKind::Broadband, StreamKind::Counts] {
        let mut one = settings(32);
        one.kind = kind;
        let mut two = one.clone();
        two.seed = 2;
        assert_ne!(samples(&one, 500), samples(&two, 500));
    }
}

#[test]
fn samples_saturate_at_the_rails_of_the_bits() {
    let mut loud = settings(32);
    loud.tissue.noise_uv = 400.0;
    let all = samples(&loud, 20_000);
    assert_eq!((all.iter().min(), all.iter().max()), (Some(&-512), Some(&511)));
}

#[test]
fn dead_electrodes_are_flat_and_live_ones_are_not() {
    let mut half = settings(200);
    half.tissue.dead = 0.5;
    let simulator = Simulator::new(&half).expect("legal");
    assert!((70..130).contains(&simulator.alive()), "{} alive", simulator.alive());
    let all = samples(&half, 2_000);
    for (channel, &alive) in simulator.alive_electrodes().iter().enumerate() {
        assert_eq!(column(&all, 200, channel).iter().any(|&v| v != 0.0), alive, "channel {channel}");
    }
}

#[test]
fn noise_has_the_asked_deviations_and_a_group_shares_its_part() {
    let mut quiet = settings(32);
    quiet.tissue =
        Tissue { drift_uv: 0.0, mains_uv: 0.0, dead: 0.0, empty: 1.0, double: 0.0, ..quiet.tissue };
    let all = samples(&quiet, 100_000);
    let channels: Vec<Vec<f64>> = (0..32).map(|c| column(&all, 32, c)).collect();
    let mean = |pairs: &[(usize, usize)]| {
        pairs.iter().map(|&(a, b)| covariance(&channels[a], &channels[b])).sum::<f64>() / pairs.len() as f64
    };
    let own = mean(&(0..32).map(|c| (c, c)).collect::<Vec<_>>());
    // 8² of its own, 4² shared, 1/12 from rounding; the couplings spread by 10 %.
    assert!((own - 80.1).abs() < 2.5, "{own} µV²");
    let within = mean(&[(0, 1), (2, 13), (5, 9), (16, 31), (20, 25)]);
    let between = mean(&[(0, 16), (3, 20), (15, 17), (9, 31)]);
    assert!((within - 16.0).abs() < 2.0, "{within} µV²");
    assert!(between.abs() < 0.5, "{between} µV²");
}

#[test]
fn drift_is_slow_and_mains_is_at_its_frequency() {
    let mut hum = settings(1);
    hum.tissue =
        Tissue { noise_uv: 0.0, common_uv: 0.0, drift_uv: 0.0, mains_uv: 100.0, dead: 0.0, ..hum.tissue };
    let trace = column(&samples(&hum, 19_531), 1, 0);
    let rises = trace.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count();
    assert!((49..=50).contains(&rises), "{rises} in a second");
    hum.tissue.mains_uv = 0.0;
    hum.tissue.drift_uv = 50.0;
    let trace = column(&samples(&hum, 20 * 19_531), 1, 0);
    let deviation = covariance(&trace, &trace).sqrt();
    assert!((30.0..75.0).contains(&deviation), "{deviation} µV");
    let (now, later) = (&trace[..trace.len() - 20], &trace[20..]);
    assert!(covariance(now, later) > 0.99 * covariance(&trace, &trace), "it changes little in a millisecond");
}

#[test]
fn broadband_holds_the_spikes_that_counts_count() {
    let n = 48;
    let broadband = only_spikes(n);
    let counts = Settings { kind: StreamKind::Counts, ..broadband.clone() };
    let seconds = 5;
    let simulator = Simulator::new(&broadband).expect("legal");
    let traces = samples(&broadband, seconds * 19_531);
    let counted = samples(&counts, seconds * 1_000);
    let trough =
        |e: usize| simulator.neurons().iter().find(|n| n.electrode == e).map_or(0.0, |n| n.trough_uv);
    let mut compared = 0;
    for e in 1..n - 1 {
        let limit = -0.5 * trough(e).min(511.0);
        if trough(e - 1).max(trough(e + 1)) * 0.25 > 0.8 * -limit {
            continue; // It hears a neighbour as loud as its own neuron.
        }
        let trace = column(&traces, n, e);
        let crossings = trace.windows(2).filter(|w| w[0] > limit && w[1] <= limit).count();
        let spikes: f64 = column(&counted, n, e).iter().sum();
        assert!(
            (crossings as f64 - spikes).abs() <= 1.0,
            "electrode {e}: {crossings} crossings, {spikes} spikes"
        );
        compared += 1;
    }
    assert!(compared > n / 2);
}

#[test]
fn crossings_are_the_spikes_that_counts_count() {
    for width_ms in [1, 5, 20] {
        let mut counts = settings(200);
        (counts.kind, counts.width_ms, counts.block_frames) = (StreamKind::Counts, width_ms, Some(7));
        let crossings = Settings { kind: StreamKind::Crossings, ..counts.clone() };
        let all = samples(&counts, 600);
        assert!(all.iter().sum::<i32>() > 500, "spikes are among them");
        assert!(all == samples(&crossings, 600), "frames of {width_ms} ms");
    }
}

#[test]
fn a_block_without_room_for_all_crossings_is_shorter() {
    let mut busy = settings(50);
    (busy.kind, busy.block_frames, busy.tissue.rate_hz) = (StreamKind::Crossings, Some(64), 100.0);
    let mut simulator = Simulator::new(&busy).expect("legal");
    let n_neurons = simulator.neurons().len();
    let (mut wide, mut narrow) = (simulator.new_block(), Block::crossings(3 * n_neurons));
    let mut again = simulator.clone();
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    let take = |simulator: &mut Simulator, block: &mut Block, all: &mut Vec<(u64, u16)>| {
        simulator.read(block).expect("room for a frame");
        let Payload::Crossings(events) = &block.payload else { panic!("crossings") };
        all.extend(
            events.iter().map(|event| (block.header.first_sample.0 + u64::from(event.frame), event.channel)),
        );
        block.header.n_frames
    };
    assert_eq!(take(&mut simulator, &mut wide, &mut whole), 64);
    let mut frames = 0;
    while frames < 64 {
        let n_frames = take(&mut again, &mut narrow, &mut parts);
        assert!((3..64).contains(&n_frames), "{n_frames} frames");
        frames += n_frames;
    }
    parts.retain(|&(frame, _)| frame < 64);
    assert_eq!(parts, whole, "none is left out");
    assert!(again.read(&mut Block::crossings(n_neurons - 1)).is_err(), "no room for a frame");
}

#[test]
fn regression_of_counts_on_velocity_finds_the_preferred_directions() {
    let address = "sim:neuralink-n1,electrodes=60,kind=counts,width_ms=20,seconds=600,seed=5,modulation=0.8";
    let settings = Settings::parse(address).expect("legal");
    let simulator = Simulator::new(&settings).expect("legal");
    let mut recording = open(address).expect("legal");
    let Truth::Kinematics(kinematics) = &recording.truth else { panic!("no kinematics") };
    let mut block = recording.source.new_block();
    let mut all = Vec::new();
    while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
        let Payload::Counts(values) = &block.payload else { panic!("no counts") };
        all.extend(values[..block.header.n_frames as usize * 60].iter().map(|&v| i32::from(v)));
    }
    let mut compared = 0;
    for (i, neuron) in simulator.neurons().iter().enumerate() {
        let shared = simulator.neurons().iter().filter(|n| n.electrode == neuron.electrode).count() > 1;
        if shared || neuron.modulation_hz < 4.0 {
            continue;
        }
        let counts = column(&all, 60, neuron.electrode);
        // The middle of the bin, and the neuron's own lead over the movement.
        let rows: Vec<usize> =
            (0..counts.len()).map(|bin| (bin * 20 + 10 + neuron.lag_ms as usize).min(599_999)).collect();
        let axis = |a: usize| rows.iter().map(|&row| kinematics.velocity[[row, a]]).collect::<Vec<f64>>();
        let (x, y) = (axis(0), axis(1));
        let (xx, xy, yy) = (covariance(&x, &x), covariance(&x, &y), covariance(&y, &y));
        let (cx, cy) = (covariance(&counts, &x), covariance(&counts, &y));
        let determinant = xx * yy - xy * xy;
        let (gx, gy) = ((cx * yy - cy * xy) / determinant, (cy * xx - cx * xy) / determinant);
        let off = (gy.atan2(gx) - neuron.preferred).sin().atan2((gy.atan2(gx) - neuron.preferred).cos());
        assert!(off.abs() < 0.25, "neuron {i}: off by {off} rad, {neuron:?}");
        // Spikes a bin per m/s to spikes a second at full speed; less where the rate is cut off at 0.
        if neuron.modulation_hz < 0.9 * neuron.rate_hz {
            let depth = gx.hypot(gy) / 0.02 * 0.3;
            assert!((depth / neuron.modulation_hz - 1.0).abs() < 0.25, "neuron {i}: {depth}, {neuron:?}");
        }
        compared += 1;
    }
    assert!(compared >= 10, "{compared} neurons compared");
}

#[test]
fn movement_follows_the_intended_velocity_after_the_longest_lag() {
    let mut settings = settings(4);
    settings.kind = StreamKind::Counts;
    let mut simulator = Simulator::new(&settings).expect("legal");
    let mut block = simulator.new_block();
    simulator.intend([0.1, -0.2]);
    for _ in 0..settings.tissue.lag_max_ms {
        simulator.read(&mut block).expect("own block");
        assert_eq!(simulator.movement(), [0.0, 0.0]);
    }
    simulator.read(&mut block).expect("own block");
    let [x, y] = simulator.movement();
    assert!((x - 0.1).abs() < 1e-6 && (y + 0.2).abs() < 1e-6);
}

#[test]
fn a_recording_ends_where_it_said_and_tells_what_it_is() {
    let mut recording = open("sim:blackrock-utah,seconds=0.2503,electrodes=5,seed=9").expect("legal");
    let mut block = recording.source.new_block();
    let mut frames = 0;
    while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
        assert_eq!(block.header.first_sample.0, frames);
        assert_eq!(block.header.starts_segment, frames == 0);
        frames += u64::from(block.header.n_frames);
    }
    assert_eq!((frames, recording.source.n_frames()), (7_509, Some(7_509)));
    let Truth::Kinematics(kinematics) = &recording.truth else { panic!("no kinematics") };
    assert_eq!(kinematics.velocity.dim(), (251, 2));
    assert!(recording.about.synthetic && recording.source.info().synthetic);
    assert!(recording.about.notes[0].contains("seed 9"));
    let error = recording.source.read(&mut Block::int16(4)).expect("it is over");
    assert_eq!(error, ReadOutcome::End);
    let mut other = open("sim:blackrock-utah,electrodes=5").expect("legal");
    assert!(other.source.read(&mut Block::int16(4)).is_err());
    assert!(other.source.read(&mut Block::counts(5)).is_err());
}

#[test]
fn reading_takes_no_memory() {
    for kind in [StreamKind::Broadband, StreamKind::Counts, StreamKind::Crossings] {
        let mut settings = settings(100);
        settings.kind = kind;
        settings.tissue.rate_hz = 60.0;
        settings.losses = Loss::parse_all("0.5@0.1..0.5", "test").expect("legal");
        (settings.tissue.amplitude_drift, settings.tissue.motion_per_min) = (0.5, 60.0);
        settings.tissue.stim_per_min = 60.0;
        let mut simulator = Simulator::new(&settings).expect("legal");
        let mut block = simulator.new_block();
        let taken = allocation_counter::measure(|| {
            for k in 0..2_000 {
                simulator.intend([0.3 * (f64::from(k) / 100.0).sin(), 0.1]);
                simulator.read(&mut block).expect("own block");
            }
        });
        assert_eq!(taken.count_total, 0, "{kind:?}");
    }
}

#[test]
fn silent_channels_are_those_that_never_fire() {
    let recording = open("sim:neuralink-n1,electrodes=64,kind=counts,seconds=1,empty=0.5").expect("legal");
    let settings = Settings::parse("sim:neuralink-n1,electrodes=64,empty=0.5").expect("legal");
    let simulator = Simulator::new(&settings).expect("legal");
    let hears = |e: usize| simulator.neurons().iter().any(|n: &Neuron| n.electrode == e);
    let expected: Vec<&String> =
        (0..64).filter(|&e| !hears(e)).map(|e| &simulator.info().channels[e]).collect();
    assert!(!expected.is_empty());
    assert_eq!(recording.about.silent_channels.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn devices_that_hear_spikes_give_the_samples_that_they_gave() {
    for (kind, expected) in [
        (StreamKind::Broadband, 0x781a_9554_86ab_3fb9),
        (StreamKind::Counts, 0xc1a6_0a0c_814f_91c7),
        (StreamKind::Crossings, 0xc1a6_0a0c_814f_91c7),
    ] {
        let mut settings = settings(64);
        settings.kind = kind;
        // FNV-1a, of 64 bits: models that were trained on a seed stay good for as long as this holds.
        let bytes = samples(&settings, 2_000).into_iter().flat_map(i32::to_le_bytes);
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(hash, expected, "{kind:?}: {hash:#x}");
    }
}
