//! Calibration as a state machine: observe → fit → assisted → free, three minutes in all.
//!
//! In: what happens ([`Happens`]: time that has passed, a fit that is done or failed, pause, cancel). Out: what to do now
//! ([`Phase`]), and which model drives. Pure: whoever calls it shows the targets, fits, and moves the cursor; no clock is
//! read. It doesn't know what a model is (`M`), so that the command line, a service and an app can use it with theirs.
//! Guarantees, held by a test of random courses:
//!
//! - the model in use is always a whole one: the one from before, or the last that was fitted; a candidate drives only
//!   while the user is assisted, and is put in use by the last fit alone;
//! - cancel at any point leaves everything as it was before; pause at any point stops the time, and nothing drives meanwhile;
//! - the phases take the plan's time, whatever the steps that time comes in.
//!
//! Observing first and assisting then is what Neuralink's and BrainGate's users do (Jarosiewicz et al. 2013, J Neural Eng
//! 10:046012; Brandman et al. 2018, J Neural Eng 15:026007); the assistance attenuates what leads away from the line to the
//! target (Velliste et al. 2008, Nature 453:1098; see [`attenuate`]).

mod assist;
mod check;

pub use assist::{attenuate, intended};
pub use check::{Found, Problem, Shift, check};

use serde::Serialize;

/// How long each phase takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The cursor moves by itself and the user goes along, s.
    pub observe_seconds: f64,
    /// Rounds in which the user moves it with assistance, and a fit after each, s.
    pub assisted: Vec<Round>,
}

/// A round of assisted use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// How long, s.
    pub seconds: f64,
    /// Share of what leads away from the line to the target that is taken off, 0 to 1.
    pub assistance: f64,
}

impl Default for Plan {
    /// Three minutes: one of observing, two of use with less and less help.
    fn default() -> Self {
        let round = |assistance| Round { seconds: 40.0, assistance };
        Plan { observe_seconds: 60.0, assisted: vec![round(0.7), round(0.35), round(0.0)] }
    }
}

impl Plan {
    /// All phases together, s; fits take no time of the user's that is counted.
    pub fn seconds(&self) -> f64 {
        self.observe_seconds + self.assisted.iter().map(|round| round.seconds).sum::<f64>()
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// Move the cursor from target to target; the user goes along.
    Observe,
    /// Fit a model on all that was collected, and tell [`Happens::Fitted`] or [`Happens::FitFailed`].
    Fit,
    /// Let the candidate move the cursor, attenuated so much.
    Assisted {
        /// Share of what leads away that is taken off, 0 to 1.
        assistance: f64,
    },
    /// It is over: the new model is in use.
    Free,
    /// It is over: the model from before is in use.
    Cancelled,
    /// A fit failed: the model from before is in use; [`Happens::Retry`] collects more.
    Failed,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Happens<M> {
    /// So much of the stream's time has passed, s.
    Passed(f64),
    /// The fit that was asked for is done.
    Fitted(M),
    /// It can't be done.
    FitFailed,
    /// The user wants a break.
    Pause,
    /// It goes on where it was.
    Resume,
    /// The user wants out.
    Cancel,
    /// After a fit that failed: collect as much as the round before, then fit again.
    Retry,
}

/// A calibration that goes on.
#[derive(Clone, Debug)]
pub struct Flow<M> {
    plan: Plan,
    /// The model that was in use before.
    before: Option<M>,
    candidate: Option<M>,
    stage: Stage,
    /// Left of the present phase, s.
    left: f64,
    is_paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Observe,
    /// After so many rounds of use.
    Fit(usize),
    Assisted(usize),
    Free,
    Cancelled,
    Failed(usize),
}

impl<M> Flow<M> {
    /// Begins; `before` is the model in use now, if there is any.
    pub fn new(plan: Plan, before: Option<M>) -> Self {
        let left = plan.observe_seconds;
        Flow { plan, before, candidate: None, stage: Stage::Observe, left, is_paused: false }
    }

    /// Takes in what happened. What makes no sense now (a fit that nobody asked for, time after the end) changes nothing.
    pub fn tell(&mut self, happens: Happens<M>) {
        match (happens, self.stage) {
            (_, Stage::Free | Stage::Cancelled) => {}
            (Happens::Cancel, _) => {
                self.candidate = None;
                self.is_paused = false;
                self.stage = Stage::Cancelled;
            }
            (Happens::Pause, _) => self.is_paused = true,
            (Happens::Resume, _) => self.is_paused = false,
            (Happens::Passed(seconds), _) => self.pass(seconds),
            (Happens::Fitted(model), Stage::Fit(n_rounds)) => {
                self.candidate = Some(model);
                self.begin(match n_rounds < self.plan.assisted.len() {
                    true => Stage::Assisted(n_rounds),
                    false => Stage::Free,
                });
            }
            (Happens::FitFailed, Stage::Fit(n_rounds)) => self.stage = Stage::Failed(n_rounds),
            (Happens::Retry, Stage::Failed(n_rounds)) => {
                let again = n_rounds.checked_sub(1).filter(|_| self.candidate.is_some());
                self.begin(again.map_or(Stage::Observe, Stage::Assisted));
            }
            (Happens::Fitted(_) | Happens::FitFailed | Happens::Retry, _) => {}
        }
    }

    /// What is to be done now; `None` while the user has a break.
    pub fn phase(&self) -> Option<Phase> {
        let assistance = |round: usize| self.plan.assisted.get(round).map_or(0.0, |round| round.assistance);
        (!self.is_paused).then_some(match self.stage {
            Stage::Observe => Phase::Observe,
            Stage::Fit(_) => Phase::Fit,
            Stage::Assisted(round) => Phase::Assisted { assistance: assistance(round) },
            Stage::Free => Phase::Free,
            Stage::Cancelled => Phase::Cancelled,
            Stage::Failed(_) => Phase::Failed,
        })
    }

    /// The model that is in use outside of the calibration: the one from before until the last fit is done.
    pub fn in_use(&self) -> Option<&M> {
        match self.stage {
            Stage::Free => self.candidate.as_ref(),
            _ => self.before.as_ref(),
        }
    }

    /// The model that moves the cursor now, if any: the candidate while the user is assisted, and the one in use when it is
    /// over. Nothing moves it while the user observes or has a break, or while a fit is due.
    pub fn drives(&self) -> Option<&M> {
        match self.phase()? {
            Phase::Assisted { .. } => self.candidate.as_ref(),
            Phase::Free | Phase::Cancelled => self.in_use(),
            Phase::Observe | Phase::Fit | Phase::Failed => None,
        }
    }

    /// Left of the user's time, s.
    pub fn seconds_left(&self) -> f64 {
        let from =
            |round: usize| self.plan.assisted.iter().skip(round).map(|round| round.seconds).sum::<f64>();
        match self.stage {
            Stage::Observe => self.left + from(0),
            Stage::Assisted(round) => self.left + from(round + 1),
            Stage::Fit(n_rounds) | Stage::Failed(n_rounds) => from(n_rounds),
            Stage::Free | Stage::Cancelled => 0.0,
        }
    }

    fn pass(&mut self, seconds: f64) {
        if self.is_paused || seconds.is_nan() || seconds <= 0.0 {
            return;
        }
        let next = match self.stage {
            Stage::Observe => Stage::Fit(0),
            Stage::Assisted(round) => Stage::Fit(round + 1),
            _ => return,
        };
        self.left -= seconds;
        // What a sum of steps lacks by rounding isn't waited for.
        if self.left < ROUNDING_S {
            self.stage = next;
        }
    }

    fn begin(&mut self, stage: Stage) {
        // What is over needs no break.
        self.is_paused &= stage != Stage::Free;
        self.left = match stage {
            Stage::Observe => self.plan.observe_seconds,
            Stage::Assisted(round) => self.plan.assisted[round].seconds,
            _ => 0.0,
        };
        self.stage = stage;
    }
}

const ROUNDING_S: f64 = 1e-6;

#[cfg(test)]
mod tests;
