//! The closed loop: the user sees the cursor and intends, neurons fire, the pipeline decodes, the cursor moves.
//!
//! In: a simulator and what calibration found. Out: what happened in each bin. The clock paces it and times
//! the stages; what happens doesn't depend on it.

use super::calibration::{ANSWER_BINS, BIN_WIDTH_MS, Calibrated};
use super::live::Live;
use super::rig::{Rig, StageTimes};
use super::targets::Targets;
use super::user::User;
use crate::cli::clock;
use efference::Error;
use efference::intents::Action;
use efference::pipeline::{Event, Pipeline};
use efference::score::{self, PerAxis};
use efference::sources::SampleSource;
use efference::sources::simulator::Simulator;
use ndarray::{Array2, ArrayView2};
use std::time::Duration;

/// One bin of use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Where the cursor went, m.
    pub(super) cursor: [f64; 2],
    /// m/s.
    pub(super) intended: [f64; 2],
    pub(super) decoded: [f64; 2],
}

/// All that happened.
pub(super) struct Session {
    pub(super) steps: Vec<Step>,
    pub(super) targets: Targets,
    pub(super) times: StageTimes,
    /// Simulated.
    pub(super) seconds: f64,
}

/// Lets the user move the cursor for `seconds`; `paced`, no faster than a person could watch.
///
/// # Errors
/// None that calibration wouldn't have met.
pub(super) fn use_cursor(
    simulator: &mut Simulator,
    calibrated: &Calibrated,
    seed: u64,
    seconds: f64,
    paced: bool,
) -> Result<Session, Error> {
    let info = simulator.info().clone();
    let decoder = calibrated.decoder.clone();
    let pipeline = Pipeline::from_config(&calibrated.config, &info, &calibrated.calibration, Some(decoder))?;
    let mut rig = Rig::new(simulator, pipeline);
    let mut targets = Targets::new(seed, BIN_WIDTH_MS * 1e-3);
    let mut user = User::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut intended = [0.0; 2];
    let live = Live::new(info.n_channels(), calibrated.n_alive(), seed);
    let n_frames = (seconds * info.sample_rate.hz()) as u64;
    let mut frame = 0;
    let started = clock::now();
    while frame < n_frames {
        let already = steps.len();
        frame += rig.next_block(intended, |event| {
            if let Event::Intent(intent) = event
                && let Action::Move { velocity, .. } = intent.action
            {
                let decoded = [velocity[0], velocity[1]].map(f64::from);
                targets.move_cursor(decoded);
                steps.push(Step { cursor: targets.cursor, intended, decoded });
            }
        })?;
        if let Some(step) = steps[already..].last() {
            intended = user.look(step.cursor, targets.target);
            let passed = frame as f64 / info.sample_rate.hz();
            if steps.len().is_multiple_of(BINS_PER_REDRAW) {
                live.show(seconds - passed, step, &targets, &rig.times);
            }
            if paced {
                std::thread::sleep(Duration::from_secs_f64(passed).saturating_sub(started.elapsed()));
            }
        }
    }
    live.finish();
    let seconds = frame as f64 / info.sample_rate.hz();
    Ok(Session { steps, targets, times: rig.times, seconds })
}

impl Session {
    /// R² of decoded velocity against the velocity intended [`ANSWER_BINS`] before, which it was trained to say.
    pub(super) fn velocity_r2(&self) -> PerAxis {
        let n = self.steps.len().saturating_sub(ANSWER_BINS);
        let table = |steps: &[Step], of: fn(&Step) -> [f64; 2]| {
            Array2::from_shape_fn((n, 2), |(step, axis)| of(&steps[step])[axis])
        };
        let intended = table(&self.steps, |step| step.intended);
        let decoded = table(&self.steps[self.steps.len() - n..], |step| step.decoded);
        let r2 = |a: ArrayView2<'_, f64>, b| score::r2(a, b);
        PerAxis::new(&["x".into(), "y".into()], &r2(intended.view(), decoded.view()))
    }
}

/// Ten redraws a simulated second.
const BINS_PER_REDRAW: usize = 5;
