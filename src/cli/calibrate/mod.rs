//! `efference calibrate`: the calibration flow with a person and an implant, or with simulated ones. Out: a model folder.

mod screen;

use crate::cli::live;
use crate::cli::task::{self, Decoder};
use crate::cli::train::SettingsArgs;
use crate::cli::{EXIT_INTERRUPTED, link, progress, say, say_json, table};
use efference::Error;
use efference::block::StreamInfo;
use efference::calibration::{Happens, Plan};
use efference::closed_loop::{self, Calibrated, CalibrationSettings, Doing, Subject, View};
use efference::link::Wanted;
use efference::model::{FORMAT, Model, ModelAbout, OutputAbout, Provenance, StreamAbout};
use efference::pipeline::Calibration;
use efference::sources::SampleSource;
use efference::sources::link::{LinkAddress, LinkSource, fit};
use efference::sources::simulator::Settings;
use efference::train::{Basis, Choices};
use screen::Screen;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Calibrate a decoder with whoever looks at the screen: a person with an implant, or a simulated user.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference calibrate sim:neuralink-n1,seed=3 --user expert --out my-n1
  efference calibrate 'ble://N1-0042?key=implant.key' --click --out my-n1
  efference calibrate 'udp://127.0.0.1:47500?key=implant.key' --screen 127.0.0.1:47600 --out my-n1

Three minutes: first the cursor moves by itself and the user goes along with it in mind, then the user moves it with
help, then without. It must be looked at from about the same place all the while. Lines on standard input: `pause`,
`resume`, `cancel`, and after a fit that failed `retry`. The model is written at the end, whole; whoever cancels (or Ctrl-C)
leaves everything as it was. While nothing comes from the implant the time stands still.

With a simulator's address everything is SYNTHETIC and as fast as it can be computed; --paced shows it as fast as it is.")]
pub(crate) struct CalibrateArgs {
    /// The implant: udp://, tcp://, unix://, pipe://, ble://, or a simulator's address
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The model folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// All of it together, s; its phases keep their shares
    #[arg(long, value_name = "S", default_value_t = SECONDS)]
    seconds: f64,
    /// The cursor stops at targets and asks for clicks, and a button is learnt too
    #[arg(long)]
    click: bool,
    /// Settings in TOML: [front_end], [bins], [decoder], [cursor], [safety]
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Keep beside the model what it can be solved again from; personal data like the weights
    #[arg(long)]
    keep_statistics: bool,
    /// Send what is on the screen here as well, a line of JSON a bin over UDP, to a program of this computer
    #[arg(long, value_name = "127.0.0.1:PORT")]
    screen: Option<SocketAddr>,
    /// Where targets appear
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A simulator's user: typical, expert, or a table [user] in TOML
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "typical")]
    user: PathBuf,
    /// A simulator: no faster than a person could watch
    #[arg(long)]
    paced: bool,
    #[command(flatten)]
    link: link::WantedArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CalibrateArgs) -> Result<(), Error> {
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&args.seconds) {
        return Err(Error::usage("calibrate", format!("{} s", args.seconds))
            .field("--seconds")
            .legal(format!("{SECONDS_MIN} to {SECONDS_MAX}")));
    }
    // What can't be written is known before the user's time is taken, not after.
    let folder = Model::begin(&args.out)?;
    let mut screen = Screen::new(args.screen)?;
    let is_simulated = args.source.starts_with("sim:");
    live::is_running(true);
    let (subject, config) = subject(args)?;
    let settings = CalibrationSettings {
        config,
        plan: plan(args.seconds),
        clicks: args.click,
        keeps_statistics: args.keep_statistics,
        seed: args.seed,
    };
    let said = listen();
    let started = crate::cli::clock::now();
    let mut shown_seconds = 0.0;
    let mut attend = |view: &View| {
        screen.show(view);
        if is_simulated && (args.paced || view.doing == Doing::Paused) {
            shown_seconds += view.step_seconds;
            let ahead = Duration::from_secs_f64(shown_seconds).saturating_sub(started.elapsed());
            std::thread::sleep(ahead.min(Duration::from_secs_f64(view.step_seconds)));
        }
        if live::stop().load(Ordering::Relaxed) {
            return Some(Happens::Cancel);
        }
        let heard = said.try_recv();
        if heard.is_ok() {
            screen.redraw();
        }
        match heard {
            Ok(Said::Pause) => Some(Happens::Pause),
            Ok(Said::Resume) => Some(Happens::Resume),
            Ok(Said::Retry) => Some(Happens::Retry),
            Ok(Said::Cancel) => Some(Happens::Cancel),
            // Nobody is there to try again.
            Err(TryRecvError::Disconnected) if view.doing == Doing::Waiting => Some(Happens::Cancel),
            Err(_) => None,
        }
    };
    let done = closed_loop::calibrate(&settings, subject, &mut attend);
    screen.finish();
    let calibrated = match done {
        // The stream ends where somebody wants it to.
        Err(_) if live::stop().load(Ordering::Relaxed) => None,
        done => done?,
    };
    live::is_running(false);
    let Some((calibrated, info, calibration)) = calibrated else {
        drop(folder);
        eprintln!("cancelled: nothing was written, and what was there before stays as it was");
        std::process::exit(EXIT_INTERRUPTED);
    };
    let (model, basis) = model(args, &calibrated, &info, calibration);
    model.write_with(folder, basis.as_ref())?;
    match args.json {
        true => say_json(&summary(args, &model, &calibrated)),
        false => say(text(args, &model, &calibrated)),
    }
}

/// Who looks at the screen, and the settings that suit their stream.
fn subject(args: &CalibrateArgs) -> Result<(Subject, efference::config::Config), Error> {
    let config = |kind| match &args.config {
        None => Ok(task::usual(kind, Decoder::Wiener)),
        Some(_) => SettingsArgs::of_file(args.config.clone()).config(None, None),
    };
    if args.source.starts_with("sim:") {
        let simulator = Settings::parse(&task::address(&args.source))?;
        let config = config(simulator.kind)?;
        return Ok((Subject::Simulated(Box::new(simulator), Box::new(task::user(&args.user)?)), config));
    }
    if !LinkAddress::is_link(&args.source) || args.source.starts_with("capture:") {
        return Err(Error::usage("calibrate", format!("`{}` is a recording", args.source))
            .field("SOURCE")
            .legal("a device, or a simulator's address: whoever made a recording saw another screen")
            .hint("`efference train` learns from recordings"));
    }
    let address = LinkAddress::parse(&args.source, "SOURCE")?;
    let (mode, width_ms) = fit::plan(None, None, &[])?;
    let wanted = Wanted { mode, ..args.link.wanted(width_ms) };
    let spinner = progress::spinner(&format!("calling {}", address.carrier));
    let capture = args.link.capture.as_deref();
    let source = LinkSource::connect(&address, wanted.clone(), capture, live::stop(), link::PATIENCE)?;
    spinner.finish_and_clear();
    if let Some(device) = source.device() {
        fit::check(device, &wanted, None, &address.carrier.to_string())?;
    }
    let config = config(source.info().kind)?;
    Ok((Subject::Person(Box::new(source)), config))
}

/// The flow that tasks are calibrated by, as long as is asked for.
fn plan(seconds: f64) -> Plan {
    let mut plan = task::plan(Decoder::Wiener);
    let share = seconds / plan.seconds();
    plan.observe_seconds *= share;
    plan.assisted.iter_mut().for_each(|round| round.seconds *= share);
    plan
}

/// What somebody says on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Pause,
    Resume,
    Retry,
    Cancel,
}

fn listen() -> Receiver<Said> {
    let (sender, receiver) = channel();
    let hear = move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let said = match line.trim() {
                "pause" => Said::Pause,
                "resume" => Said::Resume,
                "retry" => Said::Retry,
                "cancel" => {
                    // Heard also while the implant is silent.
                    live::stop().store(true, Ordering::Relaxed);
                    Said::Cancel
                }
                "" => continue,
                other => {
                    eprintln!("note: `{other}` is no command; there are pause, resume, retry, cancel");
                    continue;
                }
            };
            if sender.send(said).is_err() {
                return;
            }
        }
    };
    // Without it the calibration goes on; only the commands are missing.
    if std::thread::Builder::new().name("commands".to_string()).spawn(hear).is_err() {
        eprintln!("warning: no thread for commands on standard input");
    }
    receiver
}

fn model(
    args: &CalibrateArgs,
    calibrated: &Calibrated,
    info: &StreamInfo,
    calibration: Calibration,
) -> (Model, Option<Basis>) {
    let judged = calibrated.judged.as_ref().expect("it was asked for");
    let basis = calibrated
        .statistics
        .clone()
        .map(|statistics| Basis { wiener: Some(statistics), ..Basis::default() });
    // The key's place is nobody's business.
    let source = args.source.split('?').next().unwrap_or_default();
    let user = match args.source.starts_with("sim:") {
        true => format!(", user {}", args.user.file_name().unwrap_or_default().to_string_lossy()),
        false => String::new(),
    };
    let mut command =
        format!("efference calibrate '{source}' --seconds {} --seed {}", args.seconds, args.seed);
    if args.source.starts_with("sim:") {
        command += &format!(" --user {}", args.user.file_name().unwrap_or_default().to_string_lossy());
    }
    if args.click {
        command += " --click";
    }
    let about = ModelAbout {
        format: FORMAT,
        synthetic: info.synthetic,
        output: OutputAbout::Movement {
            axes: vec!["x".into(), "y".into()],
            unit: "m".into(),
            position: false,
        },
        provenance: Provenance {
            efference: env!("CARGO_PKG_VERSION").to_string(),
            data: format!("calibration of {:.0} s at {source}{user}", calibrated.seconds),
            data_sha256: None,
            bins: [0, judged.n_bins as u64],
            command: command + " --out MODEL",
        },
        choices: Choices {
            wiener_ridge: calibrated.config.decoder.ridge.first().copied(),
            ..judged.choices.clone()
        },
        stream: StreamAbout::of(info),
        config: calibrated.config.clone(),
        held_out: judged.held_out.clone(),
        held_out_of: Some([0, judged.n_observed as u64]),
    };
    (Model { about, calibration, decoder: calibrated.decoder.clone() }, basis)
}

fn summary(args: &CalibrateArgs, model: &Model, calibrated: &Calibrated) -> serde_json::Value {
    json!({
        "model": args.out.display().to_string(),
        "synthetic": model.about.synthetic,
        "seconds": calibrated.seconds,
        "electrodes_alive": calibrated.n_alive,
        "fits": calibrated.fits,
        "click": calibrated.click,
        "score": model.about.held_out,
    })
}

fn text(args: &CalibrateArgs, model: &Model, calibrated: &Calibrated) -> String {
    let about = &model.about;
    let kind = if about.synthetic { "synthetic" } else { "live" };
    let n_targets = calibrated.fits.last().map_or(0, |fit| fit.n_targets);
    let mut lines = vec![format!(
        "calibrated ({kind}) in {:.0} s of the user's time: {n_targets} targets, {} electrodes, {} fits",
        calibrated.seconds,
        calibrated.n_alive,
        calibrated.fits.len(),
    )];
    lines.push(table::score(&about.held_out, "last fifth of going along, fitted on the rest").to_string());
    if let Some(click) = &calibrated.click {
        lines.push(format!(
            "button: {:.0} ms after it is meant, {:.0} % of the clicks missed, {:.1} a minute that nobody meant",
            click.delay_ms,
            100.0 * click.missed,
            click.unasked_per_minute
        ));
    }
    lines.push(format!("model: {}", args.out.display()));
    lines.join("\n")
}

/// Three minutes.
const SECONDS: f64 = 180.0;
/// Less has too few targets; more tires.
const SECONDS_MIN: f64 = 30.0;
const SECONDS_MAX: f64 = 900.0;
