//! Tasks at the cursor: what is shown, what counts as reached, and how well it went.
//!
//! In: once a step the cursor's place (in the workspace's unit) and whether the button went down. Out: the target that is
//! shown, and an [`Attempt`] whenever one is over. Guarantees that the seed alone decides the targets, and that no input,
//! finite or not, brings anything but a step of the clock and of the course. Steps are of one length; no clock is read.
//!
//! Who wants the cursor on the target stands in [`user`], what it was worth in [`score`].

mod attempt;
mod reach;
pub mod score;
pub mod user;
mod webgrid;

pub use attempt::{Attempt, Click, Course, Outcome};
pub use reach::{Layout, Reach, ReachSettings};
pub use webgrid::{SIDE_MAX, SIDE_MIN, Webgrid};

use serde::{Deserialize, Serialize};

/// A place in the plane, or a way in it; in the workspace's unit.
pub type Point = [f64; 2];

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Where its middle is.
    pub center: Point,
    /// Its radius, or half the side of a square.
    pub half_width: f64,
    /// What it looks like.
    pub shape: Shape,
}

/// What a target looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A disc.
    Round,
    /// A cell of a grid.
    Square,
}

impl Target {
    /// Whether `place` is on it, its rim included.
    pub fn contains(&self, place: Point) -> bool {
        let [x, y] = [place[0] - self.center[0], place[1] - self.center[1]];
        match self.shape {
            Shape::Round => x.hypot(y) <= self.half_width,
            Shape::Square => x.abs().max(y.abs()) <= self.half_width,
        }
    }
}

/// One of the tasks.
#[derive(Clone, Debug)]
pub enum Task {
    /// Hold the cursor on a target: centre-out, or targets anywhere.
    Reach(Reach),
    /// Click on a cell of a grid.
    Webgrid(Webgrid),
}

/// What a step brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The target before is over, and another one is shown.
    pub ended: Option<Attempt>,
    /// A click, and whether it was on the target.
    pub clicked: Option<bool>,
}

impl Task {
    /// What is shown.
    pub fn target(&self) -> Target {
        match self {
            Task::Reach(reach) => reach.target(),
            Task::Webgrid(webgrid) => webgrid.target(),
        }
    }

    /// The next step: the cursor is at `cursor`, and `clicks` if the button went down since the last step.
    pub fn step(&mut self, cursor: Point, clicks: bool) -> Step {
        match self {
            Task::Reach(reach) => Step { ended: reach.step(cursor), clicked: None },
            Task::Webgrid(webgrid) => webgrid.step(cursor, clicks),
        }
    }

    /// How many targets there are to choose from; `None` where they may be anywhere.
    pub fn n_targets(&self) -> Option<u32> {
        match self {
            Task::Reach(reach) => reach.n_targets(),
            Task::Webgrid(webgrid) => Some(webgrid.n_targets()),
        }
    }
}

/// From `a` to `b`, how far.
pub fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}
