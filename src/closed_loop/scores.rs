//! What a session was worth.
//!
//! In: a [`Session`]. Out: its scores, each by the formula of [`crate::tasks::score`], and where the time to a target goes.

use super::{Session, TaskKind};
use crate::tasks::score::{self, Throughput};
use crate::tasks::{Attempt, Outcome};
use serde::Serialize;

/// The scores of a session; synthetic, as the session is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Bits a second on Webgrid ([`score::webgrid_bitrate`], which is the achieved bitrate of a grid).
    pub bits_per_second: Option<f64>,
    /// Right clicks.
    pub correct: u32,
    /// Wrong ones.
    pub incorrect: u32,
    /// Targets that were reached, and that were missed.
    pub hits: usize,
    /// See [`Scores::hits`].
    pub misses: usize,
    /// Fitts' throughput.
    pub throughput: Option<Throughput>,
    /// Median time to a target, s.
    pub median_seconds_to_target: Option<f64>,
    /// Straight way over way gone.
    pub path_efficiency: Option<f64>,
    /// Mean seconds of orbiting.
    pub orbiting_seconds: Option<f64>,
    /// Where the time to a target goes.
    pub phases: Option<Phases>,
}

/// The time to a target in its parts, each the mean over the targets that were hit, s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phases {
    /// From its appearing until the cursor first comes on it: reaction and the way.
    pub way_seconds: f64,
    /// From there until the stay begins in which it is hit: corrections.
    pub correction_seconds: f64,
    /// From there to the click, or to the hold's end.
    pub stay_seconds: f64,
}

impl Phases {
    /// `None` where nothing was hit.
    fn of(attempts: &[Attempt]) -> Option<Self> {
        let mut sums = [0.0; 3];
        let mut n_hits = 0u32;
        for attempt in attempts.iter().filter(|attempt| attempt.outcome == Outcome::Hit) {
            let (Some(first), Some(last)) = (attempt.first_touch_seconds, attempt.last_touch_seconds) else {
                continue;
            };
            n_hits += 1;
            for (sum, part) in sums.iter_mut().zip([first, last - first, attempt.seconds - last]) {
                *sum += part;
            }
        }
        let [way_seconds, correction_seconds, stay_seconds] = sums.map(|sum| sum / f64::from(n_hits));
        (n_hits > 0).then_some(Phases { way_seconds, correction_seconds, stay_seconds })
    }
}

impl Session {
    /// What it was worth, as this task.
    pub fn scores(&self, task: TaskKind) -> Scores {
        let (hits, misses) = score::hits_and_misses(&self.attempts);
        Scores {
            bits_per_second: match task {
                TaskKind::Webgrid { side } => {
                    Some(score::webgrid_bitrate(side, self.correct, self.incorrect, self.seconds))
                }
                TaskKind::CenterOut | TaskKind::Pursuit => None,
            },
            correct: self.correct,
            incorrect: self.incorrect,
            hits,
            misses,
            throughput: score::fitts_throughput(&self.attempts),
            median_seconds_to_target: score::median_seconds_to_target(&self.attempts),
            path_efficiency: score::path_efficiency(&self.attempts),
            orbiting_seconds: score::orbiting_seconds(&self.attempts),
            phases: Phases::of(&self.attempts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Shape, Target};

    #[test]
    fn phases_are_means_over_hits_and_add_up_to_their_time() {
        let target = Target { center: [0.0; 2], half_width: 1.0, shape: Shape::Round };
        let attempt = |outcome, first, last, seconds| Attempt {
            target,
            from: [3.0, 0.0],
            at: [0.0; 2],
            seconds,
            outcome,
            first_click: None,
            wrong_clicks: 0,
            path: 3.0,
            first_touch_seconds: Some(first),
            last_touch_seconds: Some(last),
        };
        let hits = [attempt(Outcome::Hit, 0.5, 0.5, 1.0), attempt(Outcome::Hit, 1.0, 1.5, 2.5)];
        let phases = Phases::of(&hits).expect("two hits");
        assert_eq!(phases, Phases { way_seconds: 0.75, correction_seconds: 0.25, stay_seconds: 0.75 });
        let missed = attempt(Outcome::Missed, 9.0, 9.0, 10.0);
        assert_eq!(Phases::of(&[hits[0].clone(), hits[1].clone(), missed.clone()]), Some(phases));
        assert_eq!(Phases::of(&[missed]), None);
    }
}
