//! The scores of one seed or several: for people, and as JSON for scripts. Both say that they are synthetic.

use super::{Click, Kind, TaskArgs};
use crate::cli::table;
use efference::closed_loop::{LoopSettings, Scores, Session};
use serde_json::json;

/// What was reached.
pub(super) struct Report<'a> {
    pub(super) args: &'a TaskArgs,
    pub(super) settings: &'a LoopSettings,
    /// Seed, session and scores.
    pub(super) done: &'a [(u64, Session, Scores)],
}

/// A row of the table: its name, and what it shows of a seed's scores.
type Row = (&'static str, &'static str, fn(&Scores) -> Option<f64>);

const ROWS: [Row; 10] = [
    ("bits_per_second", "bits/s", |scores| scores.bits_per_second),
    ("hits", "targets reached", |scores| Some(scores.hits as f64)),
    ("wrong", "wrong clicks, or targets missed", |scores| {
        Some(f64::from(scores.incorrect) + scores.misses as f64)
    }),
    ("median_seconds_to_target", "time to target, median, s", |scores| scores.median_seconds_to_target),
    ("throughput", "Fitts' throughput, bits/s", |scores| {
        scores.throughput.map(|throughput| throughput.bits_per_second)
    }),
    ("path_efficiency", "path efficiency", |scores| scores.path_efficiency),
    ("orbiting_seconds", "orbiting, s", |scores| scores.orbiting_seconds),
    ("way_seconds", "time until first on the target, mean, s", |scores| {
        scores.phases.map(|phases| phases.way_seconds)
    }),
    ("correction_seconds", "from there until on it for good, s", |scores| {
        scores.phases.map(|phases| phases.correction_seconds)
    }),
    ("stay_seconds", "from there until the click or the hold's end, s", |scores| {
        scores.phases.map(|phases| phases.stay_seconds)
    }),
];

impl Report<'_> {
    /// One object, which the seed decides.
    pub(super) fn json(&self) -> serde_json::Value {
        let seed = |(seed, session, scores): &(u64, Session, Scores)| {
            json!({
                "seed": seed,
                "scores": scores,
                "held_steps": session.held_steps,
                "calibration_seconds": session.calibrated.as_ref().map(|calibrated| calibrated.seconds),
                "electrodes_alive": session.calibrated.as_ref().map(|calibrated| calibrated.n_alive),
                "answer": session.calibrated.as_ref().map(|calibrated| &calibrated.answer),
                "click": session.calibrated.as_ref().and_then(|calibrated| calibrated.click),
                "fits": session.calibrated.as_ref().map(|calibrated| &calibrated.fits),
            })
        };
        let medians: serde_json::Map<String, serde_json::Value> = ROWS
            .iter()
            .filter_map(|(key, _, of)| Some((key.to_string(), self.median(*of)?.into())))
            .collect();
        json!({
            "synthetic": true,
            "task": task_name(self.args),
            "user": self.args.user.display().to_string(),
            "ideal": self.settings.is_ideal,
            "source": self.args.source,
            "profile": self.settings.simulator.profile.name,
            "electrodes": self.settings.simulator.electrodes,
            "decoder": self.settings.config.decoder.kind.name(),
            "learns_from": self.settings.method,
            "seconds": self.args.seconds,
            "median": medians,
            "seeds": self.done.iter().map(seed).collect::<Vec<_>>(),
        })
    }

    /// A table, and what it was made with.
    pub(super) fn text(&self) -> String {
        let title = format!("SYNTHETIC: a simulated user, {}", task_name(self.args));
        let column = match self.done {
            [(seed, ..)] => format!("seed {seed}"),
            many => format!("median of {} seeds", many.len()),
        };
        let mut scores = table::of(&[title.as_str(), column.as_str()]);
        for (_, name, of) in ROWS {
            if let Some(median) = self.median(of) {
                let text =
                    if median.fract() == 0.0 { format!("{median:.0}") } else { format!("{median:.3}") };
                scores.add_row(vec![name.to_string(), text]);
            }
        }
        let mut lines = vec![scores.to_string(), self.after()];
        lines.extend(self.args.plot.as_ref().map(|path| format!("picture: {}", path.display())));
        lines.join("\n")
    }

    /// What came before the task.
    fn after(&self) -> String {
        let Some(calibrated) = &self.done[0].1.calibrated else {
            return format!(
                "{:.0} s of use, simulated, with a cursor that does what the user intends, {:.0} ms later: the user's own ceiling.",
                self.args.seconds, self.settings.user.command_delay_ms,
            );
        };
        let fits: Vec<String> = calibrated.fits.iter().map(|fit| fit.n_bins.to_string()).collect();
        format!(
            "{:.0} s of use after {:.0} s of calibration, both simulated; fits on {} bins; {} of {} electrodes alive; the cursor answers after {:.1} bins on average.",
            self.args.seconds,
            calibrated.seconds,
            fits.join(", "),
            calibrated.n_alive,
            self.settings.simulator.electrodes,
            calibrated.answer.mean_steps(),
        )
    }

    fn median(&self, of: fn(&Scores) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.done.iter().filter_map(|(_, _, scores)| of(scores)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }
}

/// What the user moves the cursor with, in words.
pub(super) fn device(settings: &LoopSettings) -> String {
    match settings.is_ideal {
        true => "an ideal cursor".to_string(),
        false => format!("{} electrodes", settings.simulator.electrodes),
    }
}

/// The task in words.
pub(super) fn task_name(args: &TaskArgs) -> String {
    match args.task {
        Kind::Webgrid => {
            let click = match args.click {
                Click::Dwell => format!("clicks by {} s of dwell", args.dwell),
                Click::Switch => "clicks by a switch, not decoded".to_string(),
                Click::Decoded => "clicks decoded".to_string(),
            };
            format!("webgrid {} × {}, {click}", args.side, args.side)
        }
        Kind::CenterOut => "center-out".to_string(),
        Kind::Pursuit => "pursuit".to_string(),
    }
}
