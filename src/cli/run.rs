//! The two things that commands do with a recording: train on bins of it, replay bins of it.

use crate::cli::source::SourceArgs;
use crate::cli::{clock, progress};
use efference::block::StreamKind;
use efference::config::Config;
use efference::decode::Decoder;
use efference::intents::{Action, Intent};
use efference::model::{Model, ModelAbout, OutputAbout, Provenance, StreamAbout};
use efference::pipeline::{Calibration, Event, Ledger, Pipeline, Stage};
use efference::recording::{Recording, Truth};
use efference::score::Score;
use efference::sources::ReadOutcome;
use efference::train::{self, Basis, Dataset, Targets};
use efference::{Error, binning::BinSchedule};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// A trained model and the facts that a summary wants.
pub(crate) struct Trained {
    pub(crate) model: Model,
    pub(crate) seconds: f64,
    /// The bins that it was fitted on.
    pub(crate) data: Dataset,
}

impl Trained {
    /// What the model can be solved again from.
    pub(crate) fn basis(&self) -> Result<Basis, Error> {
        let _spinner = progress::spinner("summing");
        let about = &self.model.about;
        Basis::of(&self.data, &about.config.decoder, &self.model.decoder, &about.choices)
    }
}

/// Bins of a recording under these settings.
pub(crate) fn n_bins(recording: &Recording, config: &Config) -> Result<u64, Error> {
    let schedule = BinSchedule::new(recording.source.info().sample_rate, config.bins.width_ms)?;
    Ok(recording.source.n_frames().map_or(u64::MAX, |n_frames| schedule.n_bins(n_frames)))
}

/// Refuses a decoder of what the recording doesn't have, before anything is read.
pub(crate) fn check_kind(recording: &Recording, config: &Config) -> Result<(), Error> {
    let (has, legal, fits) = match (&recording.truth, config.decoder.kind.is_classifier()) {
        (Truth::None, _) => {
            ("nothing of what the subject did", "a recording with movement or classes", false)
        }
        (Truth::Kinematics(_), classifier) => ("movement", train::OF_MOVEMENT, !classifier),
        (Truth::Classes(_), classifier) => ("classes", "lda, logistic", classifier),
    };
    if fits {
        return Ok(());
    }
    let found = format!("it says {has}, and the decoder is `{}`", config.decoder.kind.name());
    Err(Error::input(&recording.about.path, found)
        .field("decoder.kind")
        .legal(legal)
        .hint("`efference inspect` shows what a recording holds; a mapping names its variables"))
}

/// How the last fifth of the training bins is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastFifth {
    /// The model isn't fitted on it.
    HeldOut,
    /// By a fit on the others; the model is fitted on all.
    FittedToo,
    /// Not at all; the model is fitted on all.
    NotScored,
}

/// Fits on `rows`.
pub(crate) fn train(
    source: &SourceArgs,
    config: &Config,
    rows: Range<u64>,
    last_fifth: LastFifth,
    command: String,
) -> Result<Trained, Error> {
    let started = clock::now();
    let mut recording = source.open()?;
    let info = recording.source.info().clone();
    let schedule = BinSchedule::new(info.sample_rate, config.bins.width_ms)?;
    let calibration = if info.kind == StreamKind::Broadband {
        let _spinner = progress::spinner("measuring noise");
        train::calibrate(&mut *source.open()?.source, config, schedule.edge(rows.start))?
    } else {
        Calibration::default()
    };
    let bar = progress::bar("reading", schedule.edge(rows.end).0);
    let mut data = train::collect(&mut recording, config, &calibration, rows.end, |at| bar.set_position(at))?;
    bar.finish_and_clear();
    data.rows = rows.start as usize..rows.end as usize;
    let label = format!("fitting {}", config.decoder.kind.name());
    let spinner = match train::is_wide(&data, &config.decoder) {
        Ok(true) => progress::bar(&label, FIT_STEPS),
        _ => progress::spinner(&label),
    };
    let tick = |done: f64| {
        // A spinner has no length.
        if spinner.length().is_some() {
            spinner.set_position((done * FIT_STEPS as f64) as u64);
        }
    };
    let of_recording = |error: Error| error.within(&source.name());
    let (fitted, held_out, fitted_rows) = match last_fifth {
        LastFifth::HeldOut => {
            let (fitted, score) =
                train::score_last_fifth_telling(&data, &config.decoder, tick).map_err(of_recording)?;
            (fitted, score, data.split_last_fifth().0.rows)
        }
        // Bins that are just enough for a fit are not for one on four fifths of them: then there is no score.
        LastFifth::FittedToo => {
            let fitted = train::fit_telling(&data, &config.decoder, tick).map_err(of_recording)?;
            let score = train::score_last_fifth_telling(&data, &config.decoder, tick).map(|(_, score)| score);
            (fitted, score.unwrap_or_default(), data.rows.clone())
        }
        LastFifth::NotScored => {
            let fitted = train::fit_telling(&data, &config.decoder, tick).map_err(of_recording)?;
            (fitted, Score::default(), data.rows.clone())
        }
    };
    spinner.finish_and_clear();
    let mut config = config.clone();
    if config.safety.speed_max == 0.0 {
        config.safety.speed_max = train::plausible_speed(&data);
    }
    let about = ModelAbout {
        format: efference::model::FORMAT,
        synthetic: info.synthetic,
        output: output_of(&data, &recording.truth, &fitted.decoder),
        provenance: Provenance {
            efference: env!("CARGO_PKG_VERSION").to_string(),
            data: source.name(),
            data_sha256: sha256_of(Path::new(&source.recording)),
            bins: [fitted_rows.start as u64, fitted_rows.end as u64],
            command,
        },
        choices: fitted.choices,
        stream: StreamAbout::of(&info),
        config,
        held_out,
        held_out_of: None,
    };
    let model = Model { about, calibration, decoder: fitted.decoder };
    data.rows = fitted_rows;
    Ok(Trained { model, seconds: started.elapsed().as_secs_f64(), data })
}

fn output_of(data: &Dataset, truth: &Truth, decoder: &Decoder) -> OutputAbout {
    match &data.targets {
        Targets::Movement(movement) => OutputAbout::Movement {
            axes: movement.axes.clone(),
            unit: movement.unit.clone(),
            position: decoder.linear().weights().offset.len() > movement.axes.len(),
        },
        Targets::Classes { names, .. } => {
            let window = match truth {
                Truth::Classes(classes) => {
                    [classes.first_frame, classes.first_frame + classes.frames_per_trial]
                }
                _ => [0, 0],
            };
            OutputAbout::Classes { names: names.clone(), window_frames: window }
        }
    }
}

/// Of a file, in hex; folders and simulators have none.
pub(crate) fn sha256_of(path: &Path) -> Option<String> {
    let mut file = path.is_file().then(|| File::open(path).ok()).flatten()?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).ok()?;
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
    /// Where every frame went.
    pub(crate) ledger: Ledger,
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
/// `prepare` may tell the pipeline what it is to do on the way. `on_intent` gets the intents of the range and their times in seconds.
pub(crate) fn replay(
    mut recording: Recording,
    model: &Model,
    range: Range<u64>,
    speed: Speed,
    prepare: impl FnOnce(&mut Pipeline) -> Result<(), Error>,
    mut on_intent: impl FnMut(&Intent, f64) -> Result<(), Error>,
) -> Result<Replayed, Error> {
    let info = recording.source.info().clone();
    let mut pipeline =
        Pipeline::from_config(&model.about.config, &info, &model.calibration, Some(model.decoder.clone()))?;
    prepare(&mut pipeline)?;
    let schedule = *pipeline.schedule();
    let truth = Targets::of(&recording.truth, &schedule, range.end as usize);
    let last_frame = schedule.edge(range.end);
    let bar = progress::bar("replaying", last_frame.0);
    let mut block = recording.source.new_block();
    let mut stages = Stage::ALL.map(|stage| (stage, Duration::ZERO));
    let mut intents = Vec::new();
    let mut end = 0;
    let started = clock::now();
    while end < last_frame.0 && recording.source.read(&mut block)? == ReadOutcome::Block {
        if speed == Speed::Live {
            // A block is there when its last frame has been recorded.
            let due = Duration::from_secs_f64(block.end_sample().0 as f64 / info.sample_rate.hz());
            std::thread::sleep(due.saturating_sub(clock::now() - started));
        }
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
    }
    bar.finish_and_clear();
    let decoded: Vec<(usize, Action)> =
        intents.iter().map(|intent| (intent.bin as usize, intent.action)).collect();
    let score = truth.as_ref().map(|truth| train::score_actions(truth, &decoded)).unwrap_or_default();
    let recording_seconds = end as f64 / info.sample_rate.hz();
    Ok(Replayed { score, recording_seconds, stages, ledger: pipeline.ledger(), intents, truth })
}

/// Of a bar that a fit moves.
const FIT_STEPS: u64 = 1000;
