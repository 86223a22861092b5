//! What a person sees while the cursor moves: the workspace, and a table beside it. In a pipe, nothing.

use super::rig::StageTimes;
use super::session::Step;
use super::targets::{EDGE_M, TARGET_RADIUS_M, Targets};
use crate::cli::field::Field;
use crate::cli::progress;
use efference::pipeline::Stage;
use indicatif::ProgressBar;

/// Redrawn in place on the terminal; gone when finished.
pub(super) struct Live {
    screen: ProgressBar,
    electrodes: String,
    seed: u64,
}

impl Live {
    /// For an array of which `n_alive` electrodes are alive.
    pub(super) fn new(n_electrodes: usize, n_alive: usize, seed: u64) -> Self {
        let electrodes = format!("{n_alive} of {n_electrodes}");
        Live { screen: progress::text(), electrodes, seed }
    }

    /// Draws the present state.
    pub(super) fn show(&self, seconds_left: f64, step: &Step, targets: &Targets, times: &StageTimes) {
        if self.screen.is_hidden() {
            return;
        }
        let target = Some((targets.target, TARGET_RADIUS_M));
        let field = Field { edge: EDGE_M, cursor: step.cursor, target };
        self.screen.set_message(field.beside(&self.table(seconds_left, step, targets, times)));
    }

    /// Clears the screen of it.
    pub(super) fn finish(&self) {
        self.screen.finish_and_clear();
    }

    fn table(&self, seconds_left: f64, step: &Step, targets: &Targets, times: &StageTimes) -> Vec<String> {
        let [vx, vy] = step.decoded.map(|v| v * 100.0);
        let [x, y] = step.cursor.map(|at| at * 100.0);
        let mut lines = vec![
            format!("SYNTHETIC user, seed {}", self.seed),
            String::new(),
            format!("{:18}{:>18}", "time left", format!("{:.1} s", seconds_left.max(0.0))),
            format!(
                "{:18}{:>18}",
                "targets hit",
                format!("{} of {}", targets.n_hit(), targets.attempts.len())
            ),
            format!("{:18}{vx:>+7.1}{vy:>+6.1} cm/s", "decoded velocity"),
            format!("{:18}{x:>+9.1}{y:>+6.1} cm", "cursor"),
            format!("{:18}{:>18}", "electrodes alive", self.electrodes),
            String::new(),
            format!("{:20}{:>8}{:>8}", "µs a block", "median", "longest"),
        ];
        for stage in Stage::ALL {
            let (median, longest) = times.median_and_longest_us(stage);
            lines.push(format!("{:20}{median:>8.1}{longest:>8.0}", stage.name()));
        }
        lines
    }
}
