//! A simulated user, which closes the loop. Synthetic: what it reaches says that the machinery works, not how well anyone
//! would do.
//!
//! In: once a step, where cursor and target are shown. Out: the velocity that the user intends until the next step, in the
//! workspace's unit a second, and whether it presses the button. Guarantees that the seed and what it saw decide all it
//! wants, that what it wants is finite, and that it acts on nothing that it hasn't had the time to see.
//!
//! The user sees late and foresees with an inner model (Golub et al. 2015, eLife 4:e10015; Willett et al. 2019, Sci Rep
//! 9:8881, fig. 2): where the cursor was seen, and what it has done since for what was asked of it (`inner`), times the
//! gain that the user has seen it have, and not quite right. From there it plans as people do who know their cursor:
//!
//! - it wants a speed in proportion to what will be left of the way when all it asked for has come, as far as the fastest
//!   that it can intend goes (a piecewise linear policy; Willett et al. 2017, J Neural Eng 14:026012): so it slows down early;
//! - it presses the button so that the press lands when the cursor is on the target, without waiting to see it there, and
//!   is as careful as its forecasts have been wrong: with the deviation of their errors over the way that they foresaw, a
//!   press must have room for some deviations of the way that is still to come (in the spirit of Meyer et al. 1988, Psychol
//!   Rev 95:340, whose users plan for the spread of their movements).
//!
//! Noise that grows with the command (Harris and Wolpert 1998, Nature 394:780), which the inner model doesn't know of, is
//! added; and the user tires. What the shipped users reach with an ideal cursor stands in a test here.

mod inner;
mod settings;

pub use inner::Answer;
pub use settings::UserSettings;

use super::{Point, Target, distance};
use crate::config::CursorConfig;
use inner::Inner;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::VecDeque;

/// What the inner model says.
struct Foreseen {
    /// Where the cursor will be when a press that is decided on now lands.
    at_press: Point,
    /// How long its path to there is, from where it was seen.
    way: f64,
    /// Where it will have come to rest if nothing more is asked of it.
    at_end: Point,
}

/// A user of a cursor.
#[derive(Clone, Debug)]
pub struct User {
    settings: UserSettings,
    inner: Inner,
    step_seconds: f64,
    /// What was shown and isn't seen yet, oldest first; as long as the visual delay.
    unseen: VecDeque<(Point, Option<Target>)>,
    /// What it intended that still moves the cursor, or whose answer it hasn't seen, oldest first.
    asked: VecDeque<Point>,
    /// What the inner model was at in the step that is seen next.
    drive: Point,
    n_steps: u64,
    /// Where the cursor was last seen, and running sums of what was seen times what was expected, and that squared.
    last_seen: Option<Point>,
    seen_expected: f64,
    expected_squared: f64,
    /// Where it foresaw the cursor at the press, and after what way, until it sees what became of it, oldest first.
    forecasts: VecDeque<Option<(Point, f64)>>,
    /// Running sums of the squares of those errors, of both axes, and of those ways.
    error_squared: f64,
    way_squared: f64,
    /// Decisions to press that are not carried out yet, oldest first.
    presses: VecDeque<bool>,
    is_pressing: bool,
    /// What it goes along with later, oldest first.
    followed: VecDeque<Point>,
    /// Steps for which it has foreseen the cursor on the target.
    n_on: usize,
    /// Steps until it can have seen what its last press did.
    n_waits: usize,
    /// Steps that it waits longer than a press takes, for one that is doubtful.
    patience: usize,
    /// What it pressed on, until it sees another target or has waited long enough.
    means_click_on: Option<Target>,
    noise: Point,
    rng: Xoshiro256PlusPlus,
}

impl User {
    /// One who has seen nothing yet, and is rested; used to a cursor that answers after
    /// [`UserSettings::command_delay_ms`], at once.
    pub fn new(settings: UserSettings, step_seconds: f64, seed: u64) -> Self {
        let steps = |ms: f64| (ms * 1e-3 / step_seconds).round() as usize;
        let answer = Answer::after(steps(settings.command_delay_ms));
        let inner = Inner::new(CursorConfig::default(), answer, step_seconds);
        let (sees, presses_after) = (steps(settings.visual_delay_ms), steps(settings.click_delay_ms));
        let follows_after = steps(settings.follow_delay_ms);
        User {
            unseen: std::iter::repeat_n(([0.0; 2], None), sees).collect(),
            asked: std::iter::repeat_n([0.0; 2], sees + inner.n_steps() - 1).collect(),
            settings,
            inner,
            step_seconds,
            drive: [0.0; 2],
            n_steps: 0,
            last_seen: None,
            seen_expected: PRIOR,
            expected_squared: PRIOR,
            forecasts: std::iter::repeat_n(None, sees + presses_after + 1).collect(),
            error_squared: DOUBT * DOUBT * WAY_PRIOR,
            way_squared: WAY_PRIOR,
            presses: std::iter::repeat_n(false, presses_after).collect(),
            is_pressing: false,
            followed: std::iter::repeat_n([0.0; 2], follows_after).collect(),
            n_on: 0,
            n_waits: 0,
            patience: 0,
            means_click_on: None,
            noise: [0.0; 2],
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// Gets used to a cursor of these dynamics that answers so; what it intended before is forgotten.
    pub fn get_used_to(&mut self, cursor: CursorConfig, answer: Answer) {
        self.inner = Inner::new(cursor, answer, self.step_seconds);
        self.asked.clear();
        self.asked.extend(std::iter::repeat_n([0.0; 2], self.unseen.len() + self.inner.n_steps() - 1));
        self.drive = [0.0; 2];
        self.last_seen = None;
        (self.seen_expected, self.expected_squared) = (PRIOR, PRIOR);
        self.forecasts.iter_mut().for_each(|forecast| *forecast = None);
        (self.error_squared, self.way_squared) = (DOUBT * DOUBT * WAY_PRIOR, WAY_PRIOR);
    }

    /// Gets used to a button that goes down `delay_ms` after it means to press it, as a rule ([`UserSettings::click_delay_ms`]
    /// of a switch), means it for up to `patience_ms` longer, and lets go for as long before it tries again.
    pub fn get_used_to_clicks(&mut self, delay_ms: f64, patience_ms: f64) {
        let steps = |ms: f64| (ms * 1e-3 / self.step_seconds).round() as usize;
        let presses_after = steps(delay_ms);
        self.patience = steps(patience_ms);
        self.presses = std::iter::repeat_n(false, presses_after).collect();
        self.forecasts = std::iter::repeat_n(None, self.unseen.len() + presses_after + 1).collect();
        (self.is_pressing, self.n_on, self.n_waits, self.means_click_on) = (false, 0, 0, None);
    }

    /// Looks at the screen, where the cursor is at `cursor`, and `target` is shown if any; what it intends until the next
    /// step.
    pub fn look(&mut self, cursor: Point, target: Option<Target>) -> Point {
        self.unseen.push_back((cursor, target));
        let (seen, target) = self.unseen.pop_front().expect("one was pushed");
        let Foreseen { at_press, way, at_end } = self.foresee(seen, target.is_some());
        self.doubt(seen, target.is_some().then_some((at_press, way)));
        let wanted = target.map_or([0.0; 2], |target| self.policy(at_end, &target));
        self.decide(at_press, way, target);
        self.n_steps += 1;
        self.asked.push_back(wanted);
        self.asked.pop_front();
        self.with_noise(wanted)
    }

    /// Whether it presses the button now, as it decided to [`UserSettings::click_delay_ms`] ago, when it foresaw the cursor
    /// on the target at this time. It presses again only when it can have seen what came of it.
    pub fn presses(&self) -> bool {
        self.is_pressing
    }

    /// Whether it means to hold the button down now: from its decision on until it sees another target, or could have seen it.
    pub fn means_click(&self) -> bool {
        self.means_click_on.is_some()
    }

    /// Goes along with a cursor that moves by itself at `velocity`, as one does who was told where it goes; what it intends
    /// until the next step.
    pub fn go_along(&mut self, velocity: Point) -> Point {
        self.look([0.0; 2], None);
        self.followed.push_back(velocity);
        let velocity = self.followed.pop_front().unwrap_or(velocity);
        self.with_noise(velocity.map(|v| v * self.settings.follow_share))
    }

    /// Speed left to who has tired, of 1.
    pub fn vigour(&self) -> f64 {
        let seconds = self.n_steps as f64 * self.step_seconds;
        1.0 - self.settings.fatigue_share * (1.0 - (-seconds / self.settings.fatigue_seconds).exp())
    }

    /// How far the cursor has gone for what was expected of it, of late.
    pub fn seen_gain(&self) -> f64 {
        (self.seen_expected / self.expected_squared).clamp(SEEN_GAIN_MIN, SEEN_GAIN_MAX)
    }

    /// Where the cursor, seen at `seen`, goes from there.
    fn foresee(&mut self, seen: Point, is_used: bool) -> Foreseen {
        let gain = self.settings.model_gain * self.seen_gain();
        let pressed = self.unseen.len() + self.presses.len() + 1;
        let before = self.inner.n_steps() - 1;
        // All that it asked for has come after so many steps.
        let n = self.asked.len().max(pressed);
        let (mut at, mut at_press, mut way) = (seen, seen, 0.0);
        self.learn(seen, is_used);
        for step in 0..n {
            // The oldest that is kept was asked for so long before the step that is seen next.
            let asked = |k: usize| self.asked.get(before + step - k).copied().unwrap_or_default();
            let drive = self.inner.drive(asked);
            if step == 0 {
                self.drive = drive;
            }
            let next = self.inner.go(at, drive, gain);
            if step < pressed {
                way += distance(at, next);
                at_press = next;
            }
            at = next;
        }
        Foreseen { at_press, way, at_end: at }
    }

    /// Compares what is seen now with what was expected of it: least squares with forgetting.
    fn learn(&mut self, seen: Point, is_used: bool) {
        let last = self.last_seen.replace(seen);
        let (Some(last), true) = (last, is_used) else { return };
        let keep = (-self.step_seconds / self.settings.learning_seconds).exp();
        let expected = self.inner.velocity(self.drive);
        let went = [0, 1].map(|axis| (seen[axis] - last[axis]) / self.step_seconds);
        let product = went[0] * expected[0] + went[1] * expected[1];
        if product.is_finite() {
            self.seen_expected = keep * self.seen_expected + product + (1.0 - keep) * PRIOR;
            let squared = expected[0].powi(2) + expected[1].powi(2);
            self.expected_squared = keep * self.expected_squared + squared + (1.0 - keep) * PRIOR;
        }
    }

    /// Compares what is seen now with what was foreseen of it.
    fn doubt(&mut self, seen: Point, foreseen: Option<(Point, f64)>) {
        self.forecasts.push_back(foreseen);
        let Some(Some((at, way))) = self.forecasts.pop_front() else { return };
        let keep = (-self.step_seconds / self.settings.learning_seconds).exp();
        let error = distance(at, seen);
        if error.is_finite() && way.is_finite() {
            self.error_squared =
                keep * self.error_squared + error * error / 2.0 + (1.0 - keep) * DOUBT * DOUBT * WAY_PRIOR;
            self.way_squared = keep * self.way_squared + way * way + (1.0 - keep) * WAY_PRIOR;
        }
    }

    /// Deviation of each axis of what it foresees, over the way that it foresees.
    pub fn doubts(&self) -> f64 {
        (self.error_squared / self.way_squared).sqrt()
    }

    fn decide(&mut self, at_press: Point, way: f64, target: Option<Target>) {
        let steps = |ms: f64| (ms * 1e-3 / self.step_seconds).round() as usize;
        let is_on = target.is_some_and(|target| {
            let room = self.settings.caution * self.doubts() * way;
            let half_width = target.half_width * self.settings.sure_share - room;
            half_width >= 0.0 && Target { half_width, ..target }.contains(at_press)
        });
        self.n_on = if is_on { self.n_on + 1 } else { 0 };
        self.n_waits = self.n_waits.saturating_sub(1);
        self.means_click_on =
            self.means_click_on.filter(|on| self.n_waits > self.patience && target == Some(*on));
        let decides = is_on && self.n_waits == 0 && self.n_on > steps(self.settings.click_still_ms);
        if decides {
            self.n_waits = self.presses.len() + self.unseen.len() + 1 + 2 * self.patience;
            self.means_click_on = target;
        }
        self.presses.push_back(decides);
        self.is_pressing = self.presses.pop_front().unwrap_or_default();
    }

    fn policy(&self, at: Point, target: &Target) -> Point {
        let way = [target.center[0] - at[0], target.center[1] - at[1]];
        let far = way[0].hypot(way[1]);
        if !far.is_finite() || far <= target.half_width * self.settings.still_share {
            return [0.0; 2];
        }
        let fastest = self.settings.speed_max * self.vigour();
        let speed = far * self.settings.approach_per_s / self.seen_gain();
        let intention = self.inner.intention_for(speed).min(fastest);
        way.map(|part| part / far * intention)
    }

    fn with_noise(&mut self, wanted: Point) -> Point {
        let pole = (-self.step_seconds * 1e3 / self.settings.noise_wander_ms).exp();
        let drive = (1.0 - pole * pole).sqrt();
        let size = wanted[0].hypot(wanted[1]) * self.settings.noise_share + self.settings.noise_floor;
        for noise in &mut self.noise {
            let fresh: f64 = StandardNormal.sample(&mut self.rng);
            *noise = pole * *noise + drive * fresh;
        }
        [wanted[0] + size * self.noise[0], wanted[1] + size * self.noise[1]]
    }
}

/// What a user believes in as much as in what it sees: a gain of 1, the workspace's unit²/s².
const PRIOR: f64 = 0.2;
/// What it doubts of a cursor that it hasn't seen yet, over the way, and what way that counts as, squared.
const DOUBT: f64 = 0.1;
const WAY_PRIOR: f64 = 0.01;
/// What nobody believes of a cursor.
const SEEN_GAIN_MIN: f64 = 0.2;
const SEEN_GAIN_MAX: f64 = 5.0;

#[cfg(test)]
mod tests;
