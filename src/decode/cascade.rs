//! What a linear filter says, put right for speed and for how active the population is.
//!
//! In: the velocity d that a linear decoder says in a bin, and the activity t of its features. Out: the velocity
//!
//! > v = d·(a + b·|d| + c·t),  t(now) = ½·t(before) + ½·(mean of the normalised features that are heard)
//!
//! Behind a linear filter that is a static nonlinearity, a Wiener cascade (Hunter and Korenberg 1986, Biol Cybern 55:135; on
//! motor cortex Pohlmeyer et al. 2007, IEEE TNSRE 15:369): a ridge makes slow movement too fast and fast movement too slow, b
//! mends it. c takes out a gain that all neurons share: where what moves rates multiplies them (Goris, Movshon and Simoncelli
//! 2014, Nat Neurosci 17:858), a more active population says of the same velocity that it is faster. The three are fitted
//! ([`crate::train::cascade`]). The direction is the filter's, position is left as it is. Pure; no memory but t, which is a
//! state of the decoder that it doesn't say.

use super::Weights;
use crate::intents::Action;
use serde::{Deserialize, Serialize};

/// v = d·(a + b·|d| + c·t).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cascade {
    /// a: of what is slow, in a population as active as in training.
    pub at_rest: f64,
    /// b: more for each unit of speed.
    pub by_speed: f64,
    /// c: more for each deviation of activity.
    pub by_activity: f64,
}

impl Cascade {
    /// What changes nothing.
    pub const NONE: Cascade = Cascade { at_rest: 1.0, by_speed: 0.0, by_activity: 0.0 };

    /// Whether all three are numbers.
    pub fn is_finite(&self) -> bool {
        [self.at_rest, self.by_speed, self.by_activity].into_iter().all(f64::is_finite)
    }

    /// `action` with its velocity put right, in a population of this activity; a choice stays as it is.
    pub(super) fn shape(&self, action: Action, activity: f64) -> Action {
        let Action::Move { n_axes, velocity, position } = action else { return action };
        let speed = velocity.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        let share = self.at_rest + self.by_speed * speed + self.by_activity * activity;
        // What is not finite stays as it is, for safety to see.
        let share = if share.is_finite() { share.clamp(SHARE_MIN, SHARE_MAX) } else { 1.0 };
        Action::Move { n_axes, velocity: velocity.map(|v| (f64::from(v) * share) as f32), position }
    }
}

impl Weights {
    /// The same with one state more, the last, which nothing is said of: the activity of the features that are heard.
    pub(super) fn with_activity(&self) -> Weights {
        let Weights { n_features, lags, n_states, .. } = *self;
        let (n, n_outputs) = (n_states + 1, self.offset.len());
        let is_heard: Vec<bool> = (0..n_features)
            .map(|feature| self.readout.iter().skip(feature).step_by(n_features).any(|weight| *weight != 0.0))
            .collect();
        let n_heard = is_heard.iter().filter(|heard| **heard).count().max(1);
        let mut readout = Vec::with_capacity(lags * n * n_features);
        for (lag, states) in self.readout.chunks_exact(n_states * n_features).enumerate() {
            readout.extend_from_slice(states);
            let share = if lag == 0 { ((1.0 - KEPT) / n_heard as f64) as f32 } else { 0.0 };
            readout.extend(is_heard.iter().map(|&heard| if heard { share } else { 0.0 }));
        }
        let mut recurrence = vec![0.0; n * n];
        for (row, into) in self.recurrence.chunks_exact(n_states).zip(recurrence.chunks_exact_mut(n)) {
            into[..n_states].copy_from_slice(row);
        }
        recurrence[n * n - 1] = KEPT;
        let mut output = vec![0.0; n_outputs * n];
        for (said, into) in output.chunks_exact_mut(n).enumerate() {
            match self.output.is_empty() {
                true => into[said] = 1.0,
                false => into[..n_states].copy_from_slice(&self.output[said * n_states..][..n_states]),
            }
        }
        Weights { n_features, lags, n_states: n, readout, recurrence, output, offset: self.offset.clone() }
    }

    /// What [`Weights::with_activity`] was made of.
    pub(super) fn without_activity(&self) -> Weights {
        let Weights { n_features, lags, n_states: n, .. } = *self;
        // What says nothing stands as no matrix at all.
        let but_last = |rows: &[f64], of_nothing: fn(usize) -> f64| -> Vec<f64> {
            let kept: Vec<f64> = rows.chunks_exact(n).flat_map(|row| &row[..n - 1]).copied().collect();
            let is_square = kept.len() == (n - 1) * (n - 1);
            let says_nothing = kept.iter().enumerate().all(|(at, &value)| value == of_nothing(at % n));
            if is_square && says_nothing { Vec::new() } else { kept }
        };
        Weights {
            n_features,
            lags,
            n_states: n - 1,
            readout: (self.readout.chunks_exact(n * n_features))
                .flat_map(|states| &states[..(n - 1) * n_features])
                .copied()
                .collect(),
            recurrence: but_last(&self.recurrence[..(n - 1) * n], |_| 0.0),
            output: but_last(&self.output, |place| if place == 0 { 1.0 } else { 0.0 }),
            offset: self.offset.clone(),
        }
    }
}

/// Of the activity in the bin before: two bins or so count.
const KEPT: f64 = 0.5;
/// Nobody's population says so much less or more than it was trained on.
const SHARE_MIN: f64 = 0.2;
const SHARE_MAX: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intents::AXES_MAX;

    fn moves(velocity: [f32; AXES_MAX]) -> Action {
        Action::Move { n_axes: 2, velocity, position: Some([1.0, 2.0, 0.0]) }
    }

    #[test]
    fn it_does_what_its_formula_says_and_leaves_position_alone() {
        let cascade = Cascade { at_rest: 0.5, by_speed: 0.1, by_activity: -0.25 };
        // |d| = 5, t = 1: 0.5 + 0.5 − 0.25.
        assert_eq!(cascade.shape(moves([3.0, -4.0, 0.0]), 1.0), moves([2.25, -3.0, 0.0]));
        assert_eq!(cascade.shape(moves([3.0, -4.0, 0.0]), 1e9), moves([0.6, -0.8, 0.0]), "never backwards");
        let same = moves([0.3, f32::MIN_POSITIVE, -0.0]);
        assert_eq!(Cascade::NONE.shape(same, 3.0), same);
        let Action::Move { velocity, .. } = cascade.shape(moves([f32::NAN, 1.0, 0.0]), 0.0) else { panic!() };
        assert!(velocity[0].is_nan());
        let chosen = Action::Choose { class: 1, probability: 0.9 };
        assert_eq!(cascade.shape(chosen, 1.0), chosen);
    }

    #[test]
    fn activity_is_a_state_that_is_not_said() {
        let plain = Weights {
            n_features: 3,
            lags: 2,
            n_states: 1,
            readout: vec![1.0, 0.0, 0.0, 0.0, 0.0, 2.0],
            recurrence: vec![],
            output: vec![],
            offset: vec![7.0],
        };
        let with = plain.with_activity();
        // The second feature is heard by nobody.
        assert_eq!(with.readout, [1.0, 0.0, 0.0, 0.25, 0.0, 0.25, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!((&with.recurrence[..], &with.output[..]), (&[0.0, 0.0, 0.0, 0.5][..], &[1.0, 0.0][..]));
        assert_eq!(with.without_activity(), plain);
        let kalman = Weights { recurrence: vec![0.5], output: vec![2.0], ..plain };
        assert_eq!(kalman.with_activity().without_activity(), kalman);
        let two = Weights {
            n_states: 2,
            readout: vec![1.0; 12],
            output: vec![0.0, 1.0, 1.0, 0.0],
            offset: vec![0.0; 2],
            ..kalman
        };
        assert_eq!(
            Weights { recurrence: vec![], ..two.clone() }.with_activity().without_activity().output,
            two.output
        );
    }
}
