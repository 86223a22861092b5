//! The calibration flow with a simulated user: what a service does with a person, in simulated time.
//!
//! In: a rig without a decoder, a user. Out: a decoder that may drive, with the settings that belong to it. The fits see bins
//! and what was shown; nothing of how the tissue was made, and nothing of what the user intended but what follows from it.

use super::answer::answer;
use super::collected::{ANSWER_MS, Collected};
use super::rig::Rig;
use super::{Cursor, Doing, Method, TaskKind, refit, velocity_of};
use crate::calibration::{Flow, Found, Happens, Phase, Plan, Shift, attenuate, check, intended};
use crate::config::{Config, CursorConfig, DecoderConfig, DecoderKind, RidgeShape};
use crate::decode::Decoder;
use crate::error::Error;
use crate::sources::simulator::{Path, Task as Script, WORKSPACE_M};
use crate::tasks::user::{Answer, User};
use crate::tasks::{Point, Task};
use crate::train::{self, Basis, Choices, Dataset, Statistics};
use serde::Serialize;

/// A decoder that may drive.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// Settings, with the limit of speed that safety holds the decoder to.
    pub config: Config,
    /// Ready to decode.
    pub decoder: Decoder,
    /// How its cursor answers, before the dynamics.
    pub answer: Answer,
    /// Each fit on the way.
    pub fits: Vec<FitAbout>,
    /// The user's time that it took, s, simulated.
    pub seconds: f64,
    /// Electrodes that were alive at its end.
    pub n_alive: usize,
    /// What the decoder was fitted from, with its ridge strength, where it is kept.
    pub statistics: Option<(Statistics, f64)>,
}

/// A fit on the way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FitAbout {
    /// Bins that were fitted.
    pub n_bins: usize,
    /// Features that the decoder looks at.
    pub n_features: usize,
    /// Targets that were shown so far.
    pub n_targets: usize,
    /// R² of velocity on the last fifth of the bins, of the first fit, which isn't fitted on those.
    pub held_out_r2: Option<f64>,
}

/// Goes through the flow.
///
/// # Errors
/// Bins that can't be fitted, or a fit that isn't let near a cursor.
pub(super) fn calibrate(
    rig: &mut Rig,
    user: &mut User,
    config: &Config,
    (plan, method): (&Plan, Method),
    seed: u64,
    keeps_statistics: bool,
    tell: &mut impl FnMut(Doing, f64),
) -> Result<Calibrated, Error> {
    let seconds = plan.seconds();
    let step_seconds = rig.step_seconds();
    let mut flow: Flow<Decoder> = Flow::new(plan.clone(), None);
    let mut config = config.clone();
    let mut collected = Collected::default();
    let mut fits = Vec::new();
    let mut answers = Answer::after((ANSWER_MS * 1e-3 / step_seconds).round() as usize);
    let mut screen = Screen::new(plan.observe_seconds, step_seconds, seed);
    let mut n_steps = 0u64;
    loop {
        let done = 1.0 - flow.seconds_left() / seconds;
        let is_told = n_steps.is_multiple_of(super::STEPS_A_TELL as u64);
        match flow.phase() {
            Some(Phase::Observe) => {
                if is_told {
                    tell(Doing::Observing, done);
                }
                screen.observe(rig, user, &mut collected)?;
            }
            Some(Phase::Assisted { assistance }) => {
                if is_told {
                    tell(Doing::Assisted, done);
                }
                screen.assist(rig, user, &mut collected, assistance, method)?;
            }
            Some(Phase::Fit) => {
                tell(Doing::Fitting, done);
                let fitted = match method == Method::Refit && !fits.is_empty() {
                    true => refit::fit(&collected, &config, step_seconds)?,
                    false => fit(&collected, &mut config, step_seconds, fits.is_empty())?,
                };
                // The user finds out how a cursor answers by moving it; the next decoder's is much the same.
                if let Some(found) = answer(&screen.intended, &screen.decoded, step_seconds) {
                    answers = found;
                }
                user.get_used_to(CursorConfig::default(), answers.clone());
                (screen.intended, screen.decoded) = (Vec::new(), Vec::new());
                fits.push(fitted.1);
                rig.install(&config, Some(fitted.0.clone()))?;
                flow.tell(Happens::Fitted(fitted.0));
                continue;
            }
            Some(Phase::Free | Phase::Cancelled | Phase::Failed) | None => break,
        }
        n_steps += 1;
        flow.tell(Happens::Passed(step_seconds));
    }
    let decoder = flow.in_use().expect("a flow that nobody cancels ends with a model").clone();
    let n_alive = rig.n_alive();
    let answer = answers;
    let statistics = match config.decoder.ridge[..] {
        [strength] if keeps_statistics => {
            let data = collected.dataset(config.bins.features, step_seconds, 0);
            let choices = Choices { wiener_ridge: Some(strength), ..Choices::default() };
            Basis::of(&data, &config.decoder, &decoder, &choices)?.wiener
        }
        _ => None,
    };
    let seconds = n_steps as f64 * step_seconds;
    Ok(Calibrated { config, decoder, answer, fits, seconds, n_alive, statistics })
}

/// What the user is shown.
struct Screen {
    path: Path,
    /// Steps of observing that are over.
    observed: usize,
    step_ms: f64,
    was_still: bool,
    cursor: Cursor,
    task: Task,
    /// Since the target appeared.
    shown_seconds: f64,
    /// What the user intended in this round, and what was decoded.
    intended: Vec<Point>,
    decoded: Vec<Point>,
}

impl Screen {
    fn new(observe_seconds: f64, step_seconds: f64, seed: u64) -> Self {
        let cursor = Cursor::new(WORKSPACE_M * super::MARGIN, step_seconds);
        let n_ms = ((observe_seconds + 1.0) * 1e3) as usize;
        Screen {
            path: Path::new(Script::Random, n_ms, seed),
            observed: 0,
            step_ms: step_seconds * 1e3,
            was_still: true,
            task: TaskKind::Pursuit.begin(cursor.at, step_seconds, seed),
            cursor,
            shown_seconds: 0.0,
            intended: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// A step in which the cursor moves by itself, and the user goes along.
    fn observe(&mut self, rig: &mut Rig, user: &mut User, into: &mut Collected) -> Result<(), Error> {
        let ms = ((self.observed as f64 * self.step_ms) as usize).min(self.path.velocity.len() - 1);
        self.observed += 1;
        let velocity = self.path.velocity[ms];
        let is_still = velocity == [0.0; 2];
        into.n_targets += usize::from(self.was_still && !is_still);
        self.was_still = is_still;
        let at = self.cursor.at;
        rig.step(user.go_along(velocity), |bin| into.add(bin, Some(velocity), at))?;
        self.cursor.at = self.path.position[ms];
        Ok(())
    }

    /// A step in which the candidate moves the cursor, with help.
    fn assist(
        &mut self,
        rig: &mut Rig,
        user: &mut User,
        into: &mut Collected,
        assistance: f64,
        method: Method,
    ) -> Result<(), Error> {
        let target = self.task.target();
        let wanted = user.look(self.cursor.at, Some(target));
        let way = [target.center[0] - self.cursor.at[0], target.center[1] - self.cursor.at[1]];
        let shown_seconds = self.shown_seconds;
        let mut collected = None;
        let intent = rig.step(wanted, |bin| collected = Some(bin.clone()))?;
        let decoded = intent.as_ref().map_or([0.0; 2], velocity_of);
        self.intended.push(wanted);
        self.decoded.push(decoded);
        // Before the user can have seen the target, nobody knows what was meant.
        let meant: Option<Point> = (shown_seconds >= REACTION_SECONDS && method != Method::Observed)
            .then(|| intended(decoded, way, target.half_width * ON_TARGET));
        if let Some(bin) = collected {
            into.add(&bin, meant, self.cursor.at);
        }
        self.cursor.go(attenuate(decoded, way, target.half_width * ON_TARGET, assistance));
        self.shown_seconds += self.step_ms * 1e-3;
        if self.task.step(self.cursor.at, false).ended.is_some() {
            self.shown_seconds = 0.0;
            into.n_targets += 1;
        }
        Ok(())
    }
}

/// Fits on all that was collected; the first time on four fifths of it, which the rest judges.
fn fit(
    collected: &Collected,
    config: &mut Config,
    step_seconds: f64,
    is_first: bool,
) -> Result<(Decoder, FitAbout), Error> {
    let data = collected.dataset(config.bins.features, step_seconds, 0);
    let n_active = collected.n_active(data.features.ncols());
    let found = |held_out_r2, shift| Found {
        n_targets: collected.n_targets,
        n_active,
        received_share: collected.received_share(),
        held_out_r2,
        shift,
        bin_ms: step_seconds * 1e3,
    };
    let refuse = |found: &Found| match check(found) {
        None => Ok(()),
        Some(problem) => Err(Error::fit("calibration", problem.to_string())
            .legal("a calibration that a cursor can be driven with; the one before stays in use")
            .hint("calibrate again")),
    };
    // What makes no fit at all has a sentence of its own.
    refuse(&found(1.0, None))?;
    config.safety.speed_max = train::plausible_speed(&data);
    let (fitted, held_out_r2) = match is_first {
        true => {
            let (fitted, score) = train::score_last_fifth(&data, &config.decoder)?;
            let r2 = score.velocity_r2.map_or(f64::NAN, |r2| r2.mean);
            let shifted = (r2.is_nan() || r2 < R2_SUSPECT)
                .then(|| best_shifted(collected, config, step_seconds))
                .flatten();
            refuse(&found(r2, shifted))?;
            (fitted, Some(r2))
        }
        false => (train::fit(&data, &config.decoder)?, None),
    };
    // What suits the first fit suits those with more.
    if let Some(strength) = fitted.choices.wiener_ridge.or(fitted.choices.kalman_ridge) {
        config.decoder.ridge = vec![strength];
    }
    let about = FitAbout {
        n_bins: fitted.choices.n_bins,
        n_features: fitted.choices.n_features,
        n_targets: collected.n_targets,
        held_out_r2,
    };
    Ok((fitted.decoder, about))
}

/// The shift of labels by which a decoder without memory does best, to a bin.
fn best_shifted(collected: &Collected, config: &Config, step_seconds: f64) -> Option<Shift> {
    let plain = DecoderConfig {
        kind: DecoderKind::Wiener,
        lags: 1,
        ridge: vec![300.0, 3000.0],
        ridge_shape: RidgeShape::Decaying,
        ..config.decoder.clone()
    };
    let r2 = |bins: i32| {
        let data: Dataset = collected.dataset(config.bins.features, step_seconds, bins);
        let (_, score) = train::score_last_fifth(&data, &plain).ok()?;
        score.velocity_r2.map(|r2| r2.mean)
    };
    let unshifted_r2 = r2(0)?;
    let mut best = Shift { bins: 0, r2: unshifted_r2, unshifted_r2 };
    let mut try_all = |shifts: &[i32]| {
        for &bins in shifts {
            if let Some(r2) = r2(bins).filter(|r2| *r2 > best.r2) {
                best = Shift { bins, r2, unshifted_r2 };
            }
        }
        best.bins
    };
    let mut near = try_all(&SHIFTS_BINS);
    for step in SHIFT_STEPS_BINS {
        near = try_all(&[near - step, near + step]);
    }
    Some(best)
}

/// Nobody intends anything towards a target sooner after it appears.
const REACTION_SECONDS: f64 = 0.25;
/// Share of a target's radius within which one is on it.
const ON_TARGET: f64 = 0.5;
/// Less makes one look whether the labels are shifted.
const R2_SUSPECT: f64 = 0.3;
/// What is tried first, and from the best of it on.
const SHIFTS_BINS: [i32; 8] = [-50, -25, -15, -8, 8, 15, 25, 50];
const SHIFT_STEPS_BINS: [i32; 4] = [8, 4, 2, 1];
