//! The calibration flow, with a simulated user or a person.
//!
//! In: a rig without a decoder, and who looks at the screen. Out: a decoder that may drive, with the settings that belong to
//! it. The fits see bins and what was shown; nothing of how the tissue was made, and nothing of what the user intended but
//! what follows from it.

use super::answer::answer;
use super::click::{self, ClickAbout};
use super::collected::{ANSWER_MS, Collected};
use super::rig::Rig;
use super::session::{Attend, View};
use super::{ClickBy, Cursor, Doing, LoopSettings, Method, TaskKind, refit, velocity_of};
use crate::calibration::{Flow, Found, Happens, Phase, Plan, Shift, attenuate, check, intended};
use crate::config::{CascadeKind, Config, CursorConfig, DecoderConfig, DecoderKind, RidgeShape};
use crate::decode::{Cascade, Decoder};
use crate::error::Error;
use crate::score::Score;
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
    /// How its button did, where it has one.
    pub click: Option<ClickAbout>,
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
    /// What a model tells of its fit, where one is to be written.
    pub judged: Option<Judged>,
}

/// A fit on all bins of a calibration, judged as any training is.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What was chosen in the last fit.
    pub choices: Choices,
    /// On the last fifth of the bins in which the cursor moved by itself, fitted on the others of them: what was meant then is
    /// known, where it is inferred later.
    pub held_out: Score,
    /// Bins in which the cursor moved by itself; they came first.
    pub n_observed: usize,
    /// Bins of the calibration.
    pub n_bins: usize,
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

/// What is to be calibrated, and how.
pub(super) struct Order<'a> {
    pub(super) config: &'a Config,
    pub(super) plan: &'a Plan,
    pub(super) method: Method,
    /// A button as well.
    pub(super) clicks: bool,
    pub(super) keeps_statistics: bool,
    /// A model is to be written of it.
    pub(super) judges: bool,
    /// Decides where targets are.
    pub(super) seed: u64,
}

impl<'a> Order<'a> {
    /// What `settings` ask for, with the settings of the decoder as they are by now.
    pub(super) fn of(settings: &'a LoopSettings, config: &'a Config) -> Self {
        Order {
            config,
            plan: &settings.plan,
            method: settings.method,
            clicks: settings.click == ClickBy::Decoded,
            keeps_statistics: false,
            judges: false,
            seed: settings.simulator.seed,
        }
    }
}

/// Goes through the flow with a simulated user whom nobody disturbs.
///
/// # Errors
/// Bins that can't be fitted, or a fit that isn't let near a cursor.
pub(super) fn alone(
    rig: &mut Rig,
    user: &mut User,
    order: &Order<'_>,
    tell: &mut impl FnMut(Doing, f64),
) -> Result<Calibrated, Error> {
    let (seconds, mut n_steps) = (order.plan.seconds(), 0_usize);
    let mut attend = |view: &View| {
        if n_steps.is_multiple_of(super::STEPS_A_TELL) || view.doing == Doing::Fitting {
            tell(view.doing, 1.0 - view.seconds_left / seconds);
        }
        n_steps += 1;
        None
    };
    let calibrated = calibrate(rig, Some(user), order, &mut attend)?;
    Ok(calibrated.expect("nobody cancelled"))
}

/// Goes through the flow; nothing where it was cancelled. Without a user there is a person before the screen.
///
/// # Errors
/// Bins that can't be fitted, or a fit that isn't let near a cursor: at once with a simulated user, and with a person who
/// cancels then rather than try again.
pub(super) fn calibrate(
    rig: &mut Rig,
    mut user: Option<&mut User>,
    order: &Order<'_>,
    attend: Attend<'_>,
) -> Result<Option<Calibrated>, Error> {
    let Order { config, plan, method, clicks, keeps_statistics, judges, seed } = *order;
    let step_seconds = rig.step_seconds();
    let mut flow: Flow<Decoder> = Flow::new(plan.clone(), None);
    let mut config = config.clone();
    let mut collected = Collected::default();
    let mut fits: Vec<FitAbout> = Vec::new();
    let mut answers = Answer::after((ANSWER_MS * 1e-3 / step_seconds).round() as usize);
    let mut screen = Screen::new(plan.observe_seconds, step_seconds, seed);
    screen.asks_for_clicks = clicks;
    let mut seconds = 0.0;
    let mut problem: Option<Error> = None;
    let mut n_observed = 0;
    let mut cascade = None;
    loop {
        let mut view = screen.view(&flow, collected.n_targets);
        if view.doing != Doing::Waiting {
            problem = None;
        }
        view.problem = problem.as_ref().map(Error::to_string);
        if let Some(happens) = attend(&view) {
            flow.tell(happens);
        }
        match flow.phase() {
            Some(Phase::Observe) => screen.observe(rig, &mut user, &mut collected)?,
            Some(Phase::Assisted { assistance }) => {
                screen.assist(rig, &mut user, &mut collected, assistance, method)?;
            }
            Some(Phase::Fit) => {
                let is_first = fits.is_empty();
                if is_first {
                    n_observed = collected.n_bins();
                }
                let mut fit_all = || match method == Method::Refit && !is_first {
                    true => refit::fit(&collected, &config, step_seconds),
                    false => fit(&collected, &mut config, &mut cascade, step_seconds, is_first),
                };
                let fitted = match user {
                    Some(_) => fit_all(),
                    // A stream doesn't wait for it.
                    None => {
                        let step = || rig.step([0.0; 2], |_| ()).map(|_| ());
                        let (fitted, said) = meanwhile(fit_all, step, || attend(&view))?;
                        said.into_iter().for_each(|happens| flow.tell(happens));
                        fitted
                    }
                };
                let (decoder, about) = match fitted {
                    Ok(fitted) => fitted,
                    Err(error) if user.is_some() => return Err(error),
                    Err(error) => {
                        problem = Some(error);
                        flow.tell(Happens::FitFailed);
                        continue;
                    }
                };
                // The user finds out how a cursor answers by moving it; the next decoder's is much the same.
                if let Some(user) = user.as_deref_mut() {
                    if let Some(found) = answer(&screen.intended, &screen.decoded, step_seconds) {
                        answers = found;
                    }
                    user.get_used_to(CursorConfig::default(), answers.clone());
                }
                (screen.intended, screen.decoded) = (Vec::new(), Vec::new());
                fits.push(about);
                rig.install(&config, Some(decoder.clone()))?;
                flow.tell(Happens::Fitted(decoder));
                continue;
            }
            Some(Phase::Free) => break,
            Some(Phase::Cancelled) => return problem.map_or(Ok(None), Err),
            // The stream goes on, and nothing of it is learnt.
            Some(Phase::Failed) | None => {
                screen.rest(rig, &mut user)?;
                collected.break_off();
                continue;
            }
        }
        let brought = rig.brought();
        match brought.is_fresh {
            true => {
                seconds += brought.n_bins as f64 * step_seconds;
                flow.tell(Happens::Passed(brought.n_bins as f64 * step_seconds));
            }
            false => collected.break_off(),
        }
    }
    let mut decoder = flow.in_use().expect("a flow that nobody cancels ends with a model").clone();
    let mut click = None;
    if clicks {
        let (clicker, about) = click::fit(&collected, config.bins.features, step_seconds)?;
        decoder = decoder.with_click(clicker).expect("both are of the same bins");
        click = Some(about);
    }
    let n_alive = rig.n_alive().unwrap_or_else(|| collected.n_active(rig.n_channels()));
    let statistics = match config.decoder.ridge[..] {
        [strength] if keeps_statistics => {
            let data = collected.dataset(config.bins.features, step_seconds, 0);
            let choices = Choices { wiener_ridge: Some(strength), ..Choices::default() };
            Basis::of(&data, &config.decoder, &decoder, &choices)?.wiener
        }
        _ => None,
    };
    let judged = judges.then(|| judge(&collected, n_observed, &config, step_seconds)).transpose()?;
    Ok(Some(Calibrated {
        config,
        decoder,
        click,
        answer: answers,
        fits,
        seconds,
        n_alive,
        statistics,
        judged,
    }))
}

fn judge(
    collected: &Collected,
    n_observed: usize,
    config: &Config,
    step_seconds: f64,
) -> Result<Judged, Error> {
    let mut data = collected.dataset(config.bins.features, step_seconds, 0);
    let (n_bins, choices) = (data.rows.end, train::fit(&data, &config.decoder)?.choices);
    data.rows = 0..n_observed;
    let (_, held_out) = train::score_last_fifth(&data, &config.decoder)?;
    Ok(Judged { choices, held_out, n_observed, n_bins })
}

/// Fits on a thread of its own while the stream goes on, which is not learnt from; and what the user said meanwhile.
///
/// # Errors
/// Of the stream.
fn meanwhile<T: Send, S>(
    fit: impl FnOnce() -> T + Send,
    mut step: impl FnMut() -> Result<(), Error>,
    mut attend: impl FnMut() -> Option<S>,
) -> Result<(T, Vec<S>), Error> {
    std::thread::scope(|scope| {
        let fitting = scope.spawn(fit);
        let mut said = Vec::new();
        while !fitting.is_finished() {
            step()?;
            said.extend(attend());
        }
        Ok((fitting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), said))
    })
}

/// What the user is shown.
struct Screen {
    path: Path,
    /// How fast the cursor goes by itself next.
    velocity: Point,
    /// Steps of observing that are over.
    observed: usize,
    step_ms: f64,
    was_still: bool,
    /// The cursor stops at targets and asks for a click; for so many steps more.
    asks_for_clicks: bool,
    asks_for: usize,
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
            velocity: [0.0; 2],
            observed: 0,
            step_ms: step_seconds * 1e3,
            was_still: true,
            asks_for_clicks: false,
            asks_for: 0,
            task: TaskKind::Pursuit.begin(cursor.at, step_seconds, seed),
            cursor,
            shown_seconds: 0.0,
            intended: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// What is on it now.
    fn view(&mut self, flow: &Flow<Decoder>, n_targets: usize) -> View {
        let phase = flow.phase();
        let is_observing = matches!(phase, Some(Phase::Observe));
        let doing = match phase {
            Some(Phase::Observe) => Doing::Observing,
            Some(Phase::Assisted { .. }) => Doing::Assisted,
            Some(Phase::Fit) => Doing::Fitting,
            None => Doing::Paused,
            Some(Phase::Failed | Phase::Cancelled | Phase::Free) => Doing::Waiting,
        };
        if is_observing {
            self.velocity = if self.asks_for > 0 { [0.0; 2] } else { self.path.velocity[self.now_ms()] };
        }
        View {
            doing,
            seconds_left: flow.seconds_left(),
            cursor: self.cursor.at,
            velocity: if is_observing { self.velocity } else { [0.0; 2] },
            target: matches!(phase, Some(Phase::Assisted { .. })).then(|| self.task.target()),
            asks_for_click: is_observing && self.asks_for > 0,
            n_targets,
            problem: None,
            step_seconds: self.step_ms * 1e-3,
        }
    }

    fn now_ms(&self) -> usize {
        ((self.observed as f64 * self.step_ms) as usize).min(self.path.velocity.len() - 1)
    }

    /// A step in which the cursor stands still and the user rests.
    fn rest(&mut self, rig: &mut Rig, user: &mut Option<&mut User>) -> Result<(), Error> {
        let intended = user.as_deref_mut().map_or([0.0; 2], |user| user.go_along([0.0; 2]));
        rig.step(intended, |_| ()).map(|_| ())
    }

    /// A step in which the cursor moves by itself, and the user goes along.
    fn observe(
        &mut self,
        rig: &mut Rig,
        user: &mut Option<&mut User>,
        into: &mut Collected,
    ) -> Result<(), Error> {
        let (at, velocity) = (self.cursor.at, self.velocity);
        let intended = user.as_deref_mut().map_or(velocity, |user| user.go_along(velocity));
        if self.asks_for > 0 {
            self.asks_for -= 1;
            rig.mean_click(true);
            rig.step(intended, |bin| {
                into.add(bin, Some(velocity), at);
                into.click();
            })?;
            rig.mean_click(false);
            return Ok(());
        }
        let ms = self.now_ms();
        let is_still = velocity == [0.0; 2];
        into.n_targets += usize::from(self.was_still && !is_still);
        if self.asks_for_clicks
            && is_still
            && !self.was_still
            && into.n_targets.is_multiple_of(click::CUE_EVERY)
        {
            self.asks_for = (click::CUE_SECONDS * 1e3 / self.step_ms).round() as usize;
        }
        self.was_still = is_still;
        rig.step(intended, |bin| into.add(bin, Some(velocity), at))?;
        self.observed += rig.brought().n_bins;
        self.cursor.at = self.path.position[ms];
        Ok(())
    }

    /// A step in which the candidate moves the cursor, with help.
    fn assist(
        &mut self,
        rig: &mut Rig,
        user: &mut Option<&mut User>,
        into: &mut Collected,
        assistance: f64,
        method: Method,
    ) -> Result<(), Error> {
        let target = self.task.target();
        let wanted = user.as_deref_mut().map_or([0.0; 2], |user| user.look(self.cursor.at, Some(target)));
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

/// Fits on all that was collected; the first time on four fifths of it, which the rest judges. The cascade is that of the first
/// fit: how fast the user meant to go is known while the cursor moves by itself, and taken from what was decoded later.
fn fit(
    collected: &Collected,
    config: &mut Config,
    cascade: &mut Option<Cascade>,
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
            *cascade = fitted.decoder.cascade();
            (fitted, Some(r2))
        }
        false => {
            let mut fitted =
                train::fit(&data, &DecoderConfig { cascade: CascadeKind::None, ..config.decoder.clone() })?;
            if let Some(with) = cascade.and_then(|cascade| fitted.decoder.with_cascade(cascade)) {
                fitted.decoder = with;
            }
            (fitted, None)
        }
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
