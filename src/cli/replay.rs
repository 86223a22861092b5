//! `efference replay`: a recording through the live pipeline; intents, score, picture and times out.

use crate::cli::bins::BinRange;
use crate::cli::run::{self, Replayed, Speed};
use crate::cli::source::SourceArgs;
use crate::cli::{plot, say, say_json, swaps, table};
use efference::Error;
use efference::model::Model;
use efference::pipeline::Pipeline;
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
  efference replay 'capture://my.pcapng?key=implant.key' --model my-n1 --swaps swaps.jsonl --out intents.jsonl

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
    /// Do again what a run's log says: swaps of the decoder, panics and resumes, each at its bin
    #[arg(long, value_name = "FILE.jsonl")]
    swaps: Option<PathBuf>,
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
    // Both begin before the work and are finished after it, so that there are both or none.
    check_places(args)?;
    let mut out = args.out.as_deref().map(PendingFile::create).transpose()?;
    let picture = args.plot.as_deref().map(PendingFile::create).transpose()?;
    let model = Model::load(&args.model)?;
    let recording = args.source.open()?;
    let place = args.source.name();
    args.source.say_mapping(&recording);
    model.check(&recording, &place)?;
    let range =
        args.bins.unwrap_or_default().within(run::n_bins(&recording, &model.about.config)?, &place)?;
    let synthetic = model.about.synthetic || recording.source.info().synthetic;
    let prepare = |pipeline: &mut Pipeline| match &args.swaps {
        None => Ok(()),
        Some(log) => swaps::follow(log, &args.model, &model, pipeline),
    };
    let replayed = run::replay(recording, &model, range.clone(), args.speed, prepare, |intent, seconds| {
        let Some(out) = &mut out else { return Ok(()) };
        let line = intent.line(&place, synthetic, seconds, model.classes());
        let mut line = serde_json::to_vec(&line).expect("plain values");
        line.push(b'\n');
        out.write(&line)
    })?;
    let trained_on = trained_on(args, &model, &range);
    let report = Report { args, model: &model, synthetic, range, trained_on, replayed: &replayed };
    let picture = match picture {
        None => None,
        Some(picture) => Some(plot::replay(picture, &report.title(), &model, &replayed)?),
    };
    if let Some(out) = out {
        out.finish()?;
    }
    if let Some(picture) = picture {
        picture.finish()?;
    }
    match args.json {
        true => say_json(&report.json()),
        false => say(report.text()),
    }
}

/// Refuses to write one result over another, or over the recording.
fn check_places(args: &ReplayArgs) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let recording = real(Path::new(&args.source.recording));
    let places: Vec<PathBuf> =
        [&args.out, &args.plot, &args.swaps].into_iter().flatten().map(|place| real(place)).collect();
    let twice = |at: usize| places[at] == recording || places[..at].contains(&places[at]);
    match (0..places.len()).find(|&at| twice(at)) {
        None => Ok(()),
        Some(at) => Err(Error::usage(places[at].display().to_string(), "it is named twice")
            .field("--out, --plot, --swaps")
            .legal("different files for the recording, the log, the intents and the picture")),
    }
}

/// Bins of the range that the model was fitted on: scores on those say little.
fn trained_on(args: &ReplayArgs, model: &Model, range: &Range<u64>) -> u64 {
    let provenance = &model.about.provenance;
    let same = match &provenance.data_sha256 {
        Some(hash) => run::sha256_of(Path::new(&args.source.recording)).as_ref() == Some(hash),
        None => args.source.name() == provenance.data,
    };
    let [from, to] = provenance.bins;
    if same { range.end.min(to).saturating_sub(range.start.max(from)) } else { 0 }
}

/// What is said of a replay.
struct Report<'a> {
    args: &'a ReplayArgs,
    model: &'a Model,
    synthetic: bool,
    range: Range<u64>,
    trained_on: u64,
    replayed: &'a Replayed,
}

impl Report<'_> {
    fn title(&self) -> String {
        let kind = if self.synthetic { "synthetic" } else { "recorded" };
        format!("{} on {} ({kind})", self.model.about.config.decoder.kind.name(), self.args.source.name())
    }

    fn json(&self) -> serde_json::Value {
        let replayed = self.replayed;
        let stages: serde_json::Map<String, serde_json::Value> = replayed
            .stages
            .iter()
            .map(|(stage, time)| (stage.name().to_string(), time.as_secs_f64().into()))
            .collect();
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        json!({
            "recording": self.args.source.name(),
            "decoder": self.model.about.config.decoder.kind.name(),
            "synthetic": self.synthetic,
            "score": replayed.score,
            "bins": self.range.end - self.range.start,
            "bin_range": [self.range.start, self.range.end],
            "bins_trained_on": self.trained_on,
            "intents": replayed.intents.len(),
            "frames": replayed.ledger,
            "lost_frames": replayed.ledger.lost_frames,
            "recording_seconds": replayed.recording_seconds,
            "compute_seconds": replayed.compute_seconds(),
            "stage_seconds": stages,
            "time_ratio": replayed.time_ratio(),
            "out": path(&self.args.out),
            "plot": path(&self.args.plot),
        })
    }

    fn text(&self) -> String {
        let replayed = self.replayed;
        let mut lines = vec![format!("{}, bins {}..{}", self.title(), self.range.start, self.range.end)];
        lines.push(match replayed.score.n_scored {
            0 => "not scored: the recording doesn't say what the subject did".to_string(),
            n => table::score(&replayed.score, &format!("{n} bins scored")).to_string(),
        });
        if self.trained_on > 0 {
            let n = self.trained_on;
            lines.push(format!("CAREFUL: {n} of these bins are those that the model was trained on"));
        }
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
        let frames = replayed.ledger;
        lines.push(format!(
            "{:.1} s of recording: {} frames received, {} lost, {} repeated",
            replayed.recording_seconds, frames.received_frames, frames.lost_frames, frames.repeated_frames
        ));
        for (what, path) in [("intents", &self.args.out), ("picture", &self.args.plot)] {
            lines.extend(path.as_ref().map(|path| format!("{what}: {}", path.display())));
        }
        lines.join("\n")
    }
}
