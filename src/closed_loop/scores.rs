//! What a session was worth.
//!
//! In: a [`Session`]. Out: its scores, each by the formula of [`crate::tasks::score`].

use super::{Session, TaskKind};
use crate::tasks::score::{self, Throughput};
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
        }
    }
}
