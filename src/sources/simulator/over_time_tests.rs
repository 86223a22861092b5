//! What changes over time: electrodes that are lost, artefacts, amplitudes, days; and the truth about it.

use super::tests::{column, only_spikes, samples, settings};
use super::*;

#[test]
fn lost_electrodes_are_flat_to_the_frame_and_come_back_as_they_were() {
    let mut whole = settings(64);
    whole.tissue.dead = 0.1;
    let mut lossy = whole.clone();
    lossy.losses = Loss::parse_all("0.25@0.02..0.05+0.1@0.04", "test").expect("legal");
    let plan = Simulator::new(&lossy).expect("legal").losses().to_vec();
    let n_alive = Simulator::new(&whole).expect("legal").alive() as f64;
    assert_eq!(plan.len() as f64, (0.25 * n_alive).round() + (0.1 * n_alive).round());
    let (before, after) = (samples(&whole, 2_000), samples(&lossy, 2_000));
    for electrode in 0..64 {
        let (kept, now) = (column(&before, 64, electrode), column(&after, 64, electrode));
        for frame in 0..2_000u64 {
            // The frame's time against the plan's, in µs.
            let at_us = frame as f64 * 1e6 / whole.sample_rate_hz;
            let lost = plan.iter().any(|lost| {
                let until_us = lost.until_ms.map_or(f64::MAX, |ms| ms as f64 * 1e3);
                lost.electrode == electrode && at_us >= lost.from_ms as f64 * 1e3 && at_us < until_us
            });
            let wanted = if lost { 0.0 } else { kept[frame as usize] };
            assert_eq!(now[frame as usize], wanted, "electrode {electrode}, frame {frame}");
        }
    }
}

#[test]
fn lost_electrodes_count_nothing_while_they_are_lost() {
    for kind in [StreamKind::Counts, StreamKind::Crossings] {
        let mut lossy = settings(64);
        (lossy.kind, lossy.tissue.rate_hz) = (kind, 40.0);
        lossy.losses = Loss::parse_all("0.5@1..2", "test").expect("legal");
        let plan = Simulator::new(&lossy).expect("legal").losses().to_vec();
        let whole = samples(&Settings { losses: Vec::new(), ..lossy.clone() }, 3_000);
        let all = samples(&lossy, 3_000);
        let (mut silenced, mut same) = (0.0, 0);
        for electrode in 0..64 {
            let (kept, now) = (column(&whole, 64, electrode), column(&all, 64, electrode));
            let lost = plan.iter().any(|lost| lost.electrode == electrode);
            for ms in 0..3_000 {
                let wanted = if lost && (1_000..2_000).contains(&ms) { 0.0 } else { kept[ms] };
                assert_eq!(now[ms], wanted, "{kind:?}, electrode {electrode}, {ms} ms");
                silenced += kept[ms] - wanted;
                same += i32::from(wanted > 0.0);
            }
        }
        assert!(silenced > 100.0 && same > 1_000, "{silenced} spikes unheard, {same} heard");
    }
}

#[test]
fn the_end_of_a_block_says_who_is_alive() {
    let mut lossy = settings(40);
    (lossy.kind, lossy.tissue.dead) = (StreamKind::Counts, 0.0);
    lossy.losses = Loss::parse_all("0.5@0.01..0.02", "test").expect("legal");
    let mut simulator = Simulator::new(&lossy).expect("legal");
    let mut block = simulator.new_block();
    let alive: Vec<usize> = (0..30)
        .map(|_| {
            simulator.read(&mut block).expect("own block");
            simulator.alive()
        })
        .collect();
    assert_eq!(alive, [[40; 10], [20; 10], [40; 10]].concat());
}

#[test]
fn artefacts_are_heard_when_the_truth_says_and_at_no_other_time() {
    let address = "sim:blackrock-utah,electrodes=64,seconds=20,drift_uv=0,mains_uv=0,empty=1,double=0,dead=0";
    for (kind, more) in [
        (ArtefactKind::Motion, "motion_per_min=30,motion_uv=2000"),
        (ArtefactKind::Stimulation, "stim_per_min=30,stim_uv=2000"),
    ] {
        let address = format!("{address},{more}");
        let truth = ground_truth(&address).expect("legal");
        assert!((3..20).contains(&truth.artefacts.len()), "{:?}", truth.artefacts);
        assert!(truth.artefacts.iter().all(|artefact| artefact.kind == kind));
        let mut recording = open(&address).expect("legal");
        let mut block = recording.source.new_block();
        let (mut outside, mut inside) = (0, vec![0; truth.artefacts.len()]);
        while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
            let Payload::Int16(values) = &block.payload else { panic!("no broadband") };
            for frame in 0..block.header.n_frames as usize {
                let at_us = (block.header.first_sample.0 + frame as u64) * 1_000 / 30;
                let peak =
                    values[frame * 64..][..64].iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
                let of = |a: &Artefact| (a.from_us..a.until_us).contains(&at_us);
                let loudest = match truth.artefacts.iter().position(of) {
                    Some(number) => &mut inside[number],
                    None => &mut outside,
                };
                *loudest = peak.max(*loudest);
            }
        }
        // 0.25 µV a count; noise of 8.9 µV stays under 60, and the quietest group hears 0.3 of it all.
        assert!(outside < 240, "{kind:?}: {outside} counts outside");
        assert!(inside.iter().all(|&peak| peak > 1_500), "{kind:?}: {inside:?}");
    }
}

#[test]
fn amplitudes_drift_by_no_more_than_asked_and_only_slowly() {
    let mut drifting = only_spikes(1); // A neighbour's spikes would add to them.
    (drifting.tissue.noise_uv, drifting.tissue.snr) = (1.0, 100.0);
    (drifting.tissue.amplitude_drift, drifting.tissue.rate_hz) = (0.5, 20.0);
    drifting.sample_rate_hz = 5_000.0;
    let mut simulator = Simulator::new(&drifting).expect("legal");
    let trough = simulator.neurons()[0].trough_uv;
    let mut block = simulator.new_block();
    let mut deepest = Vec::new();
    for _ in 0..40 {
        let mut lowest = 0;
        for _ in 0..10_000 {
            simulator.read(&mut block).expect("own block");
            let Payload::Int16(values) = &block.payload else { panic!("no broadband") };
            let frames = values[..block.header.n_frames as usize].iter();
            lowest = frames.map(|&value| -i32::from(value)).fold(lowest, i32::max);
        }
        deepest.push(f64::from(lowest) / trough);
    }
    let (least, most) = deepest.iter().fold((f64::MAX, 0.0f64), |(a, b), &d| (a.min(d), b.max(d)));
    assert!(least > 0.45 && most < 1.55, "{deepest:?}");
    assert!(most - least > 0.2, "400 s of up to 20 minutes' swings: {deepest:?}");
    assert!(deepest.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.25), "{deepest:?}");
}

#[test]
fn the_truths_spikes_are_those_that_counts_count_and_a_closed_loop_tells() {
    let address = "sim:neuralink-n1,kind=counts,electrodes=48,seconds=3,seed=8,day=2,lose=0.2@1..2";
    let truth = ground_truth(address).expect("legal");
    let mut recording = open(address).expect("legal");
    let mut block = recording.source.new_block();
    let mut counted = vec![0u32; 48];
    while recording.source.read(&mut block).expect("own block") == ReadOutcome::Block {
        let Payload::Counts(values) = &block.payload else { panic!("no counts") };
        for (at, &value) in values[..block.header.n_frames as usize * 48].iter().enumerate() {
            counted[at % 48] += u32::from(value);
        }
    }
    let mut heard = vec![0u32; 48];
    for spike in &truth.spikes {
        let electrode = truth.neurons[spike.neuron as usize].electrode;
        heard[electrode] += u32::from(truth.is_alive(electrode, spike.at_us / 1_000));
    }
    assert!(counted.iter().sum::<u32>() > 500 && counted == heard, "{counted:?}\n{heard:?}");
    assert_eq!(truth.intended.len(), 3_000);

    let mut simulator = Simulator::new(&Settings::parse(address).expect("legal")).expect("legal");
    assert_eq!(simulator.neurons(), truth.neurons);
    let mut block = simulator.new_block();
    let mut told = Vec::new();
    for intended in &truth.intended {
        simulator.intend(*intended);
        let mut on = |neuron: usize, at_us| told.push(TrueSpike { at_us, neuron: neuron as u32 });
        simulator.read_with_spikes(&mut block, &mut on).expect("own block");
    }
    told.sort_unstable();
    assert!(told == truth.spikes, "{} told, {} true", told.len(), truth.spikes.len());
}

#[test]
fn another_day_has_the_same_electrodes_and_another_noise_and_path() {
    let today = Settings::parse("sim:neuralink-n1,electrodes=64,seconds=1,seed=5").expect("legal");
    let later = Settings { day: 30, ..today.clone() };
    let [a, b] = [&today, &later].map(|settings| Simulator::new(settings).expect("legal"));
    assert_eq!(a.alive_electrodes(), b.alive_electrodes());
    let electrodes =
        |simulator: &Simulator| simulator.neurons().iter().map(|n| n.electrode).collect::<Vec<_>>();
    assert_eq!(electrodes(&a), electrodes(&b));
    assert_ne!(a.neurons(), b.neurons());
    let dead = a.alive_electrodes().iter().filter(|alive| !**alive).count();
    let (mut same, first, second) = (0, samples(&today, 500), samples(&later, 500));
    for electrode in 0..64 {
        same += usize::from(column(&first, 64, electrode) == column(&second, 64, electrode));
    }
    assert_eq!(same, dead, "only the dead are as they were");
}
