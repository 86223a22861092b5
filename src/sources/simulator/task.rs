//! What a subject does with its hand, scripted before the first frame.
//!
//! In: a [`Task`], a length and a seed. Out: position (m) and velocity (m/s) of a hand in the plane, one
//! row a millisecond. Guarantees that velocity is the exact derivative of position and that every reach
//! starts and ends at rest.
//!
//! Reaches follow the minimum-jerk profile of Flash and Hogan (1985, J Neurosci 5:1688):
//! p(τ) = p₀ + (p₁ − p₀)(10τ³ − 15τ⁴ + 6τ⁵) with τ the part of the reach's time that has passed.

use super::lanes::{Purpose, generator};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What the subject of a recording does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Reaches from target to target, each anywhere in the workspace.
    Random,
    /// Reaches from the centre to one of eight targets and back.
    CenterOut,
    /// Nothing.
    Rest,
}

impl Task {
    /// The task of this name in addresses.
    pub fn named(name: &str) -> Option<Task> {
        [Task::Random, Task::CenterOut, Task::Rest].into_iter().find(|task| task.name() == name)
    }

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Task::Random => "random",
            Task::CenterOut => "center-out",
            Task::Rest => "rest",
        }
    }
}

/// A hand's path, one row a millisecond.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// x, y in m; within ±[`WORKSPACE_M`].
    pub position: Vec<[f64; 2]>,
    /// x, y in m/s.
    pub velocity: Vec<[f64; 2]>,
}

impl Path {
    /// The path of `task` over `n_ms` milliseconds; every reach is drawn from `seed`.
    ///
    /// ```
    /// use efference::sources::simulator::{Path, Task};
    /// let path = Path::new(Task::Random, 3_000, 1);
    /// assert_eq!((path.position.len(), path.velocity.len()), (3_000, 3_000));
    /// assert_eq!(path.velocity[0], [0.0; 2]);
    /// ```
    pub fn new(task: Task, n_ms: usize, seed: u64) -> Path {
        let mut rng = generator(seed, Purpose::Task);
        let mut path = Path { position: Vec::with_capacity(n_ms), velocity: Vec::with_capacity(n_ms) };
        let mut at = [0.0; 2];
        while path.position.len() < n_ms {
            let to = next_target(task, at, &mut rng);
            path.reach(at, to, n_ms);
            let hold_ms = rng.random_range(HOLD_MS);
            path.hold(to, hold_ms, n_ms);
            at = to;
        }
        path
    }

    fn reach(&mut self, from: [f64; 2], to: [f64; 2], n_ms: usize) {
        let way = [to[0] - from[0], to[1] - from[1]];
        let duration_ms = reach_ms(way[0].hypot(way[1]));
        for ms in 0..duration_ms.min(n_ms - self.position.len()) {
            let t = ms as f64 / duration_ms as f64;
            let place = t * t * t * (10.0 + t * (6.0 * t - 15.0));
            let speed = 30.0 * (t * (1.0 - t)).powi(2) * 1e3 / duration_ms as f64;
            self.position.push([from[0] + way[0] * place, from[1] + way[1] * place]);
            self.velocity.push(way.map(|w| w * speed));
        }
    }

    fn hold(&mut self, at: [f64; 2], hold_ms: usize, n_ms: usize) {
        let end = n_ms.min(self.position.len() + hold_ms);
        self.position.resize(end, at);
        self.velocity.resize(end, [0.0; 2]);
    }
}

fn next_target(task: Task, at: [f64; 2], rng: &mut Xoshiro256PlusPlus) -> [f64; 2] {
    match task {
        Task::Random => [(); 2].map(|()| rng.random_range(-WORKSPACE_M..WORKSPACE_M)),
        Task::CenterOut if at == [0.0; 2] => {
            let angle = f64::from(rng.random_range(0..N_DIRECTIONS)) * std::f64::consts::TAU
                / f64::from(N_DIRECTIONS);
            [REACH_M * angle.cos(), REACH_M * angle.sin()]
        }
        Task::CenterOut | Task::Rest => [0.0; 2],
    }
}

/// Time of a reach over `distance` m, in ms: Fitts (1954) in Shannon's form, with coefficients chosen for
/// reaches of about half a second.
fn reach_ms(distance: f64) -> usize {
    (250.0 + 120.0 * (distance / TARGET_M + 1.0).log2()).round() as usize
}

/// Half the side of the workspace.
pub const WORKSPACE_M: f64 = 0.1;
/// Radius of the centre-out targets.
const REACH_M: f64 = 0.08;
const N_DIRECTIONS: u8 = 8;
/// Width of a target.
const TARGET_M: f64 = 0.02;
/// How long a target is held.
const HOLD_MS: std::ops::Range<usize> = 50..250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn velocity_is_the_derivative_of_position() {
        for task in [Task::Random, Task::CenterOut] {
            let path = Path::new(task, 20_000, 3);
            let fastest = path.velocity.iter().map(|v| v[0].hypot(v[1])).fold(0.0, f64::max);
            assert!((0.2..0.8).contains(&fastest), "{task:?}: {fastest} m/s");
            for k in 1..20_000 {
                for axis in 0..2 {
                    let moved = path.position[k][axis] - path.position[k - 1][axis];
                    let mean = (path.velocity[k][axis] + path.velocity[k - 1][axis]) / 2e3;
                    assert!((moved - mean).abs() < 1e-7, "{task:?} at {k} ms: {moved} m, {mean} m");
                }
            }
        }
    }

    #[test]
    fn centre_out_goes_out_and_back_and_rest_stays() {
        let path = Path::new(Task::CenterOut, 60_000, 3);
        let radius: Vec<f64> = path.position.iter().map(|p| p[0].hypot(p[1])).collect();
        let ends =
            |r: f64| radius.windows(2).filter(|w| (w[1] - r).abs() < 1e-9 && (w[0] - r).abs() > 1e-9).count();
        assert!(ends(REACH_M) >= 20 && ends(0.0).abs_diff(ends(REACH_M)) <= 1);
        let rest = Path::new(Task::Rest, 5_000, 3);
        assert!(rest.velocity.iter().all(|v| *v == [0.0; 2]));
    }
}
