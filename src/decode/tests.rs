//! Weights that are taken over while bins come.

use super::*;
use crate::config::{Features, NormaliserKind};
use crate::intents::Action;
use crate::time::SampleIndex;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const N: usize = 5;

fn weights(lags: usize, seed: u32, recurrent: bool) -> Weights {
    let mut state = seed;
    let mut value = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1u32 << 23) - 1.0
    };
    Weights {
        n_features: N,
        lags,
        n_states: 2,
        readout: (0..lags * 2 * N).map(|_| value() as f32).collect(),
        recurrence: if recurrent { vec![0.9, 0.1, -0.1, 0.8] } else { vec![] },
        output: vec![],
        offset: vec![value(), value()],
    }
}

fn decoder(weights: Weights) -> Decoder {
    let normaliser = Normaliser::from_parts(NormaliserKind::Zscore, vec![0.4; N], vec![1.3; N]);
    let output = Output::Move { n_axes: 2, has_position: false };
    let linear = LinearDecoder::new(weights, output).expect("sizes fit");
    Decoder::new(normaliser.expect("finite"), linear)
}

fn velocity(decoder: &mut Decoder, index: u64, counts: [u8; N]) -> [f32; 2] {
    let mut bin = Bin::of_crossings(Features::Counts, N);
    for (channel, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        bin.features[channel] = f32::from(count);
        bin.touched.as_mut().expect("of crossings").insert(channel);
    }
    (bin.index, bin.end, bin.received_frames, bin.starts_segment) =
        (index, SampleIndex(index + 1), 1, index == 0);
    match decoder.decode(&bin).action {
        Action::Move { velocity, .. } => [velocity[0], velocity[1]],
        Action::Choose { .. } => panic!("it moves"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Both decoders run all along; after the swap the first one's past and the second one's future add up.
    #[test]
    fn each_bin_counts_with_the_weights_of_its_time(
        counts in prop::collection::vec(prop::array::uniform5(0u8..4), 1..30),
        lags in 1usize..6,
        swaps in prop::collection::vec(0usize..30, 0..4),
        recurrent: bool,
    ) {
        let pair = || [1, 2].map(|seed| decoder(weights(lags, seed, recurrent)));
        let [mut dense, mut other] = pair();
        let [sparse, sparse_other] = pair();
        let (mut sparse, mut sparse_other) = (sparse.for_crossings(), sparse_other.for_crossings());
        let both = [1, 2].map(|seed| weights(lags, seed, recurrent));
        let (mut now, mut of_bin, mut state) = (0, Vec::new(), [0.0f64; 2]);
        for (at, &bin) in counts.iter().enumerate() {
            for _ in swaps.iter().filter(|swap| **swap == at) {
                prop_assert!(dense.take_over(&mut other) && sparse.take_over(&mut sparse_other));
                now = 1 - now;
            }
            of_bin.push(now);
            let mut next = [0.0f64; 2];
            for (i, next) in next.iter_mut().enumerate() {
                for lag in 0..lags.min(at + 1) {
                    let of = &both[of_bin[at - lag]];
                    for (feature, &count) in counts[at - lag].iter().enumerate() {
                        let z = (f64::from(count) - f64::from(0.4f32)) * f64::from(1.3f32);
                        *next += f64::from(of.readout[(lag * 2 + i) * N + feature]) * z;
                    }
                }
                let rows = both[now].recurrence.chunks_exact(2).nth(i);
                *next += rows.map_or(0.0, |row| row[0] * state[0] + row[1] * state[1]);
            }
            state = next;
            let said = [velocity(&mut dense, at as u64, bin), velocity(&mut sparse, at as u64, bin)];
            for said in said {
                for axis in 0..2 {
                    let expected = state[axis] + both[now].offset[axis];
                    let off = (f64::from(said[axis]) - expected).abs();
                    prop_assert!(off < 1e-4 * (1.0 + expected.abs()), "bin {at}: {said:?} for {expected}");
                }
            }
            dense.prepare();
        }
    }
}

#[test]
fn decoders_of_another_shape_are_not_taken_over() {
    let mut live = decoder(weights(2, 1, false));
    let before = live.clone();
    let mut longer = decoder(weights(3, 1, false));
    assert!(!live.take_over(&mut longer));
    assert!(!live.take_over(&mut decoder(weights(2, 2, false)).for_crossings()));
    assert_eq!(live, before);
    assert!(live.with_weights(Weights { n_features: 4, ..weights(2, 1, false) }).is_none());
}

#[test]
fn a_cascade_stays_when_weights_are_taken_over_and_hears_what_they_hear() {
    let cascade = Cascade { at_rest: 0.9, by_speed: 0.2, by_activity: -0.4 };
    let plain = decoder(weights(2, 1, true));
    let mut live = plain.with_cascade(cascade).expect("finite");
    assert_eq!((live.weights(), live.cascade()), (plain.weights(), Some(cascade)));
    let mut filter = plain.clone();
    let bins: [[u8; N]; 4] = [[1, 0, 2, 0, 0], [0, 3, 0, 0, 1], [2, 2, 0, 1, 0], [0, 0, 0, 0, 4]];
    let mut activity = 0.0;
    for (index, counts) in bins.into_iter().enumerate() {
        let (said, of_filter) =
            (velocity(&mut live, index as u64, counts), velocity(&mut filter, index as u64, counts));
        // Counts less their mean of 0.4, in deviations of 1 / 1.3; half of what was, half of what is.
        let mean = counts.iter().map(|&n| (f64::from(n) - 0.4) * 1.3).sum::<f64>() / N as f64;
        activity = 0.5 * activity + 0.5 * mean;
        assert!((live.activity() - activity).abs() < 1e-6, "{} for {activity}", live.activity());
        let speed = f64::from(of_filter[0]).hypot(of_filter[1].into());
        let share = 0.9 + 0.2 * speed - 0.4 * activity;
        for (said, of_filter) in said.iter().zip(of_filter) {
            assert!((f64::from(*said) - share * f64::from(of_filter)).abs() < 1e-6);
        }
    }
    assert!(!live.is_alike(&plain) && live.with_cascade(Cascade { by_speed: f64::NAN, ..cascade }).is_none());
    // Two features are heard no more: the others say what is active.
    let mut fewer = weights(2, 5, true);
    fewer.readout.iter_mut().enumerate().filter(|(at, _)| at % N < 2).for_each(|(_, weight)| *weight = 0.0);
    let mut next = live.with_weights(fewer).expect("they fit");
    let before = live.activity();
    assert!(live.take_over(&mut next) && live.activity() == before, "it goes on where it stood");
    velocity(&mut live, 4, [9, 9, 1, 1, 1]);
    assert!((live.activity() - (0.5 * before + 0.5 * 0.6 * 1.3)).abs() < 1e-6);
}
