//! `efference run`: a stream in real time, intents as they come, and at the end where the time and every frame went.

use crate::cli::link::Sent;
use crate::cli::source::SourceArgs;
use crate::cli::train::SettingsArgs;
use crate::cli::{link, plot, progress, say, say_json, swaps, table};
use efference::block::StreamKind;
use efference::config::LiveConfig;
use efference::intents::IntentLine;
use efference::link::Wanted;
use efference::live::{self, Delivery, Drill, Latency, Report, Setup, Sink, Stop};
use efference::model::Model;
use efference::pipeline::Calibration;
use efference::recording::{self, Recording};
use efference::simd::Level;
use efference::sinks::PendingFile;
use efference::sources::link::{LinkAddress, LinkSource, fit};
use efference::{Error, SampleIndex, SampleRate, train};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Run a stream in real time: filter, detect, bin and decode it, and report latency and losses.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference run --source sim:neuralink-n1@30000 --seconds 10
  efference run --source sim:paradromics-50k --model my-50k --seconds 60 --plot report.png
  efference run --source sim:neuralink-n1 --seconds 5 --drill shard0@2:300
  efference run --source 'udp://127.0.0.1:47500?key=implant.key' --model my-n1 --seconds 60
  efference run --source 'ble://N1-0042?key=implant.key' --model my-n1
  efference run --source 'udp://127.0.0.1:47500?key=implant.key' --model my-n1 --follow-electrodes --swaps swaps.jsonl

While it runs, a line `freeze` on standard input keeps noise and thresholds as they are, `follow` lets them follow
the stream again, `stop` ends the run, as Ctrl-C does. `panic` stops everything that moves at once; `resume` lets it go on
half a second later, after a panic as after a disconnect. With --follow-electrodes `rollback` goes back to the decoder before.

A recording plays at its own speed. Without a model there are bins but no intents; thresholds then come from the
noise of the stream's first seconds.")]
pub(crate) struct RunArgs {
    /// Where samples come from: a simulator's address, a recording, or a device: udp://, tcp://, unix://,
    /// pipe://, ble://
    #[arg(long, value_name = "SOURCE")]
    source: String,
    /// What the file's variables mean, as for `replay`
    #[arg(long, value_name = "MAP.toml")]
    mapping: Option<String>,
    /// The model folder, as `train` writes it
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Stop after so much of the stream [default: its end; a simulator goes on until Ctrl-C, for four hours at most]
    #[arg(long)]
    seconds: Option<f64>,
    /// Write intents here, a line of JSON each
    #[arg(long, value_name = "FILE.jsonl")]
    out: Option<PathBuf>,
    /// Draw the report (.png or .svg)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Settings in TOML: [front_end] and [bins] where no model brings them
    #[arg(long, value_name = "FILE.toml", conflicts_with = "model")]
    config: Option<PathBuf>,
    /// Threads, rings and waiting in TOML: the table [live]
    #[arg(long, value_name = "FILE.toml")]
    live: Option<PathBuf>,
    /// How threads wait for the next block
    #[arg(long, value_enum, default_value = "balanced")]
    wait: Wait,
    /// Threads that share the channels [default: as many as they are worth]
    #[arg(long)]
    shards: Option<usize>,
    /// Keep shards, source and decoder on these cores, in turn
    #[arg(long, value_name = "CORE,…", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Ask the system for real-time priority
    #[arg(long)]
    realtime: bool,
    /// Vector instructions: sse2 (or neon), avx2, avx512 [default: the widest there are]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Hold a stage up on purpose, to see what an overload does: STAGE@SECONDS:MS
    #[arg(long, value_name = "DRILL")]
    drill: Option<Drill>,
    /// What a device sends [default: what the model wants, else counts]
    #[arg(long, value_enum)]
    mode: Option<Sent>,
    /// Electrodes of a device, counted from 0, whose raw samples are decoded
    #[arg(long, value_name = "ELECTRODE,…", value_delimiter = ',')]
    raw: Vec<u32>,
    #[command(flatten)]
    link: link::WantedArgs,
    #[command(flatten)]
    keep: swaps::KeepArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How threads wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Wait {
    /// Look for some 30 µs, then sleep until woken
    Balanced,
    /// Sleep through the first part of a block, look without pause through the rest: for few channels
    LowLatency,
    /// Sleep at once
    Gentle,
}

static STOP: AtomicBool = AtomicBool::new(false);
static FREEZE: AtomicBool = AtomicBool::new(false);
static PANICS: AtomicU32 = AtomicU32::new(0);
static RESUME: AtomicBool = AtomicBool::new(false);
static ROLLBACKS: AtomicU32 = AtomicU32::new(0);
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Does the work of one thread and counts how often it takes memory. Sinks write text, and the keeper solves: they may.
fn counted(name: &str, work: &mut dyn FnMut()) {
    let memory = allocation_counter::measure(work);
    if name != "sinks" && name != live::KEEPER {
        ALLOCATIONS.fetch_add(memory.count_total, Ordering::Relaxed);
    }
}

/// Ends a run that is on its way, so that it reports; false if there is none.
pub(crate) fn interrupt() -> bool {
    let again = STOP.swap(true, Ordering::Relaxed);
    IS_RUNNING.load(Ordering::Relaxed) && !again
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Error> {
    if let Some(path) = &args.plot {
        plot::check_path(path)?;
    }
    args.keep.check_place([&args.out, &args.plot])?;
    let live = live_config(args)?;
    let level = level(args.level.as_deref())?;
    let out = args.out.as_deref().map(PendingFile::create).transpose()?;
    let picture = args.plot.as_deref().map(PendingFile::create).transpose()?;
    let model = args.model.as_deref().map(Model::load).transpose()?;
    let address = source_of(args)?;
    let place = address.name();
    if !LinkAddress::is_link(&args.source) && (args.mode.is_some() || !args.raw.is_empty()) {
        return Err(Error::usage("--mode", "it is for devices, and this is a recording")
            .legal("neither --mode nor --raw"));
    }
    let is_device = LinkAddress::is_link(&args.source) && !args.source.starts_with("capture:");
    let recording = match is_device {
        true => device(args, model.as_ref())?,
        false => address.open()?,
    };
    address.say_mapping(&recording);
    let info = recording.source.info().clone();
    let (config, calibration, decoder) = match &model {
        Some(model) => {
            if !is_device {
                model.check(&recording, &place)?;
            }
            (model.about.config.clone(), model.calibration.clone(), Some(model.decoder.clone()))
        }
        None => {
            let config = SettingsArgs::of_file(args.config.clone()).config(None, Some(&info))?;
            let config = recording.settle(config, &place)?;
            let calibration = match info.kind {
                StreamKind::Broadband => {
                    let _spinner = progress::spinner("measuring noise");
                    train::calibrate(&mut *address.open()?.source, &config, SampleIndex(0))?
                }
                // The device has found crossings with thresholds of its own.
                StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => Calibration::default(),
            };
            (config, calibration, None)
        }
    };
    let written = Arc::new(Mutex::new(out));
    let sinks: Vec<Box<dyn Sink>> = match args.out {
        None => Vec::new(),
        Some(_) => vec![Box::new(IntentLines {
            file: written.clone(),
            recording: place.clone(),
            synthetic: info.synthetic || model.as_ref().is_some_and(|model| model.about.synthetic),
            rate: info.sample_rate,
            classes: model.as_ref().map_or(Vec::new(), |model| model.classes().to_vec()),
        })],
    };
    let folder = args.model.as_deref();
    let basis = args.keep.basis(model.as_ref(), folder)?;
    let keeping = args.keep.keeping(basis.as_ref(), folder, info.n_channels(), &ROLLBACKS)?;
    let setup = Setup {
        config: &config,
        calibration: &calibration,
        decoder,
        live: &live,
        level,
        seconds: args.seconds,
        stop: &STOP,
        freeze: &FREEZE,
        panics: &PANICS,
        resume: &RESUME,
        keeping,
        drill: args.drill,
        around: counted,
    };
    IS_RUNNING.store(true, Ordering::Relaxed);
    listen();
    let spinner = progress::spinner("running; Ctrl-C ends it");
    let mut report = live::run(setup, recording.source, sinks)?;
    report.allocations = Some(ALLOCATIONS.load(Ordering::Relaxed));
    spinner.finish_and_clear();
    let picture = match picture {
        None => None,
        Some(picture) => Some(plot::live(picture, &place, &report)?),
    };
    if let (Some(out), 0) = (written.lock().expect("the sinks' thread is over").take(), report.failed_sinks) {
        out.finish()?;
    }
    if let Some(picture) = picture {
        picture.finish()?;
    }
    match args.json {
        true => say_json(&report)?,
        false => say(text(&report, &place))?,
    }
    match report.stop {
        Stop::Source(error) => Err(error),
        _ if report.failed_sinks > 0 => {
            let place = args.out.as_deref().map_or(String::new(), |path| path.display().to_string());
            Err(Error::output(place, "intents could not be written; the report's notes say why"))
        }
        _ if report.failed_log => {
            Err(Error::output("--swaps", "the log is not whole; the report's notes say why"))
        }
        _ => Ok(()),
    }
}

/// Calls a device, and asks it for what the model wants.
fn device(args: &RunArgs, model: Option<&Model>) -> Result<Recording, Error> {
    let address = LinkAddress::parse(&args.source, "--source")?;
    let (mode, width_ms) = fit::plan(model.map(|model| &model.about), args.mode.map(Sent::mode), &args.raw)?;
    let wanted = Wanted { mode, raw_electrodes: args.raw.clone(), ..args.link.wanted(width_ms) };
    let spinner = progress::spinner(&format!("calling {}", address.carrier));
    let capture = args.link.capture.as_deref();
    let source = LinkSource::connect(&address, wanted.clone(), capture, &STOP, link::PATIENCE)?;
    spinner.finish_and_clear();
    if let Some(device) = source.device() {
        fit::check(device, &wanted, model, &address.carrier.to_string())?;
    }
    Ok(recording::of_source(&address.carrier.to_string(), "link", Box::new(source), 0))
}

/// Set by whoever wants a run to end.
pub(crate) fn stop() -> &'static AtomicBool {
    &STOP
}

/// From now on Ctrl-C ends the run rather than the program.
pub(crate) fn is_running(is_running: bool) {
    IS_RUNNING.store(is_running, Ordering::Relaxed);
}

/// A simulator that nobody gave a length goes on for as long as the run.
fn source_of(args: &RunArgs) -> Result<SourceArgs, Error> {
    if args.seconds.is_some_and(|seconds| seconds.is_nan() || seconds <= 0.0) {
        return Err(Error::usage("--seconds", "it is not above 0").legal("a time above 0 s"));
    }
    let mut recording = args.source.clone();
    if recording.starts_with("sim:") && !recording.contains("seconds=") {
        // One block more than asked for, which is never published.
        let seconds = args.seconds.map_or(SIMULATED_SECONDS_MAX, |seconds| seconds + 1.0);
        recording = format!("{recording},seconds={}", seconds.min(SIMULATED_SECONDS_MAX));
    }
    Ok(SourceArgs { recording, mapping: args.mapping.clone() })
}

fn live_config(args: &RunArgs) -> Result<LiveConfig, Error> {
    let mut live = match &args.live {
        None => LiveConfig::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))?;
            LiveConfig::parse(&text, &path.display().to_string())?
        }
    };
    live = match args.wait {
        Wait::Balanced => live,
        Wait::LowLatency => live.low_latency(),
        Wait::Gentle => live.gentle(),
    };
    live.shards = args.shards.unwrap_or(live.shards);
    live.realtime |= args.realtime;
    if !args.cores.is_empty() {
        live.cores = args.cores.clone();
    }
    live.check("--shards")?;
    Ok(live)
}

fn level(name: Option<&str>) -> Result<Level, Error> {
    let levels = Level::all();
    let Some(name) = name else { return Ok(Level::widest()) };
    levels.iter().copied().find(|level| level.name() == name).ok_or_else(|| {
        let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
        Error::usage("--level", format!("`{name}`")).legal(format!("what this CPU has: {}", names.join(", ")))
    })
}

/// Hears commands on standard input for as long as the program lives.
fn listen() {
    let hear = || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.trim() {
                "freeze" => FREEZE.store(true, Ordering::Relaxed),
                "follow" => FREEZE.store(false, Ordering::Relaxed),
                "stop" => STOP.store(true, Ordering::Relaxed),
                "panic" => {
                    RESUME.store(false, Ordering::Relaxed);
                    PANICS.fetch_add(1, Ordering::Relaxed);
                }
                "resume" => RESUME.store(true, Ordering::Relaxed),
                "rollback" => {
                    ROLLBACKS.fetch_add(1, Ordering::Relaxed);
                }
                "" => {}
                other => {
                    eprintln!("note: `{other}` is no command; there are {COMMANDS}");
                }
            }
        }
    };
    // Without it the run goes on; only the commands are missing.
    if std::thread::Builder::new().name("commands".to_string()).spawn(hear).is_err() {
        eprintln!("warning: no thread for commands on standard input");
    }
}

/// Writes intents to a file, a line each.
struct IntentLines {
    file: Arc<Mutex<Option<PendingFile>>>,
    recording: String,
    synthetic: bool,
    rate: SampleRate,
    classes: Vec<String>,
}

impl Sink for IntentLines {
    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let (intent, held) = match delivery {
            Delivery::Act(intent) => (intent, false),
            Delivery::Hold(intent) => (intent, true),
            Delivery::Silence => return Ok(()),
        };
        let line = intent.line(&self.recording, self.synthetic, self.rate.seconds(intent.at), &self.classes);
        // Where safety held it, the line says so by itself, as in a replay.
        let held = held && intent.hold.is_none();
        let mut line = serde_json::to_vec(&HeldLine { line, held }).expect("plain values");
        line.push(b'\n');
        match self.file.lock().expect("nobody else writes").as_mut() {
            Some(file) => file.write(&line),
            None => Ok(()),
        }
    }
}

/// An intent as `replay` writes it, and whether it was held because it came too late or nothing of its bin came.
#[derive(serde::Serialize)]
struct HeldLine<'a> {
    #[serde(flatten)]
    line: IntentLine<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
}

fn text(report: &Report, source: &str) -> String {
    let synthetic = if report.synthetic { "synthetic" } else { "recorded" };
    let mut lines = vec![format!(
        "{source} ({synthetic}): {} channels × {} Hz for {:.1} s on {}; {}",
        report.n_channels, report.sample_rate_hz, report.stream_seconds, report.level, report.stop
    )];
    let balanced = if report.balanced { "balanced" } else { "NOT BALANCED" };
    lines.push(format!(
        "blocks {} in, {} out; frames {} in, {} lost ({} samples); {balanced}",
        report.blocks_in, report.blocks_out, report.frames_in, report.frames_lost, report.samples_lost
    ));
    lines.push(format!(
        "bins {}, incomplete {}, lost {}; intents {}, held {}",
        report.bins, report.incomplete_bins, report.lost_bins, report.intents, report.held_intents
    ));
    let mut times = table::of(&["µs", "n", "p50", "p99", "p99.9", "max"]);
    let mut row = |name: &str, latency: &Latency| {
        if latency.n > 0 {
            let figures = [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us];
            let mut cells = vec![name.to_string(), latency.n.to_string()];
            cells.extend(figures.map(|us| format!("{us:.1}")));
            times.add_row(cells);
        }
    };
    row("block in → intent out", &report.intent_latency);
    row("block in → processed", &report.block_latency);
    report.stages.iter().for_each(|(name, latency)| row(name, latency));
    lines.push(times.to_string());
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let cores: Vec<String> =
        report.cores.iter().map(|core| format!("core {} {}", core.core, percent(core.busy_share))).collect();
    let threads: Vec<String> = report
        .threads
        .iter()
        .map(|thread| format!("{} {}", thread.name, percent(thread.busy_share)))
        .collect();
    lines.push(format!("CPU: {} (of all programs); {}", cores.join(", "), threads.join(", ")));
    if let Some(mib) = report.resident_mib {
        lines.push(format!("memory: {mib:.0} MiB resident"));
    }
    if let Some(n) = report.allocations {
        lines.push(format!("allocations after the start: {n}"));
    }
    if !report.faults.is_empty() {
        lines.push(format!("electrodes masked at the end: {}", report.masked_channels));
        for (seconds, channel, fault) in report.faults.iter().take(FAULTS_SHOWN) {
            let what = fault.map_or("recovered", |fault| fault.name());
            lines.push(format!("  {seconds:.1} s: channel {channel} {what}"));
        }
        if report.faults.len() > FAULTS_SHOWN {
            lines.push(format!("  and {} more (--json has them)", report.faults.len() - FAULTS_SHOWN));
        }
    }
    lines.extend(swaps::text(report));
    lines.extend(report.link.as_ref().map(link::text));
    let (stage, worst) = &report.worst_stall;
    lines.push(format!(
        "worst stall: {:.2} ms in `{stage}`, {:.1} s after the start",
        worst.ms, worst.at_seconds
    ));
    lines.extend(report.late.iter().map(|late| format!("late: {}: {}", late.stage, late.what)));
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// What is heard on standard input.
const COMMANDS: &str = "freeze, follow, panic, resume, rollback, stop";
/// Changes of electrodes that the text shows.
const FAULTS_SHOWN: usize = 12;
/// As long as a simulated recording can be.
const SIMULATED_SECONDS_MAX: f64 = 14_400.0;
