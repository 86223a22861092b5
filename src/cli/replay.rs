//! `efference replay`: a recording through the live pipeline; intents, score, picture and times out.

use crate::cli::bins::BinRange;
use crate::cli::run::{self, Replayed, Speed};
use crate::cli::source::SourceArgs;
use crate::cli::{plot, print_json, table};
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
    if let Some(out) = out {
        out.finish()?;
    }
    if let Some(path) = &args.plot {
        let title = title(args, &model, synthetic);
        plot::replay(path, &title, &model, &replayed)?;
    }
    if args.json {
        print_json(&report(args, &model, synthetic, &range, &replayed));
    } else {
        print(args, &model, synthetic, &range, &replayed);
    }
    Ok(())
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

fn print(args: &ReplayArgs, model: &Model, synthetic: bool, range: &Range<u64>, replayed: &Replayed) {
    println!("{}, bins {}..{}", title(args, model, synthetic), range.start, range.end);
    if replayed.score.n_scored > 0 {
        println!("{}", table::score(&replayed.score, &format!("{} bins scored", replayed.score.n_scored)));
    } else {
        println!("not scored: the recording doesn't say what the subject did");
    }
    let mut times = table::of(&["stage", "computing, s", "of the recording's time"]);
    let share = |seconds: f64| format!("{:.6}", seconds / replayed.recording_seconds);
    for (stage, time) in &replayed.stages {
        let seconds = time.as_secs_f64();
        times.add_row(vec![stage.name().to_string(), format!("{seconds:.4}"), share(seconds)]);
    }
    let seconds = replayed.compute_seconds();
    times.add_row(vec!["all".to_string(), format!("{seconds:.4}"), share(seconds)]);
    println!("{times}");
    println!("{:.1} s of recording, {} frames lost", replayed.recording_seconds, replayed.lost_frames);
    for (what, path) in [("intents", &args.out), ("picture", &args.plot)] {
        if let Some(path) = path {
            println!("{what}: {}", path.display());
        }
    }
}
