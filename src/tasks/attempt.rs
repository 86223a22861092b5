//! One target, from its appearing to its end: what the scores need to know of it.
//!
//! In: the cursor's place at every step. Out: an [`Attempt`]. Guarantees that seconds are whole steps, and that the path is
//! the sum of the steps' lengths.

use super::{Point, Target, distance};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target was held, or clicked on.
    Hit,
    /// The time was over.
    Missed,
}

/// Where and when the button went down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Click {
    /// The cursor's place.
    pub at: Point,
    /// Since the target appeared.
    pub seconds: f64,
    /// It was on the target.
    pub is_correct: bool,
}

/// A target that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// What was to be reached.
    pub target: Target,
    /// Where the cursor was when the target appeared.
    pub from: Point,
    /// Where it was at the end.
    pub at: Point,
    /// From appearing to end: hold and click included.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// The first click since the target appeared; of a target that is held, the end of the hold.
    pub first_click: Option<Click>,
    /// Clicks beside the target.
    pub wrong_clicks: u32,
    /// Length of the cursor's path.
    pub path: f64,
    /// When the cursor first came on the target, seconds since it appeared.
    pub first_touch_seconds: Option<f64>,
    /// When the stay on the target began in which it ended.
    pub last_touch_seconds: Option<f64>,
}

/// An attempt that goes on.
#[derive(Clone, Debug)]
pub struct Course {
    target: Target,
    from: Point,
    at: Point,
    step_seconds: f64,
    n_steps: u32,
    /// Steps of the present stay on the target.
    n_held: u32,
    path: f64,
    first_touch: Option<u32>,
    last_touch: Option<u32>,
    first_click: Option<Click>,
    wrong_clicks: u32,
}

impl Course {
    /// `target` appears while the cursor is at `from`.
    pub fn new(target: Target, from: Point, step_seconds: f64) -> Self {
        Course {
            target,
            from,
            at: from,
            step_seconds,
            n_steps: 0,
            n_held: 0,
            path: 0.0,
            first_touch: None,
            last_touch: None,
            first_click: None,
            wrong_clicks: 0,
        }
    }

    /// The cursor has gone to `cursor` in one step.
    pub fn step(&mut self, cursor: Point) {
        let cursor = if cursor.iter().all(|at| at.is_finite()) { cursor } else { self.at };
        self.path += distance(self.at, cursor);
        self.at = cursor;
        self.n_steps += 1;
        if !self.target.contains(cursor) {
            self.n_held = 0;
            return;
        }
        self.first_touch = self.first_touch.or(Some(self.n_steps));
        if self.n_held == 0 {
            self.last_touch = Some(self.n_steps);
        }
        self.n_held += 1;
    }

    /// The button goes down where the cursor is; whether that is on the target.
    pub fn click(&mut self) -> bool {
        let is_correct = self.target.contains(self.at);
        let click = Click { at: self.at, seconds: self.seconds(), is_correct };
        self.first_click = self.first_click.or(Some(click));
        self.wrong_clicks += u32::from(!is_correct);
        is_correct
    }

    /// What is to be reached.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Where the cursor is.
    pub fn at(&self) -> Point {
        self.at
    }

    /// Since the target appeared.
    pub fn seconds(&self) -> f64 {
        self.of_steps(self.n_steps)
    }

    /// How long the cursor has been on the target now.
    pub fn held_seconds(&self) -> f64 {
        self.of_steps(self.n_held)
    }

    /// It is over.
    pub fn end(&self, outcome: Outcome) -> Attempt {
        let touch = |step: Option<u32>| step.map(|step| self.of_steps(step));
        Attempt {
            target: self.target,
            from: self.from,
            at: self.at,
            seconds: self.seconds(),
            outcome,
            first_click: self.first_click,
            wrong_clicks: self.wrong_clicks,
            path: self.path,
            first_touch_seconds: touch(self.first_touch),
            last_touch_seconds: touch(self.last_touch.filter(|_| self.n_held > 0)),
        }
    }

    fn of_steps(&self, n: u32) -> f64 {
        f64::from(n) * self.step_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    #[test]
    fn a_course_knows_its_path_its_touches_and_its_clicks() {
        let target = Target { center: [3.0, 0.0], half_width: 0.5, shape: Shape::Round };
        let mut course = Course::new(target, [0.0, 0.0], 0.1);
        // There, past it, a click beside it, back, and a click on it.
        for at in [[1.0, 0.0], [3.0, 0.0], [4.0, 0.0]] {
            course.step(at);
        }
        assert!(!course.click());
        course.step([f64::NAN, 0.0]);
        course.step([3.0, 0.0]);
        course.step([3.0, 0.0]);
        assert!(course.click());
        let attempt = course.end(Outcome::Hit);
        assert!((attempt.path - 5.0).abs() < 1e-12, "{}", attempt.path);
        assert!((attempt.seconds - 0.6).abs() < 1e-12);
        assert_eq!(attempt.wrong_clicks, 1);
        let first = attempt.first_click.expect("two clicks");
        assert_eq!((first.at, first.is_correct), ([4.0, 0.0], false));
        assert!((attempt.first_touch_seconds.expect("it was touched") - 0.2).abs() < 1e-12);
        assert!((attempt.last_touch_seconds.expect("it ended on it") - 0.5).abs() < 1e-12);
    }
}
