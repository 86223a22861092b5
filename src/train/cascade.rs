//! The static nonlinearity behind a linear decoder: see [`crate::decode::Cascade`].
//!
//! In: a decoder, and bins that it wasn't fitted on: on its own it says speeds better than it ever will. Out: the three numbers
//! that bring its velocity d nearest to the true one v, by least squares over all axes,
//!
//! > min Σ (v − d·(a + b·|d| + c·(t − k₀ − k₁·|d|)))²
//!
//! with k from a regression of the activity t on |d|: what is left is the activity that speed doesn't explain. Where that alone is
//! asked for, b is 0 there, and slow and fast movement stay in proportion.

use super::{Dataset, Targets};
use crate::config::CascadeKind;
use crate::decode::{Cascade, Decoder};
use crate::intents::Action;
use faer::prelude::Solve;
use faer::{Mat, Side};

/// The cascade for `decoder`, from the bins in `data.rows`; `None` where they have too little movement to tell, where the decoder
/// can't have one, or where none is asked for.
pub fn cascade(data: &Dataset, decoder: &Decoder, kind: CascadeKind) -> Option<Cascade> {
    let Targets::Movement(movement) = &data.targets else { return None };
    let mut decoder = decoder.with_cascade(Cascade::NONE)?;
    let mut said = Vec::new();
    for row in 0..data.rows.end.min(data.targets.n_bins()) {
        let action = decoder.decode(&data.bin(row)).action;
        if let (Action::Move { velocity, .. }, true) = (action, data.whole[row] && data.rows.contains(&row)) {
            let d = velocity.map(f64::from);
            let speed = d.iter().map(|v| v * v).sum::<f64>().sqrt();
            said.push((row, d, speed, decoder.activity()));
        }
    }
    // How active the population is as a rule at a speed.
    let of_speed = fit(2, said.iter().map(|&(_, _, speed, activity)| (vec![1.0, speed], activity)))?;
    let has_speed = match kind {
        CascadeKind::None => return None,
        CascadeKind::Activity => false,
        CascadeKind::Full => true,
    };
    let terms = said.iter().flat_map(|&(row, d, speed, activity)| {
        let unexplained = activity - of_speed[0] - of_speed[1] * speed;
        let velocity = movement.velocity.row(row).to_vec();
        velocity.into_iter().zip(d).map(move |(v, d)| match has_speed {
            false => (vec![d, d * unexplained], v),
            true => (vec![d, d * unexplained, d * speed], v),
        })
    });
    let found = fit(if has_speed { 3 } else { 2 }, terms)?;
    let by_activity = found[1];
    let cascade = Cascade {
        at_rest: found[0] - by_activity * of_speed[0],
        by_speed: found.get(2).copied().unwrap_or_default() - by_activity * of_speed[1],
        by_activity,
    };
    cascade.is_finite().then_some(cascade)
}

/// Weights of `n` terms by least squares.
fn fit(n: usize, rows: impl Iterator<Item = (Vec<f64>, f64)>) -> Option<Vec<f64>> {
    let mut gram = Mat::<f64>::zeros(n, n);
    let mut product = Mat::<f64>::zeros(n, 1);
    for (terms, wanted) in rows {
        for (i, a) in terms.iter().enumerate() {
            product[(i, 0)] += a * wanted;
            terms.iter().enumerate().for_each(|(j, b)| gram[(i, j)] += a * b);
        }
    }
    let found = gram.llt(Side::Lower).ok()?.solve(&product);
    Some((0..n).map(|i| found[(i, 0)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Features, NormaliserKind};
    use crate::decode::{LinearDecoder, Normaliser, Output, Weights};
    use crate::train::Movement;
    use ndarray::Array2;

    /// Two features that move, and a third that tells of activity alone.
    fn decoder() -> Decoder {
        let weights = Weights {
            n_features: 3,
            lags: 1,
            n_states: 2,
            readout: vec![0.1, 0.0, 1e-6, 0.0, 0.1, 1e-6],
            recurrence: vec![],
            output: vec![],
            offset: vec![-0.45, -0.45],
        };
        let normaliser =
            Normaliser::from_parts(NormaliserKind::Zscore, vec![0.0; 3], vec![1.0; 3]).expect("finite");
        let linear = LinearDecoder::new(weights, Output::Move { n_axes: 2, has_position: false });
        Decoder::new(normaliser, linear.expect("sizes fit"))
    }

    /// Bins in which the truth is what `of` makes of what the filter says, its speed and the activity.
    fn data(of: impl Fn([f64; 2], f64, f64) -> [f64; 2]) -> Dataset {
        let n = 200;
        let features =
            Array2::from_shape_fn((n, 3), |(bin, f)| ((bin * [7, 11, 5][f] + bin * bin) % 10) as f32);
        let mut data = Dataset {
            features: features.into_shared(),
            kinds: Features::Counts,
            starts_segment: (0..n).map(|bin| bin == 0).collect(),
            whole: vec![true; n],
            received: vec![true; n],
            targets: Targets::Movement(Movement {
                axes: vec!["x".into(), "y".into()],
                unit: "m".into(),
                velocity: Array2::zeros((n, 2)),
                position: None,
            }),
            rows: 0..n,
        };
        let mut decoder = decoder().with_cascade(Cascade::NONE).expect("finite");
        let velocity: Vec<f64> = (0..n)
            .flat_map(|row| {
                let Action::Move { velocity, .. } = decoder.decode(&data.bin(row)).action else {
                    panic!("it moves")
                };
                let d = [f64::from(velocity[0]), f64::from(velocity[1])];
                of(d, d[0].hypot(d[1]), decoder.activity())
            })
            .collect();
        if let Targets::Movement(movement) = &mut data.targets {
            movement.velocity = Array2::from_shape_vec((n, 2), velocity).expect("two a bin");
        }
        data
    }

    #[test]
    fn a_nonlinearity_that_is_there_is_found() {
        let wanted = Cascade { at_rest: 0.7, by_speed: 0.5, by_activity: -0.05 };
        let Cascade { at_rest, by_speed, by_activity } = wanted;
        let data =
            data(|d, speed, activity| d.map(|d| d * (at_rest + by_speed * speed + by_activity * activity)));
        let found = cascade(&data, &decoder(), CascadeKind::Full).expect("it moves");
        for (found, wanted) in
            [(found.at_rest, at_rest), (found.by_speed, by_speed), (found.by_activity, by_activity)]
        {
            assert!((found - wanted).abs() < 1e-5, "{found} for {wanted}");
        }
        assert_eq!(cascade(&data, &decoder(), CascadeKind::None), None);
    }

    #[test]
    fn without_speed_slow_and_fast_stay_in_proportion() {
        // What is true is the filter's word: activity says nothing, though it goes with speed.
        let data = data(|d, _, _| d);
        let found = cascade(&data, &decoder(), CascadeKind::Activity).expect("it moves");
        assert!(
            (found.at_rest - 1.0).abs() < 1e-6
                && found.by_speed.abs() < 1e-6
                && found.by_activity.abs() < 1e-6
        );
        let nothing = Dataset { rows: 0..0, ..data };
        assert_eq!(cascade(&nothing, &decoder(), CascadeKind::Activity), None, "nothing tells");
    }
}
