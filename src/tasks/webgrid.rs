//! Webgrid: click on the one cell of a grid that is lit.
//!
//! In: the cursor's place and clicks. Out: an attempt whenever the right cell was clicked on. A click on another cell counts
//! as wrong and leaves the target where it is: nothing is won by guessing, and the score takes one off. Guarantees that
//! no target comes twice in a row. The task is the one that Neuralink shows (neuralink.com/webgrid); its grid of targets
//! that touch each other, so that every click is on one of them, is that of Nuyujukian et al. (2015, IEEE Trans Biomed
//! Eng 62:21).

use super::{Course, Outcome, Point, Shape, Step, Target};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The task, running.
#[derive(Clone, Debug)]
pub struct Webgrid {
    side: u32,
    half_side: f64,
    step_seconds: f64,
    rng: Xoshiro256PlusPlus,
    cell: [u32; 2],
    course: Course,
}

impl Webgrid {
    /// A grid of `side` × `side` cells over the square of half side `half_side` round (0, 0), with the cursor at `cursor`.
    ///
    /// # Panics
    /// If `side` is out of [`SIDE_MIN`] to [`SIDE_MAX`].
    pub fn new(side: u32, half_side: f64, step_seconds: f64, cursor: Point, seed: u64) -> Self {
        assert!((SIDE_MIN..=SIDE_MAX).contains(&side), "a grid of {SIDE_MIN} to {SIDE_MAX} cells a side");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let cell = [(); 2].map(|()| rng.random_range(0..side));
        let course = Course::new(target_of(cell, side, half_side), cursor, step_seconds);
        Webgrid { side, half_side, step_seconds, rng, cell, course }
    }

    /// What is shown.
    pub fn target(&self) -> Target {
        self.course.target()
    }

    /// Cells of the grid.
    pub fn n_targets(&self) -> u32 {
        self.side * self.side
    }

    /// The cursor has moved, and `clicks`.
    pub fn step(&mut self, cursor: Point, clicks: bool) -> Step {
        self.course.step(cursor);
        if !clicks {
            return Step::default();
        }
        if !self.course.click() {
            return Step { ended: None, clicked: Some(false) };
        }
        let attempt = self.course.end(Outcome::Hit);
        let last = self.cell;
        while self.cell == last {
            self.cell = [(); 2].map(|()| self.rng.random_range(0..self.side));
        }
        let target = target_of(self.cell, self.side, self.half_side);
        self.course = Course::new(target, attempt.at, self.step_seconds);
        Step { ended: Some(attempt), clicked: Some(true) }
    }
}

fn target_of(cell: [u32; 2], side: u32, half_side: f64) -> Target {
    let half_width = half_side / f64::from(side);
    let center = cell.map(|n| (2.0 * f64::from(n) + 1.0) * half_width - half_side);
    Target { center, half_width, shape: Shape::Square }
}

/// Cells a side, at least and at most.
pub const SIDE_MIN: u32 = 6;
/// See [`SIDE_MIN`].
pub const SIDE_MAX: u32 = 35;
const _: () = assert!(SIDE_MIN >= 2 && SIDE_MIN < SIDE_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_click_counts_and_leaves_the_target() {
        let mut webgrid = Webgrid::new(6, 0.6, 0.02, [0.0; 2], 1);
        let target = webgrid.target();
        assert!((target.half_width - 0.1).abs() < 1e-12);
        assert_eq!(webgrid.step(target.center, false), Step::default());
        let aside = [target.center[0] + 0.15, target.center[1]];
        let step = webgrid.step(aside, true);
        assert_eq!((step.clicked, step.ended), (Some(false), None));
        assert_eq!(webgrid.target(), target);
        let step = webgrid.step(target.center, true);
        let attempt = step.ended.expect("the right one");
        assert_eq!((step.clicked, attempt.wrong_clicks), (Some(true), 1));
        assert!((attempt.seconds - 0.06).abs() < 1e-12);
    }

    #[test]
    fn every_cell_comes_none_twice_in_a_row_and_all_tile_the_square() {
        let mut webgrid = Webgrid::new(6, 0.3, 0.02, [0.0; 2], 2);
        let mut seen = std::collections::BTreeSet::new();
        let mut last = None;
        for _ in 0..2000 {
            let target = webgrid.target();
            let cell = target.center.map(|at| ((at + 0.3) / 0.1).floor() as i32);
            assert!(cell.iter().all(|n| (0..6).contains(n)));
            assert_ne!(Some(cell), last);
            last = Some(cell);
            seen.insert(cell);
            assert!(webgrid.step(target.center, true).ended.is_some());
        }
        assert_eq!(seen.len(), 36);
        assert_eq!(webgrid.n_targets(), 36);
    }
}
