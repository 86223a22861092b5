//! The task: a cursor, and one target after another to hold it on.
//!
//! In: the decoded velocity of each bin. Out: where the cursor goes, which targets were hit, and how long
//! each took. Guarantees that the seed alone decides the targets.

use efference::sources::simulator::WORKSPACE_M;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A target that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Where it was, m.
    pub(super) to: [f64; 2],
    /// From its appearing to the end of the hold, or to the time limit.
    pub(super) seconds: f64,
    pub(super) hit: bool,
}

/// Cursor and targets.
pub(super) struct Targets {
    rng: Xoshiro256PlusPlus,
    bin_seconds: f64,
    /// x, y in m.
    pub(super) cursor: [f64; 2],
    pub(super) target: [f64; 2],
    shown_bins: u32,
    held_bins: u32,
    /// Those that are over.
    pub(super) attempts: Vec<Attempt>,
}

impl Targets {
    /// The cursor in the middle, and a first target.
    pub(super) fn new(seed: u64, bin_seconds: f64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let target = next_target([0.0; 2], &mut rng);
        Targets {
            rng,
            bin_seconds,
            cursor: [0.0; 2],
            target,
            shown_bins: 0,
            held_bins: 0,
            attempts: Vec::new(),
        }
    }

    /// Moves the cursor by one bin at `velocity`, m/s; it stays in the workspace.
    pub(super) fn move_cursor(&mut self, velocity: [f64; 2]) {
        for (at, v) in self.cursor.iter_mut().zip(velocity) {
            *at = (*at + v * self.bin_seconds).clamp(-EDGE_M, EDGE_M);
        }
        self.shown_bins += 1;
        let is_on = distance(self.cursor, self.target) <= TARGET_RADIUS_M;
        self.held_bins = if is_on { self.held_bins + 1 } else { 0 };
        let seconds = |bins: u32| f64::from(bins) * self.bin_seconds;
        // Half a bin forgives the rounding of sums of bins.
        let half = self.bin_seconds / 2.0;
        let hit = seconds(self.held_bins) + half >= HOLD_SECONDS;
        if hit || seconds(self.shown_bins) + half >= LIMIT_SECONDS {
            let seconds = seconds(self.shown_bins);
            self.attempts.push(Attempt { to: self.target, seconds, hit });
            self.target = next_target(self.target, &mut self.rng);
            self.shown_bins = 0;
            self.held_bins = 0;
        }
    }

    /// How many were hit.
    pub(super) fn n_hit(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.hit).count()
    }

    /// Median time to a target, of those that were hit.
    pub(super) fn median_seconds(&self) -> Option<f64> {
        let mut seconds: Vec<f64> =
            self.attempts.iter().filter(|attempt| attempt.hit).map(|attempt| attempt.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let middle = seconds.len() / 2;
        match seconds.len() {
            0 => None,
            n if n % 2 == 1 => Some(seconds[middle]),
            _ => Some((seconds[middle - 1] + seconds[middle]) / 2.0),
        }
    }
}

/// Anywhere in the workspace, but not beside the last one.
fn next_target(last: [f64; 2], rng: &mut Xoshiro256PlusPlus) -> [f64; 2] {
    loop {
        let target = [(); 2].map(|()| rng.random_range(-WORKSPACE_M..WORKSPACE_M));
        if distance(last, target) >= APART_MIN_M {
            return target;
        }
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Radius of a target.
pub(super) const TARGET_RADIUS_M: f64 = 0.015;
/// Half the side of the square that the cursor can't leave: a margin round the workspace of the targets.
pub(super) const EDGE_M: f64 = 0.13;
/// How long the cursor must stay on a target.
pub(super) const HOLD_SECONDS: f64 = 0.4;
/// A target that isn't hit in this time is missed.
pub(super) const LIMIT_SECONDS: f64 = 5.0;
/// A target is at least this far from the one before.
const APART_MIN_M: f64 = 0.06;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_hit_by_a_whole_hold_and_not_by_passing() {
        let mut targets = Targets::new(1, 0.02);
        let first = targets.target;
        targets.cursor = first;
        (0..19).for_each(|_| targets.move_cursor([0.0; 2]));
        targets.move_cursor([2.0 * TARGET_RADIUS_M / 0.02, 0.0]);
        assert!(targets.attempts.is_empty(), "it left before the hold was over");
        targets.cursor = first;
        (0..20).for_each(|_| targets.move_cursor([0.0; 2]));
        assert_eq!((targets.n_hit(), targets.median_seconds()), (1, Some(0.8)));
        assert!(distance(first, targets.target) >= APART_MIN_M);
    }

    #[test]
    fn a_target_is_missed_at_the_limit_and_the_cursor_stays_in_its_square() {
        let mut targets = Targets::new(2, 0.02);
        (0..250).for_each(|_| targets.move_cursor([-1.0, 1.0]));
        assert_eq!(targets.cursor, [-EDGE_M, EDGE_M]);
        assert_eq!((targets.attempts.len(), targets.n_hit(), targets.median_seconds()), (1, 0, None));
    }
}
