//! `efference eval`: several recordings and splits from a TOML file, one table out.

use crate::cli::bins::BinRange;
use crate::cli::run::{self, LastFifth, Speed};
use crate::cli::source::SourceArgs;
use crate::cli::{say, say_json, table};
use efference::config::{Config, check_keys, not_toml};
use efference::score::Score;
use efference::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Train and replay a list of recordings and splits; print one table.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  EFFERENCE_DATA=~/recordings efference eval examples/eval.toml

with eval.toml:
  [[run]]
  name = \"m1 Wiener\"
  recording = \"m1-reaching/m1_reaching.mat\"   # under EFFERENCE_DATA, else beside the TOML file
  mapping = \"m1-reaching\"
  train = \"0..10875\"
  test = \"10875..13205\"
  [run.decoder]                               # as [decoder] of train --config; [run.bins], [run.front_end] too
  kind = \"wiener\"

A recording that isn't there is skipped, and said so.")]
pub(crate) struct EvalArgs {
    /// What to run
    #[arg(value_name = "EVAL.toml")]
    file: PathBuf,
    /// Only runs whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One recording and split.
#[derive(Deserialize)]
struct Run {
    name: String,
    recording: String,
    #[serde(default)]
    mapping: Option<String>,
    train: String,
    test: String,
    #[serde(flatten)]
    config: toml::Table,
}

/// What became of a run.
#[derive(Serialize)]
struct Outcome {
    name: String,
    data: String,
    decoder: String,
    synthetic: bool,
    train: String,
    test: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    score: Score,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_seconds: Option<f64>,
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), Error> {
    let runs = read(&args.file)?;
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    if let Some(text) =
        args.only.as_ref().filter(|text| !names.iter().any(|name| name.contains(text.as_str())))
    {
        return Err(Error::usage(
            args.file.display().to_string(),
            format!("no run's name contains `{text}`"),
        )
        .field("--only")
        .legal(names.join(", ")));
    }
    let wanted = |run: &&Run| args.only.as_ref().is_none_or(|text| run.name.contains(text.as_str()));
    // One run that fails doesn't take the others with it; the program still ends with its error.
    let mut failed = None;
    let mut outcomes = Vec::new();
    for run in runs.iter().filter(wanted) {
        outcomes.push(evaluate(run, &args.file).unwrap_or_else(|error| {
            let outcome = Outcome { skipped: Some(error.to_string()), ..Outcome::of(run) };
            failed.get_or_insert(error);
            outcome
        }));
    }
    match args.json {
        true => say_json(&serde_json::json!({ "runs": outcomes }))?,
        false => say(text(&outcomes))?,
    }
    failed.map_or(Ok(()), Err)
}

impl Outcome {
    /// Nothing yet.
    fn of(run: &Run) -> Self {
        Outcome {
            name: run.name.clone(),
            data: run.recording.clone(),
            decoder: String::new(),
            synthetic: false,
            train: run.train.clone(),
            test: run.test.clone(),
            skipped: None,
            score: Score::default(),
            time_ratio: None,
            train_seconds: None,
        }
    }
}

fn read(file: &Path) -> Result<Vec<Run>, Error> {
    let place = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Error::unreadable(file, &error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| not_toml(&place, &error))?;
    check_keys(&table, &["run".to_string()], &place)?;
    let runs = table.get("run").and_then(toml::Value::as_array).ok_or_else(|| {
        Error::usage(&place, "no run")
            .field("run")
            .legal("at least one [[run]] table")
            .hint("see eval --help")
    })?;
    let legal = |section: &str| RUN_KEYS.iter().chain(&SETTINGS).any(|key| *key == section);
    let read_one = |(at, value): (usize, &toml::Value)| {
        let place = format!("{place}, run {}", at + 1);
        let table = value.as_table().cloned().unwrap_or_default();
        if let Some(key) = table.keys().find(|key| !legal(key)) {
            let legal: Vec<&str> = RUN_KEYS.into_iter().chain(SETTINGS).collect();
            let error = Error::usage(&place, "the key is unknown").field(key).legal(legal.join(", "));
            return Err(error.hint("leave it out").suggest(key, legal));
        }
        let run: Run = value.clone().try_into().map_err(|error| not_toml(&place, &error))?;
        Config::parse(&run.config.to_string(), &place)?;
        Ok(run)
    };
    runs.iter().enumerate().map(read_one).collect()
}

const RUN_KEYS: [&str; 5] = ["name", "recording", "mapping", "train", "test"];
const SETTINGS: [&str; 3] = ["front_end", "bins", "decoder"];

fn evaluate(run: &Run, file: &Path) -> Result<Outcome, Error> {
    let place = format!("{}, run `{}`", file.display(), run.name);
    let range = |text: &str, field: &str| {
        text.parse::<BinRange>().map_err(|error| Error::usage(&place, error).field(field))
    };
    let (train, test) = (range(&run.train, "train")?, range(&run.test, "test")?);
    let config = Config::parse(&run.config.to_string(), &place)?;
    let mapping = run.mapping.as_ref().map(|mapping| match beside(file, mapping) {
        path if path.is_file() => path.display().to_string(),
        _ => mapping.clone(),
    });
    let source = SourceArgs { recording: locate(&run.recording, file), mapping };
    let mut outcome = Outcome { data: source.name(), ..Outcome::of(run) };
    if !source.recording.starts_with("sim:") && !Path::new(&source.recording).exists() {
        outcome.skipped =
            Some(format!("{} is absent; EFFERENCE_DATA names the recordings", source.recording));
        return Ok(outcome);
    }
    let recording = source.open()?;
    let info = recording.source.info().clone();
    let config = recording.settle(config, &place)?;
    let n_bins = run::n_bins(&recording, &config)?;
    let (train, test) = (train.within(n_bins, &place)?, test.within(n_bins, &place)?);
    if train.start < test.end && test.start < train.end {
        return Err(Error::new(
            ErrorKind::Usage,
            &place,
            format!("train {} and test {} overlap", run.train, run.test),
        )
        .field("test")
        .legal("bins that are not trained on"));
    }
    run::check_kind(&recording, &config)?;
    let trained = run::train(&source, &config, train, LastFifth::NotScored, String::new())?;
    let replayed = run::replay(recording, &trained.model, test, Speed::Max, |_| Ok(()), |_, _| Ok(()))?;
    outcome.decoder = config.decoder.kind.name().to_string();
    outcome.synthetic = info.synthetic;
    outcome.time_ratio = Some(replayed.time_ratio());
    outcome.train_seconds = Some(trained.seconds);
    outcome.score = replayed.score;
    Ok(outcome)
}

/// Under EFFERENCE_DATA where that is set, else beside the TOML file.
fn locate(recording: &str, file: &Path) -> String {
    if recording.starts_with("sim:") || Path::new(recording).is_absolute() {
        return recording.to_string();
    }
    let path = match std::env::var_os("EFFERENCE_DATA") {
        Some(data) => PathBuf::from(data).join(recording),
        None => beside(file, recording),
    };
    path.display().to_string()
}

fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default().join(name)
}

fn text(outcomes: &[Outcome]) -> String {
    let header = [
        "run",
        "data",
        "kind",
        "velocity R²",
        "per axis",
        "corr.",
        "position R²",
        "accuracy",
        "scored",
        "time ratio",
    ];
    let mut table = table::of(&header);
    let mut lines = Vec::new();
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    for outcome in outcomes {
        if let Some(why) = &outcome.skipped {
            table.add_row(vec![outcome.name.clone(), outcome.data.clone(), "skipped".to_string()]);
            lines.push(format!("{} is skipped: {why}", outcome.name));
            continue;
        }
        let score = &outcome.score;
        let axes = score.velocity_r2.iter().flat_map(|r2| &r2.axes);
        let axes: Vec<String> = axes.map(|(axis, value)| format!("{axis} {value:.3}")).collect();
        table.add_row(vec![
            outcome.name.clone(),
            outcome.data.clone(),
            (if outcome.synthetic { "synthetic" } else { "recorded" }).to_string(),
            figure(score.velocity_r2.as_ref().map(|r2| r2.mean)),
            axes.join(", "),
            figure(score.cc.as_ref().map(|cc| cc.mean)),
            figure(score.position_r2.as_ref().map(|r2| r2.mean)),
            figure(score.accuracy),
            score.n_scored.to_string(),
            outcome.time_ratio.map_or_else(String::new, |ratio| format!("{ratio:.6}")),
        ]);
    }
    lines.insert(0, table.to_string());
    lines.join("\n")
}
