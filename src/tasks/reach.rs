//! Targets that the cursor is held on: centre-out, and targets anywhere.
//!
//! In: the cursor's place at every step. Out: an attempt whenever the hold is over, or the time. Guarantees that leaving
//! the target, however shortly, begins the hold anew. Centre-out: eight targets round the centre in random order, each of
//! them once before any comes again, and the centre between (Georgopoulos et al. 1982; with a hold as in Gilja et al. 2012,
//! Nat Neurosci 15:1752). Targets anywhere: random target pursuit (Serruya et al. 2002, Nature 416:141).

use super::{Attempt, Course, Outcome, Point, Shape, Target, distance};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Where targets appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One of eight places round the centre, then the centre, and so on.
    CenterOut,
    /// Anywhere in the workspace, at least a third of its half side from the one before.
    Anywhere,
}

/// What such a task is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReachSettings {
    /// Where targets appear.
    pub layout: Layout,
    /// Half the side of the workspace, round (0, 0).
    pub half_side: f64,
    /// Radius of a target.
    pub radius: f64,
    /// How long the cursor must stay on a target.
    pub hold_seconds: f64,
    /// A target that isn't reached in this time is missed.
    pub limit_seconds: f64,
    /// Length of a step.
    pub step_seconds: f64,
}

/// Such a task.
#[derive(Clone, Debug)]
pub struct Reach {
    settings: ReachSettings,
    rng: Xoshiro256PlusPlus,
    /// Of centre-out: those that are yet to come, by number.
    left: Vec<u8>,
    course: Course,
}

impl Reach {
    /// With the cursor at `cursor` and a first target shown.
    pub fn new(settings: ReachSettings, cursor: Point, seed: u64) -> Self {
        let mut reach = Reach {
            settings,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            left: Vec::with_capacity(usize::from(N_AROUND)),
            course: Course::new(settings.at([0.0; 2]), cursor, settings.step_seconds),
        };
        let target = reach.next_target();
        reach.course = Course::new(target, cursor, settings.step_seconds);
        reach
    }

    /// What is shown.
    pub fn target(&self) -> Target {
        self.course.target()
    }

    /// The cursor has moved; the attempt that ended.
    pub fn step(&mut self, cursor: Point) -> Option<Attempt> {
        self.course.step(cursor);
        // Half a step forgives the rounding of sums of steps.
        let half = self.settings.step_seconds / 2.0;
        let outcome = if self.course.held_seconds() + half >= self.settings.hold_seconds
            && self.course.held_seconds() > 0.0
        {
            self.course.click();
            Outcome::Hit
        } else if self.course.seconds() + half >= self.settings.limit_seconds {
            Outcome::Missed
        } else {
            return None;
        };
        let attempt = self.course.end(outcome);
        let target = self.next_target();
        self.course = Course::new(target, attempt.at, self.settings.step_seconds);
        Some(attempt)
    }

    /// How many targets there are to choose from at a time.
    pub fn n_targets(&self) -> Option<u32> {
        match self.settings.layout {
            Layout::CenterOut => Some(u32::from(N_AROUND)),
            Layout::Anywhere => None,
        }
    }

    fn next_target(&mut self) -> Target {
        let ReachSettings { layout, half_side, .. } = self.settings;
        let last = self.course.target().center;
        let center = match layout {
            Layout::CenterOut if last != [0.0; 2] => [0.0; 2],
            Layout::CenterOut => {
                if self.left.is_empty() {
                    self.left.extend(0..N_AROUND);
                }
                let number = self.left.swap_remove(self.rng.random_range(0..self.left.len()));
                let angle = f64::from(number) / f64::from(N_AROUND) * std::f64::consts::TAU;
                [angle.cos(), angle.sin()].map(|part| part * half_side * AROUND_SHARE)
            }
            Layout::Anywhere => loop {
                let place = [(); 2].map(|()| self.rng.random_range(-half_side..half_side));
                if distance(place, last) >= half_side * APART_SHARE {
                    break place;
                }
            },
        };
        self.settings.at(center)
    }
}

impl ReachSettings {
    fn at(&self, center: Point) -> Target {
        Target { center, half_width: self.radius, shape: Shape::Round }
    }
}

/// Targets round the centre.
const N_AROUND: u8 = 8;
/// How far from the centre they are, of half the side.
const AROUND_SHARE: f64 = 0.8;
/// How far targets anywhere are apart at least, of half the side: less than its diagonal, so that there is a place.
const APART_SHARE: f64 = 1.0 / 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(layout: Layout) -> ReachSettings {
        ReachSettings {
            layout,
            half_side: 0.1,
            radius: 0.015,
            hold_seconds: 0.4,
            limit_seconds: 5.0,
            step_seconds: 0.02,
        }
    }

    #[test]
    fn a_target_is_hit_by_a_whole_hold_and_not_by_passing() {
        let mut reach = Reach::new(settings(Layout::Anywhere), [0.0; 2], 1);
        let first = reach.target().center;
        let aside = [first[0] + 0.02, first[1]];
        for _ in 0..19 {
            assert_eq!(reach.step(first), None);
        }
        assert_eq!(reach.step(aside), None, "it left before the hold was over");
        for _ in 0..19 {
            assert_eq!(reach.step(first), None);
        }
        let hit = reach.step(first).expect("held long enough");
        assert_eq!(hit.outcome, Outcome::Hit);
        assert!((hit.seconds - 0.8).abs() < 1e-9);
        assert!((hit.first_touch_seconds.expect("touched") - 0.02).abs() < 1e-9);
        assert!((hit.last_touch_seconds.expect("touched") - 0.42).abs() < 1e-9);
        assert!(distance(first, reach.target().center) >= 0.1 / 3.0);
    }

    #[test]
    fn a_target_is_missed_at_the_limit() {
        let mut reach = Reach::new(settings(Layout::CenterOut), [0.0; 2], 2);
        let ended: Vec<Attempt> = (0..250).filter_map(|_| reach.step([0.0; 2])).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].outcome, ended[0].first_touch_seconds), (Outcome::Missed, None));
    }

    #[test]
    fn centre_out_shows_all_eight_before_any_again_and_the_centre_between() {
        let mut reach = Reach::new(settings(Layout::CenterOut), [0.0; 2], 3);
        let mut places = Vec::new();
        while places.len() < 32 {
            let target = reach.target().center;
            if reach.step(target).is_some() {
                places.push(target);
            }
        }
        assert!(places.iter().skip(1).step_by(2).all(|place| *place == [0.0; 2]));
        for round in places.chunks_exact(16) {
            let mut angles: Vec<i32> =
                round.iter().step_by(2).map(|p| p[1].atan2(p[0]).to_degrees().round() as i32).collect();
            angles.sort_unstable();
            assert_eq!(angles, [-135, -90, -45, 0, 45, 90, 135, 180]);
        }
        let mut other = Reach::new(settings(Layout::CenterOut), [0.0; 2], 4);
        let mut again = Reach::new(settings(Layout::CenterOut), [0.0; 2], 4);
        for _ in 0..1000 {
            assert_eq!(other.target(), again.target(), "by the same seed");
            let target = other.target().center;
            assert_eq!(other.step(target), again.step(target));
        }
    }
}
