//! A simulated user, which closes the loop. Synthetic: what it reaches says that the machinery works, not how well anyone
//! would do.
//!
//! In: once a step, where cursor and target are shown. Out: the velocity that the user intends until the next step, in the
//! workspace's unit a second. Guarantees that the seed and what it saw decide all it wants, that what it wants is finite, and
//! that it acts on nothing that it hasn't had the time to see.
//!
//! The user sees late and foresees with an inner model, as in Golub et al. (2015, eLife 4:e10015) and Willett et al. (2019,
//! Sci Rep 9:8881, fig. 2): where the cursor was seen, and what the user has asked of it since,
//!
//! > x̂(t) = x(t − d) + g · Σ f(u(s)) · Δt over s from t − d − c to t
//!
//! with visual delay d, the delay c with which the cursor answers, f the cursor's dynamics that it got used to, and the
//! model's gain g: what the user has seen the cursor do for what it asked, over the last while, and not quite right. It then wants the target by a piecewise linear policy (Willett et al. 2017, J
//! Neural Eng 14:026012): a speed of the cursor in proportion to the distance, as far as the fastest that it can intend
//! goes, and nothing where it is near enough. Noise that grows with the command (Harris and
//! Wolpert 1998, Nature 394:780), which the inner model doesn't know of, is added; and the user tires.

use super::{Point, Target};
use crate::config::{CursorConfig, check_keys, not_toml};
use crate::error::Error;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a user is like. The shipped file says where each number is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// Until it sees what is shown, ms.
    pub visual_delay_ms: f64,
    /// Until the cursor answers, as the inner model has it, ms.
    pub command_delay_ms: f64,
    /// How far the cursor goes for what was intended, as the inner model has it, over what the user has seen; 1 is right.
    pub model_gain: f64,
    /// Over what time the inner model follows what is seen, s.
    pub learning_seconds: f64,
    /// The fastest that it intends, the workspace's unit a second.
    pub speed_max: f64,
    /// Speed of the cursor that it wants over distance, as far as it can intend that, 1/s.
    pub approach_per_s: f64,
    /// Share of a target's half width within which it wants to be still.
    pub still_share: f64,
    /// Standard deviation of each axis of the intention, over its size.
    pub noise_share: f64,
    /// The same that is always there, the workspace's unit a second.
    pub noise_floor: f64,
    /// Over what time that noise wanders, ms.
    pub noise_wander_ms: f64,
    /// How long it must foresee the cursor on the target before it presses the button, ms.
    pub click_still_ms: f64,
    /// From the decision to the press, ms.
    pub click_delay_ms: f64,
    /// Share of its speed that it loses when it has tired out.
    pub fatigue_share: f64,
    /// Over what time it tires, s.
    pub fatigue_seconds: f64,
}

impl UserSettings {
    /// The shipped user, `typical`.
    pub fn typical() -> Self {
        UserSettings::parse(TYPICAL, "typical.toml").expect("the shipped file is legal; a test reads it")
    }

    /// Reads the table `[user]`, all of whose keys must be there. `place` names the text in errors.
    ///
    /// # Errors
    /// Text that isn't TOML, unknown or missing keys, values out of range.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let table: toml::Table = toml::from_str(text).map_err(|error| not_toml(place, &error))?;
        let legal: Vec<String> = RANGES.iter().map(|(key, ..)| format!("user.{key}")).collect();
        check_keys(&table, &legal, place)?;
        let Some(user) = table.get("user") else {
            return Err(Error::usage(place, "it has no table [user]").legal(legal.join(", ")));
        };
        let user: UserSettings = user.clone().try_into().map_err(|error| not_toml(place, &error))?;
        for (key, low, high, get) in RANGES {
            let value = get(&user);
            if !(low..=high).contains(&value) {
                return Err(Error::usage(place, format!("{value}"))
                    .field(format!("user.{key}"))
                    .legal(format!("{low} to {high}")));
            }
        }
        Ok(user)
    }
}

/// A user of a cursor.
#[derive(Clone, Debug)]
pub struct User {
    settings: UserSettings,
    /// The cursor that it got used to.
    cursor: CursorConfig,
    step_seconds: f64,
    /// What was shown and isn't seen yet, oldest first; as long as the visual delay.
    unseen: VecDeque<(Point, Option<Target>)>,
    /// What it expects the cursor to do and hasn't seen yet, oldest first; as long as both delays.
    asked: VecDeque<Point>,
    n_steps: u64,
    /// What was expected of the step that is seen next.
    expected_next: Point,
    /// Where the cursor was last seen, and running sums of what was seen times what was expected, and that squared.
    last_seen: Option<Point>,
    seen_expected: f64,
    expected_squared: f64,
    /// Decisions to press that are not carried out yet, oldest first.
    presses: VecDeque<bool>,
    is_pressing: bool,
    /// Steps for which it has foreseen the cursor on the target.
    n_on: usize,
    /// Steps until it can have seen what its last press did.
    n_waits: usize,
    noise: Point,
    rng: Xoshiro256PlusPlus,
}

impl User {
    /// One who has seen nothing yet, and is rested.
    pub fn new(settings: UserSettings, step_seconds: f64, seed: u64) -> Self {
        let steps = |ms: f64| (ms * 1e-3 / step_seconds).round() as usize;
        let (sees, answers) = (steps(settings.visual_delay_ms), steps(settings.command_delay_ms));
        let presses_after = steps(settings.click_delay_ms);
        User {
            unseen: std::iter::repeat_n(([0.0; 2], None), sees).collect(),
            asked: std::iter::repeat_n([0.0; 2], sees + answers).collect(),
            settings,
            cursor: CursorConfig::default(),
            step_seconds,
            n_steps: 0,
            expected_next: [0.0; 2],
            last_seen: None,
            seen_expected: PRIOR,
            expected_squared: PRIOR,
            presses: std::iter::repeat_n(false, presses_after).collect(),
            is_pressing: false,
            n_on: 0,
            n_waits: 0,
            noise: [0.0; 2],
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// Gets used to a cursor of these dynamics: their gain, curve and cap.
    pub fn get_used_to(&mut self, cursor: CursorConfig) {
        self.cursor = cursor;
    }

    /// Looks at the screen, where the cursor is at `cursor`, and `target` is shown if any; what it intends until the next
    /// step.
    pub fn look(&mut self, cursor: Point, target: Option<Target>) -> Point {
        self.unseen.push_back((cursor, target));
        let (seen, target) = self.unseen.pop_front().expect("one was pushed");
        self.learn(seen, target.is_some());
        let asked = self.asked.iter().fold([0.0; 2], |sum, u| [sum[0] + u[0], sum[1] + u[1]]);
        let scale = self.settings.model_gain * self.seen_gain() * self.step_seconds;
        let foreseen = [seen[0] + asked[0] * scale, seen[1] + asked[1] * scale];
        let wanted = target.map_or([0.0; 2], |target| self.policy(foreseen, &target));
        self.decide(foreseen, target);
        self.n_steps += 1;
        self.asked.push_back(self.expected(wanted));
        self.expected_next = self.asked.pop_front().unwrap_or_default();
        self.with_noise(wanted)
    }

    /// Whether it presses the button now: it foresaw the cursor on the target for long enough, and decided to
    /// [`UserSettings::click_delay_ms`] ago. It presses again only when it can have seen what came of it.
    pub fn presses(&self) -> bool {
        self.is_pressing
    }

    /// Goes along with a cursor that moves by itself at `velocity`, as one does who was told where it goes; what it intends
    /// until the next step.
    pub fn go_along(&mut self, velocity: Point) -> Point {
        self.look([0.0; 2], None);
        self.with_noise(velocity)
    }

    /// Speed left to who has tired, of 1.
    pub fn vigour(&self) -> f64 {
        let seconds = self.n_steps as f64 * self.step_seconds;
        1.0 - self.settings.fatigue_share * (1.0 - (-seconds / self.settings.fatigue_seconds).exp())
    }

    /// How far the cursor has gone for what was asked of it, of late.
    pub fn seen_gain(&self) -> f64 {
        (self.seen_expected / self.expected_squared).clamp(SEEN_GAIN_MIN, SEEN_GAIN_MAX)
    }

    /// Compares what is seen now with what was asked when that began: least squares with forgetting.
    fn learn(&mut self, seen: Point, is_used: bool) {
        let last = self.last_seen.replace(seen);
        let (Some(last), asked, true) = (last, self.expected_next, is_used) else { return };
        let keep = (-self.step_seconds / self.settings.learning_seconds).exp();
        // A step that is seen now was asked for one step before the oldest that isn't seen.
        let went = [0, 1].map(|axis| (seen[axis] - last[axis]) / self.step_seconds);
        let product = went[0] * asked[0] + went[1] * asked[1];
        if product.is_finite() {
            self.seen_expected = keep * self.seen_expected + product;
            self.expected_squared = keep * self.expected_squared + asked[0].powi(2) + asked[1].powi(2);
        }
    }

    fn decide(&mut self, foreseen: Point, target: Option<Target>) {
        let steps = |ms: f64| (ms * 1e-3 / self.step_seconds).round() as usize;
        let is_on = target.is_some_and(|target| {
            Target { half_width: target.half_width * SURE_SHARE, ..target }.contains(foreseen)
        });
        self.n_on = if is_on { self.n_on + 1 } else { 0 };
        self.n_waits = self.n_waits.saturating_sub(1);
        let decides = is_on && self.n_waits == 0 && self.n_on > steps(self.settings.click_still_ms);
        if decides {
            self.n_waits = steps(self.settings.click_delay_ms + self.settings.visual_delay_ms) + 1;
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
        let speed = self.intention_for(far * self.settings.approach_per_s / self.seen_gain()).min(fastest);
        way.map(|part| part / far * speed)
    }

    /// What the cursor does when `wanted` is intended.
    fn expected(&self, wanted: Point) -> Point {
        let CursorConfig { gain, curve, curve_speed, speed_cap, .. } = self.cursor;
        let size = wanted[0].hypot(wanted[1]);
        if size <= 0.0 {
            return [0.0; 2];
        }
        let mut speed = gain * size;
        if curve != 1.0 {
            speed *= (speed / curve_speed).powf(curve - 1.0);
        }
        if speed_cap > 0.0 {
            speed = speed.min(speed_cap);
        }
        wanted.map(|part| part / size * speed)
    }

    /// How much must be intended for a cursor of this speed.
    fn intention_for(&self, speed: f64) -> f64 {
        let CursorConfig { gain, curve, curve_speed, .. } = self.cursor;
        let before_curve =
            if curve == 1.0 { speed } else { (speed * curve_speed.powf(curve - 1.0)).powf(1.0 / curve) };
        before_curve / gain.max(GAIN_MIN)
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

/// What a user who has seen nothing yet believes in as much as in what it sees: a gain of 1, the workspace's unit²/s².
const PRIOR: f64 = 0.01;
/// What nobody believes of a cursor.
const SEEN_GAIN_MIN: f64 = 0.2;
const SEEN_GAIN_MAX: f64 = 5.0;
/// A cursor that doesn't answer at all asks for more than anyone has.
const GAIN_MIN: f64 = 1e-9;

/// Share of a target's half width within which it is sure that it is on it.
const SURE_SHARE: f64 = 0.8;

type Range = (&'static str, f64, f64, fn(&UserSettings) -> f64);

/// What is legal of each number.
const RANGES: [Range; 14] = [
    ("visual_delay_ms", 0.0, 1000.0, |user| user.visual_delay_ms),
    ("command_delay_ms", 0.0, 1000.0, |user| user.command_delay_ms),
    ("model_gain", 0.0, 10.0, |user| user.model_gain),
    ("learning_seconds", 0.1, 1e6, |user| user.learning_seconds),
    ("speed_max", 1e-6, 1e6, |user| user.speed_max),
    ("approach_per_s", 1e-3, 100.0, |user| user.approach_per_s),
    ("still_share", 0.0, 1.0, |user| user.still_share),
    ("noise_share", 0.0, 2.0, |user| user.noise_share),
    ("noise_floor", 0.0, 1e6, |user| user.noise_floor),
    ("noise_wander_ms", 1.0, 1e5, |user| user.noise_wander_ms),
    ("click_still_ms", 0.0, 10_000.0, |user| user.click_still_ms),
    ("click_delay_ms", 0.0, 1000.0, |user| user.click_delay_ms),
    ("fatigue_share", 0.0, 1.0, |user| user.fatigue_share),
    ("fatigue_seconds", 1.0, 1e6, |user| user.fatigue_seconds),
];
const TYPICAL: &str = include_str!("users/typical.toml");

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    fn target(x: f64) -> Option<Target> {
        Some(Target { center: [x, 0.0], half_width: 0.01, shape: Shape::Round })
    }

    fn quiet() -> UserSettings {
        UserSettings { noise_share: 0.0, noise_floor: 0.0, fatigue_share: 0.0, ..UserSettings::typical() }
    }

    #[test]
    fn it_wants_the_target_after_it_saw_it_and_no_faster_than_it_can() {
        let mut user = User::new(quiet(), 0.02, 1);
        for _ in 0..10 {
            assert_eq!(user.look([0.0; 2], target(1.0)), [0.0; 2], "200 ms are not over");
        }
        assert_eq!(user.look([0.0; 2], target(1.0)), [0.5, 0.0]);
    }

    /// The cursor answers after the user's own delay, `gain` times what it wants.
    fn reach(settings: UserSettings, gain: f64) -> Vec<f64> {
        let mut user = User::new(settings, 0.02, 1);
        let mut pipe = VecDeque::from([0.0; 5]);
        let mut x = 0.0;
        let step = |_| {
            pipe.push_back(user.look([x, 0.0], target(0.1))[0]);
            x += gain * pipe.pop_front().unwrap_or_default() * 0.02;
            x
        };
        (0..200).map(step).collect()
    }

    #[test]
    fn it_foresees_what_it_asked_for_and_arrives_without_orbiting() {
        let path = reach(UserSettings { model_gain: 1.0, ..quiet() }, 1.0);
        let most = path.iter().copied().fold(0.0, f64::max);
        assert!(most <= 0.1, "no further than the target: {most}");
        assert!((path[60] - 0.1).abs() < 0.01, "there after 1.2 s: {}", path[60]);
        // Who doesn't foresee goes too far, by most of what it asked for in 300 ms.
        let path = reach(UserSettings { model_gain: 0.0, ..quiet() }, 1.0);
        assert!(path.iter().copied().fold(0.0, f64::max) > 0.13);
        // A cursor that goes half as far it gets to know, and asks for more.
        let mut user = User::new(quiet(), 0.02, 1);
        let (mut x, mut pipe) = (0.0, VecDeque::from([0.0; 5]));
        for step in 0..1500 {
            let goal = if step / 75 % 2 == 0 { 0.1 } else { -0.1 };
            pipe.push_back(user.look([x, 0.0], target(goal))[0]);
            x += 0.5 * pipe.pop_front().unwrap_or_default() * 0.02;
        }
        assert!((user.seen_gain() - 0.5).abs() < 0.05, "{}", user.seen_gain());
        // What its model has wrong it corrects when it sees it.
        let path = reach(quiet(), 1.2);
        assert!((path[150] - 0.1).abs() < 0.01, "{}", path[150]);
    }

    #[test]
    fn what_it_intends_for_a_speed_brings_that_speed() {
        let mut user = User::new(quiet(), 0.02, 1);
        user.get_used_to(CursorConfig { gain: 1.5, curve: 1.8, curve_speed: 0.3, ..CursorConfig::default() });
        for speed in [0.01, 0.1, 0.3, 0.5] {
            let intention = user.intention_for(speed);
            let [x, y] = user.expected([0.6 * intention, 0.8 * intention]);
            assert!((x - 0.6 * speed).abs() < 1e-12 && (y - 0.8 * speed).abs() < 1e-12, "{speed}: {x}, {y}");
        }
        assert_eq!(user.expected([0.0; 2]), [0.0; 2]);
    }

    #[test]
    fn it_presses_once_when_it_foresees_the_cursor_on_the_target_and_waits_for_what_comes_of_it() {
        let mut user = User::new(quiet(), 0.02, 1);
        let presses: Vec<usize> = (0..80)
            .filter(|_| {
                user.look([0.5, 0.0], target(0.5));
                user.presses()
            })
            .collect();
        let steps = |ms: f64| (ms / 20.0).round() as usize;
        let user = quiet();
        // Seen, foreseen for long enough, and pressed.
        let first = steps(user.visual_delay_ms) + steps(user.click_still_ms) + steps(user.click_delay_ms);
        assert_eq!(presses.first(), Some(&first));
        let again = steps(user.click_delay_ms + user.visual_delay_ms) + 1;
        assert!(presses.windows(2).all(|pair| pair[1] - pair[0] == again), "{presses:?}");
        let mut user = User::new(quiet(), 0.02, 1);
        assert!((0..80).all(|_| {
            user.look([0.5, 0.0], target(0.6));
            !user.presses()
        }));
    }

    #[test]
    fn it_tires_and_its_noise_grows_with_what_it_wants() {
        let tired = |seconds: f64| {
            let mut user = User::new(UserSettings::typical(), 1.0, 1);
            for _ in 0..seconds as usize {
                user.look([0.0; 2], target(10.0));
            }
            user.vigour()
        };
        assert!((tired(1800.0) - (1.0 - 0.15 * (1.0 - (-1.0f64).exp()))).abs() < 1e-9);
        let spread = |x: f64| {
            let settings = UserSettings { fatigue_share: 0.0, ..UserSettings::typical() };
            let mut user = User::new(settings, 0.02, 1);
            let y: Vec<f64> = (0..20_000).map(|_| user.look([0.0; 2], target(x))[1]).collect();
            (y[100..].iter().map(|y| y * y).sum::<f64>() / y.len() as f64).sqrt()
        };
        // 0.1 × 0.5 + 0.004, and the floor alone; some 2,000 independent values.
        assert!((spread(100.0) / 0.054 - 1.0).abs() < 0.1, "{}", spread(100.0));
        assert!((spread(0.0) / 0.004 - 1.0).abs() < 0.1, "{}", spread(0.0));
    }

    #[test]
    fn a_file_has_every_key_and_no_other_and_each_in_its_range() {
        assert_eq!(UserSettings::parse(TYPICAL, "t").expect("legal"), UserSettings::typical());
        let error =
            UserSettings::parse(&TYPICAL.replace("speed_max", "speed_mix"), "t").expect_err("unknown");
        assert!(error.to_string().contains("user.speed_max"), "{error}");
        let text = TYPICAL.replace("model_gain = 0.95", "model_gain = -1");
        let error = UserSettings::parse(&text, "t").expect_err("out of range");
        assert!(error.to_string().contains("user.model_gain"), "{error}");
        assert!(UserSettings::parse("", "t").is_err());
        assert!(UserSettings::parse(&TYPICAL.replace("model_gain = 0.95", ""), "t").is_err());
    }
}
