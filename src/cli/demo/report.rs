//! The scoreboard: for people, and as JSON for scripts. Both say that it is synthetic.

use super::DemoArgs;
use super::calibration::{ANSWER_BINS, BIN_WIDTH_MS, Calibrated, FOLLOW_SECONDS, NOISE_SECONDS};
use super::session::Session;
use super::targets::{HOLD_SECONDS, LIMIT_SECONDS};
use crate::cli::table;
use efference::pipeline::Stage;
use serde_json::json;

/// What was reached.
pub(super) struct Report<'a> {
    pub(super) args: &'a DemoArgs,
    pub(super) calibrated: &'a Calibrated,
    pub(super) session: &'a Session,
    /// From start to end, calibration included.
    pub(super) wall_seconds: f64,
}

impl Report<'_> {
    /// One object; but for times, the seed decides all of it.
    pub(super) fn json(&self) -> serde_json::Value {
        let Report { args, calibrated, session, wall_seconds } = self;
        let targets = &session.targets;
        let stage = |stage: Stage| {
            let (median, longest) = session.times.median_and_longest_us(stage);
            let seconds = session.times.seconds(stage);
            let times = json!({ "seconds": seconds, "median_us": median, "longest_us": longest });
            (stage.name().to_string(), times)
        };
        json!({
            "synthetic": true,
            "seed": args.seed,
            "profile": super::PROFILE,
            "decoder": calibrated.config.decoder.kind.name(),
            "electrodes": args.electrodes,
            "electrodes_alive": calibrated.n_alive(),
            "electrodes_decoded": calibrated.n_used,
            "calibration_seconds": NOISE_SECONDS + FOLLOW_SECONDS,
            "seconds": session.seconds,
            "targets_hit": targets.n_hit(),
            "targets_shown": targets.attempts.len(),
            "median_seconds_to_target": targets.median_seconds(),
            "velocity_r2": session.velocity_r2(),
            "velocity_r2_lag_ms": ANSWER_BINS as f64 * BIN_WIDTH_MS,
            "stages": Stage::ALL.map(stage).into_iter().collect::<serde_json::Map<_, _>>(),
            "compute_seconds": self.compute_seconds(),
            "time_ratio": self.compute_seconds() / session.seconds,
            "wall_seconds": wall_seconds,
            "picture": args.out.display().to_string(),
        })
    }

    /// Two tables and a path.
    pub(super) fn text(&self) -> String {
        let Report { args, calibrated, session, wall_seconds } = self;
        let targets = &session.targets;
        let r2 = session.velocity_r2();
        let title = format!("SYNTHETIC: a simulated user, seed {}", args.seed);
        let mut scores = table::of(&[title.as_str(), ""]);
        let median = targets.median_seconds().map_or("–".into(), |seconds| format!("{seconds:.2} s"));
        let each = |axis: &str| format!("{:.3}", r2.axes[axis]);
        for (name, value) in [
            ("targets hit / shown".to_string(), format!("{} / {}", targets.n_hit(), targets.attempts.len())),
            (format!("median time to target, {HOLD_SECONDS} s of holding included"), median),
            ("velocity R², x".to_string(), each("x")),
            ("velocity R², y".to_string(), each("y")),
            ("electrodes alive".to_string(), format!("{} of {}", calibrated.n_alive(), args.electrodes)),
            ("electrodes with enough spikes to decode".to_string(), calibrated.n_used.to_string()),
        ] {
            scores.add_row(vec![name, value]);
        }
        let mut stages = table::of(&["stage", "median, µs a block", "longest", "of real time"]);
        for stage in Stage::ALL {
            let (median, longest) = session.times.median_and_longest_us(stage);
            let share = 100.0 * session.times.seconds(stage) / session.seconds;
            stages.add_row(vec![
                stage.name().to_string(),
                format!("{median:.1}"),
                format!("{longest:.0}"),
                format!("{share:.2} %"),
            ]);
        }
        let share = 100.0 * self.compute_seconds() / session.seconds;
        stages.add_row(vec!["all".to_string(), String::new(), String::new(), format!("{share:.2} %")]);
        format!(
            "{scores}\n{stages}\n\
             {:.1} s of use after {:.0} s of calibration, in {wall_seconds:.1} s. A target that isn't held within \
             {LIMIT_SECONDS} s\nis missed. R² is of decoded velocity against that intended {} ms before.\n\
             picture: {}",
            session.seconds,
            NOISE_SECONDS + FOLLOW_SECONDS,
            ANSWER_BINS as f64 * BIN_WIDTH_MS,
            args.out.display(),
        )
    }

    fn compute_seconds(&self) -> f64 {
        Stage::ALL.iter().map(|&stage| self.session.times.seconds(stage)).sum()
    }
}
