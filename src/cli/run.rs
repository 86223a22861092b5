//! The two things that commands do with a recording: train on bins of it, replay bins of it.

use crate::cli::source::SourceArgs;
use crate::cli::{clock, progress};
use efference::block::StreamKind;
use efference::config::Config;
use efference::intents::{Action, Intent};
use efference::model::{Model, ModelAbout, OutputAbout, Provenance, StreamAbout};
use efference::pipeline::{Event, Pipeline, Stage};
use efference::recording::Recording;
use efference::score::Score;
use efference::sources::ReadOutcome;
use efference::train::{self, Dataset, Targets};
use efference::{Error, binning::BinSchedule};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// A trained model and the facts that a summary wants.
pub(crate) struct Trained {
    pub(crate) model: Model,
    pub(crate) seconds: f64,
}

/// Bins of a recording under these settings.
pub(crate) fn n_bins(recording: &Recording, config: &Config) -> Result<u64, Error> {
    let schedule = BinSchedule::new(recording.source.info().sample_rate, config.bins.width_ms)?;
    Ok(recording.source.n_frames().map_or(u64::MAX, |n_frames| schedule.n_bins(n_frames)))
}

/// Fits on `rows`. With `hold_out`, the last fifth of them is scored and not fitted; else it is scored by a fit
/// on the others, and the model is fitted on all.
pub(crate) fn train(
    source: &SourceArgs,
    config: &Config,
    rows: Range<u64>,
    hold_out: bool,
    command: String,
) -> Result<Trained, Error> {
    let started = clock::now();
    let mut recording = source.open()?;
    let info = recording.source.info().clone();
    let thresholds = if info.kind == StreamKind::Broadband {
        let _spinner = progress::spinner("measuring noise");
        train::calibrate(&mut *source.open()?.source, config)?
    } else {
        Vec::new()
    };
    let bar =
        progress::bar("reading", BinSchedule::new(info.sample_rate, config.bins.width_ms)?.edge(rows.end).0);
    let mut data = train::collect(&mut recording, config, &thresholds, rows.end, |at| bar.set_position(at))?;
    bar.finish_and_clear();
    data.rows = rows.start as usize..rows.end as usize;
    let spinner = progress::spinner(&format!("fitting {}", config.decoder.kind.name()));
    let of_recording = |error: Error| error.within(&source.name());
    let (part, held_out) = train::score_last_fifth(&data, &config.decoder).map_err(of_recording)?;
    let fitted = if hold_out { part } else { train::fit(&data, &config.decoder).map_err(of_recording)? };
    spinner.finish_and_clear();
    let fitted_rows = if hold_out { data.split_last_fifth().0.rows } else { data.rows.clone() };
    let about = ModelAbout {
        format: efference::model::FORMAT,
        synthetic: info.synthetic,
        output: output_of(&data, &fitted.decoder),
        provenance: Provenance {
            efference: env!("CARGO_PKG_VERSION").to_string(),
            data: source.name(),
            data_sha256: sha256_of(Path::new(&source.recording)),
            bins: [fitted_rows.start as u64, fitted_rows.end as u64],
            command,
        },
        choices: fitted.choices,
        stream: StreamAbout::of(&info),
        config: config.clone(),
        held_out,
    };
    let model = Model { about, thresholds, decoder: fitted.decoder };
    Ok(Trained { model, seconds: started.elapsed().as_secs_f64() })
}

fn output_of(data: &Dataset, decoder: &efference::decode::Decoder) -> OutputAbout {
    match &data.targets {
        Targets::Movement(movement) => OutputAbout::Movement {
            axes: movement.axes.clone(),
            unit: movement.unit.clone(),
            position: decoder.linear().weights().offset.len() > movement.axes.len(),
        },
        Targets::Classes { names, .. } => OutputAbout::Classes { names: names.clone() },
    }
}

fn sha256_of(path: &Path) -> Option<String> {
    let bytes = path.is_file().then(|| std::fs::read(path).ok()).flatten()?;
    Some(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How fast a replay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Speed {
    /// As fast as the recording was
    #[value(name = "1")]
    Live,
    /// As fast as this machine can
    #[value(name = "max")]
    Max,
}

/// What a replay brought.
pub(crate) struct Replayed {
    pub(crate) score: Score,
    /// Time of the recording that went through, bins before the range included.
    pub(crate) recording_seconds: f64,
    /// Computing time per stage.
    pub(crate) stages: [(Stage, Duration); 4],
    /// Frames that were lost.
    pub(crate) lost_frames: u64,
    /// Intents in the range.
    pub(crate) intents: Vec<Intent>,
    /// What the subject did, bin by bin, where it is known.
    pub(crate) truth: Option<Targets>,
}

impl Replayed {
    /// Computing time over the recording's own time.
    pub(crate) fn time_ratio(&self) -> f64 {
        self.compute_seconds() / self.recording_seconds
    }

    /// Computing time of all stages.
    pub(crate) fn compute_seconds(&self) -> f64 {
        self.stages.iter().map(|(_, time)| time.as_secs_f64()).sum()
    }
}

/// Runs a recording through `Pipeline::process` up to the range's end; bins before the range warm it up.
/// `on_intent` gets the intents of the range and their times in seconds.
pub(crate) fn replay(
    mut recording: Recording,
    model: &Model,
    range: Range<u64>,
    speed: Speed,
    mut on_intent: impl FnMut(&Intent, f64) -> Result<(), Error>,
) -> Result<Replayed, Error> {
    let info = recording.source.info().clone();
    let mut pipeline =
        Pipeline::new(&model.about.config, &info, &model.thresholds, Some(model.decoder.clone()))?;
    let schedule = *pipeline.schedule();
    let truth = Targets::of(&recording.truth, &schedule, range.end as usize);
    let last_frame = schedule.edge(range.end);
    let bar = progress::bar("replaying", last_frame.0);
    let mut block = recording.source.new_block();
    let mut stages = Stage::ALL.map(|stage| (stage, Duration::ZERO));
    let mut intents = Vec::new();
    let mut lost_frames = 0;
    let mut end = 0;
    let started = clock::now();
    while end < last_frame.0 && recording.source.read(&mut block)? == ReadOutcome::Block {
        lost_frames += u64::from(block.header.lost_frames);
        let already = intents.len();
        let mut mark = clock::now();
        pipeline.process(&block, |event| match event {
            Event::Done(stage) => {
                let now = clock::now();
                stages[stage as usize].1 += now - mark;
                mark = now;
            }
            Event::Intent(intent) if range.contains(&intent.bin) => intents.push(*intent),
            _ => {}
        });
        end = block.end_sample().0;
        for intent in &intents[already..] {
            on_intent(intent, info.sample_rate.seconds(intent.at))?;
        }
        bar.set_position(end);
        if speed == Speed::Live {
            let due = Duration::from_secs_f64(end as f64 / info.sample_rate.hz());
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    bar.finish_and_clear();
    let decoded: Vec<(usize, Action)> =
        intents.iter().map(|intent| (intent.bin as usize, intent.action)).collect();
    let score = truth.as_ref().map(|truth| train::score_actions(truth, &decoded)).unwrap_or_default();
    let recording_seconds = end as f64 / info.sample_rate.hz();
    Ok(Replayed { score, recording_seconds, stages, lost_frames, intents, truth })
}
