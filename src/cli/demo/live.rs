//! What a person sees while the cursor moves: the workspace, and a table beside it. In a pipe, nothing.

use super::rig::StageTimes;
use super::session::Step;
use super::targets::{EDGE_M, TARGET_RADIUS_M, Targets};
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
        let table = self.table(seconds_left, step, targets, times);
        let field = field(step.cursor, targets.target);
        let mut table = table.iter();
        let beside = |line: String| format!("{line}  {}", table.next().map_or("", String::as_str));
        self.screen.set_message(field.into_iter().map(beside).collect::<Vec<_>>().join("\n"));
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

/// The workspace in characters, about square on a terminal.
fn field(cursor: [f64; 2], target: [f64; 2]) -> Vec<String> {
    let rim = "─".repeat(COLUMNS);
    let mut lines = vec![format!("┌{rim}┐")];
    let width = 2.0 * EDGE_M / COLUMNS as f64;
    let height = 2.0 * EDGE_M / ROWS as f64;
    let cell = |at: f64, size: f64, n: usize| (((at + EDGE_M) / size) as usize).min(n - 1);
    for row in (0..ROWS).rev() {
        let of = |column: usize| {
            let x = (column as f64 + 0.5) * width - EDGE_M;
            let y = (row as f64 + 0.5) * height - EDGE_M;
            if (column, row) == (cell(cursor[0], width, COLUMNS), cell(cursor[1], height, ROWS)) {
                '●'
            } else if (x - target[0]).hypot(y - target[1]) <= TARGET_RADIUS_M {
                '░'
            } else {
                ' '
            }
        };
        lines.push(format!("│{}│", (0..COLUMNS).map(of).collect::<String>()));
    }
    lines.push(format!("└{rim}┘"));
    lines
}

const COLUMNS: usize = 37;
const ROWS: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_shows_cursor_and_target_in_their_corners() {
        let lines = field([EDGE_M, -EDGE_M], [-EDGE_M + 0.02, EDGE_M - 0.02]);
        assert_eq!(lines.len(), ROWS + 2);
        assert!(lines.iter().all(|line| line.chars().count() == COLUMNS + 2));
        assert_eq!(lines[ROWS].chars().nth(COLUMNS), Some('●'), "{lines:?}");
        assert_eq!(lines[2].chars().nth(3), Some('░'), "{lines:?}");
        assert!(!lines[ROWS - 1].contains('░'));
    }
}
