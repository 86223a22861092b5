//! The closed loop: a simulated user sees the cursor and intends, neurons fire, the pipeline decodes, the cursor moves.
//!
//! In: [`LoopSettings`]. Out: a [`Session`]: what calibration came to, every attempt, every step. All of it is synthetic: no
//! brain takes part. Time is simulated, so that a session takes as long as it takes to compute; no clock is read, and the
//! seed decides everything. The stages are those that run live: [`Pipeline`](crate::pipeline::Pipeline) with its dynamics
//! and safety, [`calibration`](crate::calibration), [`tasks`](crate::tasks).
//!
//! [`calibrate()`] does the calibration alone, also with a person before the screen and an implant at the end of a link.

mod answer;
mod calibrate;
mod click;
mod collected;
mod recalibrate;
mod refit;
mod rig;
mod scores;
mod session;

pub use calibrate::{Calibrated, FitAbout, Judged};
pub use click::ClickAbout;
pub use recalibrate::{Day, Days, Kept, Window, run_days};
pub use scores::{Phases, Scores};
pub use session::{Attend, CalibrationSettings, Subject, View, calibrate};

use crate::calibration::Plan;
use crate::config::Config;
use crate::error::Error;
use crate::intents::{Action, Dwell, DwellSettings, Intent};
use crate::sources::simulator::{self, WORKSPACE_M};
use crate::tasks::user::{User, UserSettings};
use crate::tasks::{Attempt, Layout, Outcome, Point, Reach, ReachSettings, Target, Task, Webgrid};
use calibrate::Order;
use rig::Rig;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct LoopSettings {
    /// The implant and the tissue; its seed is the session's.
    pub simulator: simulator::Settings,
    /// Bins, decoder, cursor and safety.
    pub config: Config,
    /// How the user calibrates.
    pub plan: Plan,
    /// What is learnt from then.
    pub method: Method,
    /// What the user is like.
    pub user: UserSettings,
    /// What is done then.
    pub task: TaskKind,
    /// For how long, s.
    pub seconds: f64,
    /// How the user clicks.
    pub click: ClickBy,
    /// No tissue and no decoder: the cursor does what the user intends, [`UserSettings::command_delay_ms`] later. What the
    /// user reaches then, as with a mouse, is its own ceiling.
    pub is_ideal: bool,
}

/// What a calibration learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// From all: while the cursor moves by itself from its velocity, in use from what was meant.
    #[default]
    Meant,
    /// From the bins alone in which the cursor moved by itself, as one learns from a hand's movement.
    Observed,
    /// ReFIT: from what was meant, with a cursor whose place is known ([`crate::train::fit_refit`]); a Kalman filter of velocity
    /// comes first.
    Refit,
}

/// How the user clicks. Where there is a decoder of clicks, [`Intent::button`] clicks as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClickBy {
    /// By staying.
    Dwell {
        /// How long, s.
        seconds: f64,
        /// Within what share of a cell's half width.
        share: f64,
    },
    /// By a switch that the user presses: no click is decoded, the score is of pointing alone.
    Switch,
    /// By meaning it: a button that is learnt in the calibration and decoded from the same bins.
    Decoded,
}

/// Which task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// A grid of so many cells a side.
    Webgrid {
        /// Cells a side.
        side: u32,
    },
    /// Eight targets round the centre, each to be held.
    CenterOut,
    /// Targets anywhere, each to be held.
    Pursuit,
}

/// One step of use: a bin.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Where the cursor went, m.
    pub cursor: Point,
    /// What the user wanted, m/s.
    pub intended: Point,
    /// How fast the cursor went, m/s.
    pub velocity: Point,
}

/// All that happened.
#[derive(Clone, Debug)]
pub struct Session {
    /// What calibration came to; nothing of an ideal cursor.
    pub calibrated: Option<Calibrated>,
    /// Every attempt that ended.
    pub attempts: Vec<Attempt>,
    /// Clicks on the target.
    pub correct: u32,
    /// Clicks beside it.
    pub incorrect: u32,
    /// Every click: when, s, and whether on the target.
    pub clicks: Vec<(f64, bool)>,
    /// Steps in which safety held the cursor.
    pub held_steps: u32,
    /// Every step.
    pub moments: Vec<Moment>,
    /// Of use, simulated; calibration not included.
    pub seconds: f64,
}

/// What is going on, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// Noise is measured, the user rests.
    Noise,
    /// The user follows the cursor.
    Observing,
    /// A decoder is fitted.
    Fitting,
    /// The user moves the cursor with help.
    Assisted,
    /// The user has a break.
    Paused,
    /// A fit can't be used: for another try, or the end.
    Waiting,
    /// The task.
    Using,
}

/// Calibrates, and lets the user do the task. `tell` hears what is going on and how much of it, 0 to 1.
///
/// # Errors
/// Settings that don't fit each other; a calibration that comes to nothing, with what may be done about it.
pub fn run(settings: &LoopSettings, mut tell: impl FnMut(Doing, f64)) -> Result<Session, Error> {
    let mut config = settings.config.clone();
    let seed = settings.simulator.seed;
    if settings.is_ideal {
        if settings.click == ClickBy::Decoded {
            return Err(Error::usage("closed loop", "an ideal cursor has no decoder of clicks")
                .field("--click")
                .legal("switch or dwell"));
        }
        let user = User::new(settings.user.clone(), IDEAL_STEP_SECONDS, seed);
        let delay = (settings.user.command_delay_ms * 1e-3 / IDEAL_STEP_SECONDS).round() as usize;
        let mut asked: VecDeque<Point> = std::iter::repeat_n([0.0; 2], delay).collect();
        let follow = |shown: Shown| {
            asked.push_back(shown.intended);
            Ok(Some(Moved { velocity: asked.pop_front().unwrap_or_default(), ..Moved::default() }))
        };
        return use_it(settings, 0, IDEAL_STEP_SECONDS, user, follow, tell);
    }
    let mut rig = Rig::simulated(&settings.simulator, &mut config, &mut tell)?;
    let step_seconds = rig.step_seconds();
    let mut user = User::new(settings.user.clone(), step_seconds, seed);
    // Calibration is of the decoder alone; the cursor's dynamics come after it.
    let cursor = std::mem::take(&mut config.cursor);
    let order = Order::of(settings, &config);
    let mut calibrated = calibrate::alone(&mut rig, &mut user, &order, &mut tell)?;
    calibrated.config.cursor = cursor;
    user.get_used_to(cursor, calibrated.answer.clone());
    if let Some(click) = &calibrated.click {
        user.get_used_to_clicks(click.delay_ms, CLICK_PATIENCE_MS);
    }
    rig.install(&calibrated.config, Some(calibrated.decoder.clone()))?;
    let decode = |shown: Shown| {
        rig.attract(shown.way());
        rig.place_cursor(shown.cursor);
        rig.mean_click(shown.means_click && settings.click == ClickBy::Decoded);
        Ok(rig.step(shown.intended, |_| ())?.map(Moved::by))
    };
    let session = use_it(settings, 0, step_seconds, user, decode, tell)?;
    Ok(Session { calibrated: Some(calibrated), ..session })
}

/// What becomes of an intention in a step.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    velocity: Point,
    button: bool,
    is_held: bool,
}

impl Moved {
    fn by(intent: Intent) -> Self {
        Moved { velocity: velocity_of(&intent), button: intent.button, is_held: intent.hold.is_some() }
    }
}

/// What a step begins with.
#[derive(Clone, Copy, Debug)]
struct Shown {
    intended: Point,
    cursor: Point,
    target: Target,
    /// What was reached or clicked on in the step before.
    selected: Option<Target>,
    /// The user means to hold the button.
    means_click: bool,
}

impl Shown {
    /// From the cursor to the target.
    fn way(&self) -> Point {
        [0, 1].map(|axis| self.target.center[axis] - self.cursor[axis])
    }
}

/// The task as on day `day`, with a cursor that `follow` moves.
fn use_it(
    settings: &LoopSettings,
    day: u32,
    step_seconds: f64,
    mut user: User,
    mut follow: impl FnMut(Shown) -> Result<Option<Moved>, Error>,
    mut tell: impl FnMut(Doing, f64),
) -> Result<Session, Error> {
    let n_steps = (settings.seconds / step_seconds).round() as usize;
    // Another one than that which calibration drew its targets from.
    let seed = settings.simulator.seed.wrapping_add(TASK_SEED).wrapping_add(u64::from(day) << 32);
    let mut cursor = Cursor::new(settings.task.edge(), step_seconds);
    let mut task = settings.task.begin(cursor.at, step_seconds, seed);
    let mut dwell = match settings.click {
        ClickBy::Dwell { seconds, share } => Some(Dwell::new(DwellSettings {
            seconds,
            radius: share * task.target().half_width,
            step_seconds,
        })),
        ClickBy::Switch | ClickBy::Decoded => None,
    };
    let mut session = Session {
        calibrated: None,
        attempts: Vec::new(),
        correct: 0,
        incorrect: 0,
        clicks: Vec::new(),
        held_steps: 0,
        moments: Vec::with_capacity(n_steps),
        seconds: n_steps as f64 * step_seconds,
    };
    let mut was_down = false;
    let mut selected = None;
    for step in 0..n_steps {
        let target = task.target();
        let intended = user.look(cursor.at, Some(target));
        let shown = Shown {
            intended,
            cursor: cursor.at,
            target,
            selected: selected.take(),
            means_click: user.means_click(),
        };
        let Some(Moved { velocity, button, is_held }) = follow(shown)? else { continue };
        session.held_steps += u32::from(is_held);
        cursor.go(velocity);
        let clicks = match &mut dwell {
            Some(dwell) => dwell.step(cursor.at),
            None => settings.click == ClickBy::Switch && user.presses(),
        };
        // A button that is held down has gone down once.
        let goes_down = button && !was_down;
        was_down = button;
        let brought = task.step(cursor.at, clicks || goes_down);
        session.correct += u32::from(brought.clicked == Some(true));
        session.incorrect += u32::from(brought.clicked == Some(false));
        session.clicks.extend(brought.clicked.map(|is_on| (step as f64 * step_seconds, is_on)));
        let is_hit = |attempt: &Attempt| attempt.outcome == Outcome::Hit;
        selected = brought.ended.as_ref().filter(|attempt| is_hit(attempt)).map(|attempt| attempt.target);
        session.attempts.extend(brought.ended);
        session.moments.push(Moment { cursor: cursor.at, intended, velocity });
        if step.is_multiple_of(STEPS_A_TELL) {
            tell(Doing::Using, step as f64 / n_steps as f64);
        }
    }
    Ok(session)
}

impl TaskKind {
    /// The word that stands on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Webgrid { .. } => "webgrid",
            TaskKind::CenterOut => "center-out",
            TaskKind::Pursuit => "pursuit",
        }
    }

    /// The task over the simulator's workspace.
    pub fn begin(self, cursor: Point, step_seconds: f64, seed: u64) -> Task {
        let reach = |layout| {
            let settings = ReachSettings {
                layout,
                half_side: WORKSPACE_M,
                radius: TARGET_RADIUS_M,
                hold_seconds: HOLD_SECONDS,
                limit_seconds: LIMIT_SECONDS,
                step_seconds,
            };
            Task::Reach(Reach::new(settings, cursor, seed))
        };
        match self {
            TaskKind::Webgrid { side } => {
                Task::Webgrid(Webgrid::new(side, WORKSPACE_M, step_seconds, cursor, seed))
            }
            TaskKind::CenterOut => reach(Layout::CenterOut),
            TaskKind::Pursuit => reach(Layout::Anywhere),
        }
    }

    /// Where the cursor stops: at a grid's rim, as at a screen's, and a little beyond the workspace else.
    fn edge(self) -> f64 {
        match self {
            TaskKind::Webgrid { .. } => WORKSPACE_M,
            TaskKind::CenterOut | TaskKind::Pursuit => WORKSPACE_M * MARGIN,
        }
    }
}

/// Where the cursor is, and how far it may go.
#[derive(Clone, Debug)]
struct Cursor {
    at: Point,
    edge: f64,
    step_seconds: f64,
}

impl Cursor {
    fn new(edge: f64, step_seconds: f64) -> Self {
        Cursor { at: [0.0; 2], edge, step_seconds }
    }

    fn go(&mut self, velocity: Point) {
        for (at, v) in self.at.iter_mut().zip(velocity) {
            *at = (*at + v * self.step_seconds).clamp(-self.edge, self.edge);
        }
    }
}

fn velocity_of(intent: &Intent) -> Point {
    match intent.action {
        Action::Move { velocity, .. } => [velocity[0], velocity[1]].map(f64::from),
        Action::Choose { .. } => [0.0; 2],
    }
}

/// Radius of a target that is held, m.
pub const TARGET_RADIUS_M: f64 = 0.015;
/// How long it is held.
pub const HOLD_SECONDS: f64 = 0.4;
/// When it is missed.
pub const LIMIT_SECONDS: f64 = 5.0;
const MARGIN: f64 = 1.3;
/// Added to the seed, so that the task's targets are not those of the calibration.
const TASK_SEED: u64 = 0x7461_736b;
/// An ideal cursor is told as often as a decoder with the field's usual bins.
const IDEAL_STEP_SECONDS: f64 = 0.02;
/// A user who sees no click come holds it so much longer.
const CLICK_PATIENCE_MS: f64 = 200.0;
/// Once a simulated second of 20 ms.
const STEPS_A_TELL: usize = 50;

#[cfg(test)]
mod tests;
