//! The sparse fit against the dense one.

use super::super::dataset::{Dataset, Targets};
use super::super::slow;
use super::*;
use crate::config::{DecoderKind, Features, RidgeShape};
use ndarray::Array2;

/// Counts of which most are 0, tuned to a velocity, with a second segment and a bin that was lost.
fn recording(n_bins: usize, n_channels: usize, lags: usize, seed: u64) -> (Dataset, Counts, Vec<usize>) {
    let mut noise = slow::noise(seed);
    let mut velocity = Array2::<f64>::zeros((n_bins, 2));
    let mut features = Array2::<f32>::zeros((n_bins, n_channels));
    let mut counts = Counts::new(n_channels);
    let starts: Vec<bool> = (0..n_bins).map(|bin| bin == 0 || bin == n_bins / 3).collect();
    for bin in 0..n_bins {
        for axis in 0..2 {
            let before = if bin > 0 { velocity[(bin - 1, axis)] } else { 0.0 };
            velocity[(bin, axis)] = 0.9 * before + 0.3 * noise() + 0.02;
        }
        for channel in 0..n_channels {
            let tuned = velocity[(bin, channel % 2)] * if channel % 3 == 0 { -1.0 } else { 1.0 };
            let chance = 0.12 + 0.1 * tuned;
            let drawn = 0.5 * (noise() + 1.0);
            features[(bin, channel)] =
                if drawn < 0.3 * chance { 2.0 } else { f32::from(u8::from(drawn < chance)) };
        }
        let of_bin = (0..n_channels).map(|channel| (channel as u16, features[(bin, channel)]));
        counts.push(starts[bin], of_bin);
    }
    let axes = vec!["x".to_string(), "y".to_string()];
    let position = Some(velocity.mapv(|v| 0.3 * v + 1.0));
    let movement = Movement { axes, unit: "m".into(), velocity, position };
    // The dense fit takes what was before a segment for the mean; the sparse one leaves such rows out.
    let whole: Vec<bool> =
        (0..n_bins).map(|bin| bin != 17 && bin + 1 >= lags && (bin % (n_bins / 3)) + 1 >= lags).collect();
    let data = Dataset {
        features: features.into_shared(),
        kinds: Features::Counts,
        starts_segment: starts,
        received: vec![true; n_bins],
        whole,
        targets: Targets::Movement(movement),
        rows: 0..n_bins,
    };
    let rows = data.fit_rows();
    (data, counts, rows)
}

fn movement(data: &Dataset) -> &Movement {
    match &data.targets {
        Targets::Movement(movement) => movement,
        Targets::Classes { .. } => panic!("the recording has movement"),
    }
}

#[test]
fn it_is_the_dense_solution_with_its_strength() {
    for (n_bins, n_channels, lags) in [(400, 30, 2), (150, 200, 1), (300, 60, 3)] {
        for ridge_shape in [RidgeShape::Plain, RidgeShape::Decaying] {
            let (data, counts, rows) = recording(n_bins, n_channels, lags, 7);
            let config = DecoderConfig {
                kind: DecoderKind::Wiener,
                lags,
                ridge_shape,
                min_events: 5.0,
                ridge: vec![3.0, 10.0, 30.0, 100.0, 1000.0],
                ..DecoderConfig::default()
            };
            let dense = super::super::fit(&data, &config).expect("regular");
            let wide = fit(&counts, movement(&data), &rows, &config, 2, |_| ()).expect("regular");
            assert_eq!(wide.choices, dense.choices, "{n_bins} × {n_channels} × {lags}, {ridge_shape:?}");
            let (a, b) = (wide.decoder.linear().weights(), dense.decoder.linear().weights());
            let size = b.readout.iter().map(|w| w * w).sum::<f32>().sqrt();
            let difference =
                a.readout.iter().zip(&b.readout).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
            assert!(difference < 1e-3 * size, "{} of the dense weights", difference / size);
            for (a, b) in a.offset.iter().zip(&b.offset) {
                assert!((a - b).abs() < 1e-3, "{a} for {b}");
            }
        }
    }
}

#[test]
fn a_fit_whose_matrices_would_be_too_large_is_made_without_them() {
    let (data, _, _) = recording(20_000, 300, 1, 7);
    let of = |lags| DecoderConfig { kind: DecoderKind::Wiener, lags, ..DecoderConfig::default() };
    let is_wide =
        |data: &Dataset, config: &DecoderConfig| crate::train::is_wide(data, config).expect("events");
    assert!(is_wide(&data, &of(100)) && !is_wide(&data, &of(10)));
    let squared = DecoderConfig { normaliser: Some(NormaliserKind::Sqrt), ..of(100) };
    let kalman = DecoderConfig { kind: DecoderKind::Kalman, ..of(100) };
    assert!(!is_wide(&data, &squared) && !is_wide(&data, &kalman));
    let power = Dataset { kinds: Features::Power, ..data.clone() };
    assert!(!is_wide(&power, &of(100)));
}

#[test]
fn what_train_fits_so_is_what_this_fits_and_has_no_sums() {
    // Few bins, so that it is soon done; so many regressors that the dense fit would take over 4 GiB.
    let (data, counts, rows) = recording(700, 60_000, 15, 7);
    let config = DecoderConfig {
        kind: DecoderKind::Wiener,
        lags: 15,
        ridge: vec![100.0, 1000.0],
        ..DecoderConfig::default()
    };
    let by_train = crate::train::fit(&data, &config).expect("regular");
    let here = fit(&counts, movement(&data), &rows, &config, 1, |_| ()).expect("regular");
    assert!(by_train.decoder == here.decoder, "another fit than that of many counts");
    let refused = crate::train::Basis::of(&data, &config, &by_train.decoder, &by_train.choices);
    assert!(refused.expect_err("too large").to_string().contains("wide-kalman"));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (data, counts, rows) = recording(200, 40, 2, 3);
    let config =
        DecoderConfig { lags: 2, min_events: 5.0, ridge: vec![10.0, 100.0], ..DecoderConfig::default() };
    let of = |threads| fit(&counts, movement(&data), &rows, &config, threads, |_| ()).expect("regular");
    let one = of(1);
    for threads in [2, 3, 16, 99] {
        assert_eq!(of(threads).decoder, one.decoder, "{threads} threads");
    }
}

#[test]
fn silence_and_strengths_of_0_are_refused() {
    let (data, counts, rows) = recording(60, 4, 1, 3);
    let none = DecoderConfig { ridge: vec![0.0], ..DecoderConfig::default() };
    assert!(fit(&counts, movement(&data), &rows, &none, 1, |_| ()).is_err());
    let mut silent = Counts::new(4);
    (0..60).for_each(|bin| silent.push(bin == 0, std::iter::empty()));
    assert!(fit(&silent, movement(&data), &rows, &DecoderConfig::default(), 1, |_| ()).is_err());
}

#[test]
fn a_wide_kalman_filter_is_the_textbook_one_with_a_diagonal_q_for_the_channels_that_remain() {
    let (mut data, counts, rows) = recording(500, 20, 1, 9);
    // A position that the velocity doesn't tell.
    if let Targets::Movement(Movement { position: Some(position), .. }) = &mut data.targets {
        let mut noise = slow::noise(10);
        for bin in 1..500 {
            for axis in 0..2 {
                position[(bin, axis)] = 0.95 * position[(bin - 1, axis)] + 0.2 * noise();
            }
        }
    }
    let config = DecoderConfig { min_events: 5.0, ..DecoderConfig::default() };
    let wide = WideKalman::fit(&counts, movement(&data), &rows, &config, 2).expect("regular");
    let lost = |channel: usize| channel % 4 == 1;
    let decoder = wide.steady(lost).expect("it converges");
    // Wu et al. (2006) on the same rows, dense and slow.
    let rows: Vec<usize> = rows.into_iter().filter(|&row| row != 0 && !data.starts_segment[row]).collect();
    let n = rows.len();
    let state = |rows: &[usize]| targets(movement(&data), rows);
    let now = state(&rows);
    let means: Vec<f64> = (0..4).map(|j| now.col(j).iter().sum::<f64>() / n as f64).collect();
    let centred = |of: Mat<f64>| Mat::from_fn(n, 4, |i, j| of[(i, j)] - means[j]);
    let (now, before) = (centred(now), centred(state(&rows.iter().map(|row| row - 1).collect::<Vec<_>>())));
    let least_squares = |x: &Mat<f64>, y: &Mat<f64>| slow::solve(&(x.transpose() * x), &(x.transpose() * y));
    let mut jittered = before.transpose() * &before;
    (0..4).for_each(|i| jittered[(i, i)] += 1e-9);
    let a = slow::solve(&jittered, &(before.transpose() * &now)).transpose().to_owned();
    let left = &now - &before * a.transpose();
    let w = left.transpose() * &left * faer::Scale(1.0 / n as f64);
    let keep: Vec<usize> = (0..20).filter(|&channel| !lost(channel)).collect();
    let normaliser = decoder.normaliser();
    let z = |row: usize, channel: usize| f64::from(normaliser.scaled(channel, data.features[(row, channel)]));
    let x = Mat::from_fn(n, keep.len(), |i, j| z(rows[i], keep[j]));
    let c = least_squares(&now, &x).transpose().to_owned();
    let left = &x - &now * c.transpose();
    let q = Mat::from_fn(keep.len(), keep.len(), |i, j| {
        if i == j { left.col(i).iter().map(|e| e * e).sum::<f64>() / n as f64 } else { 0.0 }
    });
    let (mut s, mut p) = (Mat::<f64>::zeros(4, 1), w.clone());
    let mut live = decoder.clone();
    live.reset();
    for row in 0..300 {
        let observed = Mat::from_fn(keep.len(), 1, |j, _| z(row, keep[j]));
        let prior = &a * &p * a.transpose() + &w;
        let innovation = &c * &prior * c.transpose() + &q;
        let gain = slow::solve(&innovation, &(&c * &prior)).transpose().to_owned();
        let ahead = &a * &s;
        s = &ahead + &gain * (&observed - &c * &ahead);
        p = &prior - &gain * &c * &prior;
        let mut bin = data.bin(row);
        bin.starts_segment = row == 0;
        let crate::intents::Action::Move { velocity, .. } = live.decode(&bin).action else {
            panic!("it moves")
        };
        for axis in 0..2 {
            let expected = s[(axis, 0)] + means[axis];
            let off = (f64::from(velocity[axis]) - expected).abs();
            assert!(row < 150 || off < 2e-3, "bin {row}: {} for {expected}", velocity[axis]);
        }
    }
    assert!(wide.steady(|_| true).is_some(), "with nothing left it comes to rest");
}
