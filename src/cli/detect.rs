//! `efference detect`: threshold crossings of a broadband recording, scored where the true spikes are known.

use crate::cli::source::SourceArgs;
use crate::cli::train::SettingsArgs;
use crate::cli::{progress, say, say_json, table};
use efference::block::{StreamInfo, StreamKind};
use efference::config::Config;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording::spikes::{self, Spike};
use efference::score::detection::{self, Detection, DetectionScore};
use efference::sinks::PendingFile;
use efference::sources::{ReadOutcome, SampleSource};
use efference::{Error, SampleIndex, train};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Detect threshold crossings in a broadband recording.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference detect ground-truth/easy.i16 --truth ground-truth/easy_spikes.csv
  efference detect neuralink-n1/ --out crossings.csv

A spike is detected by a crossing on its unit's peak channel from 0.5 ms before to 1 ms after it. A false alarm
is a crossing on any channel with no spike of any unit from 1 ms before it to 0.5 ms after it.")]
pub(crate) struct DetectArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Settings in TOML, of which the table [front_end] matters here
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The threshold, as a multiple of the noise [default: -4.5]
    #[arg(long, allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// The true spikes: a CSV with columns sample, unit, peak_channel
    #[arg(long, value_name = "SPIKES.csv")]
    truth: Option<PathBuf>,
    /// Write the crossings here: a CSV with columns sample, channel, synthetic
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DetectArgs) -> Result<(), Error> {
    if let Some(path) = &args.out {
        PendingFile::check(path)?;
    }
    let recording = args.source.open()?;
    let place = args.source.name();
    let info = recording.source.info().clone();
    if info.kind != StreamKind::Broadband {
        return Err(Error::input(place, "its spikes are counted already")
            .field("kind")
            .legal("a broadband recording")
            .hint("`efference inspect` says what a recording holds"));
    }
    let mut config = SettingsArgs::of_file(args.config.clone()).config(None)?;
    if let Some(threshold) = args.threshold {
        config.front_end.threshold = threshold;
        config.check("--threshold")?;
    }
    let config = recording.settle(config, &place)?;
    let truth = args.truth.as_deref().map(|path| read_truth(path, info.n_channels())).transpose()?;
    let calibration = train::calibrate(&mut *args.source.open()?.source, &config, SampleIndex(0))?;
    let (detections, n_frames) = crossings(recording.source, &config, &info, &calibration)?;
    if let Some(path) = &args.out {
        let mut out = PendingFile::create(path)?;
        out.write(b"sample,channel,synthetic\n")?;
        let synthetic = u8::from(info.synthetic);
        for Detection { frame, channel } in &detections {
            out.write(format!("{frame},{channel},{synthetic}\n").as_bytes())?;
        }
        out.finish()?;
    }
    let score = truth.map(|truth| detection::score(&truth, &detections, info.sample_rate, n_frames));
    let report =
        Report { recording: place, info, thresholds: calibration.thresholds, detections, n_frames, score };
    match args.json {
        true => say_json(&report.json(&config)),
        false => say(report.text(&config)),
    }
}

fn read_truth(path: &Path, n_channels: usize) -> Result<Vec<Spike>, Error> {
    let truth = spikes::read(path)?;
    match truth.iter().find(|spike| spike.peak_channel as usize >= n_channels) {
        None => Ok(truth),
        Some(spike) => Err(Error::input(
            path.display().to_string(),
            format!("unit {} on channel {}", spike.unit, spike.peak_channel),
        )
        .field("peak_channel")
        .legal(format!("0 to {}, the channels of the recording", n_channels - 1))
        .hint("the spikes of this recording")),
    }
}

fn crossings(
    mut source: Box<dyn SampleSource>,
    config: &Config,
    info: &StreamInfo,
    calibration: &Calibration,
) -> Result<(Vec<Detection>, u64), Error> {
    let mut pipeline = Pipeline::from_config(config, info, calibration, None)?;
    pipeline.list_crossings();
    let bar = progress::bar("detecting", source.n_frames().unwrap_or(0));
    let mut block = source.new_block();
    let mut detections = Vec::new();
    while source.read(&mut block)? == ReadOutcome::Block {
        pipeline.process(&block, |event| {
            if let Event::Crossing { channel, at } = event {
                detections.push(Detection { frame: at.0, channel });
            }
        });
        bar.set_position(block.end_sample().0);
    }
    bar.finish_and_clear();
    Ok((detections, block.end_sample().0))
}

struct Report {
    recording: String,
    info: StreamInfo,
    thresholds: Vec<f32>,
    detections: Vec<Detection>,
    n_frames: u64,
    score: Option<DetectionScore>,
}

impl Report {
    fn json(&self, config: &Config) -> serde_json::Value {
        let mut crossings = vec![0u64; self.info.n_channels()];
        self.detections.iter().for_each(|detection| crossings[detection.channel] += 1);
        let finite = |threshold: &f32| threshold.is_finite().then_some(*threshold);
        json!({
            "recording": self.recording,
            "synthetic": self.info.synthetic,
            "channels": self.info.channels,
            "seconds": self.seconds(),
            "thresholds": self.thresholds.iter().map(finite).collect::<Vec<_>>(),
            "crossings": crossings,
            "front_end": config.front_end,
            "score": self.score,
        })
    }

    fn text(&self, config: &Config) -> String {
        let n = self.detections.len();
        let flat = self.thresholds.iter().filter(|threshold| threshold.is_infinite()).count();
        let mut lines = vec![format!(
            "{n} crossings of {} × noise on {} channels in {:.2} s: {:.2} a second and channel ({})",
            config.front_end.threshold,
            self.info.n_channels(),
            self.seconds(),
            n as f64 / self.seconds() / (self.info.n_channels() - flat).max(1) as f64,
            if self.info.synthetic { "synthetic" } else { "recorded" },
        )];
        if flat > 0 {
            lines.push(format!("{flat} flat channels are left out"));
        }
        if let Some(score) = &self.score {
            let mut units = table::of(&["unit", "peak channel", "spikes", "detected", "recall"]);
            for (name, unit) in &score.units {
                units.add_row(vec![
                    name.to_string(),
                    self.info.channels[unit.channel].clone(),
                    unit.spikes.to_string(),
                    unit.detected.to_string(),
                    format!("{:.4}", unit.recall),
                ]);
            }
            lines.push(units.to_string());
            let (alarms, rate) = (score.false_alarms, score.false_alarms_per_second);
            lines.push(format!("{alarms} false alarms: {rate:.2} a second"));
        }
        lines.join("\n")
    }

    fn seconds(&self) -> f64 {
        self.n_frames as f64 / self.info.sample_rate.hz()
    }
}
