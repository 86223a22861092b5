//! `efference replay`: a recording through the live pipeline; intents, score, picture and times out.

use crate::cli::bins::BinRange;
use crate::cli::run::{self, Replayed, Speed};
use crate::cli::source::SourceArgs;
use crate::cli::{plot, say, say_json, table};
use efference::Error;
use efference::block::StreamKind;
use efference::model::Model;
use efference::recording::Recording;
use efference::sinks::PendingFile;
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Replay a recording through the very pipeline that runs live.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference replay m1_reaching.mat --model models/m1 --bins 10875..13205 --plot m1.png
  efference replay m1_reaching.mat --model models/m1 --speed 1 --out intents.jsonl

Bins before the range run too, to warm up; they are neither scored nor written.")]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The model folder, as `train` writes it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Bins to score and write, half open: A..B, A.. or ..B
    #[arg(long, value_name = "A..B")]
    bins: Option<BinRange>,
    /// How fast
    #[arg(long, value_enum, default_value = "max")]
    speed: Speed,
    /// Write intents here, a line of JSON each
    #[arg(long, value_name = "FILE.jsonl")]
    out: Option<PathBuf>,
    /// Draw what was decoded and what was true (.png or .svg)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ReplayArgs) -> Result<(), Error> {
    if let Some(path) = &args.plot {
        plot::check_path(path)?;
    }
    let model = Model::load(&args.model)?;
    let recording = args.source.open()?;
    check(&model, &recording, &args.source.name())?;
    let range = args
        .bins
        .unwrap_or_default()
        .within(run::n_bins(&recording, &model.about.config)?, &args.source.name())?;
    let synthetic = model.about.synthetic || recording.source.info().synthetic;
    let mut out = args.out.as_deref().map(PendingFile::create).transpose()?;
    let replayed = run::replay(recording, &model, range.clone(), args.speed, |intent, seconds| {
        let Some(out) = &mut out else { return Ok(()) };
        let mut line = serde_json::to_vec(&intent.line(seconds, model.classes())).expect("plain values");
        line.push(b'\n');
        out.write(&line)
    })?;
    if let Some(path) = &args.plot {
        let title = title(args, &model, synthetic);
        plot::replay(path, &title, &model, &replayed)?;
    }
    if let Some(out) = out {
        out.finish()?;
    }
    match args.json {
        true => say_json(&report(args, &model, synthetic, &range, &replayed)),
        false => say(text(args, &model, synthetic, &range, &replayed)),
    }
}

/// Refuses a recording that the model wasn't trained for.
pub(crate) fn check(model: &Model, recording: &Recording, place: &str) -> Result<(), Error> {
    let info = recording.source.info();
    // Broadband has no bins of its own; frames of 1 ms counts can be put into any bins.
    let own = recording.bin_width_ms();
    let frames_are_bins = (own - 1e3 / info.sample_rate.hz()).abs() < 1e-9 || recording.about.n_trials > 0;
    let own = (info.kind == StreamKind::Counts && frames_are_bins).then_some(own);
    model.check_stream(info, own, place)
}

fn title(args: &ReplayArgs, model: &Model, synthetic: bool) -> String {
    let kind = if synthetic { "synthetic" } else { "recorded" };
    format!("{} on {} ({kind})", model.about.config.decoder.kind.name(), args.source.name())
}

fn report(
    args: &ReplayArgs,
    model: &Model,
    synthetic: bool,
    range: &Range<u64>,
    replayed: &Replayed,
) -> serde_json::Value {
    let stages: serde_json::Map<String, serde_json::Value> = replayed
        .stages
        .iter()
        .map(|(stage, time)| (stage.name().to_string(), time.as_secs_f64().into()))
        .collect();
    json!({
        "recording": args.source.name(),
        "decoder": model.about.config.decoder.kind.name(),
        "synthetic": synthetic,
        "score": replayed.score,
        "bins": range.end - range.start,
        "bin_range": [range.start, range.end],
        "intents": replayed.intents.len(),
        "lost_frames": replayed.lost_frames,
        "recording_seconds": replayed.recording_seconds,
        "compute_seconds": replayed.compute_seconds(),
        "stage_seconds": stages,
        "time_ratio": replayed.time_ratio(),
        "out": args.out.as_deref().map(Path::display).map(|path| path.to_string()),
        "plot": args.plot.as_deref().map(Path::display).map(|path| path.to_string()),
    })
}

fn text(
    args: &ReplayArgs,
    model: &Model,
    synthetic: bool,
    range: &Range<u64>,
    replayed: &Replayed,
) -> String {
    let mut lines = vec![format!("{}, bins {}..{}", title(args, model, synthetic), range.start, range.end)];
    lines.push(match replayed.score.n_scored {
        0 => "not scored: the recording doesn't say what the subject did".to_string(),
        n => table::score(&replayed.score, &format!("{n} bins scored")).to_string(),
    });
    let mut times = table::of(&["stage", "computing, s", "of the recording's time"]);
    let mut row = |name: &str, seconds: f64| {
        let share = format!("{:.6}", seconds / replayed.recording_seconds);
        times.add_row(vec![name.to_string(), format!("{seconds:.4}"), share]);
    };
    for (stage, time) in &replayed.stages {
        row(stage.name(), time.as_secs_f64());
    }
    row("all", replayed.compute_seconds());
    lines.push(times.to_string());
    let (seconds, lost) = (replayed.recording_seconds, replayed.lost_frames);
    lines.push(format!("{seconds:.1} s of recording, {lost} frames lost"));
    for (what, path) in [("intents", &args.out), ("picture", &args.plot)] {
        lines.extend(path.as_ref().map(|path| format!("{what}: {}", path.display())));
    }
    lines.join("\n")
}
