//! The user's inner model of the cursor: what becomes of an intention, and when.
//!
//! In: what was intended, step by step. Out: how far the cursor goes for it, and will still go. With intention u, the answer
//! h that the user has got to know, and the cursor's dynamics f (gain, curve, cap),
//!
//! > w(t) = Σₖ hₖ·u(t−k),  v(t) = g·f(w(t))
//!
//! Users of decoders model their delay and smoothing (Golub et al. 2015, eLife 4:e10015; Willett et al. 2019, Sci Rep 9:8881,
//! whose h is of first order). Pure.

use super::super::Point;
use crate::config::CursorConfig;

/// How a cursor answers an intention of one step: the share of it that comes k steps later.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Answer(pub Vec<f64>);

impl Answer {
    /// All of it, `steps` later.
    pub fn after(steps: usize) -> Self {
        let mut shares = vec![0.0; steps + 1];
        shares[steps] = 1.0;
        Answer(shares)
    }

    /// Of all that comes, when it comes on average, in steps.
    pub fn mean_steps(&self) -> f64 {
        let all: f64 = self.0.iter().sum();
        let later: f64 = self.0.iter().enumerate().map(|(k, share)| k as f64 * share).sum();
        if all.abs() > SHARE_MIN { later / all } else { 0.0 }
    }
}

/// The model, without what it was asked.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    cursor: CursorConfig,
    step_seconds: f64,
    /// At least one.
    answer: Vec<f64>,
}

impl Inner {
    pub(super) fn new(cursor: CursorConfig, answer: Answer, step_seconds: f64) -> Self {
        let mut answer = answer.0;
        if answer.is_empty() {
            answer.push(1.0);
        }
        Inner { cursor, step_seconds, answer }
    }

    /// Steps over which an intention moves the cursor.
    pub(super) fn n_steps(&self) -> usize {
        self.answer.len()
    }

    /// w at a step, with `asked(k)` what was intended k steps before it.
    pub(super) fn drive(&self, asked: impl Fn(usize) -> Point) -> Point {
        self.answer.iter().enumerate().fold([0.0; 2], |sum, (k, share)| {
            let u = asked(k);
            [sum[0] + share * u[0], sum[1] + share * u[1]]
        })
    }

    /// What a cursor of gain 1 does at `w`.
    pub(super) fn velocity(&self, w: Point) -> Point {
        let CursorConfig { gain, curve, curve_speed, speed_cap, .. } = self.cursor;
        let size = w[0].hypot(w[1]);
        if size <= 0.0 {
            return [0.0; 2];
        }
        let mut speed = gain * size;
        if curve != 1.0 {
            speed *= (speed / curve_speed).powf(curve - 1.0);
        }
        if speed_cap > 0.0 {
            speed = speed.min(speed_cap);
        }
        w.map(|part| part / size * speed)
    }

    /// How much must be intended, and held, for a cursor of this speed.
    pub(super) fn intention_for(&self, speed: f64) -> f64 {
        let CursorConfig { gain, curve, curve_speed, speed_cap, .. } = self.cursor;
        let speed = if speed_cap > 0.0 { speed.min(speed_cap) } else { speed };
        let before_curve =
            if curve == 1.0 { speed } else { (speed * curve_speed.powf(curve - 1.0)).powf(1.0 / curve) };
        before_curve / gain.max(SHARE_MIN)
    }

    /// Where a cursor goes from `at` in a step at `w`, with gain `gain`.
    pub(super) fn go(&self, at: Point, w: Point, gain: f64) -> Point {
        let velocity = self.velocity(w);
        [0, 1].map(|axis| at[axis] + gain * velocity[axis] * self.step_seconds)
    }
}

/// A cursor that doesn't answer at all asks for more than anyone has.
const SHARE_MIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_intends_for_a_speed_brings_that_speed() {
        let cursor = CursorConfig { gain: 1.5, curve: 1.8, curve_speed: 0.3, ..CursorConfig::default() };
        let inner = Inner::new(cursor, Answer::after(3), 0.02);
        for speed in [0.01, 0.1, 0.3, 0.5] {
            let intention = inner.intention_for(speed);
            let [x, y] = inner.velocity([0.6 * intention, 0.8 * intention]);
            assert!((x - 0.6 * speed).abs() < 1e-12 && (y - 0.8 * speed).abs() < 1e-12, "{speed}: {x}, {y}");
        }
        assert_eq!(inner.velocity([0.0; 2]), [0.0; 2]);
    }

    #[test]
    fn an_intention_comes_when_and_as_far_as_the_answer_says() {
        let inner = Inner::new(CursorConfig::default(), Answer(vec![0.0, 0.25, 0.75]), 0.02);
        let pulse = |at: usize| inner.drive(|k| if k == at { [1.0, -2.0] } else { [0.0; 2] });
        assert_eq!(
            [pulse(0), pulse(1), pulse(2), pulse(3)],
            [[0.0; 2], [0.25, -0.5], [0.75, -1.5], [0.0; 2]]
        );
        assert_eq!((inner.n_steps(), Answer(vec![0.0, 0.25, 0.75]).mean_steps()), (3, 1.75));
        assert_eq!(inner.go([1.0, 0.0], [1.0, 0.0], 0.5), [1.01, 0.0]);
    }
}
