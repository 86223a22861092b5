//! The simulated user's will: it sees cursor and target, a little late, and wants the one on the other.
//!
//! In: where both are, once a bin. Out: the intended velocity, m/s. It knows nothing of the decoder.

use std::collections::VecDeque;

/// A will with eyes.
pub(super) struct User {
    /// From the cursor to the target, m, as shown in the last bins.
    ways: VecDeque<[f64; 2]>,
}

impl User {
    /// One who has seen nothing yet.
    pub(super) fn new() -> Self {
        User { ways: VecDeque::from([[0.0; 2]; SEES_AFTER_BINS]) }
    }

    /// Looks at the screen; the velocity that it intends for the next bin.
    pub(super) fn look(&mut self, cursor: [f64; 2], target: [f64; 2]) -> [f64; 2] {
        self.ways.push_back([target[0] - cursor[0], target[1] - cursor[1]]);
        let way = self.ways.pop_front().expect("one was pushed");
        let speed = way[0].hypot(way[1]) * SPEED_PER_WAY;
        let scale = if speed > SPEED_MAX { SPEED_MAX / speed } else { 1.0 };
        way.map(|w| w * SPEED_PER_WAY * scale)
    }
}

/// Bins of 20 ms until it sees what was shown. People take longer, but foresee what their movements do.
const SEES_AFTER_BINS: usize = 5;
/// It slows down when nearer to the target than `SPEED_MAX` over this: m/s per m.
const SPEED_PER_WAY: f64 = 3.0;
/// The fastest that it wants, m/s.
const SPEED_MAX: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_wants_the_target_after_it_saw_it_and_no_faster_than_it_can() {
        let mut user = User::new();
        for _ in 0..SEES_AFTER_BINS {
            assert_eq!(user.look([0.0, 0.0], [3.0, 4.0]), [0.0; 2]);
        }
        let [x, y] = user.look([0.0, 0.0], [3.0, 4.0]);
        assert!((x - 0.6 * SPEED_MAX).abs() < 1e-12 && (y - 0.8 * SPEED_MAX).abs() < 1e-12);
        for _ in 0..SEES_AFTER_BINS {
            user.look([0.0, 0.0], [0.01, 0.0]);
        }
        assert_eq!(user.look([0.0, 0.0], [0.0; 2]), [0.01 * SPEED_PER_WAY, 0.0]);
    }
}
