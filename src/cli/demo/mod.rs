//! `efference demo`: a simulated user calibrates a decoder and moves a cursor to targets with it, through the
//! pipeline that runs live. Out: a live table, a scoreboard, a picture. All of it is synthetic and says so.

mod calibration;
mod live;
mod report;
mod rig;
mod session;
mod targets;
mod user;

use crate::cli::plot::{self, CursorPicture};
use crate::cli::{clock, say, say_json};
use calibration::BIN_WIDTH_MS;
use efference::Error;
use efference::device::Profile;
use efference::sinks::PendingFile;
use efference::sources::simulator::{Settings, Simulator};
use report::Report;
use session::Session;
use std::path::PathBuf;

/// See it work: a simulated user moves a cursor with 1,024 simulated electrodes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference demo
  efference demo --seed 7 --out seven.png
  efference demo --fast --json

Everything here is SYNTHETIC: no brain made these signals. The user follows a cursor for a minute, a decoder
is fitted to that, and then the user moves the cursor with it: it sees the cursor and intends a velocity towards
the target, neurons fire to it, the pipeline filters, detects, bins and decodes, and the cursor moves.")]
pub(crate) struct DemoArgs {
    /// Every random draw comes from it; the same seed gives the same scores
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the user moves the cursor, simulated
    #[arg(long, value_name = "S", default_value_t = 25.0)]
    seconds: f64,
    /// Electrodes
    #[arg(long, value_name = "N", default_value_t = 1024)]
    electrodes: usize,
    /// As fast as this machine can, not as slow as a person needs to watch
    #[arg(long)]
    fast: bool,
    /// The picture to write (.png or .svg)
    #[arg(long, value_name = "PICTURE.png", default_value = "efference-demo.png")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<(), Error> {
    let started = clock::now();
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&args.seconds) {
        return Err(Error::usage("demo", format!("{} s", args.seconds))
            .field("--seconds")
            .legal(format!("{SECONDS_MIN} to {SECONDS_MAX}")));
    }
    plot::check_path_of("--out", &args.out)?;
    // A place that can't be written to is better known now than in half a minute.
    let picture_file = PendingFile::create(&args.out)?;
    let mut settings = Settings::new(Profile::named(PROFILE)?);
    settings.electrodes = args.electrodes;
    settings.seed = args.seed;
    let mut simulator = Simulator::new(&settings)?;
    let calibrated = calibration::calibrate(&mut simulator, args.seed)?;
    let session = session::use_cursor(&mut simulator, &calibrated, args.seed, args.seconds, !args.fast)?;
    plot::cursor(picture_file, &picture(args, &session))?.finish()?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let report = Report { args, calibrated: &calibrated, session: &session, wall_seconds };
    match args.json {
        true => say_json(&report.json()),
        false => say(report.text()),
    }
}

fn picture(args: &DemoArgs, session: &Session) -> CursorPicture {
    let Session { steps, targets, .. } = session;
    let seconds = |step: usize| (step + 1) as f64 * BIN_WIDTH_MS * 1e-3;
    let r2 = session.velocity_r2();
    let trace = |(axis, name): (usize, &str)| {
        let of = |value: fn(&session::Step) -> [f64; 2]| {
            steps.iter().enumerate().map(|(i, step)| (seconds(i), value(step)[axis])).collect()
        };
        plot::Trace {
            title: format!("velocity {name}, R² {:.3}", r2.axes[name]),
            unit: "m/s".into(),
            truth_name: "intended",
            truth: of(|step| step.intended),
            decoded: of(|step| step.decoded),
        }
    };
    let point = |at: [f64; 2]| (at[0], at[1]);
    CursorPicture {
        title: format!(
            "SYNTHETIC: a simulated user with {} electrodes, seed {}: {} of {} targets hit",
            args.electrodes,
            args.seed,
            targets.n_hit(),
            targets.attempts.len()
        ),
        path: plot::Path2d {
            title: "cursor".into(),
            unit: "m".into(),
            truth_name: "straight",
            // From the middle, where it begins, from target to target.
            truth: std::iter::once((0.0, 0.0))
                .chain(targets.attempts.iter().map(|attempt| point(attempt.to)))
                .collect(),
            decoded: steps.iter().map(|step| point(step.cursor)).collect(),
            targets: targets.attempts.iter().map(|attempt| point(attempt.to)).collect(),
            target_radius: targets::TARGET_RADIUS_M,
        },
        traces: [(0, "x"), (1, "y")].map(trace),
    }
}

/// The device whose electrodes are simulated.
const PROFILE: &str = "neuralink-n1";
/// Shorter than this, nothing is reached; longer, nothing is learnt.
const SECONDS_MIN: f64 = 1.0;
const SECONDS_MAX: f64 = 600.0;
